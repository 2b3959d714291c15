//! The way to a shard's leader: guesses, hints and patience.
//!
//! A request that may be repeated is repeated until the deadline. One that must not be executed twice
//! is repeated only after a definite refusal; anything else comes back as `Lost`.

use std::rc::Rc;
use std::time::Duration;

use super::ports::{CallError, ShardCalls};
use crate::base::id::{NodeId, ShardId, TxnId};
use crate::base::key::Key;
use crate::base::time::Mono;
use crate::base::timestamp::Timestamp;
use crate::replica::error::{Disposition, ReplicaError};
use crate::replica::ports::Clock;
use crate::replica::request::{KeyRead, RequestBody, ShardRequest, ShardResponse, StoredVersion};
use crate::replica::wait::within;
use crate::shard::cache::ShardCache;

/// A node that has not answered after this has probably not heard us. Longer than a lock's time slice.
const ATTEMPT: Duration = Duration::from_millis(1_500);
/// The same of a node that is asked only because nobody is known to lead: it may be the one that is gone.
const GUESS: Duration = Duration::from_millis(200);
/// After so many failures, half a second of pauses, a leader that is still not ready is one among others
/// again: it may be cut off from those who have elected another.
const UNREADY_MAX: u32 = 8;
const BACKOFF_MIN: Duration = Duration::from_millis(2);
const BACKOFF_DOUBLINGS_MAX: u32 = 6;

/// How long one question waits for a lock before it is asked anew.
pub(super) const SLICE: Duration = Duration::from_millis(1_000);

/// Why a request was not answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SendError {
    /// The shard's answer to the transaction.
    Refused(ReplicaError),
    /// Nobody served it before the deadline. Definite.
    Unavailable,
    /// It may or may not have been executed.
    Lost,
}

/// Whether a request may be executed twice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Repeat {
    /// It may.
    Freely,
    /// It may not.
    AfterRefusal,
}

/// Finds leaders.
pub struct Router {
    node: NodeId,
    calls: Rc<dyn ShardCalls>,
    clock: Rc<dyn Clock>,
    cache: Rc<ShardCache>,
}

impl Router {
    /// A router of `node`.
    pub fn new(
        node: NodeId,
        calls: Rc<dyn ShardCalls>,
        clock: Rc<dyn Clock>,
        cache: Rc<ShardCache>,
    ) -> Self {
        Self { node, calls, clock, cache }
    }

    /// Map and leaders, as believed.
    pub fn cache(&self) -> &Rc<ShardCache> {
        &self.cache
    }

    /// Clocks and tasks.
    pub fn clock(&self) -> &Rc<dyn Clock> {
        &self.clock
    }

    /// Asks the leader of a shard.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub async fn send(
        &self,
        shard: ShardId,
        body: RequestBody,
        repeat: Repeat,
        deadline: Mono,
    ) -> Result<ShardResponse, SendError> {
        let request = self.request(shard, body).ok_or(SendError::Unavailable)?;
        match self.ask_here(&request) {
            Some(Ok(response)) => return Ok(response),
            Some(Err(error)) => self.judge(shard, self.node, error, repeat)?,
            None => {}
        }
        let request = Rc::new(request);
        let mut failures = 0;
        loop {
            let now = self.clock.now().mono;
            let Some(to) = self.target(shard, failures) else { return Err(SendError::Unavailable) };
            let call = self.calls.call(to, request.clone());
            let guessed = self.cache.leader(shard).is_none() && repeat == Repeat::Freely;
            let until = deadline.min(now + if guessed { GUESS } else { ATTEMPT });
            let answer = within(&*self.clock, until, call).await.unwrap_or(Err(CallError::Lost));
            match answer {
                Ok(response) => {
                    self.cache.set_leader(shard, to);
                    return Ok(response);
                }
                Err(CallError::Lost) => {
                    self.cache.forget_leader(shard, to);
                    if repeat == Repeat::AfterRefusal {
                        return Err(SendError::Lost);
                    }
                }
                Err(CallError::NotSent) => self.cache.forget_leader(shard, to),
                Err(CallError::Refused(error)) => {
                    if error == ReplicaError::NotReady && (failures + 1).is_multiple_of(UNREADY_MAX)
                    {
                        self.cache.forget_leader(shard, to);
                    }
                    self.judge(shard, to, error, repeat)?;
                }
            }
            failures += 1;
            if deadline <= self.clock.now().mono {
                return Err(SendError::Unavailable);
            }
            // A hint is followed at once, but not in circles.
            let hinted = self.cache.leader(shard).is_some_and(|leader| leader != to);
            if !hinted || 2 < failures {
                let doublings = failures.min(BACKOFF_DOUBLINGS_MAX);
                let pause = self.clock.now().mono + BACKOFF_MIN * (1 << doublings);
                self.clock.sleep_until(pause.min(deadline)).await;
            }
        }
    }

    /// As [`Self::send`], if the leader is on this node and its answer is at hand. `None` says
    /// nothing.
    pub(super) fn send_now(
        &self,
        shard: ShardId,
        body: RequestBody,
    ) -> Option<Result<ShardResponse, ReplicaError>> {
        self.ask_here(&self.request(shard, body)?)
    }

    /// A version of a key at or below a time, if the leader is on this node and has it at hand.
    /// `None` says nothing.
    pub(super) fn read_now(
        &self,
        shard: ShardId,
        reader: TxnId,
        key: &Key,
        at: Timestamp,
    ) -> Option<Option<StoredVersion>> {
        let epoch = self.cache.map().shard(shard)?.epoch;
        if self.cache.leader(shard) != Some(self.node) {
            return None;
        }
        self.calls.read_now(&KeyRead { shard, epoch, reader, key, at })
    }

    fn request(&self, shard: ShardId, body: RequestBody) -> Option<ShardRequest> {
        let epoch = self.cache.map().shard(shard)?.epoch;
        Some(ShardRequest { shard, epoch, body })
    }

    fn ask_here(&self, request: &ShardRequest) -> Option<Result<ShardResponse, ReplicaError>> {
        let here = self.cache.leader(request.shard) == Some(self.node);
        if here { self.calls.call_now(request) } else { None }
    }

    /// Learns from a refusal; hands it on if the transaction must hear it.
    fn judge(
        &self,
        shard: ShardId,
        to: NodeId,
        error: ReplicaError,
        repeat: Repeat,
    ) -> Result<(), SendError> {
        match error.disposition() {
            Disposition::RetryElsewhere => {
                if let ReplicaError::NotLeader { hint } = error {
                    match hint {
                        Some(leader) if leader != to => self.cache.set_leader(shard, leader),
                        Some(_) | None => self.cache.forget_leader(shard, to),
                    }
                }
                Ok(())
            }
            Disposition::AskAgain | Disposition::RefreshMap | Disposition::Report => {
                Err(SendError::Refused(error))
            }
            Disposition::Resolve if repeat == Repeat::Freely => Ok(()),
            Disposition::Resolve => Err(SendError::Lost),
        }
    }

    /// Whom to ask: the leader, if one is believed in, else the replicas in turn, ourselves first.
    fn target(&self, shard: ShardId, failures: u32) -> Option<NodeId> {
        if let Some(leader) = self.cache.leader(shard) {
            return Some(leader);
        }
        let replicas = self.cache.replicas(shard);
        let first = replicas.iter().position(|node| *node == self.node).unwrap_or(0);
        let turn = usize::try_from(failures).unwrap_or(0);
        replicas.get((first + turn) % replicas.len().max(1)).copied()
    }
}
