//! Which frames of a peer are news: a sliding window over their numbers.
//!
//! A network may deliver a frame twice, or long after its sender has died. Raft's answers would stay
//! right, but a follower that hears a dead leader's old heartbeats keeps its promise not to vote, and
//! the group stays without a leader for as long as they come.
//!
//! # Source
//!
//! RFC 4303, section 3.4.3 (the anti-replay window), with the sender's life in front.

use crate::base::id::Incarnation;

const WORDS: usize = 16;
const WIDTH: u64 = 64 * WORDS as u64;

/// The numbers seen of one peer.
#[derive(Clone, Debug, Default)]
pub(super) struct ReplayWindow {
    incarnation: Incarnation,
    /// The highest number seen in this life; 0 if none.
    highest: u64,
    /// Whether a number of the last `WIDTH` was seen, at its place modulo `WIDTH`.
    seen: [u64; WORDS],
}

impl ReplayWindow {
    /// Notes a frame; whether it is neither a copy, nor from an earlier life, nor older than the
    /// window. Numbers start at 1.
    pub(super) fn is_news(&mut self, incarnation: Incarnation, number: u64) -> bool {
        if incarnation < self.incarnation {
            return false;
        }
        if self.incarnation < incarnation {
            *self = Self { incarnation, ..Self::default() };
        }
        if number == 0 || number.saturating_add(WIDTH) <= self.highest {
            return false;
        }
        if self.highest < number {
            if WIDTH <= number - self.highest {
                self.seen = [0; WORDS];
            } else {
                (self.highest + 1..number).for_each(|skipped| self.mark(skipped, false));
            }
            self.highest = number;
            self.mark(number, true);
            return true;
        }
        let (word, bit) = place(number);
        let known = self.seen[word] >> bit & 1 == 1;
        self.mark(number, true);
        !known
    }

    fn mark(&mut self, number: u64, seen: bool) {
        let (word, bit) = place(number);
        self.seen[word] = self.seen[word] & !(1 << bit) | u64::from(seen) << bit;
    }
}

fn place(number: u64) -> (usize, u32) {
    let at = number % WIDTH;
    ((at / 64) as usize, (at % 64) as u32)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The window against a set of all that was seen.
        #[test]
        fn every_number_is_news_once(
            steps in proptest::collection::vec((1u64..3, 0u64..3_000), 1..400),
        ) {
            let mut window = ReplayWindow::default();
            let (mut life, mut seen) = (0, BTreeSet::new());
            for (incarnation, number) in steps {
                let incarnation = if incarnation == 2 { life.max(1) + number / 2_900 } else { 1 };
                if life < incarnation {
                    life = incarnation;
                    seen.clear();
                }
                let highest = seen.last().copied().unwrap_or(0);
                let expected = incarnation == life
                    && number != 0
                    && highest < number + WIDTH
                    && !seen.contains(&number);
                if expected {
                    seen.insert(number);
                }
                prop_assert_eq!(window.is_news(Incarnation(incarnation), number), expected);
            }
        }
    }

    #[test]
    fn an_earlier_life_is_never_heard_again() {
        let mut window = ReplayWindow::default();
        assert!(window.is_news(Incarnation(3), 7));
        assert!(!window.is_news(Incarnation(3), 7), "a copy");
        assert!(window.is_news(Incarnation(3), 6), "late, but new");
        assert!(window.is_news(Incarnation(4), 1));
        assert!(!window.is_news(Incarnation(3), 8), "said by the dead");
        assert!(window.is_news(Incarnation(4), u64::MAX));
        assert!(!window.is_news(Incarnation(4), 2), "older than the window");
    }
}
