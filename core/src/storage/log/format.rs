//! The bytes of a batch: header, directory of records, payloads, padding.
//!
//! All numbers are big-endian. The header has a checksum of its own; so has the directory, each of
//! its entries, and (within the entry) each payload: one flipped bit spoils one record, not the
//! batch's other groups.

use bytes::{BufMut, Bytes, BytesMut};

use super::record::{Fields, LogRecord};
use crate::base::codec::{CodecError, Reader};
use crate::base::id::ShardId;
use crate::base::limit;

/// Batches begin at multiples of this.
pub(super) const BLOCK_BYTES: usize = 4_096;
/// Bytes of a batch header.
pub(super) const HEADER_BYTES: usize = 84;
/// Bytes of a directory entry.
pub(super) const ENTRY_BYTES: usize = 40;
/// Bytes of one record's payload: raft's entry and the envelope around it.
pub(super) const PAYLOAD_BYTES_MAX: usize = limit::ENTRY_BYTES_MAX + (64 << 10);
/// The version of the batch format.
pub(super) const FORMAT_VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"SFLB";
/// The header's checksum covers what is before it.
const CRC_AT: usize = HEADER_BYTES - 4;

/// Nothing but a header, written when the log is quiet.
pub(super) const FLAG_SEAL: u16 = 1;
/// State copied forward.
pub(super) const FLAG_CHECKPOINT: u16 = 2;

/// The head of a batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Header {
    pub(super) flags: u16,
    /// Drawn at the log's creation: bytes of another log, or in a client's value, do not match it.
    pub(super) log_id: u64,
    /// Counts the recoveries of this log: leftovers of an earlier life are told by it.
    pub(super) life: u64,
    pub(super) segment: u64,
    pub(super) offset: u32,
    /// Bytes after the header, without padding.
    pub(super) body_bytes: u32,
    pub(super) sequence: u64,
    /// The newest batch known durable when this one was written.
    pub(super) mark: u64,
    /// The oldest segment that is still needed.
    pub(super) first_segment: u64,
    /// [`Header::crc`] of the batch before.
    pub(super) chain: u32,
    pub(super) record_count: u32,
    pub(super) directory_crc: u32,
    /// The checksum of all of the above: what the next batch chains to.
    pub(super) crc: u32,
}

/// The chain value that the first batch of a log carries.
pub(super) fn chain_origin(log_id: u64) -> u32 {
    crc32c::crc32c(&log_id.to_be_bytes())
}

/// `bytes` up to the next block boundary.
pub(super) fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(BLOCK_BYTES)
}

impl Header {
    /// Bytes that the batch takes in its segment.
    pub(super) fn span_bytes(&self) -> usize {
        padded(HEADER_BYTES + self.body_bytes as usize)
    }

    fn put(&mut self, out: &mut BytesMut) {
        let start = out.len();
        out.put_slice(&MAGIC);
        out.put_u16(FORMAT_VERSION);
        out.put_u16(self.flags);
        out.put_u64(self.log_id);
        out.put_u64(self.life);
        out.put_u64(self.segment);
        out.put_u32(self.offset);
        out.put_u32(self.body_bytes);
        out.put_u64(self.sequence);
        out.put_u64(self.mark);
        out.put_u64(self.first_segment);
        out.put_u32(self.chain);
        out.put_u32(self.record_count);
        out.put_u32(self.directory_crc);
        out.put_u32(0);
        self.crc = crc32c::crc32c(&out[start..]);
        out.put_u32(self.crc);
        assert_eq!(out.len() - start, HEADER_BYTES, "header has another size than its format");
    }

