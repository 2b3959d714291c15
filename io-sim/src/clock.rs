//! A machine's clocks: off by something, and too fast or too slow.

use shardforge_core::base::time::{Mono, Now, Wall};

/// The simulated epoch: 2030-01-01, microseconds.
const EPOCH_US: i64 = 1_893_456_000_000_000;

/// Clocks of one machine. Rates are parts per million.
#[derive(Clone, Debug)]
pub struct SkewedClock {
    /// What the boot clock showed at true time zero, nanoseconds.
    pub offset_ns: u64,
    /// How much faster than true time it runs.
    pub drift_ppm: i64,
    /// How far the wall clock is off, microseconds.
    pub wall_offset_us: i64,
}

impl SkewedClock {
    /// What the clocks show at a true time.
    pub fn now(&self, truth: Mono) -> Now {
        let drifted = i128::from(truth.0) * i128::from(1_000_000 + self.drift_ppm) / 1_000_000;
        let mono = self.offset_ns + u64::try_from(drifted).unwrap_or(0);
        let wall = EPOCH_US + (truth.0 / 1_000) as i64 + self.wall_offset_us;
        Now { mono: Mono(mono), wall: Wall(wall) }
    }

    /// The first true time at which the boot clock shows at least `local`.
    pub fn truth_of(&self, local: Mono) -> Mono {
        let since = i128::from(local.0.saturating_sub(self.offset_ns));
        let rate = i128::from(1_000_000 + self.drift_ppm);
        let truth = (since * 1_000_000 + rate - 1) / rate;
        Mono(u64::try_from(truth).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_early() {
        for drift_ppm in [-100_000, -3, 0, 7, 100_000] {
            let clock = SkewedClock { offset_ns: 12_345, drift_ppm, wall_offset_us: 0 };
            for local in [12_345u64, 1_000_003, 9_999_999_999] {
                let truth = clock.truth_of(Mono(local));
                assert!(local <= clock.now(truth).mono.0, "{drift_ppm} {local}");
                if 0 < truth.0 {
                    assert!(clock.now(Mono(truth.0 - 2)).mono.0 <= local, "{drift_ppm} {local}");
                }
            }
        }
    }
}
