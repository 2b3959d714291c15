//! What SQL asks of the transaction floor, in SQL's own words.
//!
//! `txn` gives these to the session through the wiring of `node`; tests plug a map in memory.
//!
//! # Invariants
//!
//! * A dropped future frees what it held: cancelling a statement drops its task.
//! * Reads see the transaction's own buffered writes.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use crate::base::id::{IndexId, TableId, TxnId};
use crate::base::key::{Key, Span};
use crate::base::timestamp::Timestamp;

/// A pending answer of the transaction floor.
pub type Wait<'a, T> = Pin<Box<dyn Future<Output = Result<T, TxnFailure>> + 'a>>;

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
    /// Writes are refused by SQL; told for the books.
    pub read_only: bool,
    /// One statement that commits by itself: an INSERT may leave its check to the commit.
    pub autocommit: bool,
}

/// Whether a read locks what it finds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LockMode {
    /// Plain reads.
    #[default]
    None,
    /// FOR SHARE.
    Shared,
    /// UPDATE, DELETE, FOR UPDATE.
    Exclusive,
}

/// What to do while another transaction holds a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LockWait {
    /// Wait at most so long (zero: without bound but the statement's own); past it 55P03.
    Timeout(Duration),
    /// NOWAIT: 55P03 at once.
    NoWait,
}

/// The table or index that a request is about, as its descriptor names it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// The table; ids below 100 live in the system shard.
    pub table: TableId,
    /// Its descriptor's version: a shard refuses one below its fence.
    pub version: u32,
    /// 0 is the table's own rows.
    pub index: IndexId,
}

/// Which shards may hold the rows of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Route {
    /// All rows asked for share this hash of their sharding columns.
    Hash(u16),
    /// Any shard.
    All,
}

/// A row as stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// Its key, without timestamp.
    pub key: Key,
    /// Its encoded row (no MVCC header).
    pub row: Bytes,
    /// The version seen; `None` for the transaction's own uncommitted write. Give it back in
    /// [`RowWrite::seen`].
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
    /// While they are held by others.
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
    /// At most so many rows in this batch (bounded by `limit::SCAN_ROWS_MAX` too).
    pub rows_max: usize,
    /// Whether to lock what is found.
    pub lock: LockMode,
    /// While rows are held by others.
    pub wait: LockWait,
}

/// A batch of a scan.
#[derive(Clone, Debug, Default)]
pub struct ScanBatch {
    /// In key order (or its reverse).
    pub rows: Vec<Found>,
    /// What is left, if anything.
    pub resume: Option<Span>,
}

/// What a write does to its key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WriteKind {
    /// The key must not be live: else `Duplicate`.
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
    /// The hash of its sharding columns; stored in the value's header.
    pub hash: u16,
    /// Its key.
    pub key: Key,
    /// What to do.
    pub kind: WriteKind,
    /// The version that this write replaces, from [`Found::version`]; `None` for inserts and for keys
    /// that this transaction wrote itself.
    pub seen: Option<Timestamp>,
    /// Names the constraint in [`TxnFailure::Duplicate`]: an index into the caller's own list.
    pub tag: u32,
}

/// A row for a table id that no committed descriptor names (bulk path).
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

