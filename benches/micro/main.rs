//! Micro benchmarks of the core, each with its budget.
//!
//! `cargo bench -p shardforge-benches --bench micro`. Budgets are the microseconds that
//! `performance` allows on one 2.5 GHz core; benches/README.md has the table with measured values.
//! Nothing fails here: a number over its budget is for a person to look at.

mod group;
mod server;

use std::collections::BTreeMap;

use bytes::Bytes;
use divan::{Bencher, black_box};
use shardforge_core::base::buggify::Faults;
use shardforge_core::base::id::{ShardId, Token};
use shardforge_core::base::key::{Key, Span};
use shardforge_core::base::time::Mono;
use shardforge_core::base::timestamp::Timestamp;
use shardforge_core::mvcc::read::{scan_at, versions_at};
use shardforge_core::mvcc::version::VersionHeader;
use shardforge_core::mvcc::{version, write};
use shardforge_core::sql::parse::{NormalizedText, normalize, parse_one};
use shardforge_core::storage::log::{LogConfig, LogRecord, LogWriter, recover};
use shardforge_core::storage::memory::MemoryStores;
use shardforge_core::storage::port::{Family, StorageEffect, WriteBatch};

use group::SoloGroup;
use server::Server;

fn main() {
    divan::main();
}

/// Budget 1 µs: an input that nobody waits for, in and out of a node that serves.
#[divan::bench]
fn effect_hop(bencher: Bencher<'_, '_>) {
    let mut server = Server::start();
    bencher.bench_local(|| server.idle_input());
}

/// Budget 10 µs with one in flight, 6 µs an entry with 64: proposed, written, committed, applied.
#[divan::bench(args = [1, 64])]
fn raft_commit(bencher: Bencher<'_, '_>, in_flight: usize) {
    let mut group = SoloGroup::open();
    let command = Bytes::from(vec![7; 200]);
    bencher
        .counter(divan::counter::ItemsCount::new(in_flight))
        .bench_local(|| group.commit(&command, in_flight));
}

/// Budget 2 µs: planning the writes of a batch with one entry of 200 bytes.
#[divan::bench]
fn log_append(bencher: Bencher<'_, '_>) {
    let empty = recover(&BTreeMap::new(), &[], 7, &Faults::default());
    let mut log = LogWriter::resume(empty.resume, LogConfig::default());
    let payload = Bytes::from(vec![7; 200]);
    let mut index = 0;
    bencher.bench_local(|| {
        index += 1;
        let record = LogRecord::Entry { term: 1, index, payload: payload.clone() };
        let plan = log.append(vec![(ShardId(1), record)]);
        black_box(log.persisted(Mono::ZERO, plan.ticket));
    });
}

fn filled_store() -> MemoryStores {
    let mut stores = MemoryStores::new(Faults::default());
    let shard = ShardId(1);
    stores.perform(StorageEffect::Open(Token(1), shard));
    let mut batch = WriteBatch::default();
    for row in 0..10_000_u32 {
        let value = version::encode(VersionHeader::default(), &[7; 100]);
        write::put_version(&mut batch, Family::Data, &row.to_be_bytes(), stamp(1), value);
    }
    stores.perform(StorageEffect::Write(shard, batch));
    stores
}

fn stamp(at: u64) -> Timestamp {
    Timestamp(at)
}

/// Budget 1 µs: the newest version of one key of the store in memory.
#[divan::bench]
fn point_read(bencher: Bencher<'_, '_>) {
    let mut stores = filled_store();
    let mut row = 0_u32;
    bencher.bench_local(|| {
        row = (row + 7_919) % 10_000;
        let keys = [Key::from(row.to_be_bytes().to_vec())];
        let request = versions_at(Family::Data, &keys, stamp(9));
        stores.perform(StorageEffect::Read(Token(2), ShardId(1), request))
    });
}

/// Budget 0.2 µs a row: a thousand rows, one version each.
#[divan::bench]
fn mvcc_scan(bencher: Bencher<'_, '_>) {
    let mut stores = filled_store();
    let span = Span {
        start: Key::from(0_u32.to_be_bytes().to_vec()),
        end: Key::from(1_000_u32.to_be_bytes().to_vec()),
    };
    bencher.counter(divan::counter::ItemsCount::new(1_000_usize)).bench_local(|| {
        let request = scan_at(Family::Data, span.clone(), stamp(9), false, 1_000);
        stores.perform(StorageEffect::Read(Token(3), ShardId(1), request))
    });
}

