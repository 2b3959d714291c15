//! After a heal all replicas of a shard hold the same.

use std::collections::BTreeMap;

use shardforge_core::base::id::{NodeId, ShardId};
use shardforge_core::storage::port::Family;
use shardforge_io_sim::World;

use crate::finding::{Oracle, Violation};

/// Compares the stores of replicas that have applied equally much.
///
/// # Errors
///
/// Which replicas differ, or lag.
pub fn check(world: &World) -> Result<(), Violation> {
    let mut seen: BTreeMap<ShardId, Vec<(NodeId, u64, u64)>> = BTreeMap::new();
    let slow = |what: String| Err(Violation::new(Oracle::Convergence, what));
    for host in world.hosts().values() {
        let Some(node) = &host.node else {
            return slow(format!("{} is down", host.id));
        };
        for (shard, status) in node.raft_status() {
            let Ok(store) = host.stores.store(shard) else {
                return slow(format!("{} has no store of {shard}", host.id));
            };
            let applied = status.applied.map_or(0, |at| at.index);
            let checksum = store.checksum(&[Family::Data, Family::Index, Family::Lock]);
            seen.entry(shard).or_default().push((host.id, applied, checksum));
        }
    }
    seen.iter().try_for_each(|(shard, replicas)| {
        equal(replicas).map_err(|(oracle, what)| Violation::new(oracle, format!("{shard}: {what}")))
    })
}

/// Compares the replicas of one shard.
fn equal(replicas: &[(NodeId, u64, u64)]) -> Result<(), (Oracle, String)> {
    for (number, (one, applied, checksum)) in replicas.iter().enumerate() {
        for (other, theirs, sum) in &replicas[..number] {
            if applied == theirs && checksum != sum {
                let what = format!("{one} and {other} hold different data at index {applied}");
                return Err((Oracle::ReplicaChecksums, what));
            }
        }
    }
    let lagging = replicas.windows(2).find(|pair| pair[0].1 != pair[1].1);
    match lagging {
        None => Ok(()),
        Some(pair) => {
            let [(one, applied, _), (other, theirs, _)] = [pair[0], pair[1]];
            let what = format!("{one} has applied to {applied}, {other} to {theirs}");
            Err((Oracle::Convergence, what))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(replicas: &[(u64, u64)]) -> Option<Oracle> {
        let of = |(n, (applied, sum)): (usize, &(u64, u64))| {
            (NodeId::machine(n as u32 + 1), *applied, *sum)
        };
        let replicas: Vec<_> = replicas.iter().enumerate().map(of).collect();
        equal(&replicas).err().map(|(oracle, _)| oracle)
    }

    #[test]
    fn replicas_that_differ_are_flagged() {
        assert_eq!(verdict(&[(9, 1), (9, 2)]), Some(Oracle::ReplicaChecksums));
        assert_eq!(verdict(&[(9, 1), (9, 1), (9, 2)]), Some(Oracle::ReplicaChecksums));
        // Two that are equally far differ, though the third only lags.
        assert_eq!(verdict(&[(9, 1), (8, 3), (9, 2)]), Some(Oracle::ReplicaChecksums));
        assert_eq!(verdict(&[(9, 1), (8, 3), (9, 1)]), Some(Oracle::Convergence));
    }

    #[test]
    fn replicas_that_agree_pass() {
        assert_eq!(verdict(&[]), None);
        assert_eq!(verdict(&[(9, 1)]), None);
        assert_eq!(verdict(&[(9, 1), (9, 1), (9, 1)]), None);
    }
}
