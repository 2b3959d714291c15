//! The group's log: all entries that are not purged, in memory, with a sink that makes them
//! durable.
//!
//! # Invariants
//!
//! * Entries are consecutive, from the one after `purged`.
//! * Changes go to the sink in the order in which they happen here.
//! * `persisted` never passes an entry that the sink has not called durable.

use std::cell::{Ref, RefCell};
use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::rc::Rc;

use openraft::OptionalSend;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};

use super::convert;
use super::error::RaftError;
use super::message::{Ballot, LogPosition};
use super::ports::{Durable, LogRecord, LogSink, RecoveredLog, Waiting};
use super::types::{Entry, LogId, Payload, TypeConfig, Vote};
use crate::base::buggify::Faults;
use crate::base::id::ShardId;
use crate::base::limit;
use crate::bug;

/// Shared by openraft's core, its replication tasks and the group.
#[derive(Clone)]
pub(super) struct LogHandle(Rc<LogShared>);

struct LogShared {
    group: ShardId,
    faults: Faults,
    sink: Rc<dyn LogSink>,
    log: RefCell<Log>,
}

/// What is in memory.
pub(super) struct Log {
    vote: Option<Ballot>,
    purged: Option<LogPosition>,
    entries: VecDeque<Entry>,
    bytes: usize,
    persisted: Option<LogPosition>,
}

impl Log {
    fn first_index(&self) -> u64 {
        self.purged.map_or(0, |purged| purged.index + 1)
    }

    fn end_index(&self) -> u64 {
        self.first_index() + self.entries.len() as u64
    }

    fn entry(&self, index: u64) -> Option<&Entry> {
        let offset = index.checked_sub(self.first_index())?;
        self.entries.get(usize::try_from(offset).ok()?)
    }

    pub(super) fn vote(&self) -> Option<Ballot> {
        self.vote
    }

    pub(super) fn purged(&self) -> Option<LogPosition> {
        self.purged
    }

    pub(super) fn persisted(&self) -> Option<LogPosition> {
        self.persisted
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn last(&self) -> Option<LogPosition> {
        self.entries.back().map(|entry| convert::position(&entry.log_id)).or(self.purged)
    }

    /// The term of the entry at `index`; `None` if it is purged or not there.
    pub(super) fn term_at(&self, index: u64) -> Option<u64> {
        match self.entry(index) {
            Some(entry) => Some(entry.log_id.leader_id.term),
            None => self.purged.filter(|purged| purged.index == index).map(|purged| purged.term),
        }
    }

    /// The newest membership among the entries.
    pub(super) fn last_membership(&self) -> Option<super::message::Membership> {
        self.entries.iter().rev().find_map(|entry| match &entry.payload {
            Payload::Membership(raft) => Some(convert::membership(raft)),
            Payload::Blank | Payload::Normal(_) => None,
        })
    }

    fn push(&mut self, entry: Entry) {
        assert_eq!(entry.log_id.index, self.end_index(), "log has a hole or an overlap");
        self.bytes += convert::entry_bytes(&entry);
        self.entries.push_back(entry);
    }

    /// Voids the entries from `from` on.
    fn truncate(&mut self, from: u64) {
        while from < self.end_index() {
            let Some(entry) = self.entries.pop_back() else { break };
            self.bytes -= convert::entry_bytes(&entry);
        }
        let last = self.last();
        if self.persisted.map(|p| p.index) > last.map(|l| l.index) {
            self.persisted = last;
        }
    }

    fn purge(&mut self, up_to: LogPosition) {
        while self.first_index() <= up_to.index {
            let Some(entry) = self.entries.pop_front() else { break };
            self.bytes -= convert::entry_bytes(&entry);
            self.purged = Some(convert::position(&entry.log_id));
        }
        if self.purged.map(|purged| purged.index) < Some(up_to.index) {
            self.purged = Some(up_to);
        }
        if self.persisted.map(|p| p.index) < Some(up_to.index) {
            self.persisted = Some(up_to);
        }
    }

    fn note_persisted(&mut self, last: LogPosition) {
        // Entries truncated while their write was on its way are not ours any more.
        if self.term_at(last.index) == Some(last.term)
            && self.persisted.map(|p| p.index) < Some(last.index)
        {
            self.persisted = Some(last);
        }
    }
}

impl LogHandle {
    pub(super) fn new(
        group: ShardId,
        faults: Faults,
        sink: Rc<dyn LogSink>,
        recovered: RecoveredLog,
    ) -> Result<Self, RaftError> {
        let mut log = Log {
            vote: recovered.vote,
            purged: recovered.purged,
            entries: VecDeque::with_capacity(recovered.entries.len()),
            bytes: 0,
            persisted: None,
        };
        for entry in recovered.entries {
            if entry.position.index != log.end_index() {
                return Err(RaftError::Recovered(format!(
                    "entry {} follows {:?}",
                    entry.position,
                    log.last()
                )));
            }
            let entry =
                convert::raft_entry(entry).map_err(|e| RaftError::Recovered(e.to_string()))?;
            log.push(entry);
        }
        log.persisted = log.last();
        Ok(Self(Rc::new(LogShared { group, faults, sink, log: RefCell::new(log) })))
    }

