//! The vote file: the second copy of votes and node records, two files rewritten in turn.
//!
//! ```text
//! "SFVC" · version u16 · slot u16 · log id u64 · generation u64 · mark u64 · body length u32 ·
//! body crc u32 · header crc u32 · body: count u32 · {group u32 · key u8 · number u64 · blob}…
//! ```

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};

use super::record::{NODE, NUMBER_MAX};
use crate::base::codec::{CodecError, Reader, put_blob};
use crate::base::id::ShardId;

const MAGIC: [u8; 4] = *b"SFVC";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 44;
/// Bytes of one vote or node record.
pub(super) const STATE_BYTES_MAX: usize = 4 << 10;

/// Where a vote (group, 0) or a node record ([`NODE`], key) is kept.
pub(super) type StateKey = (ShardId, u8);

/// Small states of groups and of the node, each with a number that grows with every change.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct States(pub(super) BTreeMap<StateKey, (u64, Bytes)>);

impl States {
    /// Takes a state, unless a newer one is there.
    pub(super) fn offer(&mut self, key: StateKey, number: u64, bytes: Bytes) {
        let newer = self.0.get(&key).is_none_or(|(have, _)| *have <= number);
        if newer {
            self.0.insert(key, (number, bytes));
        }
    }

    /// Forgets what is older than the removal of its group.
    pub(super) fn remove(&mut self, group: ShardId, number: u64) {
        self.0.retain(|(owner, _), (have, _)| *owner != group || number < *have);
    }

    /// The highest number given so far.
    pub(super) fn number_max(&self) -> u64 {
        self.0.values().map(|(number, _)| *number).max().unwrap_or(0)
    }

    /// Votes only.
    pub(super) fn votes(&self) -> impl Iterator<Item = (ShardId, u64, &Bytes)> {
        self.0.iter().filter(|((g, _), _)| *g != NODE).map(|((g, _), (n, b))| (*g, *n, b))
    }

    /// Node records only.
    pub(super) fn metas(&self) -> impl Iterator<Item = (u8, u64, &Bytes)> {
        self.0.iter().filter(|((g, _), _)| *g == NODE).map(|((_, k), (n, b))| (*k, *n, b))
    }
}

/// One copy of the vote file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct VoteCopy {
    pub(super) log_id: u64,
    /// Which of the two files it was written to.
    pub(super) slot: u8,
    pub(super) generation: u64,
    /// The newest batch known durable when this was written.
    pub(super) mark: u64,
    pub(super) states: States,
}

impl VoteCopy {
    /// The file's bytes.
    pub(super) fn encode(&self) -> Bytes {
        let mut body = BytesMut::new();
        body.put_u32(self.states.0.len() as u32);
        for ((group, key), (number, bytes)) in &self.states.0 {
            body.put_u32(group.0);
            body.put_u8(*key);
            body.put_u64(*number);
            put_blob(&mut body, bytes);
        }
        let mut out = BytesMut::with_capacity(HEADER_BYTES + body.len());
        out.put_slice(&MAGIC);
        out.put_u16(VERSION);
        out.put_u16(u16::from(self.slot));
        out.put_u64(self.log_id);
        out.put_u64(self.generation);
        out.put_u64(self.mark);
        out.put_u32(body.len() as u32);
        out.put_u32(crc32c::crc32c(&body));
        out.put_u32(crc32c::crc32c(&out));
        assert_eq!(out.len(), HEADER_BYTES, "vote file header has another size than its format");
        out.put_slice(&body);
        out.freeze()
    }

    /// Reads a copy; bytes after its end (an older, longer copy) do not matter.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut r = Reader::new(bytes);
        if r.take(4)? != MAGIC {
            return Err(CodecError::Malformed("vote file magic"));
        }
        if r.u16()? != VERSION {
            return Err(CodecError::Malformed("vote file version"));
        }
        let slot = (r.u16()? & 1) as u8;
        let (log_id, generation, mark) = (r.u64()?, r.u64()?, r.u64()?);
        let (body_bytes, body_crc) = (r.u32()? as usize, r.u32()?);
        if crc32c::crc32c(&bytes[..HEADER_BYTES - 4]) != r.u32()? {
            return Err(CodecError::Malformed("vote file header checksum"));
        }
        let body = r.take(body_bytes)?;
        if crc32c::crc32c(body) != body_crc {
            return Err(CodecError::Malformed("vote file checksum"));
        }
        let mut r = Reader::new(body);
        let mut states = States::default();
        for _ in 0..r.u32()? {
            let key = (ShardId(r.u32()?), r.u8()?);
            let number = r.u64()?;
            if NUMBER_MAX < number || (key.0 != NODE && key.1 != 0) {
                return Err(CodecError::Malformed("state that was never written"));
            }
            states.offer(key, number, Bytes::copy_from_slice(r.blob(STATE_BYTES_MAX)?));
        }
        Ok(Self { log_id, slot, generation, mark, states })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy() -> VoteCopy {
        let mut states = States::default();
        states.offer((ShardId(1), 0), 3, Bytes::from_static(b"vote"));
        states.offer((NODE, 2), 1, Bytes::from_static(b"cluster"));
        VoteCopy { log_id: 5, slot: 1, generation: 6, mark: 7, states }
    }

    #[test]
    fn a_copy_comes_back_and_any_flip_is_noticed() {
        let good = copy().encode();
        assert_eq!(VoteCopy::decode(&good), Ok(copy()));
        for at in 0..good.len() * 8 {
            let mut bad = good.to_vec();
            bad[at / 8] ^= 1 << (at % 8);
            assert!(VoteCopy::decode(&bad).is_err(), "flip of bit {at} passed");
        }
        for len in 0..good.len() {
            assert!(VoteCopy::decode(&good[..len]).is_err(), "cut at {len} passed");
        }
    }

    #[test]
    fn an_older_state_does_not_replace_a_newer_one() {
        let mut states = copy().states;
        states.offer((ShardId(1), 0), 2, Bytes::from_static(b"old"));
        assert_eq!(states.0[&(ShardId(1), 0)].1, Bytes::from_static(b"vote"));
    }
}
