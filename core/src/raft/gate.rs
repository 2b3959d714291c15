//! The vote gate and the read lease: two halves of one promise.
//!
//! A leader reads without asking while `last quorum acked (send time) + 0.75 × lease` lies ahead; a
//! voter grants nobody else for a whole `lease` after it heard the leader, and for a whole `lease`
//! after its process started, because it may have forgotten whom it heard. The quarter between the
//! two is the margin for clocks of different rates.
//!
//! # Source
//!
//! Ongaro 2014, section 6.4.1; the restart rule is ours (openraft's own lease is zero after a
//! start).

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
    /// The disk may have lost what this voter acknowledged.
    distrusted: Cell<bool>,
}

impl VoteGate {
    /// A gate that is shut for a lease if this voter `may_have_promised` before its start.
    pub(super) fn new(now: Mono, lease: Duration, may_have_promised: bool) -> Self {
        let start_until = if may_have_promised { now + lease } else { Mono::ZERO };
        Self {
            lease,
            start_until: Cell::new(start_until),
            grant_until: Cell::new(Mono::ZERO),
            distrusted: Cell::new(false),
        }
    }

    /// No vote until [`Self::trust`], but for a candidate that has heard from all.
    pub(super) fn distrust(&self) {
        self.distrusted.set(true);
    }

    /// The loss is made good.
    pub(super) fn trust(&self) {
        self.distrusted.set(false);
    }

    /// Whether the disk is believed to hold all that was acknowledged.
    pub(super) fn is_trusted(&self) -> bool {
        !self.distrusted.get()
    }

    /// A leader was heard and will be answered: it may count this voter from before now on.
    pub(super) fn grant(&self, now: Mono) {
        self.grant_until.set(self.grant_until.get().max(now + self.lease));
    }

    /// Whether this voter, in its life `incarnation`, may stand for election or grant `ask`. A
    /// transfer is the leader's own wish, and its lease is void by then. A candidate that has heard
    /// from every voter of these lives holds whatever survives anywhere.
    pub(super) fn allows(&self, now: Mono, incarnation: u64, ask: Option<&VoteAsk>) -> bool {
        let promised = now < self.start_until.get() || now < self.grant_until.get();
        let transfer = ask.is_some_and(|ask| ask.transfer);
        let knows_all = ask.is_some_and(|ask| ask.longest_since == Some(incarnation));
        (self.is_trusted() || knows_all) && (transfer || !promised)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::NodeId;
    use crate::raft::Ballot;

    const LEASE: Duration = Duration::from_millis(300);
    const LIFE: u64 = 7;

    fn ask(transfer: bool) -> VoteAsk {
        let ballot = Ballot { term: 2, node: NodeId(256), committed: false };
        VoteAsk { ballot, last_log: None, transfer, longest_since: None }
    }

    fn at(ms: u64) -> Mono {
        Mono::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn a_restarted_voter_waits_a_whole_lease() {
        let gate = VoteGate::new(at(1_000), LEASE, true);
        assert!(!gate.allows(at(1_299), LIFE, Some(&ask(false))));
        assert!(gate.allows(at(1_300), LIFE, Some(&ask(false))));
        assert!(gate.allows(at(1_001), LIFE, Some(&ask(true))), "a transfer is the leader's wish");
        assert!(
            VoteGate::new(at(1_000), LEASE, false).allows(at(1_000), LIFE, None),
            "nothing promised"
        );
    }

    #[test]
    fn a_heard_leader_shuts_the_gate_longer_than_it_reads() {
        let gate = VoteGate::new(at(0), LEASE, false);
        gate.grant(at(500));
        gate.grant(at(400));
        assert!(!gate.allows(at(799), LIFE, None));
        assert!(gate.allows(at(800), LIFE, None));
        // 20 % of difference between the clocks fits in between.
        let reading = lease_end(at(500), LEASE).since(at(500));
        assert!(reading.mul_f64(1.2) < LEASE);
    }

    #[test]
    fn a_distrusted_voter_votes_only_for_who_heard_all_in_this_life() {
        let gate = VoteGate::new(at(0), LEASE, false);
        gate.distrust();
        let heard = |life| VoteAsk { longest_since: Some(life), ..ask(false) };
        assert!(gate.allows(at(9_000), LIFE, Some(&heard(LIFE))));
        assert!(
            !gate.allows(at(9_000), LIFE, Some(&heard(LIFE - 1))),
            "what it then had may be gone"
        );
        gate.grant(at(9_000));
        assert!(!gate.allows(at(9_001), LIFE, Some(&heard(LIFE))), "a leader is alive");
        let gate = VoteGate::new(at(0), LEASE, false);
        gate.distrust();
        assert!(!gate.allows(at(9_000), LIFE, None), "nor may it stand");
        assert!(!gate.allows(at(9_000), LIFE, Some(&ask(false))));
        assert!(!gate.allows(at(9_000), LIFE, Some(&ask(true))));
        gate.trust();
        assert!(gate.allows(at(9_000), LIFE, Some(&ask(false))));
    }
}
