//! One replica's part in one group: what the room above sees of raft.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use openraft::errors::{ClientWriteError, ForwardReason, ForwardToLeader};
use openraft::impls::OneshotResponder;
use openraft::metrics::{RaftDataMetrics, RaftServerMetrics};
use openraft::{Config, Raft, SnapshotPolicy, StepDownPolicy};

use super::convert;
use super::error::{ProposeError, RaftError, ReadError};
use super::gate::{VoteGate, lease_end};
use super::log::LogHandle;
use super::machine::Machine;
use super::message::LogPosition;
use super::network::{Network, Peers};
use super::ports::{ApplyAnswer, Ports, RecoveredLog};
use super::receive::Incoming;
use super::status::LeaderState;
use super::types::{Closer, Command, CommittedLeader, Place, TypeConfig};
use crate::base::buggify::Faults;
use crate::base::id::{Incarnation, NodeId, ShardId};
use crate::base::limit;
use crate::base::time::Mono;
use crate::bug;
use crate::step::channel::watch;
use crate::step::{StepHandle, ambient};

/// How a group behaves.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    /// The group.
    pub group: ShardId,
    /// This node.
    pub node: NodeId,
    /// This life of the node; no two lives may share one.
    pub incarnation: Incarnation,
    /// A follower stands for election after one and a half to two and a half of this.
    pub election_timeout_ms: u64,
    /// A leader is heard this often; under a third of the election timeout.
    pub heartbeat_ms: u64,
    /// Entries kept for slow followers when the log is purged.
    pub log_keep_entries: u64,
    /// Whether the leader may read under its lease; else every barrier asks a quorum.
    pub lease_reads: bool,
    /// Planted bugs; empty in production.
    pub faults: Faults,
}

impl GroupConfig {
    /// The defaults.
    pub fn new(group: ShardId, node: NodeId, incarnation: Incarnation) -> Self {
        Self {
            group,
            node,
            incarnation,
            election_timeout_ms: 200,
            heartbeat_ms: 50,
            log_keep_entries: 1_000,
            lease_reads: true,
            faults: Faults::default(),
        }
    }

    /// How long a voter keeps its promise to a leader.
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.election_timeout_ms * 3 / 2)
    }

    fn raft_config(&self) -> Result<Config, RaftError> {
        if self.election_timeout_ms < 3 * self.heartbeat_ms || self.heartbeat_ms == 0 {
            return Err(RaftError::Settings(format!(
                "election timeout of {} ms is under three heartbeats of {} ms",
                self.election_timeout_ms, self.heartbeat_ms
            )));
        }
        let lease_ms = self.election_timeout_ms * 3 / 2;
        let config = Config {
            cluster_name: String::new(),
            election_timeout_min: self.election_timeout_ms,
            election_timeout_max: lease_ms,
            heartbeat_interval: self.heartbeat_ms,
            // See `beat`.
            enable_heartbeat: false,
            max_payload_entries: limit::APPEND_ENTRIES_MAX as u64,
            max_append_entries: Some(limit::APPEND_ENTRIES_MAX as u64),
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: self.log_keep_entries,
            removed_leader_step_down: StepDownPolicy::Never,
            quorum_loss_probe_interval: Some(3 * lease_ms),
            enable_pre_vote: Some(true),
            // A follower may have lost its log, and said so: it is sent all again.
            allow_log_reversion: Some(true),
            backoff: format!("{}ms", self.heartbeat_ms * 2),
            // B44: a restarted leader goes on in its term, over entries that its disk lost.
            enable_leader_restore: Some(bug!(self.faults, 44, true, false)),
            ..Config::default()
        };
        config.validate().map_err(|e| RaftError::Settings(e.to_string()))
    }
}

/// One replica's part in a group; clones share it. Dropping the last one does not stop it:
/// [`RaftGroup::shutdown`] does, and so does dropping the stepper.
#[derive(Clone)]
pub struct RaftGroup(pub(super) Rc<Inner>);

pub(super) struct Inner {
    pub(super) config: GroupConfig,
    pub(super) step: StepHandle,
    /// `None` only while the last clone is dropped.
    raft: Option<Raft<TypeConfig, Machine>>,
    pub(super) log: LogHandle,
    pub(super) machine: Machine,
    pub(super) peers: Rc<Peers>,
    pub(super) gate: VoteGate,
    pub(super) incoming: RefCell<Incoming>,
    pub(super) server: watch::Receiver<RaftServerMetrics<TypeConfig>>,
    pub(super) data: watch::Receiver<RaftDataMetrics<TypeConfig>>,
    /// The term whose lease a transfer or this node's removal has voided.
    pub(super) void_term: Cell<Option<u64>>,
    leader: watch::Sender<LeaderState>,
    /// Proposals under way and the terms they belong to, oldest first.
    proposals: RefCell<VecDeque<(u64, Closer)>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        let raft = self.raft.take();
        inside(&self.step, || drop(raft));
    }
}

