//! A shard's store over effects and tokens.

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;

use super::super::effect::Effect;
use super::super::outbox::Outbox;
use crate::base::id::{ShardId, Token};
use crate::base::key::{Key, Span};
use crate::base::limit;
use crate::replica::ports::StoreHandle;
use crate::storage::port::{
    Family, ReadReply, ReadRequest, StorageEffect, StorageError, StorageEvent, WriteBatch,
};

/// One shard's store.
#[derive(Clone)]
pub(in super::super) struct OutboxStore {
    pub(in super::super) outbox: Outbox,
    pub(in super::super) shard: ShardId,
}

impl StoreHandle for OutboxStore {
    fn read(
        &self,
        request: ReadRequest,
    ) -> LocalBoxFuture<'static, Result<ReadReply, StorageError>> {
        let shard = self.shard;
        let answer = self.outbox.ask(|token| StorageEffect::Read(token, shard, request));
        Box::pin(async move {
            match answer.await {
                Ok(StorageEvent::Read(_, reply)) => reply,
                Ok(_) | Err(_) => Err(StorageError::Missing),
            }
        })
    }

    fn write(&self, batch: WriteBatch) {
        self.outbox.push(Effect::Storage(StorageEffect::Write(self.shard, batch)));
    }
}

impl OutboxStore {
    /// Opens the store; whether it held anything.
    pub(in super::super) async fn open(&self) -> Result<bool, StorageError> {
        let shard = self.shard;
        match self.outbox.ask(|token| StorageEffect::Open(token, shard)).await {
            Ok(StorageEvent::Opened(_, result)) => result,
            Ok(_) | Err(_) => Err(StorageError::Missing),
        }
    }

    /// Replaces everything by what was staged under `arrival`, or by nothing, durably.
    pub(in super::super) async fn replace(
        &self,
        arrival: Option<Token>,
    ) -> Result<(), StorageError> {
        let store = self.shard;
        let answer = self.outbox.ask(|token| {
            let arrival = arrival.unwrap_or(token);
            StorageEffect::Install { token, store, arrival }
        });
        match answer.await {
            Ok(StorageEvent::Installed(_, result)) => result?,
            Ok(_) | Err(_) => return Err(StorageError::Missing),
        }
        self.flush().await
    }

    /// Makes all earlier writes durable.
    pub(in super::super) async fn flush(&self) -> Result<(), StorageError> {
        let shard = self.shard;
        match self.outbox.ask(|token| StorageEffect::Flush(token, shard)).await {
            Ok(StorageEvent::Flushed(_, result)) => result,
            Ok(_) | Err(_) => Err(StorageError::Missing),
        }
    }

    /// All pairs of the `Meta` family.
    pub(in super::super) async fn meta(&self) -> Result<Vec<(Bytes, Bytes)>, StorageError> {
        let (mut pairs, mut start) = (Vec::new(), Key::MIN);
        loop {
            let request = ReadRequest::Scan {
                family: Family::Meta,
                span: Span { start, end: Key::from(vec![0xff]) },
                rows_max: limit::SCAN_ROWS_MAX,
                bytes_max: limit::SCAN_BYTES_MAX,
            };
            let ReadReply::Pairs { pairs: more, resume } = self.read(request).await? else {
                return Err(StorageError::Missing);
            };
            pairs.extend(more);
            match resume {
                Some(next) => start = Key(next),
                None => return Ok(pairs),
            }
        }
    }
}
