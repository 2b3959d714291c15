//! Keys and spans of keys, as plain bytes. What the bytes mean is `row`'s and `shard`'s business.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// An ordered byte string. Cheap to clone.
#[derive(Clone, Default, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
pub struct Key(pub Bytes);

impl Key {
    /// The smallest key.
    pub const MIN: Self = Self(Bytes::new());

    /// The smallest key greater than every key that begins with this one; `None` if there is none
    /// (all bytes 0xff).
    pub fn prefix_end(&self) -> Option<Self> {
        let keep = self.0.iter().rposition(|b| *b != 0xff)?;
        let mut end = self.0[..=keep].to_vec();
        end[keep] += 1;
        Some(Self(end.into()))
    }

    /// The smallest key greater than this one.
    pub fn successor(&self) -> Self {
        let mut next = Vec::with_capacity(self.0.len() + 1);
        next.extend_from_slice(&self.0);
        next.push(0);
        Self(next.into())
    }
}

impl From<Vec<u8>> for Key {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// Keys from `start` (included) to `end` (excluded).
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
pub struct Span {
    /// First key of the span.
    pub start: Key,
    /// First key after the span.
    pub end: Key,
}

impl Span {
    /// The span of one key.
    pub fn point(key: Key) -> Self {
        let end = key.successor();
        Self { start: key, end }
    }

    /// The span of all keys with this prefix; a prefix of 0xff bytes alone is not a legal prefix here.
    ///
    /// # Panics
    ///
    /// If no key follows the prefix. Prefixes begin with a table id, and id `0xffff_ffff` is never
    /// given.
    pub fn prefix(prefix: Key) -> Self {
        let end = prefix.prefix_end();
        assert!(end.is_some(), "no key follows the prefix");
        Self { start: prefix, end: end.unwrap_or_default() }
    }

    /// Whether `key` lies in the span.
    pub fn contains(&self, key: &[u8]) -> bool {
        self.start.0.as_ref() <= key && key < self.end.0.as_ref()
    }

    /// Whether the spans share a key.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Whether there is no key in it.
    pub fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    /// Whether it holds exactly one possible key.
    pub fn is_point(&self) -> bool {
        self.end.0.len() == self.start.0.len() + 1
            && self.end.0.last() == Some(&0)
            && self.end.0.starts_with(&self.start.0)
    }
}
