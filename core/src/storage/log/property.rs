//! The log against a tiny model and a disk that tears, loses and flips.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::format::{HEADER_BYTES, Header};
use super::*;
use crate::base::buggify::Faults;
use crate::base::id::ShardId;
use crate::base::rng::Rng;
use crate::base::time::Mono;

const SECTOR: usize = 512;
const CONFIG: LogConfig =
    LogConfig { segment_bytes: 48 << 10, batch_bytes_max: 24 << 10, segments_max: 4 };

/// What a group should look like.
#[derive(Clone, Debug, Default, PartialEq)]
struct GroupModel {
    entries: BTreeMap<u64, (u64, Bytes)>,
    purged: Option<(u64, u64)>,
    vote: Option<Bytes>,
}

type Model = BTreeMap<ShardId, GroupModel>;

fn apply(model: &mut Model, id: ShardId, record: &LogRecord) {
    if *record == LogRecord::GroupRemoved {
        model.remove(&id);
        return;
    }
    let group = model.entry(id).or_default();
    match record {
        LogRecord::Entry { term, index, payload } => {
            group.entries.insert(*index, (*term, payload.clone()));
        }
        LogRecord::Truncate { from } => drop(group.entries.split_off(from)),
        LogRecord::Purge { term, index } => {
            group.purged = Some((*term, *index));
            group.entries = group.entries.split_off(&(index + 1));
        }
        LogRecord::Vote(bytes) => group.vote = Some(bytes.clone()),
        _ => {}
    }
}

/// A disk: durable bytes, and writes that are not synced yet.
#[derive(Clone, Default)]
struct Disk {
    durable: BTreeMap<LogFile, Vec<u8>>,
    pending: Vec<(u64, LogWrite)>,
}

impl Disk {
    fn take(&mut self, plan: AppendPlan) {
        self.pending.extend(plan.writes.into_iter().map(|w| (plan.ticket, w)));
    }

