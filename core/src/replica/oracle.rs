//! The timestamp oracle: grants, in memory, below a limit that is replicated ahead.
//!
//! It lives at the leader of the system shard. A new leader starts above the replicated limit, so no
//! timestamp is granted twice. The physical part follows the leader's monotonic clock, bent by at most
//! a tenth towards the median of the nodes' wall clocks; nothing that must be right depends on it.
//!
//! # Invariants
//!
//! * Every grant is above all earlier ones, and at or below the replicated limit.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::id::{NodeId, TxnId};
use crate::base::time::{Mono, Now, Wall};
use crate::base::timestamp::Timestamp;

/// The limit is persisted so far ahead.
pub const AHEAD_MS: u64 = 500;
/// `at_least` further than this beyond the limit is refused: a broken clock or a broken peer.
pub const AT_LEAST_MAX_MS: u64 = 10_000;
/// How long a transaction that changes the catalog may keep others from new timestamps.
pub const HOLD: Duration = Duration::from_millis(50);
/// Wall clocks older than this say nothing.
const WALL_FRESH: Duration = Duration::from_secs(5);
/// Nodes whose wall clocks are remembered.
const WALLS_MAX: usize = 1_024;

/// What became of a question for timestamps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Granting {
    /// From here on, as many as asked.
    Granted(Timestamp),
    /// The limit must be raised to this first.
    Extend(Timestamp),
    /// Somebody changes the catalog: wait until then at the latest.
    Held(Mono),
    /// `at_least` is out of reach.
    Refused,
}

/// The oracle of a leader.
#[derive(Debug)]
pub struct Oracle {
    limit: Timestamp,
    last: Timestamp,
    physical_us: u64,
    at: Mono,
    walls: BTreeMap<NodeId, (Wall, Mono)>,
    hold: Option<(TxnId, Mono)>,
}

impl Oracle {
    /// The oracle of a new leader; grants nothing up to `limit`, the replicated one.
    pub fn new(limit: Timestamp, now: Now) -> Self {
        let physical_us = (limit.unix_ms().max(now.wall.unix_ms()) + 1) * 1_000;
        let walls = BTreeMap::new();
        Self { limit, last: limit, physical_us, at: now.mono, walls, hold: None }
    }

