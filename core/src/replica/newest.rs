//! The newest version of keys that were lately written or looked up: answers reads of hot rows, and
//! saves the seek that a commit needs to know whether its rows are as they were seen.
//!
//! An entry is exact: every applied write updates it. The cache is cut into parts by the keys' hash,
//! each of two generations, which bound its memory; forgetting or growing stops the node for one part
//! only. An entry that a read brings in is taken only if nothing was forgotten since the read was
//! pinned, for a newer write could have come and gone in between.

use std::hash::{Hash, Hasher};

use bytes::Bytes;
use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::base::key::Key;
use crate::base::map::FixedHasher;
use crate::base::timestamp::Timestamp;
use crate::mvcc::version::is_tombstone;
use crate::storage::port::Version;

/// Parts of the cache: a power of two.
const PARTS: usize = 64;
/// What the cache holds at least, so that commits find the rows that they have locked.
const BYTES_MIN: usize = 4 << 20;
/// A longer value is not kept, only that it is there.
const VALUE_BYTES_MAX: usize = 4 << 10;
/// What an entry takes beyond its bytes, about: its place in a set that is not quite full, and what
/// the allocator rounds up.
const ENTRY_BYTES: usize = 72;
/// Rows of a load that are looked up together: more than a processor waits for at once.
const LOADED_TOGETHER: usize = 32;

/// The newest version of a key, or that there is none.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct NewestVersion {
    /// When it was committed; `None`: the key was never written.
    pub at: Option<Timestamp>,
    /// Whether a row is there.
    pub live: bool,
}

/// What is known of a key: one block of memory beside its place in the set.
#[derive(Debug)]
struct Known {
    /// Of the key; kept, or a set that grows would have to look at every block.
    hash: u64,
    /// The key, and behind it the value, unless that is long.
    bytes: Box<[u8]>,
    key_len: u32,
    at: Timestamp,
    written: bool,
    live: bool,
    has_value: bool,
}

/// The cache.
#[derive(Debug, Default)]
pub struct Newest {
    on: bool,
    forgotten: u64,
    generation_bytes: usize,
    parts: Vec<Part>,
}

#[derive(Debug, Default)]
struct Part {
    young: HashTable<Known>,
    old: HashTable<Known>,
    young_bytes: usize,
}

impl Newest {
    /// Begins anew, as a leader's, with about so many bytes.
    pub fn start(&mut self, bytes_max: usize) {
        self.stop();
        self.on = true;
        self.generation_bytes = bytes_max.max(BYTES_MIN) / PARTS / 2;
        self.parts.resize_with(PARTS, Part::default);
    }

    /// Forgets everything and remembers nothing.
    pub fn stop(&mut self) {
        self.on = false;
        self.forgotten += 1;
        self.parts = Vec::new();
    }

    fn known(&self, key: &[u8]) -> Option<&Known> {
        if !self.on {
            return None;
        }
        let hash = hash_of(key);
        self.parts.get(part_of(hash))?.known(hash, key)
    }

    /// What is known of a key.
    pub fn get(&self, key: &Key) -> Option<NewestVersion> {
        self.known(&key.0).map(Known::version)
    }

    /// The newest versions of keys at or below `at`, if all of them are known.
    pub fn versions(&self, keys: &[Key], at: Timestamp) -> Option<Vec<Option<Version>>> {
        keys.iter().map(|key| self.version(key, at)).collect()
    }

    /// The newest version of a key at or below `at`, if it is known.
    pub fn version(&self, key: &Key, at: Timestamp) -> Option<Option<Version>> {
        let known = self.known(&key.0)?;
        if !known.written {
            return Some(None);
        }
        let value = known.value().filter(|_| known.at <= at)?;
        Some(Some(Version { timestamp: known.at, value: Bytes::copy_from_slice(value) }))
    }

    /// A write was applied.
    pub fn applied(&mut self, key: &Key, at: Timestamp, value: &Bytes) {
        if self.on {
            self.offer(hash_of(&key.0), &key.0, newest(at, value), Some(value));
        }
    }

