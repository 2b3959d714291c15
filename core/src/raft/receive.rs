//! The answering side: a peer's question becomes a task that answers it.

use std::collections::BTreeMap;

use openraft::raft::TransferLeaderRequest;
use openraft::storage::Snapshot;

use super::convert;
use super::group::RaftGroup;
use super::machine::SnapshotHandle;
use super::message::{
    Ballot, RaftMessage, RaftReply, RaftRequest, RequestId, SnapshotMeta, VoteAsk,
};
use super::ports::SnapshotSink;
use crate::base::id::NodeId;
use crate::base::limit;
use crate::bug;
use crate::step::ambient;

/// Snapshots that are coming in: at most one a peer.
pub(super) type Incoming = BTreeMap<NodeId, Arrival>;

/// A snapshot that is coming in.
pub(super) struct Arrival {
    transfer: RequestId,
    ballot: Ballot,
    meta: SnapshotMeta,
    /// Away while a chunk is written.
    sink: Option<Box<dyn SnapshotSink>>,
    next: u32,
}

impl RaftGroup {
    /// Takes a peer's message in. Hostile bytes do no more harm than a lost message.
    pub fn receive(&self, from: NodeId, message: RaftMessage) {
        match message {
            RaftMessage::Reply { id, reply } => self.inner().peers.answered(from, id, reply),
            RaftMessage::Request { id, request } => {
                let group = self.clone();
                let answer = async move {
                    // A question that makes no sense gets no answer.
                    if let Some(reply) = group.answer(from, id, request).await {
                        let peers = &group.inner().peers;
                        let reply = RaftMessage::Reply { id, reply };
                        peers.transport.send(peers.group, from, reply);
                    }
                };
                self.inner().step.spawn_detached(answer);
            }
        }
    }

    /// The shell could not reach `peer`: what waits for its answers fails now, and backs off.
    pub fn peer_unreachable(&self, peer: NodeId) {
        self.inner().peers.unreachable(peer);
    }

    async fn answer(&self, from: NodeId, id: RequestId, request: RaftRequest) -> Option<RaftReply> {
        let raft = self.raft();
        match request {
            RaftRequest::Append { ballot, previous, entries, committed } => {
                if ballot.node != from {
                    return None;
                }
                let rpc = convert::append_rpc(ballot, previous, entries, committed).ok()?;
                // Before it is answered: the leader counts from when it sent.
                if self.inner().log.borrow().vote().is_none_or(|vote| vote.term <= ballot.term) {
                    self.inner().gate.grant(self.inner().step.now());
                }
                let response = raft.append_entries(rpc).await.ok()?;
                Some(convert::append_reply(&response))
            }
            RaftRequest::Vote(ask) => {
                if !self.may_vote(from, &ask) {
                    return Some(RaftReply::Refused);
                }
                let response = raft.vote(convert::vote_rpc(ask)).await.ok()?;
                Some(convert::vote_reply(&response))
            }
            RaftRequest::PreVote(ask) => {
                if !self.may_vote(from, &ask) {
                    return Some(RaftReply::Refused);
                }
                let response = raft.pre_vote(convert::vote_rpc(ask)).await.ok()?;
                Some(convert::vote_reply(&response))
            }
            RaftRequest::LogEnd => Some(RaftReply::LogEnd(self.log_end())),
            RaftRequest::Transfer { ballot, to, last_log } => {
                if ballot.node != from || !ballot.committed {
                    return None;
                }
                let request = TransferLeaderRequest::new(
                    convert::vote(ballot),
                    to,
                    convert::log_ids(last_log),
                );
                let answer = raft.handle_transfer_leader(request).await.ok()?;
                Some(RaftReply::Transferred(answer.is_ok()))
            }
            RaftRequest::SnapshotBegin { ballot, meta } => {
                Some(self.snapshot_begin(from, id, ballot, meta))
            }
            RaftRequest::SnapshotChunk { transfer, number, bytes } => {
                self.snapshot_chunk(from, transfer, number, bytes).await
            }
            RaftRequest::SnapshotEnd { transfer, chunks } => {
                self.snapshot_end(from, transfer, chunks).await
            }
        }
    }

