//! What the synced bytes of a machine's log say: followed write by write, without asking the node.
//!
//! An oracle that wants to know whether an entry would survive a power failure asks here. It trusts
//! neither what the node believes to be durable nor what its recovery makes of the bytes.

use std::collections::BTreeMap;

use shardforge_core::base::id::ShardId;
use shardforge_core::base::map::stable_hash;
use shardforge_core::raft::Ballot;
use shardforge_core::storage::log::{LogRecord, batch_records};

/// An entry that became durable: where, and a hash of what.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Durable {
    /// The group.
    pub shard: ShardId,
    /// The entry's index.
    pub index: u64,
    /// The entry's term.
    pub term: u64,
    /// Of the payload.
    pub hash: u64,
}

#[derive(Clone, Debug, Default)]
struct Group {
    /// Terms by index.
    entries: BTreeMap<u64, u64>,
    purged: Option<u64>,
    vote: Option<Ballot>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Shadow {
    groups: BTreeMap<ShardId, Group>,
    journal: Vec<Durable>,
}

impl Shadow {
    /// Takes synced bytes in; whether they were whole batches.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        let (records, whole) = batch_records(bytes);
        for (shard, record) in records {
            self.record(shard, record);
        }
        whole
    }

    fn record(&mut self, shard: ShardId, record: LogRecord) {
        let group = self.groups.entry(shard).or_default();
        match record {
            LogRecord::Entry { term, index, payload } => {
                group.entries.insert(index, term);
                let hash = stable_hash(&payload);
                self.journal.push(Durable { shard, index, term, hash });
            }
            LogRecord::Truncate { from } => {
                group.entries.split_off(&from);
            }
            LogRecord::Purge { index, .. } => {
                group.purged = group.purged.max(Some(index));
                group.entries = group.entries.split_off(&(index + 1));
            }
            LogRecord::Vote(bytes) => {
                if let Ok(ballot) = Ballot::from_bytes(&bytes)
                    && group.vote.is_none_or(|old| old.term <= ballot.term)
                {
                    group.vote = Some(ballot);
                }
            }
            LogRecord::GroupRemoved => *group = Group::default(),
            LogRecord::NodeMeta { .. } | LogRecord::Suspect { .. } | LogRecord::Trusted => {}
        }
    }

    /// Whether these bytes alone bring back the entry, or a state that holds it.
    pub fn holds(&self, shard: ShardId, index: u64, term: u64) -> bool {
        self.groups.get(&shard).is_some_and(|group| {
            Some(index) <= group.purged || group.entries.get(&index) == Some(&term)
        })
    }

    /// The newest vote.
    pub fn vote(&self, shard: ShardId) -> Option<Ballot> {
        self.groups.get(&shard)?.vote
    }

    /// All entries that ever became durable, in that order.
    pub fn journal(&self) -> &[Durable] {
        &self.journal
    }
}

impl Shadow {
    /// A shadow of these entries: for oracles' own tests.
    pub fn of(entries: &[Durable]) -> Self {
        let mut shadow = Self::default();
        for entry in entries {
            let group = shadow.groups.entry(entry.shard).or_default();
            group.entries.insert(entry.index, entry.term);
            shadow.journal.push(*entry);
        }
        shadow
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use shardforge_core::base::id::NodeId;

    use super::*;

    const S: ShardId = ShardId(1);

    fn entry(term: u64, index: u64) -> LogRecord {
        LogRecord::Entry { term, index, payload: Bytes::from_static(b"x") }
    }

    #[test]
    fn it_follows_truncations_purges_and_votes() {
        let mut shadow = Shadow::default();
        for record in [entry(1, 1), entry(1, 2), entry(1, 3)] {
            shadow.record(S, record);
        }
        shadow.record(S, LogRecord::Truncate { from: 2 });
        assert!(shadow.holds(S, 1, 1) && !shadow.holds(S, 2, 1));
        shadow.record(S, entry(2, 2));
        assert!(shadow.holds(S, 2, 2) && !shadow.holds(S, 2, 1));
        shadow.record(S, LogRecord::Purge { term: 2, index: 2 });
        assert!(shadow.holds(S, 1, 1) && !shadow.holds(S, 3, 2));
        let vote = |term| Ballot { term, node: NodeId::machine(1), committed: false };
        shadow.record(S, LogRecord::Vote(vote(3).to_bytes()));
        shadow.record(S, LogRecord::Vote(vote(2).to_bytes()));
        assert_eq!(shadow.vote(S), Some(vote(3)));
        assert_eq!(shadow.vote(ShardId(2)), None);
    }
}
