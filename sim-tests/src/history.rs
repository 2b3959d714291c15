//! What clients did and saw: the input of every checker.

use std::collections::{BTreeMap, BTreeSet};

use shardforge_core::base::time::Mono;

/// One operation of a list-append transaction.
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

/// One list-append transaction.
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

/// One transaction of the bank.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BankOp {
    /// Moved an amount.
    Transfer {
        /// Unique.
        id: u64,
        /// The account that pays.
        from: u32,
        /// The account that receives.
        to: u32,
        /// How much.
        amount: i64,
    },
    /// Read all balances at once.
    Audit(Vec<(u32, i64)>),
}

/// One transaction on the slots.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SlotOp {
    /// Which group.
    pub group: u32,
    /// How many rows the group had, as the transaction saw it.
    pub seen: u64,
    /// How its fate is known.
    pub fate: Fate,
}

/// All transactions of a run.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Of the lists, in the order of their ends.
    pub records: Vec<Record>,
    /// Of the bank.
    pub bank: Vec<(Fate, BankOp)>,
    /// Of the slots.
    pub slots: Vec<SlotOp>,
    /// Errors by SQLSTATE, for the report.
    pub errors: BTreeMap<String, u64>,
    /// Errors that no operation here and no fault may cause: SQLSTATE and message.
    pub odd_errors: BTreeSet<(String, String)>,
}

impl History {
    /// How many were acknowledged.
    pub fn committed_count(&self) -> usize {
        let lists = self.records.iter().map(|record| record.fate);
        let bank = self.bank.iter().map(|(fate, _)| *fate);
        let slots = self.slots.iter().map(|op| op.fate);
        lists.chain(bank).chain(slots).filter(|fate| *fate == Fate::Committed).count()
    }
}
