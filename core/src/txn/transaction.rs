//! One transaction, as a session holds it.
//!
//! It reads at one timestamp (at READ COMMITTED: one per statement), remembers what it read, buffers
//! what it writes, and commits once. Its timestamp moves forward only after everything it read has been
//! shown to hold until there.
//!
//! # Invariants
//!
//! * Once it has ended it asks nothing but the freeing of its locks.
//! * No state is borrowed over an `.await`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::buffer::Buffer;
use super::error::TxnError;
use super::reads::Reads;
use super::router::Repeat;
use super::source::TxnSource;
use super::types::{Isolation, TxnOptions};
use crate::base::id::{ShardId, TxnId};
use crate::base::key::{Key, Span};
use crate::base::time::Mono;
use crate::base::timestamp::Timestamp;
use crate::replica::request::{
    Expect, FenceBody, Grant, LockToken, RefreshBody, RequestBody, ShardResponse, TxnRef,
};
use crate::shard::routing::Place;

/// Where it stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Phase {
    /// Statements may come.
    #[default]
    Active,
    /// COMMIT has been asked for.
    Committing,
    /// Committed or rolled back.
    Ended,
}

/// A key that was locked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Locked {
    pub(super) shard: ShardId,
    pub(super) place: Place,
    pub(super) token: LockToken,
    pub(super) seen: Option<Timestamp>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) phase: Phase,
    /// The first timestamp it was granted: its age.
    pub(super) start: Timestamp,
    /// The timestamp of the present statement.
    pub(super) at: Timestamp,
    pub(super) catalog_version: u64,
    /// The catalog version that came with `start`.
    pub(super) first_catalog_version: u64,
    pub(super) changes_catalog: bool,
    pub(super) reads: Reads,
    pub(super) buffer: Buffer,
    pub(super) locked: BTreeMap<Key, Locked>,
    /// Shards that may hold locks of ours.
    pub(super) lock_shards: BTreeSet<ShardId>,
    pub(super) fences: Vec<(ShardId, FenceBody)>,
    /// The commit's fate is not known: fences must stay.
    pub(super) in_doubt: bool,
}

/// One transaction.
pub struct Transaction {
    pub(super) source: Rc<TxnSource>,
    pub(super) id: TxnId,
    pub(super) options: TxnOptions,
    pub(super) state: RefCell<State>,
}

impl Transaction {
    pub(super) fn new(source: Rc<TxnSource>, id: TxnId, options: TxnOptions) -> Self {
        Self { source, id, options, state: RefCell::default() }
    }

    /// Its id.
    pub fn id(&self) -> TxnId {
        self.id
    }

    /// The newest catalog version that the oracle has told it of.
    pub fn catalog_version(&self) -> u64 {
        self.state.borrow().catalog_version
    }

    /// The timestamp that the present statement reads at; zero before the first.
    pub fn read_timestamp(&self) -> Timestamp {
        self.state.borrow().at
    }

    /// The first timestamp it was granted: its age; zero before.
    pub fn start(&self) -> Timestamp {
        self.state.borrow().start
    }

    /// The catalog version that came with [`Self::start`].
    pub fn first_catalog_version(&self) -> u64 {
        self.state.borrow().first_catalog_version
    }

    /// Begins a statement: the timestamp that it reads at.
    ///
    /// # Errors
    ///
    /// [`TxnError::Unavailable`] if the oracle does not answer, [`TxnError::Ended`].
    pub async fn begin_statement(&self) -> Result<Timestamp, TxnError> {
        self.active()?;
        let known = self.state.borrow().at;
        if self.options.isolation == Isolation::Serializable && known != Timestamp::ZERO {
            return Ok(known);
        }
        let grant = self.source.oracle.grant(Timestamp::ZERO, self.source.deadline()).await?;
        Ok(self.begin_at(grant))
    }

    /// As [`Self::begin_statement`], if its timestamp is at hand.
    pub fn begin_statement_now(&self) -> Option<Timestamp> {
        self.active().ok()?;
        let known = self.state.borrow().at;
        if self.options.isolation == Isolation::Serializable && known != Timestamp::ZERO {
            return Some(known);
        }
        Some(self.begin_at(self.source.oracle.grant_now(Timestamp::ZERO)?))
    }

    fn begin_at(&self, grant: Grant) -> Timestamp {
        let mut state = self.state.borrow_mut();
        if state.start == Timestamp::ZERO {
            state.start = grant.first;
            state.first_catalog_version = grant.catalog_version;
        }
        state.at = grant.first;
        state.catalog_version = grant.catalog_version;
        state.reads.clear();
        grant.first
    }

    /// The statement's timestamp, taken now if there is none yet.
    pub(super) async fn timestamp(&self) -> Result<Timestamp, TxnError> {
        self.active()?;
        let known = self.state.borrow().at;
        if known == Timestamp::ZERO { self.begin_statement().await } else { Ok(known) }
    }

    pub(super) fn active(&self) -> Result<(), TxnError> {
        match self.state.borrow().phase {
            Phase::Active => Ok(()),
            Phase::Committing | Phase::Ended => Err(TxnError::Ended),
        }
    }

    pub(super) fn as_ref(&self) -> TxnRef {
        let start = self.state.borrow().start;
        TxnRef { id: self.id, start, replays: self.options.replays }
    }

