//! Versions of keys over any ordered store: newest at or below a time, scans, "did it change".
//!
//! A version of a key lives at key ‖ !timestamp (8 bytes, big-endian), so that the newest comes
//! first. Keys are prefix-free (`row`'s codec sees to it): versions of different keys never mix.
//!
//! Nothing here interprets values: a tombstone is a value like any other.
//!
//! # Invariants
//!
//! * A point read is one seek.
//! * Walking past the versions of one key costs a few steps and then one seek, however many there
//!   are; where many keys have many, a step and a seek each.

use bytes::Bytes;

use super::port::{Family, ReadReply, ReadRequest, StorageError, Version};
use crate::base::key::{Key, Span};
use crate::base::timestamp::Timestamp;

/// Steps tried before a seek: a seek costs about as much as so many steps.
const STEPS_BEFORE_SEEK: usize = 12;
/// Keys that get one step only after a key that outlasted all of them: rows that are written often
/// lie together, and each would cost the steps and the seek.
const HASTY_KEYS: u32 = 16;
/// A scan that has looked at so many versions returns what it has, so that the node breathes.
const LOOKED_AT_MAX: usize = 65_536;
const TIMESTAMP_BYTES: usize = 8;

/// A place in one family of a store, in byte order of keys.
pub trait Cursor {
    /// To the first pair at or after `key`.
    fn seek(&mut self, key: &[u8]);
    /// To the last pair at or before `key`.
    fn seek_for_prev(&mut self, key: &[u8]);
    /// To the last pair.
    fn seek_to_last(&mut self);
    /// To the following pair.
    fn next(&mut self);
    /// To the preceding pair.
    fn prev(&mut self);
    /// The key here; `None` past either end or after an error.
    fn key(&self) -> Option<&[u8]>;
    /// The value here; empty where there is no key.
    fn value(&self) -> Bytes;
    /// Appends the value here.
    fn copy_value(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.value());
    }
    /// Whether the end was reached for a reason other than the end of the data.
    ///
    /// # Errors
    ///
    /// What the store met.
    fn status(&self) -> Result<(), StorageError>;
}

/// A store, or a pinned state of one, that can be read.
pub trait Readable {
    /// Its cursor.
    type Cursor<'a>: Cursor
    where
        Self: 'a;
    /// A cursor over a family, not placed yet.
    fn cursor(&self, family: Family) -> Self::Cursor<'_>;
    /// A cursor for looking up single keys: after a seek to a version of a key it may not find other
    /// keys.
    fn point_cursor(&self, family: Family) -> Self::Cursor<'_> {
        self.cursor(family)
    }
    /// The value of a key.
    ///
    /// # Errors
    ///
    /// What the store met.
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StorageError>;
}

/// Answers a question: the one piece of code behind every store.
///
/// # Errors
///
/// What the store met.
pub fn answer(store: &impl Readable, request: &ReadRequest) -> Result<ReadReply, StorageError> {
    match request {
        ReadRequest::Get { family, key } => store.get(*family, key).map(ReadReply::Value),
        ReadRequest::Scan { family, span, rows_max, bytes_max } => {
            scan_pairs(&mut store.cursor(*family), span, *rows_max, *bytes_max)
        }
        ReadRequest::VersionsAt { family, keys, at } => {
            let mut cursor = store.point_cursor(*family);
            let found = keys.iter().map(|key| version_at(&mut cursor, key, *at));
            found.collect::<Result<_, _>>().map(ReadReply::Versions)
        }
        ReadRequest::ScanVersions { family, span, at, reverse, rows_max, bytes_max } => {
            let mut cursor = store.cursor(*family);
            let mut scan = Scan::new(&mut cursor, span, *at, *rows_max, *bytes_max);
            if *reverse { scan.backward() } else { scan.forward() }
        }
        ReadRequest::ChangedIn { family, span, after, up_to } => {
            changed_in(&mut store.cursor(*family), span, *after, *up_to).map(ReadReply::Changed)
        }
    }
}

/// Where a version of a key lives.
pub fn physical_key(key: &[u8], at: Timestamp) -> Vec<u8> {
    let mut physical = Vec::with_capacity(key.len() + TIMESTAMP_BYTES);
    physical.extend_from_slice(key);
    physical.extend_from_slice(&(!at.0).to_be_bytes());
    physical
}

