//! Pairs in one block of memory: what a load writes is copied together once, and not taken apart
//! until a store has it.
//!
//! # Format
//!
//! One pair after the other: `length varint ‖ key ‖ length varint ‖ value`.

use bytes::{BufMut, Bytes};
use serde::{Deserialize, Serialize};

use crate::base::codec::{CodecError, Reader, put_varint};
use crate::base::limit;

/// A key's bytes at most: a store may add to what a user may choose.
const KEY_BYTES_MAX: usize = limit::KEY_BYTES_MAX + 64;
/// A value's.
const VALUE_BYTES_MAX: usize = limit::ROW_BYTES_MAX + 64;
/// What the two lengths take at most.
const LENGTH_BYTES_MAX: usize = 2 * 10;

/// Packed pairs; the bytes are known to be whole.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(into = "Bytes", try_from = "Bytes")]
pub struct PackedPairs(Bytes);

impl PackedPairs {
    /// The pairs, in the order in which they were packed.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut reader = Reader::new(&self.0);
        // Every byte was read once already: nothing can fail.
        std::iter::from_fn(move || pair(&mut reader).ok())
    }

    /// A key or a value, sharing the block's memory.
    ///
    /// # Panics
    ///
    /// If it is no part of this block.
    pub fn share(&self, part: &[u8]) -> Bytes {
        self.0.slice_ref(part)
    }

    /// Bytes of the block.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<PackedPairs> for Bytes {
    fn from(pairs: PackedPairs) -> Self {
        pairs.0
    }
}

impl TryFrom<Bytes> for PackedPairs {
    type Error = CodecError;

    fn try_from(bytes: Bytes) -> Result<Self, CodecError> {
        let mut reader = Reader::new(&bytes);
        while !reader.is_empty() {
            pair(&mut reader)?;
        }
        Ok(Self(bytes))
    }
}

fn pair<'a>(reader: &mut Reader<'a>) -> Result<(&'a [u8], &'a [u8]), CodecError> {
    Ok((reader.blob(KEY_BYTES_MAX)?, reader.blob(VALUE_BYTES_MAX)?))
}

/// Packs pairs.
#[derive(Debug, Default)]
pub struct Packer {
    out: Vec<u8>,
}

impl Packer {
    /// Appends a pair; key and value come in two parts each.
    ///
    /// # Panics
    ///
    /// If either is longer than any key or value may be.
    pub fn put(&mut self, key: [&[u8]; 2], value: [&[u8]; 2]) {
        let (key_len, value_len) = (key[0].len() + key[1].len(), value[0].len() + value[1].len());
        assert!(key_len <= KEY_BYTES_MAX, "a key of {key_len} bytes");
        assert!(value_len <= VALUE_BYTES_MAX, "a value of {value_len} bytes");
        self.out.reserve(key_len + value_len + LENGTH_BYTES_MAX);
        for (len, parts) in [(key_len, key), (value_len, value)] {
            put_varint(&mut self.out, len as u64);
            for part in parts {
                self.out.put_slice(part);
            }
        }
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// The pairs so far; it goes on empty.
    pub fn take(&mut self) -> PackedPairs {
        PackedPairs(std::mem::take(&mut self.out).into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(pairs: &[(Vec<u8>, Vec<u8>)]) -> PackedPairs {
        let mut packer = Packer::default();
        for (key, value) in pairs {
            let (key, value) = (key.split_at(key.len() / 2), value.split_at(value.len() / 3));
            packer.put([key.0, key.1], [value.0, value.1]);
        }
        packer.take()
    }

    fn unpacked(pairs: &PackedPairs) -> Vec<(Vec<u8>, Vec<u8>)> {
        pairs.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
    }

    #[test]
    fn a_block_that_is_cut_is_refused() {
        let whole = Bytes::from(packed(&[(b"key".to_vec(), b"value".to_vec())]));
        for end in 1..whole.len() {
            assert!(PackedPairs::try_from(whole.slice(..end)).is_err(), "cut at {end}");
        }
        let mut long = Vec::new();
        put_varint(&mut long, KEY_BYTES_MAX as u64 + 1);
        long.resize(long.len() + KEY_BYTES_MAX + 2, 0);
        assert!(PackedPairs::try_from(Bytes::from(long)).is_err(), "a key over the bound");
    }

    proptest! {
        #[test]
        fn pairs_come_out_as_they_went_in(pairs: Vec<(Vec<u8>, Vec<u8>)>) {
            let packed = packed(&pairs);
            prop_assert_eq!(&unpacked(&packed), &pairs);
            let again = PackedPairs::try_from(Bytes::from(packed.clone()));
            prop_assert_eq!(again, Ok(packed));
        }

        #[test]
        fn any_bytes_give_pairs_or_an_error(bytes: Vec<u8>) {
            if let Ok(pairs) = PackedPairs::try_from(Bytes::from(bytes.clone())) {
                let total: usize = pairs.iter().map(|(key, value)| 2 + key.len() + value.len()).sum();
                prop_assert!(total <= bytes.len());
            }
        }
    }
}
