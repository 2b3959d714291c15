//! Reads, locks and refreshes at a leader.
//!
//! The order of a read: show leadership, raise the timestamp cache, wait for what was decided below,
//! pin the store. After the answer, leadership is looked at again.

use super::error::ReplicaError;
use super::lock::Acquired;
use super::newest::NewestVersion;
use super::replica::Replica;
use super::request::{
    GetBody, KeyRead, LockMode, LockToken, RefreshBody, ScanBody, ShardResponse, StoredVersion,
    TxnRef, Wait,
};
use super::wait::{Gate, within};
use crate::base::id::TxnId;
use crate::base::key::{Key, Span};
use crate::base::timestamp::Timestamp;
use crate::bug;
use crate::mvcc::read::{
    expect_changed, expect_rows, expect_versions, family_of, scan_at, versions_at,
};
use crate::mvcc::version::is_tombstone;
use crate::shard::routing::Place;
use crate::storage::port::{Family, ReadReply, ReadRequest, Version};
use std::time::Duration;

/// Keys of one read whose versions are remembered: more are a scan by another name.
const REMEMBERED_KEYS_MAX: usize = 16;

struct Piece {
    rows: Vec<(Key, StoredVersion)>,
    resume: Option<Span>,
}

fn stored(version: Version) -> StoredVersion {
    StoredVersion { at: version.timestamp, value: version.value }
}

impl Replica {
    pub(super) async fn get(&self, body: &GetBody) -> Result<ShardResponse, ReplicaError> {
        let term = self.enter().await?;
        if body.lock == LockMode::None {
            let reader = Some(body.txn.id);
            let versions = self.read_keys(term, body.place, &body.keys, body.at, reader).await?;
            return Ok(ShardResponse::Versions { versions, tokens: Vec::new() });
        }
        self.check_fence(body.place)?;
        let tokens = self.lock_keys(term, body.txn, &body.keys, body.lock, body.wait).await?;
        let versions = self.read_newest(term, body.txn, body.place, &body.keys, body.at).await?;
        Ok(ShardResponse::Versions { versions, tokens })
    }

    /// A version at or below a time, protected up to there, if it is in memory and nothing has to be
    /// waited for. `None` says nothing.
    pub fn read_now(&self, read: &KeyRead<'_>) -> Option<Option<StoredVersion>> {
        self.certain_term(read.shard, read.epoch)?;
        if self.config.row_cache_bytes == 0 || self.latched([read.key], read.at).is_some() {
            return None;
        }
        let version = self.ports.machine.newest().borrow().version(read.key, read.at)?;
        self.leader.borrow_mut().tscache.raise(read.key, read.at, Some(read.reader));
        Some(version.map(stored))
    }

    /// As [`Self::get`] for one key, while leadership is certain: nothing may wait in between.
    pub(super) fn get_now(
        &self,
        term: u64,
        body: &GetBody,
    ) -> Option<Result<ShardResponse, ReplicaError>> {
        let [key] = body.keys.as_slice() else { return None };
        let locking = body.lock != LockMode::None;
        let at = if locking { Timestamp::MAX } else { body.at };
        if self.config.row_cache_bytes == 0 || self.latched([key], at).is_some() {
            return None;
        }
        let version = self.ports.machine.newest().borrow().version(key, at)?;
        let mut tokens = Vec::new();
        let mut leader = self.leader.borrow_mut();
        if locking {
            self.check_fence_of(&leader, body.place).ok()?;
            let now = self.ports.clock.now().mono;
            match leader.locks.acquire(body.txn, key, body.lock, false, now) {
                Ok(Acquired::Granted(token)) if token.term == term => tokens.push(token),
                Ok(_) | Err(ReplicaError::LockTimeout) => return None,
                // To be told once only: the table has forgotten that this one was to give way.
                Err(error) => return Some(Err(error)),
            }
        }
        leader.tscache.raise(key, body.at, Some(body.txn.id));
        Some(Ok(ShardResponse::Versions { versions: vec![version.map(stored)], tokens }))
    }

    /// Versions at or below `at`, protected up to `at`.
    async fn read_keys(
        &self,
        term: u64,
        place: Place,
        keys: &[Key],
        at: Timestamp,
        reader: Option<TxnId>,
    ) -> Result<Vec<Option<StoredVersion>>, ReplicaError> {
        self.confirm(term).await?;
        {
            let mut leader = self.leader.borrow_mut();
            for key in keys {
                leader.tscache.raise(key, at, reader);
            }
        }
        self.wait_for_keys(term, keys, at).await?;
        let family = family_of(place.index);
        let versions = match self.newest_below(term, family, keys, at).await? {
            Some(versions) => versions,
            None => {
                let request = versions_at(family, keys, at);
                expect_versions(self.pinned(term, request).await?, keys.len())
            }
        };
        Ok(versions.into_iter().map(|version| version.map(stored)).collect())
    }

