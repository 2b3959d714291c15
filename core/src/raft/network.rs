//! The asking side: openraft's network, over the transport port.
//!
//! A question is a message with a name; its answer is another message that carries the name. Loss,
//! delay, reordering and duplication are the transport's right: a question waits for its deadline,
//! and an answer to nothing is dropped.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{Either, select};
use openraft::errors::{
    NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable,
};
use openraft::network::{RPCOption, RPCTypes, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::storage::Snapshot;
use openraft::{OptionalSend, errors};

use super::convert;
use super::machine::SnapshotHandle;
use super::message::{LogEnd, Member, RaftMessage, RaftReply, RaftRequest, RequestId, VoteAsk};
use super::ports::{SnapshotError, StateMachine, Transport};
use super::types::{CommittedLeader, TypeConfig, Vote};
use crate::base::buggify::Faults;
use crate::base::id::{NodeId, ShardId};
use crate::base::limit;
use crate::bug;
use crate::step::StepHandle;
use crate::step::channel::{oneshot, watch};

/// The group's side of the wire; shared by all its clients and the receiving side.
pub(super) struct Peers {
    pub(super) group: ShardId,
    pub(super) node: NodeId,
    pub(super) step: StepHandle,
    pub(super) transport: Rc<dyn Transport>,
    pub(super) machine: Rc<dyn StateMachine>,
    pub(super) faults: Faults,
    pub(super) incarnation: u64,
    /// The least that an append or a vote waits for its answer.
    pub(super) reply_timeout: Duration,
    pub(super) asked: Cell<u64>,
    pub(super) waiting: RefCell<BTreeMap<RequestId, Asked>>,
    /// The incarnations of all other voters, if all were heard lately and nobody's log is longer.
    pub(super) heard: RefCell<BTreeMap<NodeId, u64>>,
    /// Counts the votes and pre-votes that this replica asked for.
    pub(super) stood: watch::Sender<u64>,
}

pub(super) struct Asked {
    target: NodeId,
    answer: oneshot::Sender<Answer>,
}

enum Answer {
    Reply(RaftReply),
    Unreachable,
}

/// Why there is no answer.
enum Silence {
    Timeout(Duration),
    Unreachable,
}

/// Forgets a question that nobody waits for any more.
struct ForgetOnDrop<'a>(&'a Peers, RequestId);

impl Drop for ForgetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.waiting.borrow_mut().remove(&self.1);
    }
}

impl Peers {
    fn next_id(&self) -> RequestId {
        let number = self.asked.get() + 1;
        self.asked.set(number);
        RequestId { incarnation: self.incarnation, number }
    }

    async fn ask(
        &self,
        target: NodeId,
        id: RequestId,
        request: RaftRequest,
        wait: Duration,
    ) -> Result<RaftReply, Silence> {
        let (answer, receiver) = oneshot::channel();
        self.waiting.borrow_mut().insert(id, Asked { target, answer });
        let _forget = ForgetOnDrop(self, id);
        self.transport.send(self.group, target, RaftMessage::Request { id, request });
        match self.step.timeout(wait, receiver).await {
            Ok(Ok(Answer::Reply(reply))) => Ok(reply),
            Ok(Ok(Answer::Unreachable) | Err(oneshot::Canceled)) => Err(Silence::Unreachable),
            Err(crate::step::Elapsed) => Err(Silence::Timeout(wait)),
        }
    }

    /// Where a peer's log ends; `None` if it does not say so in time.
    pub(super) async fn log_end(&self, peer: NodeId) -> Option<LogEnd> {
        let asked = self.ask(peer, self.next_id(), RaftRequest::LogEnd, self.reply_timeout).await;
        match asked {
            Ok(RaftReply::LogEnd(end)) => Some(end),
            _ => None,
        }
    }

    /// An answer came in.
    pub(super) fn answered(&self, from: NodeId, id: RequestId, reply: RaftReply) {
        let asked = {
            let mut waiting = self.waiting.borrow_mut();
            match waiting.get(&id) {
                Some(asked) if asked.target == from => waiting.remove(&id),
                _ => None,
            }
        };
        if let Some(asked) = asked {
            // Whoever asked may have gone meanwhile.
            let _ = asked.answer.send(Answer::Reply(reply));
        }
    }

    /// The shell could not reach a peer: fail what waits for it now.
    pub(super) fn unreachable(&self, peer: NodeId) {
        let lost: Vec<Asked> = {
            let mut waiting = self.waiting.borrow_mut();
            let ids: Vec<RequestId> = waiting
                .iter()
                .filter(|(_, asked)| asked.target == peer)
                .map(|(id, _)| *id)
                .collect();
            ids.iter().filter_map(|id| waiting.remove(id)).collect()
        };
        for asked in lost {
            let _ = asked.answer.send(Answer::Unreachable);
        }
    }
}

/// Makes openraft's clients.
pub(super) struct Network(pub(super) Rc<Peers>);

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Client;

    async fn new_client(&mut self, target: NodeId, _node: &Member) -> Client {
        Client { peers: self.0.clone(), target }
    }
}

/// openraft's way to one peer.
pub(super) struct Client {
    peers: Rc<Peers>,
    target: NodeId,
}

impl Client {
    fn rpc_error(&self, silence: Silence, action: RPCTypes) -> RPCError<TypeConfig> {
        match silence {
            Silence::Timeout(timeout) => RPCError::Timeout(Timeout {
                action,
                id: self.peers.node,
                target: self.target,
                timeout,
            }),
            Silence::Unreachable => {
                RPCError::Unreachable(Unreachable::from_string("peer is unreachable"))
            }
        }
    }

