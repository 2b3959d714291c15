//! One shard's store in memory, with an undo log in the place of unflushed memtables.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;

use bytes::Bytes;

use crate::base::buggify::Faults;
use crate::base::map::stable_hash;
use crate::base::rng::Rng;
use crate::bug;
use crate::storage::port::{Family, SnapshotPairs, StorageError, WriteBatch, WriteOp};
use crate::storage::versioned::{Cursor, Readable};

type Map = BTreeMap<Bytes, Bytes>;
type Families = [Arc<Map>; 4];

/// What a key held before a batch.
type Undo = Vec<(Family, Bytes, Option<Bytes>)>;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    families: Families,
    /// One for every batch since the last flush.
    undo: Vec<Undo>,
}

/// A state of a store that later writes do not change.
#[derive(Clone, Debug)]
pub struct Pinned {
    families: Families,
}

impl MemoryStore {
    /// Applies a batch, not durably.
    pub fn write(&mut self, batch: &WriteBatch, faults: &Faults) {
        let whole = |_: &&WriteOp| true;
        bug!(
            faults,
            13,
            {
                // The applied index goes in a batch of its own, which may outlive the data's.
                self.write_part(batch.ops.iter().filter(|op| family_of(op) == Family::Meta));
                self.write_part(batch.ops.iter().filter(|op| family_of(op) != Family::Meta));
            },
            self.write_part(batch.ops.iter().filter(whole))
        );
    }

    fn write_part<'a>(&mut self, ops: impl Iterator<Item = &'a WriteOp>) {
        let mut undo = Undo::new();
        for op in ops {
            let map = Arc::make_mut(&mut self.families[family_of(op) as usize]);
            match op {
                WriteOp::Put(family, key, value) => {
                    undo.push((*family, key.clone(), map.insert(key.clone(), value.clone())));
                }
                WriteOp::Delete(family, key) => {
                    undo.push((*family, key.clone(), map.remove(key)));
                }
                WriteOp::PutPacked(family, pairs) => {
                    for (key, value) in pairs.iter() {
                        let (key, value) = (pairs.share(key), pairs.share(value));
                        undo.push((*family, key.clone(), map.insert(key, value)));
                    }
                }
                WriteOp::DeleteRange(family, span) => {
                    if span.is_empty() {
                        continue;
                    }
                    let bounds = (Included(&span.start.0), Excluded(&span.end.0));
                    let keys: Vec<_> =
                        map.range::<Bytes, _>(bounds).map(|(k, _)| k.clone()).collect();
                    for key in keys {
                        let old = map.remove(&key);
                        undo.push((*family, key, old));
                    }
                }
            }
        }
        self.undo.push(undo);
    }

    /// Removes everything, as one batch.
    pub fn clear(&mut self) {
        let mut undo = Undo::new();
        for family in Family::ALL {
            let map = Arc::make_mut(&mut self.families[family as usize]);
            undo.extend(std::mem::take(map).into_iter().map(|(k, v)| (family, k, Some(v))));
        }
        self.undo.push(undo);
    }

    /// Makes everything durable.
    pub fn flush(&mut self) {
        self.undo.clear();
    }

    /// Batches that a crash may take back.
    pub fn unflushed_count(&self) -> usize {
        self.undo.len()
    }

    /// Goes back to the state after the batch that happened to be flushed last: the last flush
    /// asked for, or one that the store chose to do since.
    pub fn crash(&mut self, rng: &mut Rng) {
        let unflushed = self.undo.len() as u64;
        let kept = if rng.chance(0.5) { 0 } else { rng.between(0, unflushed) };
        self.rewind(usize::try_from(kept).unwrap_or(0));
    }

    /// Takes back all but the first `kept` unflushed batches; what is left is durable.
    pub fn rewind(&mut self, kept: usize) {
        for undo in self.undo.drain(kept.min(self.undo.len())..).rev() {
            for (family, key, old) in undo.into_iter().rev() {
                let map = Arc::make_mut(&mut self.families[family as usize]);
                match old {
                    Some(value) => map.insert(key, value),
                    None => map.remove(&key),
                };
            }
        }
        self.undo.clear();
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.families.iter().all(|map| map.is_empty())
    }

    /// The present state, for good.
    pub fn pin(&self) -> Pinned {
        Pinned { families: self.families.clone() }
    }

    /// A checksum of all pairs of some families: equal stores have equal ones.
    pub fn checksum(&self, families: &[Family]) -> u64 {
        let mut sum = 0u64;
        for family in families {
            for (key, value) in self.families[*family as usize].iter() {
                let pair = stable_hash(key) ^ stable_hash(value).rotate_left(17);
                sum = sum.rotate_left(5) ^ pair.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            }
        }
        sum
    }
}

impl Pinned {
    /// Pairs from a place on, about `bytes_max` of them, and the place to go on from. The place
    /// is a family and the first key not returned; empty pairs mean the end.
    pub fn chunk(
        &self,
        from: &(Family, Bytes),
        bytes_max: usize,
    ) -> (SnapshotPairs, (Family, Bytes)) {
        let mut pairs = SnapshotPairs::new();
        let mut bytes = 0;
        for family in Family::ALL.into_iter().filter(|f| from.0 <= *f) {
            let start = if family == from.0 { from.1.clone() } else { Bytes::new() };
            let map = &self.families[family as usize];
            for (key, value) in map.range::<Bytes, _>((Included(&start), Unbounded)) {
                if bytes_max <= bytes && !pairs.is_empty() {
                    return (pairs, (family, key.clone()));
                }
                bytes += key.len() + value.len();
                pairs.push((family, key.clone(), value.clone()));
            }
        }
        // Past every key of the last family: no key is so long.
        let end = Bytes::from(vec![0xff; crate::base::limit::KEY_BYTES_MAX + 64]);
        (pairs, (Family::Meta, end))
    }
}

