//! One leaseholder: nobody begins to lead while another replica would still answer reads alone.
//!
//! # Source
//!
//! Ongaro 2014, section 6.4.1; `core/src/raft/gate.rs` for the margins that make it hold.

use std::collections::BTreeMap;

use shardforge_core::base::id::{NodeId, ShardId};
use shardforge_core::raft::{RaftStatus, Role};
use shardforge_io_sim::host::Host;

use crate::finding::{Judge, Oracle};

/// The oracle.
#[derive(Debug, Default)]
pub struct LeaseOracle {
    /// The newest term of each group in which somebody led.
    led: BTreeMap<ShardId, u64>,
}

impl LeaseOracle {
    /// Looks at one replica.
    pub fn check(
        &mut self,
        judge: &Judge,
        hosts: &BTreeMap<NodeId, Host>,
        id: NodeId,
        shard: ShardId,
        status: &RaftStatus,
    ) {
        if status.role != Role::Leader || !self.is_news(shard, status.term) {
            return;
        }
        let truth = hosts[&id].truth;
        let alone = |host: &Host| {
            let now = host.clock.now(truth);
            host.node.as_ref().is_some_and(|node| node.reads_alone(shard, now.mono))
        };
        let others = hosts.values().filter(|host| host.id != id);
        let reader = overlap(others.map(|host| (host.id, alone(host))));
        judge.expect(reader.is_none(), Oracle::Lease, || {
            format!("{id} leads {shard} in term {}, {reader:?} still reads alone", status.term)
        });
    }

    /// Whether nobody led this term or a later one before.
    fn is_news(&mut self, shard: ShardId, term: u64) -> bool {
        let newest = self.led.entry(shard).or_default();
        let news = *newest < term;
        *newest = (*newest).max(term);
        news
    }
}

/// Who still reads alone while somebody else begins to lead.
fn overlap(mut others: impl Iterator<Item = (NodeId, bool)>) -> Option<NodeId> {
    others.find(|(_, alone)| *alone).map(|(id, _)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(machine: u32) -> NodeId {
        NodeId::machine(machine)
    }

    /// Begins of terms, each with who else reads alone at that moment; who is flagged.
    fn verdict(begins: &[(u64, &[(u32, bool)])]) -> Option<NodeId> {
        let mut oracle = LeaseOracle::default();
        begins.iter().find_map(|(term, others)| {
            let others = others.iter().map(|(machine, alone)| (n(*machine), *alone));
            oracle.is_news(ShardId(1), *term).then(|| overlap(others))?
        })
    }

    #[test]
    fn overlapping_leases_are_flagged() {
        assert_eq!(verdict(&[(2, &[(1, true)])]), Some(n(1)));
        assert_eq!(verdict(&[(2, &[(1, false), (3, true)])]), Some(n(3)), "not the first one");
        let later: [(u64, &[(u32, bool)]); 2] = [(2, &[(1, false)]), (4, &[(2, true)])];
        assert_eq!(verdict(&later), Some(n(2)), "the second election");
    }

    #[test]
    fn leases_that_ended_in_time_pass() {
        assert_eq!(verdict(&[(2, &[(1, false), (3, false)])]), None);
        // The leader itself reads alone a little later: the same term is no news.
        let same: [(u64, &[(u32, bool)]); 2] = [(2, &[(1, false)]), (2, &[(2, true)])];
        assert_eq!(verdict(&same), None);
        // A deposed leader that still believes in its term is no news either.
        let older: [(u64, &[(u32, bool)]); 2] = [(5, &[(1, false)]), (4, &[(2, true)])];
        assert_eq!(verdict(&older), None);
    }
}