/// Why the transaction floor could not do as asked. `sql/error` gives each its SQLSTATE.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TxnFailure {
    /// 40001; the transaction is over, without effect.
    #[error("could not serialize access: {0}")]
    Serialization(&'static str),
    /// READ COMMITTED: run the statement again at a new timestamp.
    #[error("row changed under the statement")]
    Changed,
    /// 23505: a live row has that key.
    #[error("key exists")]
    Duplicate {
        /// The `tag` of the write.
        tag: u32,
        /// The key.
        key: Key,
    },
    /// 55P03.
    #[error("lock not available")]
    LockTimeout,
    /// 40P01 with the cycle for DETAIL.
    #[error("deadlock detected")]
    Deadlock(String),
    /// 40003: the commit may or may not have happened.
    #[error("outcome unknown")]
    Unknown,
    /// 54000: over the write-set bound.
    #[error("transaction too large")]
    TooLarge,
    /// 0A000 with a hint: writes in two data shards, until parallel commit exists.
    #[error("transaction writes in more than one data shard")]
    CrossShard,
    /// The descriptor is older than the shard's fence: bind again.
    #[error("schema changed")]
    WrongSchema,
    /// 57P03 or 08006-like: no leader, not initialised, or stopping.
    #[error("not available: {0}")]
    Unavailable(String),
    /// 53400: a bound of the node.
    #[error("limit reached: {0}")]
    Limit(&'static str),
    /// XX001.
    #[error("data corrupted: {0}")]
    Corrupted(String),
}

/// A transaction as a session uses it.
pub trait Txn {
    /// Its id.
    fn id(&self) -> TxnId;
    /// The timestamp that statements read at; takes one from the oracle if there is none yet, and a
    /// fresh one per statement at READ COMMITTED (call it at each statement's start).
    fn begin_statement(&self) -> Wait<'_, Timestamp>;
    /// As [`Self::begin_statement`], if that needs no wait. `None` says nothing.
    fn begin_statement_now(&self) -> Option<Timestamp> {
        None
    }
    /// The newest catalog version that the oracle has told this transaction of.
    fn catalog_version(&self) -> u64;
    /// Reads single keys, in the order asked; absent rows are `None`. A locking read may move the
    /// transaction's timestamp forward (after refreshing what it read before).
    fn get(&self, request: GetRequest) -> Wait<'_, Vec<Option<Found>>>;
    /// As [`Self::get`] of one key, if its row is at hand and its lock free. `None`: ask.
    fn get_now(
        &self,
        _place: Place,
        _route: Route,
        _key: &Key,
        _lock: LockMode,
    ) -> Option<Result<Option<Found>, TxnFailure>> {
        None
    }
    /// Reads a span.
    fn scan(&self, request: ScanRequest) -> Wait<'_, ScanBatch>;
    /// Buffers writes. `Insert`s lock their keys and are checked now, unless the transaction is a
    /// single autocommit statement.
    fn write(&self, writes: Vec<RowWrite>) -> Wait<'_, ()>;
    /// As [`Self::write`], if that waits for nothing; takes the writes then. `None`: nothing happened.
    fn write_now(&self, _writes: &mut Vec<RowWrite>) -> Option<Result<(), TxnFailure>> {
        None
    }
    /// Ingests rows of a new table or index id as final versions, outside the write set's bounds.
    /// `remember`: single ones will be looked up.
    fn ingest(&self, rows: Vec<BulkRow>, remember: bool) -> Wait<'_, ()>;
    /// Exclusive lock on a table: its descriptor row plus a fence at `place.version + 1`.
    fn lock_table(&self, place: Place, wait: LockWait) -> Wait<'_, ()>;
    /// Marks that this transaction changes the catalog: it commits at a fresh timestamp and raises
    /// the catalog version.
    fn changes_catalog(&self);
    /// Commits; `Ok` means durable on a quorum.
    fn commit(&self) -> Wait<'_, ()>;
    /// As [`Self::commit`], if there is nothing to ask. `false` says nothing.
    fn commit_now(&self) -> bool {
        false
    }
    /// Ends it without effect and frees its locks. Dropping does the same, later.
    fn rollback(&self) -> Wait<'_, ()>;
}

/// Begins transactions. One per node.
pub trait TxnSource {
    /// A transaction that has not asked anything yet.
    fn begin(&self, options: TxnOptions) -> Rc<dyn Txn>;
    /// The row of a key as a transaction sees it that does nothing else, if all of it is at hand and
    /// the catalog is still the one named. `None` says nothing.
    fn read_now(
        &self,
        _catalog_version: u64,
        _place: Place,
        _route: Route,
        _key: &Key,
    ) -> Option<Option<Found>> {
        None
    }
}
