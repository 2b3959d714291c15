//! Where the next bytes of the log go.
//!
//! The writer turns records into writes at (file, offset) and learns from the shell what became
//! durable. It keeps no payloads; it keeps the small states (votes, node records) because every
//! segment begins with them.

use std::collections::{BTreeSet, VecDeque};
use std::mem;
use std::time::Duration;

use bytes::Bytes;

use super::format::{
    FLAG_CHECKPOINT, FLAG_SEAL, HEADER_BYTES, Header, Outgoing, chain_origin, encode, padded,
    record_bytes,
};
use super::record::{LogRecord, NODE};
use super::recover::Resume;
use super::usage::Usage;
use super::votes::{STATE_BYTES_MAX, States, VoteCopy};
use crate::base::id::ShardId;
use crate::base::limit;
use crate::base::time::Mono;

/// A log that was quiet for so long is sealed.
pub const SEAL_AFTER: Duration = Duration::from_millis(5);

/// A file of the log directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum LogFile {
    /// A segment by number.
    Segment(u64),
    /// The vote file's copy 0 or 1, rewritten whole.
    Votes(u8),
}

/// Bytes for a place in a log file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogWrite {
    /// Which file; made if there is none.
    pub file: LogFile,
    /// Where.
    pub offset: u64,
    /// What.
    pub bytes: Bytes,
}

/// Writes that become durable together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AppendPlan {
    /// Counts up; given back to [`LogWriter::persisted`].
    pub ticket: u64,
    /// In order.
    pub writes: Vec<LogWrite>,
    /// Whether this is a seal, which no one waits for.
    pub seal: bool,
}

/// Live entries that alone keep the oldest segment: purge them, or write them again by
/// [`LogWriter::rewrite`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Straggler {
    /// Whose.
    pub group: ShardId,
    /// First index.
    pub first: u64,
    /// Last index.
    pub last: u64,
    /// Payload bytes.
    pub bytes: u64,
}

/// Sizes of a log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LogConfig {
    /// A segment is closed when the next batch does not fit. A batch that is larger than a segment
    /// gets one of its own, as long as it is.
    pub segment_bytes: u64,
    /// Records are spread over several batches past this.
    pub batch_bytes_max: usize,
    /// Segments that may be kept before stragglers are named.
    pub segments_max: u64,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { segment_bytes: limit::SEGMENT_BYTES, batch_bytes_max: 32 << 20, segments_max: 8 }
    }
}

/// A batch on its way to disk.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    sequence: u64,
    mark: u64,
    first_segment: u64,
    vote_slot: Option<u8>,
}

/// See the module.
#[derive(Debug)]
pub struct LogWriter {
    config: LogConfig,
    log_id: u64,
    life: u64,
    segment: u64,
    offset: u64,
    sequence: u64,
    chain: u32,
    /// The newest batch known durable.
    durable: u64,
    /// The newest batch that a written header names durable.
    named: u64,
    /// The newest batch that a durable header names durable.
    confirmed: u64,
    /// (batch, first needed segment that it announced), rising in both.
    announced: VecDeque<(u64, u64)>,
    in_flight: VecDeque<InFlight>,
    quiet_since: Mono,
    sealed: bool,
    begun: bool,
    /// Segments below are needed no more.
    start: u64,
    existing: BTreeSet<u64>,
    usage: Usage,
    states: States,
    state_number: u64,
    generation: u64,
    durable_slot: u8,
    /// Groups whose entries past a gap are void.
    cuts: Vec<(ShardId, u64)>,
}

impl LogWriter {
    /// A writer that goes on where recovery found the end (the beginning, for a new log).
    ///
    /// What recovery read must be durable: the shell syncs the files before it reads them.
    pub fn resume(resume: Resume, config: LogConfig) -> Self {
        let state_number = resume.state_number;
        Self {
            config,
            log_id: resume.log_id,
            life: resume.life,
            segment: resume.segment,
            offset: resume.offset,
            sequence: resume.sequence,
            chain: resume.chain,
            durable: resume.sequence - 1,
            named: 0,
            confirmed: 0,
            announced: VecDeque::new(),
            in_flight: VecDeque::new(),
            quiet_since: Mono::ZERO,
            sealed: false,
            begun: false,
            start: resume.start,
            existing: resume.existing,
            usage: resume.usage,
            states: resume.states,
            state_number,
            generation: resume.generation,
            durable_slot: resume.durable_slot,
            cuts: resume.cuts,
        }
    }

