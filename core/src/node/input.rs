//! Facts, past tense: what a shell tells a node.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::base::error::SqlError;
use crate::base::id::{ClusterId, Incarnation, NodeId, SessionId, ShardId, Token};
use crate::sql::protocol::ClientRequest;
use crate::storage::port::StorageEvent;

/// What was found on disk at start: raw bytes, judged by the core.
#[derive(Clone, Debug, Default)]
pub struct DiskImage {
    /// Log segments, whole, by segment number.
    pub segments: BTreeMap<u64, Bytes>,
    /// The copies of the vote file, where they exist.
    pub vote_files: Vec<Bytes>,
    /// Shards that have a store directory.
    pub stores: Vec<ShardId>,
}

/// A frame from another node: all messages of one `handle` to this node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerFrame {
    /// Protocol version of the sender.
    pub protocol: u32,
    /// The sender's cluster; zero before `init`.
    pub cluster: ClusterId,
    /// Sender.
    pub from: NodeId,
    /// The sender's life.
    pub incarnation: Incarnation,
    /// The receiver, as the sender believes; zero if it only knows an address.
    pub to: NodeId,
    /// Counts this life's frames to the receiver, from 1; 0 if only its address is known.
    pub number: u64,
    /// Encoded `PeerMessage`s (version byte and postcard), in order.
    pub messages: Vec<Bytes>,
}

/// What an operator (or the command line) asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OperatorRequest {
    /// `shardforge init`.
    Init {
        /// Random bits drawn by the shell: cluster id, and a seed for the password's verifier.
        entropy: [u8; 32],
        /// Verifier of the superuser's password; `None` with `--insecure`.
        superuser: Option<crate::sql::protocol::ScramVerifier>,
    },
    /// `shardforge status`.
    Status,
    /// SIGTERM: finish what runs, flush, stop.
    Drain,
    /// For simulations and tests: flush, snapshot and purge a shard's log now.
    Compact(ShardId),
}

/// One thing that happened. Every input is followed by draining all of its effects.
#[derive(Clone, Debug)]
pub enum Input {
    /// The first input of a life.
    Booted(DiskImage),
    /// The moment that `Node::deadline` named has come.
    DeadlineReached,
    /// A frame arrived, already checked for size.
    PeerMessageReceived(PeerFrame),
    /// A frame to that node was certainly or probably not delivered (connection lost or refused).
    PeerMessageFailed(NodeId),
    /// A client connected.
    ClientConnected {
        /// Fresh in this life.
        session: SessionId,
    },
    /// A client said something.
    ClientRequested {
        /// Who.
        session: SessionId,
        /// What.
        request: ClientRequest,
    },
    /// A client said several things in one breath.
    ClientPipelined {
        /// Who.
        session: SessionId,
        /// What, in order.
        requests: Vec<ClientRequest>,
    },
    /// The socket took bytes: so many bytes of answers are still unsent.
    ClientDrained {
        /// Who.
        session: SessionId,
        /// Unsent bytes left in the shell.
        unsent_bytes: usize,
    },
    /// The client is gone.
    ClientDisconnected {
        /// Who.
        session: SessionId,
    },
    /// A store answered.
    StorageCompleted(StorageEvent),
    /// All log writes up to and including this ticket are durable.
    LogPersisted {
        /// From `Effect::AppendLog`.
        ticket: u64,
    },
    /// A log write or its fsync failed: the node fences itself and halts.
    LogFailed {
        /// The shell's words.
        reason: String,
        /// Whether it was for lack of space.
        disk_full: bool,
    },
    /// An operator asks.
    OperatorRequested {
        /// For the answer.
        token: Token,
        /// What.
        request: OperatorRequest,
    },
}

/// What an operator is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OperatorAnswer {
    /// Done.
    Done,
    /// The cluster exists now.
    Initialised(ClusterId),
    /// `status`.
    Status(super::status::ClusterStatus),
    /// It cannot be done, and why.
    Refused(SqlError),
}
