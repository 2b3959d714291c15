//! Raft's invariants, checked after every input that a node handles.
//!
//! Election safety, log matching, leader completeness (a committed entry is in every later leader's
//! log), monotony of what must not go back, and: what a node calls durable is on its disk.
//!
//! # Source
//!
//! Ongaro, *Consensus: Bridging Theory and Practice*, 2014, figure 3.2.

use std::collections::BTreeMap;

use shardforge_core::base::id::{NodeId, ShardId};
use shardforge_core::raft::{LogPosition, RaftStatus, Role};
use shardforge_io_sim::host::Host;

/// What the oracle remembers of one group.
#[derive(Debug, Default)]
struct Group {
    leaders: BTreeMap<u64, NodeId>,
    /// The term of every index that was ever committed anywhere.
    committed: BTreeMap<u64, u64>,
    newest: BTreeMap<NodeId, (u64, RaftStatus)>,
}

/// The oracle.
#[derive(Debug, Default)]
pub struct RaftOracle {
    groups: BTreeMap<ShardId, Group>,
    /// How often it looked.
    pub checks: u64,
}

fn index(at: Option<LogPosition>) -> u64 {
    at.map_or(0, |at| at.index)
}

impl RaftOracle {
    /// Looks at one node.
    ///
    /// # Panics
    ///
    /// If an invariant is broken; the message begins with the oracle's name.
    pub fn check(&mut self, hosts: &BTreeMap<NodeId, Host>, id: NodeId) {
        let Some(host) = hosts.get(&id) else { return };
        let Some(node) = &host.node else { return };
        self.checks += 1;
        for (shard, status) in node.raft_status() {
            let group = self.groups.entry(shard).or_default();
            if group.newest.get(&id).is_some_and(|(life, old)| *life == host.life && *old == status)
            {
                continue;
            }
            group.election_safety(shard, id, &status);
            group.committed_agrees(shard, id, &status, |index| node.term_at(shard, index));
            group.monotony(shard, id, host.life, &status);
            group.newest.insert(id, (host.life, status));
        }
    }

    /// Entries that were seen committed, over all groups.
    pub fn committed_count(&self) -> usize {
        self.groups.values().map(|group| group.committed.len()).sum()
    }
}

impl Group {
    fn election_safety(&mut self, shard: ShardId, id: NodeId, status: &RaftStatus) {
        if status.role != Role::Leader {
            return;
        }
        let leader = *self.leaders.entry(status.term).or_insert(id);
        assert!(
            leader == id,
            "election safety: {leader} and {id} both lead {shard} in term {}",
            status.term
        );
        // Leader completeness: what was committed in earlier terms is in this leader's log, or gone
        // because all have it.
        let first = index(status.purged) + 1;
        let last = index(status.last_log);
        if let Some((missing, term)) =
            self.committed.range(last + 1..).find(|(_, term)| **term < status.term)
        {
            panic!(
                "leader completeness: {id} leads {shard} in term {} with log {first}..={last}, entry \
                 {missing} of term {term} was committed",
                status.term
            );
        }
    }

    fn committed_agrees(
        &mut self,
        shard: ShardId,
        id: NodeId,
        status: &RaftStatus,
        term_at: impl Fn(u64) -> Option<u64>,
    ) {
        let known = index(status.committed).max(index(status.applied));
        let from =
            self.newest.get(&id).map_or(0, |(_, old)| index(old.committed).max(index(old.applied)));
        for index in from.saturating_sub(8)..=known {
            let Some(term) = term_at(index) else { continue };
            let agreed = *self.committed.entry(index).or_insert(term);
            assert!(
                agreed == term,
                "state machine safety: {shard} index {index} was committed in term {agreed}, {id} \
                 has term {term}"
            );
        }
    }

    fn monotony(&self, shard: ShardId, id: NodeId, life: u64, status: &RaftStatus) {
        let Some((old_life, old)) = self.newest.get(&id) else { return };
        assert!(
            old.vote.map(|vote| vote.term) <= status.vote.map(|vote| vote.term)
                || *old_life != life,
            "monotony: the vote of {id} in {shard} went from {:?} to {:?}",
            old.vote,
            status.vote
        );
        if *old_life == life {
            assert!(
                index(old.applied) <= index(status.applied),
                "monotony: {id} applied {shard} to {:?}, now {:?}",
                old.applied,
                status.applied
            );
            assert!(
                index(old.committed) <= index(status.committed),
                "monotony: {id} committed {shard} to {:?}, now {:?}",
                old.committed,
                status.committed
            );
        }
    }
}
