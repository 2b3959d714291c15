//! Random transactions in bad weather: strict serializability by timestamp, as in the design's model.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::history::{Outcome, Seen, check, check_catalog, versions};
use super::world::{SYSTEM_TABLE, TABLE, Weather, World, hash_of, key, place};
use crate::base::buggify::Faults;
use crate::base::id::{Incarnation, TableId};
use crate::base::key::{Key, Span};
use crate::base::timestamp::Timestamp;
use crate::replica::request::LockMode;
use crate::replica::testing::NODE;
use crate::shard::routing::{Place, Route};
use crate::txn::error::TxnError;
use crate::txn::transaction::Transaction;
use crate::txn::types::{GetRequest, LockWait, RowWrite, ScanRequest, TxnOptions, WriteKind};

/// Histories of the plain run.
const SEEDS: u64 = 300;
/// Cycles of waits over two leaders end here: nobody looks for them yet.
const LOCK_WAIT: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug)]
enum Step {
    Read(u8, LockMode),
    Scan { reverse: bool, lock: LockMode },
    Update(u8),
    Blind(u8),
    Insert(u8),
    Delete(u8),
}

#[derive(Clone, Debug)]
struct Program {
    number: u32,
    table: TableId,
    autocommit: bool,
    catalog: bool,
    steps: Vec<Step>,
}

#[derive(Default)]
struct Book {
    clock: Cell<u64>,
    seen: RefCell<Vec<Seen>>,
    running: Cell<usize>,
}

impl Book {
    fn tick(&self) -> u64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }
}

/// A client: what it did so far survives its death.
struct Client {
    program: Program,
    txn: Transaction,
    reads: Vec<(Key, Option<Bytes>)>,
    writes: BTreeMap<Key, Option<Bytes>>,
}

impl Client {
    fn place(&self) -> Place {
        place(self.program.table, self.program.number)
    }

    fn key(&self, number: u8) -> Key {
        key(self.program.table, number)
    }

    fn note(&mut self, key: Key, row: Option<Bytes>, own: bool) {
        if !own && !self.writes.contains_key(&key) {
            self.reads.push((key, row));
        }
    }

    async fn read(&mut self, number: u8, lock: LockMode) -> Result<Option<Timestamp>, TxnError> {
        let key = self.key(number);
        let request = GetRequest {
            place: self.place(),
            route: Route::Hash(hash_of(number)),
            keys: vec![key.clone()],
            lock,
            wait: LockWait::Timeout(LOCK_WAIT),
        };
        let found = self.txn.get(request).await?.remove(0);
        let own = self.writes.contains_key(&key);
        if own {
            let row = found.as_ref().map(|found| found.row.clone());
            assert_eq!(Some(&row), self.writes.get(&key), "own write not read");
        }
        let version = found.as_ref().and_then(|found| found.version);
        self.note(key, found.map(|found| found.row), own);
        Ok(version)
    }

    async fn scan(&mut self, reverse: bool, lock: LockMode) -> Result<(), TxnError> {
        let mut rest = Some(Span::prefix(Key(self.key(0).0.slice(..8))));
        let mut found = BTreeMap::new();
        while let Some(span) = rest {
            let request = ScanRequest {
                place: self.place(),
                route: Route::All,
                span,
                reverse,
                rows_max: 2,
                lock,
                wait: LockWait::Timeout(LOCK_WAIT),
            };
            let batch = self.txn.scan(request).await?;
            for row in batch.rows {
                assert!(found.insert(row.key, (row.row, row.version)).is_none(), "row twice");
            }
            rest = batch.resume;
        }
        for number in 0..16 {
            let key = self.key(number);
            let row = found.get(&key).map(|(row, _)| row.clone());
            if let Some(own) = self.writes.get(&key) {
                assert_eq!(&row, own, "own write not scanned");
            }
            self.note(key, row, false);
        }
        Ok(())
    }

    async fn write(
        &mut self,
        number: u8,
        kind: WriteKind,
        seen: Option<Timestamp>,
    ) -> Result<(), TxnError> {
        let key = self.key(number);
        let row = match &kind {
            WriteKind::Insert(row) | WriteKind::Put(row) => Some(row.clone()),
            WriteKind::Delete => None,
        };
        let hash = hash_of(number);
        let write = RowWrite { place: self.place(), hash, key: key.clone(), kind, seen, tag: 1 };
        self.txn.write(vec![write]).await?;
        self.writes.insert(key, row);
        Ok(())
    }

