//! The durability shadow: what synced bytes alone could bring back, against what was promised.
//!
//! It believes the disks, not the nodes: every byte that a simulated sync made durable was read by
//! `io-sim/src/shadow.rs`. An entry that anybody calls committed must be there on a quorum of disks, a
//! granted vote on the voter's, and a restart must find again what was there. Entries of one place
//! must be equal on all disks (log matching).
//!
//! # Source
//!
//! Alagappan et al., *Protocol-Aware Recovery*, FAST 2018, for why a restart needs an oracle.

use std::collections::{BTreeMap, BTreeSet};

use shardforge_core::base::id::{NodeId, ShardId};
use shardforge_core::raft::{Ballot, Membership, RaftStatus};
use shardforge_io_sim::host::Host;
use shardforge_io_sim::shadow::{Durable, Shadow};

use super::raft::index;
use crate::finding::{Judge, Oracle};

/// The oracle.
#[derive(Debug, Default)]
pub struct DurableOracle {
    /// The payload's hash of every place ever durable.
    contents: BTreeMap<(ShardId, u64, u64), u64>,
    /// How far each host's journal was read.
    read: BTreeMap<NodeId, usize>,
    /// How many grants of a node's life were looked at.
    grants: BTreeMap<NodeId, (u64, usize)>,
    /// The vote that a life began with: durable, though perhaps only in its second copy.
    began: BTreeMap<(NodeId, ShardId), Option<Ballot>>,
}

impl DurableOracle {
    /// Reads what became durable on a host since the last look.
    pub fn journals(&mut self, judge: &Judge, host: &Host) {
        let read = self.read.entry(host.id).or_default();
        let journal = host.disk.shadow().journal();
        let news = journal.get(*read..).unwrap_or_default();
        *read = journal.len();
        for entry in news {
            self.matching(judge, host.id, entry);
        }
    }

    fn matching(&mut self, judge: &Judge, id: NodeId, entry: &Durable) {
        let Durable { shard, index, term, hash } = *entry;
        let known = *self.contents.entry((shard, term, index)).or_insert(hash);
        judge.expect(known == hash, Oracle::LogMatching, || {
            format!("{id} made {shard} {term}.{index} durable with other bytes than another node")
        });
    }

    /// Looks at the votes that a node granted since the last look.
    pub fn votes(&mut self, judge: &Judge, host: &Host) {
        let (life, looked) = self.grants.entry(host.id).or_insert((host.life, 0));
        if *life != host.life {
            (*life, *looked) = (host.life, 0);
        }
        let news = host.granted.get(*looked..).unwrap_or_default();
        *looked = host.granted.len();
        for (shard, ballot) in news {
            let began = self.began.get(&(host.id, *shard)).copied().flatten();
            let right = vote_is_durable(host.disk.shadow().vote(*shard), began, *ballot);
            judge.expect(right, Oracle::DurableVote, || {
                let durable = host.disk.shadow().vote(*shard);
                format!("{} granted {ballot} in {shard}, durable is {durable:?}", host.id)
            });
        }
    }

    /// Looks at a replica that has just restarted.
    pub fn restarted(
        &mut self,
        judge: &Judge,
        host: &Host,
        shard: ShardId,
        status: &RaftStatus,
        committed: Option<&BTreeMap<u64, u64>>,
    ) {
        self.began.insert((host.id, shard), status.vote);
        // A node that says it may lack something does not vote until it has it again.
        if !status.trusted {
            return;
        }
        let shadow = host.disk.shadow();
        let vote = shadow.vote(shard);
        let found = status.vote.map(|vote| vote.term);
        judge.expect(vote.map(|vote| vote.term) <= found, Oracle::Recovery, || {
            format!("{} restarts {shard} with vote {found:?}, durable was {vote:?}", host.id)
        });
        self.whole(judge, host, shard, status, committed);
    }

    /// Looks at a replica that says it has all that it ever acknowledged: one that restarted, or one
    /// whose disk lost something and that has just begun to vote again.
    pub fn whole(
        &self,
        judge: &Judge,
        host: &Host,
        shard: ShardId,
        status: &RaftStatus,
        committed: Option<&BTreeMap<u64, u64>>,
    ) {
        let shadow = host.disk.shadow();
        let Some(node) = &host.node else { return };
        let have = |at: u64| {
            at <= index(status.purged).max(index(status.snapshot))
                || at <= index(status.applied)
                || node.term_at(shard, at).is_some()
        };
        let lost = committed.and_then(|committed| lost_entry(shadow, shard, committed, have));
        judge.expect(lost.is_none(), Oracle::Recovery, || {
            format!(
                "{} votes in {shard} without {lost:?}, which is committed and was durable here; its \
                 log ends at {:?}",
                host.id, status.last_log
            )
        });
    }

