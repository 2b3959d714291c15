//! Statements of a transaction: reads of keys, writes, locks, bulk rows.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::error::TxnError;
use super::router::{Repeat, SLICE, SendError};
use super::source::TxnSource;
use super::transaction::{Locked, Phase, Transaction, unexpected};
use super::types::{BulkRow, Found, GetRequest, LockWait, RowWrite, WriteKind};
use crate::base::id::{IndexId, SYSTEM_SHARD, ShardId, TableId};
use crate::base::key::{Key, Span};
use crate::base::limit;
use crate::base::time::Mono;
use crate::base::timestamp::Timestamp;
use crate::mvcc::load::{self, LoadPacker};
use crate::mvcc::version;
use crate::replica::error::ReplicaError;
use crate::replica::request::{
    Expect, FenceBody, GetBody, IngestBody, LockMode, LockToken, RequestBody, ShardResponse,
    StoredVersion, Wait,
};
use crate::shard::routing::{Place, Route};

/// Versions of keys as a shard gave them, with tokens if they were locked.
pub(super) type Versions = (Vec<Option<StoredVersion>>, Vec<LockToken>);

/// How often a statement takes a later timestamp because rows keep changing under its locks.
pub(super) const MOVES_MAX: usize = 32;

/// The lock of a whole table is one of a key that no table has.
const TABLE_LOCKS: Place = Place { table: TableId(0), version: u32::MAX, index: IndexId(0) };

fn table_lock_key(table: TableId) -> Key {
    [&[0; 8][..], &table.0.to_be_bytes()].concat().into()
}

/// The row of a version; `None` for a tombstone.
pub(super) fn live_row(version: StoredVersion) -> Result<Option<Bytes>, TxnError> {
    let StoredVersion { at, value } = version;
    let value = version::decode_owned(value)
        .map_err(|error| TxnError::Corrupted(format!("a version at {at}: {error}")))?;
    Ok((!value.header.tombstone).then_some(value.row))
}

/// A row that was at hand; `None` if it must be looked at more closely.
fn found_at(version: Option<StoredVersion>, key: &Key, at: Timestamp) -> Option<Option<Found>> {
    let Some(version) = version else { return Some(None) };
    let seen = Some(version.at).filter(|seen| *seen <= at)?;
    let row = live_row(version).ok()?;
    Some(row.map(|row| Found { key: key.clone(), row, version: Some(seen) }))
}

impl TxnSource {
    /// The row of a key as a transaction sees it that does nothing else, if all of it is at hand and
    /// the catalog is still the one named. `None` says nothing.
    pub fn read_now(
        self: &Rc<Self>,
        catalog_version: u64,
        place: Place,
        route: Route,
        key: &Key,
    ) -> Option<Option<Found>> {
        let Route::Hash(hash) = route else { return None };
        let grant = self.oracle.grant_now(Timestamp::ZERO)?;
        if grant.catalog_version != catalog_version {
            return None;
        }
        let (reader, at) = (self.fresh_id(), grant.first);
        let shard = self.router.cache().map().route_row(place, hash);
        found_at(self.router.read_now(shard, reader, key, at)?, key, at)
    }
}

impl Transaction {
    /// Reads single keys, in the order asked. A locking read may move the transaction's timestamp
    /// forward.
    ///
    /// # Errors
    ///
    /// [`TxnError`].
    pub async fn get(&self, request: GetRequest) -> Result<Vec<Option<Found>>, TxnError> {
        self.timestamp().await?;
        let mut rows: Vec<Option<Found>> = vec![None; request.keys.len()];
        let (mut asked, mut places) = (Vec::new(), Vec::new());
        {
            let state = self.state.borrow();
            for (at, key) in request.keys.iter().enumerate() {
                match state.buffer.get(key) {
                    Some(own) => {
                        let found = |row| Found { key: key.clone(), row, version: None };
                        rows[at] = own.row.clone().map(found);
                    }
                    None => {
                        asked.push(key.clone());
                        places.push(at);
                    }
                }
            }
        }
        if asked.is_empty() {
            return Ok(rows);
        }
        let shards = self.source.router.cache().map().route(request.place, request.route);
        for shard in shards {
            let (versions, _) =
                self.read_keys(shard, request.place, &asked, request.lock, request.wait).await?;
            for ((at, key), version) in places.iter().zip(&asked).zip(versions) {
                let Some(version) = version else { continue };
                let seen = Some(version.at);
                if let Some(row) = live_row(version)? {
                    rows[*at] = Some(Found { key: key.clone(), row, version: seen });
                }
            }
        }
        Ok(rows)
    }

