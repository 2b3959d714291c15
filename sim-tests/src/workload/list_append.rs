//! Transactions that append to lists and read them: every read shows the order of all writes before.
//!
//! # Source
//!
//! Kingsbury and Alvaro, *Elle*, VLDB 2020: list-append.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use shardforge_core::base::rng::Rng;
use shardforge_core::base::time::Mono;
use shardforge_io_sim::{ClientScript, Next, Outcome};

use crate::history::{Fate, History, Op, Record};

/// Keys of the workload.
pub const KEYS: u32 = 8;

/// The table and its rows.
pub fn schema() -> String {
    let rows: Vec<String> = (0..KEYS).map(|key| format!("({key}, '')")).collect();
    format!(
        "CREATE TABLE IF NOT EXISTS lists (k int PRIMARY KEY, v text NOT NULL); \
         INSERT INTO lists VALUES {}",
        rows.join(", ")
    )
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// Between transactions.
    Free,
    /// BEGIN was sent, or operation `n` was.
    Began,
    Ran(usize),
    /// COMMIT was sent, or a single statement that commits by itself.
    Committing,
    RollingBack,
}

#[derive(Clone, Copy, Debug)]
enum Plan {
    Append(u32, u64),
    Read(u32),
}

/// One client of the workload; stops at the end of a transaction once told.
pub struct Appender {
    client: usize,
    rng: Rng,
    history: Rc<RefCell<History>>,
    stop: Rc<RefCell<bool>>,
    stage: Stage,
    plan: Vec<Plan>,
    ops: Vec<Op>,
    began: Mono,
    next_element: u64,
    single: bool,
}

impl Appender {
    /// A client with a stream of its own.
    pub fn new(
        seed: u64,
        client: usize,
        history: Rc<RefCell<History>>,
        stop: Rc<RefCell<bool>>,
    ) -> Self {
        Self {
            client,
            rng: Rng::stream(seed, &format!("appender {client}")),
            history,
            stop,
            stage: Stage::Free,
            plan: Vec::new(),
            ops: Vec::new(),
            began: Mono::ZERO,
            next_element: 0,
            single: false,
        }
    }

    fn begin(&mut self, now: Mono) -> Next {
        self.ops.clear();
        self.began = now;
        let count = self.rng.between(1, 4);
        self.plan = (0..count)
            .map(|_| {
                let key = self.rng.below(u64::from(KEYS)) as u32;
                if self.rng.chance(0.5) {
                    self.next_element += 1;
                    Plan::Append(key, (self.client as u64 + 1) * 1_000_000 + self.next_element)
                } else {
                    Plan::Read(key)
                }
            })
            .collect();
        self.single = self.plan.len() == 1 && self.rng.chance(0.7);
        if self.single {
            self.stage = Stage::Committing;
            return Next::Query(statement(self.plan[0]));
        }
        self.stage = Stage::Began;
        Next::Query("BEGIN".to_owned())
    }

    fn run(&mut self, number: usize) -> Next {
        match self.plan.get(number) {
            Some(plan) => {
                self.stage = Stage::Ran(number);
                Next::Query(statement(*plan))
            }
            None => {
                self.stage = Stage::Committing;
                Next::Query("COMMIT".to_owned())
            }
        }
    }

    /// Notes what an operation did.
    fn note(&mut self, number: usize, rows: &[Vec<Option<String>>]) {
        let op = match self.plan[number] {
            Plan::Append(key, element) => Op::Append(key, element),
            Plan::Read(key) => {
                let list = rows.first().and_then(|row| row.first()).cloned().flatten();
                let list = list.unwrap_or_default();
                let parsed = list.split(',').filter(|s| !s.is_empty()).map(|s| s.parse());
                Op::Read(key, parsed.map(|element| element.unwrap_or(u64::MAX)).collect())
            }
        };
        self.ops.push(op);
    }

