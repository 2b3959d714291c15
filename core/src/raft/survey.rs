//! Asking all voters where their logs end: the way back for a replica whose disk lost something, and
//! the way to a leader for a group in which many disks did.
//!
//! A disk may lose entries that this replica had acknowledged: a torn tail that was synced after all, or
//! damage. Until it certainly has all of them again, the replica does not vote, or it could elect
//! somebody without them. Two answers, both given in this life of the replica, make it certain:
//!
//! - A leader whose term is at least that of this replica's vote tells where its log ends. Whatever
//!   this replica acknowledged and somebody called committed is in that log: once it is applied up to
//!   there, nothing is missing.
//! - All voters answer, and no log is longer, by term and index. A longer log holds all that a
//!   shorter one has and that was ever committed, so whatever survives anywhere is here.
//!
//! A candidate that holds the second answer gets votes even from replicas that lack something, of those
//! lives that it heard: what they acknowledge afterwards is durable again, and the usual comparison of
//! logs protects it. So a power cut that tears every tail still ends with a leader.
//!
//! # Source
//!
//! Alagappan et al., *Protocol-Aware Recovery for Consensus-Based Storage*, FAST 2018, section 3.4:
//! decide from what all replicas hold, never from the absence of an answer.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;

use super::convert;
use super::group::RaftGroup;
use super::message::{LogEnd, LogPosition};
use crate::base::id::NodeId;

impl RaftGroup {
    /// Where this replica's log ends, for whoever asks.
    pub(super) fn log_end(&self) -> LogEnd {
        let term = self.leads();
        let log = self.inner().log.borrow();
        LogEnd {
            incarnation: self.config().incarnation.0,
            term: log.vote().map_or(0, |vote| vote.term),
            leads: term.is_some(),
            last_log: log.last(),
        }
    }

    /// Asks around once an election timeout while something may be missing here, and else whenever
    /// this replica has stood for election: who was asked may be waiting to be heard.
    pub(super) fn ask_around(&self) {
        let weak = Rc::downgrade(&self.0);
        let step = self.inner().step.clone();
        let mut stood = self.inner().peers.stood.subscribe();
        let pause = Duration::from_millis(self.config().election_timeout_ms);
        self.inner().step.spawn_detached(async move {
            let mut goal = None;
            loop {
                let Some(trusted) = weak.upgrade().map(|inner| inner.gate.is_trusted()) else {
                    return;
                };
                if !trusted {
                    step.sleep(pause).await;
                } else if stood.changed().await.is_err() {
                    return;
                }
                let Some(group) = weak.upgrade().map(Self) else { return };
                group.hear_all(&mut goal).await;
            }
        });
    }

    /// Waits until nothing that this replica acknowledged is missing here.
    pub async fn made_whole(&self) {
        while !self.is_trusted() {
            let pause = Duration::from_millis(self.config().election_timeout_ms);
            self.inner().step.sleep(pause).await;
        }
    }

    /// One round of questions. `goal` is the end of a leader's log, once one has told it.
    async fn hear_all(&self, goal: &mut Option<LogPosition>) {
        let inner = self.inner();
        let mut voters = convert::stored_membership(&inner.server.borrow().membership_config)
            .membership
            .voter_ids();
        voters.remove(&self.config().node);
        let asked =
            voters.iter().map(|voter| async { (*voter, inner.peers.log_end(*voter).await) });
        let answers = join_all(asked).await.into_iter();
        let answers: BTreeMap<NodeId, LogEnd> =
            answers.filter_map(|(voter, answer)| Some((voter, answer?))).collect();
        let own = self.log_end();
        let leader = answers.values().find(|end| end.leads && own.term <= end.term);
        *goal = goal.or(leader.and_then(|leader| leader.last_log));
        let all = !voters.is_empty() && answers.len() == voters.len();
        let longest = all && answers.values().all(|end| !end.leads && end.last_log <= own.last_log);
        *inner.peers.heard.borrow_mut() = if longest {
            answers.iter().map(|(voter, end)| (*voter, end.incarnation)).collect()
        } else {
            BTreeMap::new()
        };
        let has_all =
            goal.is_some_and(|goal| Some(goal.index) <= self.applied().map(|at| at.index));
        if !self.is_trusted() && (longest || has_all) {
            self.trust();
        }
    }
}
