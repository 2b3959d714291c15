//! What nodes that have nothing to do say to each other.

use std::time::Duration;

use shardforge_io_sim::trace::Trace;
use shardforge_io_sim::{Cluster, FaultPlan, World};

/// Frames that the nodes of an idle cluster send in a second, all together.
fn frames_a_second(shards: u32) -> u64 {
    let mut cluster = Cluster::of(3);
    cluster.config.initial_shard_count = shards;
    let mut world = World::new(1, &cluster, &FaultPlan::none(), Trace::default());
    world.init();
    world.run_for(Duration::from_secs(5));
    let sent = |world: &World| world.hosts().values().map(|host| host.frames_sent).sum::<u64>();
    let before = sent(&world);
    world.run_for(Duration::from_secs(10));
    assert!(world.ids().iter().all(|id| world.hosts()[id].node.is_some()));
    (sent(&world) - before) / 10
}

/// At most a frame every 50 ms and an answer to one on each of the six ways between three nodes, 40 a
/// second, and a few for liveness and the clock.
#[test]
fn heartbeats_of_many_groups_share_frames() {
    let (few, many) = (frames_a_second(1), frames_a_second(12));
    assert!(80 <= few, "{few} frames a second: nobody beats");
    assert!(many <= 6 * 60, "{many} frames a second for twelve shards, {few} for one");
}
