//! A machine's log disk: what was written, what is durable, and what a crash leaves.
//!
//! # Invariants
//!
//! * Bytes are durable once a sync that began after their write has ended.
//! * A crash keeps all durable bytes and any subset of the others, in sectors of 512 bytes; a bit of
//!   those others may flip.
//! * The shadow follows what is durable.

use std::collections::BTreeMap;

use bytes::Bytes;
use shardforge_core::base::rng::Rng;
use shardforge_core::node::input::DiskImage;
use shardforge_core::storage::log::{LogFile, LogWrite};

use crate::shadow::Shadow;

const SECTOR: usize = 512;
/// Bytes of a segment in most worlds.
const SEGMENT_BYTES: usize = 1 << 20;
/// How often a flip looks for a sector that is not all zeros: padding proves nothing.
const FLIP_TRIES: usize = 32;
/// Probability that a sector that was not synced comes out of a crash with a wrong bit.
const UNSYNCED_FLIP: f64 = 0.01;

/// The files of one log directory.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    durable: BTreeMap<LogFile, Vec<u8>>,
    /// Written and not yet durable, in order.
    pending: Vec<(u64, LogWrite)>,
    retired: Vec<u64>,
    shadow: Shadow,
    /// The newest ticket that a running sync covers.
    syncing: Option<u64>,
    /// Syncs that have ended.
    pub sync_count: u64,
    /// Bytes written.
    pub written_bytes: u64,
}

fn put(files: &mut BTreeMap<LogFile, Vec<u8>>, write: &LogWrite) {
    let file = files.entry(write.file).or_insert_with(|| match write.file {
        LogFile::Segment(_) => Vec::with_capacity(SEGMENT_BYTES), // it grows to that
        LogFile::Votes(_) => Vec::new(),
    });
    let start = usize::try_from(write.offset).unwrap_or(usize::MAX);
    if matches!(write.file, LogFile::Votes(_)) {
        file.clear();
    }
    if file.len() < start + write.bytes.len() {
        file.resize(start + write.bytes.len(), 0);
    }
    file[start..start + write.bytes.len()].copy_from_slice(&write.bytes);
}

fn image_of(files: BTreeMap<LogFile, Vec<u8>>) -> DiskImage {
    let mut image = DiskImage::default();
    for (file, bytes) in files {
        match file {
            LogFile::Segment(number) => {
                image.segments.insert(number, Bytes::from(bytes));
            }
            LogFile::Votes(_) => image.vote_files.push(Bytes::from(bytes)),
        }
    }
    image
}

impl Disk {
    /// Writes; whether a sync must be started.
    pub fn append(&mut self, ticket: u64, writes: Vec<LogWrite>) -> bool {
        for write in writes {
            self.written_bytes += write.bytes.len() as u64;
            self.pending.push((ticket, write));
        }
        self.syncing.is_none() && self.begin_sync()
    }

    fn begin_sync(&mut self) -> bool {
        self.syncing = self.pending.last().map(|(ticket, _)| *ticket);
        self.syncing.is_some()
    }

    /// The running sync has ended: its ticket, and whether the next one begins.
    pub fn synced(&mut self) -> Option<(u64, bool)> {
        let ticket = self.syncing.take()?;
        let covered = self.pending.partition_point(|(of, _)| *of <= ticket);
        for (_, write) in self.pending.drain(..covered) {
            put(&mut self.durable, &write);
            if matches!(write.file, LogFile::Segment(_)) {
                self.shadow.write(&write.bytes);
            }
        }
        for segment in std::mem::take(&mut self.retired) {
            self.durable.remove(&LogFile::Segment(segment));
        }
        self.sync_count += 1;
        Some((ticket, self.begin_sync()))
    }

    /// Removes segments after the next sync.
    pub fn retire(&mut self, segments: Vec<u64>) {
        self.retired.extend(segments);
    }

