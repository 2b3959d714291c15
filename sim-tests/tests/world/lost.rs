//! Disks that lose what they had made durable, and what that was acknowledged for.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use shardforge_core::base::buggify::Faults;
use shardforge_core::base::id::{NodeId, ShardId};
use shardforge_core::base::rng::Rng;
use shardforge_core::raft::{RaftStatus, Role};
use shardforge_core::storage::log::{Trust, recover};
use shardforge_core::storage::port::Family;
use shardforge_io_sim::host::Host;
use shardforge_io_sim::trace::Trace;
use shardforge_io_sim::{Cluster, Fault, FaultPlan, World};

use crate::filler::{add, fill};

const SHARD: ShardId = ShardId(1);
const ROWS: u32 = 300;
const FAMILIES: &[Family] = &[Family::Data, Family::Index, Family::Lock];

/// A world with some data; its leader, and its followers, the last not the second client's node.
fn filled() -> (World, [NodeId; 3]) {
    let mut world = World::new(1, &Cluster::of(3), &FaultPlan::none(), Trace::default());
    world.init();
    fill(&mut world, 1, ROWS);
    let leader = world.leader_of(SHARD).expect("the shard has a leader");
    let mut nodes = [1, 2, 3].map(NodeId::machine);
    nodes.sort_by_key(|id| (*id != leader, *id != NodeId::machine(2)));
    (world, nodes)
}

fn strike(world: &mut World, fault: Fault) {
    let mut plan = FaultPlan::none();
    plan.events.push((Duration::ZERO, fault));
    world.schedule(&plan);
    world.run_for(Duration::from_millis(1));
}

fn is_damaged(host: &Host) -> bool {
    let image = host.disk.image();
    let groups = recover(&image.segments, &image.vote_files, 1, &Faults::default()).groups;
    matches!(groups[&SHARD].trust, Trust::Damaged { vote_lost: false, .. })
}

/// Stops a node and flips bits of its log until durable entries of the shard are among them.
fn damage(world: &mut World, id: NodeId) {
    world.crash(id);
    let mut rng = Rng::stream(u64::from(id.0), "damage");
    let host = world.host_mut(id).expect("it exists");
    let hit = (0..100).any(|_| {
        host.disk.flip(&mut rng);
        is_damaged(host)
    });
    assert!(hit, "a hundred flips hit no entry of the shard");
}

fn status(host: &Host) -> Option<RaftStatus> {
    let statuses = host.node.as_ref()?.raft_status();
    statuses.into_iter().find(|(shard, _)| *shard == SHARD).map(|(_, status)| status)
}

/// What a replica is: whether it votes freely, and whether it leads.
fn state(host: &Host) -> Option<(bool, bool)> {
    status(host).map(|status| (status.trusted, status.role == Role::Leader))
}

/// How far a replica's log reaches without a gap that somebody must fill.
fn applied(host: &Host) -> u64 {
    status(host).and_then(|status| status.applied).map_or(0, |at| at.index)
}

/// What a replica had applied when it first said that it lacks nothing.
fn watch_trust(world: &mut World, id: NodeId) -> Rc<Cell<Option<u64>>> {
    let trusted_at = Rc::new(Cell::new(None));
    let noted = Rc::clone(&trusted_at);
    world.observe(Box::new(move |hosts, _| {
        if noted.get().is_none() && state(&hosts[&id]).is_some_and(|(trusted, _)| trusted) {
            noted.set(Some(applied(&hosts[&id])));
        }
    }));
    trusted_at
}

/// Two nodes acknowledged what the third never heard of, and one of them lost it. While the other is
/// away the two that are left must not choose a leader: it would lack acknowledged rows.
#[test]
fn a_damaged_replica_helps_nobody_who_lacks_what_it_lost() {
    let (mut world, [leader, victim, third]) = filled();
    strike(&mut world, Fault::Partition(vec![third]));
    add(&mut world, ROWS, 50);
    let committed = applied(&world.hosts()[&leader]);
    damage(&mut world, victim);
    strike(&mut world, Fault::Heal);
    strike(&mut world, Fault::Partition(vec![leader]));
    let trusted_at = watch_trust(&mut world, victim);
    world.restart(victim);
    world.run_for(Duration::from_secs(3));
    assert_eq!(state(&world.hosts()[&victim]), Some((false, false)), "it lacks entries");
    assert_eq!(state(&world.hosts()[&third]), Some((true, false)), "it was elected");
    world.heal();
    world.run_for(Duration::from_secs(5));
    assert!(committed <= trusted_at.get().expect("it never got all back"), "it voted too early");
    let sums = [leader, victim, third].map(|id| {
        let store = world.hosts()[&id].stores.store(SHARD);
        store.expect("the shard has a store").checksum(FAMILIES)
    });
    assert!(sums[0] == sums[1] && sums[1] == sums[2], "replicas differ: {sums:?}");
}

/// To have been told where the leader's log ends is not to have it: the disk is slow.
#[test]
fn a_damaged_replica_waits_for_all_that_its_leader_has() {
    let (mut world, [leader, victim, _]) = filled();
    let committed = applied(&world.hosts()[&leader]);
    damage(&mut world, victim);
    strike(&mut world, Fault::SlowDisk(victim, Duration::from_millis(600)));
    let trusted_at = watch_trust(&mut world, victim);
    world.restart(victim);
    world.run_for(Duration::from_secs(10));
    assert!(committed <= trusted_at.get().expect("it never got all back"), "it voted too early");
}

/// Every disk lost something: when all are heard, the one with the longest log leads.
#[test]
fn a_group_elects_though_every_disk_lost_something() {
    let (mut world, nodes) = filled();
    for id in nodes {
        damage(&mut world, id);
    }
    world.heal();
    world.run_for(Duration::from_secs(5));
    let states: Vec<_> = nodes.iter().map(|id| state(&world.hosts()[id])).collect();
    assert!(states.iter().all(|state| state.is_some_and(|(trusted, _)| trusted)), "{states:?}");
    assert_eq!(states.iter().filter(|s| s.is_some_and(|(_, leads)| leads)).count(), 1);
}

/// One disk is whole, two lost something: the whole one is heard by all, though it lost no leader of its
/// own, and leads.
#[test]
fn the_only_whole_replica_is_elected() {
    let (mut world, nodes) = filled();
    let whole = nodes[2];
    for id in &nodes[..2] {
        damage(&mut world, *id);
    }
    world.crash(whole);
    world.heal();
    world.run_for(Duration::from_secs(5));
    let states = nodes.map(|id| state(&world.hosts()[&id]));
    assert_eq!(states, [Some((true, false)), Some((true, false)), Some((true, true))]);
}