/// A physical key's parts; `None` if it is too short to be one.
pub fn split_physical(physical: &[u8]) -> Option<(&[u8], Timestamp)> {
    let (key, suffix) = physical.split_last_chunk::<TIMESTAMP_BYTES>()?;
    Some((key, Timestamp(!u64::from_be_bytes(*suffix))))
}

/// The newest version of `key` at or below `at`.
fn version_at(
    cursor: &mut impl Cursor,
    key: &[u8],
    at: Timestamp,
) -> Result<Option<Version>, StorageError> {
    cursor.seek(&physical_key(key, at));
    match here(cursor)? {
        Some((found, timestamp)) if found == key => {
            Ok(Some(Version { timestamp, value: cursor.value() }))
        }
        _ => Ok(None),
    }
}

/// The version that the cursor stands on; `None` at an end.
fn here(cursor: &impl Cursor) -> Result<Option<(&[u8], Timestamp)>, StorageError> {
    match cursor.key() {
        None => cursor.status().map(|()| None),
        Some(physical) => split_physical(physical)
            .map(Some)
            .ok_or_else(|| StorageError::Io("a key without a timestamp among versions".into())),
    }
}

/// How long a walk over many keys tries steps.
#[derive(Debug, Default)]
struct Patience {
    /// Keys that get one step only.
    hasty: u32,
}

impl Patience {
    /// Moves to the first version after all those of `key`.
    fn skip_key(&mut self, cursor: &mut impl Cursor, key: &[u8]) {
        let steps = if self.hasty == 0 { STEPS_BEFORE_SEEK } else { 1 };
        self.hasty = self.hasty.saturating_sub(1);
        for _ in 0..steps {
            cursor.next();
            if !is_of(cursor, key) {
                return;
            }
        }
        if steps == STEPS_BEFORE_SEEK {
            self.hasty = HASTY_KEYS;
        }
        let mut past = physical_key(key, Timestamp::ZERO);
        past.push(0);
        cursor.seek(&past);
    }
}

/// Moves from a version of `key` above `at` to the next at or below it, or past the key.
fn skip_newer(cursor: &mut impl Cursor, key: &[u8], at: Timestamp) {
    for _ in 0..STEPS_BEFORE_SEEK {
        cursor.next();
        let newer = cursor.key().and_then(split_physical).is_some_and(|(k, t)| k == key && at < t);
        if !newer {
            return;
        }
    }
    cursor.seek(&physical_key(key, at));
}

fn is_of(cursor: &impl Cursor, key: &[u8]) -> bool {
    cursor.key().and_then(split_physical).is_some_and(|(found, _)| found == key)
}

fn changed_in(
    cursor: &mut impl Cursor,
    span: &Span,
    after: Timestamp,
    up_to: Timestamp,
) -> Result<Option<(Bytes, Timestamp)>, StorageError> {
    cursor.seek(&span.start.0);
    let mut patience = Patience::default();
    loop {
        let Some((found, timestamp)) = here(cursor)? else { return Ok(None) };
        if span.end.0.as_ref() <= found {
            return Ok(None);
        }
        let key = found.to_vec();
        if *key < *span.start.0 || timestamp <= after {
            patience.skip_key(cursor, &key);
        } else if up_to < timestamp {
            skip_newer(cursor, &key, up_to);
        } else {
            return Ok(Some((key.into(), timestamp)));
        }
    }
}

fn scan_pairs(
    cursor: &mut impl Cursor,
    span: &Span,
    rows_max: usize,
    bytes_max: usize,
) -> Result<ReadReply, StorageError> {
    let mut pairs = Vec::new();
    let mut bytes = 0;
    cursor.seek(&span.start.0);
    while let Some(key) = cursor.key() {
        if span.end.0.as_ref() <= key {
            return Ok(ReadReply::Pairs { pairs, resume: None });
        }
        if rows_max.max(1) <= pairs.len() || (bytes_max <= bytes && !pairs.is_empty()) {
            let resume = Some(Bytes::copy_from_slice(key));
            return Ok(ReadReply::Pairs { pairs, resume });
        }
        let (key, value) = (Bytes::copy_from_slice(key), cursor.value());
        bytes += key.len() + value.len();
        pairs.push((key, value));
        cursor.next();
    }
    cursor.status()?;
    Ok(ReadReply::Pairs { pairs, resume: None })
}

