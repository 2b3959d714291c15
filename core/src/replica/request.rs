//! What may be asked of a shard, and its answers: plain types that travel between nodes.
//!
//! Reads, locks, refreshes and ingests may be repeated without harm. A commit may be repeated if it
//! names every timestamp that its transaction has tried.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::base::codec::{CodecError, from_versioned, to_versioned};
use crate::base::id::{Epoch, Incarnation, NodeId, ShardId, TableId, TxnId};
use crate::base::key::{Key, Span};
use crate::base::timestamp::Timestamp;
use crate::shard::routing::Place;
use crate::storage::packed::PackedPairs;

use super::error::ReplicaError;

const FORMAT: u8 = 2;

/// A question to a shard.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ShardRequest {
    /// Which shard.
    pub shard: ShardId,
    /// The epoch that the caller's map knows.
    pub epoch: Epoch,
    /// What.
    pub body: RequestBody,
}

impl ShardRequest {
    /// To bytes.
    pub fn encode(&self) -> Bytes {
        to_versioned(FORMAT, self)
    }

    /// From bytes; total.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if the bytes are not a request.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        from_versioned(FORMAT, bytes)
    }
}

/// What an answer looks like on its way between nodes.
pub fn encode_answer(answer: &Result<ShardResponse, ReplicaError>) -> Bytes {
    to_versioned(FORMAT, answer)
}

/// Reads what [`encode_answer`] wrote; total.
///
/// # Errors
///
/// [`CodecError`] if the bytes are not an answer.
pub fn decode_answer(bytes: &[u8]) -> Result<Result<ShardResponse, ReplicaError>, CodecError> {
    from_versioned(FORMAT, bytes)
}

/// The asking transaction.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct TxnRef {
    /// Who.
    pub id: TxnId,
    /// When it first began: the youngest is the victim of a deadlock.
    pub start: Timestamp,
    /// How often it was replayed: one that was is spared.
    pub replays: u8,
}

/// Whether a read locks what it finds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub enum LockMode {
    /// Plain reads.
    #[default]
    None,
    /// FOR SHARE and foreign keys.
    Shared,
    /// UPDATE, DELETE, INSERT, FOR UPDATE.
    Exclusive,
}

/// How long to wait for locks of others.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Wait {
    /// Not at all: `LockTimeout` at once.
    No,
    /// So long, then `StillWaiting`: the place in the queue is kept for the next question.
    Slice {
        /// Milliseconds.
        slice_ms: u32,
    },
    /// So long, then `LockTimeout`.
    Last {
        /// Milliseconds.
        slice_ms: u32,
    },
}

/// A lock as its holder names it: worth nothing once its leader's term is over.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct LockToken {
    /// The term of the leader that gave it.
    pub term: u64,
    /// Counts up within the term.
    pub number: u64,
}

/// A read of one key that is asked for only where the shard is led: it never travels.
#[derive(Clone, Copy, Debug)]
pub struct KeyRead<'a> {
    /// Which shard.
    pub shard: ShardId,
    /// The epoch that the caller's map knows.
    pub epoch: Epoch,
    /// Who reads.
    pub reader: TxnId,
    /// The key.
    pub key: &'a Key,
    /// When.
    pub at: Timestamp,
}

/// What a request asks.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum RequestBody {
    /// Reads (and locks) keys.
    Get(GetBody),
    /// Reads (and locks) a piece of a span.
    Scan(ScanBody),
    /// Commits a transaction that wrote in this shard alone.
    Commit(CommitBody),
    /// What became of a one-phase commit.
    Resolve(ResolveBody),
    /// Whether what was read still holds later.
    Refresh(RefreshBody),
    /// Frees a transaction's locks.
    Release {
        /// Whose.
        txn: TxnId,
    },
    /// These transactions live: their locks stay.
    Keep {
        /// Whose.
        txns: Vec<TxnId>,
    },
    /// Writes final versions under ids that no committed descriptor names.
    Ingest(IngestBody),
    /// Grants timestamps (system shard).
    Timestamp(TimestampBody),
    /// Refuses older descriptor versions of a table from now on.
    PlaceFence(FenceBody),
    /// Takes back a fence, if it is still this transaction's.
    LiftFence(FenceBody),
    /// A node lives (system shard).
    Beat(BeatBody),
    /// A coordinator is dead: frees its locks.
    CoordinatorDead {
        /// Node.
        node: NodeId,
        /// Its life, and all before.
        incarnation: Incarnation,
    },
}

