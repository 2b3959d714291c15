//! From decisions to log entries: what waits together travels together.
//!
//! A few entries may be in flight; what is decided meanwhile gathers and becomes one entry. The tail of
//! a proposal (freeing latches and locks) runs in a task of its own, so a cancelled statement leaves
//! nothing behind.

use std::collections::VecDeque;
use std::rc::Rc;

use super::command::{Command, Part};
use super::error::ReplicaError;
use super::latch::LatchGuard;
use super::machine::EntryAnswer;
use super::ports::ProposeError;
use super::replica::Replica;
use super::wait::{Resolver, promise};
use crate::base::id::TxnId;
use crate::base::limit;

/// Entries in flight.
const IN_FLIGHT_MAX: usize = 2;
/// Parts of one entry.
const PARTS_MAX: usize = 1_024;
/// Room for a command's own fields.
const FRAME_BYTES: usize = 1_024;
/// Bytes that wait to be proposed.
const QUEUED_BYTES_MAX: usize = 256 << 20;

/// The largest part that fits an entry.
pub(super) const PART_BYTES_MAX: usize = limit::ENTRY_BYTES_MAX - FRAME_BYTES;

struct Proposal {
    term: u64,
    part: Part,
    tail: Tail,
}

/// What happens after a proposal.
#[derive(Default)]
pub(super) struct Tail {
    /// Freed when its fate is known.
    pub(super) latch: Option<LatchGuard>,
    /// Its locks are freed when it was applied.
    pub(super) ended: Option<TxnId>,
    resolver: Option<Resolver<Result<(), ReplicaError>>>,
}

impl Tail {
    pub(super) fn new(latch: LatchGuard, ended: TxnId) -> Self {
        Self { latch: Some(latch), ended: Some(ended), resolver: None }
    }
}

/// Decisions that wait to be proposed.
#[derive(Default)]
pub(super) struct Proposer {
    queue: VecDeque<Proposal>,
    queued_bytes: usize,
    in_flight: usize,
}

impl Proposer {
    fn next_batch(&mut self) -> Option<(u64, Vec<Part>, Vec<Tail>)> {
        if IN_FLIGHT_MAX <= self.in_flight {
            return None;
        }
        let term = self.queue.front()?.term;
        let (mut parts, mut tails, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(next) = self.queue.front() {
            let size = next.part.size();
            let full = PARTS_MAX <= parts.len() || PART_BYTES_MAX < bytes + size;
            if next.term != term || (full && !parts.is_empty()) {
                break;
            }
            let Some(next) = self.queue.pop_front() else { break };
            bytes += size;
            self.queued_bytes -= size;
            parts.push(next.part);
            tails.push(next.tail);
        }
        self.in_flight += 1;
        Some((term, parts, tails))
    }
}

impl Replica {
    /// Proposes a part, decided in `term`; ends when its fate is known. What follows it happens even if
    /// this future is dropped.
    ///
    /// # Errors
    ///
    /// All but [`ReplicaError::Unknown`] mean that it has no effect and never will.
    pub(super) async fn propose(
        &self,
        term: u64,
        part: Part,
        mut tail: Tail,
    ) -> Result<(), ReplicaError> {
        let size = part.size();
        if PART_BYTES_MAX < size {
            return Err(ReplicaError::Limit("bytes of one log entry".to_owned()));
        }
        let answer = {
            let mut proposer = self.proposer.borrow_mut();
            if QUEUED_BYTES_MAX < proposer.queued_bytes + size {
                return Err(ReplicaError::Limit("bytes that wait to be replicated".to_owned()));
            }
            let (resolver, answer) = promise();
            tail.resolver = Some(resolver);
            proposer.queued_bytes += size;
            proposer.queue.push_back(Proposal { term, part, tail });
            answer
        };
        self.pump();
        answer.await.unwrap_or(Err(ReplicaError::Unknown))
    }

    fn pump(&self) {
        loop {
            let batch = self.proposer.borrow_mut().next_batch();
            let (Some((term, parts, tails)), Some(me)) = (batch, self.me()) else { return };
            self.ports.clock.spawn(Box::pin(me.run_batch(term, parts, tails)));
        }
    }

    async fn run_batch(self: Rc<Self>, term: u64, parts: Vec<Part>, tails: Vec<Tail>) {
        let command = Command { term, epoch: self.ports.machine.epoch(), parts }.encode();
        let result = match self.ports.consensus.propose(term, command).await {
            Ok(EntryAnswer::Applied) => Ok(()),
            Ok(EntryAnswer::NotApplied) => Err(ProposeError::TermChanged),
            Err(error) => Err(error),
        };
        let result = result.map_err(ReplicaError::from);
        self.proposer.borrow_mut().in_flight -= 1;
        for Tail { latch, ended, resolver } in tails {
            if let (Some(txn), Ok(())) = (ended, &result) {
                self.leader.borrow_mut().locks.release(txn);
            }
            drop(latch);
            if let Some(resolver) = resolver {
                resolver.resolve(result.clone());
            }
        }
        self.pump();
    }
}
