//! Raft's laws, as seen from outside: one function a law, and a map for what the law speaks of.

use std::collections::{BTreeMap, BTreeSet};

use shardforge_core::base::id::NodeId;
use shardforge_core::base::map::stable_hash;
use shardforge_core::raft::message::{RaftReply, RaftRequest, RequestId};
use shardforge_core::raft::{
    Ballot, LogEntry, LogPosition, LogRecord, RaftMessage, RaftStatus, RecoveredLog, Role,
};

use crate::disk::{Disk, term_at};
use crate::machine::Applied;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Written {
    previous_term: Option<u64>,
    payload: u64,
}

#[derive(Clone, Copy, Debug)]
struct Committed {
    term: u64,
    payload: u64,
    chain: u64,
    /// The highest term that the first node to apply it knew.
    known_in: u64,
}

#[derive(Default)]
pub(crate) struct Oracle {
    leaders: BTreeMap<u64, NodeId>,
    written: BTreeMap<(u64, u64), Written>,
    committed: BTreeMap<u64, Committed>,
    /// Who asked for a vote, and under which name.
    vote_questions: BTreeSet<(NodeId, RequestId)>,
    granted: BTreeMap<(NodeId, u64), NodeId>,
    /// What each node showed last in this life.
    last: BTreeMap<NodeId, (u64, Option<u64>, Option<u64>)>,
    /// Commands whose proposer was told that they never take effect.
    never: BTreeSet<u64>,
    pub acknowledged: Option<u64>,
    pub elections: u64,
}

impl Oracle {
    /// Log matching: entries of one index and term are equal, and so are those before them.
    pub(crate) fn log_written(
        &mut self,
        node: NodeId,
        believed: &RecoveredLog,
        record: &LogRecord,
    ) {
        let LogRecord::Entry(LogEntry { position, payload, kind }) = record else { return };
        let previous_term = position.index.checked_sub(1).and_then(|before| {
            let purged = believed.purged.filter(|purged| purged.index == before);
            term_at(believed, before).or(purged.map(|purged| purged.term))
        });
        let written = Written { previous_term, payload: stable_hash(payload) ^ (*kind as u64) };
        let known = *self.written.entry((position.index, position.term)).or_insert(written);
        assert_eq!(known, written, "log matching: {node} wrote another entry at {position}");
    }

    /// Votes: what leaves is durable, and one a term, over all lives of a node.
    pub(crate) fn message_sent(
        &mut self,
        node: NodeId,
        to: NodeId,
        disk: &Disk,
        message: &RaftMessage,
    ) {
        match message {
            RaftMessage::Request { id, request: RaftRequest::Vote(ask) } => {
                self.vote_questions.insert((node, *id));
                self.vote_left(node, disk, ask.ballot);
            }
            RaftMessage::Reply { id, reply: RaftReply::Voted { ballot, granted: true, .. } }
                if self.vote_questions.contains(&(to, *id)) =>
            {
                self.vote_left(node, disk, *ballot);
            }
            RaftMessage::Request { .. } | RaftMessage::Reply { .. } => {}
        }
    }

    fn vote_left(&mut self, node: NodeId, disk: &Disk, ballot: Ballot) {
        let known = *self.granted.entry((node, ballot.term)).or_insert(ballot.node);
        assert_eq!(known, ballot.node, "{node} voted twice in term {}", ballot.term);
        let durable = disk.durable.borrow().vote;
        assert!(
            durable.is_some_and(|vote| ballot.term < vote.term
                || (vote.term == ballot.term && vote.node == ballot.node)),
            "{node} let {ballot} leave, but only {durable:?} is durable"
        );
    }

