//! Timestamps of the replicated oracle: the order of all transactions.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bits of the logical part.
pub const LOGICAL_BITS: u32 = 18;

/// `unix_ms << 18 | logical`. Granted by the oracle only; the physical part serves AS OF SYSTEM TIME
/// and expiry and is never compared with a local clock for correctness.
#[derive(
    Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize,
)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Before every grant.
    pub const ZERO: Self = Self(0);
    /// After every grant.
    pub const MAX: Self = Self(u64::MAX);

    /// The first timestamp of a millisecond since the Unix epoch.
    pub const fn from_unix_ms(unix_ms: u64) -> Self {
        Self(unix_ms << LOGICAL_BITS)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn unix_ms(self) -> u64 {
        self.0 >> LOGICAL_BITS
    }

    /// The count within the millisecond.
    pub const fn logical(self) -> u64 {
        self.0 & ((1 << LOGICAL_BITS) - 1)
    }

    /// The next timestamp.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The timestamp before; zero stays zero.
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}.{}", self.unix_ms(), self.logical())
    }
}
