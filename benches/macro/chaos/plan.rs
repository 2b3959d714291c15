//! What is to be broken, and how often.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;

/// Ways to break a cluster.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Mode {
    /// Nothing: what the load does undisturbed.
    None,
    /// Each node in turn is killed with -9 and restarted.
    Kill,
    /// Each node in turn is stopped for a while and goes on; readers wait on it meanwhile.
    Stop,
    /// All are killed at once and restarted.
    All,
    /// One stays down until the others have purged what it lacks, then comes back under load.
    Snapshot,
}

impl Mode {
    /// Whether a majority lives all the time, so that commits must go on.
    pub fn keeps_a_majority(self) -> bool {
        self != Self::All
    }
}

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How.
    pub mode: Mode,
    /// From one break to the next.
    pub every: Duration,
    /// How long a node stays down or stopped.
    pub down: Duration,
    /// How long the load lasts.
    pub duration: Duration,
    /// The compiled preload shim, if unsynced writes are to be dropped at each kill.
    pub shim: Option<PathBuf>,
}
