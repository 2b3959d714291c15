//! A transaction's own writes, in key order, until COMMIT.
//!
//! # Invariants
//!
//! * A key has one write: what a later one does to the same key is merged, and what the first one
//!   expected stays expected.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use super::error::TxnError;
use super::types::{Found, RowWrite, WriteKind};
use crate::base::id::ShardId;
use crate::base::key::{Key, Span};
use crate::base::limit;
use crate::replica::request::{Expect, ShardWrite};
use crate::shard::routing::Place;

/// Bytes that a write costs beyond its key and row.
const WRITE_BYTES: usize = 32;

#[derive(Clone, Debug)]
pub(super) struct Buffered {
    pub(super) place: Place,
    pub(super) hash: u16,
    pub(super) row: Option<Bytes>,
    pub(super) expect: Expect,
    pub(super) tag: u32,
}

/// The writes.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    writes: BTreeMap<Key, Buffered>,
    /// The key written first: where a lost commit is looked for.
    first: Option<Key>,
    shard: Option<ShardId>,
    bytes: usize,
}

impl Buffer {
    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Buffered> {
        self.writes.get(key)
    }

    /// The one shard written in.
    pub(super) fn shard(&self) -> Option<ShardId> {
        self.shard
    }

    /// Takes a write in. `checked`: what an insert's check has found, if it was checked.
    pub(super) fn put(
        &mut self,
        write: RowWrite,
        shard: ShardId,
        checked: Option<Expect>,
    ) -> Result<(), TxnError> {
        if *self.shard.get_or_insert(shard) != shard {
            return Err(TxnError::CrossShard);
        }
        let RowWrite { place, hash, key, kind, seen, tag } = write;
        let (row, insert) = match kind {
            WriteKind::Insert(row) => (Some(row), true),
            WriteKind::Put(row) => (Some(row), false),
            WriteKind::Delete => (None, false),
        };
        let known = self.writes.get(&key);
        if insert && known.is_some_and(|known| known.row.is_some()) {
            return Err(TxnError::Duplicate { tag, key });
        }
        let expect = match (known, checked, seen) {
            (Some(known), _, _) => known.expect,
            (None, Some(checked), _) => checked,
            (None, None, _) if insert => Expect::NotLive,
            (None, None, Some(seen)) => Expect::Seen(Some(seen)),
            (None, None, None) => Expect::Any,
        };
        let cost = |row: &Option<Bytes>| row.as_ref().map_or(0, Bytes::len);
        let before = known.map_or(0, |known| key.0.len() + WRITE_BYTES + cost(&known.row));
        let bytes = self.bytes - before + key.0.len() + WRITE_BYTES + cost(&row);
        let count = self.writes.len() + usize::from(known.is_none());
        if limit::TXN_BYTES_MAX < bytes || limit::TXN_WRITES_MAX < count {
            return Err(TxnError::TooLarge);
        }
        self.bytes = bytes;
        self.first.get_or_insert_with(|| key.clone());
        self.writes.insert(key, Buffered { place, hash, row, expect, tag });
        Ok(())
    }

    /// Own writes of a span, in key order.
    pub(super) fn within(&self, span: &Span) -> Vec<(Key, Option<Bytes>)> {
        if self.writes.is_empty() || span.is_empty() {
            return Vec::new();
        }
        let range = (Bound::Included(&span.start), Bound::Excluded(&span.end));
        let writes = self.writes.range::<Key, _>(range);
        writes.map(|(key, write)| (key.clone(), write.row.clone())).collect()
    }

    /// All writes as a commit carries them, the one written first at the head, with their tags.
    pub(super) fn to_commit(&self) -> (Vec<ShardWrite>, Vec<u32>) {
        let Some(first) = &self.first else { return (Vec::new(), Vec::new()) };
        let head = self.writes.get_key_value(first);
        let rest = self.writes.iter().filter(|(key, _)| *key != first);
        let all = head.into_iter().chain(rest);
        all.map(|(key, write)| {
            let Buffered { place, hash, row, expect, tag } = write.clone();
            (ShardWrite { place, hash, key: key.clone(), row, expect }, tag)
        })
        .unzip()
    }
}