    /// The shard to ask for a key at which time, if its row is not this transaction's own.
    fn target_now(&self, place: Place, route: Route, key: &Key) -> Option<(ShardId, Timestamp)> {
        let Route::Hash(hash) = route else { return None };
        let state = self.state.borrow();
        let free = state.phase == Phase::Active && state.buffer.get(key).is_none();
        let at = Some(state.at).filter(|at| free && *at != Timestamp::ZERO)?;
        Some((self.source.router.cache().map().route_row(place, hash), at))
    }

    /// As [`Self::get`] of one key without a lock, if its row is at hand.
    pub fn get_now(&self, place: Place, route: Route, key: &Key) -> Option<Option<Found>> {
        let (shard, at) = self.target_now(place, route, key)?;
        let router = &self.source.router;
        let found = found_at(router.read_now(shard, self.id, key, at)?, key, at)?;
        if !self.options.read_only {
            let mut state = self.state.borrow_mut();
            state.reads.note(shard, place, Span::point(key.clone()), at);
        }
        Some(found)
    }

    /// As [`Self::get`] of one key with a lock, if that is free and its row at hand, and no newer
    /// than the statement. `None`: ask with [`Self::get`], which finds the lock if it was taken.
    pub fn lock_now(
        &self,
        place: Place,
        route: Route,
        key: &Key,
        lock: LockMode,
    ) -> Option<Result<Option<Found>, TxnError>> {
        let (shard, at) = self.target_now(place, route, key)?;
        self.may_lock_in(shard);
        let (txn, keys) = (self.as_ref(), vec![key.clone()]);
        let body = GetBody { txn, place, keys, at, lock, wait: Wait::No };
        let (version, token) = match self.source.router.send_now(shard, RequestBody::Get(body))? {
            Ok(ShardResponse::Versions { mut versions, mut tokens }) => {
                (versions.pop()?, tokens.pop()?)
            }
            Ok(_) => return None,
            Err(error) => return Some(Err(TxnError::from_refusal(error))),
        };
        let seen = version.as_ref().map(|version| version.at);
        {
            let mut state = self.state.borrow_mut();
            state.locked.insert(key.clone(), Locked { shard, place, token, seen });
            if !self.options.read_only {
                let valid_to = at.max(seen.unwrap_or_default());
                state.reads.note(shard, place, Span::point(key.clone()), valid_to);
            }
        }
        found_at(version, key, at).map(Ok)
    }

