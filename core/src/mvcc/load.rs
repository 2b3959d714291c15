//! Versions of a load, packed: live rows, all of one timestamp.

use super::version::{self, HEADER_BYTES_MAX, STAMP_BYTES, VersionHeader};
use crate::base::codec::CodecError;
use crate::base::limit;
use crate::base::timestamp::Timestamp;
use crate::storage::packed::{PackedPairs, Packer};

/// Whether a key and a row of so many bytes may be written.
pub fn fits(key: &[u8], row_len: usize) -> bool {
    !key.is_empty() && key.len() <= limit::KEY_BYTES_MAX && row_len <= limit::ROW_BYTES_MAX
}

/// Packs rows as versions of one timestamp.
#[derive(Debug)]
pub struct LoadPacker {
    stamp: [u8; STAMP_BYTES],
    packer: Packer,
}

impl LoadPacker {
    /// For rows of this timestamp.
    pub fn new(at: Timestamp) -> Self {
        Self { stamp: version::stamp(at), packer: Packer::default() }
    }

    /// Appends a live row.
    ///
    /// # Panics
    ///
    /// If the row is none that [`fits`].
    pub fn put(&mut self, key: &[u8], schema: u32, hash: u16, row: &[u8]) {
        assert!(fits(key, row.len()), "a row of {} and {} bytes", key.len(), row.len());
        let mut head = [0; HEADER_BYTES_MAX];
        let mut left = &mut head[..];
        version::put_header(&mut left, VersionHeader { tombstone: false, schema, hash });
        let head_len = HEADER_BYTES_MAX - left.len();
        self.packer.put([key, &self.stamp], [&head[..head_len], row]);
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.packer.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.packer.is_empty()
    }

    /// The rows so far; it goes on empty.
    pub fn take(&mut self) -> PackedPairs {
        self.packer.take()
    }
}

/// Whether pairs are live versions of this timestamp.
///
/// # Errors
///
/// [`CodecError`] if not.
pub fn check(pairs: &PackedPairs, at: Timestamp) -> Result<(), CodecError> {
    let stamp = version::stamp(at);
    for (store_key, value) in pairs.iter() {
        let Some(key) = store_key.strip_suffix(&stamp) else {
            return Err(CodecError::Malformed("a packed version of another time"));
        };
        let (header, row) = version::split(value)?;
        if header.tombstone {
            return Err(CodecError::Malformed("a load that deletes"));
        }
        if !fits(key, row.len()) {
            return Err(CodecError::Malformed("a packed version without key, or over a bound"));
        }
    }
    Ok(())
}

/// The packed versions as keys without timestamp, and values.
pub fn rows(pairs: &PackedPairs) -> impl Iterator<Item = (&[u8], &[u8])> {
    pairs.iter().map(|(store_key, value)| {
        (&store_key[..store_key.len().saturating_sub(STAMP_BYTES)], value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp(5);

    fn packed(key: &[u8], value: &[u8]) -> PackedPairs {
        let mut packer = Packer::default();
        packer.put([key, &version::stamp(AT)], [value, &[]]);
        packer.take()
    }

    #[test]
    fn a_packed_row_is_the_version_that_any_write_makes() {
        let mut packer = LoadPacker::new(AT);
        packer.put(b"key", 300, 7, b"row");
        packer.put(b"other", u32::MAX, u16::MAX, b"");
        let pairs = packer.take();
        assert!(packer.is_empty());
        assert_eq!(check(&pairs, AT), Ok(()));
        let version = |key, schema, hash, row| {
            let header = VersionHeader { tombstone: false, schema, hash };
            (version::store_key(key, AT), version::encode(header, row))
        };
        let expected =
            [version(b"key", 300, 7, b"row"), version(b"other", u32::MAX, u16::MAX, b"")];
        let found: Vec<_> = pairs.iter().map(|(k, v)| (pairs.share(k), pairs.share(v))).collect();
        assert_eq!(found, expected);
        assert!(rows(&pairs).map(|(key, _)| key).eq([&b"key"[..], b"other"]));
    }

    #[test]
    fn a_load_that_lies_is_refused() {
        let live = version::encode(VersionHeader::default(), b"row");
        assert_eq!(check(&packed(b"key", &live), AT), Ok(()));
        assert!(check(&packed(b"key", &live), Timestamp(6)).is_err(), "of another timestamp");
        assert!(check(&packed(b"", &live), AT).is_err(), "no key");
        let long = [0; limit::KEY_BYTES_MAX + 1];
        assert_eq!(check(&packed(&long[1..], &live), AT), Ok(()));
        assert!(check(&packed(&long, &live), AT).is_err(), "a key over its bound");
        assert!(check(&packed(b"key", b""), AT).is_err(), "no version");
        let gone = version::encode(VersionHeader { tombstone: true, schema: 0, hash: 0 }, b"");
        assert!(check(&packed(b"key", &gone), AT).is_err(), "a tombstone");
    }
}
