//! The beginning of a cluster, and of service.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::boot;
use super::effect::{Effect, LogLevel};
use super::identity::{self, ClusterRecord};
use super::input::OperatorAnswer;
use super::message::PeerMessage;
use super::node::refused;
use super::sessions::SessionClock;
use super::shared::Shared;
use super::sql_adapter;
use crate::base::id::{ClusterId, NodeId, Token};
use crate::raft::Member as RaftMember;
use crate::sql::catalog::bootstrap::bootstrap;
use crate::sql::protocol::ScramVerifier;
use crate::sql::session::instance::{Instance, InstanceConfig};
use crate::step::channel::oneshot;
use crate::storage::log::NODE;

/// How long `init` waits for all peers.
const INIT_WAIT: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_millis(50);

/// A cluster of this node alone.
pub(super) async fn alone(shared: &Rc<Shared>) {
    let id = {
        let mut rng = shared.rng.borrow_mut();
        ClusterId(u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64()))
    };
    let superuser = shared.config.superuser.clone();
    let record = shared.membership.borrow().decide_found(id, superuser, &shared.config);
    match record {
        Ok(record) => {
            persist(shared, record).await;
            boot::open_shards(shared, BTreeMap::new()).await;
            finish(shared).await;
            serve(shared).await;
        }
        Err(why) => {
            let why = why.map_or_else(String::new, |error| error.message);
            shared.log(LogLevel::Error, format!("cannot found a cluster: {why}"));
        }
    }
}

/// `shardforge init` on this node.
pub(super) fn init(
    shared: &Rc<Shared>,
    token: Token,
    entropy: [u8; 32],
    superuser: Option<ScramVerifier>,
) {
    let task = init_task(Rc::clone(shared), entropy, superuser);
    let answering = Rc::clone(shared);
    shared.step.spawn_detached(async move {
        let answer = task.await;
        answering.outbox.push(Effect::AnswerOperator { token, answer });
    });
}

async fn init_task(
    shared: Rc<Shared>,
    entropy: [u8; 32],
    superuser: Option<ScramVerifier>,
) -> OperatorAnswer {
    let mut id = [0; 16];
    id.copy_from_slice(&entropy[..16]);
    let id = ClusterId(u128::from_be_bytes(id));
    let until = shared.step.now() + INIT_WAIT;
    let record = loop {
        let decided =
            shared.membership.borrow().decide_found(id, superuser.clone(), &shared.config);
        match decided {
            Ok(record) => break record,
            Err(Some(error)) => return OperatorAnswer::Refused(error),
            Err(None) if until <= shared.step.now() => {
                let missing = shared.membership.borrow().unknown_addresses().join(", ");
                return refused(format!("peers did not answer: {missing}"));
            }
            Err(None) => shared.step.sleep(RETRY).await,
        }
    };
    persist(&shared, record).await;
    boot::open_shards(&shared, BTreeMap::new()).await;
    finish(&shared).await;
    let serving = Rc::clone(&shared);
    shared.step.spawn_detached(async move { serve(&serving).await });
    while !shared.serving.get() {
        if until <= shared.step.now() {
            return refused("the cluster is founded but does not serve yet; see the nodes' logs");
        }
        shared.step.sleep(RETRY).await;
    }
    OperatorAnswer::Initialised(id)
}

/// Makes the cluster's record durable and ours.
async fn persist(shared: &Rc<Shared>, record: ClusterRecord) {
    shared.membership.borrow_mut().accepting = Some(record.id);
    let (durable, told) = oneshot::channel();
    let tell = Box::new(move || {
        // The waiter lives as long as the node.
        let _ = durable.send(());
    });
    shared.outbox.append(NODE, [boot::meta(identity::KEY_CLUSTER, &record)], Some(tell));
    let _ = told.await;
    shared.membership.borrow_mut().cluster = Some(record);
}

/// The founder told us of the cluster.
pub(super) fn handle_found(shared: &Rc<Shared>, from: NodeId, record: ClusterRecord) {
    let ours = shared.membership.borrow().cluster.as_ref().map(|cluster| cluster.id);
    if ours.is_none() && shared.membership.borrow().accepting.is_some() {
        return; // the founder says it again, until we answer
    }
    match ours {
        Some(id) if id == record.id => shared.send(from, &PeerMessage::Founded(id)),
        Some(id) => {
            let theirs = record.id;
            let message = format!("{from} offers cluster {theirs}, this node belongs to {id}");
            shared.log(LogLevel::Warn, message);
        }
        None if record.members.contains_key(&shared.me) && record.founder == from => {
            // A second copy that comes before the record is durable must not open the shards again.
            shared.membership.borrow_mut().accepting = Some(record.id);
            let shared = Rc::clone(shared);
            let step = shared.step.clone();
            step.spawn_detached(async move {
                let id = record.id;
                persist(&shared, record).await;
                shared.send(from, &PeerMessage::Founded(id));
                boot::open_shards(&shared, BTreeMap::new()).await;
                serve(&shared).await;
            });
        }
        None => shared.log(LogLevel::Warn, format!("{from} offers a cluster without this node")),
    }
}

