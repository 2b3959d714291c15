//! Small helpers for byte formats: a bounded reader, and a self-checking serde envelope.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why bytes could not be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CodecError {
    /// The bytes end too early.
    #[error("{wanted} bytes wanted, {left} left")]
    Short {
        /// Bytes asked for.
        wanted: usize,
        /// Bytes there.
        left: usize,
    },
    /// The bytes contradict their format.
    #[error("{0}")]
    Malformed(&'static str),
    /// Written by a version that we do not know.
    #[error("format version {0} is unknown")]
    Version(u8),
}

/// Reads from a slice, never past its end.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader over `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }
    /// What is not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }
    /// Whether all is read.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], CodecError> {
        match self.bytes.split_at_checked(len) {
            Some((head, tail)) => {
                self.bytes = tail;
                Ok(head)
            }
            None => Err(CodecError::Short { wanted: len, left: self.bytes.len() }),
        }
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }
    /// One byte.
    pub fn u8(&mut self) -> Result<u8, CodecError> {
        Ok(self.array::<1>()?[0])
    }
    /// Two bytes, big-endian.
    pub fn u16(&mut self) -> Result<u16, CodecError> {
        Ok(u16::from_be_bytes(self.array()?))
    }
    /// Four bytes, big-endian.
    pub fn u32(&mut self) -> Result<u32, CodecError> {
        Ok(u32::from_be_bytes(self.array()?))
    }
    /// Eight bytes, big-endian.
    pub fn u64(&mut self) -> Result<u64, CodecError> {
        Ok(u64::from_be_bytes(self.array()?))
    }
    /// A LEB128 number of at most 64 bits.
    pub fn varint(&mut self) -> Result<u64, CodecError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && 1 < bits {
                return Err(CodecError::Malformed("varint over 64 bits"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(CodecError::Malformed("varint over ten bytes"))
    }
    /// A varint length and that many bytes, at most `len_max`.
    pub fn blob(&mut self, len_max: usize) -> Result<&'a [u8], CodecError> {
        let len = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        if len_max < len {
            return Err(CodecError::Malformed("length over its bound"));
        }
        self.take(len)
    }
}

/// Appends a LEB128 number.
pub fn put_varint(out: &mut impl BufMut, mut value: u64) {
    while 0x80 <= value {
        out.put_u8((value as u8) | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Appends a varint length and the bytes.
pub fn put_blob(out: &mut impl BufMut, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.put_slice(bytes);
}

/// A version byte and the postcard form of `value`.
///
/// # Panics
///
/// If the value cannot be serialised; our own types all can.
pub fn to_versioned<T: Serialize>(version: u8, value: &T) -> Bytes {
    let mut out = BytesMut::with_capacity(64);
    out.put_u8(version);
    let bytes = postcard::to_extend(value, out.to_vec());
    assert!(bytes.is_ok(), "our own value does not serialise: {:?}", bytes.err());
    bytes.unwrap_or_default().into()
}

/// Reads what [`to_versioned`] wrote; any bytes give `Ok` or `Err`, and bytes left over are an error.
///
/// # Errors
///
/// [`CodecError::Version`] for another version byte, [`CodecError::Malformed`] for anything else.
pub fn from_versioned<T: DeserializeOwned>(version: u8, bytes: &[u8]) -> Result<T, CodecError> {
    let (head, body) = bytes.split_first().ok_or(CodecError::Short { wanted: 1, left: 0 })?;
    if *head != version {
        return Err(CodecError::Version(*head));
    }
    match postcard::take_from_bytes::<T>(body) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(CodecError::Malformed("bytes after the value")),
        Err(_) => Err(CodecError::Malformed("not a value of this type")),
    }
}
