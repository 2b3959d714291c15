//! Calls between nodes: requests to replicas, here or elsewhere, and the answers on their way back.
//!
//! # Invariants
//!
//! * A call ends: by its answer, by the loss of its node, or by its caller's patience (drop).
//! * A request whose caller went away is dropped here too, unless it is already being proposed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use super::super::message::PeerMessage;
use super::super::shared::Shared;
use super::super::status::ClusterStatus;
use crate::base::id::{NodeId, SYSTEM_SHARD, ShardId};
use crate::replica::error::ReplicaError;
use crate::replica::request::{
    BeatBody, KeyRead, RequestBody, ShardRequest, ShardResponse, StoredVersion,
};
use crate::step::TaskHandle;
use crate::step::channel::oneshot;
use crate::txn::ports::{CallError, ShardCalls};
use crate::txn::router::Repeat;

/// Requests of one peer that may be served at once; more are refused as "not ready".
const SERVED_MAX: usize = 10_000;
/// A beat that took longer says nothing.
const BEAT_PATIENCE: Duration = Duration::from_millis(500);

type Answer = Result<ShardResponse, ReplicaError>;
type Served = BTreeMap<(NodeId, u64), TaskHandle<()>>;

/// A request that a peer has not answered yet.
struct Asked {
    to: NodeId,
    shard: ShardId,
    waiter: oneshot::Sender<Answer>,
}

/// Calls under way, both ways.
#[derive(Default)]
pub(in super::super) struct PendingCalls {
    next: Cell<u64>,
    asked: RefCell<BTreeMap<u64, Asked>>,
    status: RefCell<BTreeMap<u64, oneshot::Sender<ClusterStatus>>>,
    served: RefCell<Served>,
}

impl PendingCalls {
    fn number(&self) -> u64 {
        self.next.set(self.next.get() + 1);
        self.next.get()
    }

    /// Serves a peer's request.
    pub(in super::super) fn serve(
        &self,
        shared: &Rc<Shared>,
        from: NodeId,
        id: u64,
        request: ShardRequest,
    ) {
        let host = shared.host(request.shard);
        let refusal = match &host {
            None => Some(ReplicaError::NotLeader { hint: None }),
            Some(_) if SERVED_MAX <= self.served.borrow().len() => Some(ReplicaError::NotReady),
            Some(_) => None,
        };
        let Some(host) = host.filter(|_| refusal.is_none()) else {
            let result = Err(refusal.unwrap_or(ReplicaError::NotReady));
            return shared.send(from, &PeerMessage::Response { id, result });
        };
        let serving = host.replica.clone().serve(Rc::new(request));
        let answering = Rc::clone(shared);
        let task = shared.step.spawn(async move {
            let result = serving.await;
            answering.calls.served.borrow_mut().remove(&(from, id));
            answering.send(from, &PeerMessage::Response { id, result });
        });
        if !task.is_finished() {
            self.served.borrow_mut().insert((from, id), task);
        }
    }

    /// The caller's patience is over.
    pub(in super::super) fn forget(&self, from: NodeId, id: u64) {
        if let Some(task) = self.served.borrow_mut().remove(&(from, id)) {
            task.abort();
        }
    }

    /// An answer of a peer; one that nobody waits for is dropped.
    pub(in super::super) fn answered(&self, from: NodeId, id: u64, answer: Answer) {
        let mut asked = self.asked.borrow_mut();
        if asked.get(&id).is_some_and(|asked| asked.to == from)
            && let Some(asked) = asked.remove(&id)
        {
            // The asker may have gone in this very step.
            let _ = asked.waiter.send(answer);
        }
    }

    /// Calls to that node will not be answered.
    pub(in super::super) fn unreachable(&self, node: NodeId) {
        self.asked.borrow_mut().retain(|_, asked| asked.to != node);
    }

    /// A shard has a new leader: whoever waits for another node's answer may wait for ever, if that
    /// one is stopped or cut off. The question counts as lost.
    pub(in super::super) fn leader_changed(&self, shard: ShardId, leader: NodeId) {
        let stays = |asked: &Asked| asked.shard != shard || asked.to == leader;
        self.asked.borrow_mut().retain(|_, asked| stays(asked));
    }

    /// A status answer.
    pub(in super::super) fn status_known(&self, id: u64, status: ClusterStatus) {
        if let Some(waiter) = self.status.borrow_mut().remove(&id) {
            // As above.
            let _ = waiter.send(status);
        }
    }