    /// Reads the fields without judging them.
    fn fields(bytes: &[u8]) -> Result<([u8; 4], u16, Self), CodecError> {
        let mut r = Reader::new(bytes);
        let mut magic = [0; 4];
        magic.copy_from_slice(r.take(4)?);
        let version = r.u16()?;
        let mut header = Self {
            flags: r.u16()?,
            log_id: r.u64()?,
            life: r.u64()?,
            segment: r.u64()?,
            offset: r.u32()?,
            body_bytes: r.u32()?,
            sequence: r.u64()?,
            mark: r.u64()?,
            first_segment: r.u64()?,
            chain: r.u32()?,
            record_count: r.u32()?,
            directory_crc: r.u32()?,
            crc: 0,
        };
        let _reserved = r.u32()?;
        header.crc = r.u32()?;
        Ok((magic, version, header))
    }

    /// The header at the start of `bytes`, if there is a whole one of our version.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(&MAGIC) || bytes.len() < HEADER_BYTES {
            return None;
        }
        let (_, version, header) = Self::fields(bytes).ok()?;
        let sound = version == FORMAT_VERSION
            && crc32c::crc32c(&bytes[..CRC_AT]) == header.crc
            && header.mark < header.sequence
            && header.first_segment <= header.segment
            && (header.record_count as usize).checked_mul(ENTRY_BYTES)?
                <= header.body_bytes as usize;
        sound.then_some(header)
    }

    /// Whether broken bytes are what is left of the batch that was expected here: they carry its
    /// chain, or its number in this life of this log. Bytes that never were that batch do not.
    pub(super) fn resembles(bytes: &[u8], expected: &Expected) -> bool {
        let Ok((magic, _, found)) = Self::fields(bytes) else { return false };
        let ours = magic == MAGIC || found.log_id == expected.log_id;
        let chained = found.chain == expected.chain
            && (found.sequence == expected.sequence || found.log_id == expected.log_id);
        let numbered = found.sequence == expected.sequence
            && found.log_id == expected.log_id
            && expected.life <= found.life;
        ours && (chained || numbered)
    }
}

/// The batch that should come next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Expected {
    pub(super) log_id: u64,
    pub(super) life: u64,
    pub(super) sequence: u64,
    pub(super) chain: u32,
}

/// One record on its way to disk: its group, what it says, and its number if it is a vote.
pub(super) struct Outgoing {
    pub(super) group: ShardId,
    pub(super) record: LogRecord,
    pub(super) number: u64,
}

/// Bytes that a record takes in a batch.
pub(super) fn record_bytes(record: &LogRecord) -> usize {
    ENTRY_BYTES + record.payload().len()
}

/// Writes a batch; `header` is completed (lengths and checksums).
///
/// # Panics
///
/// If a payload is over its bound; the proposer checks it first.
pub(super) fn encode(header: &mut Header, records: &[Outgoing]) -> Bytes {
    let payload_bytes: usize = records.iter().map(|r| r.record.payload().len()).sum();
    let body_bytes = records.len() * ENTRY_BYTES + payload_bytes;
    assert!(body_bytes < u32::MAX as usize, "batch over its bound");
    let mut directory = BytesMut::with_capacity(records.len() * ENTRY_BYTES);
    let mut at = 0usize;
    for Outgoing { group, record, number } in records {
        let payload = record.payload();
        assert!(payload.len() <= PAYLOAD_BYTES_MAX, "record over its bound");
        let Fields { kind, flags, term, index } = record.fields(*number);
        let start = directory.len();
        directory.put_u32(group.0);
        directory.put_u8(kind);
        directory.put_u8(flags);
        directory.put_u16(0);
        directory.put_u64(term);
        directory.put_u64(index);
        directory.put_u32(at as u32);
        directory.put_u32(payload.len() as u32);
        directory.put_u32(crc32c::crc32c(payload));
        let crc = crc32c::crc32c(&directory[start..]);
        directory.put_u32(crc);
        at += payload.len();
    }
    header.body_bytes = body_bytes as u32;
    header.record_count = records.len() as u32;
    header.directory_crc = crc32c::crc32c(&directory);
    let mut out = BytesMut::with_capacity(padded(HEADER_BYTES + body_bytes));
    header.put(&mut out);
    out.put_slice(&directory);
    for outgoing in records {
        out.put_slice(outgoing.record.payload());
    }
    out.resize(padded(out.len()), 0);
    out.freeze()
}