/// Lays own writes over rows of a span; both in scan order, the result too.
pub(super) fn overlay(
    rows: Vec<Found>,
    own: Vec<(Key, Option<Bytes>)>,
    reverse: bool,
) -> Vec<Found> {
    if own.is_empty() {
        return rows;
    }
    let mut merged = Vec::with_capacity(rows.len() + own.len());
    let mut own =
        if reverse { own.into_iter().rev().collect() } else { own }.into_iter().peekable();
    let before = |a: &Key, b: &Key| if reverse { b < a } else { a < b };
    let found = |(key, row): (Key, Option<Bytes>)| row.map(|row| Found { key, row, version: None });
    for row in rows {
        while let Some(write) = own.next_if(|(key, _)| before(key, &row.key)) {
            merged.extend(found(write));
        }
        match own.next_if(|(key, _)| *key == row.key) {
            Some(write) => merged.extend(found(write)),
            None => merged.push(row),
        }
    }
    merged.extend(own.filter_map(found));
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::timestamp::Timestamp;

    fn write(key: u8, kind: WriteKind, seen: Option<u64>) -> RowWrite {
        let key = Key(vec![key].into());
        let seen = seen.map(Timestamp);
        RowWrite { place: Place::default(), hash: 0, key, kind, seen, tag: 7 }
    }

    #[test]
    fn the_first_expectation_of_a_key_stays() {
        let mut buffer = Buffer::default();
        let row = || WriteKind::Put("x".into());
        buffer.put(write(1, WriteKind::Delete, Some(5)), ShardId(1), None).unwrap();
        buffer.put(write(1, WriteKind::Insert("y".into()), None), ShardId(1), None).unwrap();
        buffer.put(write(0, row(), None), ShardId(1), None).unwrap();
        let again = buffer.put(write(1, WriteKind::Insert("z".into()), None), ShardId(1), None);
        assert!(matches!(again, Err(TxnError::Duplicate { tag: 7, .. })));
        let (writes, _) = buffer.to_commit();
        assert_eq!(writes[0].expect, Expect::Seen(Some(Timestamp(5))));
        assert_eq!(writes[0].row.as_deref(), Some(&b"y"[..]));
        assert_eq!((writes[0].key.0[0], writes[1].key.0[0]), (1, 0), "the first written leads");
        assert_eq!(writes[1].expect, Expect::Any);
        let other = buffer.put(write(2, row(), None), ShardId(2), None);
        assert_eq!(other, Err(TxnError::CrossShard));
    }

    #[test]
    fn the_bound_counts_what_is_there() {
        let mut buffer = Buffer::default();
        let big = Bytes::from(vec![0; 8 << 20]);
        for _ in 0..9 {
            buffer.put(write(1, WriteKind::Put(big.clone()), None), ShardId(1), None).unwrap();
        }
        let over = buffer.put(write(2, WriteKind::Put(big.clone()), None), ShardId(1), None);
        assert_eq!(over, Err(TxnError::TooLarge));
        buffer.put(write(1, WriteKind::Delete, None), ShardId(1), None).unwrap();
        buffer.put(write(2, WriteKind::Put(big), None), ShardId(1), None).unwrap();
    }

    proptest! {
        /// Overlaying agrees with a map.
        #[test]
        fn own_writes_hide_what_is_stored(
            stored in prop::collection::btree_set(0u8..20, 0..10),
            own in prop::collection::btree_map(0u8..20, any::<bool>(), 0..10),
            reverse: bool,
        ) {
            let key = |n: u8| Key(vec![n].into());
            let found = |n: &u8| Found {
                key: key(*n), row: "old".into(), version: Some(Timestamp(1)) };
            let mut rows: Vec<Found> = stored.iter().map(found).collect();
            if reverse { rows.reverse(); }
            let writes: Vec<_> =
                own.iter().map(|(n, live)| (key(*n), live.then(|| "new".into()))).collect();
            let merged: Vec<(u8, bool)> = overlay(rows, writes, reverse)
                .into_iter().map(|f| (f.key.0[0], f.version.is_none())).collect();
            let mut expected: Vec<(u8, bool)> = (0..20).filter_map(|n| match own.get(&n) {
                Some(live) => live.then_some((n, true)),
                None => stored.contains(&n).then_some((n, false)),
            }).collect();
            if reverse { expected.reverse(); }
            prop_assert_eq!(merged, expected);
        }
    }
}
