//! The clocks of a real machine, and of a simulated network, as the core's [`Now`].

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use shardforge_core::base::time::{Mono, Now, Wall};

/// What a clock shows first. Not zero: a core may subtract a timeout from its first moment.
const FIRST_MOMENT: Mono = Mono(3_600_000_000_000);

/// Something that knows the time.
pub trait Clock {
    /// Read after an input's bytes were received, never before.
    fn now(&self) -> Now;
}

/// The machine's clocks: the boot clock, which goes on while the machine sleeps, and the wall's.
#[derive(Clone, Copy, Debug)]
pub struct BootClock {
    made_ns: u64,
}

impl Default for BootClock {
    fn default() -> Self {
        Self { made_ns: boot_ns() }
    }
}

fn boot_ns() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}

impl Clock for BootClock {
    fn now(&self) -> Now {
        let wall = clock_gettime(ClockId::Realtime);
        Now {
            mono: FIRST_MOMENT + Duration::from_nanos(boot_ns().saturating_sub(self.made_ns)),
            wall: Wall(wall.tv_sec.saturating_mul(1_000_000) + wall.tv_nsec / 1_000),
        }
    }
}

/// The time of the tokio runtime, for simulations that move it themselves.
#[derive(Clone, Copy, Debug)]
pub struct RuntimeClock {
    origin: tokio::time::Instant,
    wall_at_origin_us: i64,
}

impl RuntimeClock {
    /// A clock that shows `wall_us` now; must be made inside a runtime.
    pub fn new(wall_us: i64) -> Self {
        Self { origin: tokio::time::Instant::now(), wall_at_origin_us: wall_us }
    }
}

impl Clock for RuntimeClock {
    fn now(&self) -> Now {
        let passed = self.origin.elapsed();
        let passed_us = i64::try_from(passed.as_micros()).unwrap_or(i64::MAX);
        Now {
            mono: FIRST_MOMENT + passed,
            wall: Wall(self.wall_at_origin_us.saturating_add(passed_us)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_go_forward_and_the_wall_is_in_our_century() {
        let clock = BootClock::default();
        let (first, second) = (clock.now(), clock.now());
        assert!(first.mono <= second.mono);
        assert!(FIRST_MOMENT <= first.mono, "no room before the first moment");
        assert!(1_700_000_000_000_000 < first.wall.0);
    }
}