    /// Marks that it changes the catalog: it commits at a timestamp of its own, and every later grant
    /// carries another catalog version.
    pub fn changes_catalog(&self) {
        self.state.borrow_mut().changes_catalog = true;
    }

    /// Moves the timestamp to a fresh one above `floor`, if everything read so far holds until there.
    pub(super) async fn advance(&self, floor: Timestamp) -> Result<Timestamp, TxnError> {
        let deadline = self.source.deadline();
        let grant = self.source.oracle.grant(floor.next(), deadline).await?;
        // A locked key waits for the commit, which looks at it in any case.
        let locked = |state: &State, span: &Span, valid_to: Timestamp| {
            let locked = if span.is_point() { state.locked.get(&span.start) } else { None };
            locked.is_some_and(|locked| locked.seen.is_none_or(|seen| seen <= valid_to))
        };
        if !self.refresh_but(grant.first, locked).await? {
            return Err(match self.options.isolation {
                Isolation::Serializable => TxnError::Serialization("a row that was read changed"),
                Isolation::ReadCommitted => TxnError::Changed,
            });
        }
        let mut state = self.state.borrow_mut();
        state.at = grant.first;
        Ok(grant.first)
    }

    /// Whether everything read holds until `to`. Keys whose commit names the version seen are left to
    /// the commit.
    pub(super) async fn refresh(&self, to: Timestamp) -> Result<bool, TxnError> {
        self.refresh_but(to, |_, _, _| false).await
    }

    async fn refresh_but(
        &self,
        to: Timestamp,
        but: impl Fn(&State, &Span, Timestamp) -> bool,
    ) -> Result<bool, TxnError> {
        let stale = {
            let state = self.state.borrow();
            state.reads.stale(to, |span, valid_to| {
                covered(&state.buffer, span, valid_to) || but(&state, span, valid_to)
            })
        };
        for (shard, spans) in stale {
            let body = RequestBody::Refresh(RefreshBody { txn: self.id, spans, to });
            match self.source.ask(shard, body).await? {
                ShardResponse::Refreshed(true) => {}
                ShardResponse::Refreshed(false) => return Ok(false),
                other => return Err(unexpected(&other)),
            }
            let mut state = self.state.borrow_mut();
            let mut reads = std::mem::take(&mut state.reads);
            reads.refreshed(shard, to, |span, valid_to| {
                covered(&state.buffer, span, valid_to) || but(&state, span, valid_to)
            });
            state.reads = reads;
        }
        Ok(true)
    }

    /// From now on it may hold locks in a shard.
    pub(super) fn may_lock_in(&self, shard: ShardId) {
        if self.state.borrow_mut().lock_shards.insert(shard) {
            self.source.keep(self.id, shard);
        }
    }

    /// Ends it without effect and frees its locks.
    ///
    /// # Errors
    ///
    /// None at present; ending twice is fine.
    pub async fn rollback(&self) -> Result<(), TxnError> {
        self.end();
        Ok(())
    }

    /// Ends it: locks and fences are freed by a task of their own.
    pub(super) fn end(&self) {
        let (fences, shards) = {
            let mut state = self.state.borrow_mut();
            if state.phase == Phase::Ended {
                return;
            }
            // A commit that nobody waits for any more may still happen.
            let lift = state.phase == Phase::Active && !state.in_doubt;
            state.phase = Phase::Ended;
            self.source.forget(self.id);
            let fences = std::mem::take(&mut state.fences);
            (if lift { fences } else { Vec::new() }, std::mem::take(&mut state.lock_shards))
        };
        if fences.is_empty() && shards.is_empty() {
            return;
        }
        let cleanup = clean_up(self.source.clone(), self.id, fences, shards);
        self.source.router.clock().spawn(Box::pin(cleanup));
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether a piece that was read is a key whose commit compares the version seen, and saw that very
/// version (an earlier read of the key may have seen an older one).
fn covered(buffer: &Buffer, span: &Span, valid_to: Timestamp) -> bool {
    let write = if span.is_point() { buffer.get(&span.start) } else { None };
    match write.map(|write| write.expect) {
        Some(Expect::Seen(seen)) => seen.is_none_or(|seen| seen <= valid_to),
        Some(Expect::NotLive | Expect::Any) | None => false,
    }
}

pub(super) fn unexpected(_: &ShardResponse) -> TxnError {
    TxnError::Unavailable("a shard answered another question".to_owned())
}

/// Takes back fences, then frees locks. A shard that nobody leads has no locks to free.
async fn clean_up(
    source: Rc<TxnSource>,
    txn: TxnId,
    fences: Vec<(ShardId, FenceBody)>,
    shards: BTreeSet<ShardId>,
) {
    let deadline: Mono = source.deadline();
    for (shard, fence) in fences {
        let body = RequestBody::LiftFence(fence);
        // A fence that stays is passed by publishing the descriptor anew.
        let _ = source.router.send(shard, body, Repeat::Freely, deadline).await;
    }
    for shard in shards {
        let body = RequestBody::Release { txn };
        // Locks that stay are freed with their coordinator's life or their leader's term.
        let _ = source.router.send(shard, body, Repeat::Freely, deadline).await;
    }
}