    async fn step(&mut self, at: usize, step: Step) -> Result<(), TxnError> {
        let row = Bytes::from(format!("T{}.{at}", self.program.number));
        match step {
            Step::Read(number, lock) => self.read(number, lock).await.map(|_| ()),
            Step::Scan { reverse, lock } => self.scan(reverse, lock).await,
            Step::Update(number) => {
                let seen = self.read(number, LockMode::Exclusive).await?;
                let own = self.writes.contains_key(&self.key(number));
                if seen.is_none() && !own {
                    return Ok(());
                }
                self.write(number, WriteKind::Put(row), seen).await
            }
            Step::Blind(number) => self.write(number, WriteKind::Put(row), None).await,
            Step::Insert(number) => self.write(number, WriteKind::Insert(row), None).await,
            Step::Delete(number) => {
                let seen = self.read(number, LockMode::Exclusive).await?;
                if seen.is_none() && !self.writes.contains_key(&self.key(number)) {
                    return Ok(());
                }
                self.write(number, WriteKind::Delete, seen).await
            }
        }
    }

    async fn run(&mut self) -> Result<Timestamp, TxnError> {
        self.txn.begin_statement().await?;
        if self.program.catalog {
            self.txn.changes_catalog();
        }
        for (at, step) in self.program.steps.clone().into_iter().enumerate() {
            self.step(at, step).await?;
        }
        self.txn.commit().await
    }
}

/// Writes a client's end into the book, also if its task is dropped.
struct Report {
    book: Rc<Book>,
    began: u64,
    client: Client,
    outcome: Outcome,
}

impl Drop for Report {
    fn drop(&mut self) {
        let client = &mut self.client;
        let first = (client.txn.start(), client.txn.first_catalog_version());
        self.book.running.set(self.book.running.get() - 1);
        self.book.seen.borrow_mut().push(Seen {
            number: client.program.number,
            began: self.began,
            ended: self.book.tick(),
            outcome: self.outcome.clone(),
            reads: std::mem::take(&mut client.reads),
            writes: std::mem::take(&mut client.writes),
            first,
            catalog: client.program.catalog,
        });
    }
}

async fn client(world_source: Rc<crate::txn::source::TxnSource>, book: Rc<Book>, program: Program) {
    let options = TxnOptions { autocommit: program.autocommit, ..TxnOptions::default() };
    let txn = world_source.begin(options);
    let began = book.tick();
    let client = Client { program, txn, reads: Vec::new(), writes: BTreeMap::new() };
    // Whoever is dropped before the end does not know.
    let mut report = Report { book, began, client, outcome: Outcome::Unknown };
    report.outcome = match report.client.run().await {
        Ok(at) => Outcome::Committed(at),
        Err(TxnError::Unknown) => Outcome::Unknown,
        Err(error) => Outcome::Failed(error.to_string()),
    };
}

fn program(world: &World, number: u32) -> Program {
    let sim = &world.sim;
    let catalog = sim.chance(0.1);
    let table = if catalog { SYSTEM_TABLE } else { TABLE };
    // Keys 0..3 are in the first data shard, 8..11 in the second: a transaction writes in one.
    let half = if sim.chance(0.5) { 0 } else { 8 };
    let count = 1 + sim.below(3);
    let mut steps = Vec::new();
    for _ in 0..count {
        let (near, far) = (half + sim.below(3) as u8, (sim.below(2) * 8 + sim.below(3)) as u8);
        let lock = [LockMode::None, LockMode::None, LockMode::Shared, LockMode::Exclusive]
            [sim.below(4) as usize];
        steps.push(match sim.below(12) {
            0..4 => Step::Read(far, lock),
            4 => Step::Scan { reverse: sim.chance(0.5), lock },
            5..8 => Step::Update(near),
            8 => Step::Blind(near),
            9..11 => Step::Insert(near),
            _ => Step::Delete(near),
        });
    }
    let autocommit = count == 1 && sim.chance(0.5);
    Program { number, table, autocommit, catalog, steps }
}

#[derive(Debug, Default)]
struct Sum {
    committed: usize,
    wrote: usize,
    failed: usize,
    unknown: usize,
}