/// Reads of keys of one place.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct GetBody {
    /// Who.
    pub txn: TxnRef,
    /// Table and index.
    pub place: Place,
    /// Keys, of this place.
    pub keys: Vec<Key>,
    /// The reader's timestamp. A locking read returns the newest version, even above it.
    pub at: Timestamp,
    /// Whether to lock them.
    pub lock: LockMode,
    /// While others hold them.
    pub wait: Wait,
}

/// A read of a span of one place.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ScanBody {
    /// Who.
    pub txn: TxnRef,
    /// Table and index.
    pub place: Place,
    /// Keys, of this place.
    pub span: Span,
    /// The reader's timestamp.
    pub at: Timestamp,
    /// From the end to the start.
    pub reverse: bool,
    /// At most so many rows.
    pub rows_max: u32,
    /// Whether to lock what is found.
    pub lock: LockMode,
    /// While others hold rows.
    pub wait: Wait,
}

/// What a write expects to find: rule 4a.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Expect {
    /// No live row: else `Duplicate`.
    NotLive,
    /// This newest version, or none at all: else `Changed`.
    Seen(Option<Timestamp>),
    /// Whatever: the key is derived from a row that is checked, or was never anybody's.
    Any,
}

/// One write of a commit.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ShardWrite {
    /// Table, descriptor version, index.
    pub place: Place,
    /// Hash of the sharding columns.
    pub hash: u16,
    /// Its key.
    pub key: Key,
    /// The row; `None` deletes.
    pub row: Option<Bytes>,
    /// What it expects.
    pub expect: Expect,
}

/// A key that was locked and not written.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LockedKey {
    /// Table and index.
    pub place: Place,
    /// Its key.
    pub key: Key,
    /// The lock.
    pub token: LockToken,
    /// The version seen under it.
    pub seen: Option<Timestamp>,
}

/// A client's own number for a statement, so that a repeated one can be recognised. Its seat only.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ClientSequence {
    /// The client.
    pub client: u64,
    /// Counts up.
    pub sequence: u64,
}

/// A one-phase commit.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct CommitBody {
    /// Who.
    pub txn: TxnRef,
    /// The timestamp to commit at.
    pub at: Timestamp,
    /// Every timestamp at which this transaction has asked to commit before.
    pub tried: Vec<Timestamp>,
    /// What; not empty.
    pub writes: Vec<ShardWrite>,
    /// Keys that were locked and not written, where the level asks for their check.
    pub locked: Vec<LockedKey>,
    /// It changes the catalog: `at` must be the newest grant there is, and the catalog version rises.
    pub catalog: bool,
    /// While others hold its keys.
    pub wait: Wait,
    /// Seat for deduplication of clients' retries.
    pub client: Option<ClientSequence>,
}

/// The question after a lost answer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ResolveBody {
    /// Who.
    pub txn: TxnId,
    /// Place of the first written key.
    pub place: Place,
    /// The first written key.
    pub key: Key,
    /// Every timestamp tried.
    pub tried: Vec<Timestamp>,
}

/// Whether reads hold until later.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct RefreshBody {
    /// Who.
    pub txn: TxnId,
    /// What was read.
    pub spans: Vec<RefreshSpan>,
    /// Until when it shall hold.
    pub to: Timestamp,
}

