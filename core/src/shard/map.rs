//! The shard map: intervals of routing keys, each owned by exactly one shard.
//!
//! # Invariants
//!
//! * The intervals cover every routing key exactly once.
//! * System rows belong to `s0`, and `s0` owns nothing else.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::routing::{self, Place, Route};
use crate::base::id::{Epoch, NodeId, SYSTEM_SHARD, ShardId};
use crate::base::key::Key;

/// Data shards that may be asked for at `init`: the hash space splits no further than this.
pub const DATA_SHARDS_MAX: u32 = 1_024;

/// One shard, as the map describes it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ShardDescriptor {
    /// Which.
    pub id: ShardId,
    /// Raised with every change of interval or replicas.
    pub epoch: Epoch,
    /// First routing key owned.
    pub start: Key,
    /// First routing key not owned any more; `None`: all from `start` on.
    pub end: Option<Key>,
    /// The nodes that hold a replica.
    pub replicas: Vec<NodeId>,
}

impl ShardDescriptor {
    /// Whether it owns a routing key.
    pub fn owns(&self, routing: &Key) -> bool {
        self.start <= *routing && self.end.as_ref().is_none_or(|end| routing < end)
    }
}

/// All shards in the order of their intervals.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ShardMap {
    shards: Vec<ShardDescriptor>,
}

impl ShardMap {
    /// The map of a new cluster: the system shard, and `data_shards` that split the hash space evenly.
    /// The last one owns the range tables too.
    ///
    /// # Panics
    ///
    /// If `data_shards` is 0 or over [`DATA_SHARDS_MAX`]: configuration is checked before.
    pub fn initial(data_shards: u32, replicas: &[NodeId]) -> Self {
        assert!((1..=DATA_SHARDS_MAX).contains(&data_shards), "{data_shards} data shards");
        let border = |number: u32| {
            let hash = u64::from(number) * 0x1_0000 / u64::from(data_shards);
            match u16::try_from(hash) {
                Ok(0) => Key::from(vec![routing::HASH]),
                Ok(hash) => routing::hash_floor(hash),
                Err(_) => Key::MIN, // the end of the last shard, which has none
            }
        };
        let describe = |id: u32, start: Key, end: Option<Key>| ShardDescriptor {
            id: ShardId(id),
            epoch: Epoch(1),
            start,
            end,
            replicas: replicas.to_vec(),
        };
        let mut shards = vec![describe(0, Key::MIN, Some(border(0)))];
        for number in 0..data_shards {
            let end = (number + 1 < data_shards).then(|| border(number + 1));
            shards.push(describe(number + 1, border(number), end));
        }
        let map = Self { shards };
        map.check_invariants();
        map
    }