/// Runs `work` inside the stepper, entering it if nobody has.
pub(super) fn inside<T>(step: &StepHandle, work: impl FnOnce() -> T) -> T {
    if ambient::is_entered() { work() } else { ambient::enter(step, work) }
}

/// What became of a proposal.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Proposed {
    /// Its place in the log.
    pub position: LogPosition,
    /// What the state machine answered.
    pub answer: ApplyAnswer,
}

impl RaftGroup {
    /// Opens a group from what the log and the state machine recovered.
    ///
    /// # Errors
    ///
    /// [`RaftError::Settings`] or [`RaftError::Recovered`].
    pub fn open(
        config: GroupConfig,
        step: &StepHandle,
        recovered: RecoveredLog,
        ports: Ports,
    ) -> Result<Self, RaftError> {
        inside(step, || Self::open_inside(config, step, recovered, ports))
    }

    fn open_inside(
        config: GroupConfig,
        step: &StepHandle,
        recovered: RecoveredLog,
        ports: Ports,
    ) -> Result<Self, RaftError> {
        let raft_config = Arc::new(config.raft_config()?);
        let faults = config.faults.clone();
        // A voter that never voted and never heard a leader has promised nothing.
        let may_have_promised = recovered.vote.is_some();
        let suspect = recovered.suspect;
        let log = LogHandle::new(config.group, faults.clone(), ports.log.clone(), recovered)?;
        let members = log
            .borrow()
            .last_membership()
            .unwrap_or_else(|| ports.machine.applied().membership.membership);
        let sole_voter = members.is_sole_voter(config.node);
        let gate = VoteGate::new(step.now(), config.lease(), may_have_promised && !sole_voter);
        if suspect && !sole_voter {
            gate.distrust();
        }
        let machine = Machine::new(ports.machine.clone(), log.clone(), faults.clone());
        let peers = Rc::new(Peers {
            group: config.group,
            node: config.node,
            step: step.clone(),
            transport: ports.transport,
            machine: ports.machine,
            faults,
            incarnation: config.incarnation.0,
            reply_timeout: Duration::from_millis(config.election_timeout_ms / 2),
            asked: Cell::new(0),
            waiting: RefCell::default(),
            heard: RefCell::default(),
            stood: watch::channel(0).0,
        });
        let network = Network(peers.clone());
        let opening = Raft::build(config.node, raft_config, network, log.clone(), machine.clone());
        // Everything it reads is in memory, so it never waits.
        let raft = opening
            .now_or_never()
            .ok_or_else(|| RaftError::Recovered("opening a group waits".to_owned()))?
            .map_err(|e| RaftError::Recovered(e.to_string()))?;
        let inner = Rc::new(Inner {
            server: raft.server_metrics(),
            data: raft.data_metrics(),
            raft: Some(raft),
            config,
            step: step.clone(),
            log,
            machine,
            peers,
            gate,
            incoming: RefCell::default(),
            void_term: Cell::new(None),
            leader: watch::channel(LeaderState::default()).0,
            proposals: RefCell::default(),
        });
        let group = Self(inner);
        group.raft().run();
        group.guard_start();
        group.ask_around();
        group.beat();
        group.watch_leadership();
        Ok(group)
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    pub(super) fn raft(&self) -> &Raft<TypeConfig, Machine> {
        match &self.0.raft {
            Some(raft) => raft,
            None => unreachable!("a group is used while it is dropped"),
        }
    }

    /// Standing for election is voting for oneself: the gate of the start holds for it too.
    fn guard_start(&self) {
        let until = self.0.gate.start_until();
        let open = until <= self.0.step.now() || bug!(self.0.config.faults, 42, true, false);
        if self.is_trusted() && open {
            return;
        }
        self.raft().runtime_config().elect(false);
        let (weak, sleep) = (Rc::downgrade(&self.0), self.0.step.sleep_until(until));
        self.0.step.spawn_detached(async move {
            sleep.await;
            if let Some(group) = weak.upgrade().map(Self).filter(Self::is_trusted) {
                group.raft().runtime_config().elect(true);
            }
        });
    }

    /// This node may vote again: it has all that it may have acknowledged, see `survey`.
    pub(super) fn trust(&self) {
        self.0.gate.trust();
        self.0.log.trust();
        if self.0.gate.start_until() <= self.0.step.now() {
            self.raft().runtime_config().elect(true);
        }
    }

    /// Whether this node lacks nothing that it may have acknowledged.
    pub fn is_trusted(&self) -> bool {
        self.0.gate.is_trusted()
    }

    /// Tells whoever watches when the leader, the term or the right to serve changes.
    fn watch_leadership(&self) {
        let weak = Rc::downgrade(&self.0);
        let mut server = self.0.server.clone();
        let mut term = self.0.machine.watch_term();
        self.0.step.spawn_detached(async move {
            loop {
                let Some(inner) = weak.upgrade() else { return };
                let group = Self(inner);
                let now = group.leader_state();
                group.give_up_after(now);
                group.0.leader.send_if_modified(|known| {
                    let news = *known != now;
                    *known = now;
                    news
                });
                drop(group);
                let changed = {
                    let server = server.changed();
                    let term = term.changed();
                    futures_util::future::select(server, term).await.factor_first().0
                };
                if changed.is_err() {
                    return;
                }
            }
        });
    }

    /// Leadership has ended: what was proposed under it is decided soon, or stays unknown.
    fn give_up_after(&self, now: LeaderState) {
        let before = *self.0.leader.borrow();
        let led = before.leader == Some(self.0.config.node);
        if !led || (now.leader == before.leader && now.term == before.term) {
            return;
        }
        let group = self.clone();
        let wait = self.0.step.sleep(2 * self.0.config.lease());
        self.start(async move {
            wait.await;
            for (term, closer) in group.0.proposals.borrow().iter() {
                if *term <= before.term {
                    closer.close();
                }
            }
        });
    }

    /// Remembers who waits, and forgets who no longer does.
    fn note_proposal(&self, term: u64, closer: Closer) {
        let mut proposals = self.0.proposals.borrow_mut();
        while proposals.front().is_some_and(|(_, closer)| closer.is_over()) {
            proposals.pop_front();
        }
        proposals.push_back((term, closer));
    }

    /// Proposes a command that was evaluated while this node led `term`.
    ///
    /// Several calls may be under way; their entries keep the order of the first polls. It ends
    /// when the command is applied here, certainly never will be, or a while after this node has
    /// ceased to lead `term`. Dropping the future leaves the outcome unknown.
    ///
    /// # Errors
    ///
    /// [`ProposeError`]; all but `Unknown` are definite.
    pub async fn propose(&self, term: u64, command: Bytes) -> Result<Proposed, ProposeError> {
        if limit::ENTRY_BYTES_MAX < command.len() {
            return Err(ProposeError::TooLarge { bytes: command.len() });
        }
        let place = Place::default();
        let command = Command { bytes: command, place: Some(place.clone()) };
        let (responder, outcome) = OneshotResponder::<TypeConfig, _>::new_pair();
        self.note_proposal(term, outcome.closer());
        let sent = self
            .raft()
            .write(command)
            .with_leader(CommittedLeader::new(term))
            .responder(responder)
            .await;
        if sent.is_err() {
            return Err(ProposeError::Unknown);
        }
        match outcome.await {
            Ok(Ok(written)) => {
                Ok(Proposed { position: convert::position(&written.log_id), answer: written.data })
            }
            Ok(Err(ClientWriteError::ForwardToLeader(forward))) => {
                Err(self.not_leader(term, &forward))
            }
            // Cut off this node's log; it may still live on another's.
            Ok(Err(_)) => {
                let wait = 2 * self.0.config.lease();
                Err(self.settle(place.get(), wait).await)
            }
            Err(_) => Err(self.settle(place.get(), Duration::ZERO).await),
        }
    }

    fn not_leader(&self, term: u64, forward: &ForwardToLeader<TypeConfig>) -> ProposeError {
        let led = self.leads();
        if forward.reason == ForwardReason::NotLeader && led.is_some_and(|led| led != term) {
            return ProposeError::TermChanged;
        }
        ProposeError::NotLeader { hint: forward.leader_id.filter(|id| *id != self.0.config.node) }
    }

    /// Waits a little to learn which entry was committed at the place of a discarded one.
    async fn settle(&self, place: Option<LogPosition>, wait: Duration) -> ProposeError {
        let Some(place) = place else { return ProposeError::Unknown };
        let mut applied = self.0.machine.watch_applied();
        let reached = applied.wait_for(|at| Some(place.index) <= at.map(|at| at.index));
        if !matches!(self.0.step.timeout(wait, reached).await, Ok(Ok(()))) {
            return bug!(self.0.config.faults, 31, ProposeError::Lost, ProposeError::Unknown);
        }
        match self.0.log.borrow().term_at(place.index) {
            Some(term) if term != place.term => ProposeError::Lost,
            // B31: what may have been committed is called lost.
            _ => bug!(self.0.config.faults, 31, ProposeError::Lost, ProposeError::Unknown),
        }
    }

    /// Waits until a read here sees everything that was committed before the call.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub async fn read_index(&self) -> Result<(), ReadError> {
        use openraft::errors::{LinearizableReadError, RaftError as OpenraftError};
        let asked = self.raft().get_read_log_id(openraft::ReadPolicy::ReadIndex).await;
        let (read, _) = asked.map_err(|e| match e {
            OpenraftError::APIError(LinearizableReadError::ForwardToLeader(forward)) => {
                ReadError::NotLeader { hint: forward.leader_id }
            }
            OpenraftError::APIError(LinearizableReadError::QuorumNotEnough(_))
            | OpenraftError::Fatal(_) => ReadError::NoQuorum,
        })?;
        // B16: what an earlier leader committed may not be applied yet.
        if bug!(self.0.config.faults, 16, true, false) {
            return Ok(());
        }
        let index = read.index();
        let mut applied = self.0.machine.watch_applied();
        let reached = applied.wait_for(|at| Some(index) <= at.map(|at| at.index));
        match self.0.step.timeout(2 * self.0.config.lease(), reached).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(ReadError::NoQuorum),
        }
    }

    /// The term that this node leads, if it leads.
    pub fn leads(&self) -> Option<u64> {
        let server = self.0.server.borrow();
        let vote = convert::ballot(&server.vote);
        // openraft tells its state between two commands; the log may know a later vote by then.
        let leads = server.state == openraft::ServerState::Leader
            && vote.committed
            && vote.node == self.0.config.node
            && self.0.log.borrow().vote() == Some(vote);
        leads.then_some(vote.term)
    }

    /// Whether this node leads and has applied an entry of its own term, so that its state holds
    /// all that was committed before.
    pub fn is_serving_leader(&self) -> bool {
        self.leads().is_some_and(|term| self.serves_in(term))
    }

    fn serves_in(&self, term: u64) -> bool {
        let applied = self.0.machine.applied().is_some_and(|at| at.term == term);
        // B16: a new leader serves before its no-op.
        bug!(self.0.config.faults, 16, true, applied)
    }

    /// Whether a read at `now` needs to ask nobody: this node serves, and a quorum answered a
    /// message that it sent less than three quarters of a lease ago.
    ///
    /// `now` is the moment stamped after the read's bytes were received, on the boot clock.
    pub fn lease_valid(&self, now: Mono) -> bool {
        let Some(term) = self.leads() else { return false };
        if !self.0.config.lease_reads
            || !self.serves_in(term)
            || self.0.void_term.get() == Some(term)
        {
            return false;
        }
        if self.is_sole_voter() {
            return true;
        }
        let acked = self.0.data.borrow().last_quorum_acked;
        // B51: the leader reads for longer than the voters promised.
        let lease = self.0.config.lease();
        let lease = bug!(self.0.config.faults, 51, 3 * lease, lease);
        acked.is_some_and(|acked| now < lease_end(acked.into_inner().0, lease))
    }

    fn is_sole_voter(&self) -> bool {
        let server = self.0.server.borrow();
        let sets = server.membership_config.membership().get_joint_config();
        !sets.is_empty()
            && sets.iter().all(|set| set.len() == 1 && set.contains(&self.0.config.node))
    }

    /// The leader, as far as this node knows.
    pub fn leader(&self) -> Option<NodeId> {
        self.0.server.borrow().current_leader
    }

    /// The term of this node's vote.
    pub fn term(&self) -> u64 {
        self.0.log.borrow().vote().map_or(0, |vote| vote.term)
    }

    /// Who leads and whether this node serves.
    pub fn leader_state(&self) -> LeaderState {
        LeaderState { term: self.term(), leader: self.leader(), serving: self.is_serving_leader() }
    }

    /// Rings whenever [`Self::leader_state`] changes.
    pub fn watch_leader(&self) -> watch::Receiver<LeaderState> {
        self.0.leader.subscribe()
    }

    /// The last entry that is durable in this node's log. The store must not be flushed past it.
    pub fn persisted(&self) -> Option<LogPosition> {
        self.0.log.borrow().persisted()
    }

    /// Whether the log in memory is over its bound: flush the store, then
    /// [`Self::trigger_snapshot`].
    pub fn log_is_full(&self) -> bool {
        limit::LOG_MEMORY_BYTES_MAX < self.0.log.borrow().bytes()
    }

    /// The config it was opened with.
    pub fn config(&self) -> &GroupConfig {
        &self.0.config
    }

    /// Starts `work` as a task, for what openraft offers as a future and nobody waits for.
    pub(super) fn start(&self, work: impl Future<Output = ()> + 'static) {
        self.0.step.spawn_detached(work);
    }
}
