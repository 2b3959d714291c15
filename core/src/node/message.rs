//! What nodes say to each other: one enum, a version byte, and postcard.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::identity::{ClusterRecord, Member};
use super::status::ClusterStatus;
use crate::base::codec::{CodecError, from_versioned, to_versioned};
use crate::base::id::{ClusterId, ShardId};
use crate::raft::message::RaftMessage;
use crate::replica::error::ReplicaError;
use crate::replica::request::{ShardRequest, ShardResponse};

/// Version of the frames between nodes.
pub const PEER_PROTOCOL: u32 = 1;
const VERSION: u8 = 1;

/// Who I am, said to an address whose node is not known yet, and in answer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The speaker's addresses.
    pub member: Member,
    /// Zero before `init`.
    pub cluster: ClusterId,
    /// Whether the speaker's directory holds no cluster.
    pub empty: bool,
    /// Whether the speaker wants a Hello back.
    pub answer_wanted: bool,
}

/// One message between nodes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum PeerMessage {
    /// Getting to know each other.
    Hello(Hello),
    /// The founder tells the cluster that it exists.
    Found(Box<ClusterRecord>),
    /// The receiver has made it durable.
    Founded(ClusterId),
    /// I am alive, in this life; said to every peer.
    Beat,
    /// Consensus of one group.
    Raft(ShardId, RaftMessage),
    /// A request to a shard that the receiver may lead.
    Request {
        /// The caller's number.
        id: u64,
        /// What.
        request: ShardRequest,
    },
    /// Its answer.
    Response {
        /// The caller's number.
        id: u64,
        /// What came of it.
        result: Result<ShardResponse, ReplicaError>,
    },
    /// The caller does not wait any more: drop the request if it still waits for a lock.
    Forget {
        /// The caller's number.
        id: u64,
    },
    /// What do you know of the cluster?
    StatusWanted {
        /// The caller's number.
        id: u64,
    },
    /// This.
    StatusKnown {
        /// The caller's number.
        id: u64,
        /// What.
        status: ClusterStatus,
    },
}

impl PeerMessage {
    /// Its bytes.
    pub fn encode(&self) -> Bytes {
        to_versioned(VERSION, self)
    }

    /// Reads a message; any bytes give `Ok` or `Err`.
    ///
    /// # Errors
    ///
    /// [`CodecError`] for another version or bytes that are no message.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        from_versioned(VERSION, bytes)
    }
}
