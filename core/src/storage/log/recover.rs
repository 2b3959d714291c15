//! What the bytes found after a crash mean: the verdict, and where to go on.
//!
//! First all headers are surveyed: they tell the durable mark. Then batches are walked in order. A
//! batch that is broken is damage if it lies at or below the mark, else the log ends before it. The
//! caller sees to it that what is read here is durable (files synced before they are read).
//!
//! Any bytes give a verdict; none give a panic or more memory than a few times their length.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::format::{BLOCK_BYTES, Body, Expected, Found, Header, chain_origin, decode, padded};
use super::record::{KIND_ENTRY, LogRecord, NODE, NUMBER_MAX};
use super::replay::{Copies, RecoveredGroup, Replay, Trust};
use super::usage::Usage;
use super::votes::{States, VoteCopy};
use crate::base::buggify::Faults;
use crate::base::id::ShardId;
use crate::bug;

/// The state of the log as a whole. Each group has a verdict of its own: [`RecoveredGroup::trust`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It ends with what was sealed, or was never written.
    Clean,
    /// It ends without a seal and nothing follows: a crash during work. Nothing durable is missing.
    AbsentTail,
    /// A broken batch above the mark was cut off, with all that followed.
    TornTail(TornTail),
    /// Broken at or below the mark: durable records of these groups are lost. (With an empty
    /// set: the node's own records were hit, and their second copy served.)
    Damaged(BTreeSet<ShardId>),
}

/// The loss window of a torn tail.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TornTail {
    /// Batches that were cut off and can be counted.
    pub batches: u64,
    /// Groups that had records in them, with their highest lost index if entries were among them;
    /// `None` if that is not legible: any group may be concerned.
    pub groups: Option<BTreeMap<ShardId, Option<u64>>>,
}

/// What was found in the log.
#[derive(Debug)]
pub struct Recovered {
    /// All groups that are not removed.
    pub groups: BTreeMap<ShardId, RecoveredGroup>,
    /// The node's own records, by key. Empty: this log was never written, or nothing of it is left.
    pub node_meta: BTreeMap<u8, Bytes>,
    /// The log as a whole.
    pub verdict: Verdict,
    /// For [`super::LogWriter::resume`].
    pub resume: Resume,
}

/// Where and how writing goes on.
#[derive(Debug)]
pub struct Resume {
    pub(super) log_id: u64,
    pub(super) life: u64,
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) sequence: u64,
    pub(super) chain: u32,
    /// Segments below are not needed.
    pub(super) start: u64,
    pub(super) existing: BTreeSet<u64>,
    pub(super) usage: Usage,
    pub(super) states: States,
    pub(super) state_number: u64,
    pub(super) generation: u64,
    pub(super) durable_slot: u8,
    pub(super) cuts: Vec<(ShardId, u64)>,
}

/// Reads what is left of a log: segments by number, and the vote file's copies that exist.
///
/// `fresh_log_id` is drawn at random and names the log if there is none yet.
pub fn recover(
    segments: &BTreeMap<u64, Bytes>,
    vote_files: &[Bytes],
    fresh_log_id: u64,
    faults: &Faults,
) -> Recovered {
    let copies = read_copies(vote_files);
    let Some(survey) = Survey::of(segments, copies.best.as_ref()) else {
        return nothing_left(segments, &copies, fresh_log_id);
    };
    let mut walk = Walk::begin(segments, &survey);
    let end = walk.run(faults);
    let mut replay = walk.replay;
    let groups = replay.finish(&copies);
    let verdict = match end.torn {
        _ if replay.damage_found && !end.planted => Verdict::Damaged(untrusted(&groups)),
        Some(torn) => Verdict::TornTail(torn),
        None if survey.mark + 1 < end.sequence && !end.sealed => Verdict::AbsentTail,
        None => Verdict::Clean,
    };
    let cuts = groups.iter().filter(|(_, g)| g.trust != Trust::Whole).map(|(id, g)| (*id, g.end()));
    let copy_number = copies.best.as_ref().map_or(0, |c| c.states.number_max());
    let resume = Resume {
        log_id: survey.log_id,
        life: survey.life_max + 1,
        segment: end.segment,
        offset: end.offset as u64,
        sequence: end.sequence,
        chain: end.chain,
        start: survey.start,
        existing: segments.keys().copied().collect(),
        state_number: replay.states.number_max().max(copy_number).max(replay.number_max()),
        cuts: cuts.collect(),
        usage: replay.usage,
        states: replay.states,
        generation: copies.generation(),
        durable_slot: copies.durable_slot(),
    };
    let node_meta = resume.states.metas().map(|(key, _, b)| (key, b.clone())).collect();
    Recovered { groups, node_meta, verdict, resume }
}

