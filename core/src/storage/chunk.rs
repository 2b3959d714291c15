//! A part of a snapshot as it travels, and as it waits beside the store that it will replace.
//!
//! # Format
//!
//! CRC-32C of the rest (big-endian), a version byte, and the pairs in postcard.

use bytes::{BufMut, Bytes, BytesMut};

use super::port::SnapshotPairs;
use crate::base::codec::{CodecError, from_versioned, to_versioned};

const VERSION: u8 = 1;

/// Pairs as a chunk.
pub fn encode_chunk(pairs: &SnapshotPairs) -> Bytes {
    let body = to_versioned(VERSION, pairs);
    let mut chunk = BytesMut::with_capacity(4 + body.len());
    chunk.put_u32(crc32c::crc32c(&body));
    chunk.put_slice(&body);
    chunk.freeze()
}

/// The pairs of a chunk.
///
/// # Errors
///
/// [`CodecError`] if a bit of it is wrong, or its version is not ours.
pub fn decode_chunk(chunk: &[u8]) -> Result<SnapshotPairs, CodecError> {
    let (crc, body) = chunk.split_at_checked(4).ok_or(CodecError::Malformed("chunk too short"))?;
    if crc32c::crc32c(body).to_be_bytes() != crc {
        return Err(CodecError::Malformed("checksum of a chunk does not match"));
    }
    from_versioned(VERSION, body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::port::Family;

    #[test]
    fn a_chunk_with_a_wrong_bit_is_refused() {
        let pairs =
            vec![(Family::Data, "k".into(), "v".into()), (Family::Meta, "a".into(), "".into())];
        let chunk = encode_chunk(&pairs);
        assert_eq!(decode_chunk(&chunk), Ok(pairs));
        for bit in 0..chunk.len() * 8 {
            let mut wrong = chunk.to_vec();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_chunk(&wrong).is_err(), "bit {bit}");
        }
        assert!(decode_chunk(&chunk[..3]).is_err());
    }
}
