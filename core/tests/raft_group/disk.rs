//! A log that syncs later, and loses in a crash what it has not synced.

use std::cell::RefCell;
use std::collections::VecDeque;

use shardforge_core::base::id::ShardId;
use shardforge_core::raft::{Durable, LogRecord, LogSink, RecoveredLog};

/// Records on their way to the disk.
pub(crate) struct Batch {
    pub records: Vec<LogRecord>,
    pub durable: Durable,
}

#[derive(Default)]
pub(crate) struct Disk {
    /// Taken in by the node since its last turn.
    pub taken: RefCell<Vec<Batch>>,
    /// Waiting for their sync, oldest first.
    pub syncing: RefCell<VecDeque<Batch>>,
    /// What is on the disk.
    pub durable: RefCell<RecoveredLog>,
    /// What the node believes its log to be.
    pub believed: RefCell<RecoveredLog>,
}

impl LogSink for Disk {
    fn append(&self, _group: ShardId, records: Vec<LogRecord>, durable: Durable) {
        self.taken.borrow_mut().push(Batch { records, durable });
    }
}

impl Disk {
    /// The oldest `count` batches are on the disk.
    pub(crate) fn sync(&self, count: usize) -> Vec<Durable> {
        let mut told = Vec::new();
        for _ in 0..count {
            let Some(batch) = self.syncing.borrow_mut().pop_front() else { break };
            for record in batch.records {
                self.durable.borrow_mut().replay(record);
            }
            told.push(batch.durable);
        }
        told
    }

    /// Power is lost: `kept` of the unsynced batches happen to have reached the disk.
    pub(crate) fn crash(&self, kept: usize) {
        let synced = self.sync(kept);
        drop(synced);
        self.syncing.borrow_mut().clear();
        self.taken.borrow_mut().clear();
        *self.believed.borrow_mut() = self.durable.borrow().clone();
    }

    /// Whether the disk alone holds the entry, or the state machine's flush has replaced it.
    pub(crate) fn holds(&self, index: u64, term: u64) -> bool {
        let durable = self.durable.borrow();
        durable.purged.is_some_and(|purged| index <= purged.index)
            || term_at(&durable, index) == Some(term)
    }
}

/// The term of the entry at `index`.
pub(crate) fn term_at(log: &RecoveredLog, index: u64) -> Option<u64> {
    let first = log.entries.first()?.position.index;
    let offset = usize::try_from(index.checked_sub(first)?).ok()?;
    log.entries.get(offset).map(|entry| entry.position.term)
}
