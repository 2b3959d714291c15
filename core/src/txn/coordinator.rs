//! COMMIT in one phase: one shard, one log entry, one answer.
//!
//! A commit is tried at a timestamp. Pushed, it takes a later one, shows that everything it read holds
//! until there, and tries again. If an answer is lost, the shard is asked what became of every
//! timestamp that was tried; only a definite answer lets the transaction try again or report a failure.
//! What cannot be found out in time is reported as unknown, never as a failure.

use std::time::Duration;

use super::error::TxnError;
use super::router::{Repeat, SendError};
use super::statement::commit_wait;
use super::transaction::{Phase, Transaction, unexpected};
use super::types::Isolation;
use crate::base::id::ShardId;
use crate::base::time::Mono;
use crate::base::timestamp::Timestamp;
use crate::bug;
use crate::replica::error::ReplicaError;
use crate::replica::request::{
    CommitBody, CommitOutcome, LockedKey, RequestBody, ResolveBody, ShardResponse, ShardWrite,
};

/// Tries of one commit.
const TRIES_MAX: usize = 64;

/// Patience for the question whether a failed commit has certainly failed.
const LAST_QUESTION: Duration = Duration::from_millis(1_000);

/// A commit on its way.
struct Attempt {
    shard: ShardId,
    writes: Vec<ShardWrite>,
    locked: Vec<LockedKey>,
    tags: Vec<u32>,
    catalog: bool,
    at: Timestamp,
    tried: Vec<Timestamp>,
    deadline: Mono,
}

/// How one try ended.
enum Tried {
    Outcome(CommitOutcome),
    Lost,
}

impl Transaction {
    /// Commits; the timestamp of the commit, which is durable on a quorum. A transaction that wrote
    /// nothing has nothing to do.
    ///
    /// # Errors
    ///
    /// [`TxnError::Unknown`] if it may have happened; any other error means that it has not.
    pub async fn commit(&self) -> Result<Timestamp, TxnError> {
        self.active()?;
        let written = {
            let state = self.state.borrow();
            state.buffer.shard().filter(|_| !state.buffer.is_empty())
        };
        let Some(shard) = written else { return self.commit_reads().await };
        self.state.borrow_mut().phase = Phase::Committing;
        self.state.borrow_mut().lock_shards.insert(shard);
        let result = self.commit_in(shard).await;
        {
            let mut state = self.state.borrow_mut();
            match &result {
                Ok(_) => {
                    // The commit freed the locks of its own shard, and its fences stand.
                    state.lock_shards.remove(&shard);
                    state.fences.clear();
                }
                Err(TxnError::Unknown) => state.in_doubt = true,
                Err(_) => {}
            }
            state.phase = Phase::Active;
        }
        self.end();
        result
    }

    /// As [`Self::commit`], if there is nothing to ask: nothing was written or locked, and everything
    /// was read at one timestamp. `false` says nothing.
    pub fn commit_now(&self) -> bool {
        let done = {
            let state = self.state.borrow();
            state.phase == Phase::Active
                && state.buffer.is_empty()
                && state.lock_shards.is_empty()
                && state.fences.is_empty()
                && (self.options.isolation == Isolation::ReadCommitted
                    || state.reads.all_hold_until(state.at))
        };
        if done {
            self.end();
        }
        done
    }

    /// A transaction without writes only owes the check of keys that it locked and did not write.
    async fn commit_reads(&self) -> Result<Timestamp, TxnError> {
        let at = self.read_timestamp();
        let held = self.holds_until(at).await;
        self.end();
        if held? { Ok(at) } else { Err(TxnError::Serialization("a row that was locked changed")) }
    }

    async fn commit_in(&self, shard: ShardId) -> Result<Timestamp, TxnError> {
        let mut attempt = self.attempt(shard);
        if attempt.catalog {
            self.retime(&mut attempt, Timestamp::ZERO).await?;
        } else if !self.holds_until(attempt.at).await? {
            return Err(TxnError::Serialization("a row that was read changed"));
        }
        for _ in 0..TRIES_MAX {
            let outcome = match self.try_commit(&attempt).await {
                Ok(Tried::Outcome(outcome)) => outcome,
                Ok(Tried::Lost) => {
                    attempt.tried.push(attempt.at);
                    // B38: the retry forgets the timestamps tried.
                    let forget = bug!(self.source.config.faults, 38, true, false);
                    if forget {
                        attempt.tried.clear();
                    } else if let Some(at) = self.find_out(&attempt).await? {
                        return Ok(at);
                    }
                    CommitOutcome::Pushed(attempt.at.next().next())
                }
                Err(error) => return self.give_up(attempt, error).await,
            };
            match outcome {
                CommitOutcome::Done(at) => return Ok(at),
                // What pushes stays: no copy of the request gets through at that timestamp.
                CommitOutcome::Pushed(floor) => self.retime(&mut attempt, floor).await?,
                CommitOutcome::Changed(_) => {
                    let error = TxnError::Serialization("a row changed before the commit");
                    return self.give_up(attempt, error).await;
                }
                CommitOutcome::Duplicate(number) => {
                    let error = duplicate(&attempt, number);
                    return self.give_up(attempt, error).await;
                }
            }
        }
        Err(TxnError::Serialization("the commit was pushed again and again"))
    }

