//! Snapshots that are interrupted.

use std::time::Duration;

use shardforge_core::base::buggify::Faults;
use shardforge_core::base::id::{NodeId, ShardId, Token};
use shardforge_core::storage::chunk::encode_chunk;
use shardforge_core::storage::log::{Trust, recover};
use shardforge_core::storage::port::{Family, StorageEffect};
use shardforge_io_sim::host::Host;
use shardforge_io_sim::trace::Trace;
use shardforge_io_sim::{Cluster, FaultPlan, World};

use crate::filler::fill;

const SHARD: ShardId = ShardId(1);
const FAMILIES: &[Family] = &[Family::Data, Family::Index, Family::Lock];

fn checksum(world: &World, node: u32) -> u64 {
    let store = world.hosts()[&NodeId::machine(node)].stores.store(SHARD);
    store.expect("the shard has a store").checksum(FAMILIES)
}

/// What a crash within an installation leaves: the old content gone, a part of the new one there, and
/// nothing that says how far it is applied.
fn tear(host: &mut Host) {
    let (token, store) = (Token(u64::MAX), SHARD);
    let chunk = encode_chunk(&vec![(Family::Data, "stray".into(), "row".into())]);
    for effect in [
        StorageEffect::Stage { token, store, arrival: token, chunk },
        StorageEffect::Install { token, store, arrival: token },
        StorageEffect::Flush(token, store),
    ] {
        host.stores.perform(effect);
    }
}

/// A node whose store is torn while its leader's log still reaches back to its own does not go on with
/// what is left: it fetches all, and only then votes again.
#[test]
fn a_torn_store_is_fetched_anew() {
    let mut cluster = Cluster::of(3);
    cluster.config.log_keep_entries = 100;
    cluster.config.log_flush_entries = 200;
    let mut world = World::new(1, &cluster, &FaultPlan::none(), Trace::default());
    world.init();
    fill(&mut world, 1, 600);
    let leader = world.leader_of(SHARD).expect("the shard has a leader");
    let victims = world.ids();
    let victim = *victims.iter().find(|id| **id != leader).expect("there is a follower");
    world.crash(victim);
    tear(world.host_mut(victim).expect("it exists"));
    world.heal();
    world.run_for(Duration::from_secs(5));
    let [first, second, third] = [1, 2, 3].map(|node| checksum(&world, node));
    assert!(first == second && second == third, "replicas differ: {first} {second} {third}");
    let image = world.hosts()[&victim].disk.image();
    let groups = recover(&image.segments, &image.vote_files, 1, &Faults::default()).groups;
    assert_eq!(groups[&SHARD].trust, Trust::Whole, "it would not vote in its next life");
    assert_eq!(groups[&SHARD].purged.map(|(_, index)| 400 < index), Some(true), "no snapshot came");
}
