//! Raft's invariants, checked after every input that a node handles.
//!
//! Election safety (a process, not only a node, leads a term), state machine safety, leader
//! completeness (a committed entry is in every later leader's log), monotony of what must not go
//! back, and the order of a replica's own indexes. Log matching is in `durable`, where bytes are.
//!
//! # Source
//!
//! Ongaro, *Consensus: Bridging Theory and Practice*, 2014, figure 3.2.

use std::collections::BTreeMap;

use shardforge_core::base::id::{NodeId, ShardId};
use shardforge_core::raft::{LogPosition, RaftStatus, Role};
use shardforge_io_sim::host::Host;

use crate::finding::{Judge, Oracle};

/// What the oracle remembers of one group.
#[derive(Debug, Default)]
struct Group {
    /// The node and its life that led a term.
    leaders: BTreeMap<u64, (NodeId, u64)>,
    /// The term of every index that was ever committed anywhere.
    committed: BTreeMap<u64, u64>,
}

/// The oracle.
#[derive(Debug, Default)]
pub struct RaftOracle {
    groups: BTreeMap<ShardId, Group>,
}

/// One look at one replica.
struct Look<'a> {
    judge: &'a Judge,
    shard: ShardId,
    node: NodeId,
    life: u64,
    old: Option<&'a (u64, RaftStatus)>,
    status: &'a RaftStatus,
}

/// An index that orders before all if there is none.
pub(super) fn index(at: Option<LogPosition>) -> u64 {
    at.map_or(0, |at| at.index)
}

impl RaftOracle {
    /// Looks at one replica; the entries that are now known to be committed and were not before.
    pub fn check(
        &mut self,
        judge: &Judge,
        host: &Host,
        shard: ShardId,
        old: Option<&(u64, RaftStatus)>,
        status: &RaftStatus,
    ) -> Vec<(u64, u64)> {
        let group = self.groups.entry(shard).or_default();
        let look = Look { judge, shard, node: host.id, life: host.life, old, status };
        look.order();
        look.monotony();
        group.election_safety(&look);
        let term_at = |index| host.node.as_ref()?.term_at(shard, index);
        group.committed_agrees(&look, term_at)
    }

    /// The terms of all indexes that are known to be committed.
    pub fn committed(&self, shard: ShardId) -> Option<&BTreeMap<u64, u64>> {
        self.groups.get(&shard).map(|group| &group.committed)
    }
}

impl Look<'_> {
    fn order(&self) {
        let Self { shard, node, status, .. } = self;
        let (purged, applied) = (index(status.purged), index(status.applied));
        let committed = index(status.committed);
        self.judge.expect(purged <= applied, Oracle::IndexOrder, || {
            format!("{node} has purged {shard} to {purged}, applied to {applied}")
        });
        self.judge.expect(applied <= committed, Oracle::IndexOrder, || {
            format!("{node} has applied {shard} to {applied}, committed is {committed}")
        });
    }

    fn monotony(&self) {
        let Some((life, old)) = self.old else { return };
        let Self { shard, node, status, .. } = self;
        if *life != self.life {
            return; // what a restart may forget is judged by the durability oracle
        }
        let ballot = |status: &RaftStatus| status.vote.map(|vote| vote.term);
        self.judge.expect(ballot(old) <= ballot(status), Oracle::Monotony, || {
            format!("the vote of {node} in {shard} went from {:?} to {:?}", old.vote, status.vote)
        });
        self.judge.expect(index(old.applied) <= index(status.applied), Oracle::Monotony, || {
            format!("{node} applied {shard} to {:?}, now {:?}", old.applied, status.applied)
        });
        let went_on = index(old.committed) <= index(status.committed);
        self.judge.expect(went_on, Oracle::Monotony, || {
            format!("{node} committed {shard} to {:?}, now {:?}", old.committed, status.committed)
        });
    }
}

