//! Snapshots of a shard: pinned and read in chunks here, ingested in chunks there.
//!
//! A chunk is a version byte and postcard pairs, with a checksum; the sink verifies each before it
//! ingests it, and the whole at the end (the applied place must be the promised one).

use std::cell::RefCell;
use std::rc::Rc;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::future::LocalBoxFuture;

use super::super::effect::{Effect, LogLevel};
use super::super::outbox::Outbox;
use super::machine::applied_state;
use super::store::OutboxStore;
use crate::base::codec::{from_versioned, to_versioned};
use crate::base::id::{ShardId, Token};
use crate::base::limit;
use crate::raft::ports::OpenSnapshot;
use crate::raft::{AppliedState, SnapshotError, SnapshotMeta, SnapshotSink, SnapshotSource};
use crate::replica::machine::Machine;
use crate::storage::port::{SnapshotPairs, StorageEffect, StorageEvent};

const VERSION: u8 = 1;

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
                Ok(StorageEvent::SnapshotChunk(_, Ok(pairs))) => Ok(Some(encode(&pairs))),
                Ok(StorageEvent::SnapshotChunk(_, Err(error))) => Err(failed(error)),
                Ok(_) | Err(_) => Err(failed("the store did not answer")),
            }
        })
    }
}

fn encode(pairs: &SnapshotPairs) -> Bytes {
    let body = to_versioned(VERSION, pairs);
    let mut chunk = BytesMut::with_capacity(4 + body.len());
    chunk.put_u32(crc32c::crc32c(&body));
    chunk.put_slice(&body);
    chunk.freeze()
}

fn decode(chunk: &[u8]) -> Result<SnapshotPairs, SnapshotError> {
    let (crc, body) = chunk.split_at_checked(4).ok_or_else(|| failed("chunk too short"))?;
    if crc32c::crc32c(body).to_be_bytes() != crc {
        return Err(failed("checksum of a chunk does not match"));
    }
    from_versioned(VERSION, body).map_err(failed)
}

/// Takes a snapshot in.
pub(in super::super) struct Sink {
    store: OutboxStore,
    machine: Rc<Machine>,
    flushed: Rc<RefCell<AppliedState>>,
    meta: SnapshotMeta,
    first: bool,
}

impl Sink {
    pub(in super::super) fn new(
        store: OutboxStore,
        machine: Rc<Machine>,
        flushed: Rc<RefCell<AppliedState>>,
        meta: SnapshotMeta,
    ) -> Self {
        Self { store, machine, flushed, meta, first: true }
    }

    async fn ingest(&mut self, chunk: SnapshotPairs, last: bool) -> Result<(), SnapshotError> {
        let (store, first) = (self.store.shard, std::mem::replace(&mut self.first, false));
        let answer = self.store.outbox.ask(|token| StorageEffect::Ingest {
            token,
            store,
            chunk,
            first,
            last,
        });
        match answer.await {
            Ok(StorageEvent::Ingested(_, result)) => result.map_err(failed),
            Ok(_) | Err(_) => Err(failed("the store did not answer")),
        }
    }

    async fn install(mut self) -> Result<(), SnapshotError> {
        self.ingest(SnapshotPairs::new(), true).await?;
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

impl SnapshotSink for Sink {
    fn chunk(&mut self, bytes: Bytes) -> LocalBoxFuture<'_, Result<(), SnapshotError>> {
        Box::pin(async move {
            let pairs = decode(&bytes)?;
            self.ingest(pairs, false).await
        })
    }

    fn finish(self: Box<Self>) -> LocalBoxFuture<'static, Result<(), SnapshotError>> {
        Box::pin(self.install())
    }
}
