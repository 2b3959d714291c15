//! What a gateway believes: the shard map, and who leads which shard.
//!
//! Beliefs may be old. A shard checks the epoch of every request, and who does not lead says so; the
//! cache only saves the asking.

use std::cell::{Ref, RefCell};
use std::collections::BTreeMap;

use super::map::ShardMap;
use crate::base::id::{NodeId, ShardId};

/// Map and leaders, as believed.
#[derive(Debug, Default)]
pub struct ShardCache {
    map: RefCell<ShardMap>,
    leaders: RefCell<BTreeMap<ShardId, NodeId>>,
}

impl ShardCache {
    /// A cache that knows a map and no leader.
    pub fn new(map: ShardMap) -> Self {
        Self { map: RefCell::new(map), leaders: RefCell::default() }
    }

    /// The map. Not to be held over an `.await`.
    pub fn map(&self) -> Ref<'_, ShardMap> {
        self.map.borrow()
    }

    /// A newer map.
    pub fn replace_map(&self, map: ShardMap) {
        self.leaders.borrow_mut().retain(|shard, _| map.shard(*shard).is_some());
        *self.map.borrow_mut() = map;
    }

    /// Whether a map is known: not before `init`.
    pub fn is_empty(&self) -> bool {
        self.map.borrow().shards().is_empty()
    }

    /// Who is believed to lead.
    pub fn leader(&self, shard: ShardId) -> Option<NodeId> {
        self.leaders.borrow().get(&shard).copied()
    }

    /// Remembers a leader.
    pub fn set_leader(&self, shard: ShardId, leader: NodeId) {
        self.leaders.borrow_mut().insert(shard, leader);
    }

    /// Forgets a leader, if it is still believed to be this one.
    pub fn forget_leader(&self, shard: ShardId, leader: NodeId) {
        let mut leaders = self.leaders.borrow_mut();
        if leaders.get(&shard) == Some(&leader) {
            leaders.remove(&shard);
        }
    }

    /// The replicas of a shard, by the map.
    pub fn replicas(&self, shard: ShardId) -> Vec<NodeId> {
        self.map.borrow().shard(shard).map(|s| s.replicas.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_believed_leader_is_forgotten() {
        let (one, two) = (NodeId::machine(1), NodeId::machine(2));
        let cache = ShardCache::new(ShardMap::initial(1, &[one, two]));
        cache.set_leader(ShardId(1), two);
        cache.forget_leader(ShardId(1), one);
        assert_eq!(cache.leader(ShardId(1)), Some(two));
        cache.forget_leader(ShardId(1), two);
        assert_eq!(cache.leader(ShardId(1)), None);
        assert_eq!(cache.replicas(ShardId(1)), [one, two]);
        assert!(cache.replicas(ShardId(9)).is_empty());
    }
}
