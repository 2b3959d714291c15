//! Outgoing snapshots: a thread each, which pins the state and reads it chunk by chunk.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use shardforge_core::base::id::Token;
use shardforge_core::storage::port::{Family, SnapshotPairs, StorageError, StorageEvent};
use shardforge_core::storage::versioned::Cursor;

use bytes::Bytes;

use super::store::{RocksCursor, RocksStore, walking};
use super::stores::Report;

/// A pinned state. Dropping it unpins.
pub(super) struct Pinned {
    requests: Sender<(Token, usize)>,
}

impl Pinned {
    /// Pins the present state; returns once it is pinned.
    pub(super) fn open(store: RocksStore, report: Report) -> Result<Self, StorageError> {
        let (requests, inbox) = channel();
        let (pinned, wait) = channel();
        let run = move || serve(&store, &inbox, &pinned, &report);
        let failed = |e: io::Error| StorageError::Io(e.to_string());
        thread::Builder::new().name("snapshot".into()).spawn(run).map_err(failed)?;
        wait.recv().map_err(|_| StorageError::Io("the snapshot thread ended".into()))?;
        Ok(Self { requests })
    }

    /// Asks for the next chunk; the answer is reported.
    pub(super) fn read(&self, token: Token, bytes_max: usize) -> Result<(), StorageError> {
        let gone = |_| StorageError::Io("the snapshot thread ended".into());
        self.requests.send((token, bytes_max)).map_err(gone)
    }
}

fn serve(
    store: &RocksStore,
    inbox: &Receiver<(Token, usize)>,
    pinned: &Sender<()>,
    report: &Report,
) {
    let snapshot = store.db().snapshot();
    // Whoever waits is there until this is sent.
    let _ = pinned.send(());
    let mut at = (Family::Data, Bytes::new());
    while let Ok((token, bytes_max)) = inbox.recv() {
        let chunk = next_chunk(store, &snapshot, &mut at, bytes_max);
        report(StorageEvent::SnapshotChunk(token, chunk));
    }
}

fn next_chunk(
    store: &RocksStore,
    snapshot: &rocksdb::Snapshot<'_>,
    at: &mut (Family, Bytes),
    bytes_max: usize,
) -> Result<SnapshotPairs, StorageError> {
    let mut pairs = SnapshotPairs::new();
    let mut bytes = 0;
    let from = at.0;
    for family in Family::ALL.into_iter().filter(|f| from <= *f) {
        if family != at.0 {
            *at = (family, Bytes::new());
        }
        let handle = store.family(family)?;
        let inner = snapshot.raw_iterator_cf_opt(handle, walking());
        let mut cursor = RocksCursor::new(store.id(), Some(inner));
        cursor.seek(&at.1);
        while let Some(key) = cursor.key() {
            let key = Bytes::copy_from_slice(key);
            if bytes_max <= bytes && !pairs.is_empty() {
                at.1 = key;
                return Ok(pairs);
            }
            let value = cursor.value();
            bytes += key.len() + value.len();
            pairs.push((family, key, value));
            cursor.next();
        }
        cursor.status()?;
    }
    *at = (Family::Meta, super::store::past_all_keys().into());
    Ok(pairs)
}
