//! What a node does by itself from time to time: greet, beat, flush; and what operators ask for.

use std::rc::Rc;
use std::time::Duration;

use super::effect::{Effect, HaltReason, LogLevel};
use super::input::OperatorAnswer;
use super::message::PeerMessage;
use super::node::refused;
use super::shared::Shared;
use super::status::{ClusterStatus, ReplicaStatus, ShardStatus};
use crate::base::id::{NodeId, ShardId, Token};

const GREET_EVERY: Duration = Duration::from_millis(200);
const BEAT_EVERY: Duration = Duration::from_millis(250);
const FLUSH_CHECK_EVERY: Duration = Duration::from_millis(200);
const STATUS_WAIT: Duration = Duration::from_millis(500);
const DRAIN_WAIT: Duration = Duration::from_secs(10);
/// A store is flushed at least this often if anything was applied, so that a restart replays little.
const FLUSH_EVERY: Duration = Duration::from_secs(60);

/// Starts the duties of a life.
pub(super) fn start(shared: &Rc<Shared>) {
    shared.step.spawn_detached(greet(Rc::clone(shared)));
    shared.step.spawn_detached(beat(Rc::clone(shared)));
    shared.step.spawn_detached(flush(Rc::clone(shared)));
}

/// Says Hello until everyone is known; after `init` only to who was not heard in this life.
async fn greet(shared: Rc<Shared>) {
    loop {
        let hello = PeerMessage::Hello(shared.membership.borrow().hello(true)).encode();
        let addresses = shared.membership.borrow().unknown_addresses();
        for address in addresses {
            let frame = shared.frame(NodeId::default(), vec![hello.clone()]);
            shared.outbox.push(Effect::ProbePeer { address, frame });
        }
        let unheard: Vec<NodeId> = {
            let membership = shared.membership.borrow();
            let unheard = membership.peers.iter().filter(|(_, peer)| peer.hello.is_none());
            unheard.map(|(id, _)| *id).collect()
        };
        for node in unheard {
            shared.outbox.send(node, hello.clone());
        }
        shared.step.sleep(GREET_EVERY).await;
    }
}

/// Tells the system shard's leader, and the other nodes, that this life lasts.
async fn beat(shared: Rc<Shared>) {
    loop {
        let peers: Vec<NodeId> = shared.membership.borrow().peers.keys().copied().collect();
        let formed = shared.membership.borrow().cluster.is_some();
        if formed {
            for node in peers {
                shared.send(node, &PeerMessage::Beat);
            }
            shared.calls.beat(&shared);
        }
        shared.step.sleep(BEAT_EVERY).await;
    }
}

/// Flushes stores whose logs have grown, so that the logs may be purged.
async fn flush(shared: Rc<Shared>) {
    let mut last = shared.step.now();
    loop {
        shared.step.sleep(FLUSH_CHECK_EVERY).await;
        let due = FLUSH_EVERY <= shared.step.now().since(last);
        if due {
            last = shared.step.now();
        }
        for host in shared.all_hosts() {
            let status = host.group.status();
            let behind = host.unflushed_entries();
            let grown = shared.config.log_flush_bytes < status.log_bytes
                || shared.config.log_flush_entries < behind
                || host.group.log_is_full();
            if 0 < behind && (grown || due || host.flush_wanted.get()) && !host.flushing.get() {
                let step = shared.step.clone();
                step.spawn_detached(async move { host.flush().await });
            }
        }
    }
}

/// For tests and simulations: flush and purge now.
pub(super) fn compact(shared: &Rc<Shared>, shard: ShardId) -> OperatorAnswer {
    let Some(host) = shared.host(shard) else {
        return refused(format!("{shard} is not here"));
    };
    host.flush_wanted.set(true);
    OperatorAnswer::Done
}