    /// A map from descriptors, as replicated.
    ///
    /// # Errors
    ///
    /// A sentence if they do not cover the routing keys exactly once.
    pub fn from_descriptors(mut shards: Vec<ShardDescriptor>) -> Result<Self, &'static str> {
        shards.sort_by(|a, b| a.start.cmp(&b.start));
        let map = Self { shards };
        map.verdict()?;
        Ok(map)
    }

    /// All shards, in the order of their intervals.
    pub fn shards(&self) -> &[ShardDescriptor] {
        &self.shards
    }

    /// One shard.
    pub fn shard(&self, id: ShardId) -> Option<&ShardDescriptor> {
        self.shards.iter().find(|shard| shard.id == id)
    }

    /// The shard that owns a routing key.
    pub fn owner(&self, routing: &Key) -> &ShardDescriptor {
        let after = self.shards.partition_point(|shard| shard.start <= *routing);
        assert!(0 < after, "map does not begin at the lowest key");
        &self.shards[after - 1]
    }

    /// The shards that may hold the rows of a request, in the order of the map.
    pub fn route(&self, place: Place, route: Route) -> SmallVec<[ShardId; 1]> {
        if place.is_system() {
            return SmallVec::from_buf([SYSTEM_SHARD]);
        }
        match route {
            Route::Hash(hash) => SmallVec::from_buf([self.owner(&routing::hash_floor(hash)).id]),
            Route::All => {
                self.shards.iter().map(|shard| shard.id).filter(|id| *id != SYSTEM_SHARD).collect()
            }
        }
    }

    /// The one shard of a row of a table.
    pub fn route_row(&self, place: Place, hash: u16) -> ShardId {
        if place.is_system() {
            return SYSTEM_SHARD;
        }
        self.owner(&routing::hash_floor(hash)).id
    }

    fn verdict(&self) -> Result<(), &'static str> {
        let (Some(first), Some(last)) = (self.shards.first(), self.shards.last()) else {
            return Err("map is empty");
        };
        if first.start != Key::MIN || first.id != SYSTEM_SHARD {
            return Err("map does not begin with the system shard at the lowest key");
        }
        if last.end.is_some() {
            return Err("map does not end at the highest key");
        }
        for pair in self.shards.windows(2) {
            match &pair[0].end {
                Some(end) if *end == pair[1].start => {}
                Some(end) if *end < pair[1].start => return Err("gap in the map"),
                Some(_) | None => return Err("overlap in the map"),
            }
        }
        Ok(())
    }

    /// The map covers every routing key exactly once.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn check_invariants(&self) {
        let verdict = self.verdict();
        assert!(verdict.is_ok(), "{verdict:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{IndexId, TableId};

    fn place(table: u32) -> Place {
        Place { table: TableId(table), version: 1, index: IndexId(0) }
    }

    #[test]
    fn every_hash_has_one_owner_and_the_split_is_even() {
        for count in [1, 2, 3, 16, 1_024] {
            let map = ShardMap::initial(count, &[NodeId::machine(1)]);
            let mut owned = vec![0u32; count as usize + 1];
            for hash in 0..=u16::MAX {
                let owners: Vec<_> =
                    map.shards().iter().filter(|s| s.owns(&routing::hash_floor(hash))).collect();
                assert_eq!(owners.len(), 1, "{hash}");
                assert_eq!(map.route(place(100), Route::Hash(hash))[..], [owners[0].id]);
                owned[owners[0].id.0 as usize] += 1;
            }
            assert_eq!(owned[0], 0, "the system shard owns no hash");
            let (least, most) = (owned[1..].iter().min(), owned[1..].iter().max());
            assert!(most.unwrap() - least.unwrap() <= 1, "{owned:?}");
        }
    }

    #[test]
    fn system_tables_route_to_s0_and_all_to_the_data_shards() {
        let map = ShardMap::initial(2, &[NodeId::machine(1)]);
        assert_eq!(map.route(place(99), Route::All)[..], [SYSTEM_SHARD]);
        assert_eq!(map.route(place(99), Route::Hash(7))[..], [SYSTEM_SHARD]);
        assert_eq!(map.route(place(100), Route::All)[..], [ShardId(1), ShardId(2)]);
        assert_eq!(map.owner(&routing::range_key(&Key::MIN)).id, ShardId(2));
        assert_eq!(map.owner(&routing::system_key(&Key::MIN)).id, SYSTEM_SHARD);
    }

    #[test]
    fn gaps_and_overlaps_are_refused() {
        let good = ShardMap::initial(2, &[]).shards().to_vec();
        assert!(ShardMap::from_descriptors(good.clone()).is_ok());
        let mut gap = good.clone();
        gap[2].start = routing::hash_floor(0x8001);
        assert_eq!(ShardMap::from_descriptors(gap), Err("gap in the map"));
        let mut overlap = good.clone();
        overlap[2].start = routing::hash_floor(0x7fff);
        assert_eq!(ShardMap::from_descriptors(overlap), Err("overlap in the map"));
        assert!(ShardMap::from_descriptors(good[..2].to_vec()).is_err());
        assert!(ShardMap::from_descriptors(vec![]).is_err());
    }
}
