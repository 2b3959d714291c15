//! The node: one mutating door.
//!
//! `handle` takes one input, lets every task that it wakes run until all of them wait again, and
//! lends itself to the iterator over the effects: a second input cannot come before they are drained.
//!
//! # Invariants
//!
//! * Nothing is sent before this life's incarnation is durable.
//! * After `Halt` nothing is performed and nothing is handled.

use std::rc::Rc;

use super::boot;
use super::config::{CoreConfig, Seed};
use super::effect::{Effect, HaltReason};
use super::input::{Input, OperatorAnswer, OperatorRequest};
use super::outbox::OnDurable;
use super::sessions::Sessions;
use super::shared::Shared;
use super::status::ClusterStatus;
use super::{found, peers, wiring};
use crate::base::id::{NodeId, SessionId, ShardId};
use crate::base::limit;
use crate::base::rng::Rng;
use crate::base::time::{Deadline, Mono, Now};
use crate::raft::RaftStatus;
use crate::step::Stepper;
use crate::storage::log::{AppendPlan, LogRecord, LogWriter};

/// Everything that one node is.
pub struct Node {
    shared: Rc<Shared>,
    stepper: Stepper,
    log: Option<LogWriter>,
    /// Who waits for which ticket, in the order of tickets.
    waiters: Vec<(u64, Vec<OnDurable>)>,
    sessions: Sessions,
    seed: Seed,
    more: bool,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({}, {})", self.shared.me, self.shared.incarnation.get())
    }
}

/// The effects of one input, in order. Dropping it undrained loses them, and says so in debug builds.
#[must_use = "effects are wishes: perform them all, in order"]
pub struct Effects<'a> {
    node: &'a mut Node,
}

impl std::fmt::Debug for Effects<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Effects of {:?}", self.node)
    }
}

impl Iterator for Effects<'_> {
    type Item = Effect;

    fn next(&mut self) -> Option<Effect> {
        self.node.shared.outbox.pop()
    }
}

impl Drop for Effects<'_> {
    fn drop(&mut self) {
        debug_assert!(
            self.node.shared.halted.get()
                || self.node.shared.outbox.is_empty()
                || std::thread::panicking(),
            "effects were dropped"
        );
    }
}

impl Node {
    /// A node that has not booted yet: its first input is `Booted`.
    pub fn new(id: NodeId, config: CoreConfig, seed: Seed, now: Now) -> Self {
        let mut stepper = Stepper::new(Rng::stream(seed.0, "step"));
        stepper.advance(now.mono);
        let shared = boot::shared(id, config, seed, stepper.handle().clone());
        shared.outbox.set_now(now);
        Self {
            sessions: Sessions::new(Rc::clone(&shared)),
            shared,
            stepper,
            log: None,
            waiters: Vec::new(),
            seed,
            more: false,
        }
    }