    /// What the peers know, as far as they answer in time.
    pub(in super::super) async fn ask_status(
        &self,
        shared: &Shared,
        peers: &[NodeId],
        wait: Duration,
    ) -> Vec<ClusterStatus> {
        let mut answers = Vec::new();
        let mut waiting = Vec::new();
        for node in peers {
            let id = self.number();
            let (sender, receiver) = oneshot::channel();
            self.status.borrow_mut().insert(id, sender);
            shared.send(*node, &PeerMessage::StatusWanted { id });
            waiting.push((id, receiver));
        }
        let until = shared.step.now() + wait;
        for (id, receiver) in waiting {
            if let Ok(Ok(status)) = shared.step.timeout_at(until, receiver).await {
                answers.push(status);
            }
            self.status.borrow_mut().remove(&id);
        }
        answers
    }

    /// Tells the system shard's leader that this life lasts; an answer is not needed.
    pub(in super::super) fn beat(&self, shared: &Rc<Shared>) {
        let Some(source) = shared.txns.borrow().clone() else { return };
        let body = BeatBody {
            node: shared.me,
            incarnation: shared.incarnation.get(),
            wall_ms: shared.outbox.now().wall.unix_ms(),
        };
        let deadline = shared.step.now() + BEAT_PATIENCE;
        shared.step.spawn_detached(async move {
            let body = RequestBody::Beat(body);
            // A lost beat is made good by the next one.
            let _ = source.router().send(SYSTEM_SHARD, body, Repeat::Freely, deadline).await;
        });
    }
}

/// Carries requests to nodes over the shared state.
pub(in super::super) struct NodeCalls(pub(in super::super) Weak<Shared>);

/// Removes a call that its caller drops, and tells the peer.
struct Guard {
    shared: Weak<Shared>,
    to: NodeId,
    id: u64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(shared) = self.shared.upgrade() else { return };
        let unanswered = shared.calls.asked.borrow_mut().remove(&self.id).is_some();
        if unanswered {
            shared.send(self.to, &PeerMessage::Forget { id: self.id });
        }
    }
}

impl ShardCalls for NodeCalls {
    fn call(
        &self,
        to: NodeId,
        request: Rc<ShardRequest>,
    ) -> LocalBoxFuture<'static, Result<ShardResponse, CallError>> {
        let Some(shared) = self.0.upgrade() else {
            return Box::pin(async { Err(CallError::NotSent) });
        };
        if to == shared.me {
            let Some(host) = shared.host(request.shard) else {
                return Box::pin(async { Err(ReplicaError::NotLeader { hint: None }.into()) });
            };
            let serving = host.replica.clone().serve(request);
            return Box::pin(async move { serving.await.map_err(CallError::Refused) });
        }
        if !shared.awake.get() || !shared.membership.borrow().peers.contains_key(&to) {
            return Box::pin(async { Err(CallError::NotSent) });
        }
        let id = shared.calls.number();
        let (sender, receiver) = oneshot::channel();
        let asked = Asked { to, shard: request.shard, waiter: sender };
        shared.calls.asked.borrow_mut().insert(id, asked);
        let guard = Guard { shared: self.0.clone(), to, id };
        let request = Rc::unwrap_or_clone(request);
        shared.send(to, &PeerMessage::Request { id, request });
        Box::pin(async move {
            let _guard = guard;
            match receiver.await {
                Ok(answer) => answer.map_err(CallError::Refused),
                Err(_) => Err(CallError::Lost),
            }
        })
    }

    fn call_now(&self, request: &ShardRequest) -> Option<Result<ShardResponse, ReplicaError>> {
        let shared = self.0.upgrade()?;
        let hosts = shared.hosts.borrow();
        hosts.get(&request.shard)?.replica.serve_now(request)
    }

    fn read_now(&self, read: &KeyRead<'_>) -> Option<Option<StoredVersion>> {
        let shared = self.0.upgrade()?;
        let hosts = shared.hosts.borrow();
        hosts.get(&read.shard)?.replica.read_now(read)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_new_leader_ends_the_wait_for_the_old_one() {
        let calls = PendingCalls::default();
        let (old, new) = (NodeId::machine(1), NodeId::machine(2));
        let ask = |to, shard| {
            let (waiter, receiver) = oneshot::channel();
            let asked = Asked { to, shard, waiter };
            calls.asked.borrow_mut().insert(calls.number(), asked);
            receiver
        };
        let stuck = ask(old, ShardId(1));
        let (fine, elsewhere) = (ask(new, ShardId(1)), ask(old, ShardId(2)));
        calls.leader_changed(ShardId(1), new);
        assert!(stuck.now_or_never().is_some_and(|answer| answer.is_err()), "it waits on");
        assert!(fine.now_or_never().is_none() && elsewhere.now_or_never().is_none());
    }
}
