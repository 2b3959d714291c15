//! Wrong configuration: said with its place, at once, before anything is opened.

use std::fs;
use std::time::{Duration, Instant};

use crate::server::{Directory, run};

#[test]
fn a_wrong_key_is_said_with_its_place_and_touches_nothing() {
    let directory = Directory::new();
    let file = directory.path().join("wrong.toml");
    fs::write(&file, "[raft]\nelection_timeot_ms = 150\n").unwrap();
    let (name, data) = (file.display().to_string(), directory.data());
    let began = Instant::now();
    let output = run(&directory, &["start", "--single-node", "--data", &data, "--config", &name]);
    let took = began.elapsed();
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains(&format!("{name}:2:raft.election_timeot_ms")), "{text}");
    assert!(text.contains("raft.election_timeout_ms?"), "{text}");
    assert!(!fs::exists(&data).unwrap(), "it made a data directory");
    // The promise is 200 ms; a loaded machine is given ten times that.
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn strangers_are_kept_out_without_tls() {
    let directory = Directory::new();
    let data = directory.data();
    let arguments = ["start", "--single-node", "--data", &data, "--sql-addr", "0.0.0.0:0"];
    let output = run(&directory, &arguments);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--insecure"), "{output:?}");
}

#[test]
fn a_command_line_without_sense_is_usage() {
    let directory = Directory::new();
    for arguments in [&["start"][..], &["start", "--node-id", "1"], &["start", "--frobnicate"], &[]]
    {
        let output = run(&directory, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {output:?}");
    }
}