    /// Takes one input in. The shell performs the effects, in order, before it gives the next.
    pub fn handle(&mut self, now: Now, input: Input) -> Effects<'_> {
        if !self.shared.halted.get() {
            self.shared.outbox.set_now(now);
            self.stepper.advance(now.mono);
            self.route(now, input);
            let outcome = self.stepper.run_until_stalled(now.mono, limit::STEP_POLLS_MAX);
            self.more = outcome.more;
            self.flush(now);
        }
        Effects { node: self }
    }

    /// When to give `DeadlineReached` if nothing else happens before.
    pub fn deadline(&self) -> Option<Deadline> {
        if self.shared.halted.get() {
            return None;
        }
        if self.more {
            return Some(Deadline { at: Mono::ZERO, reason: "tasks are ready" });
        }
        let timer = self.stepper.next_timer().map(|at| Deadline { at, reason: "timer" });
        let seal = self.log.as_ref().and_then(LogWriter::seal_due);
        let seal = seal.map(|at| Deadline { at, reason: "log seal" });
        timer.into_iter().chain(seal).min_by_key(|deadline| deadline.at)
    }

    /// What this node knows of the cluster by itself.
    pub fn status(&self) -> ClusterStatus {
        super::host::status(&self.shared)
    }

    /// Whether the shell should read more from a client; it asks again a little later if not.
    pub fn wants_input(&self, session: SessionId) -> bool {
        self.sessions.wants_input(session)
    }

    /// This node's id.
    pub fn id(&self) -> NodeId {
        self.shared.me
    }

    /// Each replica's raft state: for the simulator's oracles.
    pub fn raft_status(&self) -> Vec<(ShardId, RaftStatus)> {
        let hosts = self.shared.all_hosts();
        hosts.iter().map(|host| (host.shard, host.group.status())).collect()
    }

    /// The raft states that differ from what was `seen` of them: for the simulator's oracles.
    pub fn raft_changes<'a>(
        &self,
        seen: impl Fn(ShardId) -> Option<&'a RaftStatus>,
    ) -> Vec<(ShardId, RaftStatus)> {
        let hosts = self.shared.hosts.borrow();
        let news = hosts
            .values()
            .filter(|host| seen(host.shard).is_none_or(|old| host.group.has_changed(old)));
        news.map(|host| (host.shard, host.group.status())).collect()
    }

    /// The term of a replica's log entry: for the simulator's oracles.
    pub fn term_at(&self, shard: ShardId, index: u64) -> Option<u64> {
        self.shared.host(shard)?.group.term_at(index)
    }

    /// Whether a replica would answer a read at `now` without asking anyone: for the simulator's oracles.
    pub fn reads_alone(&self, shard: ShardId, now: Mono) -> bool {
        self.shared.host(shard).is_some_and(|host| host.group.lease_valid(now))
    }

    /// What can be checked at once about itself.
    ///
    /// # Panics
    ///
    /// If a belief does not hold.
    pub fn check_invariants(&self) {
        for host in self.shared.all_hosts() {
            host.group.check_invariants();
        }
    }

    fn route(&mut self, now: Now, input: Input) {
        let shared = Rc::clone(&self.shared);
        match input {
            Input::Booted(image) => {
                let recovered = self.stepper.enter(|| boot::boot(&shared, image, self.seed));
                match recovered {
                    Ok(log) => self.log = Some(log),
                    Err(reason) => shared.halt(reason),
                }
            }
            Input::DeadlineReached => {}
            Input::PeerMessageReceived(frame) => {
                self.stepper.enter(|| peers::receive(&shared, frame));
            }
            Input::PeerMessageFailed(node) => {
                self.stepper.enter(|| peers::unreachable(&shared, node));
            }
            Input::ClientConnected { session } => self.sessions.connect(session),
            Input::ClientRequested { session, request } => self.sessions.request(session, request),
            Input::ClientPipelined { session, requests } => {
                requests.into_iter().for_each(|request| self.sessions.request(session, request));
            }
            Input::ClientDrained { session, unsent_bytes } => {
                self.sessions.drained(session, unsent_bytes);
            }
            Input::ClientDisconnected { session } => self.sessions.disconnect(session),
            Input::StorageCompleted(event) => self.storage_completed(event),
            Input::LogPersisted { ticket } => self.log_persisted(now, ticket),
            // B04: a failed sync is forgotten; the next one is believed to cover what it dropped.
            Input::LogFailed { .. } if crate::bug!(shared.config.faults, 4, true, false) => {}
            Input::LogFailed { reason, disk_full } => {
                let what = if disk_full { "the log's disk is full" } else { "the log failed" };
                shared.halt(HaltReason::Fenced(format!("{what}: {reason}")));
            }
            Input::OperatorRequested { token, request } => match request {
                OperatorRequest::Init { entropy, superuser } => {
                    found::init(&shared, token, entropy, superuser);
                }
                OperatorRequest::Status => super::duties::answer_status(&shared, token),
                OperatorRequest::Drain => {
                    self.sessions.drain();
                    super::duties::drain(&shared, token);
                }
                OperatorRequest::Compact(shard) => {
                    let answer = super::duties::compact(&shared, shard);
                    shared.outbox.push(Effect::AnswerOperator { token, answer });
                }
            },
        }
    }

    fn storage_completed(&self, event: crate::storage::port::StorageEvent) {
        use crate::storage::port::StorageEvent as Event;
        let token = match &event {
            Event::Opened(token, _)
            | Event::Read(token, _)
            | Event::Flushed(token, _)
            | Event::SnapshotOpened(token, _)
            | Event::SnapshotChunk(token, _)
            | Event::Staged(token, _)
            | Event::Installed(token, _) => *token,
            Event::WriteFailed(shard, error) => {
                let reason = format!("the store of {shard} cannot be written: {error}");
                return self.shared.halt(HaltReason::Fenced(reason));
            }
        };
        self.shared.outbox.answer(token, event);
    }

    fn log_persisted(&mut self, now: Now, ticket: u64) {
        let Some(log) = &mut self.log else { return };
        let retired = log.persisted(now.mono, ticket);
        if !retired.is_empty() {
            self.shared.outbox.push(Effect::RetireSegments(retired));
        }
        let ripe = self.waiters.partition_point(|(of, _)| *of <= ticket);
        let ripe: Vec<_> = self.waiters.drain(..ripe).flat_map(|(_, waiters)| waiters).collect();
        self.stepper.enter(|| ripe.into_iter().for_each(|waiter| waiter()));
    }

    /// Ends a handle: one log batch, one frame a peer, one answer a client.
    fn flush(&mut self, now: Now) {
        let batch = self.shared.outbox.take_log();
        if let Some(log) = &mut self.log {
            if !batch.records.is_empty() {
                let plan = log.append(batch.records);
                let waiters = batch.waiters;
                // B01: what is only written counts as durable.
                let early = crate::bug!(self.shared.config.faults, 1, true, false);
                if early {
                    self.stepper.enter(|| waiters.into_iter().for_each(|waiter| waiter()));
                    self.more = true;
                } else {
                    self.waiters.push((plan.ticket, waiters));
                }
                Self::append(&self.shared, plan);
                for copies in stragglers(&self.shared, log) {
                    let plan = log.rewrite(copies);
                    Self::append(&self.shared, plan);
                }
            } else if let Some(plan) = log.seal(now.mono) {
                Self::append(&self.shared, plan);
            }
        }
        for (to, messages) in self.shared.outbox.take_frames() {
            let frame = self.shared.frame(to, messages);
            self.shared.outbox.push(Effect::SendPeerMessage { to, frame });
        }
        self.shared.outbox.flush_replies();
    }

    fn append(shared: &Shared, plan: AppendPlan) {
        let AppendPlan { ticket, writes, seal: _ } = plan;
        shared.outbox.push(Effect::AppendLog { ticket, writes });
    }
}