    fn end(&mut self, now: Mono, fate: Fate) {
        if fate != Fate::Committed {
            // What was meant: an append of unknown fate may be seen by others.
            self.ops = self
                .plan
                .iter()
                .filter_map(|plan| match plan {
                    Plan::Append(key, element) => Some(Op::Append(*key, *element)),
                    Plan::Read(_) => None,
                })
                .collect();
        }
        let record = Record {
            client: self.client,
            began: self.began,
            ended: if fate == Fate::Unknown { Mono::MAX } else { now },
            ops: std::mem::take(&mut self.ops),
            fate,
        };
        self.history.borrow_mut().records.push(record);
        self.stage = Stage::Free;
    }

    fn pause(&mut self) -> Next {
        if *self.stop.borrow() {
            return Next::Done;
        }
        Next::Sleep(Duration::from_micros(self.rng.between(100, 20_000)))
    }

    fn failed(&mut self, now: Mono, state: &str, in_block: bool) -> Next {
        *self.history.borrow_mut().errors.entry(state.to_owned()).or_default() += 1;
        let committing = self.stage == Stage::Committing;
        let unknown = state == "40003" || state == "08006" || state.starts_with("57P");
        let fate = if committing && unknown { Fate::Unknown } else { Fate::Aborted };
        if self.stage != Stage::RollingBack && self.stage != Stage::Free {
            self.end(now, fate);
        }
        if in_block {
            self.stage = Stage::RollingBack;
            return Next::Query("ROLLBACK".to_owned());
        }
        self.stage = Stage::Free;
        self.pause()
    }
}

fn statement(plan: Plan) -> String {
    match plan {
        Plan::Append(key, element) => {
            format!("UPDATE lists SET v = v || '{element},' WHERE k = {key}")
        }
        Plan::Read(key) => format!("SELECT v FROM lists WHERE k = {key}"),
    }
}

impl ClientScript for Appender {
    fn next(&mut self, now: Mono, outcome: Outcome) -> Next {
        match (outcome, self.stage) {
            (Outcome::Lost, Stage::Free | Stage::RollingBack) => self.pause(),
            // Before COMMIT was sent nothing can have happened; a lost single statement may have.
            (Outcome::Lost, Stage::Committing) => {
                self.end(now, Fate::Unknown);
                self.pause()
            }
            (Outcome::Lost | Outcome::Connected, Stage::Began | Stage::Ran(_)) => {
                self.end(now, Fate::Aborted);
                self.pause()
            }
            (Outcome::Connected, Stage::Committing) => {
                self.end(now, Fate::Unknown);
                self.pause()
            }
            (Outcome::Connected, Stage::Free | Stage::RollingBack) => self.begin(now),
            (Outcome::Awake, _) => self.begin(now),
            (Outcome::Failed { error, in_block }, _) => {
                self.failed(now, error.state.as_str(), in_block)
            }
            (Outcome::Done { .. }, Stage::Began) => self.run(0),
            (Outcome::Done { tags, .. }, Stage::Ran(number))
                if tags.last().is_some_and(|tag| tag == "UPDATE 0") =>
            {
                panic!("client {} updated no row with operation {number}", self.client)
            }
            (Outcome::Done { rows, .. }, Stage::Ran(number)) => {
                self.note(number, &rows);
                self.run(number + 1)
            }
            // COMMIT of a failed block answers ROLLBACK.
            (Outcome::Done { tags, .. }, Stage::Committing)
                if tags.last().is_some_and(|tag| tag == "ROLLBACK") =>
            {
                self.end(now, Fate::Aborted);
                self.pause()
            }
            (Outcome::Done { rows, .. }, Stage::Committing) => {
                if self.single {
                    self.note(0, &rows);
                }
                self.end(now, Fate::Committed);
                self.pause()
            }
            (Outcome::Done { .. }, Stage::RollingBack | Stage::Free) => {
                self.stage = Stage::Free;
                self.pause()
            }
        }
    }
}
