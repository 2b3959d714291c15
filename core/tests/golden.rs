//! Rooms as conversations: scripts under `golden/<room>/` whose names are claims.
//!
//! A script is blocks of commands, `---`, and what comes of them; `#` begins the story. Each room has a
//! runner that interprets the words. `UPDATE=1` writes what comes of them into the file: read the
//! difference. (Plans have a runner of their own, `plan_golden.rs`; transactions, which need the
//! crate's inner test world, have theirs in `src/txn/tests/golden.rs`.)

#![allow(unreachable_pub, reason = "the modules are this binary's own")]

#[path = "raft_group/disk.rs"]
#[allow(dead_code, reason = "the seeds of raft_group.rs use all of it")]
mod disk;
#[path = "raft_group/machine.rs"]
#[allow(dead_code, reason = "the seeds of raft_group.rs use all of it")]
mod machine;
#[path = "runner/mvcc.rs"]
mod mvcc;
#[path = "runner/raft.rs"]
mod raft;

use std::fs;
use std::path::Path;

/// Interprets the commands of one block.
pub trait Runner: Default {
    fn block(&mut self, commands: &[&str]) -> String;
}

/// What the script says when it is run: comments and commands as they are, results anew.
fn rerun<R: Runner>(script: &str) -> String {
    let mut runner = R::default();
    let mut blocks = Vec::new();
    for block in script.split("\n\n").map(str::trim).filter(|block| !block.is_empty()) {
        let asked = block.split("\n---").next().unwrap_or_default().trim();
        let commands: Vec<&str> =
            asked.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect();
        blocks.push(match commands.as_slice() {
            [] => asked.to_owned(),
            commands => format!("{asked}\n---\n{}", runner.block(commands).trim_end()),
        });
    }
    blocks.join("\n\n") + "\n"
}

fn hold<R: Runner>(room: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(room);
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(1 < files.len(), "no golden files were found");
    let mut wrong = Vec::new();
    for file in files {
        let expected = fs::read_to_string(&file).unwrap();
        let actual = rerun::<R>(&expected);
        if actual != expected {
            if std::env::var_os("UPDATE").is_some() {
                fs::write(&file, &actual).unwrap();
            }
            wrong.push(format!("{}\n{actual}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "these differ:\n{}", wrong.join("\n"));
}

#[test]
fn raft_is_as_promised() {
    hold::<raft::Group>("raft");
}

#[test]
fn mvcc_is_as_promised() {
    hold::<mvcc::Store>("mvcc");
}

/// Scripts of transactions have no effect by lying in their folder.
#[test]
fn every_script_of_transactions_is_in_the_list() {
    let runner = include_str!("../src/txn/tests/golden.rs");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/txn");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(runner.lines().any(|line| line.trim() == name), "{name} is run by nobody");
        count += 1;
    }
    assert!(5 < count, "only {count} scripts were found");
}