    /// Whether [`Self::write`] would wait for nothing: there is no insert that must be checked.
    pub fn takes_now<'a>(&self, mut inserts: impl Iterator<Item = &'a Key>) -> bool {
        let state = self.state.borrow();
        let begun = state.phase == Phase::Active && state.at != Timestamp::ZERO;
        begun && (self.options.autocommit || inserts.all(|key| state.buffer.get(key).is_some()))
    }

    /// Buffers writes that [`Self::takes_now`] has looked at.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn take_now(&self, writes: impl Iterator<Item = RowWrite>) -> Result<(), TxnError> {
        for write in writes {
            let shard = self.source.router.cache().map().route_row(write.place, write.hash);
            self.state.borrow_mut().buffer.put(write, shard, None)?;
        }
        Ok(())
    }

    /// Reads keys in a shard and remembers that. Locked ones are the newest there are: if one is newer
    /// than the statement, the statement moves.
    pub(super) async fn read_keys(
        &self,
        shard: ShardId,
        place: Place,
        keys: &[Key],
        lock: LockMode,
        wait: LockWait,
    ) -> Result<Versions, TxnError> {
        let at = self.timestamp().await?;
        let body = |wait| {
            RequestBody::Get(GetBody {
                txn: self.as_ref(),
                place,
                keys: keys.to_vec(),
                at,
                lock,
                wait,
            })
        };
        let (versions, tokens) = match self.ask_waiting(shard, lock, wait, body).await? {
            ShardResponse::Versions { versions, tokens } if versions.len() == keys.len() => {
                (versions, tokens)
            }
            other => return Err(unexpected(&other)),
        };
        let mut newest = Timestamp::ZERO;
        {
            let mut state = self.state.borrow_mut();
            for (number, (key, version)) in keys.iter().zip(&versions).enumerate() {
                let seen = version.as_ref().map(|version| version.at);
                newest = newest.max(seen.unwrap_or_default());
                if let Some(token) = tokens.get(number).copied() {
                    let locked = Locked { shard, place, token, seen };
                    state.locked.insert(key.clone(), locked);
                }
                if !self.options.read_only {
                    let valid_to = at.max(seen.unwrap_or_default());
                    state.reads.note(shard, place, Span::point(key.clone()), valid_to);
                }
            }
        }
        if at < newest {
            self.advance(newest).await?;
        }
        Ok((versions, tokens))
    }

    /// Asks until the locks are there, or the patience for them is over.
    pub(super) async fn ask_waiting(
        &self,
        shard: ShardId,
        lock: LockMode,
        wait: LockWait,
        body: impl Fn(Wait) -> RequestBody,
    ) -> Result<ShardResponse, TxnError> {
        if lock != LockMode::None {
            self.may_lock_in(shard);
        }
        let clock = self.source.router.clock().clone();
        let lock_deadline = match wait {
            LockWait::Timeout(patience) => clock.now().mono + patience,
            LockWait::Forever | LockWait::No => Mono::MAX,
        };
        loop {
            let now = clock.now().mono;
            let slice = SLICE.min(lock_deadline.since(now));
            // Rounded up: nobody waits for less than was asked.
            let slice_ms = u32::try_from(slice.as_micros().div_ceil(1_000)).unwrap_or(u32::MAX);
            let wait = match wait {
                LockWait::No => Wait::No,
                _ if lock_deadline <= now + SLICE => Wait::Last { slice_ms },
                LockWait::Forever | LockWait::Timeout(_) => Wait::Slice { slice_ms },
            };
            let deadline = self.source.deadline();
            let sent = self.source.router.send(shard, body(wait), Repeat::Freely, deadline).await;
            match sent {
                Ok(response) => return Ok(response),
                Err(SendError::Refused(ReplicaError::StillWaiting)) => {}
                Err(SendError::Refused(error)) => return Err(TxnError::from_refusal(error)),
                Err(SendError::Unavailable | SendError::Lost) => {
                    let what = format!("{shard} has no leader that answers");
                    return Err(TxnError::Unavailable(what));
                }
            }
        }
    }

    /// Buffers writes. Inserts lock their keys and are checked now, unless the transaction is a single
    /// autocommit statement.
    ///
    /// # Errors
    ///
    /// [`TxnError::Duplicate`], [`TxnError::TooLarge`], [`TxnError::CrossShard`], and whatever locking
    /// brings.
    pub async fn write(&self, writes: Vec<RowWrite>) -> Result<(), TxnError> {
        self.timestamp().await?;
        let mut checked = if self.options.autocommit {
            BTreeMap::new()
        } else {
            self.check_inserts(&writes).await?
        };
        for write in writes {
            let shard = self.source.router.cache().map().route_row(write.place, write.hash);
            let expect = checked.remove(&write.key);
            self.state.borrow_mut().buffer.put(write, shard, expect)?;
        }
        Ok(())
    }

    /// Locks what is to be inserted and makes sure that it is not there.
    async fn check_inserts(&self, writes: &[RowWrite]) -> Result<BTreeMap<Key, Expect>, TxnError> {
        let mut groups: BTreeMap<(ShardId, u32, u32), Vec<&RowWrite>> = BTreeMap::new();
        {
            let state = self.state.borrow();
            for write in writes {
                let insert = matches!(write.kind, WriteKind::Insert(_));
                if insert && state.buffer.get(&write.key).is_none() {
                    let shard = self.source.router.cache().map().route_row(write.place, write.hash);
                    if state.buffer.shard().is_some_and(|other| other != shard) {
                        return Err(TxnError::CrossShard);
                    }
                    let id = (shard, write.place.table.0, write.place.index.0);
                    groups.entry(id).or_default().push(write);
                }
            }
        }
        let mut checked = BTreeMap::new();
        for ((shard, ..), group) in groups {
            let Some(place) = group.first().map(|write| write.place) else { continue };
            let keys: Vec<Key> = group.iter().map(|write| write.key.clone()).collect();
            let lock = LockMode::Exclusive;
            let (versions, _) =
                self.read_keys(shard, place, &keys, lock, LockWait::Forever).await?;
            for (write, version) in group.iter().zip(versions) {
                let seen = version.as_ref().map(|version| version.at);
                if let Some(version) = version
                    && live_row(version)?.is_some()
                {
                    return Err(TxnError::Duplicate { tag: write.tag, key: write.key.clone() });
                }
                checked.insert(write.key.clone(), Expect::Seen(seen));
            }
        }
        Ok(checked)
    }

    /// Writes rows of a new table or index id as final versions, outside the bounds of the buffer.
    /// `remember`: single ones will be looked up.
    ///
    /// # Errors
    ///
    /// [`TxnError`]; what was written stays, under an id that nobody knows.
    pub async fn ingest(
        &self,
        rows: impl Iterator<Item = BulkRow>,
        remember: bool,
    ) -> Result<(), TxnError> {
        self.timestamp().await?;
        let at = self.state.borrow().start;
        let mut packers: BTreeMap<(ShardId, bool), LoadPacker> = BTreeMap::new();
        let txn = self.id;
        for BulkRow { place, hash, key, row } in rows {
            let shard = self.source.router.cache().map().route_row(place, hash);
            if !load::fits(&key.0, row.len()) {
                return Err(TxnError::Limit("bytes of a key or a row".to_owned()));
            }
            let index = place.index != IndexId(0);
            let packer = packers.entry((shard, index)).or_insert_with(|| LoadPacker::new(at));
            packer.put(&key.0, place.version, hash, &row);
            if limit::BULK_BATCH_BYTES <= packer.len() {
                let rows = packer.take();
                self.ingest_batch(shard, IngestBody { txn, at, index, remember, rows }).await?;
            }
        }
        for ((shard, index), mut packer) in packers {
            if !packer.is_empty() {
                let rows = packer.take();
                self.ingest_batch(shard, IngestBody { txn, at, index, remember, rows }).await?;
            }
        }
        Ok(())
    }

    async fn ingest_batch(&self, shard: ShardId, body: IngestBody) -> Result<(), TxnError> {
        self.source.ask(shard, RequestBody::Ingest(body)).await.map(|_| ())
    }

    /// Locks a table: nobody else locks it, and its shards refuse descriptors up to `place.version`.
    /// The transaction goes on at a timestamp above all commits under the old descriptor.
    ///
    /// # Errors
    ///
    /// [`TxnError`].
    pub async fn lock_table(&self, place: Place, wait: LockWait) -> Result<(), TxnError> {
        let at = self.timestamp().await?;
        let keys = vec![table_lock_key(place.table)];
        let (txn, lock) = (self.as_ref(), LockMode::Exclusive);
        let body = |wait| {
            let (place, keys) = (TABLE_LOCKS, keys.clone());
            RequestBody::Get(GetBody { txn, place, keys, at, lock, wait })
        };
        self.ask_waiting(SYSTEM_SHARD, lock, wait, body).await?;
        let fence = FenceBody {
            table: place.table,
            version: place.version.saturating_add(1),
            txn: self.id,
        };
        let shards = self.source.router.cache().map().route(place, Route::All);
        for shard in shards {
            self.state.borrow_mut().fences.push((shard, fence));
            self.source.ask(shard, RequestBody::PlaceFence(fence)).await?;
        }
        self.advance(at).await.map(|_| ())
    }
}

/// How long a one-phase commit waits in the queues of keys that others hold.
pub(super) fn commit_wait() -> Wait {
    let slice: Duration = SLICE;
    Wait::Slice { slice_ms: u32::try_from(slice.as_millis()).unwrap_or(u32::MAX) }
}