/// Asks all nodes and puts together what they know.
pub(super) fn answer_status(shared: &Rc<Shared>, token: Token) {
    let shared = Rc::clone(shared);
    let step = shared.step.clone();
    step.spawn_detached(async move {
        let peers: Vec<NodeId> = shared.membership.borrow().peers.keys().copied().collect();
        let formed = shared.membership.borrow().cluster.is_some();
        let answers = if formed && !peers.is_empty() {
            shared.calls.ask_status(&shared, &peers, STATUS_WAIT).await
        } else {
            Vec::new()
        };
        let mut status = super::host::status(&shared);
        for answer in answers {
            merge(&mut status, answer);
        }
        let answer = OperatorAnswer::Status(status);
        shared.outbox.push(Effect::AnswerOperator { token, answer });
    });
}

/// A leader knows most of its shard; else who knows the newest term. How far a replica has applied, only
/// its own node knows.
fn merge(status: &mut ClusterStatus, other: ClusterStatus) {
    for mut theirs in other.shards {
        match status.shards.iter_mut().find(|ours| ours.id == theirs.id) {
            None => status.shards.push(theirs),
            Some(ours) => {
                let leads = |shard: &ShardStatus| {
                    let led = |r: &&ReplicaStatus| 0 < r.match_index;
                    shard.replicas.iter().filter(led).count()
                };
                if (ours.term, leads(ours)) < (theirs.term, leads(&theirs)) {
                    std::mem::swap(ours, &mut theirs);
                }
                for replica in &mut ours.replicas {
                    let same = |r: &&ReplicaStatus| r.node == replica.node;
                    let applied = theirs.replicas.iter().find(same).map_or(0, |r| r.applied_index);
                    replica.applied_index = replica.applied_index.max(applied);
                }
            }
        }
    }
}

/// SIGTERM: the sessions end, the stores are flushed, the node stops.
pub(super) fn drain(shared: &Rc<Shared>, token: Token) {
    if shared.draining.replace(true) {
        return;
    }
    shared.outbox.push(Effect::ServiceChanged(false));
    let shared = Rc::clone(shared);
    let step = shared.step.clone();
    step.spawn_detached(async move {
        let until = shared.step.now() + DRAIN_WAIT;
        loop {
            let instance = shared.instance.borrow().clone();
            let sessions = instance.map_or(0, |instance| instance.session_count());
            if sessions == 0 || until <= shared.step.now() {
                break;
            }
            shared.step.sleep(Duration::from_millis(10)).await;
        }
        for host in shared.all_hosts() {
            host.flush().await;
        }
        shared.log(LogLevel::Info, "drained".to_owned());
        shared.outbox.push(Effect::AnswerOperator { token, answer: OperatorAnswer::Done });
        shared.halt(HaltReason::Drained);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `node` says of a shard that n1 leads.
    fn answer(node: u32) -> ClusterStatus {
        let replicas = (1..=3).map(|id| ReplicaStatus {
            node: NodeId::machine(id),
            role: if id == 1 { "leader".to_owned() } else { "follower".to_owned() },
            match_index: if node == 1 || id == node { 40 } else { 0 },
            applied_index: if id == node { 30 + u64::from(id) } else { 0 },
            lag_entries: 0,
        });
        let leader = Some(NodeId::machine(1));
        let replicas = replicas.collect();
        let shard = ShardStatus { id: ShardId(1), epoch: 1, leader, term: 2, replicas };
        ClusterStatus { shards: vec![shard], ..ClusterStatus::default() }
    }

    #[test]
    fn each_node_tells_how_far_its_own_replica_has_applied() {
        for first in 1..=3 {
            let mut status = answer(first);
            (1..=3).filter(|node| *node != first).for_each(|node| merge(&mut status, answer(node)));
            let replicas = status.shards[0].replicas.iter();
            let shown: Vec<_> = replicas.map(|r| (r.match_index, r.applied_index)).collect();
            assert_eq!(shown, [(40, 31), (40, 32), (40, 33)], "asked n{first}");
        }
    }
}
