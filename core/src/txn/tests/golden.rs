//! Transactions as conversations: the scripts of `core/tests/golden/txn/`.
//!
//! ```text
//! t1 begin [read committed]      t1 statement        t1 get 1 [for update|for share]
//! t1 insert 1 row                t1 put 1 row        t1 delete 1        t1 scan
//! t1 commit                      t1 rollback         t1 vanishes (its client is gone)
//! pass 500ms                     shard 1 loses its term
//! ```
//!
//! A command that does not end within 100 ms is told to wait; its end is told in the block in which
//! it happens. A script that is not in the list below is found by `tests/golden.rs`. Keys are 0 to 15; `put` and `delete` lock and read the row before, as SQL does.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

use super::world::{TABLE, World, get, hash_of, key, place};
use crate::base::buggify::Faults;
use crate::base::key::Span;
use crate::replica::request::LockMode;
use crate::shard::routing::Route;
use crate::txn::error::TxnError;
use crate::txn::transaction::Transaction;
use crate::txn::types::{Found, Isolation, LockWait, RowWrite, ScanRequest, TxnOptions, WriteKind};

const SOON: Duration = Duration::from_millis(100);

/// What has happened since the last block, and who still waits.
#[derive(Default)]
struct Told {
    lines: String,
    waiting: BTreeMap<usize, String>,
}

struct Talk {
    world: Rc<World>,
    txns: BTreeMap<String, Rc<Transaction>>,
    told: Rc<RefCell<Told>>,
    commands: usize,
}

fn show(found: Option<&Found>) -> String {
    found.map_or("nothing".to_owned(), |found| String::from_utf8_lossy(&found.row).into_owned())
}

async fn write(
    txn: &Transaction,
    number: u8,
    kind: WriteKind,
    seen: Option<&Found>,
) -> Result<(), TxnError> {
    let (place, hash, key) = (place(TABLE, 1), hash_of(number), key(TABLE, number));
    let seen = seen.and_then(|found| found.version);
    txn.write(vec![RowWrite { place, hash, key, kind, seen, tag: 0 }]).await
}

async fn scan(txn: &Transaction) -> Result<String, TxnError> {
    let mut rest = Some(Span { start: key(TABLE, 0), end: key(TABLE, 16) });
    let mut rows = Vec::new();
    while let Some(span) = rest {
        let request = ScanRequest {
            place: place(TABLE, 1),
            route: Route::All,
            span,
            reverse: false,
            rows_max: 10,
            lock: LockMode::None,
            wait: LockWait::No,
        };
        let batch = txn.scan(request).await?;
        rows.extend(batch.rows.iter().map(|row| format!("{}={}", row.key.0[8], show(Some(row)))));
        rest = batch.resume;
    }
    Ok(if rows.is_empty() { "nothing".to_owned() } else { rows.join(" ") })
}

fn number(word: &str) -> u8 {
    word.parse().unwrap_or_else(|_| panic!("{word} is no key"))
}

/// One command of a transaction; what is told of it.
async fn run(txn: Rc<Transaction>, words: Vec<String>) -> Result<String, TxnError> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let fine = "ok".to_owned();
    match words.as_slice() {
        ["statement"] => txn.begin_statement().await.map(|_| fine),
        ["get", key] => Ok(show(get(&txn, number(key), LockMode::None).await?.as_ref())),
        ["get", key, "for", mode] => {
            let lock = if *mode == "share" { LockMode::Shared } else { LockMode::Exclusive };
            Ok(show(get(&txn, number(key), lock).await?.as_ref()))
        }
        ["insert", key, row] => {
            let kind = WriteKind::Insert(row.as_bytes().to_vec().into());
            write(&txn, number(key), kind, None).await.map(|()| fine)
        }
        ["put", key, row] => {
            let found = get(&txn, number(key), LockMode::Exclusive).await?;
            let kind = WriteKind::Put(row.as_bytes().to_vec().into());
            write(&txn, number(key), kind, found.as_ref()).await?;
            Ok(format!("over {}", show(found.as_ref())))
        }
        ["delete", key] => {
            let found = get(&txn, number(key), LockMode::Exclusive).await?;
            write(&txn, number(key), WriteKind::Delete, found.as_ref()).await?;
            Ok(format!("of {}", show(found.as_ref())))
        }
        ["scan"] => scan(&txn).await,
        ["commit"] => txn.commit().await.map(|_| fine),
        ["rollback"] => txn.rollback().await.map(|()| fine),
        other => panic!("no such command: {other:?}"),
    }
}

