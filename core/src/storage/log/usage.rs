//! Which segment still holds entries of which group: what garbage collection decides by.
//!
//! # Invariants
//!
//! * A segment with a live entry of some group is never below [`Usage::first_needed`].
//! * Ranges of one segment may cover indexes that were cut and written again later: they are
//!   conservative, never too small.

use std::collections::BTreeMap;

use super::record::LogRecord;
use crate::base::id::ShardId;

/// Live entries of one group in one segment: lowest and highest index, and the bytes of all that were
/// written there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Range {
    first: u64,
    last: u64,
    bytes: u64,
}

/// One group's use of the log.
#[derive(Clone, Debug, Default)]
pub(super) struct GroupUse {
    pub(super) purged: Option<(u64, u64)>,
    pub(super) suspect: Option<LogRecord>,
    ranges: BTreeMap<u64, Range>,
}

/// The use of all segments by all groups.
#[derive(Clone, Debug, Default)]
pub(super) struct Usage {
    pub(super) groups: BTreeMap<ShardId, GroupUse>,
}

impl Usage {
    /// Takes a record that went to `segment`.
    pub(super) fn note(&mut self, segment: u64, group: ShardId, record: &LogRecord) {
        match record {
            LogRecord::NodeMeta { .. } => {}
            LogRecord::GroupRemoved => {
                self.groups.remove(&group);
            }
            LogRecord::Entry { index, payload, .. } => {
                self.group(group).entry(segment, *index, payload.len() as u64);
            }
            LogRecord::Truncate { from } => self.group(group).cut(|r| {
                r.last = r.last.min(from.saturating_sub(1));
            }),
            LogRecord::Purge { term, index } => {
                let group = self.group(group);
                if group.purged.is_none_or(|(_, have)| have <= *index) {
                    group.purged = Some((*term, *index));
                }
                group.cut(|r| r.first = r.first.max(index.saturating_add(1)));
            }
            LogRecord::Vote(_) => {
                self.group(group);
            }
            LogRecord::Suspect { .. } => self.group(group).suspect = Some(record.clone()),
            LogRecord::Trusted => self.group(group).suspect = None,
        }
    }

    fn group(&mut self, group: ShardId) -> &mut GroupUse {
        self.groups.entry(group).or_default()
    }

    /// The oldest segment with a live entry, or `active` if there is none.
    pub(super) fn first_needed(&self, active: u64) -> u64 {
        let oldest = |g: &GroupUse| g.ranges.keys().next().copied();
        self.groups.values().filter_map(oldest).min().unwrap_or(active).min(active)
    }

    /// The groups whose live entries keep `segment`: indexes and bytes.
    pub(super) fn holders(&self, segment: u64) -> Vec<(ShardId, u64, u64, u64)> {
        let held = |(id, group): (&ShardId, &GroupUse)| {
            group.ranges.get(&segment).map(|r| (*id, r.first, r.last, r.bytes))
        };
        self.groups.iter().filter_map(held).collect()
    }

    /// Entries of these indexes were written again elsewhere: older copies do not count.
    pub(super) fn forget(&mut self, group: ShardId, first: u64, last: u64, before: u64) {
        let Some(group) = self.groups.get_mut(&group) else { return };
        group.ranges.retain(|segment, r| {
            if *segment < before && first <= r.first && r.first <= last {
                r.first = last.saturating_add(1);
            }
            r.first <= r.last
        });
    }
}

impl GroupUse {
    fn entry(&mut self, segment: u64, index: u64, bytes: u64) {
        let range =
            self.ranges.entry(segment).or_insert(Range { first: index, last: index, bytes: 0 });
        range.first = range.first.min(index);
        range.last = range.last.max(index);
        range.bytes += bytes;
    }

    fn cut(&mut self, shorten: impl Fn(&mut Range)) {
        self.ranges.retain(|_, range| {
            shorten(range);
            range.first <= range.last
        });
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const G: ShardId = ShardId(1);

    fn entry(index: u64) -> LogRecord {
        LogRecord::Entry { term: 1, index, payload: Bytes::from_static(b"x") }
    }

    #[test]
    fn a_segment_is_needed_until_its_entries_are_purged_or_cut() {
        let mut usage = Usage::default();
        usage.note(1, G, &entry(1));
        usage.note(2, G, &entry(2));
        usage.note(3, G, &entry(3));
        assert_eq!(usage.first_needed(3), 1);
        usage.note(3, G, &LogRecord::Purge { term: 1, index: 1 });
        assert_eq!(usage.first_needed(3), 2);
        usage.note(3, G, &LogRecord::Truncate { from: 2 });
        assert_eq!(usage.first_needed(3), 3);
    }

    #[test]
    fn a_rewritten_straggler_frees_its_segment() {
        let mut usage = Usage::default();
        usage.note(1, G, &entry(1));
        usage.note(1, G, &entry(2));
        usage.note(4, G, &entry(1));
        usage.forget(G, 1, 1, 4);
        assert_eq!(usage.first_needed(4), 1, "entry 2 is still in segment 1");
        usage.note(4, G, &entry(2));
        usage.forget(G, 2, 2, 4);
        assert_eq!(usage.first_needed(4), 4, "both are written again, though not at once");
    }
}
