//! Committed versions as operations of a store's batch.

use bytes::Bytes;

use super::version;
use crate::base::timestamp::Timestamp;
use crate::storage::port::{Family, WriteBatch};

/// Adds a committed version to a batch: `value` as [`version::encode`] made it.
///
/// # Panics
///
/// If the family holds no versions.
pub fn put_version(
    batch: &mut WriteBatch,
    family: Family,
    key: &[u8],
    at: Timestamp,
    value: Bytes,
) {
    assert!(matches!(family, Family::Data | Family::Index), "{family:?} holds no versions");
    batch.put(family, version::store_key(key, at), value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::port::WriteOp;

    #[test]
    fn a_version_lands_under_its_inverted_stamp() {
        let mut batch = WriteBatch::default();
        put_version(&mut batch, Family::Index, b"key", Timestamp(1), Bytes::from_static(b"v"));
        let key = Bytes::from_static(b"key\xff\xff\xff\xff\xff\xff\xff\xfe");
        assert_eq!(batch.ops, [WriteOp::Put(Family::Index, key, Bytes::from_static(b"v"))]);
    }
}
