//! A shard's replica on this node: store, machine, raft group and leader's half, opened together.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::effect::{HaltReason, LogLevel};
use super::identity::ClusterRecord;
use super::shared::Shared;
use super::status::{ClusterStatus, NodeStatus, ReplicaStatus, ShardStatus};
use super::wiring::clock::NodeClock;
use super::wiring::consensus::GroupConsensus;
use super::wiring::log::{OutboxLog, to_stored};
use super::wiring::machine::{ShardMachine, applied_state};
use super::wiring::store::OutboxStore;
use super::wiring::transport::OutboxTransport;
use crate::base::id::{SYSTEM_SHARD, ShardId};
use crate::raft::{AppliedState, GroupConfig, LogRecord, Ports, RaftGroup, RecoveredLog, Role};
use crate::replica::machine::Machine;
use crate::replica::replica::{Replica, ReplicaConfig, ReplicaPorts};
use crate::shard::map::ShardDescriptor;
use crate::storage::log::LogRecord as Stored;

/// One shard's replica.
pub(super) struct ShardHost {
    pub(super) shard: ShardId,
    pub(super) group: RaftGroup,
    pub(super) replica: Rc<Replica>,
    pub(super) store: OutboxStore,
    pub(super) machine: Rc<ShardMachine>,
    /// A flush is on its way.
    pub(super) flushing: Cell<bool>,
    /// The log needs this shard's entries gone.
    pub(super) flush_wanted: Cell<bool>,
}

/// Opens one shard's replica from its store and what the log recovered.
///
/// # Errors
///
/// Why the node must stop.
pub(super) async fn open(
    shared: &Rc<Shared>,
    descriptor: &ShardDescriptor,
    recovered: RecoveredLog,
) -> Result<Rc<ShardHost>, HaltReason> {
    let shard = descriptor.id;
    let damaged = |what: String| HaltReason::DataDirectory(format!("{shard}: {what}"));
    let outbox = shared.outbox.clone();
    let store = OutboxStore { outbox: outbox.clone(), shard };
    let held = store.open().await.map_err(|error| damaged(error.to_string()))?;
    let mut pairs = store.meta().await.map_err(|error| damaged(error.to_string()))?;
    let (applied, _) = Machine::applied_of(&pairs).map_err(|error| damaged(error.to_string()))?;
    let whole = recovered.goes_on_after(applied.map(|place| place.index));
    if !whole && descriptor.replicas.len() == 1 {
        return Err(damaged(
            "the store lacks what the log has purged, and nobody else has it".into(),
        ));
    }
    // Half a snapshot says nothing of what is in it.
    if !whole || held && applied.is_none() {
        shared.log(LogLevel::Warn, format!("{shard}: the store is not whole and begins anew"));
        store.replace(None).await.map_err(|error| damaged(error.to_string()))?;
        pairs.clear();
    }
    let recovered = if whole { recovered } else { begin_anew(shared, shard, recovered) };
    let faults = shared.config.faults.clone();
    let machine = Machine::load(shard, descriptor.epoch, &pairs, faults.clone())
        .map_err(|error| damaged(error.to_string()))?;
    let membership = machine.membership();
    let flushed = applied_state(machine.applied(), membership.as_ref())
        .map_err(|error| damaged(error.to_string()))?;
    let flushed = Rc::new(RefCell::new(flushed));
    let machine = Rc::new(ShardMachine { shard, machine, outbox: outbox.clone(), flushed });
    let group = open_group(shared, &machine, recovered).map_err(damaged)?;
    let Some(txns) = shared.txns.borrow().clone() else {
        return Err(damaged("opened before the cluster is known".to_owned()));
    };
    let timestamps = Rc::clone(txns.oracle());
    let data_shards = shared.config.initial_shard_count.max(1) as usize;
    let replica = Replica::new(
        ReplicaPorts {
            machine: machine.machine.clone(),
            consensus: Rc::new(GroupConsensus(group.clone())),
            store: Rc::new(store.clone()),
            clock: Rc::new(NodeClock { outbox, step: shared.step.clone() }),
            timestamps,
        },
        ReplicaConfig {
            lease: shared.config.lease_reads,
            row_cache_bytes: shared.config.row_cache_bytes / data_shards,
            faults,
        },
    );
    let host = Rc::new(ShardHost {
        shard,
        group,
        replica,
        store,
        machine,
        flushing: Cell::new(false),
        flush_wanted: Cell::new(false),
    });
    watch_leader(shared, &host);
    if shard == SYSTEM_SHARD {
        hear_verdicts(shared, &host);
    }
    Ok(host)
}