    fn may_vote(&self, from: NodeId, ask: &VoteAsk) -> bool {
        let life = self.config().incarnation.0;
        let open = self.inner().gate.allows(self.inner().step.now(), life, Some(ask));
        // B42: the gate is left out.
        ask.ballot.node == from
            && !ask.ballot.committed
            && bug!(self.inner().config.faults, 42, true, open)
    }

    fn snapshot_begin(
        &self,
        from: NodeId,
        transfer: RequestId,
        ballot: Ballot,
        meta: SnapshotMeta,
    ) -> RaftReply {
        if ballot.node != from || !ballot.committed || convert::raft_snapshot_meta(&meta).is_err() {
            return RaftReply::Refused;
        }
        // A leader of the past has nothing that a newer one would not send.
        if self.inner().log.borrow().vote().is_some_and(|vote| ballot.term < vote.term) {
            return RaftReply::Refused;
        }
        let again =
            self.inner().incoming.borrow().get(&from).is_some_and(|a| a.transfer == transfer);
        if again {
            return RaftReply::SnapshotTaken;
        }
        match self.inner().machine.port().begin_install(&meta) {
            Ok(sink) => {
                let arrival = Arrival { transfer, ballot, meta, sink: Some(sink), next: 0 };
                let old = self.inner().incoming.borrow_mut().insert(from, arrival);
                drop(old);
                RaftReply::SnapshotTaken
            }
            Err(_) => RaftReply::Refused,
        }
    }

    async fn snapshot_chunk(
        &self,
        from: NodeId,
        transfer: RequestId,
        number: u32,
        bytes: bytes::Bytes,
    ) -> Option<RaftReply> {
        if limit::SNAPSHOT_CHUNK_BYTES < bytes.len() {
            return None;
        }
        let mut sink = {
            let mut incoming = self.inner().incoming.borrow_mut();
            let Some(arrival) = incoming.get_mut(&from).filter(|a| a.transfer == transfer) else {
                return Some(RaftReply::Refused);
            };
            if number < arrival.next {
                return Some(RaftReply::SnapshotTaken);
            }
            if number != arrival.next {
                return None;
            }
            // Being written: the first copy of this chunk will be answered.
            arrival.sink.take()?
        };
        let taken = sink.chunk(bytes).await;
        let mut incoming = self.inner().incoming.borrow_mut();
        let arrival = incoming.get_mut(&from).filter(|a| a.transfer == transfer)?;
        match taken {
            Ok(()) => {
                arrival.sink = Some(sink);
                arrival.next = number + 1;
                Some(RaftReply::SnapshotTaken)
            }
            Err(_) => {
                incoming.remove(&from);
                Some(RaftReply::Refused)
            }
        }
    }

    async fn snapshot_end(
        &self,
        from: NodeId,
        transfer: RequestId,
        chunks: u32,
    ) -> Option<RaftReply> {
        let (ballot, meta, sink) = {
            let mut incoming = self.inner().incoming.borrow_mut();
            let whole = incoming.get(&from).is_some_and(|arrival| {
                arrival.transfer == transfer && arrival.next == chunks && arrival.sink.is_some()
            });
            if !whole {
                return Some(RaftReply::Refused);
            }
            let arrival = incoming.remove(&from)?;
            (arrival.ballot, arrival.meta, arrival.sink?)
        };
        let snapshot = Snapshot {
            meta: convert::raft_snapshot_meta(&meta).ok()?,
            snapshot: SnapshotHandle::Received(sink),
        };
        debug_assert!(ambient::is_entered(), "a task runs inside its stepper");
        let installed = self.raft().install_full_snapshot(convert::vote(ballot), snapshot).await;
        // What else was coming in is older, or comes again.
        self.inner().incoming.borrow_mut().clear();
        Some(RaftReply::SnapshotInstalled(convert::ballot(&installed.ok()?.vote)))
    }
}