/// The founder's part: every member has the record, every group its first members. May run again
/// after a restart.
pub(super) async fn finish(shared: &Rc<Shared>) {
    let Some(record) = shared.membership.borrow().cluster.clone() else { return };
    let fresh: Vec<_> = shared
        .all_hosts()
        .into_iter()
        .filter(|host| {
            let status = host.group.status();
            status.last_log.is_none() && status.applied.is_none() && status.vote.is_none()
        })
        .collect();
    if fresh.is_empty() {
        return;
    }
    loop {
        let missing: Vec<NodeId> = {
            let membership = shared.membership.borrow();
            let lacks = |id: &&NodeId| **id != shared.me && !membership.founded.contains(*id);
            record.members.keys().filter(lacks).copied().collect()
        };
        if missing.is_empty() {
            break;
        }
        for node in missing {
            shared.send(node, &PeerMessage::Found(Box::new(record.clone())));
        }
        shared.step.sleep(RETRY).await;
    }
    let members: BTreeMap<NodeId, RaftMember> = record
        .voters
        .iter()
        .map(|id| {
            let address = record.members.get(id).map(|m| m.peer_addr.clone()).unwrap_or_default();
            (*id, RaftMember { address })
        })
        .collect();
    for host in fresh {
        if let Err(error) = host.group.initialize(members.clone()).await {
            let shard = host.shard;
            shared.log(LogLevel::Warn, format!("{shard} is not initialised anew: {error}"));
        }
    }
}

/// Begins to serve SQL, once the catalog is there (whoever comes first writes its first rows).
pub(super) async fn serve(shared: &Rc<Shared>) {
    let Some(record) = shared.membership.borrow().cluster.clone() else { return };
    let Some(txns) = shared.txns.borrow().clone() else { return };
    let source = sql_adapter::adapt(txns);
    let clock = SessionClock { outbox: shared.outbox.clone(), step: shared.step.clone() };
    let seed = shared.rng.borrow_mut().next_u64();
    let config = InstanceConfig {
        node: shared.me,
        incarnation: shared.incarnation.get(),
        insecure: shared.config.insecure,
        seed,
    };
    let instance = Instance::new(config, Rc::clone(&source), Rc::new(clock));
    *shared.instance.borrow_mut() = Some(Rc::clone(&instance));
    let mut last_complaint = None;
    loop {
        if shared.halted.get() || shared.draining.get() {
            return;
        }
        match bootstrap(&*source, record.superuser.clone()).await {
            Ok(()) => break,
            Err(error) => {
                let complaint = error.to_string();
                if last_complaint.as_ref() != Some(&complaint) {
                    shared.log(LogLevel::Info, format!("not serving yet: {complaint}"));
                }
                last_complaint = Some(complaint);
                shared.step.sleep(RETRY).await;
            }
        }
    }
    instance.accept();
    shared.serving.set(true);
    shared.outbox.push(Effect::ServiceChanged(true));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::Incarnation;
    use crate::base::time::Now;
    use crate::node::config::{CoreConfig, Seed};
    use crate::node::identity::Member;
    use crate::node::input::{DiskImage, Input, PeerFrame};
    use crate::node::message::PEER_PROTOCOL;
    use crate::node::node::Node;
    use crate::storage::port::StorageEffect;

    /// Performs an input: notes log tickets, counts the stores that are opened, answers nothing.
    fn handle(node: &mut Node, input: Input, tickets: &mut Vec<u64>) -> usize {
        let mut opened = 0;
        for effect in node.handle(Now::default(), input) {
            match effect {
                Effect::AppendLog { ticket, .. } => tickets.push(ticket),
                Effect::Storage(StorageEffect::Open(..)) => opened += 1,
                _ => {} // nothing else matters here
            }
        }
        opened
    }

    #[test]
    fn a_repeated_offer_opens_the_shards_once() {
        let (founder, me) = (NodeId::machine(1), NodeId::machine(2));
        let mut node = Node::new(me, CoreConfig::default(), Seed(1), Now::default());
        let mut tickets = Vec::new();
        handle(&mut node, Input::Booted(DiskImage::default()), &mut tickets);
        for ticket in std::mem::take(&mut tickets) {
            handle(&mut node, Input::LogPersisted { ticket }, &mut Vec::new());
        }
        let members = [founder, me].map(|id| (id, Member::default()));
        let record = ClusterRecord {
            id: ClusterId(7),
            founder,
            members: members.into(),
            voters: vec![founder, me],
            data_shards: 1,
            superuser: None,
        };
        let offer = || {
            Input::PeerMessageReceived(PeerFrame {
                protocol: PEER_PROTOCOL,
                cluster: ClusterId::default(),
                from: founder,
                incarnation: Incarnation(1),
                to: me,
                number: 0,
                messages: vec![PeerMessage::Found(Box::new(record.clone())).encode()],
            })
        };
        assert_eq!(handle(&mut node, offer(), &mut tickets), 0, "its record is not durable yet");
        assert_eq!(handle(&mut node, offer(), &mut tickets), 0);
        let mut opened = 0;
        for ticket in tickets {
            opened += handle(&mut node, Input::LogPersisted { ticket }, &mut Vec::new());
        }
        assert_eq!(opened, 1, "openings of the first shard");
    }
}
