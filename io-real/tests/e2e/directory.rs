//! What the program says about directories and ports that it cannot have.

use std::fs;
use std::net::TcpListener;
use std::process::Output;

use crate::server::{Directory, Server, run};

fn start(directory: &Directory, sql: &str) -> Output {
    let data = directory.data();
    run(
        directory,
        &[
            "start",
            "--single-node",
            "--insecure",
            "--data",
            &data,
            "--sql-addr",
            sql,
            "--http-addr",
            "off",
        ],
    )
}

/// The program's last words: one sentence.
fn sentence(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let ours: Vec<&str> = text.lines().filter(|line| line.starts_with("shardforge: ")).collect();
    assert_eq!(ours.len(), 1, "{text}");
    ours[0].to_owned()
}

#[test]
fn a_second_process_on_the_directory_is_refused() {
    let directory = Directory::new();
    let server = Server::single(&directory);
    let second = start(&directory, "127.0.0.1:0");
    assert_eq!(second.status.code(), Some(73), "{second:?}");
    sentence(&second);
    assert_eq!(server.psql("SELECT 1"), "1\n");
}

#[test]
fn a_taken_port_is_said() {
    let directory = Directory::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = start(&directory, &address);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(sentence(&output).contains(&address), "{output:?}");
}

#[test]
fn a_directory_that_cannot_be_made_is_said() {
    let directory = Directory::new();
    // Where a directory should be there is a file: root cannot write it either.
    fs::write(directory.data(), "").unwrap();
    let output = start(&directory, "127.0.0.1:0");
    assert_eq!(output.status.code(), Some(73), "{output:?}");
    sentence(&output);
}

#[test]
fn a_newer_format_is_refused() {
    let directory = Directory::new();
    let server = Server::single(&directory);
    assert_eq!(server.terminate(), Some(0));
    let version = directory.path().join("data/cluster/metadata/VERSION");
    assert!(version.exists(), "no format version on disk");
    fs::write(version, "99\n").unwrap();
    let output = start(&directory, "127.0.0.1:0");
    assert_eq!(output.status.code(), Some(73), "{output:?}");
    sentence(&output);
}

/// Nobody else has what the disk lost: the node does not start, and leaves the log as it is.
#[test]
fn a_damaged_log_of_the_only_node_is_refused_and_left_alone() {
    let directory = Directory::new();
    let server = Server::single(&directory);
    server.psql("CREATE TABLE t (v text)");
    for id in 0..20 {
        server.psql(&format!("INSERT INTO t VALUES ('needle {id}')"));
    }
    assert_eq!(server.terminate(), Some(0));
    directory.damage("needle 7");
    let before = fs::read(directory.segment()).unwrap();
    let output = start(&directory, "127.0.0.1:0");
    assert_eq!(output.status.code(), Some(73), "{output:?}");
    assert!(sentence(&output).contains("acknowledged entries are lost"), "{output:?}");
    assert!(fs::read(directory.segment()).unwrap() == before, "the evidence was overwritten");
}