    /// An entry is called committed for the first time.
    pub fn committed(
        &self,
        judge: &Judge,
        hosts: &BTreeMap<NodeId, Host>,
        (shard, members): (ShardId, &Membership),
        (index, term): (u64, u64),
    ) {
        let holders = hosts.values().filter(|host| host.disk.shadow().holds(shard, index, term));
        let holders: BTreeSet<NodeId> = holders.map(|host| host.id).collect();
        judge.expect(members.is_quorum(&holders), Oracle::DurableCommit, || {
            format!("{shard} {term}.{index} is called committed, only {holders:?} hold it")
        });
    }
}

/// Whether a granted vote would survive: on the synced log, or already there when the life began.
fn vote_is_durable(durable: Option<Ballot>, began: Option<Ballot>, granted: Ballot) -> bool {
    let covers = |vote: Ballot| {
        granted.term < vote.term || (granted.term == vote.term && granted.node == vote.node)
    };
    durable.is_some_and(covers) || began.is_some_and(covers)
}

/// A committed entry that the disk held and the restarted node does not have.
fn lost_entry(
    shadow: &Shadow,
    shard: ShardId,
    committed: &BTreeMap<u64, u64>,
    have: impl Fn(u64) -> bool,
) -> Option<(u64, u64)> {
    let mut durable = committed.iter().filter(|(at, term)| shadow.holds(shard, **at, **term));
    durable.find(|(at, _)| !have(**at)).map(|(at, term)| (*term, *at))
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::finding::Violation;

    const S: ShardId = ShardId(1);

    fn ballot(term: u64, machine: u32) -> Ballot {
        Ballot { term, node: NodeId::machine(machine), committed: false }
    }

    fn entry(index: u64, term: u64, hash: u64) -> Durable {
        Durable { shard: S, index, term, hash }
    }

    fn matches(entries: &[Durable]) -> bool {
        let (mut oracle, judge) = (DurableOracle::default(), Judge::default());
        let all = || entries.iter().for_each(|e| oracle.matching(&judge, NodeId::machine(1), e));
        match catch_unwind(AssertUnwindSafe(all)) {
            Ok(()) => true,
            Err(thrown) => {
                let violation = thrown.downcast_ref::<Violation>().expect("an oracle spoke");
                assert_eq!(violation.oracle, Oracle::LogMatching);
                false
            }
        }
    }

    #[test]
    fn votes_that_would_not_survive_are_flagged() {
        assert!(!vote_is_durable(None, None, ballot(1, 1)), "nothing is durable");
        assert!(!vote_is_durable(Some(ballot(1, 1)), None, ballot(2, 1)), "an older vote is");
        assert!(!vote_is_durable(Some(ballot(2, 3)), None, ballot(2, 1)), "another's vote is");
        assert!(!vote_is_durable(None, Some(ballot(1, 1)), ballot(2, 1)), "the life began older");
    }

    #[test]
    fn votes_that_survive_pass() {
        assert!(vote_is_durable(Some(ballot(2, 1)), None, ballot(2, 1)));
        assert!(vote_is_durable(Some(ballot(3, 2)), None, ballot(2, 1)), "a newer one covers it");
        assert!(vote_is_durable(None, Some(ballot(2, 1)), ballot(2, 1)), "granted again");
    }

    #[test]
    fn entries_of_one_place_must_be_equal() {
        assert!(!matches(&[entry(1, 1, 7), entry(1, 1, 8)]));
        assert!(!matches(&[entry(1, 1, 7), entry(2, 1, 7), entry(2, 1, 9)]));
        assert!(!matches(&[entry(5, 2, 7), entry(5, 3, 8), entry(5, 2, 8)]));
        assert!(matches(&[entry(1, 1, 7), entry(1, 1, 7)]), "written again");
        assert!(matches(&[entry(1, 1, 7), entry(1, 2, 8)]), "overwritten by a later term");
        let other = Durable { shard: ShardId(2), ..entry(1, 1, 8) };
        assert!(matches(&[entry(1, 1, 7), other]), "another group");
    }

    #[test]
    fn a_restart_that_lost_a_committed_entry_is_flagged() {
        let shadow = Shadow::of(&[entry(1, 1, 0), entry(2, 1, 0), entry(3, 2, 0)]);
        let committed = BTreeMap::from([(1, 1), (2, 1)]);
        let lost = |have: fn(u64) -> bool| lost_entry(&shadow, S, &committed, have);
        assert_eq!(lost(|at| at <= 1), Some((1, 2)), "the last one");
        assert_eq!(lost(|at| at != 1), Some((1, 1)), "one in the middle");
        assert_eq!(lost(|_| false), Some((1, 1)), "all");
        assert_eq!(lost(|at| at <= 2), None, "what was never committed may go");
        assert_eq!(lost(|_| true), None);
        let elsewhere = BTreeMap::from([(9, 2)]);
        assert_eq!(
            lost_entry(&shadow, S, &elsewhere, |_| false),
            None,
            "it was never durable here"
        );
    }
}
