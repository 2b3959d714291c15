//! Snapshots of a shard: pinned and read in chunks here, kept aside in chunks there until they are
//! whole.
//!
//! The sink verifies each chunk before it keeps it, and the whole at the end (the applied place must
//! be the promised one).

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;

use super::super::effect::{Effect, LogLevel};
use super::super::outbox::Outbox;
use super::machine::applied_state;
use super::store::OutboxStore;
use crate::base::id::{ShardId, Token};
use crate::base::limit;
use crate::raft::ports::OpenSnapshot;
use crate::raft::{AppliedState, SnapshotError, SnapshotMeta, SnapshotSink, SnapshotSource};
use crate::replica::machine::Machine;
use crate::storage::chunk::{decode_chunk, encode_chunk};
use crate::storage::port::{StorageEffect, StorageEvent};

fn failed(what: impl ToString) -> SnapshotError {
    SnapshotError(what.to_string())
}

/// Pins the store as it is when this is called (effects are performed in order).
pub(in super::super) fn open(
    outbox: Outbox,
    shard: ShardId,
    meta: SnapshotMeta,
) -> impl Future<Output = Result<OpenSnapshot, SnapshotError>> {
    let mut pinned = Token::default();
    let answer = outbox.ask(|token| {
        pinned = token;
        StorageEffect::OpenSnapshot(token, shard)
    });
    let source = Source { outbox, snapshot: pinned };
    async move {
        match answer.await {
            Ok(StorageEvent::SnapshotOpened(_, Ok(()))) => {
                Ok(OpenSnapshot { meta, source: Box::new(source) })
            }
            Ok(StorageEvent::SnapshotOpened(_, Err(error))) => Err(failed(error)),
            Ok(_) | Err(_) => Err(failed("the store did not answer")),
        }
    }
}

struct Source {
    outbox: Outbox,
    snapshot: Token,
}

impl Drop for Source {
    fn drop(&mut self) {
        self.outbox.push(Effect::Storage(StorageEffect::ReleaseSnapshot(self.snapshot)));
    }
}

impl SnapshotSource for Source {
    fn next_chunk(&mut self) -> LocalBoxFuture<'_, Result<Option<Bytes>, SnapshotError>> {
        let snapshot = self.snapshot;
        let answer = self.outbox.ask(|token| StorageEffect::ReadSnapshotChunk {
            token,
            snapshot,
            // A chunk may be over by one pair, and the encoding adds a little.
            bytes_max: limit::SNAPSHOT_CHUNK_BYTES / 2,
        });
        Box::pin(async move {
            match answer.await {
                Ok(StorageEvent::SnapshotChunk(_, Ok(pairs))) if pairs.is_empty() => Ok(None),
                Ok(StorageEvent::SnapshotChunk(_, Ok(pairs))) => Ok(Some(encode_chunk(&pairs))),
                Ok(StorageEvent::SnapshotChunk(_, Err(error))) => Err(failed(error)),
                Ok(_) | Err(_) => Err(failed("the store did not answer")),
            }
        })
    }
}

/// Takes a snapshot in: keeps the chunks aside, and replaces the store only once all are there, when
/// raft applies nothing meanwhile.
pub(in super::super) struct Sink {
    store: OutboxStore,
    machine: Rc<Machine>,
    flushed: Rc<RefCell<AppliedState>>,
    meta: SnapshotMeta,
    arrival: Option<Token>,
}

impl Sink {
    pub(in super::super) fn new(
        store: OutboxStore,
        machine: Rc<Machine>,
        flushed: Rc<RefCell<AppliedState>>,
        meta: SnapshotMeta,
    ) -> Self {
        Self { store, machine, flushed, meta, arrival: None }
    }

    async fn stage(&mut self, chunk: Bytes) -> Result<(), SnapshotError> {
        decode_chunk(&chunk).map_err(failed)?;
        let (store, arrived) = (self.store.shard, &mut self.arrival);
        let answer = self.store.outbox.ask(|token| {
            let arrival = *arrived.get_or_insert(token);
            StorageEffect::Stage { token, store, arrival, chunk }
        });
        match answer.await {
            Ok(StorageEvent::Staged(_, result)) => result.map_err(failed),
            Ok(_) | Err(_) => Err(failed("the store did not answer")),
        }
    }

    async fn install(self) -> Result<(), SnapshotError> {
        self.store.replace(self.arrival).await.map_err(failed)?;
        let pairs = self.store.meta().await.map_err(failed)?;
        let (applied, membership) = Machine::applied_of(&pairs).map_err(failed)?;
        let state = applied_state(applied, membership.as_ref()).map_err(failed)?;
        assert!(
            state.position == self.meta.last,
            "{} was replaced by a snapshot of {:?}, not of {:?}",
            self.store.shard,
            state.position,
            self.meta.last
        );
        self.machine.reload(&pairs).map_err(failed)?;
        let (shard, index) = (self.store.shard, state.position.map_or(0, |at| at.index));
        let message = format!("{shard} was replaced by a snapshot up to {index}");
        self.store.outbox.log(LogLevel::Info, message);
        *self.flushed.borrow_mut() = state;
        Ok(())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some(arrival) = self.arrival {
            let store = self.store.shard;
            let effect = StorageEffect::Unstage { store, arrival };
            self.store.outbox.push(Effect::Storage(effect));
        }
    }
}

impl SnapshotSink for Sink {
    fn chunk(&mut self, bytes: Bytes) -> LocalBoxFuture<'_, Result<(), SnapshotError>> {
        Box::pin(self.stage(bytes))
    }

    fn finish(self: Box<Self>) -> LocalBoxFuture<'static, Result<(), SnapshotError>> {
        Box::pin(self.install())
    }
}
