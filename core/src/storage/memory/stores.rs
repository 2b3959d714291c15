//! All stores of one simulated node: performs storage effects and answers them.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::store::{MemoryStore, Pinned};
use crate::base::buggify::Faults;
use crate::base::id::{ShardId, Token};
use crate::base::rng::Rng;
use crate::storage::chunk::decode_chunk;
use crate::storage::port::{
    Family, SnapshotPairs, StorageEffect, StorageError, StorageEvent, WriteBatch,
};
use crate::storage::versioned::answer;

/// See the module.
#[derive(Debug, Default)]
pub struct MemoryStores {
    stores: BTreeMap<ShardId, MemoryStore>,
    snapshots: BTreeMap<Token, (Pinned, (Family, Bytes))>,
    /// Chunks of snapshots that are coming in.
    staged: BTreeMap<(ShardId, Token), Vec<Bytes>>,
    faults: Faults,
}

impl MemoryStores {
    /// No stores, with the node's planted bug.
    pub fn new(faults: Faults) -> Self {
        Self { faults, ..Self::default() }
    }

    /// Performs an effect at once. The simulator may deliver the answer later, but must perform
    /// effects in the order in which they were emitted.
    pub fn perform(&mut self, effect: StorageEffect) -> Option<StorageEvent> {
        match effect {
            StorageEffect::Open(token, id) => {
                let held = !self.stores.entry(id).or_default().is_empty();
                Some(StorageEvent::Opened(token, Ok(held)))
            }
            StorageEffect::Drop(id) => {
                self.stores.remove(&id);
                self.staged.retain(|(store, _), _| *store != id);
                None
            }
            StorageEffect::Write(id, batch) => match self.stores.get_mut(&id) {
                Some(store) => {
                    store.write(&batch, &self.faults);
                    None
                }
                None => Some(StorageEvent::WriteFailed(id, StorageError::Missing)),
            },
            StorageEffect::Read(token, id, request) => {
                let reply = self.store(id).and_then(|store| answer(store, &request));
                Some(StorageEvent::Read(token, reply))
            }
            StorageEffect::Flush(token, id) => {
                let done = self.store_mut(id).map(MemoryStore::flush);
                Some(StorageEvent::Flushed(token, done))
            }
            StorageEffect::OpenSnapshot(token, id) => {
                let pinned = self.store(id).map(MemoryStore::pin);
                let opened = pinned.map(|pinned| {
                    self.snapshots.insert(token, (pinned, (Family::Data, Bytes::new())));
                });
                Some(StorageEvent::SnapshotOpened(token, opened))
            }
            StorageEffect::ReadSnapshotChunk { token, snapshot, bytes_max } => {
                let chunk = self.snapshot_chunk(snapshot, bytes_max);
                Some(StorageEvent::SnapshotChunk(token, chunk))
            }
            StorageEffect::ReleaseSnapshot(token) => {
                self.snapshots.remove(&token);
                None
            }
            StorageEffect::Stage { token, store, arrival, chunk } => {
                self.staged.entry((store, arrival)).or_default().push(chunk);
                Some(StorageEvent::Staged(token, Ok(())))
            }
            StorageEffect::Install { token, store, arrival } => {
                Some(StorageEvent::Installed(token, self.install(store, arrival)))
            }
            StorageEffect::Unstage { store, arrival } => {
                self.staged.remove(&(store, arrival));
                None
            }
        }
    }

    /// The node is gone: stores go back to what was flushed, all else is forgotten.
    pub fn crash(&mut self, rng: &mut Rng) {
        self.stores.values_mut().for_each(|store| store.crash(rng));
        self.snapshots.clear();
        self.staged.clear();
    }

    /// Everything becomes durable (a clean stop).
    pub fn flush_all(&mut self) {
        self.stores.values_mut().for_each(MemoryStore::flush);
    }

    /// Stores that exist.
    pub fn ids(&self) -> impl Iterator<Item = ShardId> {
        self.stores.keys().copied()
    }

    /// A store, for oracles.
    ///
    /// # Errors
    ///
    /// [`StorageError::Missing`] if there is none.
    pub fn store(&self, id: ShardId) -> Result<&MemoryStore, StorageError> {
        self.stores.get(&id).ok_or(StorageError::Missing)
    }

    fn store_mut(&mut self, id: ShardId) -> Result<&mut MemoryStore, StorageError> {
        self.stores.get_mut(&id).ok_or(StorageError::Missing)
    }