    /// The peer answered something else than what was asked: as good as lost.
    fn odd(&self) -> RPCError<TypeConfig> {
        RPCError::Network(NetworkError::from_string("peer refused or gave an odd answer"))
    }

    fn vote_ask(&self, rpc: &VoteRequest<TypeConfig>) -> VoteAsk {
        self.peers.stood.send_if_modified(|count| {
            *count += 1;
            true
        });
        let longest_since = self.peers.heard.borrow().get(&self.target).copied();
        VoteAsk { longest_since, ..convert::vote_ask(rpc) }
    }

    async fn ask(
        &self,
        request: RaftRequest,
        action: RPCTypes,
        wait: Duration,
    ) -> Result<RaftReply, RPCError<TypeConfig>> {
        let id = self.peers.next_id();
        let asked = self.peers.ask(self.target, id, request, wait).await;
        asked.map_err(|silence| self.rpc_error(silence, action))
    }

    /// Sends all of a snapshot, one chunk a round trip.
    async fn send_snapshot(
        &self,
        vote: Vote,
        wait: Duration,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let local = |e: SnapshotError| {
            StreamingError::from(Unreachable::<TypeConfig>::from_string(e.to_string()))
        };
        let mut open = self.peers.machine.open_snapshot().await.map_err(local)?;
        let transfer = self.peers.next_id();
        let begin =
            RaftRequest::SnapshotBegin { ballot: convert::ballot(&vote), meta: open.meta.clone() };
        self.snapshot_step(transfer, begin, wait).await?;
        let mut chunks = 0;
        while let Some(bytes) = open.source.next_chunk().await.map_err(local)? {
            assert!(bytes.len() <= limit::SNAPSHOT_CHUNK_BYTES, "a chunk is over its bound");
            let chunk = RaftRequest::SnapshotChunk { transfer, number: chunks, bytes };
            self.snapshot_step(self.peers.next_id(), chunk, wait).await?;
            chunks += 1;
        }
        let end = RaftRequest::SnapshotEnd { transfer, chunks };
        // Installing takes as long as it takes; the follower's later answers tell.
        match self.snapshot_step(self.peers.next_id(), end, wait * 10).await? {
            Some(ballot) => Ok(SnapshotResponse::new(ballot)),
            None => Err(NetworkError::from_string("snapshot was not installed").into()),
        }
    }

    /// One step of a transfer; `Some` if the follower said that it is at its end.
    async fn snapshot_step(
        &self,
        id: RequestId,
        request: RaftRequest,
        wait: Duration,
    ) -> Result<Option<Vote>, StreamingError<TypeConfig>> {
        match self.peers.ask(self.target, id, request, wait).await {
            Ok(RaftReply::SnapshotTaken) => Ok(None),
            Ok(RaftReply::SnapshotInstalled(ballot)) => Ok(Some(convert::vote(ballot))),
            Ok(_) => Err(NetworkError::from_string("peer refused the snapshot").into()),
            Err(Silence::Timeout(timeout)) => Err(Timeout {
                action: RPCTypes::InstallSnapshot,
                id: self.peers.node,
                target: self.target,
                timeout,
            }
            .into()),
            Err(Silence::Unreachable) => {
                Err(Unreachable::<TypeConfig>::from_string("peer is unreachable").into())
            }
        }
    }
}

impl RaftNetworkV2<TypeConfig> for Client {
    type SnapshotData = SnapshotHandle;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        let mut request = convert::append_request(&rpc);
        // B07: followers are told that what they are sent is committed.
        if bug!(self.peers.faults, 7, true, false)
            && let RaftRequest::Append { entries, committed, .. } = &mut request
        {
            *committed = entries.last().map(|entry| entry.position).max(*committed);
        }
        let wait = option.hard_ttl().max(self.peers.reply_timeout);
        let reply = self.ask(request, RPCTypes::AppendEntries, wait).await?;
        convert::append_response(reply).ok_or_else(|| self.odd())
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let request = RaftRequest::Vote(self.vote_ask(&rpc));
        let reply = self.ask(request, RPCTypes::Vote, option.hard_ttl()).await?;
        convert::vote_response(&reply).ok_or_else(|| self.odd())
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let request = RaftRequest::PreVote(self.vote_ask(&rpc));
        let reply = self.ask(request, RPCTypes::Vote, option.hard_ttl()).await?;
        convert::vote_response(&reply).ok_or_else(|| self.odd())
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        _snapshot: Snapshot<CommittedLeader, NodeId, Member, SnapshotHandle>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let wait = option.hard_ttl().max(self.peers.reply_timeout);
        let transfer = pin!(self.send_snapshot(vote, wait));
        match select(transfer, pin!(cancel)).await {
            Either::Left((sent, _)) => sent,
            Either::Right((closed, _)) => Err(errors::StreamingError::Closed(closed)),
        }
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        let request = RaftRequest::Transfer {
            ballot: convert::ballot(req.from_leader()),
            to: *req.to_node_id(),
            last_log: convert::positions(req.last_log_id()),
        };
        // openraft looks at the outcome only in its log.
        match self.ask(request, RPCTypes::TransferLeader, option.hard_ttl()).await? {
            RaftReply::Transferred(_) => Ok(Ok(())),
            _ => Err(self.odd()),
        }
    }
}
