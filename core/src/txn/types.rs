//! The words of transactions: what is asked of one, and what it answers.

use std::time::Duration;

use bytes::Bytes;

use crate::base::key::{Key, Span};
use crate::base::timestamp::Timestamp;
use crate::replica::request::LockMode;
use crate::shard::routing::{Place, Route};

/// Isolation levels that exist.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Isolation {
    /// Strict serializability; the default.
    #[default]
    Serializable,
    /// A timestamp for each statement.
    ReadCommitted,
}

/// How a transaction is begun.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TxnOptions {
    /// Its level.
    pub isolation: Isolation,
    /// It will not write: what it reads need not be remembered.
    pub read_only: bool,
    /// One statement that commits by itself: inserts are checked by the commit alone.
    pub autocommit: bool,
    /// How often it was replayed: then it is spared as a deadlock's victim.
    pub replays: u8,
}

/// What to do while another transaction holds a key.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LockWait {
    /// Wait without bound but the statement's own.
    #[default]
    Forever,
    /// Wait at most so long.
    Timeout(Duration),
    /// Do not wait.
    No,
}

/// A row as stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// Its key, without timestamp.
    pub key: Key,
    /// Its encoded row, without the header of the version.
    pub row: Bytes,
    /// The version seen; `None` for the transaction's own uncommitted write.
    pub version: Option<Timestamp>,
}

/// Reads of single keys.
#[derive(Clone, Debug)]
pub struct GetRequest {
    /// Where.
    pub place: Place,
    /// Which shard.
    pub route: Route,
    /// The keys.
    pub keys: Vec<Key>,
    /// Whether to lock them.
    pub lock: LockMode,
    /// While others hold them.
    pub wait: LockWait,
}

/// A read of a span.
#[derive(Clone, Debug)]
pub struct ScanRequest {
    /// Where.
    pub place: Place,
    /// Which shards.
    pub route: Route,
    /// Keys.
    pub span: Span,
    /// Backwards.
    pub reverse: bool,
    /// At most so many rows in this batch.
    pub rows_max: usize,
    /// Whether to lock what is found.
    pub lock: LockMode,
    /// While others hold rows.
    pub wait: LockWait,
}

/// A batch of a scan. It may be empty although something is left.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ScanBatch {
    /// In key order, or its reverse.
    pub rows: Vec<Found>,
    /// What is left, if anything.
    pub resume: Option<Span>,
}

/// What a write does to its key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WriteKind {
    /// The key must not be live.
    Insert(Bytes),
    /// Overwrites the version seen.
    Put(Bytes),
    /// Removes the version seen.
    Delete,
}

/// One buffered write.
#[derive(Clone, Debug)]
pub struct RowWrite {
    /// Where.
    pub place: Place,
    /// The hash of its sharding columns.
    pub hash: u16,
    /// Its key.
    pub key: Key,
    /// What to do.
    pub kind: WriteKind,
    /// The version that it replaces, from [`Found::version`]. Without one, and for a key that the
    /// transaction has not written itself, whatever is there is replaced.
    pub seen: Option<Timestamp>,
    /// Comes back in a `Duplicate`.
    pub tag: u32,
}

/// A row of the bulk path.
#[derive(Clone, Debug)]
pub struct BulkRow {
    /// Table and index.
    pub place: Place,
    /// The hash of its sharding columns.
    pub hash: u16,
    /// Its key.
    pub key: Key,
    /// Its encoded row.
    pub row: Bytes,
}
