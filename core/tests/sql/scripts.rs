//! Scripts under `slt/`: statements and what PostgreSQL 15 answers to them.
//!
//! A block is a statement (with `DATA` and what the client copies in), `----`, and the answer as
//! `psql -At` prints it, without the lines that show a place in the statement.

use shardforge_core::base::error::SqlError;
use shardforge_core::sql::protocol::{ClientReply, ClientRequest, NoticeSeverity};

use crate::harness::{Client, World, row_texts};

fn run(script: &str) {
    let mut world = World::new();
    let client = world.client();
    let mut failures = String::new();
    for block in script.split("\n\n").filter(|block| block.contains("\n----")) {
        let block: Vec<_> = block.lines().filter(|line| !line.starts_with("# ")).collect();
        let block = block.join("\n");
        let (asked, expected) = block.trim().split_once("\n----").unwrap();
        let told = answer(&mut world, &client, asked);
        if told.trim() != expected.trim() {
            failures.push_str(&format!("== {asked}\n-- expected\n{expected}\n-- told\n{told}\n"));
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

fn answer(world: &mut World, client: &Client, asked: &str) -> String {
    let asked = &numbered(world, client, asked);
    let (sql, data) = asked.split_once("\nDATA\n").unwrap_or((asked, ""));
    client.send(ClientRequest::Query(sql.to_owned()));
    world.run();
    let mut replies = client.take();
    if matches!(replies.last(), Some(ClientReply::CopyInResponse(..))) {
        client.send(ClientRequest::CopyData(format!("{data}\n").into()));
        client.send(ClientRequest::CopyDone);
        world.run();
        replies.extend(client.take());
    }
    let mut out = String::new();
    for reply in &replies {
        match reply {
            ClientReply::DataRows(rows) => out.push_str(&row_texts(rows)),
            ClientReply::CopyData(rows) => {
                rows.iter().for_each(|row| out.push_str(&String::from_utf8_lossy(row)));
            }
            ClientReply::CommandComplete(tag)
                if ["SELECT", "SHOW", "EXPLAIN"].iter().any(|quiet| tag.starts_with(quiet)) => {}
            ClientReply::CommandComplete(tag) if tag.starts_with("COPY") && out.contains('\n') => {}
            ClientReply::CommandComplete(tag) => out.push_str(&format!("{tag}\n")),
            ClientReply::Error(error) => out.push_str(&told("ERROR", error)),
            ClientReply::Notice(NoticeSeverity::Warning, n) => out.push_str(&told("WARNING", n)),
            ClientReply::Notice(_, notice) => out.push_str(&told("NOTICE", notice)),
            _ => {} // the frame around them
        }
    }
    out
}

/// `@t@` is the number of relation t.
fn numbered(world: &mut World, client: &Client, asked: &str) -> String {
    let mut parts = asked.split('@');
    let mut out = parts.next().unwrap_or_default().to_owned();
    while let (Some(name), Some(rest)) = (parts.next(), parts.next()) {
        let oid = world.query(client, &format!("select '{name}'::regclass::oid"));
        out.push_str(oid.lines().next().unwrap_or_default());
        out.push_str(rest);
    }
    out
}

fn told(severity: &str, error: &SqlError) -> String {
    let mut out = format!("{severity}: {}: {}\n", error.state, error.message);
    for (label, text) in [("DETAIL", &error.detail), ("HINT", &error.hint)] {
        if let Some(text) = text
            && !text.starts_with("COPY ")
        {
            out.push_str(&format!("{label}: {text}\n"));
        }
    }
    out
}

#[test]
fn basic() {
    run(include_str!("../slt/basic.slt"));
}

#[test]
fn keys() {
    run(include_str!("../slt/keys.slt"));
}

#[test]
fn transactions() {
    run(include_str!("../slt/transactions.slt"));
}

#[test]
fn copy() {
    run(include_str!("../slt/copy.slt"));
}

#[test]
fn psql() {
    run(include_str!("../slt/psql.slt"));
}

#[test]
fn tpcb() {
    run(include_str!("../slt/tpcb.slt"));
}

#[test]
fn wide() {
    run(include_str!("../slt/wide.slt"));
}

#[test]
fn more() {
    run(include_str!("../slt/more.slt"));
}