/// One span to refresh.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct RefreshSpan {
    /// Table and index.
    pub place: Place,
    /// What was read.
    pub span: Span,
    /// It holds until here already.
    pub from: Timestamp,
}

/// Rows of the bulk path.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct IngestBody {
    /// Who.
    pub txn: TxnId,
    /// The timestamp of the versions.
    pub at: Timestamp,
    /// Whether they are index entries or rows.
    pub index: bool,
    /// Single ones will be looked up: they belong in memory.
    pub remember: bool,
    /// What: as `mvcc::load` packs it.
    pub rows: PackedPairs,
}

/// A question to the oracle.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct TimestampBody {
    /// How many, 1 or more.
    pub count: u32,
    /// None below this.
    pub at_least: Timestamp,
    /// Grant nothing to others for a moment: this transaction is about to change the catalog.
    pub hold: Option<TxnId>,
}

/// A fence of a table.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct FenceBody {
    /// Which table.
    pub table: TableId,
    /// Descriptor versions below are refused.
    pub version: u32,
    /// Who placed it.
    pub txn: TxnId,
}

/// A sign of life.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct BeatBody {
    /// Who.
    pub node: NodeId,
    /// Its life.
    pub incarnation: Incarnation,
    /// Its wall clock, milliseconds since the Unix epoch: the oracle follows the median.
    pub wall_ms: u64,
}

/// One version of a key, as stored: see `mvcc::version`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct StoredVersion {
    /// When it was committed.
    pub at: Timestamp,
    /// Header and row.
    pub value: Bytes,
}

/// An answer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum ShardResponse {
    /// To `Get`: in the order asked, tombstones included; with a token each if they were locked.
    Versions {
        /// Versions.
        versions: Vec<Option<StoredVersion>>,
        /// Locks.
        tokens: Vec<LockToken>,
    },
    /// To `Scan`: live rows in scan order; with a token each if they were locked.
    Rows {
        /// Rows. A locking scan returns newest versions, even above the reader's timestamp.
        rows: Vec<(Key, StoredVersion)>,
        /// Locks.
        tokens: Vec<LockToken>,
        /// What is left, if anything.
        resume: Option<Span>,
    },
    /// A locking scan met a row that is newer than its timestamp: take a later one and scan again.
    /// The locks it took stay.
    Newer(Timestamp),
    /// To `Commit`.
    Commit(CommitOutcome),
    /// To `Resolve`: committed then, or definitely not executed and never going to be.
    Resolved(Option<Timestamp>),
    /// To `Refresh`: whether all of it holds.
    Refreshed(bool),
    /// To `Timestamp`: `first` and the `count - 1` after it.
    Granted(Grant),
    /// To the others.
    Done,
}

/// Timestamps, given to one asker.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// The first of them.
    pub first: Timestamp,
    /// Which catalog they belong to: a cache of another version must be read again.
    pub catalog_version: u64,
}

/// How a one-phase commit ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum CommitOutcome {
    /// Committed, durable on a quorum.
    Done(Timestamp),
    /// Nothing happened: commit at this timestamp or later.
    Pushed(Timestamp),
    /// Nothing happened: a key is not as it was seen (index of the write; for a locked-only key, the
    /// number of writes).
    Changed(u32),
    /// Nothing happened: a live row is there (index of the write).
    Duplicate(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers_survive_the_wire() {
        let request = ShardRequest {
            shard: ShardId(1),
            epoch: Epoch(2),
            body: RequestBody::Release { txn: TxnId::default() },
        };
        assert_eq!(ShardRequest::decode(&request.encode()), Ok(request));
        let answer = Err(ReplicaError::NotLeader { hint: Some(NodeId::machine(2)) });
        assert_eq!(decode_answer(&encode_answer(&answer)), Ok(answer));
        assert!(ShardRequest::decode(b"\x01\xff\xff\xff").is_err());
        assert!(decode_answer(b"").is_err());
    }
}
