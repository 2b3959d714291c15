//! After a heal all replicas of a shard hold the same.

use std::collections::BTreeMap;

use shardforge_core::base::id::ShardId;
use shardforge_core::storage::port::Family;
use shardforge_io_sim::World;

/// Compares the stores of replicas that have applied equally much.
///
/// # Errors
///
/// Which replicas differ, or lag.
pub fn check(world: &World) -> Result<(), String> {
    let mut seen: BTreeMap<ShardId, (String, u64, u64)> = BTreeMap::new();
    for host in world.hosts().values() {
        let Some(node) = &host.node else { return Err(format!("{} is down", host.id)) };
        for (shard, status) in node.raft_status() {
            let store = host.stores.store(shard).map_err(|error| error.to_string())?;
            let checksum = store.checksum(&[Family::Data, Family::Index, Family::Lock]);
            let applied = status.applied.map_or(0, |at| at.index);
            let name = host.id.to_string();
            match seen.get(&shard) {
                None => {
                    seen.insert(shard, (name, applied, checksum));
                }
                Some((other, theirs, _)) if *theirs != applied => {
                    return Err(format!(
                        "{name} has applied {shard} to {applied}, {other} to {theirs}"
                    ));
                }
                Some((other, _, theirs)) if *theirs != checksum => {
                    return Err(format!("{name} and {other} hold different data in {shard}"));
                }
                Some(_) => {}
            }
        }
    }
    Ok(())
}
