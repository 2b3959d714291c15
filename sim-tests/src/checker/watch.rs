//! Everything that looks at nodes after each input: one look, several oracles.

use std::collections::BTreeMap;

use shardforge_core::base::id::{NodeId, ShardId};
use shardforge_core::raft::RaftStatus;
use shardforge_io_sim::host::Host;

use super::durable::DurableOracle;
use super::lease::LeaseOracle;
use super::raft::RaftOracle;
use crate::finding::Judge;

/// The oracles that look at every step.
#[derive(Debug)]
pub struct Watch {
    judge: Judge,
    raft: RaftOracle,
    durable: DurableOracle,
    lease: LeaseOracle,
    /// What each replica was last seen as, and in which life.
    seen: BTreeMap<(ShardId, NodeId), (u64, RaftStatus)>,
}

impl Watch {
    /// Oracles that speak to `judge`.
    pub fn new(judge: Judge) -> Self {
        Self {
            judge,
            raft: RaftOracle::default(),
            durable: DurableOracle::default(),
            lease: LeaseOracle::default(),
            seen: BTreeMap::new(),
        }
    }

    /// Looks at a node after an input; ends the run if something is wrong.
    pub fn look(&mut self, hosts: &BTreeMap<NodeId, Host>, id: NodeId) {
        let Some(host) = hosts.get(&id) else { return };
        let Some(node) = &host.node else { return };
        self.durable.journals(&self.judge, host);
        self.durable.votes(&self.judge, host);
        let seen = |shard| {
            let (life, status) = self.seen.get(&(shard, id))?;
            (*life == host.life).then_some(status)
        };
        for (shard, status) in node.raft_changes(seen) {
            let old = self.seen.get(&(shard, id));
            let committed = self.raft.committed(shard);
            match old.filter(|(life, _)| *life == host.life) {
                None => self.durable.restarted(&self.judge, host, shard, &status, committed),
                Some((_, old)) if !old.trusted && status.trusted => {
                    self.durable.whole(&self.judge, host, shard, &status, committed);
                }
                Some(_) => {}
            }
            let news = self.raft.check(&self.judge, host, shard, old, &status);
            let members = &status.membership.membership;
            for entry in news {
                self.durable.committed(&self.judge, hosts, (shard, members), entry);
            }
            self.lease.check(&self.judge, hosts, id, shard, &status);
            self.seen.insert((shard, id), (host.life, status));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::time::Duration;

    use shardforge_io_sim::trace::Trace;
    use shardforge_io_sim::{Cluster, Fault, FaultPlan, World};

    use super::*;

    /// The short question whether anything changed agrees with the long answer, after every input.
    #[test]
    fn no_change_is_missed() {
        let ids = [1, 2, 3].map(NodeId::machine);
        let crash = Fault::CrashLeader(ShardId(1), Duration::from_millis(300));
        let mut plan = FaultPlan::none();
        plan.events.push((Duration::from_secs(1), Fault::Compact(ids[0])));
        plan.events.push((Duration::from_secs(2), crash));
        plan.events.push((Duration::from_secs(4), Fault::Partition(vec![ids[2]])));
        // A disk that lost something: whether a replica votes changes, and nothing else with it.
        plan.events.push((Duration::from_millis(4_500), Fault::Heal));
        for flip in 0..4 {
            let at = Duration::from_millis(5_000 + 800 * flip);
            plan.events.push((at, Fault::Flip(ids[1], Duration::from_millis(100))));
        }
        let mut world = World::new(1, &Cluster::of(3), &plan, Trace::default());
        let mut seen: BTreeMap<(NodeId, ShardId), RaftStatus> = BTreeMap::new();
        let (changes, distrusted) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
        let (counted, doubted) = (Rc::clone(&changes), Rc::clone(&distrusted));
        world.observe(Box::new(move |hosts, id| {
            let Some(node) = hosts[&id].node.as_ref() else { return };
            let told = node.raft_changes(|shard| seen.get(&(id, shard)));
            let mut changed = node.raft_status();
            changed.retain(|(shard, status)| seen.get(&(id, *shard)) != Some(status));
            assert_eq!(told, changed);
            counted.set(counted.get() + told.len());
            doubted.set(doubted.get() || told.iter().any(|(_, status)| !status.trusted));
            seen.extend(told.into_iter().map(|(shard, status)| ((id, shard), status)));
        }));
        world.init();
        world.schedule(&plan);
        world.run_for(Duration::from_secs(10));
        assert!(distrusted.get(), "no flip hit an entry");
        assert!(100 < changes.get(), "hardly anything changed, so this proves little");
    }
}
