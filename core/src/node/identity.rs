//! What a node knows of itself and its cluster across restarts: small records in the log.
//!
//! # Invariants
//!
//! * The incarnation on disk is raised and durable before a life speaks to anyone.
//! * The cluster record is written once; another cluster's record is refused.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::base::codec::{CodecError, from_versioned, to_versioned};
use crate::base::id::{ClusterId, Incarnation, NodeId};
use crate::shard::map::{DATA_SHARDS_MAX, ShardMap};
use crate::sql::protocol::ScramVerifier;

const VERSION: u8 = 1;

/// Keys of node records in the log.
pub(super) const KEY_NODE: u8 = 1;
pub(super) const KEY_INCARNATION: u8 = 2;
pub(super) const KEY_CLUSTER: u8 = 3;
pub(super) const KEY_PEERS: u8 = 4;

/// A node as others know it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Where its peers reach it.
    pub peer_addr: String,
    /// Where clients reach it.
    pub sql_addr: String,
    /// Whether it lets clients in without a password.
    pub insecure: bool,
}

/// The cluster as `init` made it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ClusterRecord {
    /// Drawn at `init`.
    pub id: ClusterId,
    /// The node that was told to `init`; it initialises the groups.
    pub founder: NodeId,
    /// The initial members.
    pub members: BTreeMap<NodeId, Member>,
    /// The nodes that vote in every shard.
    pub voters: Vec<NodeId>,
    /// How many data shards the hash space was split into.
    pub data_shards: u32,
    /// The superuser's verifier, for the catalog's first row.
    pub superuser: Option<ScramVerifier>,
}

impl ClusterRecord {
    /// The shards as `init` made them.
    pub fn shard_map(&self) -> ShardMap {
        ShardMap::initial(self.data_shards.clamp(1, DATA_SHARDS_MAX), &self.voters)
    }
}

/// All node records, decoded.
#[derive(Clone, Debug, Default)]
pub(super) struct Identity {
    /// Whose directory it is; `None` in an empty one.
    pub(super) node: Option<NodeId>,
    /// The life before this one.
    pub(super) incarnation: Incarnation,
    /// Set by `init`.
    pub(super) cluster: Option<ClusterRecord>,
    /// The newest known addresses.
    pub(super) peers: BTreeMap<NodeId, Member>,
}

impl Identity {
    /// Reads the records that recovery found.
    pub(super) fn from_records(records: &BTreeMap<u8, Bytes>) -> Result<Self, CodecError> {
        let mut identity = Self::default();
        if let Some(bytes) = records.get(&KEY_NODE) {
            identity.node = Some(from_versioned(VERSION, bytes)?);
        }
        if let Some(bytes) = records.get(&KEY_INCARNATION) {
            identity.incarnation = from_versioned(VERSION, bytes)?;
        }
        if let Some(bytes) = records.get(&KEY_CLUSTER) {
            let cluster: ClusterRecord = from_versioned(VERSION, bytes)?;
            identity.peers.clone_from(&cluster.members);
            identity.cluster = Some(cluster);
        }
        if let Some(bytes) = records.get(&KEY_PEERS) {
            identity.peers = from_versioned(VERSION, bytes)?;
        }
        Ok(identity)
    }
}

/// A record's bytes.
pub(super) fn encode<T: Serialize>(value: &T) -> Bytes {
    to_versioned(VERSION, value)
}
