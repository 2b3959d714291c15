//! Hash maps whose iteration order is the same in every process.
//!
//! `std`'s maps are seeded from the environment, which would break "same seed, same trace". These are
//! for hot paths; where order matters to anybody, use `BTreeMap`.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_64;

/// A hasher with a fixed seed: a folded multiplication a word, as wyhash and foldhash do.
///
/// A plain multiplication carries a difference only upwards. Keys count in the last byte of a
/// big-endian number, which is the top byte of a word: their hashes would differ in eight bits.
#[derive(Clone, Copy)]
pub struct FixedHasher(u64);

/// Odd, with about as many ones as zeros (the fraction of pi, as foldhash's).
const MULTIPLIER: u64 = 0x243f_6a88_85a3_08d3;
const START: u64 = 0x1319_8a2e_0370_7344;
const FINISH: u64 = 0xa409_3822_299f_31d1;

impl Default for FixedHasher {
    fn default() -> Self {
        Self(START)
    }
}

impl FixedHasher {
    fn mix(&mut self, word: u64) {
        self.0 = folded(self.0 ^ word, MULTIPLIER);
    }
}

/// The halves of a product, one upon the other: every bit of `a` reaches the low and the high ones.
fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

impl Hasher for FixedHasher {
    fn finish(&self) -> u64 {
        // The tables' tags are the top seven bits: numbers in a row are not yet spread there.
        folded(self.0, FINISH)
    }
    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
        let rest = chunks.remainder();
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.mix(u64::from_le_bytes(word) ^ ((rest.len() as u64) << 56));
        }
    }
    fn write_u8(&mut self, n: u8) {
        self.mix(u64::from(n));
    }
    fn write_u32(&mut self, n: u32) {
        self.mix(u64::from(n));
    }
    fn write_u64(&mut self, n: u64) {
        self.mix(n);
    }
    fn write_usize(&mut self, n: usize) {
        self.mix(n as u64);
    }
}

/// A hash map with a fixed hasher: for hot paths whose keys no client can choose freely, or whose
/// size is bounded.
pub type FixedMap<K, V> = HashMap<K, V, BuildHasherDefault<FixedHasher>>;
/// A hash set with a fixed hasher.
pub type FixedSet<K> = HashSet<K, BuildHasherDefault<FixedHasher>>;

/// 64 stable hash bits of some bytes (xxh3), for routing and for checksums of traces.
pub fn stable_hash(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::hash::Hash;

    use super::*;

    fn hash(value: &impl Hash) -> u64 {
        let mut hasher = FixedHasher::default();
        value.hash(&mut hasher);
        hasher.finish()
    }

    /// What a table of 4,096 places does with the hashes: places used, and tags.
    fn spread(hashes: impl Iterator<Item = u64>) -> (usize, usize) {
        let (mut places, mut tags) = (BTreeSet::new(), BTreeSet::new());
        for hash in hashes {
            places.insert(hash & 0xfff);
            tags.insert(hash >> 57);
        }
        (places.len(), tags.len())
    }

    #[test]
    fn keys_that_differ_in_one_byte_use_the_whole_table() {
        for at in 0..20 {
            let keys = (0..=255_u8).map(|byte| {
                let mut key = [7_u8; 20];
                key[at] = byte;
                hash(&key.as_slice())
            });
            let (places, tags) = spread(keys);
            // 256 balls into 4,096 and into 128 boxes fill 248 and 111 of them on average.
            assert!(235 < places && 90 < tags, "byte {at}: {places} places, {tags} tags");
        }
    }

    #[test]
    fn numbers_in_a_row_use_the_whole_table() {
        for shift in [0, 8, 32, 48, 56] {
            let (places, tags) = spread((0..256_u64).map(|number| hash(&(number << shift))));
            assert!(235 < places && 90 < tags, "shift {shift}: {places} places, {tags} tags");
        }
    }
}