impl Group {
    fn election_safety(&mut self, look: &Look<'_>) {
        let Look { judge, shard, node, life, status, .. } = look;
        if status.role != Role::Leader {
            return;
        }
        let term = status.term;
        let (leader, in_life) = *self.leaders.entry(term).or_insert((*node, *life));
        judge.expect((leader, in_life) == (*node, *life), Oracle::ElectionSafety, || {
            format!(
                "{leader} in its life {in_life} and {node} in its life {life} both lead {shard} in \
                 term {term}"
            )
        });
        // What was committed in earlier terms is in this leader's log, or gone because all have it.
        let last = index(status.last_log);
        let missing = self.committed.range(last + 1..).find(|(_, of)| **of < term);
        judge.expect(missing.is_none(), Oracle::LeaderCompleteness, || {
            format!(
                "{node} leads {shard} in term {term} with a log to {last}, committed was {missing:?}"
            )
        });
    }

    fn committed_agrees(
        &mut self,
        look: &Look<'_>,
        term_at: impl Fn(u64) -> Option<u64>,
    ) -> Vec<(u64, u64)> {
        // One past the last index known to be committed: the first entry has index 0.
        let end = |status: &RaftStatus| {
            // A snapshot that is being installed has raised the commit index over the old log.
            let reached = status.committed.filter(|at| at.index <= index(status.last_log));
            let last = reached.max(status.applied);
            last.map_or(0, |at| at.index + 1)
        };
        let from = look.old.map_or(0, |(_, old)| end(old).saturating_sub(8));
        let mut news = Vec::new();
        for index in from..end(look.status) {
            let Some(term) = term_at(index) else { continue };
            let agreed = *self.committed.entry(index).or_insert_with(|| {
                news.push((index, term));
                term
            });
            look.judge.expect(agreed == term, Oracle::StateMachineSafety, || {
                let Look { shard, node, .. } = look;
                format!("{shard} index {index} was committed in term {agreed}, {node} has {term}")
            });
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use shardforge_core::raft::Ballot;

    use super::*;
    use crate::finding::Violation;

    const S: ShardId = ShardId(1);

    /// A look at a replica: machine, life, status, and the terms of its log.
    struct Seen {
        machine: u32,
        life: u64,
        status: RaftStatus,
        log: Vec<u64>,
    }

    fn at(term: u64, index: u64) -> Option<LogPosition> {
        Some(LogPosition { term, index })
    }

    /// A replica whose log has entries of these terms from index 1 on, `committed` of them known so.
    fn seen(machine: u32, term: u64, role: Role, log: &[u64], committed: u64) -> Seen {
        let node = NodeId::machine(machine);
        let known = log.get(committed.saturating_sub(1) as usize).copied();
        let known = known.filter(|_| 0 < committed);
        let status = RaftStatus {
            term,
            role,
            vote: Some(Ballot { term, node, committed: role == Role::Leader }),
            last_log: log.last().and_then(|last| at(*last, log.len() as u64)),
            committed: known.and_then(|known| at(known, committed)),
            applied: known.and_then(|known| at(known, committed)),
            ..RaftStatus::default()
        };
        Seen { machine, life: 1, status, log: log.to_vec() }
    }

    fn verdict(looks: &[Seen]) -> Option<Oracle> {
        let judge = Judge::default();
        let (mut group, mut old) = (Group::default(), BTreeMap::new());
        let thrown = catch_unwind(AssertUnwindSafe(|| {
            for seen in looks {
                let look = Look {
                    judge: &judge,
                    shard: S,
                    node: NodeId::machine(seen.machine),
                    life: seen.life,
                    old: old.get(&seen.machine),
                    status: &seen.status,
                };
                look.order();
                look.monotony();
                group.election_safety(&look);
                let log = &seen.log;
                group.committed_agrees(&look, |index| {
                    log.get(usize::try_from(index.checked_sub(1)?).ok()?).copied()
                });
                old.insert(seen.machine, (seen.life, seen.status.clone()));
            }
        }));
        let thrown = thrown.err()?;
        Some(thrown.downcast_ref::<Violation>().expect("an oracle spoke").oracle)
    }

    use Role::{Follower, Leader};

    #[test]
    fn broken_histories_are_flagged() {
        let two = [seen(1, 3, Leader, &[], 0), seen(2, 3, Leader, &[], 0)];
        assert_eq!(verdict(&two), Some(Oracle::ElectionSafety), "two leaders of a term");
        let restarted = Seen { life: 2, ..seen(1, 3, Leader, &[], 0) };
        let restored = [seen(1, 3, Leader, &[], 0), restarted];
        assert_eq!(verdict(&restored), Some(Oracle::ElectionSafety), "a leader restored itself");
        let lost = [seen(1, 1, Leader, &[1, 1], 2), seen(2, 2, Leader, &[1], 1)];
        assert_eq!(verdict(&lost), Some(Oracle::LeaderCompleteness));
        let split = [seen(1, 1, Leader, &[1, 1], 2), seen(2, 2, Follower, &[1, 2], 2)];
        assert_eq!(verdict(&split), Some(Oracle::StateMachineSafety));
        let mut eager = seen(1, 1, Follower, &[1, 1], 1);
        eager.status.applied = at(1, 2);
        assert_eq!(verdict(&[eager]), Some(Oracle::IndexOrder), "applied before committed");
        let mut greedy = seen(1, 1, Follower, &[1, 1], 1);
        greedy.status.purged = at(1, 2);
        assert_eq!(verdict(&[greedy]), Some(Oracle::IndexOrder), "purged before applied");
        let back = [seen(1, 1, Follower, &[1, 1], 2), seen(1, 1, Follower, &[1, 1], 1)];
        assert_eq!(verdict(&back), Some(Oracle::Monotony), "committed went back");
        let older = [seen(1, 4, Follower, &[], 0), seen(1, 3, Follower, &[], 0)];
        assert_eq!(verdict(&older), Some(Oracle::Monotony), "the vote went back");
    }

    #[test]
    fn tricky_good_histories_pass() {
        // A new leader overwrites what was never committed.
        let overwritten = [
            seen(1, 1, Leader, &[1, 1, 1], 1),
            seen(2, 2, Leader, &[1, 2], 2),
            seen(1, 2, Follower, &[1, 2], 2),
        ];
        assert_eq!(verdict(&overwritten), None);
        // A restart forgets what it knew to be committed, and leads again in a later term.
        let forgot = Seen { life: 2, ..seen(1, 3, Follower, &[1, 1], 0) };
        let again = Seen { life: 2, ..seen(1, 4, Leader, &[1, 1], 0) };
        assert_eq!(verdict(&[seen(1, 3, Leader, &[1, 1], 2), forgot, again]), None);
        // A deposed leader that does not know it yet lacks what its successor committed.
        let deposed = [
            seen(1, 1, Leader, &[1], 1),
            seen(2, 2, Leader, &[1, 2], 2),
            seen(1, 1, Leader, &[1, 1], 1),
        ];
        assert_eq!(verdict(&deposed), None);
        // A snapshot is being installed over a log with an end that was never committed.
        let behind = seen(2, 1, Follower, &[1, 1], 1);
        let mut installing = seen(2, 2, Follower, &[1, 1], 1);
        installing.status.committed = at(2, 4);
        let ahead = seen(1, 2, Leader, &[1, 2, 2, 2], 4);
        assert_eq!(verdict(&[ahead, behind, installing]), None);
        // Purged entries cannot be compared, and need not be.
        let mut purged = seen(1, 2, Follower, &[], 0);
        purged.status.purged = at(1, 5);
        purged.status.applied = at(1, 5);
        purged.status.committed = at(1, 5);
        assert_eq!(verdict(&[purged]), None);
    }
}