    fn attempt(&self, shard: ShardId) -> Attempt {
        let state = self.state.borrow();
        let (writes, tags) = state.buffer.to_commit();
        let check_locks = self.options.isolation == Isolation::ReadCommitted;
        let locked = state.locked.iter().filter(|(key, locked)| {
            check_locks && locked.shard == shard && state.buffer.get(key).is_none()
        });
        let locked = locked.map(|(key, locked)| LockedKey {
            place: locked.place,
            key: key.clone(),
            token: locked.token,
            seen: locked.seen,
        });
        let locked = locked.collect();
        let deadline = self.source.router.clock().now().mono + self.source.config.commit_patience;
        let (catalog, at) = (state.changes_catalog, state.at);
        Attempt { shard, writes, locked, tags, catalog, at, tried: Vec::new(), deadline }
    }

    async fn try_commit(&self, attempt: &Attempt) -> Result<Tried, TxnError> {
        loop {
            let body = RequestBody::Commit(CommitBody {
                txn: self.as_ref(),
                at: attempt.at,
                tried: attempt.tried.clone(),
                writes: attempt.writes.clone(),
                locked: attempt.locked.clone(),
                catalog: attempt.catalog,
                wait: commit_wait(),
                client: None,
            });
            let router = &self.source.router;
            let sent =
                router.send(attempt.shard, body, Repeat::AfterRefusal, attempt.deadline).await;
            return match sent {
                Ok(ShardResponse::Commit(outcome)) => Ok(Tried::Outcome(outcome)),
                Ok(other) => Err(unexpected(&other)),
                Err(SendError::Lost) => Ok(Tried::Lost),
                Err(SendError::Refused(ReplicaError::StillWaiting))
                    if router.clock().now().mono < attempt.deadline =>
                {
                    continue;
                }
                Err(SendError::Refused(error)) => Err(TxnError::from_refusal(error)),
                Err(SendError::Unavailable) => {
                    Err(TxnError::Unavailable(format!("{} has no leader", attempt.shard)))
                }
            };
        }
    }

    /// Reports a failure, once it is certain: a copy of the request that the network made may have been
    /// executed before, or may come later and find what stood in its way gone.
    async fn give_up(&self, mut attempt: Attempt, error: TxnError) -> Result<Timestamp, TxnError> {
        attempt.tried.push(attempt.at);
        let now = self.source.router.clock().now().mono;
        attempt.deadline = attempt.deadline.max(now + LAST_QUESTION);
        if bug!(self.source.config.faults, 38, true, false) {
            return Err(error);
        }
        match self.find_out(&attempt).await? {
            Some(at) => Ok(at),
            None => Err(error),
        }
    }

    /// What became of all tries so far: committed then, or definitely never.
    async fn find_out(&self, attempt: &Attempt) -> Result<Option<Timestamp>, TxnError> {
        let first = &attempt.writes[0];
        let body = RequestBody::Resolve(ResolveBody {
            txn: self.id,
            place: first.place,
            key: first.key.clone(),
            tried: attempt.tried.clone(),
        });
        let router = &self.source.router;
        match router.send(attempt.shard, body, Repeat::Freely, attempt.deadline).await {
            Ok(ShardResponse::Resolved(at)) => Ok(at),
            Ok(_) | Err(_) => Err(TxnError::Unknown),
        }
    }

    /// Takes a later timestamp for the commit, if everything read holds until there.
    async fn retime(&self, attempt: &mut Attempt, floor: Timestamp) -> Result<(), TxnError> {
        let oracle = &self.source.oracle;
        let grant = if attempt.catalog {
            oracle.grant_held(self.id, floor, attempt.deadline).await?
        } else {
            oracle.grant(floor, attempt.deadline).await?
        };
        if !self.holds_until(grant.first).await? {
            return Err(TxnError::Serialization("a row that was read changed"));
        }
        attempt.at = grant.first;
        Ok(())
    }

    /// Whether what was read allows a commit at `at`. READ COMMITTED asks only for its locks.
    async fn holds_until(&self, at: Timestamp) -> Result<bool, TxnError> {
        // B21: spans that were read are not validated.
        let serializable = self.options.isolation == Isolation::Serializable
            && !bug!(self.source.config.faults, 21, true, false);
        if serializable { self.refresh(at).await } else { Ok(true) }
    }
}

fn duplicate(attempt: &Attempt, number: u32) -> TxnError {
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    match (attempt.writes.get(number), attempt.tags.get(number)) {
        (Some(write), Some(tag)) => TxnError::Duplicate { tag: *tag, key: write.key.clone() },
        _ => TxnError::Unavailable("a shard named a write that is not there".to_owned()),
    }
}
