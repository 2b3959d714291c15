//! The body of the fuzz target `log_segment`: any bytes as the files of a log.
//!
//! # Format of the input
//!
//! ```text
//! segments u8 (modulo 3, plus 1) · two vote files, each: length u16be, bytes ·
//! the segments, one behind the other, each of as many blocks
//! ```
//!
//! What must hold for any bytes: a verdict, no panic, no more memory than a few times their length,
//! and a log that is written on after it reads back what was written. Once more with every checksum
//! and every chain put right, so that the fuzzer gets behind them; there, what was written need not
//! read back, because forged numbers may say that it is void.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::format::{BLOCK_BYTES, ENTRY_BYTES, HEADER_BYTES, chain_origin};
use super::{LogConfig, LogFile, LogRecord, LogWriter, Recovered, Verdict, recover};
use crate::base::buggify::Faults;
use crate::base::id::ShardId;
use crate::base::time::Mono;

/// The group that is written to after the recovery.
const PROBE: ShardId = ShardId(0x7072_6f62);
/// Small, so that a log of a few blocks goes on to another segment.
const CONFIG: LogConfig =
    LogConfig { segment_bytes: 64 << 10, batch_bytes_max: 32 << 10, segments_max: 2 };

/// The files of a log.
#[derive(Clone, Debug, Default)]
struct Files(BTreeMap<LogFile, Vec<u8>>);

/// Any bytes as the files of a log.
///
/// # Panics
///
/// If something of the module's list does not hold.
pub fn log_segment(bytes: &[u8]) {
    let files = Files::parse(bytes);
    let found = files.recover();
    judge(&files, &found);
    go_on(files.clone(), found, true);
    let forged = files.forged();
    let found = forged.recover();
    judge(&forged, &found);
    go_on(forged, found, false);
}

/// The input that stands for some files: what the corpus is made with.
pub fn log_segment_input(votes: [&[u8]; 2], segments: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![(segments.len().max(1) - 1) as u8];
    for file in votes {
        out.extend((file.len() as u16).to_be_bytes());
        out.extend(file);
    }
    let blocks = segments.iter().map(|s| s.len().div_ceil(BLOCK_BYTES)).max().unwrap_or(0);
    for segment in segments {
        let mut image = segment.to_vec();
        image.resize(blocks * BLOCK_BYTES, 0);
        out.extend(image);
    }
    out
}

impl Files {
    fn parse(bytes: &[u8]) -> Self {
        let mut files = Self::default();
        let Some((count, mut rest)) = bytes.split_first() else { return files };
        for slot in 0..2 {
            let Some((len, tail)) = rest.split_first_chunk::<2>() else { return files };
            let len = usize::from(u16::from_be_bytes(*len)).min(tail.len());
            let (file, tail) = tail.split_at(len);
            files.0.insert(LogFile::Votes(slot), file.to_vec());
            rest = tail;
        }
        let count = usize::from(count % 3) + 1;
        let blocks = rest.len().div_ceil(BLOCK_BYTES).div_ceil(count).max(1);
        for (at, segment) in rest.chunks(blocks * BLOCK_BYTES).enumerate() {
            files.0.insert(LogFile::Segment(at as u64 + 1), segment.to_vec());
        }
        files
    }

    fn recover(&self) -> Recovered {
        let (mut segments, mut votes) = (BTreeMap::new(), Vec::new());
        for (file, image) in &self.0 {
            let image = Bytes::copy_from_slice(image);
            match file {
                LogFile::Segment(id) => drop(segments.insert(*id, image)),
                LogFile::Votes(_) => votes.push(image),
            }
        }
        recover(&segments, &votes, 77, &Faults::default())
    }

    fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    fn put(&mut self, file: LogFile, at: usize, bytes: &[u8]) {
        let image = self.0.entry(file).or_default();
        image.resize(image.len().max(at + bytes.len()), 0);
        image[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// The same files with all checksums right and every batch chained to the one before it.
    fn forged(&self) -> Self {
        let mut forged = self.clone();
        let mut chain = None;
        for (file, image) in &mut forged.0 {
            match file {
                LogFile::Segment(id) => forge_segment(*id, image, &mut chain),
                LogFile::Votes(_) => forge_votes(image),
            }
        }
        forged
    }
}

fn put_crc(bytes: &mut [u8], covered: std::ops::Range<usize>, at: usize) {
    let crc = crc32c::crc32c(&bytes[covered]);
    bytes[at..at + 4].copy_from_slice(&crc.to_be_bytes());
}

fn number(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..at + 4).map_or(0, |b| b.iter().fold(0, |n, b| n << 8 | usize::from(*b)))
}

/// Offsets are those of `docs/FORMATS.md`.
fn forge_segment(id: u64, image: &mut [u8], chain: &mut Option<u32>) {
    let mut at = 0;
    while at + HEADER_BYTES <= image.len() {
        let batch = &mut image[at..];
        let mut blocks = 1;
        if batch.starts_with(b"SFLB") {
            let log_id: [u8; 8] = std::array::from_fn(|i| batch[8 + i]);
            batch[24..32].copy_from_slice(&id.to_be_bytes());
            batch[32..36].copy_from_slice(&(at as u32).to_be_bytes());
            let before = chain.unwrap_or_else(|| chain_origin(u64::from_be_bytes(log_id)));
            batch[64..68].copy_from_slice(&before.to_be_bytes());
            forge_directory(batch);
            put_crc(batch, 0..HEADER_BYTES - 4, HEADER_BYTES - 4);
            *chain = Some(number(batch, HEADER_BYTES - 4) as u32);
            blocks = (HEADER_BYTES + number(batch, 36)).div_ceil(BLOCK_BYTES).max(1);
        }
        at += blocks * BLOCK_BYTES;
    }
}

fn forge_directory(batch: &mut [u8]) {
    let entries = number(batch, 68).min((batch.len() - HEADER_BYTES) / ENTRY_BYTES);
    let payloads = HEADER_BYTES + entries * ENTRY_BYTES;
    for entry in 0..entries {
        let head = HEADER_BYTES + entry * ENTRY_BYTES;
        let from = payloads.saturating_add(number(batch, head + 24));
        let to = from.saturating_add(number(batch, head + 28));
        if to <= batch.len() {
            put_crc(batch, from..to, head + 32);
        }
        put_crc(batch, head..head + ENTRY_BYTES - 4, head + ENTRY_BYTES - 4);
    }
    put_crc(batch, HEADER_BYTES..payloads, 72);
}

fn forge_votes(image: &mut [u8]) {
    const HEAD: usize = 44;
    if HEAD <= image.len() {
        let end = HEAD.saturating_add(number(image, 32)).min(image.len());
        put_crc(image, HEAD..end, 36);
        put_crc(image, 0..HEAD - 4, HEAD - 4);
    }
}

/// What holds for every verdict.
fn judge(files: &Files, found: &Recovered) {
    let mut payload_bytes = 0;
    for (id, group) in &found.groups {
        let first = group.entries.first().map(|e| e.index);
        for (entry, at) in group.entries.iter().zip(first.unwrap_or(0)..) {
            assert_eq!(entry.index, at, "a gap in the entries of {id}");
            payload_bytes += entry.payload.len();
        }
        let begins = group.purged.map_or(0, |(_, purged)| purged.saturating_add(1));
        assert!(first.is_none_or(|first| first == begins), "{id} begins at {first:?}");
    }
    // Two copies of a payload may be in a log, but no byte of it is the payload of two entries.
    assert!(payload_bytes <= files.len(), "{payload_bytes} of payloads in {} bytes", files.len());
    if let Verdict::Damaged(groups) = &found.verdict {
        let known = groups.iter().all(|id| found.groups.contains_key(id));
        assert!(known, "damaged groups that nobody knows: {groups:?}");
    }
}

/// The node starts, votes, appends, and is killed after its writes are durable.
fn go_on(mut files: Files, found: Recovered, honest: bool) {
    let mut writer = LogWriter::resume(found.resume, CONFIG);
    let vote = Bytes::from_static(b"probe");
    let entry =
        |index| LogRecord::Entry { term: 1, index, payload: Bytes::from_static(b"written") };
    for records in [vec![LogRecord::Vote(vote.clone()), entry(0)], vec![entry(1)]] {
        let records = records.into_iter().map(|record| (PROBE, record)).collect();
        let plan = writer.append(records);
        assert!(!plan.writes.is_empty(), "an append wrote nothing");
        for write in &plan.writes {
            assert!(write.offset < CONFIG.segment_bytes.max(files.len() as u64), "{write:?}");
            files.put(write.file, write.offset as usize, &write.bytes);
        }
        for gone in writer.persisted(Mono::ZERO, plan.ticket) {
            files.0.remove(&LogFile::Segment(gone));
        }
    }
    let again = files.recover();
    judge(&files, &again);
    let before = found.groups.contains_key(&PROBE);
    if honest && !before {
        let probe = again.groups.get(&PROBE);
        assert_eq!(probe.and_then(|g| g.vote.clone()), Some(vote), "the vote is lost: {again:?}");
        let count = probe.map_or(0, |g| g.entries.len());
        assert_eq!(count, 2, "entries written after a recovery are lost: {again:?}");
    }
}