    /// Rows of a new key space were applied. They are remembered only where there is room, or a load
    /// would push out all that is in use, and only if `remember`. What is known stays exact, and no
    /// read under way may be believed.
    pub fn loaded<'a>(
        &mut self,
        rows: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        at: Timestamp,
        remember: bool,
    ) {
        if !self.on {
            return;
        }
        self.forgotten += 1;
        let mut rows = rows.map(|(key, value)| (hash_of(key), key, value));
        loop {
            let group: SmallVec<[_; LOADED_TOGETHER]> =
                rows.by_ref().take(LOADED_TOGETHER).collect();
            if group.is_empty() {
                return;
            }
            // One look-up right after the other: the processor waits for their memory at once.
            let known: SmallVec<[bool; LOADED_TOGETHER]> =
                group.iter().map(|(hash, key, _)| self.is_known(*hash, key)).collect();
            // A key above those before it in the group is not one of them.
            let mut before: &[u8] = &[];
            for ((hash, key, value), mut known) in group.into_iter().zip(known) {
                if key <= before {
                    known |= self.is_known(hash, key);
                }
                before = before.max(key);
                if known {
                    self.offer(hash, key, newest(at, value), Some(value));
                } else if remember && self.has_room(hash) {
                    self.add(Known::new(hash, key, newest(at, value), Some(value)));
                }
            }
        }
    }

    fn is_known(&self, hash: u64, key: &[u8]) -> bool {
        self.parts.get(part_of(hash)).is_some_and(|part| part.known(hash, key).is_some())
    }

    /// Whether nothing would be forgotten.
    fn has_room(&self, hash: u64) -> bool {
        let part = self.parts.get(part_of(hash));
        let full = self.generation_bytes.saturating_sub(2 * VALUE_BYTES_MAX);
        part.is_some_and(|part| part.old.is_empty() || part.young_bytes < full)
    }

    /// To be given back with what a read pinned now will find.
    pub fn stamp(&self) -> u64 {
        self.forgotten
    }

    /// A read found this; it was pinned when [`Self::stamp`] gave `stamp`.
    pub fn found(&mut self, stamp: u64, key: &Key, version: Option<&Version>) {
        if !self.on || stamp != self.forgotten {
            return;
        }
        let newest = version.map_or_else(NewestVersion::default, |v| newest(v.timestamp, &v.value));
        self.offer(hash_of(&key.0), &key.0, newest, version.map(|version| &*version.value));
    }

    fn offer(&mut self, hash: u64, key: &[u8], version: NewestVersion, value: Option<&[u8]>) {
        let Some(part) = self.parts.get_mut(part_of(hash)) else { return };
        part.offer(Known::new(hash, key, version, value));
        self.forget_if_full(hash);
    }

    /// Adds what no generation holds.
    fn add(&mut self, known: Known) {
        let hash = known.hash;
        let Some(part) = self.parts.get_mut(part_of(hash)) else { return };
        part.add(known);
        self.forget_if_full(hash);
    }

    fn forget_if_full(&mut self, hash: u64) {
        let Some(part) = self.parts.get_mut(part_of(hash)) else { return };
        if self.generation_bytes <= part.young_bytes {
            part.old = std::mem::take(&mut part.young);
            part.young_bytes = 0;
            self.forgotten += 1;
        }
    }
}

impl Part {
    fn known(&self, hash: u64, key: &[u8]) -> Option<&Known> {
        let is_it = |known: &Known| known.key() == key;
        self.young.find(hash, is_it).or_else(|| self.old.find(hash, is_it))
    }

