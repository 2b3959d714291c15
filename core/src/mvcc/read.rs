//! Questions to a store about versions, and what its answers mean.

use bytes::Bytes;

use crate::base::id::IndexId;
use crate::base::key::{Key, Span};
use crate::base::limit;
use crate::base::timestamp::Timestamp;
use crate::storage::port::{Family, ReadReply, ReadRequest, StorageError, Version};

/// The family that holds an index's versions: index 0 is the table's own rows.
pub const fn family_of(index: IndexId) -> Family {
    if index.0 == 0 { Family::Data } else { Family::Index }
}

/// Asks for the newest versions at or below `at`.
pub fn versions_at(family: Family, keys: &[Key], at: Timestamp) -> ReadRequest {
    let keys = keys.iter().map(|key| key.0.clone()).collect();
    ReadRequest::VersionsAt { family, keys, at }
}

/// Asks for a bounded piece of a span as of `at`.
pub fn scan_at(
    family: Family,
    span: Span,
    at: Timestamp,
    reverse: bool,
    rows_max: usize,
) -> ReadRequest {
    let rows_max = rows_max.clamp(1, limit::SCAN_ROWS_MAX);
    let bytes_max = limit::SCAN_BYTES_MAX;
    ReadRequest::ScanVersions { family, span, at, reverse, rows_max, bytes_max }
}

/// The answer to [`versions_at`].
///
/// # Panics
///
/// If the store answered another question than it was asked: a defect of the wiring.
pub fn expect_versions(reply: ReadReply, asked: usize) -> Vec<Option<Version>> {
    let ReadReply::Versions(versions) = reply else { panic!("store answered another question") };
    assert_eq!(versions.len(), asked, "store answered for another number of keys");
    versions
}

/// The answer to [`scan_at`].
///
/// # Panics
///
/// If the store answered another question than it was asked.
pub fn expect_rows(reply: ReadReply) -> (Vec<(Bytes, Version)>, Option<Span>) {
    let ReadReply::VersionRows { rows, resume } = reply else {
        panic!("store answered another question")
    };
    (rows, resume)
}

/// The answer to `ChangedIn`.
///
/// # Panics
///
/// If the store answered another question than it was asked.
pub fn expect_changed(reply: ReadReply) -> Option<(Bytes, Timestamp)> {
    let ReadReply::Changed(found) = reply else { panic!("store answered another question") };
    found
}

/// The answer to a `Scan`.
///
/// # Panics
///
/// If the store answered another question than it was asked.
pub fn expect_pairs(reply: ReadReply) -> (Vec<(Bytes, Bytes)>, Option<Bytes>) {
    let ReadReply::Pairs { pairs, resume } = reply else {
        panic!("store answered another question")
    };
    (pairs, resume)
}

/// Whether an error of the store may pass by itself.
pub const fn is_passing(error: &StorageError) -> bool {
    match error {
        StorageError::Stalled => true,
        StorageError::Damaged { .. }
        | StorageError::DiskFull
        | StorageError::Io(_)
        | StorageError::Missing => false,
    }
}