    /// The newest versions of a few keys, if none is above `at`: nearly always so, and what the store
    /// says of them is remembered for the next reader.
    async fn newest_below(
        &self,
        term: u64,
        family: Family,
        keys: &[Key],
        at: Timestamp,
    ) -> Result<Option<Vec<Option<Version>>>, ReplicaError> {
        if REMEMBERED_KEYS_MAX < keys.len() {
            return Ok(None);
        }
        let versions = self.newest_of_keys(term, family, keys, at).await?;
        let above = versions.iter().flatten().any(|version| at < version.timestamp);
        Ok((!above).then_some(versions))
    }

    /// The newest versions of keys, from memory if none is above `at`.
    async fn newest_of_keys(
        &self,
        term: u64,
        family: Family,
        keys: &[Key],
        at: Timestamp,
    ) -> Result<Vec<Option<Version>>, ReplicaError> {
        let (known, stamp) = {
            let newest = self.ports.machine.newest().borrow();
            let cached = 0 < self.config.row_cache_bytes;
            let known = if cached { newest.versions(keys, at) } else { None };
            (known, newest.stamp())
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let request = versions_at(family, keys, Timestamp::MAX);
        let versions = expect_versions(self.pinned(term, request).await?, keys.len());
        let mut newest = self.ports.machine.newest().borrow_mut();
        for (key, version) in keys.iter().zip(&versions) {
            newest.found(stamp, key, version.as_ref());
        }
        Ok(versions)
    }

    /// Newest versions of locked keys, protected up to `at`.
    async fn read_newest(
        &self,
        term: u64,
        txn: TxnRef,
        place: Place,
        keys: &[Key],
        at: Timestamp,
    ) -> Result<Vec<Option<StoredVersion>>, ReplicaError> {
        self.confirm(term).await?;
        {
            let mut leader = self.leader.borrow_mut();
            for key in keys {
                leader.tscache.raise(key, at, Some(txn.id));
            }
        }
        self.wait_for_keys(term, keys, Timestamp::MAX).await?;
        let family = family_of(place.index);
        let versions = self.newest_of_keys(term, family, keys, Timestamp::MAX).await?;
        Ok(versions.into_iter().map(|version| version.map(stored)).collect())
    }

    async fn wait_for_keys(
        &self,
        term: u64,
        keys: &[Key],
        at: Timestamp,
    ) -> Result<(), ReplicaError> {
        while let Some(gate) = self.latched(keys, at) {
            gate.opened().await;
            self.still(term)?;
        }
        Ok(())
    }

    /// The gate of a proposal in flight that a reader of these keys must not skip.
    fn latched<'a>(&self, keys: impl IntoIterator<Item = &'a Key>, at: Timestamp) -> Option<Gate> {
        // B37: a reader skips a proposal in flight.
        bug!(self.config.faults, 37, None, self.latches.decided(keys.into_iter(), at))
    }

    async fn wait_for_span(
        &self,
        term: u64,
        span: &Span,
        at: Timestamp,
    ) -> Result<(), ReplicaError> {
        while let Some(gate) = bug!(self.config.faults, 37, None, self.latches.decided_in(span, at))
        {
            gate.opened().await;
            self.still(term)?;
        }
        Ok(())
    }

    /// Asks the store, which pins its state at once, and looks at leadership again afterwards.
    pub(super) async fn pinned(
        &self,
        term: u64,
        request: ReadRequest,
    ) -> Result<ReadReply, ReplicaError> {
        let reply = self.ports.store.read(request).await?;
        // B15: a read after a pause does not look at the lease again.
        bug!(self.config.faults, 15, (), self.confirm(term).await?);
        Ok(reply)
    }

    pub(super) async fn scan(&self, body: &ScanBody) -> Result<ShardResponse, ReplicaError> {
        let term = self.enter().await?;
        if body.span.is_empty() {
            return Ok(ShardResponse::Rows { rows: vec![], tokens: vec![], resume: None });
        }
        if body.lock != LockMode::None {
            self.check_fence(body.place)?;
        }
        let Piece { rows, resume } = self.scan_piece(term, body).await?;
        if body.lock == LockMode::None || rows.is_empty() {
            return Ok(ShardResponse::Rows { rows, tokens: Vec::new(), resume });
        }
        let keys: Vec<Key> = rows.iter().map(|(key, _)| key.clone()).collect();
        let tokens = self.lock_keys(term, body.txn, &keys, body.lock, body.wait).await?;
        let newest = self.read_newest(term, body.txn, body.place, &keys, body.at).await?;
        let newer = newest.iter().flatten().map(|version| version.at).max();
        if let Some(newer) = newer.filter(|newer| body.at < *newer) {
            return Ok(ShardResponse::Newer(newer));
        }
        Ok(ShardResponse::Rows { rows, tokens, resume })
    }