/// What to write again so that the oldest segment may go: entries of groups that write seldom. A
/// group that holds much of it, and would purge that if its store were flushed, flushes. A log that is
/// long because of what must be kept, as for a peer that is down, gets its segments: copies would only
/// make it longer.
fn stragglers(shared: &Shared, log: &LogWriter) -> Vec<Vec<(ShardId, LogRecord)>> {
    let named = log.stragglers();
    if named.is_empty() {
        return Vec::new();
    }
    let kept: usize = shared.all_hosts().iter().map(|host| host.group.status().log_bytes).sum();
    let crowded = log.bytes_max() / 2 < kept as u64;
    let few = shared.config.segment_bytes / 8;
    let mut copies = Vec::new();
    for straggler in named {
        let Some(host) = shared.host(straggler.group) else { continue };
        let keep = shared.config.log_keep_entries;
        if few < straggler.bytes && straggler.first + keep <= host.applied_index() {
            host.flush_wanted.set(true);
            continue;
        }
        if crowded {
            continue;
        }
        let room = usize::try_from(few).unwrap_or(usize::MAX);
        let entries = host.group.entries(straggler.first, straggler.last, room);
        let records = entries.into_iter().map(|entry| (straggler.group, wiring::log::entry(entry)));
        let records: Vec<_> = records.collect();
        if !records.is_empty() {
            copies.push(records);
        }
    }
    copies
}

/// The refusal of an operator's wish.
pub(super) fn refused(message: impl Into<String>) -> OperatorAnswer {
    use crate::base::error::{SqlError, sqlstate};
    let state = sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE;
    OperatorAnswer::Refused(SqlError::new(state, message))
}