    /// Takes what is newer than what is known.
    fn offer(&mut self, offered: Known) {
        let hash = offered.hash;
        if let Some(held) = self.young.find_mut(hash, |known| known.key() == offered.key()) {
            if held.version().at <= offered.version().at {
                self.young_bytes = self.young_bytes - held.bytes.len() + offered.bytes.len();
                *held = offered;
            }
            return;
        }
        let older = self.old.find_entry(hash, |known| known.key() == offered.key());
        let known = match older.map(|entry| entry.remove().0) {
            Ok(held) if offered.version().at < held.version().at => held,
            _ => offered, // unknown, or older
        };
        self.add(known);
    }

    fn add(&mut self, known: Known) {
        self.young_bytes += ENTRY_BYTES + known.bytes.len();
        self.young.insert_unique(known.hash, known, |known| known.hash);
    }
}

/// What a write says of its key.
fn newest(at: Timestamp, value: &[u8]) -> NewestVersion {
    NewestVersion { at: Some(at), live: !is_tombstone(value) }
}

fn hash_of(key: &[u8]) -> u64 {
    let mut hasher = FixedHasher::default();
    key.hash(&mut hasher);
    hasher.finish()
}

/// The sets use the low bits and the top seven.
fn part_of(hash: u64) -> usize {
    (hash >> 40) as usize % PARTS
}

impl Known {
    fn new(hash: u64, key: &[u8], version: NewestVersion, value: Option<&[u8]>) -> Self {
        let value = value.filter(|value| value.len() <= VALUE_BYTES_MAX);
        let key_len = u32::try_from(key.len());
        assert!(key_len.is_ok(), "a key of over four thousand million bytes");
        let kept = value.unwrap_or_default();
        Self {
            hash,
            bytes: [key, kept].concat().into(),
            key_len: key_len.unwrap_or_default(),
            at: version.at.unwrap_or_default(),
            written: version.at.is_some(),
            live: version.live,
            has_value: value.is_some(),
        }
    }

    fn key(&self) -> &[u8] {
        &self.bytes[..self.key_len as usize]
    }

    fn value(&self) -> Option<&[u8]> {
        self.has_value.then(|| &self.bytes[self.key_len as usize..])
    }

