//! Records, in log order, to the state of every group.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::format::{Body, Found};
use super::record::{Fields, KIND_ENTRY, KIND_META, KIND_VOTE, LogRecord, NODE};
use super::usage::Usage;
use super::votes::{States, VoteCopy};
use crate::base::id::ShardId;

/// One entry of a group's log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogEntry {
    /// Its term.
    pub term: u64,
    /// Its index; a group's first is 0.
    pub index: u64,
    /// Opaque.
    pub payload: Bytes,
}

/// How far a group's recovered state can be believed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Trust {
    /// Everything that was ever durable is there.
    #[default]
    Whole,
    /// Entries that were perhaps durable were cut off: vote only by the gate of `storage.md` §2,
    /// then append [`LogRecord::Trusted`].
    Torn {
        /// The highest lost index, where it is known.
        lost_to: Option<u64>,
        /// Whether the vote too may be older than the one once given.
        vote_lost: bool,
    },
    /// Entries that were durable are lost: no vote, no acknowledgement, no lead; fetch them again,
    /// then append [`LogRecord::Trusted`].
    Damaged {
        /// The highest lost index, where it is known.
        lost_to: Option<u64>,
        /// Both copies of the vote are bad: the node must rejoin under a new id.
        vote_lost: bool,
    },
}

/// What the log knows of a group.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RecoveredGroup {
    /// The newest vote.
    pub vote: Option<Bytes>,
    /// Term and index of the last purged entry.
    pub purged: Option<(u64, u64)>,
    /// From the first entry after `purged`, or from index 0, without a gap.
    pub entries: Vec<LogEntry>,
    /// How far all this can be believed.
    pub trust: Trust,
}

#[derive(Clone, Copy, Debug, Default)]
struct Suspicion {
    damaged: bool,
    vote_lost: bool,
    lost_to: Option<u64>,
}

#[derive(Debug, Default)]
struct Group {
    entries: BTreeMap<u64, (u64, Bytes)>,
    /// Indexes whose payload was broken and not written again since.
    lost: BTreeSet<u64>,
    purged: Option<(u64, u64)>,
    suspicion: Option<Suspicion>,
    /// A vote of this group may have been among broken records.
    vote_in_doubt: bool,
}

/// What the copies of the vote file said.
pub(super) struct Copies {
    /// The newest whole one.
    pub(super) best: Option<VoteCopy>,
    /// Copies that are there but broken.
    pub(super) broken: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Replay {
    groups: BTreeMap<ShardId, Group>,
    removed: BTreeMap<ShardId, u64>,
    pub(super) states: States,
    pub(super) usage: Usage,
    pub(super) damage_found: bool,
    /// Illegible records were met in this life of the log: they may be of any group that appears
    /// before the checkpoint of the next life, which tells whom that life distrusted.
    blind_in: Option<u64>,
    life: u64,
}

impl Replay {
    /// Takes a batch of a segment; `body.whole` need not hold.
    pub(super) fn apply(&mut self, segment: u64, life: u64, body: Body) {
        self.life = life;
        for found in body.records {
            match found {
                Found::Record(group, record, number) => {
                    self.record(segment, group, record, number);
                }
                Found::Spoiled(group, fields) => self.spoiled(group, fields),
                Found::Illegible => self.blind_damage(life),
            }
        }
    }

    /// Durable records of groups unknown are lost: no group known so far can be believed, nor one
    /// that first appears in the same life.
    pub(super) fn blind_damage(&mut self, life: u64) {
        self.damage_found = true;
        self.blind_in = Some(life);
        for group in self.groups.values_mut() {
            group.suspect(true, None);
            group.vote_in_doubt = true;
        }
    }

    /// Takes note of the groups that a copy of the vote file knows.
    pub(super) fn meet(&mut self, copy: &VoteCopy) {
        for (id, _, _) in copy.states.votes() {
            self.group(id);
        }
    }

    /// Batches above the mark are cut off. `groups` with the highest lost index each, or `None`
    /// if it is not known which groups they held.
    pub(super) fn torn(&mut self, groups: Option<&BTreeMap<ShardId, Option<u64>>>) {
        for (id, group) in &mut self.groups {
            match groups {
                None => group.suspect(false, None),
                Some(groups) => {
                    if let Some(lost_to) = groups.get(id) {
                        group.suspect(false, *lost_to);
                    }
                }
            }
        }
        for (id, lost_to) in groups.into_iter().flatten() {
            if *id != NODE {
                self.groups.entry(*id).or_default().suspect(false, *lost_to);
            }
        }
    }

    fn group(&mut self, id: ShardId) -> &mut Group {
        let blind = self.blind_in == Some(self.life);
        self.groups.entry(id).or_insert_with(|| {
            let mut group = Group::default();
            if blind {
                group.suspect(true, None);
                group.vote_in_doubt = true;
            }
            group
        })
    }

    /// The highest number of a removal.
    pub(super) fn number_max(&self) -> u64 {
        self.removed.values().copied().max().unwrap_or(0)
    }

