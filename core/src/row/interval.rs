//! Spans of time in months, days and microseconds, which do not convert into each other.
//!
//! # Source
//!
//! PostgreSQL 15: `timestamp.c`, `interval` type.

use serde::{Deserialize, Serialize};

use super::datum::DAY_MICROS;

/// PostgreSQL's `interval`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Interval {
    /// Months, twelve to a year.
    pub months: i32,
    /// Days, of whatever length they have where the interval is added.
    pub days: i32,
    /// Microseconds.
    pub micros: i64,
}

impl Interval {
    /// The length that comparison goes by: months of 30 days, days of 24 hours.
    pub fn span(&self) -> i128 {
        let days = i128::from(self.months) * 30 + i128::from(self.days);
        days * i128::from(DAY_MICROS) + i128::from(self.micros)
    }
}
