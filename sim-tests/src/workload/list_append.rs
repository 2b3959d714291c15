//! Transactions that append to lists and read them: every read shows the order of all writes before.
//!
//! The programs are those of the commit protocol's model: one to four operations over few keys,
//! single reads that take the fast path, coordinators that vanish. Keys retire: a list that grew with
//! the run would make its cost quadratic, and show no more than a short one.
//!
//! # Source
//!
//! Kingsbury and Alvaro, *Elle*, VLDB 2020: list-append.

use shardforge_core::base::rng::Rng;
use shardforge_io_sim::Rows;

use super::driver::{Span, Work};
use crate::history::{Fate, History, Op, Record};

/// Keys in use at a time.
const KEYS: u32 = 8;
/// Keys that some seeds use alone.
const HOT_KEYS: u32 = 3;
/// After so many transactions of all clients the keys are left for new ones.
const GENERATION: usize = 160;
/// The last generation's keys stay in use.
const GENERATIONS: u32 = 32;

/// The table and its rows.
pub fn schema() -> String {
    let rows: Vec<String> = (0..KEYS * GENERATIONS).map(|key| format!("({key}, '')")).collect();
    format!(
        "CREATE TABLE IF NOT EXISTS lists (k int PRIMARY KEY, v text NOT NULL); \
         INSERT INTO lists VALUES {}",
        rows.join(", ")
    )
}

#[derive(Clone, Copy, Debug)]
enum Plan {
    Append(u32, u64),
    Read(u32),
}

/// The work of one client.
#[derive(Debug)]
pub struct Appender {
    client: usize,
    keys: u32,
    generation: u32,
    plan: Vec<Plan>,
    ops: Vec<Op>,
    next_element: u64,
}

impl Appender {
    /// For a client of a seed.
    pub fn new(seed: u64, client: usize) -> Self {
        let hot = Rng::stream(seed, "hot keys").chance(0.3);
        let keys = if hot { HOT_KEYS } else { KEYS };
        Self { client, keys, generation: 0, plan: Vec::new(), ops: Vec::new(), next_element: 0 }
    }

    /// Notes what an operation did.
    fn note(&mut self, number: usize, rows: &Rows, tag: &str) {
        let op = match self.plan[number] {
            Plan::Append(key, element) => {
                assert!(tag == "UPDATE 1", "an append to key {key} answered {tag}");
                Op::Append(key, element)
            }
            Plan::Read(key) => {
                let list = rows.first().and_then(|row| row.first()).cloned().flatten();
                let list = list.unwrap_or_default();
                let parsed = list.split(',').filter(|s| !s.is_empty()).map(|s| s.parse());
                Op::Read(key, parsed.map(|element| element.unwrap_or(u64::MAX)).collect())
            }
        };
        self.ops.push(op);
    }
}

impl Work for Appender {
    fn begin(&mut self, rng: &mut Rng) -> bool {
        self.ops.clear();
        let count = rng.between(1, 4);
        self.plan.clear();
        for _ in 0..count {
            let key = self.generation * KEYS + rng.below(u64::from(self.keys)) as u32;
            self.plan.push(if rng.chance(0.5) {
                self.next_element += 1;
                Plan::Append(key, (self.client as u64 + 1) * 1_000_000 + self.next_element)
            } else {
                Plan::Read(key)
            });
        }
        self.plan.len() == 1 && rng.chance(0.7)
    }

    fn statement(&mut self, number: usize, rows: &Rows, tag: &str) -> Option<String> {
        if let Some(last) = number.checked_sub(1) {
            self.note(last, rows, tag);
        }
        Some(match self.plan.get(number)? {
            Plan::Append(key, element) => {
                format!("UPDATE lists SET v = v || '{element},' WHERE k = {key}")
            }
            Plan::Read(key) => format!("SELECT v FROM lists WHERE k = {key}"),
        })
    }

    fn end(&mut self, history: &mut History, span: Span, fate: Fate) {
        let ops = match fate {
            Fate::Committed => std::mem::take(&mut self.ops),
            // What was meant: an append of unknown fate may be seen by others.
            Fate::Aborted | Fate::Unknown => self.plan.iter().filter_map(append).collect(),
        };
        let Span { client, began, ended } = span;
        history.records.push(Record { client, began, ended, ops, fate });
        let generation = history.records.len() / GENERATION;
        self.generation = u32::try_from(generation).unwrap_or(u32::MAX).min(GENERATIONS - 1);
    }
}

fn append(plan: &Plan) -> Option<Op> {
    match plan {
        Plan::Append(key, element) => Some(Op::Append(*key, *element)),
        Plan::Read(_) => None,
    }
}
