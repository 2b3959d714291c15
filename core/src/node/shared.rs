//! What the tasks of one node share. Every part is borrowed for a synchronous section only, never
//! over an await.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::config::CoreConfig;
use super::effect::{Effect, HaltReason, LogLevel};
use super::host::ShardHost;
use super::input::PeerFrame;
use super::membership::Membership;
use super::message::{PEER_PROTOCOL, PeerMessage};
use super::outbox::Outbox;
use super::wiring::calls::PendingCalls;
use crate::base::id::{Incarnation, NodeId, ShardId};
use crate::base::rng::Rng;
use crate::sql::session::instance::Instance;
use crate::step::StepHandle;
use crate::txn::source::TxnSource;

/// A node's shared state.
pub(super) struct Shared {
    pub(super) me: NodeId,
    pub(super) incarnation: Cell<Incarnation>,
    pub(super) config: CoreConfig,
    pub(super) outbox: Outbox,
    pub(super) step: StepHandle,
    pub(super) rng: RefCell<Rng>,
    pub(super) membership: RefCell<Membership>,
    pub(super) hosts: RefCell<BTreeMap<ShardId, Rc<ShardHost>>>,
    pub(super) calls: PendingCalls,
    /// Where transactions come from, once there is a cluster.
    pub(super) txns: RefCell<Option<Rc<TxnSource>>>,
    pub(super) instance: RefCell<Option<Rc<Instance>>>,
    /// Set once this life may speak.
    pub(super) awake: Cell<bool>,
    pub(super) serving: Cell<bool>,
    pub(super) draining: Cell<bool>,
    pub(super) halted: Cell<bool>,
}

impl Shared {
    /// The shard's replica on this node.
    pub(super) fn host(&self, shard: ShardId) -> Option<Rc<ShardHost>> {
        self.hosts.borrow().get(&shard).cloned()
    }

    /// All replicas of this node.
    pub(super) fn all_hosts(&self) -> Vec<Rc<ShardHost>> {
        self.hosts.borrow().values().cloned().collect()
    }

    /// Sends a message with this handle's frame.
    pub(super) fn send(&self, to: NodeId, message: &PeerMessage) {
        if self.awake.get() {
            self.outbox.send(to, message.encode());
        }
    }

    /// Frames messages for a node (`NodeId::default()` if only its address is known).
    pub(super) fn frame(&self, to: NodeId, messages: Vec<bytes::Bytes>) -> PeerFrame {
        let mut membership = self.membership.borrow_mut();
        let cluster = membership.cluster_id();
        let number = membership.peers.get_mut(&to).map_or(0, |peer| {
            peer.sent += 1;
            peer.sent
        });
        PeerFrame {
            protocol: PEER_PROTOCOL,
            cluster,
            from: self.me,
            incarnation: self.incarnation.get(),
            to,
            number,
            messages,
        }
    }

    /// A line for the log.
    pub(super) fn log(&self, level: LogLevel, message: String) {
        self.outbox.log(level, message);
    }

    /// Stops the node: nothing that follows is performed.
    pub(super) fn halt(&self, reason: HaltReason) {
        if !self.halted.replace(true) {
            self.outbox.push(Effect::Halt(reason));
        }
    }

    /// Tells the shell where the other nodes are.
    pub(super) fn tell_addresses(&self) {
        let addresses = self.membership.borrow().addresses();
        self.outbox.push(Effect::PeersChanged(addresses));
    }
}
