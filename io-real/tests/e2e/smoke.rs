//! A node starts, psql talks to it, it stops.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use crate::server::{Directory, Server, run};

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn psql_writes_and_reads() {
    let directory = Directory::new();
    let server = Server::single(&directory);
    server.psql("CREATE TABLE t (id int PRIMARY KEY, name text)");
    server.psql("INSERT INTO t VALUES (1, 'one'), (2, NULL)");
    assert_eq!(server.psql("SELECT id, name FROM t ORDER BY id"), "1|one\n2|\n");
    assert_eq!(server.psql("UPDATE t SET name = 'two' WHERE id = 2 RETURNING name"), "two\n");
    let wrong = server.psql_output("SELECT nothing FROM t");
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("nothing"));
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn http_shows_health_and_figures() {
    let directory = Directory::new();
    let server = Server::single(&directory);
    assert!(get(&server.http, "/healthz").starts_with("HTTP/1.1 200"));
    assert!(get(&server.http, "/readyz").starts_with("HTTP/1.1 200"));
    server.psql("SELECT 1");
    let metrics = get(&server.http, "/metrics");
    assert!(metrics.contains("shardforge_serving 1"), "{metrics}");
    assert!(metrics.contains("shardforge_connections_total 1"), "{metrics}");
    assert!(get(&server.http, "/nothing").starts_with("HTTP/1.1 404"));
}

#[test]
fn status_shows_the_node() {
    let directory = Directory::new();
    let server = Server::single(&directory);
    let output = run(&directory, &["status", "--peer-addr", &server.peer, "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["nodes"][0]["id"], 1);
    assert_eq!(status["nodes"][0]["live"], true);
    assert_eq!(status["shards"][0]["leader"], 1);
    assert_eq!(status["shards"][0]["replicas"][0]["role"], "leader");
    let table = run(&directory, &["status", "--peer-addr", &server.peer]);
    assert!(String::from_utf8_lossy(&table.stdout).contains("INSECURE"), "{table:?}");
    let nobody = run(&directory, &["status", "--peer-addr", "127.0.0.1:1"]);
    assert_eq!(nobody.status.code(), Some(1));
}

#[test]
fn the_first_password_opens_and_another_does_not() {
    let directory = Directory::new();
    let data = directory.data();
    let arguments = [
        "start",
        "--single-node",
        "--data",
        &data,
        "--sql-addr",
        "127.0.0.1:0",
        "--http-addr",
        "off",
    ];
    let server = Server::start(&directory, &arguments);
    server.wait_for_log("PGPASSWORD=");
    let file = directory.path().join("data/cluster/security/postgres.password");
    let password = std::fs::read_to_string(file).unwrap().trim_end().to_owned();
    assert!(!server.log().contains(&password), "the password is in the log");
    let log_in = |password: &str| {
        let port = server.port().to_string();
        Command::new("psql")
            .args([
                "-X",
                "-A",
                "-t",
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-U",
                "postgres",
                "-c",
                "SELECT 7",
            ])
            .env("PGPASSWORD", password)
            .output()
            .expect("psql is installed by scripts/setup.sh")
    };
    let right = log_in(&password);
    assert_eq!(String::from_utf8_lossy(&right.stdout), "7\n", "{right:?}");
    let wrong = log_in("guess");
    assert!(
        String::from_utf8_lossy(&wrong.stderr).contains("password authentication failed"),
        "{wrong:?}"
    );
}
