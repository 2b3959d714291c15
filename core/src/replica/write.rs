//! One-phase commits at a leader: all writes of a transaction in one log entry, or none.
//!
//! The order of a commit: take the latches, look at the newest versions, look whether an earlier try
//! got through, compare with what the writer saw, find the least timestamp allowed, and if that is the
//! one asked for, propose. From the look at the timestamp cache to the proposal nothing waits.

use super::command::{Part, VersionWrite};
use super::error::ReplicaError;
use super::newest::NewestVersion;
use super::proposer::Tail;
use super::read::newest_of;
use super::replica::Replica;
use super::request::{
    CommitBody, CommitOutcome, Expect, IngestBody, LockMode, ResolveBody, ShardResponse, ShardWrite,
};
use crate::base::id::{IndexId, SYSTEM_SHARD};
use crate::base::key::Key;
use crate::base::limit;
use crate::base::timestamp::Timestamp;
use crate::bug;
use crate::mvcc::load;
use crate::mvcc::read::{expect_versions, family_of, versions_at};
use crate::mvcc::version::{self, VersionHeader};
use crate::shard::routing::Place;
use crate::storage::port::Family;

fn version_write(place: Place, hash: u16, key: &Key, row: Option<&[u8]>) -> VersionWrite {
    let header = VersionHeader { tombstone: row.is_none(), schema: place.version, hash };
    let value = version::encode(header, row.unwrap_or_default());
    VersionWrite { index: place.index != IndexId(0), key: key.clone(), value }
}

fn check_write(key: &Key, row_len: usize) -> Result<(), ReplicaError> {
    match load::fits(&key.0, row_len) {
        true => Ok(()),
        false => Err(ReplicaError::Limit("bytes of a key or a row".to_owned())),
    }
}

fn written(writes: &[ShardWrite]) -> Vec<VersionWrite> {
    let version = |w: &ShardWrite| version_write(w.place, w.hash, &w.key, w.row.as_deref());
    writes.iter().map(version).collect()
}

/// Whether a commit's write expects nothing of what is there.
fn is_free(body: &CommitBody, at: usize) -> bool {
    body.writes.get(at).is_some_and(|write| write.expect == Expect::Any)
}

impl Replica {
    pub(super) async fn commit(&self, body: &CommitBody) -> Result<ShardResponse, ReplicaError> {
        if body.writes.is_empty() || limit::TXN_WRITES_MAX < body.writes.len() {
            return Err(ReplicaError::Refused("a commit without writes, or too many".to_owned()));
        }
        for write in &body.writes {
            check_write(&write.key, write.row.as_ref().map_or(0, bytes::Bytes::len))?;
        }
        loop {
            let term = self.enter().await?;
            for write in &body.writes {
                self.check_fence(write.place)?;
            }
            self.wait_for_locks(term, body).await?;
            let keys = body.writes.iter().map(|write| write.key.clone()).collect();
            let latch = match self.latches.try_acquire(keys) {
                Ok(latch) => latch,
                Err(gate) => {
                    gate.opened().await;
                    continue;
                }
            };
            let newest = self.newest_versions(term, body).await?;
            if let Some(at) = self.executed(term, body, newest[0]).await? {
                return Ok(ShardResponse::Commit(CommitOutcome::Done(at)));
            }
            self.still(term)?;
            if let Some(outcome) = self.objection(body, &newest)? {
                // A refusal must not come from a leader that was replaced without noticing.
                self.confirm(term).await?;
                return Ok(ShardResponse::Commit(outcome));
            }
            latch.decide(body.at);
            self.note_catalog_change(body);
            let (txn, at, client) = (body.txn.id, body.at, body.client);
            let part = Part::Commit { txn, at, writes: written(&body.writes), client };
            self.propose(term, part, Tail::new(latch, txn)).await?;
            return Ok(ShardResponse::Commit(CommitOutcome::Done(at)));
        }
    }

