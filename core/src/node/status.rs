//! What a node knows of itself and its cluster, for people and scripts.

use serde::{Deserialize, Serialize};

use crate::base::id::{ClusterId, NodeId, ShardId};

/// `shardforge status`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// Zero before `init`.
    pub cluster_id: ClusterId,
    /// Every node.
    pub nodes: Vec<NodeStatus>,
    /// Every shard.
    pub shards: Vec<ShardStatus>,
}

/// One node.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Who.
    pub id: NodeId,
    /// Where its peers reach it.
    pub peer_addr: String,
    /// Where clients reach it.
    pub sql_addr: String,
    /// Whether it was heard of within the liveness bound.
    pub live: bool,
    /// Milliseconds since it was last heard of; 0 for the asked node.
    pub last_seen_ms: u64,
    /// Whether it accepts clients without authentication.
    pub insecure: bool,
}

/// One shard.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ShardStatus {
    /// Which.
    pub id: ShardId,
    /// Its epoch.
    pub epoch: u64,
    /// Who leads it, if anyone is known to.
    pub leader: Option<NodeId>,
    /// The leader's term.
    pub term: u64,
    /// Its replicas.
    pub replicas: Vec<ReplicaStatus>,
}

/// One replica of a shard.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ReplicaStatus {
    /// Where.
    pub node: NodeId,
    /// `leader`, `follower`, `learner` or `unknown`.
    pub role: String,
    /// Last log index known to be on it.
    pub match_index: u64,
    /// Last index it has applied, where known.
    pub applied_index: u64,
    /// Entries behind the leader.
    pub lag_entries: u64,
}