    fn record(&mut self, segment: u64, id: ShardId, record: LogRecord, number: u64) {
        self.usage.note(segment, id, &record);
        if let LogRecord::NodeMeta { key, bytes } = record {
            self.states.offer((NODE, key), number, bytes);
            return;
        }
        if record == LogRecord::GroupRemoved {
            self.groups.remove(&id);
            self.removed.insert(id, number);
            self.states.remove(id, number);
            return;
        }
        let group = self.group(id);
        match record {
            LogRecord::Entry { index, .. }
                if group.purged.is_some_and(|(_, purged)| index <= purged) => {}
            LogRecord::Entry { term, index, payload } => {
                group.lost.remove(&index);
                group.entries.insert(index, (term, payload));
            }
            LogRecord::Truncate { from } => {
                group.entries.split_off(&from);
                group.lost.split_off(&from);
            }
            LogRecord::Purge { term, index } => group.purge(term, index),
            LogRecord::Vote(bytes) => {
                group.vote_in_doubt = false;
                self.states.offer((id, 0), number, bytes);
            }
            LogRecord::Suspect { damaged, vote_lost, lost_to } => {
                group.suspect(damaged, lost_to);
                if let Some(s) = &mut group.suspicion {
                    s.vote_lost |= vote_lost;
                }
            }
            LogRecord::Trusted => {
                group.suspicion = None;
                group.vote_in_doubt = false;
            }
            LogRecord::NodeMeta { .. } | LogRecord::GroupRemoved => {}
        }
    }

    fn spoiled(&mut self, id: ShardId, fields: Fields) {
        self.damage_found = true;
        match fields.kind {
            KIND_ENTRY => {
                let group = self.group(id);
                group.entries.remove(&fields.index);
                group.lost.insert(fields.index);
            }
            KIND_VOTE => self.group(id).vote_in_doubt = true,
            // The vote file holds the second copy.
            KIND_META => {}
            _ => self.blind_damage(self.life),
        }
    }

    /// Takes in the vote file's copy and judges each group.
    pub(super) fn finish(&mut self, copies: &Copies) -> BTreeMap<ShardId, RecoveredGroup> {
        for (key, (number, bytes)) in copies.best.iter().flat_map(|c| &c.states.0) {
            if self.removed.get(&key.0).is_some_and(|removal| number < removal) {
                continue;
            }
            self.states.offer(*key, *number, bytes.clone());
            if key.0 != NODE {
                self.group(key.0);
            }
        }
        let mut recovered = BTreeMap::new();
        for (id, mut group) in std::mem::take(&mut self.groups) {
            let vote = self.states.0.get(&(id, 0)).map(|(_, bytes)| bytes.clone());
            let (entries, cut) = group.contiguous();
            if !group.lost.is_empty() || cut.is_some() {
                let lost_to = group.lost.last().copied().max(cut);
                group.suspect(true, lost_to);
            }
            if group.vote_in_doubt && (copies.best.is_none() || 0 < copies.broken) {
                group.suspect(true, None);
                if let Some(s) = &mut group.suspicion {
                    s.vote_lost = true;
                }
            }
            if copies.best.is_none() && 1 < copies.broken {
                // Without a cut the log alone is the whole truth.
                if let Some(s) = &mut group.suspicion {
                    s.vote_lost = true;
                }
            }
            let used = self.usage.groups.entry(id).or_default();
            used.suspect = group.suspicion.map(|s| LogRecord::Suspect {
                damaged: s.damaged,
                vote_lost: s.vote_lost,
                lost_to: s.lost_to,
            });
            recovered.insert(
                id,
                RecoveredGroup { vote, purged: group.purged, entries, trust: group.trust() },
            );
        }
        recovered
    }
}

impl Group {
    fn suspect(&mut self, damaged: bool, lost_to: Option<u64>) {
        let s = self.suspicion.get_or_insert_default();
        s.damaged |= damaged;
        s.lost_to = s.lost_to.max(lost_to);
    }

    fn purge(&mut self, term: u64, index: u64) {
        if self.purged.is_some_and(|(_, have)| index < have) {
            return;
        }
        self.purged = Some((term, index));
        let next = index.saturating_add(1);
        self.entries = self.entries.split_off(&next);
        self.lost = self.lost.split_off(&next);
    }

    /// The entries up to the first gap, and the highest index after it, if there is a gap.
    fn contiguous(&mut self) -> (Vec<LogEntry>, Option<u64>) {
        let last = self.entries.keys().next_back().copied();
        let mut next = self.purged.map_or(0, |(_, index)| index.saturating_add(1));
        let mut entries = Vec::with_capacity(self.entries.len());
        for (index, (term, payload)) in std::mem::take(&mut self.entries) {
            if index != next {
                return (entries, last);
            }
            entries.push(LogEntry { term, index, payload });
            next = next.saturating_add(1);
        }
        (entries, None)
    }

    fn trust(&self) -> Trust {
        match self.suspicion {
            None => Trust::Whole,
            Some(Suspicion { damaged: true, vote_lost, lost_to }) => {
                Trust::Damaged { lost_to, vote_lost }
            }
            Some(Suspicion { damaged: false, vote_lost, lost_to }) => {
                Trust::Torn { lost_to, vote_lost }
            }
        }
    }
}
