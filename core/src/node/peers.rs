//! Frames from other nodes: who may speak, and who is meant.

use std::rc::Rc;

use super::effect::LogLevel;
use super::found;
use super::input::PeerFrame;
use super::message::{Hello, PEER_PROTOCOL, PeerMessage};
use super::shared::Shared;
use crate::base::id::{ClusterId, Incarnation, NodeId};

/// Takes a frame in.
pub(super) fn receive(shared: &Rc<Shared>, frame: PeerFrame) {
    if !shared.awake.get() {
        return;
    }
    let PeerFrame { protocol, cluster, from, incarnation, to, number, messages } = frame;
    if protocol != PEER_PROTOCOL {
        let message = format!("{from} speaks protocol {protocol}, this node {PEER_PROTOCOL}");
        return shared.log(LogLevel::Warn, message);
    }
    if to != NodeId::default() && to != shared.me {
        return shared.log(LogLevel::Warn, format!("{from} takes this node for {to}"));
    }
    let ours = shared.membership.borrow().cluster_id();
    let greeting_only = cluster != ours || ours == ClusterId::default() || number == 0;
    if cluster != ours && cluster != ClusterId::default() && ours != ClusterId::default() {
        return shared.log(LogLevel::Warn, format!("{from} belongs to another cluster: {cluster}"));
    }
    let now = shared.outbox.now().mono;
    if let Some(peer) = shared.membership.borrow_mut().peers.get_mut(&from) {
        // A copy, or a frame of an earlier life that was long under way.
        if number != 0 && !peer.window.is_news(incarnation, number) {
            return;
        }
        peer.heard = Some(now);
    }
    for bytes in messages {
        match PeerMessage::decode(&bytes) {
            Ok(PeerMessage::Hello(hello)) => handle_hello(shared, from, &hello),
            Ok(PeerMessage::Found(record)) => found::handle_found(shared, from, *record),
            Ok(_) if greeting_only => {} // the others make sense within one cluster only
            Ok(message) => dispatch(shared, from, incarnation, message),
            Err(error) => {
                let message = format!("{from} sent a message that cannot be read: {error}");
                shared.log(LogLevel::Warn, message);
            }
        }
    }
}

fn handle_hello(shared: &Rc<Shared>, from: NodeId, hello: &Hello) {
    let now = shared.outbox.now().mono;
    let news = shared.membership.borrow_mut().handle_hello(now, from, hello);
    if news {
        shared.tell_addresses();
    }
    if hello.answer_wanted && from != shared.me {
        let answer = shared.membership.borrow().hello(false);
        shared.send(from, &PeerMessage::Hello(answer));
    }
}

fn dispatch(shared: &Rc<Shared>, from: NodeId, incarnation: Incarnation, message: PeerMessage) {
    let known = shared.membership.borrow().peers.contains_key(&from);
    if !known {
        return;
    }
    match message {
        PeerMessage::Hello(_) | PeerMessage::Found(_) => {}
        PeerMessage::Beat => {
            for host in shared.all_hosts() {
                host.replica.life_heard(from, incarnation);
            }
        }
        PeerMessage::Founded(id) => {
            let mut membership = shared.membership.borrow_mut();
            if membership.cluster_id() == id {
                membership.founded.insert(from);
            }
        }
        PeerMessage::Raft(shard, message) => {
            if let Some(host) = shared.host(shard) {
                host.group.receive(from, message);
            }
        }
        PeerMessage::Request { id, request } => shared.calls.serve(shared, from, id, request),
        PeerMessage::Response { id, result } => shared.calls.answered(from, id, result),
        PeerMessage::Forget { id } => shared.calls.forget(from, id),
        PeerMessage::StatusWanted { id } => {
            let status = super::host::status(shared);
            shared.send(from, &PeerMessage::StatusKnown { id, status });
        }
        PeerMessage::StatusKnown { id, status } => shared.calls.status_known(id, status),
    }
}

/// A frame to that node was not delivered.
pub(super) fn unreachable(shared: &Rc<Shared>, node: NodeId) {
    for host in shared.all_hosts() {
        host.group.peer_unreachable(node);
    }
    shared.calls.unreachable(node);
}
