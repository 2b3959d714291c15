//! Planted bugs and forced rare paths: the simulator's self-test.
//!
//! `bug!(faults, B07, wrong, right)` takes the wrong way only in a build with feature `planted`, and
//! only on a node whose [`Faults`] names that bug. A release binary contains neither the wrong code
//! nor the marker.

use super::rng::Rng;

/// Which planted bug a node carries and which rare paths it forces. Empty in production.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// The planted bug's number, if any: `Some(7)` for B07.
    #[cfg(feature = "planted")]
    pub bug: Option<u16>,
    /// The seed of the `buggify` sites, if they are on.
    #[cfg(feature = "planted")]
    pub buggify_seed: Option<u64>,
}

/// So that a release binary can be checked for it.
#[cfg(feature = "planted")]
pub const PLANTED_MARKER: &str = "shardforge-planted-bug";

impl Faults {
    /// Whether planted bug `number` is active on this node.
    #[cfg(feature = "planted")]
    pub fn planted(&self, number: u16) -> bool {
        std::hint::black_box(PLANTED_MARKER);
        self.bug == Some(number)
    }

    /// No bug is planted in this build.
    #[cfg(not(feature = "planted"))]
    pub const fn planted(&self, _number: u16) -> bool {
        false
    }

    /// Whether a named rare path is forced this time: a quarter of the sites are active in a seed, and
    /// an active site fires a quarter of the time.
    #[cfg(feature = "planted")]
    pub fn buggify(&self, site: &str, rng: &mut Rng) -> bool {
        let Some(seed) = self.buggify_seed else { return false };
        Rng::stream(seed, site).below(4) == 0 && rng.below(4) == 0
    }

    /// Rare paths are never forced in this build.
    #[cfg(not(feature = "planted"))]
    pub const fn buggify(&self, _site: &str, _rng: &mut Rng) -> bool {
        false
    }
}

/// `bug!(faults, B07, wrong, right)`: the right expression, or the wrong one where B07 is planted.
#[macro_export]
macro_rules! bug {
    ($faults:expr, $number:literal, $wrong:expr, $right:expr) => {{
        #[cfg(feature = "planted")]
        {
            if $faults.planted($number) { $wrong } else { $right }
        }
        #[cfg(not(feature = "planted"))]
        {
            let _ = &$faults;
            $right
        }
    }};
}
