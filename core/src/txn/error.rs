//! Why a transaction could not do as asked.

use crate::base::key::Key;
use crate::replica::error::ReplicaError;

/// Why a transaction could not do as asked. `sql` gives each its SQLSTATE.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TxnError {
    /// The transaction is over, without effect; a replay may succeed.
    #[error("could not serialize access: {0}")]
    Serialization(&'static str),
    /// READ COMMITTED: run the statement again at a new timestamp.
    #[error("row changed under the statement")]
    Changed,
    /// A live row has that key.
    #[error("key exists")]
    Duplicate {
        /// The tag of the write.
        tag: u32,
        /// The key.
        key: Key,
    },
    /// The lock was not free in time.
    #[error("lock not available")]
    LockTimeout,
    /// Chosen to break a cycle of waits.
    #[error("deadlock detected: {0}")]
    Deadlock(String),
    /// The commit may or may not have happened.
    #[error("outcome unknown")]
    Unknown,
    /// Over the bound of buffered writes.
    #[error("transaction too large")]
    TooLarge,
    /// Writes in two shards.
    #[error("transaction writes in more than one shard")]
    CrossShard,
    /// A descriptor is older than a fence.
    #[error("schema changed")]
    WrongSchema,
    /// No leader in time, or no cluster yet.
    #[error("not available: {0}")]
    Unavailable(String),
    /// A bound.
    #[error("limit reached: {0}")]
    Limit(String),
    /// A value or a store is damaged.
    #[error("data corrupted: {0}")]
    Corrupted(String),
    /// The transaction has ended already.
    #[error("transaction has ended")]
    Ended,
}

impl TxnError {
    /// What a shard's definite refusal means to the transaction.
    pub(super) fn from_refusal(error: ReplicaError) -> Self {
        match error {
            ReplicaError::WrongSchema => Self::WrongSchema,
            ReplicaError::LockTimeout | ReplicaError::StillWaiting => Self::LockTimeout,
            ReplicaError::Deadlock(cycle) => Self::Deadlock(cycle),
            ReplicaError::Limit(what) => Self::Limit(what),
            ReplicaError::Corrupted(what) => Self::Corrupted(what),
            ReplicaError::Unknown => Self::Unknown,
            ReplicaError::NotLeader { .. }
            | ReplicaError::NotReady
            | ReplicaError::WrongEpoch { .. }
            | ReplicaError::Refused(_)
            | ReplicaError::Storage(_) => Self::Unavailable(error.to_string()),
        }
    }
}
