//! What a seed does, and what it did.

use std::time::Duration;

use shardforge_core::base::buggify::Faults;

/// What a seed does.
#[derive(Clone)]
pub(crate) struct Plan {
    pub seed: u64,
    pub nodes: u32,
    pub faults: bool,
    pub planted: Faults,
    pub faulty_for: Duration,
}

impl Plan {
    pub(crate) fn faulty(seed: u64) -> Self {
        let faulty_for = Duration::from_secs(8);
        Self { seed, nodes: 3, faults: true, planted: Faults::default(), faulty_for }
    }
    pub(crate) fn quiet(seed: u64, nodes: u32) -> Self {
        let faulty_for = Duration::from_secs(4);
        Self { seed, nodes, faults: false, planted: Faults::default(), faulty_for }
    }
    #[cfg(feature = "planted")]
    pub(crate) fn planted(seed: u64, bug: u16) -> Self {
        let planted = Faults { bug: Some(bug), buggify_seed: None };
        Self { planted, ..Self::faulty(seed) }
    }
}

/// What a seed did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Summary {
    pub trace: u64,
    pub acknowledged: u64,
    pub unknown: u64,
    pub refused: u64,
    pub lease_reads: u64,
    pub barrier_reads: u64,
    pub crashes: u64,
    pub elections: u64,
    pub snapshots: u64,
    pub messages: u64,
}

impl Summary {
    pub(crate) fn add(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.unknown += other.unknown;
        self.refused += other.refused;
        self.lease_reads += other.lease_reads;
        self.barrier_reads += other.barrier_reads;
        self.crashes += other.crashes;
        self.elections += other.elections;
        self.snapshots += other.snapshots;
        self.messages += other.messages;
    }
}
