//! Three nodes: init, replication, the loss of one.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::server::{Directory, Server, Starting, run};

struct Member {
    directory: Directory,
    arguments: Vec<String>,
}

impl Member {
    fn start(&self) -> Starting {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        Starting::new(&self.directory, &arguments)
    }
}

/// Three addresses that were free a moment ago: `--join` needs to know them before anybody starts.
fn free_addresses() -> Vec<String> {
    let listeners: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect()
}

fn members(peers: &[String]) -> Vec<Member> {
    let member = |(i, peer): (usize, &String)| {
        let directory = Directory::new();
        let (id, data) = ((i + 1).to_string(), directory.data());
        let arguments = [
            "start",
            "--node-id",
            &id,
            "--data",
            &data,
            "--sql-addr",
            "127.0.0.1:0",
            "--peer-addr",
            peer,
            "--http-addr",
            "off",
            "--join",
            &peers.join(","),
            "--insecure",
        ];
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Member { directory, arguments }
    };
    peers.iter().enumerate().map(member).collect()
}

/// Runs a statement until it succeeds; leadership may be moving.
fn insist(server: &Server, statement: &str) -> String {
    let began = Instant::now();
    loop {
        let output = server.psql_output(statement);
        if output.status.success() {
            return String::from_utf8(output.stdout).unwrap();
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(began.elapsed() < Duration::from_secs(30), "{statement}: {said}\n{}", server.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Three nodes that serve, and what starts each again.
fn cluster() -> (Vec<Member>, Vec<String>, Vec<Server>) {
    let peers = free_addresses();
    let members = members(&peers);
    let starting: Vec<Starting> = members.iter().map(Member::start).collect();
    let init = run(&members[0].directory, &["init", "--peer-addr", &peers[0]]);
    assert_eq!(init.status.code(), Some(0), "{init:?}");
    let servers = starting.into_iter().map(Starting::ready).collect();
    (members, peers, servers)
}

#[test]
fn three_nodes_agree_and_survive_the_loss_of_one() {
    let (members, peers, mut servers) = cluster();
    let again = run(&members[0].directory, &["init", "--peer-addr", &peers[1]]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert!(String::from_utf8_lossy(&again.stderr).contains("already"), "{again:?}");

    insist(&servers[0], "CREATE TABLE t (id int PRIMARY KEY)");
    for (id, server) in servers.iter().enumerate() {
        insist(server, &format!("INSERT INTO t VALUES ({id})"));
    }
    for server in &servers {
        assert_eq!(insist(server, "SELECT count(*) FROM t"), "3\n");
    }

    servers.remove(0).kill();
    insist(&servers[0], "INSERT INTO t VALUES (3)");
    assert_eq!(insist(&servers[1], "SELECT count(*) FROM t"), "4\n");

    let back = members[0].start().ready();
    assert_eq!(insist(&back, "SELECT count(*) FROM t"), "4\n");
}

/// A bit of a log has flipped: the node fetches what it lost, and then is needed for a majority.
#[test]
fn a_damaged_log_is_fetched_again() {
    let (members, _, mut servers) = cluster();
    insist(&servers[0], "CREATE TABLE t (id int PRIMARY KEY, v text)");
    for id in 0..20 {
        insist(&servers[0], &format!("INSERT INTO t VALUES ({id}, 'needle {id}')"));
    }
    servers.remove(2).kill();
    insist(&servers[0], "INSERT INTO t VALUES (20, 'while it was away')");
    members[2].directory.damage("needle 7");
    let back = members[2].start().ready();
    back.wait_for_log("what the disk lost is fetched again");
    assert_eq!(insist(&back, "SELECT count(*) FROM t"), "21\n");
    back.wait_for_log("nothing is missing any more");
    servers.remove(0).kill();
    insist(&back, "INSERT INTO t VALUES (21, 'with its vote')");
    assert_eq!(insist(&servers[0], "SELECT count(*) FROM t WHERE v LIKE 'needle %'"), "20\n");
}