    /// Plans the writes of some records, in order. They are durable once
    /// [`LogWriter::persisted`] is told of the plan's ticket.
    ///
    /// # Panics
    ///
    /// If a payload is over `ENTRY_BYTES_MAX` and a little, or a vote or node record over 4 KiB:
    /// whoever makes them checks first.
    pub fn append(&mut self, records: Vec<(ShardId, LogRecord)>) -> AppendPlan {
        assert!(!records.is_empty(), "nothing to append");
        let mut writes = Vec::new();
        let state_changed = records.iter().any(|(_, r)| r.is_state());
        let outgoing: Vec<_> =
            records.into_iter().map(|(group, record)| self.number(group, record)).collect();
        let vote_slot = (state_changed || !self.begun).then(|| self.write_vote_copy(&mut writes));
        if !mem::replace(&mut self.begun, true) {
            self.write_checkpoint(&mut writes);
        }
        self.write_batches(outgoing, 0, &mut writes);
        if let Some(last) = self.in_flight.back_mut() {
            last.vote_slot = vote_slot;
        }
        self.sealed = false;
        AppendPlan { ticket: self.sequence - 1, writes, seal: false }
    }

    /// Appends entries again so that the segments that hold their old copies may go.
    pub fn rewrite(&mut self, records: Vec<(ShardId, LogRecord)>) -> AppendPlan {
        let copied: Vec<_> = records
            .iter()
            .filter_map(|(group, record)| match record {
                LogRecord::Entry { index, .. } => Some((*group, *index)),
                _ => None,
            })
            .collect();
        let before = self.segment;
        let plan = self.append(records);
        for run in copied.chunk_by(|(g, i), (h, j)| g == h && i + 1 == *j) {
            if let (Some((group, first)), Some((_, last))) = (run.first(), run.last()) {
                self.usage.forget(*group, *first, *last, before);
            }
        }
        plan
    }

    /// All writes up to this ticket are durable. Returns the segments that nobody needs any more.
    pub fn persisted(&mut self, now: Mono, ticket: u64) -> Vec<u64> {
        assert!(ticket < self.sequence, "a sync of a batch that was never written");
        self.durable = self.durable.max(ticket);
        self.quiet_since = now;
        while let Some(batch) = self.in_flight.front().filter(|b| b.sequence <= ticket).copied() {
            self.in_flight.pop_front();
            self.confirmed = self.confirmed.max(batch.mark);
            self.durable_slot = batch.vote_slot.unwrap_or(self.durable_slot);
            let known = self.announced.back().map_or(self.start, |(_, first)| *first);
            if known < batch.first_segment {
                self.announced.push_back((batch.sequence, batch.first_segment));
            }
        }
        let confirmed = self.confirmed;
        while let Some((_, first)) = self.announced.pop_front_if(|(seq, _)| *seq <= confirmed) {
            self.start = first;
        }
        let kept = self.existing.split_off(&self.start);
        mem::replace(&mut self.existing, kept).into_iter().collect()
    }

    /// When a seal is due, if the log stays quiet.
    pub fn seal_due(&self) -> Option<Mono> {
        let quiet = self.in_flight.is_empty() && self.begun;
        (quiet && !self.sealed && self.named < self.durable).then(|| self.quiet_since + SEAL_AFTER)
    }

    /// A header that names the newest durable batch, if one is due.
    pub fn seal(&mut self, now: Mono) -> Option<AppendPlan> {
        if now < self.seal_due()? {
            return None;
        }
        let mut writes = Vec::new();
        self.write_batch(Vec::new(), FLAG_SEAL, &mut writes);
        self.sealed = true;
        Some(AppendPlan { ticket: self.sequence - 1, writes, seal: true })
    }

    /// The newest ticket known durable.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// The newest ticket given out.
    pub fn last_ticket(&self) -> u64 {
        self.sequence - 1
    }

    /// Segments in use, the active one included.
    pub fn segment_count(&self) -> u64 {
        self.segment + 1 - self.usage.first_needed(self.segment)
    }

    /// Bytes of all segments past which [`stragglers`](Self::stragglers) are named.
    pub fn bytes_max(&self) -> u64 {
        self.config.segments_max * self.config.segment_bytes
    }

    /// Who keeps the oldest segment, if too many are kept.
    pub fn stragglers(&self) -> Vec<Straggler> {
        if self.segment_count() <= self.config.segments_max {
            return Vec::new();
        }
        let holders = self.usage.holders(self.usage.first_needed(self.segment));
        let of = |(group, first, last, bytes)| Straggler { group, first, last, bytes };
        holders.into_iter().map(of).collect()
    }