/// Runs one history; the violation it shows, if any.
fn run(seed: u64, faults: &Faults, sum: &mut Sum) -> Result<(), String> {
    let world = World::new(seed, 2, faults);
    let (sim, book) = (Rc::clone(&world.sim), Rc::new(Book::default()));
    let start = |program: Program| {
        book.running.set(book.running.get() + 1);
        sim.start(client(Rc::clone(&world.source), Rc::clone(&book), program))
    };
    for (number, keys) in [(1, [0, 1]), (2, [8, 9])] {
        let steps = keys.map(Step::Insert).to_vec();
        start(Program { number, table: TABLE, autocommit: false, catalog: false, steps });
    }
    sim.run_until(|| book.running.get() == 0);
    let bad = [0.0, 0.05, 0.2][sim.below(3) as usize];
    world.calls.weather.set(Weather { loss: bad, repeat: bad });
    for number in 3..3 + 4 + sim.below(5) as u32 {
        let id = start(program(&world, number));
        let (weak, killed) = (Rc::downgrade(&sim), sim.chance(0.1));
        let sleep = sim.sleep(Duration::from_micros(sim.below(30_000)));
        if killed {
            sim.start(async move {
                sleep.await;
                if let Some(sim) = weak.upgrade() {
                    sim.kill(id);
                }
            });
        }
        if sim.chance(0.4) {
            let pause = sim.lag();
            sim.block_on(pause);
        }
    }
    for _ in 0..sim.below(4) {
        let host = &world.hosts[sim.below(3) as usize];
        let (group, sleep) =
            (Rc::clone(&host.group), sim.sleep(Duration::from_micros(sim.below(20_000))));
        sim.start(async move {
            sleep.await;
            group.change_leader().await;
        });
    }
    sim.run_until(|| book.running.get() == 0);
    settle(&world);
    let history = book.seen.borrow();
    for seen in history.iter() {
        match seen.outcome {
            Outcome::Committed(_) => sum.committed += 1,
            Outcome::Failed(_) => sum.failed += 1,
            Outcome::Unknown => sum.unknown += 1,
        }
        sum.wrote += usize::from(!seen.writes.is_empty());
    }
    let told = |violation| {
        let story: Vec<String> = history.iter().map(|seen| format!("{seen:?}")).collect();
        format!("{violation}\n{}\n{:?}", story.join("\n"), versions(&world))
    };
    check(&history, &versions(&world)).map_err(told)?;
    check_catalog(&history)
}

/// When everybody has gone, nothing is left.
fn settle(world: &World) {
    world.calls.weather.set(Weather { loss: 0.0, repeat: 0.0 });
    let pause = world.sim.sleep(Duration::from_secs(12));
    world.sim.block_on(pause);
    for host in &world.hosts {
        // A question of a dead client may have come after the news of its death.
        host.replica.coordinator_dead(NODE, Incarnation(1));
        assert_eq!(host.replica.locks_len(), 0, "locks are left");
        assert_eq!(host.replica.latches_len(), 0, "latches are left");
    }
}

fn first_violation(faults: &Faults, seeds: std::ops::Range<u64>) -> Option<(u64, String)> {
    let mut sum = Sum::default();
    let found = seeds
        .clone()
        .find_map(|seed| run(seed, faults, &mut sum).err().map(|violation| (seed, violation)));
    if found.is_none() {
        let count = usize::try_from(seeds.end - seeds.start).unwrap();
        assert!(count < sum.committed && count / 2 < sum.wrote, "too little happened: {sum:?}");
        assert!(count / 50 < sum.failed, "nothing ever failed: {sum:?}");
    }
    found
}

#[test]
fn every_history_is_strictly_serializable() {
    assert_eq!(first_violation(&Faults::default(), 0..SEEDS), None);
}

/// Each rule, removed, is missed: the test would notice.
#[cfg(feature = "planted")]
#[test]
fn every_removed_rule_is_noticed() {
    // B16 new leader without low water, B21 reads not validated, B22 write-write conflicts,
    // B23 timestamp cache, B37 proposals in flight skipped, B38 timestamps tried forgotten.
    for bug in [16, 21, 22, 23, 37, 38] {
        let faults = Faults { bug: Some(bug), ..Faults::default() };
        let found = first_violation(&faults, 0..40 * SEEDS);
        println!("B{bug}: {:?}", found.as_ref().map(|(seed, what)| (seed, what.lines().next())));
        assert!(found.is_some(), "B{bug} was not noticed");
    }
}
