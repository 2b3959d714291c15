//! Hash maps whose iteration order is the same in every process.
//!
//! `std`'s maps are seeded from the environment, which would break "same seed, same trace". These are
//! for hot paths; where order matters to anybody, use `BTreeMap`.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use xxhash_rust::xxh3::xxh3_64;

/// A hasher with a fixed seed: `FxHash`-like mixing for short keys.
#[derive(Clone, Copy, Default)]
pub struct FixedHasher(u64);

const MULTIPLIER: u64 = 0x517c_c1b7_2722_0a95;

impl FixedHasher {
    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(MULTIPLIER);
    }
}

impl Hasher for FixedHasher {
    fn finish(&self) -> u64 {
        // The maps use the top bits too: spread the multiplier's result.
        self.0 ^ (self.0 >> 32)
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
