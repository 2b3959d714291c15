//! What clients did and saw: the input of every checker.

use shardforge_core::base::time::Mono;

/// One operation of a transaction.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Op {
    /// Appended an element to a key's list.
    Append(u32, u64),
    /// Read a key's list.
    Read(u32, Vec<u64>),
}

/// How a transaction ended, as its client knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// Acknowledged.
    Committed,
    /// Certainly without effect.
    Aborted,
    /// Nobody knows.
    Unknown,
}

/// One transaction.
#[derive(Clone, Debug)]
pub struct Record {
    /// Who.
    pub client: usize,
    /// When its first statement was sent.
    pub began: Mono,
    /// When its end was known; `Mono::MAX` if it never was.
    pub ended: Mono,
    /// What it did, in order; reads of transactions without a known commit may be missing.
    pub ops: Vec<Op>,
    /// How it ended.
    pub fate: Fate,
}

/// All transactions of a run.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In the order of their ends.
    pub records: Vec<Record>,
    /// Errors by SQLSTATE, for the report.
    pub errors: std::collections::BTreeMap<String, u64>,
}

impl History {
    /// How many were acknowledged.
    pub fn committed_count(&self) -> usize {
        self.records.iter().filter(|record| record.fate == Fate::Committed).count()
    }
}
