//! The value of one version: a header and a row, or a tombstone.
//!
//! The header holds what must be known without the catalog: whether the row is gone, which version of
//! the descriptor wrote it, and the hash by which the row was routed (ownership filters read that).
//!
//! # Format
//!
//! ```text
//! key ‖ !timestamp (8 bytes, big-endian, inverted: newest first)
//!   → flags u8 (bit 0: tombstone; others zero) ‖ schema version varint ‖ hash16 u16be ‖ row
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::base::codec::{CodecError, Reader, put_varint};
use crate::base::timestamp::Timestamp;

/// Bytes of the timestamp at the end of a store key.
pub const STAMP_BYTES: usize = 8;

/// Bytes before the row, at most: flags, a varint of 32 bits, the hash.
pub const HEADER_BYTES_MAX: usize = 8;

const TOMBSTONE: u8 = 1;

/// What is known of a version without the catalog.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct VersionHeader {
    /// The row is gone as of this version.
    pub tombstone: bool,
    /// The version of the table's descriptor that wrote it.
    pub schema: u32,
    /// The hash of the sharding columns.
    pub hash: u16,
}

/// A decoded version.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VersionValue {
    /// See [`VersionHeader`].
    pub header: VersionHeader,
    /// The row; empty for a tombstone.
    pub row: Bytes,
}

/// The bytes of a version.
pub fn encode(header: VersionHeader, row: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(row.len() + HEADER_BYTES_MAX);
    put_header(&mut out, header);
    if !header.tombstone {
        out.put_slice(row);
    }
    out.freeze()
}

/// Appends what goes before the row.
pub fn put_header(out: &mut impl BufMut, header: VersionHeader) {
    out.put_u8(if header.tombstone { TOMBSTONE } else { 0 });
    put_varint(out, u64::from(header.schema));
    out.put_u16(header.hash);
}

/// Reads a version; any bytes give `Ok` or `Err`. The row shares the value's memory.
///
/// # Errors
///
/// [`CodecError`] if the bytes are not a version.
pub fn decode(value: &Bytes) -> Result<VersionValue, CodecError> {
    decode_owned(value.clone())
}

/// As [`decode`], of a value that is needed no more.
///
/// # Errors
///
/// As [`decode`].
pub fn decode_owned(mut value: Bytes) -> Result<VersionValue, CodecError> {
    let (header, row) = split(&value)?;
    value.advance(value.len() - row.len());
    Ok(VersionValue { header, row: value })
}

/// A version's header and its row, as [`decode`] without sharing.
///
/// # Errors
///
/// As [`decode`].
pub fn split(value: &[u8]) -> Result<(VersionHeader, &[u8]), CodecError> {
    let mut reader = Reader::new(value);
    let flags = reader.u8()?;
    if flags & !TOMBSTONE != 0 {
        return Err(CodecError::Malformed("unknown flags of a version"));
    }
    let schema = u32::try_from(reader.varint()?)
        .map_err(|_| CodecError::Malformed("schema version over 32 bits"))?;
    let hash = reader.u16()?;
    let tombstone = flags & TOMBSTONE != 0;
    if tombstone && !reader.is_empty() {
        return Err(CodecError::Malformed("a tombstone with a row"));
    }
    Ok((VersionHeader { tombstone, schema, hash }, reader.rest()))
}

/// Whether a version's bytes say that the row is gone; cheaper than [`decode`].
pub fn is_tombstone(value: &[u8]) -> bool {
    value.first().is_some_and(|flags| flags & TOMBSTONE != 0)
}

/// Where a version lies in the store: `key ‖ !timestamp`.
pub fn store_key(key: &[u8], at: Timestamp) -> Bytes {
    let mut out = BytesMut::with_capacity(key.len() + STAMP_BYTES);
    out.put_slice(key);
    out.put_slice(&stamp(at));
    out.freeze()
}

/// The end of a store key: `!timestamp`.
pub fn stamp(at: Timestamp) -> [u8; STAMP_BYTES] {
    (!at.0).to_be_bytes()
}

/// Takes a store key apart; `None` if it is too short for a timestamp.
pub fn split_store_key(store_key: &[u8]) -> Option<(&[u8], Timestamp)> {
    let (key, stamp) = store_key.split_last_chunk::<STAMP_BYTES>()?;
    Some((key, Timestamp(!u64::from_be_bytes(*stamp))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A version reads back as it was written.
        #[test]
        fn versions_survive_the_round_trip(
            tombstone: bool, schema: u32, hash: u16, row in prop::collection::vec(any::<u8>(), 0..64)
        ) {
            let header = VersionHeader { tombstone, schema, hash };
            let bytes = encode(header, &row);
            let back = decode(&bytes).unwrap();
            prop_assert_eq!(back.header, header);
            prop_assert_eq!(back.row.as_ref(), if tombstone { &[][..] } else { &row[..] });
            prop_assert_eq!(is_tombstone(&bytes), tombstone);
        }

        /// Any bytes are a version or an error, and what reads is written the same.
        #[test]
        fn decoding_is_total(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let bytes = Bytes::from(bytes);
            if let Ok(value) = decode(&bytes) {
                let again = decode(&encode(value.header, &value.row)).unwrap();
                prop_assert_eq!(again, value);
            }
        }

        /// Newer versions of a key sort first, and keys keep their order.
        #[test]
        fn newest_sorts_first(key in prop::collection::vec(any::<u8>(), 4), a: u64, b: u64) {
            let (first, second) = (store_key(&key, Timestamp(a)), store_key(&key, Timestamp(b)));
            prop_assert_eq!(first.cmp(&second), b.cmp(&a));
            prop_assert_eq!(split_store_key(&first), Some((&key[..], Timestamp(a))));
        }
    }

    #[test]
    fn the_bytes_of_a_version_are_a_promise() {
        let header = VersionHeader { tombstone: false, schema: 300, hash: 0xabcd };
        assert_eq!(encode(header, b"row").as_ref(), b"\x00\xac\x02\xab\xcdrow");
        let gone = VersionHeader { tombstone: true, schema: 1, hash: 2 };
        assert_eq!(encode(gone, b"ignored").as_ref(), b"\x01\x01\x00\x02");
    }
}