/// A record as found on disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Found {
    /// Whole: group, record, its number if it is a vote or a node record.
    Record(ShardId, LogRecord, u64),
    /// The payload is broken; what it was is known.
    Spoiled(ShardId, Fields),
    /// Not even the group is known.
    Illegible,
}

/// A batch as found on disk.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Body {
    pub(super) records: Vec<Found>,
    /// Whether every byte that matters is right.
    pub(super) whole: bool,
}

/// Reads the records of the batch with this header; `bytes` begins at the header.
pub(super) fn decode(header: &Header, bytes: &[u8]) -> Body {
    let body_end = HEADER_BYTES + header.body_bytes as usize;
    let directory_end = HEADER_BYTES + header.record_count as usize * ENTRY_BYTES;
    // A body cut off by the end of the file is broken, but what is there may be legible.
    let body = bytes.get(HEADER_BYTES..body_end.min(bytes.len())).unwrap_or_default();
    let directory_bytes = directory_end - HEADER_BYTES;
    let (directory, payloads) = body.split_at(directory_bytes.min(body.len()));
    let mut whole = body.len() == header.body_bytes as usize
        && crc32c::crc32c(directory) == header.directory_crc;
    let mut records = Vec::with_capacity(directory.len() / ENTRY_BYTES);
    // Payloads lie one behind the other: bytes that are claimed twice would cost memory twice.
    let mut claimed = 0;
    for entry in directory.chunks(ENTRY_BYTES) {
        let found = decode_entry(entry, payloads, &mut claimed);
        whole &= matches!(found, Found::Record(..));
        records.push(found);
    }
    if records.len() < header.record_count as usize {
        records.push(Found::Illegible);
    }
    Body { records, whole }
}

fn decode_entry(entry: &[u8], payloads: &[u8], claimed: &mut usize) -> Found {
    let read = || -> Result<(ShardId, Fields, usize, usize, u32, u32), CodecError> {
        let mut r = Reader::new(entry);
        let group = ShardId(r.u32()?);
        let (kind, flags) = (r.u8()?, r.u8()?);
        let _reserved = r.u16()?;
        let fields = Fields { kind, flags, term: r.u64()?, index: r.u64()? };
        Ok((group, fields, r.u32()? as usize, r.u32()? as usize, r.u32()?, r.u32()?))
    };
    let Ok((group, fields, at, len, payload_crc, entry_crc)) = read() else {
        return Found::Illegible;
    };
    if crc32c::crc32c(&entry[..ENTRY_BYTES - 4]) != entry_crc {
        return Found::Illegible;
    }
    let end = at.checked_add(len).filter(|_| *claimed <= at);
    let payload = end.and_then(|end| payloads.get(at..end));
    *claimed = end.unwrap_or(*claimed);
    match payload {
        Some(payload) if crc32c::crc32c(payload) == payload_crc => {
            match LogRecord::from_fields(group, fields, payload) {
                Ok((record, number)) => Found::Record(group, record, number),
                Err(_) => Found::Illegible,
            }
        }
        _ => Found::Spoiled(group, fields),
    }
}