    /// What to persist before the first grant.
    pub fn first_limit(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.physical_us / 1_000 + AHEAD_MS)
    }

    /// The limit is replicated.
    pub fn extended(&mut self, limit: Timestamp) {
        self.limit = self.limit.max(limit);
    }

    /// The newest grant.
    pub fn last(&self) -> Timestamp {
        self.last
    }

    /// A node's wall clock.
    pub fn hear_wall(&mut self, node: NodeId, wall: Wall, now: Mono) {
        if self.walls.len() < WALLS_MAX || self.walls.contains_key(&node) {
            self.walls.insert(node, (wall, now));
        }
    }

    fn median_us(&self, now: Now) -> i64 {
        let fresh = |(wall, at): &(Wall, Mono)| {
            let age = now.mono.since(*at);
            (age < WALL_FRESH).then(|| wall.0.saturating_add(age.as_micros() as i64))
        };
        let mut walls: Vec<i64> = self.walls.values().filter_map(fresh).collect();
        if walls.is_empty() {
            return now.wall.0;
        }
        walls.sort_unstable();
        walls[walls.len() / 2]
    }

    /// The physical part at `now`, milliseconds.
    fn physical_ms(&mut self, now: Now) -> u64 {
        let elapsed = now.mono.since(self.at).as_micros() as u64;
        if 0 < elapsed {
            self.at = now.mono;
            let advanced = self.physical_us + elapsed;
            let behind = self.median_us(now).saturating_sub_unsigned(advanced);
            let bend = i64::try_from(elapsed / 10).unwrap_or(i64::MAX);
            self.physical_us = advanced.saturating_add_signed(behind.clamp(-bend, bend));
        }
        self.physical_us / 1_000
    }

    /// Grants `count` timestamps in a row.
    ///
    /// When the clock has passed the limit (after a quiet time), grants go on below it at once: only
    /// the physical part lags until the extension, which [`Self::wants_extension`] then asks for.
    pub fn grant(
        &mut self,
        now: Now,
        count: u32,
        at_least: Timestamp,
        hold: Option<TxnId>,
    ) -> Granting {
        if let Some((holder, until)) = self.hold {
            if now.mono < until && hold != Some(holder) {
                return Granting::Held(until);
            }
            self.hold = None;
        }
        if Timestamp::from_unix_ms(self.limit.unix_ms() + AT_LEAST_MAX_MS) < at_least {
            return Granting::Refused;
        }
        let span = u64::from(count.max(1)) - 1;
        let physical = Timestamp::from_unix_ms(self.physical_ms(now));
        let mut first = self.last.next().max(at_least);
        if physical.0 + span <= self.limit.0 {
            first = first.max(physical);
        }
        if self.limit.0 < first.0.saturating_add(span) {
            let needed = first.unix_ms().max(physical.unix_ms()) + (span >> 18);
            return Granting::Extend(Timestamp::from_unix_ms(needed + AHEAD_MS));
        }
        self.last = Timestamp(first.0 + span);
        self.hold = hold.map(|txn| (txn, now.mono + HOLD));
        Granting::Granted(first)
    }

    /// Ends a hold.
    pub fn release(&mut self, txn: TxnId) {
        if self.hold.is_some_and(|(holder, _)| holder == txn) {
            self.hold = None;
        }
    }

    /// What to raise the limit to, if half of what was ahead is used up.
    pub fn wants_extension(&mut self, now: Now) -> Option<Timestamp> {
        let physical = self.physical_ms(now);
        (self.limit.unix_ms() < physical + AHEAD_MS / 2)
            .then(|| Timestamp::from_unix_ms(physical + AHEAD_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64, wall_ms: i64) -> Now {
        Now { mono: Mono(ms * 1_000_000), wall: Wall(wall_ms * 1_000) }
    }

    fn granted(oracle: &mut Oracle, now: Now, count: u32, at_least: u64) -> Timestamp {
        match oracle.grant(now, count, Timestamp(at_least), None) {
            Granting::Granted(first) => first,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn grants_rise_and_stay_below_the_limit() {
        let mut oracle = Oracle::new(Timestamp::from_unix_ms(1_000), at(0, 900));
        let limit = oracle.first_limit();
        assert!(matches!(oracle.grant(at(0, 900), 1, Timestamp(0), None), Granting::Extend(_)));
        oracle.extended(limit);
        let mut last = Timestamp::from_unix_ms(1_000);
        for ms in 0..2_000 {
            let first = granted(&mut oracle, at(ms, 900), 3, 0);
            assert!(last < first && oracle.last() <= limit, "{first}");
            last = Timestamp(first.0 + 2);
        }
        assert!(oracle.wants_extension(at(2_000, 900)).is_some());
    }

    #[test]
    fn a_quiet_time_costs_no_round() {
        let mut oracle = Oracle::new(Timestamp(0), at(0, 5_000));
        oracle.extended(oracle.first_limit());
        let before = granted(&mut oracle, at(1, 5_001), 1, 0);
        let after = granted(&mut oracle, at(100_000, 105_000), 1, 0);
        assert!(before < after && after.unix_ms() < 6_000);
        let limit = oracle.wants_extension(at(100_000, 105_000)).unwrap();
        oracle.extended(limit);
        assert!(104_000 < granted(&mut oracle, at(100_001, 105_001), 1, 0).unix_ms());
    }

    #[test]
    fn the_clock_bends_by_a_tenth_at_most() {
        let mut oracle = Oracle::new(Timestamp(0), at(0, 10_000));
        // A step of an hour: 1,000 ms later the physical part is 1,100 ms later, not an hour.
        assert_eq!(oracle.physical_ms(at(1_000, 3_610_000)), 11_101);
        assert_eq!(oracle.physical_ms(at(2_000, 0)), 12_001);
        // Two of three clocks agree.
        for (node, wall) in [(1, 13_001), (2, 13_001), (3, 99_000_000)] {
            oracle.hear_wall(NodeId::machine(node), Wall(wall * 1_000), Mono(3_000_000_000));
        }
        assert_eq!(oracle.physical_ms(at(3_000, 99_000_000)), 13_001);
    }

    #[test]
    fn floors_are_met_or_refused() {
        let mut oracle = Oracle::new(Timestamp(0), at(0, 10_000));
        oracle.extended(oracle.first_limit());
        let floor = Timestamp::from_unix_ms(10_300);
        assert_eq!(granted(&mut oracle, at(0, 10_000), 1, floor.0), floor);
        let far = Timestamp::from_unix_ms(12_000);
        let Granting::Extend(limit) = oracle.grant(at(0, 10_000), 1, far, None) else { panic!() };
        oracle.extended(limit);
        assert_eq!(granted(&mut oracle, at(0, 10_000), 1, far.0), far);
        let lost = Timestamp::from_unix_ms(30_000);
        assert_eq!(oracle.grant(at(0, 10_000), 1, lost, None), Granting::Refused);
    }

    #[test]
    fn a_hold_keeps_others_out_for_a_moment() {
        let mut oracle = Oracle::new(Timestamp(0), at(0, 10_000));
        oracle.extended(oracle.first_limit());
        let ddl = TxnId { number: 1, ..TxnId::default() };
        let zero = Timestamp::ZERO;
        let first = oracle.grant(at(0, 10_000), 1, zero, Some(ddl));
        assert_eq!(first, Granting::Granted(oracle.last()));
        assert!(matches!(oracle.grant(at(49, 10_049), 1, zero, None), Granting::Held(_)));
        assert!(matches!(oracle.grant(at(49, 10_049), 1, zero, Some(ddl)), Granting::Granted(_)));
        oracle.release(ddl);
        assert!(matches!(oracle.grant(at(50, 10_050), 1, zero, None), Granting::Granted(_)));
        oracle.grant(at(51, 10_051), 1, zero, Some(ddl));
        assert!(matches!(oracle.grant(at(101, 10_101), 1, zero, None), Granting::Granted(_)));
    }
}