    /// Waits in the queues of keys that others hold. What it takes is freed with the commit, or by the
    /// coordinator.
    async fn wait_for_locks(&self, term: u64, body: &CommitBody) -> Result<(), ReplicaError> {
        let held = {
            let leader = self.leader.borrow();
            let held = |w: &&ShardWrite| leader.locks.is_held_by_other(&w.key, body.txn.id);
            !leader.locks.is_empty() && body.writes.iter().any(|w| held(&w))
        };
        if held {
            let keys: Vec<Key> = body.writes.iter().map(|write| write.key.clone()).collect();
            self.lock_keys(term, body.txn, &keys, LockMode::Exclusive, body.wait).await?;
        }
        Ok(())
    }

    /// The newest versions of what is to be written, then of what was only locked.
    async fn newest_versions(
        &self,
        term: u64,
        body: &CommitBody,
    ) -> Result<Vec<NewestVersion>, ReplicaError> {
        let written = body.writes.iter().map(|write| (write.place, &write.key));
        let locked = body.locked.iter().map(|locked| (locked.place, &locked.key));
        let all: Vec<(Place, &Key)> = written.chain(locked).collect();
        let mut found = vec![NewestVersion::default(); all.len()];
        for family in [Family::Data, Family::Index] {
            let (mut missing, mut keys) = (Vec::new(), Vec::new());
            let stamp = {
                let cache = self.ports.machine.newest().borrow();
                for (at, (place, key)) in all.iter().enumerate() {
                    if family_of(place.index) != family {
                        continue;
                    }
                    match cache.get(key) {
                        Some(known) => found[at] = known,
                        // Nobody else's, or derived from a row that is looked at. The first is where
                        // an earlier try of the same commit is looked for.
                        None if 0 < at && is_free(body, at) => {}
                        None => {
                            missing.push(at);
                            keys.push((*key).clone());
                        }
                    }
                }
                cache.stamp()
            };
            if missing.is_empty() {
                continue;
            }
            let request = versions_at(family, &keys, Timestamp::MAX);
            let reply = self.ports.store.read(request).await?;
            self.still(term)?;
            let versions = expect_versions(reply, keys.len());
            let mut cache = self.ports.machine.newest().borrow_mut();
            for ((at, key), version) in missing.into_iter().zip(&keys).zip(&versions) {
                found[at] = newest_of(version.as_ref());
                cache.found(stamp, key, version.as_ref());
            }
        }
        Ok(found)
    }

    /// Whether this transaction is committed already, at this or an earlier try.
    async fn executed(
        &self,
        term: u64,
        body: &CommitBody,
        first: NewestVersion,
    ) -> Result<Option<Timestamp>, ReplicaError> {
        let all = body.tried.iter().copied().chain([body.at]);
        let oldest = all.clone().min().unwrap_or(body.at);
        if first.at.is_none_or(|newest| newest < oldest) {
            return Ok(None);
        }
        // B38: a retry of a one-phase commit does not look for its earlier tries.
        if bug!(self.config.faults, 38, true, false) {
            return Ok(None);
        }
        let first = &body.writes[0];
        self.committed_at(term, first.place, &first.key, all).await
    }

