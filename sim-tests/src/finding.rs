//! Who found what: an oracle's name is a type, so that a table can be made of it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::panic::resume_unwind;
use std::rc::Rc;

/// Everything that judges a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Oracle {
    /// One process leads a term.
    ElectionSafety,
    /// What was committed is in every later leader's log.
    LeaderCompleteness,
    /// Entries of one place are equal on all disks.
    LogMatching,
    /// One index is committed in one term, everywhere.
    StateMachineSafety,
    /// Votes, commits and applied places do not go back.
    Monotony,
    /// Purged at most what is applied, applied at most what is committed.
    IndexOrder,
    /// What is committed is on a quorum's synced bytes: the durability shadow.
    DurableCommit,
    /// A vote that was granted is on the voter's synced bytes.
    DurableVote,
    /// A restart finds again what was durable.
    Recovery,
    /// Nobody leads while another may still read alone.
    Lease,
    /// Replicas that applied equally much hold the same.
    ReplicaChecksums,
    /// After the heal all replicas apply equally much.
    Convergence,
    /// Transactions have an order that agrees with real time.
    StrictSerializability,
    /// No acknowledged write is lost.
    AcknowledgedWrites,
    /// No value comes from nowhere or from an aborted transaction.
    OnlyCommittedWrites,
    /// Sums are conserved.
    Bank,
    /// What a predicate promised holds: no phantoms.
    Predicate,
    /// Errors are of the kind that the operation and the faults allow.
    AllowedErrors,
    /// After the heal every client is answered.
    Liveness,
    /// The core did not panic.
    NoPanic,
    /// The seed was large enough to prove something.
    SeedSize,
}

impl Oracle {
    /// All, in the order of the tables.
    pub const ALL: [Self; 21] = [
        Self::ElectionSafety,
        Self::LeaderCompleteness,
        Self::LogMatching,
        Self::StateMachineSafety,
        Self::Monotony,
        Self::IndexOrder,
        Self::DurableCommit,
        Self::DurableVote,
        Self::Recovery,
        Self::Lease,
        Self::ReplicaChecksums,
        Self::Convergence,
        Self::StrictSerializability,
        Self::AcknowledgedWrites,
        Self::OnlyCommittedWrites,
        Self::Bank,
        Self::Predicate,
        Self::AllowedErrors,
        Self::Liveness,
        Self::NoPanic,
        Self::SeedSize,
    ];

    /// Whether a planted bug that it flags counts as found: a panic is an assertion of the core's own,
    /// and a small seed says nothing about the core.
    pub fn counts(self) -> bool {
        !matches!(self, Self::NoPanic | Self::SeedSize)
    }
}

impl fmt::Display for Oracle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What an oracle says is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Who says it.
    pub oracle: Oracle,
    /// What it saw.
    pub what: String,
}

impl Violation {
    /// A violation.
    pub fn new(oracle: Oracle, what: impl Into<String>) -> Self {
        Self { oracle, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.oracle, self.what)
    }
}

/// Takes violations in: the first that is not muted ends the run.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    muted: Rc<BTreeSet<Oracle>>,
    heard: Rc<RefCell<BTreeSet<Oracle>>>,
}

impl Judge {
    /// A judge that notes what some oracles say, and goes on.
    pub fn muting(muted: BTreeSet<Oracle>) -> Self {
        Self { muted: Rc::new(muted), heard: Rc::default() }
    }

    /// Says whether `right`, and if it is not, ends the run from within the world.
    pub fn expect(&self, right: bool, oracle: Oracle, what: impl FnOnce() -> String) {
        if let Err(violation) = self.admit(right, oracle, what) {
            resume_unwind(Box::new(violation));
        }
    }

    /// The same for whoever can return an error.
    ///
    /// # Errors
    ///
    /// The violation, unless it is `right` or the oracle is muted.
    pub fn admit(
        &self,
        right: bool,
        oracle: Oracle,
        what: impl FnOnce() -> String,
    ) -> Result<(), Violation> {
        if right {
            return Ok(());
        }
        self.hear(Err(Violation::new(oracle, what())))
    }

    /// Passes a verdict on unless its oracle is muted.
    ///
    /// # Errors
    ///
    /// The verdict's violation.
    pub fn hear(&self, verdict: Result<(), Violation>) -> Result<(), Violation> {
        match verdict {
            Err(violation) if self.muted.contains(&violation.oracle) => {
                self.heard.borrow_mut().insert(violation.oracle);
                Ok(())
            }
            other => other,
        }
    }

    /// Muted oracles that would have spoken.
    pub fn heard(&self) -> BTreeSet<Oracle> {
        self.heard.borrow().clone()
    }
}
