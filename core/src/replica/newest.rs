//! The newest version of keys that were lately written or looked up: saves the seek that a commit
//! needs to know whether its rows are as they were seen.
//!
//! An entry is exact: every applied write updates it. Two generations bound the memory; an entry that
//! a read brings in is taken only if no generation was dropped since the read was pinned, for a newer
//! write could have come and gone in between.

use bytes::Bytes;

use crate::base::key::Key;
use crate::base::map::FixedMap;
use crate::base::timestamp::Timestamp;
use crate::mvcc::version::is_tombstone;

const ENTRIES_MAX: usize = 8_192;
const BYTES_MAX: usize = 2 << 20;

/// The newest version of a key, or that there is none.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct NewestVersion {
    /// When it was committed; `None`: the key was never written.
    pub at: Option<Timestamp>,
    /// Whether a row is there.
    pub live: bool,
}

/// The cache.
#[derive(Debug, Default)]
pub struct Newest {
    on: bool,
    generation: u64,
    young: FixedMap<Key, NewestVersion>,
    old: FixedMap<Key, NewestVersion>,
    young_bytes: usize,
}

impl Newest {
    /// Begins anew, as a leader's.
    pub fn start(&mut self) {
        self.stop();
        self.on = true;
    }

    /// Forgets everything and remembers nothing.
    pub fn stop(&mut self) {
        let generation = self.generation + 1;
        *self = Self { generation, ..Self::default() };
    }

    /// What is known of a key.
    pub fn get(&self, key: &Key) -> Option<NewestVersion> {
        self.young.get(key).or_else(|| self.old.get(key)).copied()
    }

    /// A write was applied.
    pub fn applied(&mut self, key: &Key, at: Timestamp, value: &Bytes) {
        if self.on {
            let live = !is_tombstone(value);
            self.offer(key, NewestVersion { at: Some(at), live });
        }
    }

    /// To be given back with what a read pinned now will find.
    pub fn stamp(&self) -> u64 {
        self.generation
    }

    /// A read found this; it was pinned when [`Self::stamp`] gave `stamp`.
    pub fn found(&mut self, stamp: u64, key: &Key, version: NewestVersion) {
        if self.on && stamp == self.generation {
            self.offer(key, version);
        }
    }

    fn offer(&mut self, key: &Key, version: NewestVersion) {
        let known = self.get(key);
        let newer = known.is_none_or(|known| known.at <= version.at);
        let version = if newer { version } else { known.unwrap_or(version) };
        if self.young.insert(key.clone(), version).is_none() {
            self.young_bytes += key.0.len();
        }
        if ENTRIES_MAX <= self.young.len() || BYTES_MAX <= self.young_bytes {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
            self.generation += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Key {
        Key(Bytes::from(number.to_be_bytes().to_vec()))
    }

    fn live(at: u64) -> NewestVersion {
        NewestVersion { at: Some(Timestamp(at)), live: true }
    }

    #[test]
    fn a_late_read_never_hides_a_newer_write() {
        let mut cache = Newest::default();
        cache.start();
        let stamp = cache.stamp();
        cache.applied(&key(1), Timestamp(9), &Bytes::from_static(b"\0\0\0\0"));
        cache.found(stamp, &key(1), live(5));
        assert_eq!(cache.get(&key(1)), Some(live(9)));
        // The entry is forgotten before the read comes back: the read must not be believed.
        for number in 2..2 + 2 * ENTRIES_MAX {
            cache.applied(&key(number), Timestamp(1), &Bytes::from_static(b"\0\0\0\0"));
        }
        assert_eq!(cache.get(&key(1)), None);
        cache.found(stamp, &key(1), live(5));
        assert_eq!(cache.get(&key(1)), None);
    }

    #[test]
    fn a_follower_remembers_nothing() {
        let mut cache = Newest::default();
        cache.applied(&key(1), Timestamp(9), &Bytes::from_static(b"\x01\0\0\0"));
        assert_eq!(cache.get(&key(1)), None);
        cache.start();
        cache.applied(&key(1), Timestamp(9), &Bytes::from_static(b"\x01\0\0\0"));
        let gone = NewestVersion { at: Some(Timestamp(9)), live: false };
        assert_eq!(cache.get(&key(1)), Some(gone));
        cache.stop();
        assert_eq!(cache.get(&key(1)), None);
    }
}
