//! The vote gate and the read lease: two halves of one promise.
//!
//! A leader reads without asking while `last quorum acked (send time) + 0.75 × lease` lies ahead; a
//! voter grants nobody else for a whole `lease` after it heard the leader, and for a whole `lease`
//! after its process started, because it may have forgotten whom it heard. The quarter between the
//! two is the margin for clocks of different rates.
//!
//! # Source
//!
//! Ongaro 2014, section 6.4.1; the restart rule is ours (openraft's own lease is zero after a start).

use std::cell::Cell;
use std::time::Duration;

use super::message::VoteAsk;
use crate::base::time::Mono;

/// What this voter promised.
pub(super) struct VoteGate {
    lease: Duration,
    /// No vote before this: the process may have promised something it does not remember.
    start_until: Cell<Mono>,
    /// No vote before this: a leader was heard.
    grant_until: Cell<Mono>,
}

impl VoteGate {
    /// A gate that is shut for a lease if this voter `may_have_promised` before its start.
    pub(super) fn new(now: Mono, lease: Duration, may_have_promised: bool) -> Self {
        let start_until = if may_have_promised { now + lease } else { Mono::ZERO };
        Self { lease, start_until: Cell::new(start_until), grant_until: Cell::new(Mono::ZERO) }
    }

    /// A leader was heard and will be answered: it may count this voter from before now on.
    pub(super) fn grant(&self, now: Mono) {
        self.grant_until.set(self.grant_until.get().max(now + self.lease));
    }

    /// Whether this voter may stand for election or grant `ask`. A transfer is the leader's own wish,
    /// and its lease is void by then.
    pub(super) fn allows(&self, now: Mono, ask: Option<&VoteAsk>) -> bool {
        ask.is_some_and(|ask| ask.transfer)
            || (self.start_until.get() <= now && self.grant_until.get() <= now)
    }

    /// Until when the start shuts the gate.
    pub(super) fn start_until(&self) -> Mono {
        self.start_until.get()
    }
}

/// How long a leader may read on the strength of a quorum that answered a message sent at `sent`.
pub(super) fn lease_end(sent: Mono, lease: Duration) -> Mono {
    sent + lease * 3 / 4
}
