//! The KV port: one ordered store per shard, in four families, without a log of its own.
//!
//! Writes are performed inline, in the order they were emitted, and are durable only after a flush:
//! the raft log is what makes them durable before that. A crash returns a store to some flushed
//! state, all families together.
//!
//! # Invariants
//!
//! * A batch is applied whole or not at all, also across a crash.
//! * A read sees exactly the writes emitted before it.
//!
//! # Source
//!
//! RocksDB with its WAL off and `atomic_flush`; TiKV's split of raft log and state machine.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::base::id::{ShardId, Token};
use crate::base::key::Span;
use crate::base::timestamp::Timestamp;
use crate::storage::packed::PackedPairs;

/// A column family of a shard's store.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
pub enum Family {
    /// Committed row versions: key ‖ !timestamp, index id 0.
    Data,
    /// Committed index entry versions: key ‖ !timestamp, index id 1 and up.
    Index,
    /// Intents, by key.
    Lock,
    /// Records, applied index, fences and the like, by name.
    Meta,
}

impl Family {
    /// All families, in the order of their discriminants.
    pub const ALL: [Self; 4] = [Self::Data, Self::Index, Self::Lock, Self::Meta];
}

/// One write of a batch.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum WriteOp {
    /// Sets a key.
    Put(Family, Bytes, Bytes),
    /// Removes a key; removing what is not there is fine.
    Delete(Family, Bytes),
    /// Removes all keys of the span.
    DeleteRange(Family, Span),
    /// Sets many keys.
    PutPacked(Family, PackedPairs),
}

/// Writes that happen together.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct WriteBatch {
    /// In order: a later operation on a key wins.
    pub ops: Vec<WriteOp>,
}

impl WriteBatch {
    /// Sets a key.
    pub fn put(&mut self, family: Family, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.ops.push(WriteOp::Put(family, key.into(), value.into()));
    }

    /// Removes a key.
    pub fn delete(&mut self, family: Family, key: impl Into<Bytes>) {
        self.ops.push(WriteOp::Delete(family, key.into()));
    }

    /// Whether it does nothing.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }
}

/// A question to a store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ReadRequest {
    /// The value of a key (families without versions: `Lock`, `Meta`). Answer: `Value`.
    Get {
        /// Where.
        family: Family,
        /// The whole key.
        key: Bytes,
    },
    /// Raw pairs of a span in key order. Answer: `Pairs`.
    Scan {
        /// Where.
        family: Family,
        /// Raw store keys.
        span: Span,
        /// Stop after so many pairs.
        rows_max: usize,
        /// Stop after so many bytes (at least one pair is returned).
        bytes_max: usize,
    },
    /// For each key its newest version at or below `at`. Answer: `Versions`, in the order asked,
    /// `None` where there is none.
    VersionsAt {
        /// `Data` or `Index`.
        family: Family,
        /// Keys without timestamp.
        keys: Vec<Bytes>,
        /// Versions above are invisible.
        at: Timestamp,
    },
    /// For each key of a span its newest version at or below `at`; tombstones are returned as empty
    /// or flagged values like any other (the store does not interpret values). Answer:
    /// `VersionRows`.
    ScanVersions {
        /// `Data` or `Index`.
        family: Family,
        /// Keys without timestamp.
        span: Span,
        /// Versions above are invisible.
        at: Timestamp,
        /// From the end of the span to its start.
        reverse: bool,
        /// Stop after so many keys.
        rows_max: usize,
        /// Stop after so many bytes (at least one row is returned).
        bytes_max: usize,
    },
    /// The first key of the span that has a version in (`after`, `up_to`]. Answer: `Changed`.
    ChangedIn {
        /// `Data` or `Index`.
        family: Family,
        /// Keys without timestamp.
        span: Span,
        /// Excluded.
        after: Timestamp,
        /// Included.
        up_to: Timestamp,
    },
}

/// One version of a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Version {
    /// When it was committed.
    pub timestamp: Timestamp,
    /// Header and row, or a tombstone: `mvcc` knows.
    pub value: Bytes,
}