/// A bounded scan for the newest versions at or below a time.
struct Scan<'a, C> {
    cursor: &'a mut C,
    span: &'a Span,
    at: Timestamp,
    rows_max: usize,
    bytes_max: usize,
    /// Keys and values one after the other: one block of memory for all rows.
    held: Vec<u8>,
    rows: Vec<Held>,
    /// The key that the cursor stands on.
    key: Vec<u8>,
    looked_at: usize,
    patience: Patience,
}

/// A row in [`Scan::held`]: where its key and its value end.
struct Held {
    key_end: usize,
    end: usize,
    timestamp: Timestamp,
}

impl<'a, C: Cursor> Scan<'a, C> {
    fn new(
        cursor: &'a mut C,
        span: &'a Span,
        at: Timestamp,
        rows_max: usize,
        bytes_max: usize,
    ) -> Self {
        let rows_max = rows_max.max(1);
        let (held, rows, key) = (Vec::new(), Vec::new(), Vec::new());
        let patience = Patience::default();
        Self { cursor, span, at, rows_max, bytes_max, held, rows, key, looked_at: 0, patience }
    }

    fn full(&mut self) -> bool {
        self.looked_at += 1;
        self.rows_max <= self.rows.len()
            || (self.bytes_max <= self.bytes() && !self.rows.is_empty())
            || LOOKED_AT_MAX < self.looked_at
    }

    fn bytes(&self) -> usize {
        self.held.len() + TIMESTAMP_BYTES * self.rows.len()
    }

    /// Remembers the key here, before the cursor moves on; its timestamp. `None` at an end.
    fn stand(&mut self) -> Result<Option<Timestamp>, StorageError> {
        let Some((found, timestamp)) = here(self.cursor)? else { return Ok(None) };
        self.key.clear();
        self.key.extend_from_slice(found);
        Ok(Some(timestamp))
    }

    /// Takes the version here.
    fn push(&mut self, timestamp: Timestamp) {
        self.held.extend_from_slice(&self.key);
        let key_end = self.held.len();
        self.cursor.copy_value(&mut self.held);
        self.rows.push(Held { key_end, end: self.held.len(), timestamp });
    }

    fn done(&mut self, resume: Option<Span>) -> Result<ReadReply, StorageError> {
        let held = Bytes::from(std::mem::take(&mut self.held));
        let mut start = 0;
        let cut = |row: Held| {
            let key = held.slice(start..row.key_end);
            let value = held.slice(row.key_end..row.end);
            start = row.end;
            (key, Version { timestamp: row.timestamp, value })
        };
        let rows = std::mem::take(&mut self.rows).into_iter().map(cut).collect();
        Ok(ReadReply::VersionRows { rows, resume })
    }

    fn forward(&mut self) -> Result<ReadReply, StorageError> {
        self.cursor.seek(&self.span.start.0);
        loop {
            let Some(timestamp) = self.stand()? else { return self.done(None) };
            if *self.span.end.0 <= *self.key {
                return self.done(None);
            }
            // A resumed scan starts right after a key whose versions still sort behind that place.
            if *self.key < *self.span.start.0 {
                self.patience.skip_key(self.cursor, &self.key);
                continue;
            }
            if self.full() {
                let start = Key(Bytes::copy_from_slice(&self.key));
                return self.done(Some(Span { start, end: self.span.end.clone() }));
            }
            if self.at < timestamp {
                skip_newer(self.cursor, &self.key, self.at);
                continue;
            }
            self.push(timestamp);
            self.patience.skip_key(self.cursor, &self.key);
        }
    }

    fn backward(&mut self) -> Result<ReadReply, StorageError> {
        self.place_before_end()?;
        loop {
            if self.stand()?.is_none() || *self.key < *self.span.start.0 {
                return self.done(None);
            }
            if self.full() {
                // The end is excluded: this key must still be inside.
                let end = Key(Bytes::copy_from_slice(&self.key)).successor();
                return self.done(Some(Span { start: self.span.start.clone(), end }));
            }
            self.push_newest_visible()?;
        }
    }

