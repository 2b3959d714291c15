//! The beginning of a life: judge what is on disk, raise the incarnation, open the shards.
//!
//! # Invariants
//!
//! * A directory belongs to one node id for ever.
//! * Nothing is sent before the raised incarnation is durable.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::config::{CoreConfig, Seed};
use super::duties;
use super::effect::{HaltReason, LogLevel};
use super::found;
use super::host::{self, ShardHost};
use super::identity::{self, ClusterRecord, Identity};
use super::input::DiskImage;
use super::membership::Membership;
use super::outbox::Outbox;
use super::shared::Shared;
use super::wiring::calls::{NodeCalls, PendingCalls};
use super::wiring::clock::NodeClock;
use super::wiring::log::recovered as raft_log;
use crate::base::id::{Incarnation, NodeId, ShardId};
use crate::base::rng::Rng;
use crate::raft::RecoveredLog;
use crate::shard::cache::ShardCache;
use crate::shard::map::ShardMap;
use crate::step::StepHandle;
use crate::storage::log::{
    LogConfig, LogRecord, LogWriter, NODE, Recovered, RecoveredGroup, Trust, Verdict, recover,
};
use crate::txn::oracle::OracleClient;
use crate::txn::router::Router;
use crate::txn::source::{TxnConfig, TxnSource};

/// What was recovered of each group.
pub(super) type RecoveredGroups = BTreeMap<ShardId, RecoveredGroup>;

/// The shared state of a node that has not booted.
pub(super) fn shared(me: NodeId, config: CoreConfig, seed: Seed, step: StepHandle) -> Rc<Shared> {
    let membership = Membership::new(me, &config, &Identity::default());
    Rc::new(Shared {
        me,
        incarnation: Cell::default(),
        outbox: Outbox::default(),
        step,
        rng: RefCell::new(Rng::stream(seed.0, "node")),
        membership: RefCell::new(membership),
        hosts: RefCell::default(),
        calls: PendingCalls::default(),
        txns: RefCell::default(),
        instance: RefCell::default(),
        awake: Cell::new(false),
        serving: Cell::new(false),
        draining: Cell::new(false),
        halted: Cell::new(false),
        config,
    })
}

/// Judges what is on disk and begins a life; the log's writer, or why this node must not run.
pub(super) fn boot(
    shared: &Rc<Shared>,
    image: DiskImage,
    seed: Seed,
) -> Result<LogWriter, HaltReason> {
    let fresh_log_id = Rng::stream(seed.0, "log").next_u64();
    let Recovered { groups, node_meta, verdict, resume } =
        recover(&image.segments, &image.vote_files, fresh_log_id, &shared.config.faults);
    drop(image);
    tell(shared, &verdict);
    let identity = Identity::from_records(&node_meta)
        .map_err(|error| HaltReason::DataDirectory(format!("node record: {error}")))?;
    if let Some(owner) = identity.node.filter(|owner| *owner != shared.me) {
        let me = shared.me;
        let reason = format!("the data directory belongs to {owner}, this is {me}");
        return Err(HaltReason::DataDirectory(reason));
    }
    if identity.node.is_none() && !groups.is_empty() {
        let reason = "the node's records are lost: replace this node under a new id";
        return Err(HaltReason::DataDirectory(reason.to_owned()));
    }
    let map = identity.cluster.as_ref().map(ClusterRecord::shard_map);
    for (shard, group) in &groups {
        let replicas =
            map.as_ref().and_then(|map| map.shard(*shard)).map_or(0, |d| d.replicas.len());
        if let Some(what) = hopeless(&group.trust, replicas) {
            return Err(HaltReason::DataDirectory(format!("{shard}: {what}")));
        }
    }
    shared.incarnation.set(Incarnation(identity.incarnation.0 + 1));
    *shared.membership.borrow_mut() = Membership::new(shared.me, &shared.config, &identity);
    let mut records = Vec::new();
    if identity.node.is_none() {
        records.push(meta(identity::KEY_NODE, &shared.me));
    }
    records.push(meta(identity::KEY_INCARNATION, &shared.incarnation.get()));
    let waking = Rc::clone(shared);
    let wake = Box::new(move || {
        waking.awake.set(true);
        let task = start(Rc::clone(&waking), groups);
        waking.step.spawn_detached(task);
    });
    shared.outbox.append(NODE, records, Some(wake));
    let config = LogConfig { segment_bytes: shared.config.segment_bytes, ..LogConfig::default() };
    Ok(LogWriter::resume(resume, config))
}

/// A node record.
pub(super) fn meta<T: serde::Serialize>(key: u8, value: &T) -> LogRecord {
    LogRecord::NodeMeta { key, bytes: identity::encode(value) }
}

/// Tells the operator what recovery found.
fn tell(shared: &Shared, verdict: &Verdict) {
    let message = match verdict {
        Verdict::Clean | Verdict::AbsentTail => return,
        Verdict::TornTail(torn) => {
            let batches = torn.batches;
            format!("the log's tail was torn: {batches} batches above the durable mark cut off")
        }
        Verdict::Damaged(groups) if groups.is_empty() => {
            "a node record was damaged; its copy served".to_owned()
        }
        Verdict::Damaged(groups) => {
            let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
            let groups = groups.join(", ");
            format!(
                "the log is damaged below its durable mark ({groups}): acknowledged entries may be \
                 missing here"
            )
        }
    };
    shared.log(LogLevel::Warn, message);
}