fn untrusted(groups: &BTreeMap<ShardId, RecoveredGroup>) -> BTreeSet<ShardId> {
    let damaged = |g: &RecoveredGroup| matches!(g.trust, Trust::Damaged { .. });
    groups.iter().filter(|(_, g)| damaged(g)).map(|(id, _)| *id).collect()
}

impl RecoveredGroup {
    /// The index after the last one here.
    fn end(&self) -> u64 {
        let after_purge = self.purged.map_or(0, |(_, index)| index.saturating_add(1));
        self.entries.last().map_or(after_purge, |e| e.index.saturating_add(1))
    }
}

fn read_copies(vote_files: &[Bytes]) -> Copies {
    let mut copies = Copies { best: None, broken: 0 };
    for bytes in vote_files.iter().filter(|b| !b.is_empty()) {
        match VoteCopy::decode(bytes) {
            Ok(copy) if copy.generation < NUMBER_MAX && copy.mark < NUMBER_MAX => {
                let newer = copies.best.as_ref().is_none_or(|b| b.generation < copy.generation);
                if newer {
                    copies.best = Some(copy);
                }
            }
            _ => copies.broken += 1,
        }
    }
    copies
}

impl Copies {
    fn generation(&self) -> u64 {
        // A broken copy may have been one ahead.
        self.best.as_ref().map_or(0, |c| c.generation) + 1 + self.broken as u64
    }

    fn durable_slot(&self) -> u8 {
        self.best.as_ref().map_or(1, |c| c.slot)
    }
}

/// No header is legible: a new log, or one whose very first write was torn.
fn nothing_left(segments: &BTreeMap<u64, Bytes>, copies: &Copies, fresh: u64) -> Recovered {
    let mut replay = Replay::default();
    let written = segments.values().any(|b| b.first_chunk::<4>().is_some_and(|m| m == b"SFLB"));
    if let Some(copy) = &copies.best {
        replay.meet(copy);
        if 0 < copy.mark {
            replay.blind_damage(0);
        } else {
            replay.torn(None);
        }
    }
    let groups = replay.finish(copies);
    let verdict = match (&copies.best, written || 0 < copies.broken) {
        // The vote file alone is left: the segments are lost or were never durable.
        (Some(copy), _) if 0 < copy.mark => Verdict::Damaged(groups.keys().copied().collect()),
        (_, true) | (Some(_), _) => Verdict::TornTail(TornTail::default()),
        (None, false) => Verdict::Clean,
    };
    let log_id = copies.best.as_ref().map_or(fresh, |c| c.log_id);
    let last = segments.range(..NUMBER_MAX).next_back().map_or(0, |(id, _)| *id);
    // Segment 1 belongs to a log that begins with batch 1.
    let segment = if verdict == Verdict::Clean { 1 } else { last.max(1) + 1 };
    let mark = copies.best.as_ref().map_or(0, |c| c.mark);
    let mut resume = Resume::fresh(log_id, segment);
    resume.sequence = mark + 1;
    // Lives that left no trace may have left batches: be past them all.
    resume.life = copies.generation();
    resume.existing = segments.keys().copied().collect();
    resume.state_number = copies.best.as_ref().map_or(0, |c| c.states.number_max());
    resume.generation = copies.generation();
    resume.durable_slot = copies.durable_slot();
    resume.usage = replay.usage;
    resume.states = replay.states;
    let node_meta = resume.states.metas().map(|(key, _, b)| (key, b.clone())).collect();
    Recovered { groups, node_meta, verdict, resume }
}

/// All headers of this log, wherever they are.
struct Survey {
    log_id: u64,
    /// By position; without those that a later life has overtaken.
    headers: BTreeMap<(u64, usize), Header>,
    mark: u64,
    life_max: u64,
    sequence_max: u64,
    /// The first segment that is still needed.
    start: u64,
}

