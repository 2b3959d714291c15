//! What became of transactions, and when the cluster last answered.
//!
//! # Invariants
//!
//! * An id is in at most one of `acknowledged` and `unknown`; a definite failure is in neither.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

/// Silences longer than this are listed, not only counted.
const NOTABLE: Duration = Duration::from_millis(1_000);
/// Listed at most.
const NOTABLE_MAX: usize = 50;

/// What a client was told about one transaction.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// COMMIT was answered: it must be there, once.
    Acknowledged,
    /// It cannot have happened: must not be there.
    Failed(String),
    /// COMMIT was sent and its answer is missing or says that nobody knows.
    Unknown(String),
}

/// How long the whole cluster acknowledged nothing.
#[derive(Clone, Debug)]
pub struct Silence {
    began: Instant,
    last: Instant,
    /// The longest one.
    pub longest: Duration,
    /// When it ended, after the beginning.
    pub longest_at: Duration,
    /// Notable ones: when they ended and how long they were.
    pub notable: Vec<(Duration, Duration)>,
}

impl Silence {
    fn new(now: Instant) -> Self {
        Self {
            began: now,
            last: now,
            longest: Duration::ZERO,
            longest_at: Duration::ZERO,
            notable: Vec::new(),
        }
    }

    /// A commit was acknowledged, or the load ends.
    pub fn broken(&mut self, now: Instant) {
        let length = now.saturating_duration_since(self.last);
        let at = now.saturating_duration_since(self.began);
        self.last = self.last.max(now);
        if self.longest < length {
            (self.longest, self.longest_at) = (length, at);
        }
        if NOTABLE < length && self.notable.len() < NOTABLE_MAX {
            self.notable.push((at, length));
        }
    }
}

/// What all clients were told.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Ids that must be present.
    pub acknowledged: BTreeSet<i64>,
    /// Ids that may be present.
    pub unknown: BTreeSet<i64>,
    /// Definite failures by reason.
    pub failures: BTreeMap<String, u64>,
    /// Unknown outcomes by reason.
    pub doubts: BTreeMap<String, u64>,
    /// Connections that were not made, by reason.
    pub refusals: BTreeMap<String, u64>,
    /// Statements or connections that outlasted the client's patience.
    pub hangs: u64,
    /// The longest time from a BEGIN to its acknowledged COMMIT.
    pub slowest: Duration,
    /// When nothing was acknowledged.
    pub silence: Silence,
    /// From the beginning to the last client's end.
    pub lasted: Duration,
}

impl Tally {
    /// Nothing was told yet.
    pub fn new(now: Instant) -> Self {
        Self {
            acknowledged: BTreeSet::new(),
            unknown: BTreeSet::new(),
            failures: BTreeMap::new(),
            doubts: BTreeMap::new(),
            refusals: BTreeMap::new(),
            hangs: 0,
            slowest: Duration::ZERO,
            silence: Silence::new(now),
            lasted: Duration::ZERO,
        }
    }

    /// A transaction that began at `began` came to its end.
    pub fn ended(&mut self, id: i64, outcome: Outcome, began: Instant) {
        let now = Instant::now();
        match outcome {
            Outcome::Acknowledged => {
                self.silence.broken(now);
                self.slowest = self.slowest.max(now.saturating_duration_since(began));
                self.acknowledged.insert(id);
            }
            Outcome::Failed(reason) => *self.failures.entry(reason).or_default() += 1,
            Outcome::Unknown(reason) => {
                *self.doubts.entry(reason).or_default() += 1;
                self.unknown.insert(id);
            }
        }
    }

    /// Acknowledged transactions a second.
    pub fn tps(&self) -> f64 {
        self.acknowledged.len() as f64 / self.lasted.as_secs_f64().max(0.001)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (acknowledged, unknown) = (self.acknowledged.len(), self.unknown.len());
        let failed: u64 = self.failures.values().sum();
        let seconds = self.lasted.as_secs_f64();
        writeln!(f, "acknowledged {acknowledged} in {seconds:.1} s, {:.1} tps", self.tps())?;
        writeln!(f, "failed       {failed} {:?}", self.failures)?;
        writeln!(f, "unknown      {unknown} {:?}", self.doubts)?;
        writeln!(f, "refused      {:?}", self.refusals)?;
        writeln!(f, "hangs        {}", self.hangs)?;
        writeln!(f, "slowest      {} ms", self.slowest.as_millis())?;
        let silence = &self.silence;
        let (longest, at) = (silence.longest.as_millis(), silence.longest_at.as_secs_f64());
        writeln!(f, "longest gap  {longest} ms, ended at {at:.1} s")?;
        for (at, length) in &silence.notable {
            writeln!(f, "  gap {} ms until {:.1} s", length.as_millis(), at.as_secs_f64())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_counts_from_the_last_acknowledgement_and_not_from_failures() {
        let began = Instant::now();
        let mut silence = Silence::new(began);
        silence.broken(began + Duration::from_millis(300));
        silence.broken(began + Duration::from_millis(2_400));
        silence.broken(began + Duration::from_millis(2_500));
        assert_eq!(silence.longest, Duration::from_millis(2_100));
        assert_eq!(silence.longest_at, Duration::from_millis(2_400));
        assert_eq!(silence.notable.len(), 1);
    }
}
