//! Garbage on any port is closed with its reason in the log; a client beside it notices nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::server::{Directory, Server};

/// Sends bytes and waits until the other side closes.
fn closed_after(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // The server may close while we are still sending.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            panic!("{address} keeps {bytes:?} open")
        }
        _ => answer,
    }
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut rng = shardforge_core::base::rng::Rng::new(seed);
    (0..len).map(|_| rng.next_u64() as u8).collect()
}

/// A start-up packet for `postgres`.
fn startup() -> Vec<u8> {
    let body = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";
    [&(body.len() as u32 + 4).to_be_bytes()[..], body].concat()
}

#[test]
fn garbage_disturbs_nobody() {
    let directory = Directory::new();
    let server = Server::single(&directory);
    server.psql("CREATE TABLE t (id int PRIMARY KEY)");
    for round in 0..20u64 {
        // The first byte keeps the length field of a start-up packet out of its bounds.
        let garbage = [&[0xff][..], &noise(round, 300)].concat();
        for address in [&server.sql, &server.peer] {
            closed_after(address, &garbage);
        }
        closed_after(&server.http, &[&garbage[..], b"\r\n\r\n"].concat());
        server.psql(&format!("INSERT INTO t VALUES ({round})"));
    }
    assert_eq!(server.psql("SELECT count(*) FROM t"), "20\n");
    server.wait_for_log("invalid length of startup packet");
    server.wait_for_log("does not speak HTTP/2");
}

#[test]
fn broken_messages_after_the_login_are_answered_and_closed() {
    let directory = Directory::new();
    let server = Server::single(&directory);
    let over = [&b"Q"[..], &(17u32 << 20).to_be_bytes()].concat();
    let unknown = b"!\0\0\0\x04".to_vec();
    let short = b"B\0\0\0\x08\0\0\xff\xff".to_vec();
    for broken in [over, unknown, short] {
        let answer = closed_after(&server.sql, &[startup(), broken.clone()].concat());
        let text = String::from_utf8_lossy(&answer);
        assert!(text.contains("08P01"), "{broken:?} was answered {text:?}");
    }
    assert_eq!(server.psql("SELECT 1"), "1\n");
}

#[test]
fn monstrous_statements_are_refused_and_the_session_goes_on() {
    let directory = Directory::new();
    let server = Server::single(&directory);
    let address = format!("host=127.0.0.1 port={} user=postgres dbname=postgres", server.port());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) =
            tokio_postgres::connect(&address, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let chain = format!("SELECT 1{}", "+1".repeat(500_000));
        let nested = format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000));
        for monster in [chain, nested] {
            let error = client.simple_query(&monster).await.unwrap_err();
            let code = error.code().map(|code| code.code().to_owned()).unwrap_or_default();
            assert!(code == "54000" || code == "54001", "{error:?}");
            assert!(client.simple_query("SELECT 1").await.is_ok(), "the session is gone");
        }
    });
}