    /// Places the cursor on the oldest version of the last key before the end of the span.
    fn place_before_end(&mut self) -> Result<(), StorageError> {
        self.cursor.seek(&self.span.end.0);
        // If the end is the successor of a key, that key's versions may sort behind the end.
        while let Some((found, _)) = here(self.cursor)? {
            if self.span.end.0.as_ref() <= found {
                self.cursor.prev();
                return Ok(());
            }
            let key = found.to_vec();
            self.patience.skip_key(self.cursor, &key);
        }
        self.cursor.seek_to_last();
        Ok(())
    }

    /// From the oldest version of the key here to its newest at or below the time, which is taken;
    /// leaves the cursor before the key.
    fn push_newest_visible(&mut self) -> Result<(), StorageError> {
        let held = self.held.len();
        let mut newest = false;
        for _ in 0..=STEPS_BEFORE_SEEK {
            match here(self.cursor)? {
                Some((found, timestamp)) if found == self.key => {
                    if self.at < timestamp {
                        break;
                    }
                    if std::mem::replace(&mut newest, true) {
                        self.rows.pop();
                        self.held.truncate(held);
                    }
                    self.push(timestamp);
                    self.cursor.prev();
                }
                _ => return Ok(()),
            }
        }
        if newest {
            self.rows.pop();
            self.held.truncate(held);
        }
        self.cursor.seek(&physical_key(&self.key, self.at));
        if let Some((found, timestamp)) = here(self.cursor)?
            && found == self.key
        {
            self.push(timestamp);
        }
        self.cursor.seek(&physical_key(&self.key, Timestamp::MAX));
        match self.cursor.key() {
            Some(_) => self.cursor.prev(),
            None => self.cursor.seek_to_last(),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::storage::memory::MemoryStore;
    use crate::storage::port::WriteBatch;

    /// key → timestamp → value.
    type Model = BTreeMap<Vec<u8>, BTreeMap<u64, u8>>;

    /// Prefix-free keys: a few letters and a terminator.
    fn key(n: u8) -> Vec<u8> {
        let mut key = vec![b'a' + n % 3; usize::from(n / 3)];
        key.push(b'!');
        key
    }

    fn store(model: &Model) -> MemoryStore {
        let mut store = MemoryStore::default();
        let mut batch = WriteBatch::default();
        for (key, versions) in model {
            for (at, value) in versions {
                batch.put(Family::Data, physical_key(key, Timestamp(*at)), vec![*value]);
            }
        }
        store.write(&batch, &crate::base::buggify::Faults::default());
        store
    }

    /// All rows, asked for in pieces of `rows_max`.
    fn scan(
        store: &MemoryStore,
        mut span: Span,
        at: Timestamp,
        reverse: bool,
        rows_max: usize,
    ) -> Vec<(Vec<u8>, u64, u8)> {
        let mut all = Vec::new();
        loop {
            let (family, bytes_max) = (Family::Data, 1 << 20);
            let request =
                ReadRequest::ScanVersions { family, span, at, reverse, rows_max, bytes_max };
            let Ok(ReadReply::VersionRows { rows, resume }) = answer(store, &request) else {
                panic!("a scan fails")
            };
            assert!(rows.len() <= rows_max);
            all.extend(rows.into_iter().map(|(k, v)| (k.to_vec(), v.timestamp.0, v.value[0])));
            match resume {
                Some(rest) => span = rest,
                None => return all,
            }
        }
    }

    fn any_model() -> impl Strategy<Value = Model> {
        // Some keys have more versions than a walk tries steps.
        let version = (0u8..12, 1u64..40, any::<u8>());
        prop::collection::vec(version, 0..240).prop_map(|all| {
            let mut model = Model::new();
            for (k, at, value) in all {
                model.entry(key(k)).or_default().insert(at, value);
            }
            model
        })
    }

    fn span(a: u8, b: u8, successor: bool) -> Span {
        let end = Key::from(key(a.max(b)));
        let end = if successor { end.successor() } else { end };
        Span { start: key(a.min(b)).into(), end }
    }

    proptest! {
        /// The store behaves as a map from key to a map from time to value.
        #[test]
        fn reads_agree_with_the_model(
            model in any_model(), a in 0u8..12, b in 0u8..12, successor: bool, at in 0u64..42,
            after in 0u64..42, rows_max in 1usize..12,
        ) {
            let (store, span, at) = (store(&model), span(a, b, successor), Timestamp(at));
            let in_span: Vec<_> = model.iter().filter(|(k, _)| span.contains(k)).collect();
            let mut expected: Vec<_> = in_span.iter().filter_map(|(k, versions)| {
                versions.range(..=at.0).next_back().map(|(t, v)| ((*k).clone(), *t, *v))
            }).collect();
            prop_assert_eq!(&scan(&store, span.clone(), at, false, rows_max), &expected);
            expected.reverse();
            prop_assert_eq!(&scan(&store, span.clone(), at, true, rows_max), &expected);

            let changed = in_span.iter().find_map(|(k, versions)| {
                let newest = versions.range(..=at.0).next_back()?;
                (after < *newest.0).then(|| (Bytes::from((*k).clone()), Timestamp(*newest.0)))
            });
            let request = ReadRequest::ChangedIn {
                family: Family::Data, span, after: Timestamp(after), up_to: at,
            };
            prop_assert_eq!(answer(&store, &request), Ok(ReadReply::Changed(changed)));

            let keys: Vec<_> = (0..12).map(|n| Bytes::from(key(n))).collect();
            let versions = keys.iter().map(|k| {
                let (t, v) = model.get(k.as_ref())?.range(..=at.0).next_back()?;
                Some(Version { timestamp: Timestamp(*t), value: vec![*v].into() })
            }).collect();
            let request = ReadRequest::VersionsAt { family: Family::Data, keys, at };
            prop_assert_eq!(answer(&store, &request), Ok(ReadReply::Versions(versions)));
        }
    }

    /// Counts moves.
    struct Counting<C>(C, std::cell::Cell<usize>);

    impl<C: Cursor> Cursor for Counting<C> {
        fn seek(&mut self, key: &[u8]) {
            self.1.set(self.1.get() + 1);
            self.0.seek(key);
        }
        fn seek_for_prev(&mut self, key: &[u8]) {
            self.1.set(self.1.get() + 1);
            self.0.seek_for_prev(key);
        }
        fn seek_to_last(&mut self) {
            self.0.seek_to_last();
        }
        fn next(&mut self) {
            self.1.set(self.1.get() + 1);
            self.0.next();
        }
        fn prev(&mut self) {
            self.1.set(self.1.get() + 1);
            self.0.prev();
        }
        fn key(&self) -> Option<&[u8]> {
            self.0.key()
        }
        fn value(&self) -> Bytes {
            self.0.value()
        }
        fn status(&self) -> Result<(), StorageError> {
            self.0.status()
        }
    }

    #[test]
    fn a_row_with_many_versions_is_cheap_to_pass() {
        let mut model = Model::new();
        model.insert(key(3), (1..=20_000).map(|t| (t, 0)).collect());
        model.insert(key(4), BTreeMap::from([(5, 1)]));
        let store = store(&model);
        let everything = Span { start: Key::MIN, end: Key::from(vec![0xff]) };
        for at in [1, 10_000, 30_000] {
            for reverse in [false, true] {
                let mut cursor = Counting(store.cursor(Family::Data), 0.into());
                let mut scan = Scan::new(&mut cursor, &everything, Timestamp(at), 100, 1 << 20);
                let reply = if reverse { scan.backward() } else { scan.forward() };
                let Ok(ReadReply::VersionRows { rows, .. }) = reply else { panic!("no rows") };
                assert_eq!(rows.len(), if at < 5 { 1 } else { 2 });
                assert!(cursor.1.get() < 80, "{} moves at {at}, {reverse}", cursor.1.get());
            }
        }
    }

    #[test]
    fn rows_that_all_have_many_versions_cost_a_step_and_a_seek() {
        let versions: BTreeMap<u64, u8> = (1..=50).map(|t| (t, 0)).collect();
        let model: Model = (3..60).map(|n| (key(n), versions.clone())).collect();
        let store = store(&model);
        let everything = Span { start: Key::MIN, end: Key::from(vec![0xff]) };
        let mut cursor = Counting(store.cursor(Family::Data), 0.into());
        let mut scan = Scan::new(&mut cursor, &everything, Timestamp(99), 100, 1 << 20);
        let Ok(ReadReply::VersionRows { rows, .. }) = scan.forward() else { panic!("no rows") };
        assert_eq!(rows.len(), 57);
        let moves = cursor.1.get();
        assert!(moves < 3 * 57, "{moves} moves");
    }
}