    fn put(&mut self, file: LogFile, at: usize, bytes: &[u8]) {
        let image = self.durable.entry(file).or_default();
        image.resize(image.len().max(at + bytes.len()), 0);
        image[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn sync(&mut self, ticket: u64) {
        let pending = std::mem::take(&mut self.pending);
        let (done, left) = pending.into_iter().partition(|(t, _)| *t <= ticket);
        self.pending = left;
        let done: Vec<_> = done;
        for (_, w) in done {
            self.put(w.file, w.offset as usize, &w.bytes);
        }
    }

    /// Any subset of unsynced sectors stays.
    fn crash(&mut self, rng: &mut Rng) {
        let keep = rng.unit();
        for (_, w) in std::mem::take(&mut self.pending) {
            for (i, sector) in w.bytes.chunks(SECTOR).enumerate() {
                if rng.chance(keep) {
                    self.put(w.file, w.offset as usize + i * SECTOR, sector);
                }
            }
        }
    }

    fn recover(&self, faults: &Faults) -> Recovered {
        let mut segments = BTreeMap::new();
        let mut votes = Vec::new();
        for (file, bytes) in &self.durable {
            let bytes = Bytes::copy_from_slice(bytes);
            match file {
                LogFile::Segment(id) => drop(segments.insert(*id, bytes)),
                LogFile::Votes(_) => votes.push(bytes),
            }
        }
        recover(&segments, &votes, 77, faults)
    }
}

/// A node that uses the log: the writer, its disk, and the model after every append.
struct Scene {
    rng: Rng,
    disk: Disk,
    writer: LogWriter,
    /// By ticket of the append that led to it.
    history: BTreeMap<u64, Model>,
    now: Mono,
    value: u64,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let disk = Disk::default();
        let writer = LogWriter::resume(disk.recover(&Faults::default()).resume, CONFIG);
        let history = BTreeMap::from([(0, Model::new())]);
        Self { rng: Rng::new(seed), disk, writer, history, now: Mono::ZERO, value: 0 }
    }

    fn model(&self) -> Model {
        self.history.values().next_back().cloned().unwrap_or_default()
    }

    /// A record that makes sense for the group as it stands.
    fn any_record(&mut self, model: &Model) -> (ShardId, LogRecord) {
        let id = ShardId(self.rng.below(4) as u32);
        let group = model.get(&id).cloned().unwrap_or_default();
        let next_after_purge = group.purged.map_or(0, |(_, i)| i + 1);
        let next = group.entries.keys().next_back().map_or(next_after_purge, |i| i + 1);
        self.value += 1;
        let record = match self.rng.below(20) {
            0 => LogRecord::Truncate { from: self.rng.between(next_after_purge, next) },
            1 | 2 if next_after_purge < next => {
                let index = self.rng.between(next_after_purge, next - 1);
                LogRecord::Purge { term: 1, index }
            }
            3 | 4 => LogRecord::Vote(self.value.to_be_bytes().to_vec().into()),
            5 if self.rng.chance(0.2) => LogRecord::GroupRemoved,
            _ => {
                let len_max = if self.rng.chance(0.1) { 9_000 } else { 300 };
                let len = self.rng.below(len_max);
                let mut payload = vec![self.value as u8; len as usize];
                payload.extend(self.value.to_be_bytes());
                LogRecord::Entry { term: 1, index: next, payload: payload.into() }
            }
        };
        (id, record)
    }

    fn step(&mut self) {
        self.now += SEAL_AFTER / 2;
        match self.rng.below(10) {
            0..6 => {
                let mut model = self.model();
                let mut records = Vec::new();
                for _ in 0..self.rng.between(1, 5) {
                    let (id, record) = self.any_record(&model);
                    apply(&mut model, id, &record);
                    records.push((id, record));
                }
                let plan = self.writer.append(records);
                self.history.insert(plan.ticket, model);
                self.disk.take(plan);
            }
            6..9 => {
                let tickets: Vec<_> = self.disk.pending.iter().map(|(t, _)| *t).collect();
                if let Some(ticket) = self.rng.pick(&tickets).copied() {
                    self.persist(ticket);
                }
            }
            _ => {
                if let Some(plan) = self.writer.seal(self.now) {
                    self.disk.take(plan);
                }
            }
        }
    }

    fn persist(&mut self, ticket: u64) {
        self.disk.sync(ticket);
        for segment in self.writer.persisted(self.now, ticket) {
            self.disk.durable.remove(&LogFile::Segment(segment));
        }
    }

    fn quiesce(&mut self) {
        self.persist(self.writer.last_ticket());
        self.now += SEAL_AFTER;
        if let Some(plan) = self.writer.seal(self.now) {
            self.disk.take(plan);
            self.persist(self.writer.last_ticket());
        }
    }

    /// What recovery found must be the model after some append that was not before the last durable
    /// one. The next life goes on from there.
    fn crash_and_check(&mut self) {
        let durable = self.writer.durable();
        self.disk.crash(&mut self.rng);
        let found = self.disk.recover(&Faults::default());
        assert!(!matches!(found.verdict, Verdict::Damaged(_)), "a crash is no damage: {found:?}");
        let sure = self.history.range(..=durable).next_back().map(|(t, _)| *t).unwrap_or(0);
        let fits: Vec<_> = self
            .history
            .range(sure..)
            .filter(|(_, m)| same_log(m, &found))
            .map(|(t, _)| *t)
            .collect();
        assert!(!fits.is_empty(), "no prefix fits: {found:?}");
        // Votes may be newer than the log: their second copy is written beside it.
        let mut model = self.history[&fits[0]].clone();
        for (id, group) in &found.groups {
            let given = self
                .history
                .range(sure..)
                .any(|(_, m)| m.get(id).and_then(|g| g.vote.as_ref()) == group.vote.as_ref());
            assert!(given, "a vote from nowhere, or an old one, in {id}");
            model.entry(*id).or_default().vote.clone_from(&group.vote);
        }
        self.writer = LogWriter::resume(found.resume, CONFIG);
        self.history = BTreeMap::from([(self.writer.last_ticket(), model)]);
    }
}

/// Whether the groups' entries and purge points agree (a group may be known by its vote alone).
fn same_log(model: &Model, found: &Recovered) -> bool {
    let known = found.groups.iter().all(|(id, group)| {
        let empty = GroupModel::default();
        same_group(model.get(id).unwrap_or(&empty), group)
    });
    let nothing = GroupModel::default();
    known && model.iter().all(|(id, g)| found.groups.contains_key(id) || *g == nothing)
}

fn same_group(model: &GroupModel, found: &RecoveredGroup) -> bool {
    let entries = model.entries.iter().map(|(i, (t, p))| (*i, *t, p));
    model.purged == found.purged
        && entries.eq(found.entries.iter().map(|e| (e.index, e.term, &e.payload)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever subset of unsynced sectors a crash leaves, nothing durable is lost, in any life.
    #[test]
    fn a_crash_loses_only_what_was_not_durable(seed: u64, steps in 1usize..60, lives in 1usize..5) {
        let mut scene = Scene::new(seed);
        for _ in 0..lives {
            for _ in 0..steps {
                scene.step();
            }
            scene.crash_and_check();
        }
    }

    /// One flipped bit anywhere: a group that is called whole is whole, and its vote is right.
    #[test]
    fn a_flipped_bit_is_never_believed(seed: u64, steps in 1usize..60) {
        let mut scene = Scene::new(seed);
        for _ in 0..steps {
            scene.step();
        }
        scene.quiesce();
        let model = scene.model();
        let files: Vec<_> = scene.disk.durable.keys().copied().collect();
        for _ in 0..30 {
            let Some(file) = scene.rng.pick(&files).copied() else { return Ok(()) };
            let mut disk = scene.disk.clone();
            let len = disk.durable[&file].len() as u64;
            let at = scene.rng.below(len) as usize;
            if let Some(image) = disk.durable.get_mut(&file) {
                image[at] ^= 1 << scene.rng.below(8);
            }
            check_flip(&model, &disk.recover(&Faults::default()))?;
        }
    }

    /// Recovery is total.
    #[test]
    fn any_bytes_give_a_verdict(bytes in prop::collection::vec(any::<u8>(), 0..9_000)) {
        log_segment(&bytes);
    }
}

fn check_flip(model: &Model, found: &Recovered) -> Result<(), TestCaseError> {
    for (id, group) in model {
        let Some(have) = found.groups.get(id) else {
            prop_assert!(found.verdict != Verdict::Clean, "{id} vanished from a clean log");
            prop_assert!(found.verdict != Verdict::AbsentTail, "{id} vanished");
            continue;
        };
        if have.trust == Trust::Whole {
            prop_assert!(same_group(group, have), "{id} is not whole: {found:?}");
        }
        // Where a removal is illegible, the vote from before it is there: too new never harms.
        if group.vote.is_some() || have.trust == Trust::Whole {
            prop_assert_eq!(&have.vote, &group.vote, "the vote of {} is wrong", id);
        }
    }
    Ok(())
}

/// Ten entries of one group in ten batches, sealed; the disk and the offsets of their batches.
fn ten_batches() -> (Disk, Vec<usize>) {
    let mut scene = Scene::new(1);
    for index in 0..10 {
        let payload = Bytes::from(vec![index as u8; 100]);
        let record = LogRecord::Entry { term: 1, index, payload };
        let plan = scene.writer.append(vec![(ShardId(1), record)]);
        scene.disk.take(plan);
        scene.persist(scene.writer.last_ticket());
    }
    scene.quiesce();
    let image = &scene.disk.durable[&LogFile::Segment(1)];
    let starts = (0..image.len()).step_by(4_096);
    let starts = starts.filter(|at| Header::read(&image[*at..]).is_some()).collect();
    (scene.disk, starts)
}

fn flip(disk: &mut Disk, at: usize) {
    if let Some(image) = disk.durable.get_mut(&LogFile::Segment(1)) {
        image[at] ^= 0x10;
    }
}

#[test]
fn a_broken_entry_below_the_mark_is_damage_of_its_group() {
    let (mut disk, starts) = ten_batches();
    flip(&mut disk, starts[4] + HEADER_BYTES + 40);
    let found = disk.recover(&Faults::default());
    assert_eq!(found.verdict, Verdict::Damaged([ShardId(1)].into()));
    let group = &found.groups[&ShardId(1)];
    assert_eq!(group.trust, Trust::Damaged { lost_to: Some(9), vote_lost: false });
    assert_eq!(group.entries.len(), 4, "what precedes the damage is good");
}

/// What follows a lost beginning is no log: it has to be fetched again.
#[test]
fn a_group_whose_first_entry_is_broken_has_no_entries() {
    for at in [HEADER_BYTES + 40, 20] {
        let (mut disk, starts) = ten_batches();
        flip(&mut disk, starts[0] + at);
        let group = &disk.recover(&Faults::default()).groups[&ShardId(1)];
        assert_eq!(group.trust, Trust::Damaged { lost_to: Some(9), vote_lost: false });
        assert_eq!((group.purged, &*group.entries), (None, &[][..]));
    }
}

#[test]
fn a_broken_header_below_the_mark_is_damage() {
    let (mut disk, starts) = ten_batches();
    flip(&mut disk, starts[4] + 20);
    let found = disk.recover(&Faults::default());
    assert_eq!(found.verdict, Verdict::Damaged([ShardId(1)].into()));
}

#[test]
fn a_broken_batch_above_the_mark_is_a_torn_tail() {
    let (mut disk, starts) = ten_batches();
    let seal = starts[10];
    let Some(image) = disk.durable.get_mut(&LogFile::Segment(1)) else { panic!("no segment") };
    image[seal..].fill(0);
    flip(&mut disk, starts[9] + HEADER_BYTES + 40);
    let found = disk.recover(&Faults::default());
    let lost = BTreeMap::from([(ShardId(1), Some(9))]);
    assert_eq!(found.verdict, Verdict::TornTail(TornTail { batches: 1, groups: Some(lost) }));
    let group = &found.groups[&ShardId(1)];
    assert_eq!(group.trust, Trust::Torn { lost_to: Some(9), vote_lost: false });
    assert_eq!(group.entries.len(), 9);
}

#[test]
fn an_absent_tail_is_no_loss_and_a_sealed_log_is_clean() {
    let (mut disk, starts) = ten_batches();
    assert_eq!(disk.recover(&Faults::default()).verdict, Verdict::Clean);
    let Some(image) = disk.durable.get_mut(&LogFile::Segment(1)) else { panic!("no segment") };
    image[starts[10]..].fill(0);
    let found = disk.recover(&Faults::default());
    assert_eq!(found.verdict, Verdict::AbsentTail);
    assert_eq!(found.groups[&ShardId(1)].trust, Trust::Whole);
}

#[test]
fn distrust_survives_restarts_until_it_is_lifted() {
    let (mut disk, starts) = ten_batches();
    flip(&mut disk, starts[4] + HEADER_BYTES + 40);
    let g = ShardId(1);
    for (lift, trusted) in [(false, false), (true, true)] {
        let found = disk.recover(&Faults::default());
        let mut writer = LogWriter::resume(found.resume, CONFIG);
        let entry = |index| LogRecord::Entry { term: 2, index, payload: Bytes::new() };
        let mut records: Vec<_> = (4..10).map(|i| (g, entry(i))).collect();
        if lift {
            records.push((g, LogRecord::Trusted));
        }
        let plan = writer.append(records);
        disk.take(plan);
        disk.sync(u64::MAX);
        let again = disk.recover(&Faults::default());
        assert_eq!(again.groups[&g].trust == Trust::Whole, trusted);
        assert_eq!(again.groups[&g].entries.len(), 10);
    }
}

#[test]
fn segments_go_when_their_entries_are_purged() {
    let mut scene = Scene::new(3);
    for index in 1..=200u64 {
        let payload = Bytes::from(vec![7; 3_000]);
        let records = vec![
            (ShardId(1), LogRecord::Entry { term: 1, index, payload }),
            (ShardId(1), LogRecord::Purge { term: 1, index: index.saturating_sub(5) }),
        ];
        let plan = scene.writer.append(records);
        scene.disk.take(plan);
        scene.persist(scene.writer.last_ticket());
    }
    assert!(scene.disk.durable.len() <= 5, "kept {:?}", scene.disk.durable.keys());
    let found = scene.disk.recover(&Faults::default());
    assert_eq!(found.groups[&ShardId(1)].entries.len(), 5);
}

#[test]
fn stragglers_are_named_and_rewriting_them_frees_segments() {
    let mut scene = Scene::new(4);
    let old = LogRecord::Entry { term: 1, index: 0, payload: Bytes::from_static(b"old") };
    let plan = scene.writer.append(vec![(ShardId(9), old.clone())]);
    scene.disk.take(plan);
    for index in 1..=100u64 {
        let payload = Bytes::from(vec![7; 3_000]);
        let plan = scene.writer.append(vec![
            (ShardId(1), LogRecord::Entry { term: 1, index, payload }),
            (ShardId(1), LogRecord::Purge { term: 1, index }),
        ]);
        scene.disk.take(plan);
        scene.persist(scene.writer.last_ticket());
    }
    let stragglers = scene.writer.stragglers();
    assert_eq!(stragglers, [Straggler { group: ShardId(9), first: 0, last: 0, bytes: 3 }]);
    let plan = scene.writer.rewrite(vec![(ShardId(9), old)]);
    scene.disk.take(plan);
    scene.persist(scene.writer.last_ticket());
    scene.quiesce();
    let vote = LogRecord::Vote(Bytes::from_static(b"v"));
    let plan = scene.writer.append(vec![(ShardId(1), vote)]);
    scene.disk.take(plan);
    scene.quiesce();
    assert!(scene.disk.durable.len() <= 4, "kept {:?}", scene.disk.durable.keys());
    assert_eq!(scene.disk.recover(&Faults::default()).groups[&ShardId(9)].entries.len(), 1);
}

#[cfg(feature = "planted")]
#[test]
fn planted_b05_truncates_below_the_mark() {
    let (mut disk, starts) = ten_batches();
    flip(&mut disk, starts[4] + HEADER_BYTES + 40);
    let faults = Faults { bug: Some(5), ..Faults::default() };
    let found = disk.recover(&faults);
    assert!(!matches!(found.verdict, Verdict::Damaged(_)));
    assert_eq!(found.groups[&ShardId(1)].trust, Trust::Whole);
    assert_eq!(found.groups[&ShardId(1)].entries.len(), 4);
}