    /// State-machine safety, and commit only with a durable quorum.
    pub(crate) fn applied(&mut self, node: NodeId, term: u64, entry: &Applied, disks: &[&Disk]) {
        let index = entry.position.index;
        assert!(!self.never.contains(&entry.payload), "{node} applied what was called lost");
        if let Some(known) = self.committed.get(&index) {
            assert_eq!(
                (known.term, known.payload, known.chain),
                (entry.position.term, entry.payload, entry.chain),
                "state-machine safety: {node} applied another entry at {index}"
            );
            return;
        }
        self.must_be_durable(index, entry.position.term, disks);
        let committed = Committed {
            term: entry.position.term,
            payload: entry.payload,
            chain: entry.chain,
            known_in: term,
        };
        self.committed.insert(index, committed);
    }

    fn must_be_durable(&self, index: u64, term: u64, disks: &[&Disk]) {
        let held = disks.iter().filter(|disk| disk.holds(index, term)).count();
        assert!(
            disks.len() / 2 < held,
            "entry {term}.{index} was committed on {held} of {} disks",
            disks.len()
        );
    }

    /// A snapshot is the same state that others reached by applying.
    pub(crate) fn installed(&self, node: NodeId, at: Option<LogPosition>, chain: u64) {
        let Some(at) = at else { return };
        if let Some(known) = self.committed.get(&at.index) {
            assert_eq!((known.term, known.chain), (at.term, chain), "{node} took a foreign state");
        }
    }

    /// No acknowledged write is lost: a quorum's synced bytes alone could recover it.
    pub(crate) fn acknowledge(&mut self, position: LogPosition, payload: u64, disks: &[&Disk]) {
        let known = self.committed.get(&position.index);
        assert!(
            known.is_some_and(|known| known.term == position.term && known.payload == payload),
            "{position} was acknowledged, but {known:?} is committed there"
        );
        self.must_be_durable(position.index, position.term, disks);
        self.acknowledged = self.acknowledged.max(Some(position.index));
    }

    /// A definite refusal: the command must never show up.
    pub(crate) fn refuse(&mut self, payload: u64) {
        let applied = self.committed.values().any(|entry| entry.payload == payload);
        assert!(!applied, "a command that is applied was called lost");
        self.never.insert(payload);
    }

    /// A read sees every write acknowledged before it was asked.
    pub(crate) fn read(
        &self,
        node: NodeId,
        acknowledged: Option<u64>,
        seen: Option<u64>,
        how: &str,
    ) {
        assert!(
            acknowledged <= seen,
            "stale {how} read: {node} is at {seen:?}, {acknowledged:?} was acknowledged"
        );
    }

    /// Election safety, leader completeness, and what never goes back.
    pub(crate) fn observe(
        &mut self,
        node: NodeId,
        status: &RaftStatus,
        term_of: impl Fn(u64) -> Option<u64>,
    ) {
        let index = |at: Option<LogPosition>| at.map(|at| at.index);
        let (committed, applied) = (index(status.committed), index(status.applied));
        assert!(applied <= committed, "{node} applied {applied:?}, committed is {committed:?}");
        if let Some((term, commit, done)) = self.last.get(&node) {
            assert!(*term <= status.term, "{node}: term went back from {term} to {}", status.term);
            assert!(*commit <= committed, "{node}: commit went back from {commit:?}");
            assert!(*done <= applied, "{node}: applied went back from {done:?}");
        }
        self.last.insert(node, (status.term, committed, applied));
        if status.role != Role::Leader {
            return;
        }
        let known = self.leaders.get(&status.term).copied();
        if let Some(known) = known {
            assert_eq!(known, node, "election safety: two leaders in term {}", status.term);
            return;
        }
        self.leaders.insert(status.term, node);
        self.elections += 1;
        for (at, entry) in &self.committed {
            let there = term_of(*at);
            let purged = Some(*at) <= index(status.purged);
            assert!(
                status.term <= entry.known_in || purged || there == Some(entry.term),
                "leader completeness: {node} leads {} without {}.{at}",
                status.term,
                entry.term
            );
        }
    }

    /// A node forgets in a crash what it knew.
    pub(crate) fn crashed(&mut self, node: NodeId) {
        self.last.remove(&node);
    }
}