/// Voids a log to which no store belongs any more: the leader sends a snapshot, and until it has brought
/// what this log held, this node does not vote.
fn begin_anew(shared: &Shared, shard: ShardId, old: RecoveredLog) -> RecoveredLog {
    let last = old.entries.last().map(|entry| entry.position).or(old.purged);
    let lost_to = last.map(|last| last.index);
    let void = [Stored::GroupRemoved]
        .into_iter()
        .chain(old.vote.map(|vote| to_stored(LogRecord::Vote(vote))))
        .chain([Stored::Suspect { damaged: false, vote_lost: false, lost_to }]);
    shared.outbox.append(shard, void, None);
    RecoveredLog { vote: old.vote, suspect: true, ..RecoveredLog::default() }
}

fn open_group(
    shared: &Rc<Shared>,
    machine: &Rc<ShardMachine>,
    recovered: RecoveredLog,
) -> Result<RaftGroup, String> {
    let config = GroupConfig {
        election_timeout_ms: shared.config.election_timeout_ms,
        heartbeat_ms: shared.config.heartbeat_interval_ms,
        log_keep_entries: shared.config.log_keep_entries,
        lease_reads: shared.config.lease_reads,
        faults: shared.config.faults.clone(),
        ..GroupConfig::new(machine.shard, shared.me, shared.incarnation.get())
    };
    let ports = Ports {
        log: Rc::new(OutboxLog(shared.outbox.clone())),
        transport: Rc::new(OutboxTransport(shared.outbox.clone())),
        machine: machine.clone(),
    };
    RaftGroup::open(config, &shared.step, recovered, ports).map_err(|error| error.to_string())
}

/// Tells the replica of every change of leader or term.
fn watch_leader(shared: &Rc<Shared>, host: &Rc<ShardHost>) {
    let mut watch = host.group.watch_leader();
    let (weak, shared) = (Rc::downgrade(host), Rc::clone(shared));
    let step = shared.step.clone();
    step.spawn_detached(async move {
        loop {
            let Some(host) = weak.upgrade() else { return };
            let state = *watch.borrow_and_update();
            host.replica.leadership_changed();
            if let Some(leader) = state.leader {
                shared.calls.leader_changed(host.shard, leader);
                // Else the next question would still go to the old one, and wait for it.
                if let Some(source) = &*shared.txns.borrow() {
                    source.router().cache().set_leader(host.shard, leader);
                }
            }
            if let (true, Some(leader)) = (state.serving, state.leader) {
                let (shard, term) = (host.shard, state.term);
                shared.log(LogLevel::Info, format!("{shard} is led by {leader} in term {term}"));
            }
            drop(host);
            if watch.changed().await.is_err() {
                return;
            }
        }
    });
}

/// A verdict on a life frees what that life holds at the shards led here.
fn hear_verdicts(shared: &Rc<Shared>, host: &Rc<ShardHost>) {
    let weak = Rc::downgrade(shared);
    host.machine.machine.on_verdict(Rc::new(move |node, incarnation| {
        let Some(shared) = weak.upgrade() else { return };
        shared.log(LogLevel::Warn, format!("{node} is dead in life {incarnation}"));
        for host in shared.all_hosts() {
            host.replica.coordinator_dead(node, incarnation);
        }
        if node == shared.me && incarnation == shared.incarnation.get() {
            super::boot::begin_new_life(&shared);
        }
    }));
}