    /// Live rows of a bounded piece of the span. Only what was covered stays protected.
    async fn scan_piece(&self, term: u64, body: &ScanBody) -> Result<Piece, ReplicaError> {
        self.confirm(term).await?;
        let reader = Some(body.txn.id);
        let mark = self.leader.borrow_mut().tscache.raise_span(&body.span, body.at, reader);
        self.wait_for_span(term, &body.span, body.at).await?;
        let rows_max = usize::try_from(body.rows_max).unwrap_or(usize::MAX);
        let family = family_of(body.place.index);
        let request = scan_at(family, body.span.clone(), body.at, body.reverse, rows_max);
        let (rows, resume) = expect_rows(self.pinned(term, request).await?);
        if let Some(rest) = &resume {
            let covered = if body.reverse {
                Span { start: rest.end.clone(), end: body.span.end.clone() }
            } else {
                Span { start: body.span.start.clone(), end: rest.start.clone() }
            };
            self.leader.borrow_mut().tscache.shrink(mark, covered);
        }
        let live = rows.into_iter().filter(|(_, version)| !is_tombstone(&version.value));
        let rows = live.map(|(key, version)| (Key(key), stored(version))).collect();
        Ok(Piece { rows, resume })
    }

    /// Locks keys, in key order, so that statements that lock the same rows seldom cross.
    pub(super) async fn lock_keys(
        &self,
        term: u64,
        txn: TxnRef,
        keys: &[Key],
        mode: LockMode,
        wait: Wait,
    ) -> Result<Vec<LockToken>, ReplicaError> {
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_by_key(|at| &keys[*at]);
        let mut tokens = vec![LockToken::default(); keys.len()];
        for at in order {
            tokens[at] = self.lock_key(term, txn, &keys[at], mode, wait).await?;
        }
        Ok(tokens)
    }

    async fn lock_key(
        &self,
        term: u64,
        txn: TxnRef,
        key: &Key,
        mode: LockMode,
        wait: Wait,
    ) -> Result<LockToken, ReplicaError> {
        let may_wait = wait != Wait::No;
        let now = self.ports.clock.now().mono;
        let acquired = self.leader.borrow_mut().locks.acquire(txn, key, mode, may_wait, now)?;
        let answer = match acquired {
            Acquired::Granted(token) => return Ok(token),
            Acquired::Queued(answer) => answer,
        };
        let slice_ms = match wait {
            Wait::No => 0,
            Wait::Slice { slice_ms } | Wait::Last { slice_ms } => slice_ms,
        };
        let until = now + Duration::from_millis(u64::from(slice_ms));
        let waited = within(&*self.ports.clock, until, answer).await;
        if waited.is_none() {
            self.still(term)?;
            let now = self.ports.clock.now().mono;
            self.leader.borrow_mut().locks.expire_blockers(txn.id, now);
        }
        match waited {
            Some(Some(result)) => {
                let token = result?;
                self.still(term)?;
                Ok(token)
            }
            Some(None) => Err(self.not_leader()),
            None if matches!(wait, Wait::Slice { .. }) => Err(ReplicaError::StillWaiting),
            None => {
                self.leader.borrow_mut().locks.stop_waiting(txn.id);
                Err(ReplicaError::LockTimeout)
            }
        }
    }

    pub(super) async fn refresh(&self, body: &RefreshBody) -> Result<ShardResponse, ReplicaError> {
        let term = self.enter().await?;
        self.confirm(term).await?;
        {
            let mut leader = self.leader.borrow_mut();
            for read in &body.spans {
                if read.span.is_point() {
                    leader.tscache.raise(&read.span.start, body.to, Some(body.txn));
                } else {
                    leader.tscache.raise_span(&read.span, body.to, Some(body.txn));
                }
            }
        }
        for read in &body.spans {
            self.wait_for_span(term, &read.span, body.to).await?;
            let family: Family = family_of(read.place.index);
            let (span, after, up_to) = (read.span.clone(), read.from, body.to);
            let request = ReadRequest::ChangedIn { family, span, after, up_to };
            if expect_changed(self.pinned(term, request).await?).is_some() {
                return Ok(ShardResponse::Refreshed(false));
            }
        }
        Ok(ShardResponse::Refreshed(true))
    }
}

/// What a store's answer says of a key.
pub(super) fn newest_of(version: Option<&Version>) -> NewestVersion {
    match version {
        Some(v) => NewestVersion { at: Some(v.timestamp), live: !is_tombstone(&v.value) },
        None => NewestVersion::default(),
    }
}