    fn version(&self) -> NewestVersion {
        NewestVersion { at: self.written.then_some(self.at), live: self.live }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE_BYTES: &[u8] = b"\0\0\0\0";
    const LIVE: Bytes = Bytes::from_static(LIVE_BYTES);

    fn key(number: usize) -> Key {
        Key(Bytes::from(number.to_be_bytes().to_vec()))
    }

    fn live(at: u64) -> NewestVersion {
        NewestVersion { at: Some(Timestamp(at)), live: true }
    }

    fn version(at: u64) -> Version {
        Version { timestamp: Timestamp(at), value: LIVE }
    }

    #[test]
    fn a_late_read_never_hides_a_newer_write() {
        let mut cache = Newest::default();
        cache.start(0);
        let stamp = cache.stamp();
        cache.applied(&key(1), Timestamp(9), &LIVE);
        cache.found(stamp, &key(1), Some(&version(5)));
        assert_eq!(cache.get(&key(1)), Some(live(9)));
        // The entry is forgotten before the read comes back: the read must not be believed.
        for number in 2..2 + 2 * BYTES_MIN / ENTRY_BYTES {
            cache.applied(&key(number), Timestamp(1), &LIVE);
        }
        assert_eq!(cache.get(&key(1)), None);
        cache.found(stamp, &key(1), Some(&version(5)));
        assert_eq!(cache.get(&key(1)), None);
    }

    #[test]
    fn a_follower_remembers_nothing() {
        let mut cache = Newest::default();
        cache.applied(&key(1), Timestamp(9), &Bytes::from_static(b"\x01\0\0\0"));
        assert_eq!(cache.get(&key(1)), None);
        cache.start(0);
        cache.applied(&key(1), Timestamp(9), &Bytes::from_static(b"\x01\0\0\0"));
        let gone = NewestVersion { at: Some(Timestamp(9)), live: false };
        assert_eq!(cache.get(&key(1)), Some(gone));
        cache.stop();
        assert_eq!(cache.get(&key(1)), None);
    }

    #[test]
    fn reads_are_answered_only_with_what_is_certain() {
        let mut cache = Newest::default();
        cache.start(0);
        cache.applied(&key(1), Timestamp(9), &LIVE);
        cache.found(cache.stamp(), &key(2), None);
        let at = |keys: &[Key], at| cache.versions(keys, Timestamp(at));
        assert_eq!(at(&[key(1), key(2)], 9), Some(vec![Some(version(9)), None]));
        assert_eq!(at(&[key(1)], 8), None, "an older version is the store's to know");
        assert_eq!(at(&[key(1), key(3)], 9), None);
        let long = Bytes::from(vec![0; VALUE_BYTES_MAX + 1]);
        cache.applied(&key(1), Timestamp(10), &long);
        assert_eq!(cache.versions(&[key(1)], Timestamp(10)), None, "long values are not kept");
        assert_eq!(cache.get(&key(1)), Some(live(10)));
    }

    fn load(cache: &mut Newest, keys: &[Key], at: Timestamp, remember: bool) {
        cache.loaded(keys.iter().map(|key| (&*key.0, LIVE_BYTES)), at, remember);
    }

    #[test]
    fn a_load_pushes_nothing_out_and_hides_nothing() {
        let mut cache = Newest::default();
        cache.start(0);
        cache.applied(&key(0), Timestamp(5), &LIVE);
        let keys: Vec<Key> = (1..4 * BYTES_MIN / ENTRY_BYTES).map(key).collect();
        load(&mut cache, &keys, Timestamp(3), true);
        assert_eq!(cache.get(&key(0)), Some(live(5)), "pushed out by a load");
        assert_eq!(cache.get(&key(1)), Some(live(3)), "there was room");
        let missing = keys.iter().find(|key| cache.get(key).is_none());
        let missing = missing.expect("the cache has a bound");
        let stamp = cache.stamp();
        let again = [key(0), missing.clone()];
        load(&mut cache, &again, Timestamp(7), true);
        assert_eq!(cache.get(&key(0)), Some(live(7)));
        assert_eq!(cache.get(missing), None);
        cache.found(stamp, missing, None);
        assert_eq!(cache.get(missing), None, "the read was pinned before the load");
    }
    #[test]
    fn values_that_grow_in_place_are_bounded_too() {
        let mut cache = Newest::default();
        cache.start(0);
        let keys = BYTES_MIN / ENTRY_BYTES / 16;
        for (at, len) in [(1, 0), (2, VALUE_BYTES_MAX), (3, VALUE_BYTES_MAX)] {
            let value = Bytes::from(vec![0; len]);
            (0..keys).for_each(|number| cache.applied(&key(number), Timestamp(at), &value));
        }
        let held = |table: &HashTable<Known>| table.iter().map(|k| k.bytes.len()).sum::<usize>();
        let bytes: usize = cache.parts.iter().map(|p| held(&p.young) + held(&p.old)).sum();
        assert!(bytes <= 2 * BYTES_MIN, "{bytes} bytes are kept");
    }

    #[test]
    fn a_load_that_nobody_looks_up_changes_only_what_is_known() {
        let mut cache = Newest::default();
        cache.start(0);
        cache.found(cache.stamp(), &key(1), None);
        let stamp = cache.stamp();
        let rows = [key(1), key(2), key(1)];
        load(&mut cache, &rows, Timestamp(3), false);
        assert_eq!((cache.get(&key(1)), cache.get(&key(2))), (Some(live(3)), None));
        cache.found(stamp, &key(2), None);
        assert_eq!(cache.get(&key(2)), None, "the read was pinned before the load");
        let again = [key(2), key(2)];
        load(&mut cache, &again, Timestamp(4), true);
        let held: usize = cache.parts.iter().map(|part| part.young.len() + part.old.len()).sum();
        assert_eq!((cache.get(&key(2)), held), (Some(live(4)), 2), "each key once");
    }
}
