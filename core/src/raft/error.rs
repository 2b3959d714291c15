//! Why the group did not do what it was asked.

use super::ports::LogError;
use crate::base::id::NodeId;

/// Why a proposal was not applied. The first four are definite: the command never takes effect.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProposeError {
    /// Ask the hinted node, or find the leader.
    #[error("not the leader of the group")]
    NotLeader {
        /// Who may lead.
        hint: Option<NodeId>,
    },
    /// This node leads another term than the one the command was evaluated in: evaluate it again.
    #[error("the term has changed")]
    TermChanged,
    /// The command is over the bound of an entry.
    #[error("a command of {bytes} bytes is over the bound of an entry")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Another entry was committed in its place: it can never commit.
    #[error("another entry was committed in its place")]
    Lost,
    /// It may or may not commit.
    #[error("outcome of the proposal is unknown")]
    Unknown,
}

impl ProposeError {
    /// Whether the command certainly has no effect and never will.
    pub fn is_definite(&self) -> bool {
        match self {
            Self::NotLeader { .. } | Self::TermChanged | Self::TooLarge { .. } | Self::Lost => true,
            Self::Unknown => false,
        }
    }
}

/// Why a linearizable barrier was not reached.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReadError {
    /// Ask the hinted node, or find the leader.
    #[error("not the leader of the group")]
    NotLeader {
        /// Who may lead.
        hint: Option<NodeId>,
    },
    /// No majority answered in time.
    #[error("no majority of the group answered")]
    NoQuorum,
}

/// Why a change of members was not made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChangeError {
    /// Ask the hinted node, or find the leader.
    #[error("not the leader of the group")]
    NotLeader {
        /// Who may lead.
        hint: Option<NodeId>,
    },
    /// Another change is under way, or the change makes no sense.
    #[error("change of members was refused: {0}")]
    Refused(String),
    /// It may or may not have been made.
    #[error("outcome of the change of members is unknown")]
    Unknown,
}

/// Why a group could not be opened or has stopped.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RaftError {
    /// The settings contradict each other.
    #[error("raft settings are not usable: {0}")]
    Settings(String),
    /// What was recovered contradicts itself: this replica must be rebuilt from its peers.
    #[error("recovered state is not usable: {0}")]
    Recovered(String),
    /// The log failed; the process must not go on.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Not allowed now.
    #[error("not allowed: {0}")]
    NotAllowed(String),
    /// The group was shut down.
    #[error("group is shut down")]
    Stopped,
}