    fn snapshot_chunk(
        &mut self,
        snapshot: Token,
        bytes_max: usize,
    ) -> Result<SnapshotPairs, StorageError> {
        let (pinned, at) = self.snapshots.get_mut(&snapshot).ok_or(StorageError::Missing)?;
        let (pairs, next) = pinned.chunk(at, bytes_max);
        *at = next;
        Ok(pairs)
    }

    fn install(&mut self, id: ShardId, arrival: Token) -> Result<(), StorageError> {
        let chunks = self.staged.remove(&(id, arrival)).unwrap_or_default();
        let store = self.store_mut(id)?;
        store.clear();
        let mut meta = WriteBatch::default();
        for chunk in chunks {
            let pairs = decode_chunk(&chunk).map_err(|e| StorageError::Io(e.to_string()))?;
            let mut batch = WriteBatch::default();
            for (family, key, value) in pairs {
                let to = if family == Family::Meta { &mut meta } else { &mut batch };
                to.put(family, key, value);
            }
            store.write(&batch, &Faults::default());
        }
        store.write(&meta, &Faults::default());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::chunk::encode_chunk;
    use crate::storage::port::{ReadReply, ReadRequest};

    const A: ShardId = ShardId(1);
    const B: ShardId = ShardId(2);

    fn put(key: &str) -> WriteBatch {
        let mut batch = WriteBatch::default();
        batch.put(Family::Data, key.to_owned(), "v");
        batch.put(Family::Meta, "applied", key.to_owned());
        batch
    }

    fn get(stores: &mut MemoryStores, id: ShardId, family: Family, key: &str) -> Option<Bytes> {
        let request = ReadRequest::Get { family, key: Bytes::copy_from_slice(key.as_bytes()) };
        match stores.perform(StorageEffect::Read(Token(9), id, request)) {
            Some(StorageEvent::Read(_, Ok(ReadReply::Value(value)))) => value,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_snapshot_moves_a_store_and_an_unfinished_one_has_no_applied_index() {
        let mut stores = MemoryStores::default();
        for id in [A, B] {
            stores.perform(StorageEffect::Open(Token(1), id));
        }
        stores.perform(StorageEffect::Write(A, put("k1")));
        stores.perform(StorageEffect::Write(B, put("old")));
        stores.perform(StorageEffect::Flush(Token(2), B));
        stores.perform(StorageEffect::OpenSnapshot(Token(3), A));
        let chunk = StorageEffect::ReadSnapshotChunk {
            token: Token(4),
            snapshot: Token(3),
            bytes_max: 1 << 20,
        };
        let Some(StorageEvent::SnapshotChunk(_, Ok(pairs))) = stores.perform(chunk) else {
            panic!("no chunk")
        };
        let (arrival, chunk) = (Token(5), encode_chunk(&pairs));
        stores.perform(StorageEffect::Stage { token: arrival, store: B, arrival, chunk });
        let other = encode_chunk(&vec![(Family::Data, "other".into(), "v".into())]);
        let another = Token(6);
        let stage =
            StorageEffect::Stage { token: another, store: B, arrival: another, chunk: other };
        stores.perform(stage);
        assert_eq!(get(&mut stores, B, Family::Data, "old"), Some("v".into()), "only staged");
        stores.perform(StorageEffect::Install { token: Token(7), store: B, arrival });
        assert_eq!(get(&mut stores, B, Family::Data, "old"), None);
        assert_eq!(get(&mut stores, B, Family::Data, "other"), None, "another snapshot's");
        assert_eq!(get(&mut stores, B, Family::Data, "k1"), Some("v".into()));
        assert_eq!(get(&mut stores, B, Family::Meta, "applied"), Some("k1".into()));
        let mut torn = stores.stores[&B].clone();
        torn.rewind(2);
        assert!(!torn.is_empty());
        stores.stores.insert(B, torn);
        assert_eq!(get(&mut stores, B, Family::Meta, "applied"), None, "half a snapshot is none");
    }

    #[cfg(feature = "planted")]
    #[test]
    fn planted_b13_can_keep_the_applied_index_without_the_data() {
        let mut stores = MemoryStores::new(Faults { bug: Some(13), ..Faults::default() });
        stores.perform(StorageEffect::Open(Token(1), A));
        stores.perform(StorageEffect::Write(A, put("k1")));
        if let Some(store) = stores.stores.get_mut(&A) {
            store.rewind(1);
        }
        assert_eq!(get(&mut stores, A, Family::Meta, "applied"), Some("k1".into()));
        assert_eq!(get(&mut stores, A, Family::Data, "k1"), None);
    }
}
