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
        for (shard, status) in node.raft_status() {
            let old = self.seen.get(&(shard, id));
            if old.is_some_and(|(life, old)| *life == host.life && *old == status) {
                continue;
            }
            if old.is_none_or(|(life, _)| *life != host.life) {
                let committed = self.raft.committed(shard);
                self.durable.restarted(&self.judge, host, shard, &status, committed);
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