impl Survey {
    fn of(segments: &BTreeMap<u64, Bytes>, copy: Option<&VoteCopy>) -> Option<Self> {
        let mut all = BTreeMap::new();
        for (id, image) in segments.range(..NUMBER_MAX) {
            for offset in (0..image.len()).step_by(BLOCK_BYTES) {
                let Some(header) = Header::read(&image[offset..]) else { continue };
                let sane = header.sequence < NUMBER_MAX && header.life < NUMBER_MAX;
                if sane && header.segment == *id && header.offset as usize == offset {
                    all.insert((*id, offset), header);
                }
            }
        }
        let newest = all.values().max_by_key(|h| (h.life, h.sequence)).map(|h| h.log_id);
        let log_id = copy.map(|c| c.log_id).or(newest)?;
        all.retain(|_, h| h.log_id == log_id);
        let life_max = all.values().map(|h| h.life).max()?;
        let mark = all.values().map(|h| h.mark).chain(copy.map(|c| c.mark)).max()?;
        let sequence_max = all.values().map(|h| h.sequence).max()?;
        // A void header may announce a start that rested on a purge which is void too.
        drop_overtaken(&mut all);
        let lowest = all.keys().next()?.0;
        let sure = all.values().filter(|h| h.sequence <= mark);
        let start = sure.map(|h| h.first_segment).max().unwrap_or(lowest);
        Some(Self { log_id, headers: all, mark, life_max, sequence_max, start })
    }

    /// The first header at or after a position with at least this number.
    fn next_after(&self, at: (u64, usize), expected: &Expected) -> Option<((u64, usize), Header)> {
        let fits = |h: &Header| expected.sequence <= h.sequence && expected.life <= h.life;
        self.headers.range(at..).find(|(_, h)| fits(h)).map(|(at, h)| (*at, *h))
    }
}

/// A life that begins at some number makes all batches of earlier lives from there on void.
fn drop_overtaken(headers: &mut BTreeMap<(u64, usize), Header>) {
    let mut begins: BTreeMap<u64, u64> = BTreeMap::new();
    for header in headers.values() {
        let begin = begins.entry(header.life).or_insert(header.sequence);
        *begin = header.sequence.min(*begin);
    }
    // From the latest life to the first: the least number that any later life has used.
    let mut least = u64::MAX;
    for begin in begins.values_mut().rev() {
        let own = *begin;
        *begin = least;
        least = least.min(own);
    }
    headers.retain(|_, h| begins.get(&h.life).is_none_or(|least| h.sequence < *least));
}

/// Where the log ends.
struct End {
    segment: u64,
    offset: usize,
    sequence: u64,
    chain: u32,
    sealed: bool,
    torn: Option<TornTail>,
    /// Whether planted bug B05 cut the log here.
    planted: bool,
}

/// What is found where a batch is expected.
enum Probe {
    Valid((u64, usize), Header),
    Broken,
    Absent,
}

struct Walk<'a> {
    segments: &'a BTreeMap<u64, Bytes>,
    survey: &'a Survey,
    replay: Replay,
    at: (u64, usize),
    expected: Expected,
    sealed: bool,
}

impl<'a> Walk<'a> {
    fn begin(segments: &'a BTreeMap<u64, Bytes>, survey: &'a Survey) -> Self {
        let at = (survey.start, 0);
        let log_id = survey.log_id;
        let first = survey.headers.range(at..).next();
        let expected = match first {
            _ if survey.start == 1 => {
                Expected { log_id, life: 1, sequence: 1, chain: chain_origin(log_id) }
            }
            Some((found, h)) if *found == at => {
                Expected { log_id, life: h.life, sequence: h.sequence, chain: h.chain }
            }
            // The checkpoint that opens the oldest needed segment is gone: whatever preceded the
            // first legible batch is missing.
            Some((_, h)) => {
                let sequence = h.sequence.saturating_sub(1).max(1);
                Expected { log_id, life: 1, sequence, chain: 0 }
            }
            None => Expected { log_id, life: 1, sequence: survey.mark.max(1), chain: 0 },
        };
        let replay = Replay::default();
        Self { segments, survey, replay, at, expected, sealed: false }
    }

    fn run(&mut self, faults: &Faults) -> End {
        loop {
            match self.probe() {
                Probe::Valid(at, header) => {
                    let body = decode(&header, self.bytes(at));
                    if !body.whole && self.survey.mark < header.sequence {
                        return self.torn(at, Some(&body));
                    }
                    if !body.whole && bug!(faults, 5, true, false) {
                        return self.end(None, true);
                    }
                    self.replay.damage_found |= !body.whole;
                    self.replay.apply(at.0, header.life, body);
                    self.step_over(at, &header);
                }
                Probe::Absent if self.tail_is_empty() => return self.end(None, false),
                Probe::Broken | Probe::Absent if self.survey.mark < self.expected.sequence => {
                    return self.torn(self.at, None);
                }
                Probe::Broken | Probe::Absent => {
                    if bug!(faults, 5, true, false) {
                        return self.end(None, true);
                    }
                    let next = self.survey.next_after(self.at, &self.expected);
                    let life = next.map_or(self.expected.life, |(_, h)| h.life);
                    self.replay.blind_damage(life);
                    let Some((at, header)) = next else { return self.end_past_everything() };
                    self.at = at;
                    self.expected.life = header.life;
                    self.expected.sequence = header.sequence;
                    self.expected.chain = header.chain;
                }
            }
        }
    }