impl ShardHost {
    /// Makes the store durable up to what is applied and lets the log be purged.
    pub(super) async fn flush(&self) {
        if self.flushing.replace(true) {
            return;
        }
        let state: AppliedState = self.machine.state();
        // A store ahead of this node's own log would leave a hole in it after a crash.
        let covered = state.position <= self.group.persisted();
        if covered && self.store.flush().await.is_ok() {
            let mut flushed = self.machine.flushed.borrow_mut();
            // A snapshot may have been installed meanwhile.
            if flushed.position < state.position {
                *flushed = state;
            }
            drop(flushed);
            self.flush_wanted.set(false);
            self.group.trigger_snapshot();
        }
        self.flushing.set(false);
    }

    /// Entries that the store has applied and would lose in a crash.
    pub(super) fn unflushed_entries(&self) -> u64 {
        let flushed = self.machine.flushed.borrow().position.map_or(0, |at| at.index);
        self.applied_index().saturating_sub(flushed)
    }

    /// The last entry that the store has applied.
    pub(super) fn applied_index(&self) -> u64 {
        self.group.status().applied.map_or(0, |at| at.index)
    }

    fn status(&self, cluster: &ClusterRecord) -> ShardStatus {
        let raft = self.group.status();
        let index = |at: Option<crate::raft::LogPosition>| at.map_or(0, |at| at.index);
        let last = index(raft.last_log);
        let me = self.group.config().node;
        let replicas = raft.membership.membership.members.keys().map(|node| {
            let (role, matched) = if *node == me {
                (role_name(raft.role), last)
            } else {
                let known = raft.matching.get(node).copied().flatten();
                let role = if raft.leader == Some(*node) { "leader" } else { "follower" };
                (role, index(known))
            };
            ReplicaStatus {
                node: *node,
                role: role.to_owned(),
                match_index: matched,
                applied_index: if *node == me { index(raft.applied) } else { 0 },
                lag_entries: last.saturating_sub(matched),
            }
        });
        let shards = cluster.shard_map();
        ShardStatus {
            id: self.shard,
            epoch: shards.shard(self.shard).map_or(0, |shard| shard.epoch.0),
            leader: raft.leader,
            term: raft.term,
            replicas: replicas.collect(),
        }
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Leader => "leader",
        Role::Learner => "learner",
        Role::Follower | Role::Candidate => "follower",
        Role::Shutdown => "unknown",
    }
}

/// What this node knows of the cluster by itself.
pub(super) fn status(shared: &Shared) -> ClusterStatus {
    let membership = shared.membership.borrow();
    let now = shared.outbox.now().mono;
    let timeout = shared.config.liveness_timeout;
    let nodes = membership.members().into_iter().map(|(id, member)| {
        let heard = membership.peers.get(&id).and_then(|peer| peer.heard);
        let silence = heard.map(|at| now.since(at));
        NodeStatus {
            id,
            live: id == shared.me || silence.is_some_and(|silence| silence <= timeout),
            last_seen_ms: silence.map_or(0, |s| u64::try_from(s.as_millis()).unwrap_or(u64::MAX)),
            peer_addr: member.peer_addr,
            sql_addr: member.sql_addr,
            insecure: member.insecure,
        }
    });
    let nodes = nodes.collect();
    let Some(cluster) = &membership.cluster else {
        return ClusterStatus { nodes, ..ClusterStatus::default() };
    };
    let hosts: BTreeMap<_, _> = shared.hosts.borrow().clone();
    let shards = hosts.values().map(|host| host.status(cluster)).collect();
    ClusterStatus { cluster_id: cluster.id, nodes, shards }
}
