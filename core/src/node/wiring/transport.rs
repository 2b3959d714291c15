//! Raft's transport over the node's frames.

use super::super::message::PeerMessage;
use super::super::outbox::Outbox;
use crate::base::id::{NodeId, ShardId};
use crate::raft::{RaftMessage, Transport};

/// The peers as raft sees them.
pub(in super::super) struct OutboxTransport(pub(in super::super) Outbox);

impl Transport for OutboxTransport {
    fn send(&self, group: ShardId, to: NodeId, message: RaftMessage) {
        self.0.send(to, PeerMessage::Raft(group, message).encode());
    }
}