    fn bytes(&self, at: (u64, usize)) -> &'a [u8] {
        self.segments.get(&at.0).and_then(|image| image.get(at.1..)).unwrap_or_default()
    }

    /// Looks where the last batch ended, and at the beginning of the next segment.
    fn probe(&self) -> Probe {
        let places = [self.at, (self.at.0 + 1, 0)];
        for at in places {
            let fits = |h: &&Header| {
                h.sequence == self.expected.sequence
                    && h.chain == self.expected.chain
                    && self.expected.life <= h.life
            };
            if let Some(header) = self.survey.headers.get(&at).filter(fits) {
                return Probe::Valid(at, *header);
            }
        }
        let left = |at: &(u64, usize)| Header::resembles(self.bytes(*at), &self.expected);
        if places.iter().any(left) { Probe::Broken } else { Probe::Absent }
    }

    fn tail_is_empty(&self) -> bool {
        self.survey.mark < self.expected.sequence
            && self.survey.next_after(self.at, &self.expected).is_none()
    }

    fn step_over(&mut self, at: (u64, usize), header: &Header) {
        self.at = (at.0, at.1 + header.span_bytes());
        self.expected.life = header.life;
        self.expected.sequence = header.sequence + 1;
        self.expected.chain = header.crc;
        self.sealed = header.record_count == 0;
    }

    /// Ends the log at the batch expected now: it is broken and above the mark.
    fn torn(&mut self, at: (u64, usize), body: Option<&Body>) -> End {
        let mut groups = body.and_then(legible_groups);
        let mut batches = 1;
        let from = (at.0, at.1 + BLOCK_BYTES);
        let fits =
            |h: &&Header| self.expected.sequence < h.sequence && self.expected.life <= h.life;
        let later: Vec<_> = self
            .survey
            .headers
            .range(from..)
            .filter(|(_, h)| fits(h))
            .map(|(a, h)| (*a, *h))
            .collect();
        for (at, header) in later {
            batches += 1;
            let lost = legible_groups(&decode(&header, self.bytes(at)));
            groups = groups.zip(lost).map(|(mut groups, lost)| {
                for (id, lost_to) in lost {
                    let known = groups.entry(id).or_default();
                    *known = (*known).max(lost_to);
                }
                groups
            });
        }
        self.replay.torn(groups.as_ref());
        self.end(Some(TornTail { batches, groups }), false)
    }

    fn end(&self, torn: Option<TornTail>, planted: bool) -> End {
        let len = self.segments.get(&self.at.0).map_or(0, Bytes::len);
        // A damaged batch may say that it goes on behind the segment's end: the next batch may also
        // open the next segment.
        let (segment, offset) = if padded(len) < self.at.1 { (self.at.0 + 1, 0) } else { self.at };
        End {
            segment,
            offset,
            sequence: self.expected.sequence,
            chain: self.expected.chain,
            sealed: self.sealed,
            torn,
            planted,
        }
    }

    /// Nothing legible follows damage: go on in a new segment, past every number ever used.
    fn end_past_everything(&self) -> End {
        let last = self.segments.range(..NUMBER_MAX).next_back().map_or(0, |(id, _)| *id);
        End {
            segment: last.max(self.at.0) + 1,
            offset: 0,
            sequence: self.survey.sequence_max.max(self.survey.mark) + 1,
            chain: self.expected.chain,
            sealed: false,
            torn: None,
            planted: false,
        }
    }
}

/// The groups of a batch with their highest entry, if every directory entry is legible.
fn legible_groups(body: &Body) -> Option<BTreeMap<ShardId, Option<u64>>> {
    let mut groups: BTreeMap<ShardId, Option<u64>> = BTreeMap::new();
    for found in &body.records {
        let (id, index) = match found {
            Found::Record(id, LogRecord::Entry { index, .. }, _) => (*id, Some(*index)),
            Found::Spoiled(id, fields) if fields.kind == KIND_ENTRY => (*id, Some(fields.index)),
            Found::Record(id, ..) | Found::Spoiled(id, _) => (*id, None),
            Found::Illegible => return None,
        };
        if id != NODE {
            let known = groups.entry(id).or_default();
            *known = (*known).max(index);
        }
    }
    Some(groups)
}
