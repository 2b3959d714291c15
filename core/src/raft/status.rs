//! What a group tells about itself: to operators, to the replica above, to the simulator's oracles.

use std::collections::BTreeMap;

use super::message::{Ballot, LogPosition, StoredMembership};
use crate::base::id::NodeId;

/// What this node is in the group.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Hash)]
pub enum Role {
    /// Listens and does not vote.
    #[default]
    Learner,
    /// Votes and follows.
    Follower,
    /// Stands for election.
    Candidate,
    /// Leads.
    Leader,
    /// Has stopped.
    Shutdown,
}

/// Who leads, as far as this node knows. The replica above throws its volatile state away whenever
/// this changes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Hash)]
pub struct LeaderState {
    /// The term.
    pub term: u64,
    /// Its leader, if known.
    pub leader: Option<NodeId>,
    /// Whether this node leads and has applied an entry of its own term.
    pub serving: bool,
}

/// Everything about a group on this node. Cheap enough to ask after every step.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RaftStatus {
    /// The term of the vote.
    pub term: u64,
    /// The vote, as it is durable.
    pub vote: Option<Ballot>,
    /// What this node is.
    pub role: Role,
    /// The leader, if known.
    pub leader: Option<NodeId>,
    /// The last entry of the log.
    pub last_log: Option<LogPosition>,
    /// The last entry that is durable here.
    pub persisted: Option<LogPosition>,
    /// The last entry known to be committed.
    pub committed: Option<LogPosition>,
    /// The last entry applied.
    pub applied: Option<LogPosition>,
    /// The last entry purged.
    pub purged: Option<LogPosition>,
    /// The last entry of the newest snapshot.
    pub snapshot: Option<LogPosition>,
    /// Bytes of log in memory.
    pub log_bytes: usize,
    /// On a leader: how far each member's log matches.
    pub matching: BTreeMap<NodeId, Option<LogPosition>>,
    /// The members.
    pub membership: StoredMembership,
    /// Whether its log is believed to hold all that it ever acknowledged.
    pub trusted: bool,
}
