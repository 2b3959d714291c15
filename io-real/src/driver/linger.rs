//! Whether to look for the next question for a moment before the thread sleeps.
//!
//! A client that is answered often asks again within microseconds, and to wake a sleeping thread costs
//! more than that: on a virtual machine with idle cores half of a short statement's latency. So the
//! thread looks again and again, but only while that pays: as KVM's `halt_poll_ns` does, it learns from
//! what came of it.

/// Looks before the thread sleeps after all: about as long as a wake takes.
pub(super) const LOOKS: u32 = 96;
/// Successes that count at most: so many failures in a row end it.
const CREDIT_MAX: u32 = 8;
/// Occasions let go without credit before the next attempt.
const SKIPS: u32 = 32;

/// What was learned.
#[derive(Debug)]
pub(super) struct Linger {
    credit: u32,
    skipped: u32,
}

impl Linger {
    /// Nothing yet: it is tried.
    pub(super) const fn new() -> Self {
        Self { credit: 1, skipped: 0 }
    }

    /// Whether to look this time.
    pub(super) fn worthwhile(&mut self) -> bool {
        if 0 < self.credit {
            return true;
        }
        self.skipped = (self.skipped + 1) % SKIPS;
        self.skipped == 0
    }

    /// Learns whether something came while looking.
    pub(super) fn learn(&mut self, came: bool) {
        self.credit =
            if came { (self.credit + 1).min(CREDIT_MAX) } else { self.credit.saturating_sub(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_never_finds_anything_soon_looks_at_one_occasion_in_many() {
        let mut linger = Linger::new();
        let mut looked = 0;
        for _ in 0..1_000 {
            if linger.worthwhile() {
                looked += 1;
                linger.learn(false);
            }
        }
        assert_eq!(looked, 1 + 999 / SKIPS);
        while !linger.worthwhile() {}
        linger.learn(true);
        assert!(linger.worthwhile(), "a success is worth another attempt");
    }

    #[test]
    fn some_failures_are_forgiven_to_who_succeeded() {
        let mut linger = Linger::new();
        (0..100).for_each(|_| linger.learn(true));
        for _ in 0..CREDIT_MAX {
            assert!(linger.worthwhile());
            linger.learn(false);
        }
        assert!(!linger.worthwhile());
    }
}