// A record of the largest size fits a batch, and a batch fits a message buffer of the shells.
const _: () = assert!(HEADER_BYTES + ENTRY_BYTES + PAYLOAD_BYTES_MAX < 32 << 20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::log::NODE;

    fn header() -> Header {
        Header {
            flags: 0,
            log_id: 7,
            life: 1,
            segment: 3,
            offset: 8_192,
            body_bytes: 0,
            sequence: 9,
            mark: 8,
            first_segment: 2,
            chain: 0xAB,
            record_count: 0,
            directory_crc: 0,
            crc: 0,
        }
    }

    fn records() -> Vec<Outgoing> {
        let all = [
            LogRecord::Entry { term: 1, index: 2, payload: Bytes::from_static(b"payload") },
            LogRecord::Truncate { from: 5 },
            LogRecord::Purge { term: 1, index: 1 },
            LogRecord::Vote(Bytes::from_static(b"vote")),
            LogRecord::GroupRemoved,
            LogRecord::NodeMeta { key: 3, bytes: Bytes::from_static(b"meta") },
            LogRecord::Suspect { damaged: true, vote_lost: false, lost_to: Some(4) },
            LogRecord::Trusted,
        ];
        let of = |(i, record)| {
            let node = matches!(record, LogRecord::NodeMeta { .. });
            let group = if node { NODE } else { ShardId(i as u32) };
            Outgoing { group, record, number: i as u64 }
        };
        all.into_iter().enumerate().map(of).collect()
    }

    #[test]
    fn every_record_comes_back() {
        let mut written = header();
        let bytes = encode(&mut written, &records());
        assert_eq!(bytes.len() % BLOCK_BYTES, 0);
        let read = Header::read(&bytes).unwrap();
        assert_eq!(read, written);
        let body = decode(&read, &bytes);
        assert!(body.whole);
        for (outgoing, found) in records().into_iter().zip(body.records) {
            let Found::Record(group, record, _) = found else { panic!("not whole: {found:?}") };
            assert_eq!((group, record), (outgoing.group, outgoing.record));
        }
    }

    #[test]
    fn any_flipped_bit_of_a_batch_is_noticed() {
        let mut written = header();
        let good = encode(&mut written, &records());
        let len = HEADER_BYTES + written.body_bytes as usize;
        for at in 0..len * 8 {
            let mut bad = good.to_vec();
            bad[at / 8] ^= 1 << (at % 8);
            let whole = Header::read(&bad).is_some_and(|h| decode(&h, &bad).whole);
            assert!(!whole, "flip of bit {at} passed");
        }
    }

    #[test]
    fn a_flipped_payload_spoils_one_record_only() {
        let mut written = header();
        let mut bad = encode(&mut written, &records()).to_vec();
        let payload_at = HEADER_BYTES + records().len() * ENTRY_BYTES;
        bad[payload_at] ^= 1;
        let body = decode(&written, &bad);
        assert!(!body.whole);
        assert!(matches!(body.records[0], Found::Spoiled(ShardId(0), _)));
        assert!(body.records[1..].iter().all(|f| matches!(f, Found::Record(..))));
    }

    /// Bytes written down by hand from `docs/FORMATS.md`: data of this version must open for ever.
    #[test]
    fn version_1_is_as_documented() {
        let frozen = concat!(
            "53464c42000100000102030405060708000000000000000400000000000000050000200000000057",
            "000000000000012c000000000000012b0000000000000002cafebabe000000028c999f4000000000",
            "65cb252200000003010000000000000000000002000000000000001100000000000000059a71bb4c",
            "c72d79e30000000304000000000000000000000000000000000000090000000500000002e57f38d5",
            "a2943f6f68656c6c6f7631",
        );
        let byte = |at: usize| u8::from_str_radix(&frozen[at..at + 2], 16).unwrap();
        let frozen: Vec<u8> = (0..frozen.len()).step_by(2).map(byte).collect();
        let mut header = Header {
            flags: 0,
            log_id: 0x0102_0304_0506_0708,
            life: 4,
            segment: 5,
            offset: 8_192,
            body_bytes: 0,
            sequence: 300,
            mark: 299,
            first_segment: 2,
            chain: 0xCAFE_BABE,
            record_count: 0,
            directory_crc: 0,
            crc: 0,
        };
        let entry = LogRecord::Entry { term: 2, index: 17, payload: Bytes::from_static(b"hello") };
        let vote = LogRecord::Vote(Bytes::from_static(b"v1"));
        let records = [(entry, 0), (vote, 9)].map(|(record, number)| Outgoing {
            group: ShardId(3),
            record,
            number,
        });
        let bytes = encode(&mut header, &records);
        assert_eq!(bytes[..frozen.len()], frozen);
        assert!(bytes[frozen.len()..].iter().all(|b| *b == 0));
        assert_eq!(Header::read(&frozen), Some(header));
        assert!(decode(&header, &frozen).whole);
    }
}