    /// The machine loses power: every sector not durable is kept or lost by chance. Whether anything
    /// unsynced was there to lose.
    pub fn crash(&mut self, rng: &mut Rng) -> bool {
        let pending = std::mem::take(&mut self.pending);
        let had = !pending.is_empty();
        // Some crashes keep everything, some nothing, most tear.
        let keep = match rng.below(4) {
            0 => 0.0,
            1 => 1.0,
            _ => rng.unit(),
        };
        for (_, write) in &pending {
            match write.file {
                LogFile::Votes(_) => self.crash_votes(rng, write, keep),
                LogFile::Segment(_) => self.crash_segment(rng, write, keep),
            }
        }
        self.look_again(&pending);
        self.retired.clear();
        self.syncing = None;
        had
    }

    fn crash_votes(&mut self, rng: &mut Rng, write: &LogWrite, keep: f64) {
        let torn = usize::try_from(rng.below(write.bytes.len() as u64 + 1)).unwrap_or(0);
        let kept = if rng.chance(keep) { write.bytes.len() } else { torn };
        if 0 < kept {
            let mut file = self.durable.remove(&write.file).unwrap_or_default();
            file.resize(file.len().max(kept), 0);
            file[..kept].copy_from_slice(&write.bytes[..kept]);
            self.durable.insert(write.file, file);
        }
    }

    fn crash_segment(&mut self, rng: &mut Rng, write: &LogWrite, keep: f64) {
        for (number, sector) in write.bytes.chunks(SECTOR).enumerate() {
            if !rng.chance(keep) {
                continue;
            }
            let mut bytes = sector.to_vec();
            if rng.chance(UNSYNCED_FLIP) {
                let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap_or(0);
                bytes[at] ^= 1 << rng.below(8);
            }
            let offset = write.offset + (number * SECTOR) as u64;
            put(&mut self.durable, &LogWrite { file: write.file, offset, bytes: bytes.into() });
        }
    }

    /// Batches that a crash happened to keep whole are durable now, up to the first that it tore.
    fn look_again(&mut self, pending: &[(u64, LogWrite)]) {
        for (_, write) in pending {
            let (LogFile::Segment(_), Some(file)) = (write.file, self.durable.get(&write.file))
            else {
                continue;
            };
            let start = usize::try_from(write.offset).unwrap_or(usize::MAX).min(file.len());
            let end = start.saturating_add(write.bytes.len()).min(file.len());
            if start == end || !self.shadow.write(&file[start..end]) {
                return;
            }
        }
    }

    /// The process is killed, the machine lives on: what was written stays and becomes durable.
    pub fn kill(&mut self) {
        for (_, write) in std::mem::take(&mut self.pending) {
            put(&mut self.durable, &write);
            if matches!(write.file, LogFile::Segment(_)) {
                self.shadow.write(&write.bytes);
            }
        }
        self.retired.clear();
        self.syncing = None;
    }

    /// What is durable, as an oracle sees it.
    pub fn shadow(&self) -> &Shadow {
        &self.shadow
    }

    /// What a restart reads.
    pub fn image(&self) -> DiskImage {
        let mut written = self.durable.clone();
        for (_, write) in &self.pending {
            put(&mut written, write);
        }
        image_of(written)
    }

    /// What a restart would read if power went now and no unsynced byte survived.
    pub fn durable_image(&self) -> DiskImage {
        image_of(self.durable.clone())
    }

    /// Flips one bit of a durable segment byte, if there is one.
    pub fn flip(&mut self, rng: &mut Rng) {
        let segments: Vec<LogFile> = self
            .durable
            .iter()
            .filter(|(file, bytes)| matches!(file, LogFile::Segment(_)) && !bytes.is_empty())
            .map(|(file, _)| *file)
            .collect();
        let Some(file) = rng.pick(&segments) else { return };
        let Some(bytes) = self.durable.get_mut(file) else { return };
        let place = || usize::try_from(rng.below(bytes.len() as u64)).unwrap_or(0);
        let places: Vec<usize> = std::iter::repeat_with(place).take(FLIP_TRIES).collect();
        let holds_data = |at: &&usize| {
            let start = **at - **at % SECTOR;
            bytes[start..].iter().take(SECTOR).any(|byte| *byte != 0)
        };
        let at = places.iter().find(holds_data).copied().unwrap_or(places[0]);
        bytes[at] ^= 1 << rng.below(8);
    }
}