impl Talk {
    fn new() -> Self {
        let world = Rc::new(World::new(7, 2, &Faults::default()));
        Self { world, txns: BTreeMap::new(), told: Rc::default(), commands: 0 }
    }

    fn pass(&self, time: Duration) {
        let sleep = self.world.sim.sleep(time);
        self.world.sim.block_on(sleep);
    }

    fn begin(&mut self, name: &str, level: &[&str]) {
        let isolation = match level {
            [] => Isolation::Serializable,
            ["read", "committed"] => Isolation::ReadCommitted,
            other => panic!("no such level: {other:?}"),
        };
        let options = TxnOptions { isolation, ..TxnOptions::default() };
        let txn = Rc::new(self.world.source.begin(options));
        self.txns.insert(name.to_owned(), txn);
    }

    fn ask(&mut self, name: &str, words: &[&str]) {
        let Some(txn) = self.txns.get(name).cloned() else { panic!("{name} has not begun") };
        let asked = format!("{name} {}", words.join(" "));
        self.commands += 1;
        let (number, told) = (self.commands, Rc::clone(&self.told));
        told.borrow_mut().waiting.insert(number, asked.clone());
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        self.world.sim.start(async move {
            let line = match run(txn, words).await {
                Ok(said) => said,
                Err(error) => format!("failed: {error}"),
            };
            let mut told = told.borrow_mut();
            told.waiting.remove(&number);
            let _ = writeln!(told.lines, "{asked}: {line}");
        });
        self.pass(SOON);
        let mut told = self.told.borrow_mut();
        if let Some(asked) = told.waiting.get(&number).cloned() {
            let _ = writeln!(told.lines, "{asked} waits");
        }
    }

    fn block(&mut self, commands: &[&str]) -> String {
        for command in commands {
            let words: Vec<&str> = command.split_whitespace().collect();
            match words.as_slice() {
                ["pass", time] => {
                    let ms = time.strip_suffix("ms").and_then(|ms| ms.parse().ok());
                    self.pass(Duration::from_millis(ms.unwrap_or_else(|| panic!("{time}"))));
                }
                ["shard", shard, "loses", "its", "term"] => {
                    let group = Rc::clone(&self.world.hosts[usize::from(number(shard))].group);
                    self.world.sim.block_on(group.change_leader());
                }
                [name, "begin", level @ ..] => self.begin(name, level),
                [name, "vanishes"] => drop(self.txns.remove(*name)),
                [name, words @ ..] => self.ask(name, words),
                [] => {}
            }
        }
        let told = std::mem::take(&mut self.told.borrow_mut().lines);
        if told.is_empty() { "nothing is told".to_owned() } else { told.trim_end().to_owned() }
    }
}

fn rerun(script: &str) -> String {
    let mut talk = Talk::new();
    let mut blocks = Vec::new();
    for block in script.split("\n\n").map(str::trim).filter(|block| !block.is_empty()) {
        let asked = block.split("\n---").next().unwrap_or_default().trim();
        let commands: Vec<&str> = asked.lines().filter(|line| !line.starts_with('#')).collect();
        blocks.push(match commands.as_slice() {
            [] => asked.to_owned(),
            commands => format!("{asked}\n---\n{}", talk.block(commands)),
        });
    }
    blocks.join("\n\n") + "\n"
}

macro_rules! scripts {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                let name = concat!(stringify!($name), ".golden");
                let script = include_str!(
                    concat!("../../../tests/golden/txn/", stringify!($name), ".golden")
                );
                let told = rerun(script);
                assert!(told == script, "{name} differs: what is told is\n{told}");
            }
        )*
    };
}

scripts! {
    a_lost_update_is_impossible
    a_scan_that_missed_a_row_cannot_commit
    a_snapshot_does_not_move
    a_vanished_client_frees_its_locks
    locks_are_given_in_order
    read_committed_moves_with_each_statement
    writes_show_to_their_transaction_alone
}