fn family_of(op: &WriteOp) -> Family {
    match op {
        WriteOp::Put(family, ..)
        | WriteOp::Delete(family, _)
        | WriteOp::DeleteRange(family, _)
        | WriteOp::PutPacked(family, _) => *family,
    }
}

/// A cursor over one family.
#[derive(Debug)]
pub struct MapCursor<'a> {
    map: &'a Map,
    at: Option<(&'a Bytes, &'a Bytes)>,
    /// What lies after `at`, once somebody goes forward.
    rest: Option<Range<'a, Bytes, Bytes>>,
}

impl Readable for MemoryStore {
    type Cursor<'a> = MapCursor<'a>;
    fn cursor(&self, family: Family) -> MapCursor<'_> {
        MapCursor { map: &self.families[family as usize], at: None, rest: None }
    }
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        Ok(self.families[family as usize].get(key).cloned())
    }
}

impl Readable for Pinned {
    type Cursor<'a> = MapCursor<'a>;
    fn cursor(&self, family: Family) -> MapCursor<'_> {
        MapCursor { map: &self.families[family as usize], at: None, rest: None }
    }
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        Ok(self.families[family as usize].get(key).cloned())
    }
}

impl Cursor for MapCursor<'_> {
    fn seek(&mut self, key: &[u8]) {
        let mut rest = self.map.range::<[u8], _>((Included(key), Unbounded));
        self.at = rest.next();
        self.rest = Some(rest);
    }
    fn seek_for_prev(&mut self, key: &[u8]) {
        self.rest = None;
        self.at = self.map.range::<[u8], _>((Unbounded, Included(key))).next_back();
    }
    fn seek_to_last(&mut self) {
        self.rest = None;
        self.at = self.map.last_key_value();
    }
    fn next(&mut self) {
        if let Some((key, _)) = self.at {
            let after = || self.map.range::<Bytes, _>((Excluded(key), Unbounded));
            self.at = self.rest.get_or_insert_with(after).next();
        }
    }
    fn prev(&mut self) {
        if let Some((key, _)) = self.at {
            self.rest = None;
            self.at = self.map.range::<Bytes, _>((Unbounded, Excluded(key))).next_back();
        }
    }
    fn key(&self) -> Option<&[u8]> {
        self.at.map(|(key, _)| key.as_ref())
    }
    fn value(&self) -> Bytes {
        self.at.map(|(_, value)| value.clone()).unwrap_or_default()
    }
    fn status(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::key::{Key, Span};

    fn put(family: Family, key: &str, value: &str) -> WriteBatch {
        let mut batch = WriteBatch::default();
        batch.put(family, key.to_owned(), value.to_owned());
        batch
    }

    fn get(store: &MemoryStore, family: Family, key: &str) -> Option<String> {
        let found = store.get(family, key.as_bytes()).ok().flatten();
        found.map(|b| String::from_utf8_lossy(&b).into_owned())
    }

    #[test]
    fn a_crash_takes_back_whole_batches_down_to_the_last_flush() {
        let faults = Faults::default();
        let mut store = MemoryStore::default();
        store.write(&put(Family::Data, "a", "1"), &faults);
        store.flush();
        let mut both = put(Family::Data, "a", "2");
        both.put(Family::Meta, "applied", "2");
        store.write(&both, &faults);
        let mut delete = WriteBatch::default();
        let everything = Span { start: Key::MIN, end: Key::from(vec![0xff]) };
        delete.ops.push(WriteOp::DeleteRange(Family::Data, everything));
        store.write(&delete, &faults);
        assert_eq!(get(&store, Family::Data, "a"), None);
        let mut partly = store.clone();
        partly.rewind(1);
        assert_eq!(get(&partly, Family::Data, "a"), Some("2".into()));
        assert_eq!(get(&partly, Family::Meta, "applied"), Some("2".into()));
        store.rewind(0);
        assert_eq!(get(&store, Family::Data, "a"), Some("1".into()));
        assert_eq!(get(&store, Family::Meta, "applied"), None);
    }

    #[test]
    fn a_cursor_turns_round_anywhere() {
        let mut store = MemoryStore::default();
        for key in ["a", "b", "c", "d"] {
            store.write(&put(Family::Data, key, "1"), &Faults::default());
        }
        let mut cursor = store.cursor(Family::Data);
        let mut way = Vec::new();
        cursor.seek(b"aa");
        for forward in [true, true, false, true, true, true] {
            way.push(cursor.key().map(<[u8]>::to_vec));
            if forward { cursor.next() } else { cursor.prev() }
        }
        let expected = ["b", "c", "d", "c", "d"].map(|key| Some(key.as_bytes().to_vec()));
        assert_eq!(way[..5], expected);
        assert_eq!((&way[5], cursor.key()), (&None, None), "past the end it stays there");
    }

    #[test]
    fn a_pinned_state_does_not_change_and_comes_in_chunks() {
        let faults = Faults::default();
        let mut store = MemoryStore::default();
        for i in 0..20 {
            store.write(&put(Family::ALL[i % 4], &format!("k{i}"), "value"), &faults);
        }
        let pinned = store.pin();
        store.clear();
        let mut at = (Family::Data, Bytes::new());
        let mut all = Vec::new();
        loop {
            let (pairs, next) = pinned.chunk(&at, 30);
            if pairs.is_empty() {
                break;
            }
            assert!(pairs.len() <= 5);
            all.extend(pairs);
            at = next;
        }
        assert_eq!(all.len(), 20);
        assert!(all.is_sorted());
        assert!(store.is_empty());
    }
}