const SELECT: &str = "SELECT abalance FROM pgbench_accounts WHERE aid = 4711;";

/// Budget 0.5 µs: what a statement whose plan is cached costs.
#[divan::bench]
fn normalize_text(bencher: Bencher<'_, '_>) {
    let mut text = NormalizedText::default();
    bencher.bench_local(|| normalize(black_box(SELECT), &mut text));
}

/// Budget 20 µs: what a statement costs that was never seen.
#[divan::bench]
fn parse_plan(bencher: Bencher<'_, '_>) {
    bencher.bench_local(|| parse_one(black_box(SELECT)).map(|parsed| parsed.is_some()));
}

/// Budget 10 µs: a point SELECT by text through the whole core, from input to replies.
#[divan::bench]
fn select_simple(bencher: Bencher<'_, '_>) {
    let mut server = Server::start();
    server.fill(1_000);
    let mut id = 0;
    bencher.bench_local(|| {
        id = (id + 7) % 1_000;
        server.query(&format!("SELECT v FROM t WHERE id = {id}"))
    });
}

/// Budget 60 µs: an autocommit UPDATE of one row through the whole core, disks that cost nothing.
#[divan::bench]
fn update_simple(bencher: Bencher<'_, '_>) {
    let mut server = Server::start();
    server.fill(1_000);
    let mut id = 0;
    bencher.bench_local(|| {
        id = (id + 7) % 1_000;
        server.query(&format!("UPDATE t SET v = v + 1 WHERE id = {id}"))
    });
}

/// Budget 7 µs: the same, prepared: bind, describe, execute and sync in one input.
#[divan::bench]
fn select_prepared(bencher: Bencher<'_, '_>) {
    let mut server = Server::start();
    server.fill(1_000);
    server.prepare("s", "SELECT v FROM t WHERE id = $1");
    let mut id = 0;
    bencher.bench_local(|| {
        id = (id + 7) % 1_000;
        server.execute("s", &[&id.to_string()])
    });
}

/// Budget 12 µs: a hundred neighbours, summed.
#[divan::bench]
fn sum_prepared(bencher: Bencher<'_, '_>) {
    let mut server = Server::start();
    server.fill(1_000);
    server.prepare("s", "SELECT sum(v) FROM t WHERE id BETWEEN $1 AND $2");
    let mut id = 0;
    bencher.bench_local(|| {
        id = (id + 7) % 900;
        server.execute("s", &[&id.to_string(), &(id + 99).to_string()])
    });
}

const TPCB: [(&str, &str); 5] = [
    ("a", "UPDATE accounts SET balance = balance + $1 WHERE id = $2"),
    ("s", "SELECT balance FROM accounts WHERE id = $1"),
    ("t", "UPDATE tellers SET balance = balance + $1 WHERE id = $2"),
    ("b", "UPDATE branches SET balance = balance + $1 WHERE id = $2"),
    ("h", "INSERT INTO history VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP)"),
];

/// Budget 100 µs: a TPC-B transaction of prepared statements, disks that cost nothing.
#[divan::bench]
fn tpcb_prepared(bencher: Bencher<'_, '_>) {
    let mut server = Server::start();
    for (table, rows) in [("accounts", 1_000), ("tellers", 100), ("branches", 10)] {
        server.query(&format!("CREATE TABLE {table} (id int PRIMARY KEY, balance int)"));
        let rows = format!("SELECT i, 0 FROM generate_series(0, {rows} - 1) i");
        server.query(&format!("INSERT INTO {table} {rows}"));
    }
    server.query("CREATE TABLE history (t int, b int, a int, delta int, at timestamp)");
    TPCB.iter().for_each(|(name, sql)| server.prepare(name, sql));
    server.prepare("begin", "BEGIN");
    server.prepare("end", "END");
    let mut at = 0;
    bencher.bench_local(|| {
        at = (at + 7) % 1_000;
        let (account, teller, branch) =
            (at.to_string(), (at / 10).to_string(), (at / 100).to_string());
        server.execute("begin", &[]);
        server.execute("a", &["5", &account]);
        server.execute("s", &[&account]);
        server.execute("t", &["5", &teller]);
        server.execute("b", &["5", &branch]);
        server.execute("h", &[&teller, &branch, &account, "5"]);
        server.execute("end", &[])
    });
}