    pub(super) fn borrow(&self) -> Ref<'_, Log> {
        self.0.log.borrow()
    }

    pub(super) fn note_persisted(&self, last: LogPosition) {
        self.0.log.borrow_mut().note_persisted(last);
    }

    fn write(&self, records: Vec<LogRecord>, durable: Durable) {
        self.0.sink.append(self.0.group, records, durable);
    }

    /// A later life need not doubt what this one recovered.
    pub(super) fn trust(&self) {
        self.write(vec![LogRecord::Trusted], Durable::nobody());
    }

    /// The entries in `range`, at most about `bytes_max` of them, but at least one.
    pub(super) fn read(&self, start: u64, end: u64, bytes_max: usize) -> Vec<Entry> {
        let log = self.0.log.borrow();
        let start = start.max(log.first_index());
        let mut read = Vec::new();
        let mut bytes = 0;
        for index in start..end.min(log.end_index()) {
            let Some(entry) = log.entry(index) else { break };
            bytes += convert::entry_bytes(entry);
            if bytes_max < bytes && !read.is_empty() {
                break;
            }
            read.push(entry.clone());
        }
        read
    }
}

impl RaftLogReader<TypeConfig> for LogHandle {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => end.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        Ok(self.read(start, end, usize::MAX))
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, io::Error> {
        let end = end.min(start.saturating_add(limit::APPEND_ENTRIES_MAX as u64));
        Ok(self.read(start, end, limit::APPEND_BYTES_MAX))
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.0.log.borrow().vote.map(convert::vote))
    }
}

impl RaftLogStorage<TypeConfig> for LogHandle {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let log = self.0.log.borrow();
        Ok(LogState {
            last_purged_log_id: convert::log_ids(log.purged),
            last_log_id: convert::log_ids(log.last()),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let ballot = convert::ballot(vote);
        let (durable, done) = Durable::channel();
        self.write(vec![LogRecord::Vote(ballot)], durable);
        // B02: the vote leaves before it is durable.
        let waits = bug!(self.0.faults, 2, false, true);
        if waits {
            done.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
        }
        self.0.log.borrow_mut().vote = Some(ballot);
        Ok(())
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: IOFlushed<TypeConfig>,
    ) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = entries.into_iter();
        let mut records = Vec::with_capacity(entries.size_hint().0);
        {
            let mut log = self.0.log.borrow_mut();
            for entry in entries {
                // B10 left a conflicting entry behind; its replacement is taken for a repetition.
                if bug!(self.0.faults, 10, entry.log_id.index < log.end_index(), false) {
                    continue;
                }
                records.push(LogRecord::Entry(convert::log_entry(&entry)));
                if let Payload::Normal(command) = &entry.payload
                    && let Some(place) = &command.place
                {
                    place.set(Some(convert::position(&entry.log_id)));
                }
                log.push(entry);
            }
        }
        let last = self.0.log.borrow().last();
        let Some(last) = last else {
            callback.io_completed(Ok(()));
            return Ok(());
        };
        // B01: the entry counts before it is durable.
        if bug!(self.0.faults, 1, true, false) {
            callback.io_completed(Ok(()));
            self.write(records, Durable::nobody());
            return Ok(());
        }
        self.write(records, Durable::new(Waiting::Raft(callback, self.clone(), last)));
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        let from = last_log_id.map_or(0, |id| id.index + 1);
        // B10: one conflicting entry is kept.
        let from = bug!(self.0.faults, 10, from + 1, from);
        self.0.log.borrow_mut().truncate(from);
        // Nobody waits: whatever is appended next becomes durable after it.
        self.write(vec![LogRecord::Truncate { from }], Durable::nobody());
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        let up_to = convert::position(&log_id);
        // B11: one entry more than is applied.
        let up_to = bug!(self.0.faults, 11, LogPosition { index: up_to.index + 1, ..up_to }, up_to);
        self.0.log.borrow_mut().purge(up_to);
        self.write(vec![LogRecord::Purge { up_to }], Durable::nobody());
        Ok(())
    }
}