    async fn committed_at(
        &self,
        term: u64,
        place: Place,
        key: &Key,
        tried: impl Iterator<Item = Timestamp>,
    ) -> Result<Option<Timestamp>, ReplicaError> {
        for at in tried {
            let request = versions_at(family_of(place.index), std::slice::from_ref(key), at);
            let reply = self.pinned(term, request).await?;
            let version = expect_versions(reply, 1).pop().flatten();
            if version.is_some_and(|version| version.timestamp == at) {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// Why the commit cannot be proposed at its timestamp, if so.
    fn objection(
        &self,
        body: &CommitBody,
        newest: &[NewestVersion],
    ) -> Result<Option<CommitOutcome>, ReplicaError> {
        let leader = self.leader.borrow();
        let (txn, at) = (body.txn.id, body.at);
        let mut floor = at.max(leader.tscache.low_water()).max(leader.closed.next());
        for (number, (write, newest)) in (0u32..).zip(body.writes.iter().zip(newest)) {
            // Fences that were placed since the first look count too.
            self.check_fence(write.place)?;
            match write.expect {
                Expect::NotLive if newest.live => {
                    return Ok(Some(CommitOutcome::Duplicate(number)));
                }
                // B22: a write-write conflict is ignored now and then.
                Expect::Seen(seen)
                    if newest.at != seen
                        && bug!(self.config.faults, 22, txn.number % 4 != 0, true) =>
                {
                    return Ok(Some(CommitOutcome::Changed(number)));
                }
                Expect::NotLive | Expect::Seen(_) | Expect::Any => {}
            }
            let read = leader.tscache.newest_read(&write.key, txn);
            // B23: a read-write conflict is ignored now and then.
            if at <= read && bug!(self.config.faults, 23, txn.number % 4 != 0, true) {
                floor = floor.max(read.next());
            }
            if let Some(newest) = newest.at.filter(|newest| at <= *newest) {
                floor = floor.max(newest.next());
            }
        }
        for (locked, newest) in body.locked.iter().zip(&newest[body.writes.len()..]) {
            let lost = !leader.locks.holds(txn, &locked.key, locked.token);
            let taken = leader.locks.is_held_by_other(&locked.key, txn);
            if lost && (taken || newest.at != locked.seen) {
                let number = u32::try_from(body.writes.len()).unwrap_or(u32::MAX);
                return Ok(Some(CommitOutcome::Changed(number)));
            }
        }
        if body.catalog {
            // No grant that names the old catalog may be above the change of it.
            match &leader.oracle {
                Some(oracle) if oracle.last() == at => {}
                Some(oracle) => floor = floor.max(oracle.last().next()),
                None => {
                    return Err(ReplicaError::Refused("the catalog is not here".to_owned()));
                }
            }
        }
        Ok((at < floor).then_some(CommitOutcome::Pushed(floor)))
    }

    fn note_catalog_change(&self, body: &CommitBody) {
        if !body.catalog {
            return;
        }
        let mut leader = self.leader.borrow_mut();
        leader.catalog_changes += 1;
        if let Some(oracle) = &mut leader.oracle {
            oracle.release(body.txn.id);
        }
        if let Some(gate) = leader.hold_over.take() {
            gate.open();
        }
    }

    pub(super) async fn resolve(&self, body: &ResolveBody) -> Result<ShardResponse, ReplicaError> {
        let term = self.enter().await?;
        self.confirm(term).await?;
        let last = body.tried.iter().max().copied().unwrap_or_default();
        // Nobody, the transaction itself least of all, writes here at a tried timestamp any more.
        self.leader.borrow_mut().tscache.raise(&body.key, last.next(), None);
        while let Some(gate) = self.latches.decided([&body.key].into_iter(), last) {
            gate.opened().await;
            self.still(term)?;
        }
        let tried = body.tried.iter().copied();
        let at = self.committed_at(term, body.place, &body.key, tried).await?;
        Ok(ShardResponse::Resolved(at))
    }

    pub(super) async fn ingest(&self, body: &IngestBody) -> Result<ShardResponse, ReplicaError> {
        if self.shard() == SYSTEM_SHARD {
            return Err(ReplicaError::Refused("system tables have no bulk path".to_owned()));
        }
        if let Err(error) = load::check(&body.rows, body.at) {
            return Err(ReplicaError::Refused(format!("rows of a load: {error}")));
        }
        let term = self.enter().await?;
        let IngestBody { txn, at, index, remember, ref rows } = *body;
        let part = Part::Ingest { txn, at, index, remember, rows: rows.clone() };
        self.propose(term, part, Tail::default()).await?;
        Ok(ShardResponse::Done)
    }
}