/// The answer to a [`ReadRequest`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ReadReply {
    /// To `Get`.
    Value(Option<Bytes>),
    /// To `Scan`; `resume` is the first key not looked at, if a bound stopped the scan.
    Pairs {
        /// In key order.
        pairs: Vec<(Bytes, Bytes)>,
        /// Where to go on.
        resume: Option<Bytes>,
    },
    /// To `VersionsAt`.
    Versions(Vec<Option<Version>>),
    /// To `ScanVersions`; `resume` is the rest of the span, if a bound stopped the scan.
    VersionRows {
        /// Key without timestamp, and its version, in scan order.
        rows: Vec<(Bytes, Version)>,
        /// What is left to scan.
        resume: Option<Span>,
    },
    /// To `ChangedIn`: the first such key and the timestamp found.
    Changed(Option<(Bytes, Timestamp)>),
}

/// Why a store did not do as asked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StorageError {
    /// A checksum failed: the replica's data must be dropped and fetched again.
    #[error("{store} is damaged: {what}")]
    Damaged {
        /// Which.
        store: ShardId,
        /// Shell's words, without data.
        what: String,
    },
    /// No space is left.
    #[error("disk full")]
    DiskFull,
    /// The store would stall: park the shard's apply and try again.
    #[error("store is stalled")]
    Stalled,
    /// An I/O error; the node must stop if it was a write.
    #[error("i/o error: {0}")]
    Io(String),
    /// No such store or snapshot.
    #[error("no such store or snapshot")]
    Missing,
}

/// What a node asks of its stores.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StorageEffect {
    /// Opens the store of a shard, making it if there is none. Answer: `Opened`.
    Open(Token, ShardId),
    /// Removes a store and its files.
    Drop(ShardId),
    /// Applies a batch, inline and unsynced. A failure comes back as `WriteFailed`.
    Write(ShardId, WriteBatch),
    /// Asks; the answer is `Read` with the same token.
    Read(Token, ShardId, ReadRequest),
    /// Makes all earlier writes durable, off the thread. Answer: `Flushed`.
    Flush(Token, ShardId),
    /// Pins the present state for reading in chunks. Answer: `SnapshotOpened`.
    OpenSnapshot(Token, ShardId),
    /// The next chunk of a pinned snapshot (named by the token that opened it). Answer:
    /// `SnapshotChunk`.
    ReadSnapshotChunk {
        /// For the answer.
        token: Token,
        /// The token of `OpenSnapshot`.
        snapshot: Token,
        /// About so many bytes.
        bytes_max: usize,
    },
    /// Unpins.
    ReleaseSnapshot(Token),
    /// Keeps a chunk of an arriving snapshot beside the store, which stays as it is. Gone with the
    /// process. Answer: `Staged`.
    Stage {
        /// For the answer.
        token: Token,
        /// Which.
        store: ShardId,
        /// The snapshot that it is a part of: the token of its first chunk.
        arrival: Token,
        /// As [`encode_chunk`](super::chunk::encode_chunk) makes them.
        chunk: Bytes,
    },
    /// Replaces a store's whole content by the chunks of an arrival (none: by nothing), off the
    /// thread; `Meta` comes last. Until a later `Flush` is answered, a crash may leave the old store,
    /// the new one, or one with a part of the new and an empty `Meta`. Answer: `Installed`.
    Install {
        /// For the answer.
        token: Token,
        /// Which.
        store: ShardId,
        /// The snapshot.
        arrival: Token,
    },
    /// Forgets the chunks of an arrival.
    Unstage {
        /// Which.
        store: ShardId,
        /// The snapshot.
        arrival: Token,
    },
}

/// A piece of a snapshot: raw pairs of all families, in (family, key) order over all chunks.
pub type SnapshotPairs = Vec<(Family, Bytes, Bytes)>;

/// What became of a [`StorageEffect`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StorageEvent {
    /// The store is open; whether it held anything.
    Opened(Token, Result<bool, StorageError>),
    /// The answer to a question.
    Read(Token, Result<ReadReply, StorageError>),
    /// All writes emitted before the `Flush` are durable.
    Flushed(Token, Result<(), StorageError>),
    /// The snapshot is pinned.
    SnapshotOpened(Token, Result<(), StorageError>),
    /// A chunk; empty at the end.
    SnapshotChunk(Token, Result<SnapshotPairs, StorageError>),
    /// A chunk is kept.
    Staged(Token, Result<(), StorageError>),
    /// The store's content is what was staged.
    Installed(Token, Result<(), StorageError>),
    /// A batch could not be written: the node halts.
    WriteFailed(ShardId, StorageError),
}