    /// Gives a state record its number and remembers it.
    fn number(&mut self, group: ShardId, record: LogRecord) -> Outgoing {
        if !record.is_state() {
            return Outgoing { group, record, number: 0 };
        }
        self.state_number += 1;
        let number = self.state_number;
        match &record {
            LogRecord::Vote(bytes) => {
                assert!(bytes.len() <= STATE_BYTES_MAX, "vote over its bound");
                assert!(group != NODE, "a vote needs a group");
                self.states.offer((group, 0), number, bytes.clone());
            }
            LogRecord::NodeMeta { key, bytes } => {
                assert!(bytes.len() <= STATE_BYTES_MAX, "node record over its bound");
                assert!(group == NODE, "a node record belongs to the node");
                self.states.offer((NODE, *key), number, bytes.clone());
            }
            _ => self.states.remove(group, number),
        }
        Outgoing { group, record, number }
    }

    /// Writes the copy that is not the last durable one, so that a torn write spoils no good copy.
    fn write_vote_copy(&mut self, writes: &mut Vec<LogWrite>) -> u8 {
        self.generation += 1;
        let slot = 1 - self.durable_slot;
        let copy = VoteCopy {
            log_id: self.log_id,
            slot,
            generation: self.generation,
            mark: self.durable,
            states: self.states.clone(),
        };
        writes.push(LogWrite { file: LogFile::Votes(slot), offset: 0, bytes: copy.encode() });
        slot
    }

    fn write_checkpoint(&mut self, writes: &mut Vec<LogWrite>) {
        let mut records = Vec::new();
        let mut push = |group, record, number| records.push(Outgoing { group, record, number });
        for (key, number, bytes) in self.states.metas() {
            push(NODE, LogRecord::NodeMeta { key, bytes: bytes.clone() }, number);
        }
        for (group, number, bytes) in self.states.votes() {
            push(group, LogRecord::Vote(bytes.clone()), number);
        }
        for (group, used) in &self.usage.groups {
            if let Some((term, index)) = used.purged {
                push(*group, LogRecord::Purge { term, index }, 0);
            }
            if let Some(suspect) = &used.suspect {
                push(*group, suspect.clone(), 0);
            }
        }
        for (group, from) in mem::take(&mut self.cuts) {
            push(group, LogRecord::Truncate { from }, 0);
        }
        if !records.is_empty() {
            self.write_batches(records, FLAG_CHECKPOINT, writes);
        }
    }

    fn write_batches(&mut self, records: Vec<Outgoing>, flags: u16, writes: &mut Vec<LogWrite>) {
        let mut batch = Vec::with_capacity(records.len());
        let mut bytes = HEADER_BYTES;
        for outgoing in records {
            let more = record_bytes(&outgoing.record);
            if !batch.is_empty() && self.config.batch_bytes_max < bytes + more {
                self.write_batch(mem::take(&mut batch), flags, writes);
                bytes = HEADER_BYTES;
            }
            bytes += more;
            batch.push(outgoing);
        }
        self.write_batch(batch, flags, writes);
    }

    fn write_batch(&mut self, records: Vec<Outgoing>, flags: u16, writes: &mut Vec<LogWrite>) {
        let body: usize = records.iter().map(|r| record_bytes(&r.record)).sum();
        let end = self.offset + padded(HEADER_BYTES + body) as u64;
        // A checkpoint never rolls: rolling begins with one.
        let roll = self.config.segment_bytes < end && 0 < self.offset;
        if roll && flags != FLAG_CHECKPOINT {
            self.segment += 1;
            self.offset = 0;
            self.write_checkpoint(writes);
        }
        let mut header = Header {
            flags,
            log_id: self.log_id,
            life: self.life,
            segment: self.segment,
            offset: u32::try_from(self.offset).unwrap_or(u32::MAX),
            body_bytes: 0,
            sequence: self.sequence,
            mark: self.durable,
            first_segment: self.usage.first_needed(self.segment),
            chain: self.chain,
            record_count: 0,
            directory_crc: 0,
            crc: 0,
        };
        let bytes = encode(&mut header, &records);
        for outgoing in &records {
            self.usage.note(self.segment, outgoing.group, &outgoing.record);
        }
        let len = bytes.len() as u64;
        let file = LogFile::Segment(self.segment);
        self.existing.insert(self.segment);
        writes.push(LogWrite { file, offset: self.offset, bytes });
        self.in_flight.push_back(InFlight {
            sequence: header.sequence,
            mark: header.mark,
            first_segment: header.first_segment,
            vote_slot: None,
        });
        self.named = header.mark;
        self.offset += len;
        self.sequence += 1;
        self.chain = header.crc;
    }
}

impl Resume {
    /// The beginning of a log that has never been written.
    pub(super) fn fresh(log_id: u64, segment: u64) -> Self {
        Self {
            log_id,
            life: 1,
            segment,
            offset: 0,
            sequence: 1,
            chain: chain_origin(log_id),
            start: segment,
            existing: BTreeSet::new(),
            usage: Usage::default(),
            states: States::default(),
            state_number: 0,
            generation: 0,
            durable_slot: 1,
            cuts: Vec::new(),
        }
    }
}
