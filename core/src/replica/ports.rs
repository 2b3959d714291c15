//! What a replica needs of the world: its raft group, its store, clocks and tasks, and timestamps.
//!
//! The top floor plugs them. All futures are `'static` and may be dropped at any time; dropping one
//! does not undo what was asked.

use futures_util::future::LocalBoxFuture;

use super::machine::EntryAnswer;
use crate::base::id::NodeId;
use crate::base::time::{Mono, Now};
use crate::base::timestamp::Timestamp;
use crate::storage::port::{ReadReply, ReadRequest, StorageError, WriteBatch};

/// Why a proposal was not (known to be) applied.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProposeError {
    /// Not appended: this node does not lead. Definite.
    #[error("not the leader")]
    NotLeader {
        /// Who may lead.
        hint: Option<NodeId>,
    },
    /// Not appended, or void, because the term is over. Definite.
    #[error("the term is over")]
    TermChanged,
    /// Appended, and certainly cut off by another leader. Definite.
    #[error("entry was lost")]
    Lost,
    /// It may or may not be applied some day: leadership ended, or the node stops.
    #[error("outcome unknown")]
    Unknown,
}

/// A shard's raft group, as its replica sees it.
pub trait Consensus {
    /// Proposes a command under `term`.
    ///
    /// The future ends when the entry is applied *here*, is definitely not going to be, or leadership
    /// of `term` has ended; never earlier for lack of patience, because latches hang on it.
    fn propose(
        &self,
        term: u64,
        command: bytes::Bytes,
    ) -> LocalBoxFuture<'static, Result<EntryAnswer, ProposeError>>;
    /// One round that proves leadership after the call; ends when everything committed before the call
    /// is applied here. `Err`: this node does not lead (any more).
    fn read_index(&self) -> LocalBoxFuture<'static, Result<(), ProposeError>>;
    /// Whether the lease certainly runs at `now`.
    fn lease_valid(&self, now: Now) -> bool;
    /// The current term, as far as this node knows.
    fn term(&self) -> u64;
    /// Whether this node leads, perhaps without its no-op applied.
    fn leads(&self) -> bool;
    /// Whether this node leads, has applied its own term's no-op and has not stepped out of service.
    fn is_serving_leader(&self) -> bool;
    /// Who is believed to lead.
    fn leader(&self) -> Option<NodeId>;
}

/// The store of one shard.
pub trait StoreHandle {
    /// Asks; what is read is pinned by the time this returns, not when the future is first polled.
    fn read(
        &self,
        request: ReadRequest,
    ) -> LocalBoxFuture<'static, Result<ReadReply, StorageError>>;
    /// Writes, in the order of calls; later reads see it. A failure halts the node.
    fn write(&self, batch: WriteBatch);
}

/// Clocks and tasks.
pub trait Clock {
    /// What the clocks said when the present input's bytes had been received.
    fn now(&self) -> Now;
    /// Ends at or after a moment.
    fn sleep_until(&self, at: Mono) -> LocalBoxFuture<'static, ()>;
    /// Runs a task to its end.
    fn spawn(&self, task: LocalBoxFuture<'static, ()>);
}

/// Where a replica gets its first timestamp as a leader.
pub trait TimestampSource {
    /// A timestamp granted after this call. `Err`: not now; try again later.
    fn timestamp(&self) -> LocalBoxFuture<'static, Result<Timestamp, ()>>;
}
