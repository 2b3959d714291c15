//! Why a shard did not serve a request. Each variant tells the caller what to do next.

use serde::{Deserialize, Serialize};

use super::ports::ProposeError;
use crate::base::id::{Epoch, NodeId};
use crate::storage::port::StorageError;

/// Why a shard did not serve a request. All but `Unknown` are definite: nothing was executed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum ReplicaError {
    /// Ask the hinted node, or look around if there is no hint.
    #[error("shard is not led here")]
    NotLeader {
        /// Who may lead.
        hint: Option<NodeId>,
    },
    /// The leader is taking office, or waits for the oracle: ask again soon.
    #[error("leader is not ready")]
    NotReady,
    /// The caller's map is old.
    #[error("shard is at {current}")]
    WrongEpoch {
        /// The shard's epoch.
        current: Epoch,
    },
    /// The caller's descriptor is older than the shard's fence.
    #[error("schema changed")]
    WrongSchema,
    /// The time slice of the wait is over; the place in the queue is kept: ask again.
    #[error("still waiting for a lock")]
    StillWaiting,
    /// The lock was not free in time.
    #[error("lock not available")]
    LockTimeout,
    /// The transaction was chosen to break a cycle of waits.
    #[error("deadlock: {0}")]
    Deadlock(String),
    /// A bound of the shard.
    #[error("limit reached: {0}")]
    Limit(String),
    /// The request makes no sense.
    #[error("refused: {0}")]
    Refused(String),
    /// The command was proposed, and leadership ended before its fate was known.
    #[error("outcome unknown")]
    Unknown,
    /// The store failed for good.
    #[error("storage: {0}")]
    Storage(String),
    /// The store, or a value in it, is damaged.
    #[error("corrupted: {0}")]
    Corrupted(String),
}

/// What a caller should do about a [`ReplicaError`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Disposition {
    /// Try another node, or the same one a little later.
    RetryElsewhere,
    /// Refresh the shard map and split the request anew.
    RefreshMap,
    /// Ask the same node again at once.
    AskAgain,
    /// Tell the transaction.
    Report,
    /// Find out what happened.
    Resolve,
}

impl ReplicaError {
    /// What a caller should do.
    pub const fn disposition(&self) -> Disposition {
        match self {
            Self::NotLeader { .. } | Self::NotReady => Disposition::RetryElsewhere,
            Self::WrongEpoch { .. } => Disposition::RefreshMap,
            Self::StillWaiting => Disposition::AskAgain,
            Self::WrongSchema
            | Self::LockTimeout
            | Self::Deadlock(_)
            | Self::Limit(_)
            | Self::Refused(_)
            | Self::Storage(_)
            | Self::Corrupted(_) => Disposition::Report,
            Self::Unknown => Disposition::Resolve,
        }
    }
}

impl From<StorageError> for ReplicaError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Damaged { .. } => Self::Corrupted(error.to_string()),
            // Stalled, or a store that is being replaced: another try may find it well.
            StorageError::Stalled | StorageError::Missing => Self::NotReady,
            StorageError::DiskFull | StorageError::Io(_) => Self::Storage(error.to_string()),
        }
    }
}

impl From<ProposeError> for ReplicaError {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::NotLeader { hint } => Self::NotLeader { hint },
            ProposeError::TermChanged | ProposeError::Lost => Self::NotLeader { hint: None },
            ProposeError::Unknown => Self::Unknown,
        }
    }
}