async fn start(shared: Rc<Shared>, groups: RecoveredGroups) {
    shared.tell_addresses();
    duties::start(&shared);
    let cluster = shared.membership.borrow().cluster.clone();
    if let Some(cluster) = cluster {
        open_shards(&shared, groups).await;
        if cluster.founder == shared.me {
            found::finish(&shared).await;
        }
        found::serve(&shared).await;
    } else if shared.config.single_node {
        found::alone(&shared).await;
    }
}

/// Opens this node's replicas of all shards; halts the node if one cannot be opened.
pub(super) async fn open_shards(shared: &Rc<Shared>, mut groups: RecoveredGroups) {
    let Some(cluster) = shared.membership.borrow().cluster.clone() else { return };
    *shared.txns.borrow_mut() = Some(transactions(shared, cluster.shard_map()));
    for descriptor in cluster.shard_map().shards() {
        if !descriptor.replicas.contains(&shared.me) {
            continue;
        }
        let group = groups.remove(&descriptor.id).unwrap_or_default();
        let opened = match trusted(shared, descriptor.id, &group, &descriptor.replicas) {
            Ok(log) => host::open(shared, descriptor, log).await,
            Err(reason) => Err(reason),
        };
        match opened {
            Ok(host) => {
                tell_when_whole(shared, &host);
                shared.hosts.borrow_mut().insert(descriptor.id, host);
            }
            Err(reason) => return shared.halt(reason),
        }
    }
}

/// Tells the operator that another node may be lost now.
fn tell_when_whole(shared: &Rc<Shared>, host: &Rc<ShardHost>) {
    if host.group.is_trusted() {
        return;
    }
    let (group, weak, shard) = (host.group.clone(), Rc::downgrade(shared), host.shard);
    shared.step.spawn_detached(async move {
        group.made_whole().await;
        if let Some(shared) = weak.upgrade() {
            shared.log(LogLevel::Info, format!("{shard}: nothing is missing any more; it votes"));
        }
    });
}

/// Where this node's transactions come from.
fn transactions(shared: &Rc<Shared>, map: ShardMap) -> Rc<TxnSource> {
    let clock = NodeClock { outbox: shared.outbox.clone(), step: shared.step.clone() };
    let calls = Rc::new(NodeCalls(Rc::downgrade(shared)));
    let cache = Rc::new(ShardCache::new(map));
    let router = Rc::new(Router::new(shared.me, calls, Rc::new(clock), cache));
    let oracle = OracleClient::new(Rc::clone(&router));
    let config = TxnConfig { faults: shared.config.faults.clone(), ..TxnConfig::default() };
    TxnSource::new(shared.me, shared.incarnation.get(), router, oracle, config)
}

/// What raft may believe of a recovered group.
fn trusted(
    shared: &Shared,
    shard: ShardId,
    group: &RecoveredGroup,
    replicas: &[NodeId],
) -> Result<RecoveredLog, HaltReason> {
    let damaged = |what: String| HaltReason::DataDirectory(format!("{shard}: {what}"));
    match &group.trust {
        Trust::Whole => {}
        Trust::Torn { lost_to, .. } if replicas.len() == 1 => {
            let lost = lost_to.map_or("unknown".to_owned(), |index| index.to_string());
            let message = format!("{shard}: entries up to {lost} were cut off with the torn tail");
            shared.log(LogLevel::Warn, message);
            shared.outbox.append(shard, [LogRecord::Trusted], None);
            let trusted = RecoveredGroup { trust: Trust::Whole, ..group.clone() };
            return raft_log(&trusted).map_err(|error| damaged(error.to_string()));
        }
        // It listens and does not vote until it has again what was lost.
        Trust::Torn { .. } | Trust::Damaged { .. } => {
            let message =
                format!("{shard}: what the disk lost is fetched again; no vote until then");
            shared.log(LogLevel::Warn, message);
        }
    }
    raft_log(group).map_err(|error| damaged(error.to_string()))
}

/// Why a replica cannot come back by itself, if it cannot. Nothing has been written yet: whoever
/// repairs the disk finds it as it was.
fn hopeless(trust: &Trust, replicas: usize) -> Option<&'static str> {
    match trust {
        Trust::Damaged { .. } if replicas <= 1 => {
            Some("acknowledged entries are lost, and nobody else has them: restore the disk")
        }
        Trust::Torn { vote_lost: true, .. } | Trust::Damaged { vote_lost: true, .. }
            if 1 < replicas =>
        {
            Some("both copies of the vote are lost: replace this node under a new id")
        }
        Trust::Whole | Trust::Torn { .. } | Trust::Damaged { .. } => None,
    }
}

/// This life was declared over while it lasts (a long pause): transactions from now on belong to a
/// new one.
pub(super) fn begin_new_life(shared: &Rc<Shared>) {
    let next = Incarnation(shared.incarnation.get().0 + 1);
    let waking = Rc::clone(shared);
    let wake = Box::new(move || {
        waking.incarnation.set(next);
        if let Some(source) = &*waking.txns.borrow() {
            source.begin_life(next);
        }
    });
    shared.outbox.append(NODE, [meta(identity::KEY_INCARNATION, &next)], Some(wake));
}
