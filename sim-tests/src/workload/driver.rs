//! A client that runs transactions of some work one after the other and knows how each ended.
//!
//! # Invariants
//!
//! * A fate is `Aborted` only if the server said so or COMMIT was never sent.
//! * A fate is `Committed` only if the server acknowledged it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use shardforge_core::base::rng::Rng;
use shardforge_core::base::time::Mono;
use shardforge_io_sim::{ClientScript, Next, Outcome, Rows};

use crate::history::{Fate, History};

/// Probability that a client vanishes within a transaction, before a statement.
const VANISH: f64 = 0.005;
/// Errors that a correct server may give these workloads, with or without faults.
const ALLOWED: [&str; 10] = [
    "40001", // serialization failure
    "40003", // statement completion unknown
    "40P01", // deadlock
    "55P03", // lock not available
    "57014", // canceled
    "57P01", // shutting down
    "57P03", // cannot connect now
    "08006", // connection failure
    "53300", // too many connections
    "25P02", // in failed transaction
];

/// What a client's transactions do. One value serves one client.
pub trait Work {
    /// Draws a transaction; whether it is one statement that commits by itself.
    fn begin(&mut self, rng: &mut Rng) -> bool;
    /// The statement after `number` others, given the last one's rows and tag; `None`: commit.
    fn statement(&mut self, number: usize, rows: &Rows, tag: &str) -> Option<String>;
    /// Notes how it ended.
    fn end(&mut self, history: &mut History, span: Span, fate: Fate);
}

/// When a transaction began and when its end was known.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Who.
    pub client: usize,
    /// When its first statement was sent.
    pub began: Mono,
    /// When its end was known; `Mono::MAX` if it never was.
    pub ended: Mono,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// Between transactions.
    Free,
    /// BEGIN was sent.
    Began,
    /// So many statements were sent.
    Ran(usize),
    /// COMMIT was sent, or a single statement that commits by itself.
    Committing,
    RollingBack,
}

/// One client; stops at the end of a transaction once told.
pub struct Driver<W> {
    client: usize,
    rng: Rng,
    work: W,
    history: Rc<RefCell<History>>,
    stop: Rc<RefCell<bool>>,
    stage: Stage,
    began: Mono,
    single: bool,
    pause_us: u64,
}

impl<W: Work> Driver<W> {
    /// A client with a stream of its own.
    pub fn new(
        seed: u64,
        client: usize,
        work: W,
        history: Rc<RefCell<History>>,
        stop: Rc<RefCell<bool>>,
    ) -> Self {
        let mut rng = Rng::stream(seed, &format!("client {client}"));
        let pause_us = [5_000, 20_000, 60_000][rng.below(3) as usize];
        Self {
            client,
            rng,
            work,
            history,
            stop,
            stage: Stage::Free,
            began: Mono::ZERO,
            single: false,
            pause_us,
        }
    }

    fn begin(&mut self, now: Mono) -> Next {
        self.began = now;
        self.single = self.work.begin(&mut self.rng);
        if self.single
            && let Some(statement) = self.work.statement(0, &Rows::new(), "")
        {
            self.stage = Stage::Committing;
            return Next::Query(statement);
        }
        self.stage = Stage::Began;
        Next::Query("BEGIN".to_owned())
    }

    fn run(&mut self, now: Mono, number: usize, rows: &Rows, tag: &str) -> Next {
        if self.rng.chance(VANISH) {
            self.end(now, Fate::Aborted);
            return Next::Reconnect;
        }
        match self.work.statement(number, rows, tag) {
            Some(statement) => {
                self.stage = Stage::Ran(number + 1);
                Next::Query(statement)
            }
            None => {
                self.stage = Stage::Committing;
                Next::Query("COMMIT".to_owned())
            }
        }
    }

    fn end(&mut self, now: Mono, fate: Fate) {
        let ended = if fate == Fate::Unknown { Mono::MAX } else { now };
        let span = Span { client: self.client, began: self.began, ended };
        self.work.end(&mut self.history.borrow_mut(), span, fate);
        self.stage = Stage::Free;
    }

    fn pause(&mut self) -> Next {
        if *self.stop.borrow() {
            return Next::Done;
        }
        Next::Sleep(Duration::from_micros(self.rng.between(100, self.pause_us)))
    }

    fn failed(&mut self, now: Mono, state: &str, message: &str, in_block: bool) -> Next {
        {
            let mut history = self.history.borrow_mut();
            *history.errors.entry(state.to_owned()).or_default() += 1;
            if !ALLOWED.contains(&state) {
                history.odd_errors.insert((state.to_owned(), message.to_owned()));
            }
        }
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

    /// The connection was lost or is new.
    fn cut(&mut self, now: Mono) -> Next {
        match self.stage {
            Stage::Free | Stage::RollingBack => {}
            // A COMMIT that was sent may have happened.
            Stage::Committing => self.end(now, Fate::Unknown),
            Stage::Began | Stage::Ran(_) => self.end(now, Fate::Aborted),
        }
        self.stage = Stage::Free;
        self.pause()
    }

    fn done(&mut self, now: Mono, rows: &Rows, tag: &str) -> Next {
        match self.stage {
            Stage::Began => self.run(now, 0, &Rows::new(), ""),
            Stage::Ran(number) => self.run(now, number, rows, tag),
            // COMMIT of a failed block answers ROLLBACK.
            Stage::Committing if tag == "ROLLBACK" => {
                self.end(now, Fate::Aborted);
                self.pause()
            }
            Stage::Committing => {
                if self.single {
                    let more = self.work.statement(1, rows, tag);
                    debug_assert!(more.is_none(), "a single statement is followed by another");
                }
                self.end(now, Fate::Committed);
                self.pause()
            }
            Stage::RollingBack | Stage::Free => {
                self.stage = Stage::Free;
                self.pause()
            }
        }
    }
}

impl<W: Work> ClientScript for Driver<W> {
    fn next(&mut self, now: Mono, outcome: Outcome) -> Next {
        match outcome {
            Outcome::Lost => self.cut(now),
            Outcome::Connected if self.stage == Stage::Free && !*self.stop.borrow() => {
                self.begin(now)
            }
            Outcome::Connected => self.cut(now),
            Outcome::Awake => self.begin(now),
            Outcome::Failed { error, in_block } => {
                self.failed(now, error.state.as_str(), &error.message, in_block)
            }
            Outcome::Done { rows, tags } => {
                self.done(now, &rows, tags.last().map_or("", String::as_str))
            }
        }
    }
}
