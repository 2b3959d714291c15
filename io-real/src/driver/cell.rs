//! A node and everything its effects need, without tasks or time: one input in, all effects
//! performed.
//!
//! # Invariants
//!
//! - One input is followed by all of its effects, in order, before the next input. What goes to the log
//!   and to clients is gathered, in order, until [`Cell::finish`]: turns that follow each other share a
//!   sync and the wakes of its thread, and clients hear when all who had asked are served.
//! - Answers that are ready at once are handled in the same turn, at most [`ANSWERS_PER_TURN`] of
//!   them, so that sockets are polled again in bounded time.
//! - After `Halt` nothing is performed and no input is taken.

use std::collections::VecDeque;
use std::time::Instant;

use shardforge_core::base::id::{NodeId, SessionId, Token};
use shardforge_core::base::map::FixedMap;
use shardforge_core::base::time::Mono;
use shardforge_core::node::effect::{Effect, HaltReason, LogLevel};
use shardforge_core::node::input::{Input, OperatorAnswer, PeerFrame};
use shardforge_core::storage::log::LogWrite;
use shardforge_core::storage::port::StorageEvent;
use tokio::sync::{oneshot, watch};

use crate::clock::Clock;
use crate::front::Sessions;
use crate::metrics::Metrics;
use crate::ports::{CoreNode, LogDisk, Stores};

/// Answers handled in one turn before the sockets are polled.
const ANSWERS_PER_TURN: usize = 256;
/// One turn in so many is timed: two clock reads would be a tenth of a short turn.
const TIMED_TURNS: u64 = 64;

/// Takes frames for other nodes; never waits.
pub trait PeerSender {
    /// Queues a frame; a loss is reported as `Input::PeerMessageFailed` later.
    fn send(&mut self, to: NodeId, frame: PeerFrame);
    /// Queues a frame for an address behind which no node is known yet.
    fn probe(&mut self, address: &str, frame: PeerFrame);
    /// Where the other nodes are.
    fn peers_changed(&mut self, peers: Vec<(NodeId, String)>);
}

/// A node and what performs its effects.
pub struct Cell<N, S, L> {
    node: N,
    clock: Box<dyn Clock>,
    hands: Hands<S, L>,
    metrics: Metrics,
    turns: u64,
}

/// What performs effects: apart from the node, which is lent out while they are drained.
struct Hands<S, L> {
    stores: S,
    log: L,
    peers: Box<dyn PeerSender>,
    sessions: Sessions,
    operators: FixedMap<Token, oneshot::Sender<OperatorAnswer>>,
    serving: watch::Sender<bool>,
    /// What the log has not been handed yet: a ticket stands for all before it.
    appends: Option<(u64, Vec<LogWrite>)>,
    stored: VecDeque<StorageEvent>,
    queued: VecDeque<Input>,
    halted: Option<HaltReason>,
    metrics: Metrics,
}

impl<N: CoreNode, S: Stores, L: LogDisk> Cell<N, S, L> {
    /// A cell whose node has not booted yet.
    pub fn new(
        node: N,
        clock: Box<dyn Clock>,
        stores: S,
        log: L,
        peers: Box<dyn PeerSender>,
        metrics: Metrics,
    ) -> Self {
        let hands = Hands {
            stores,
            log,
            peers,
            sessions: Sessions::new(metrics.clone()),
            operators: FixedMap::default(),
            serving: watch::Sender::new(false),
            appends: None,
            stored: VecDeque::new(),
            queued: VecDeque::new(),
            halted: None,
            metrics: metrics.clone(),
        };
        Self { node, clock, hands, metrics, turns: 0 }
    }

    /// Takes an input, and the answers that are ready at once.
    pub(super) fn turn(&mut self, input: Input) {
        self.turns += 1;
        let began = self.turns.is_multiple_of(TIMED_TURNS).then(Instant::now);
        self.handle(input);
        self.take_answers(ANSWERS_PER_TURN);
        if let Some(began) = began {
            let ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.metrics.busy_ns.inc_by(ns);
        }
    }

    /// Takes at most so many answers that are ready at once; returns how many there were.
    fn take_answers(&mut self, most: usize) -> usize {
        let mut answers = 0;
        while answers < most {
            let Some(input) = self.hands.next_ready() else { break };
            answers += 1;
            self.handle(input);
        }
        self.metrics.inline_answers.inc_by(answers as u64);
        answers
    }

    /// Hands over what turns gathered, and goes on with the answers that they left. Whether clients were
    /// answered.
    pub(super) fn finish(&mut self) -> bool {
        let mut left = ANSWERS_PER_TURN;
        let mut answered = false;
        loop {
            left -= self.take_answers(left);
            // The core may wait for a socket that has just taken everything: that is an answer too.
            answered |= self.hands.hand_over();
            if left == 0 || !self.has_answers() {
                return answered;
            }
        }
    }

    /// Inputs taken but for answers.
    pub(super) fn turns(&self) -> u64 {
        self.turns
    }

    /// Whether something waits for [`Self::finish`].
    pub(super) fn has_gathered(&self) -> bool {
        self.hands.appends.is_some() || self.hands.sessions.has_answers()
    }

    fn handle(&mut self, input: Input) {
        let Self { node, clock, hands, metrics, .. } = self;
        if hands.halted.is_some() {
            return;
        }
        metrics.inputs.inc();
        let now = clock.now();
        for effect in node.handle(now, input) {
            hands.perform(effect);
        }
    }

    /// Whether answers are waiting for the next turn.
    pub(super) fn has_answers(&self) -> bool {
        !self.hands.stored.is_empty() || !self.hands.queued.is_empty()
    }

    /// When the node wants to be called; `None` once it halted.
    pub(super) fn deadline(&self) -> Option<Mono> {
        if self.hands.halted.is_some() {
            return None;
        }
        self.node.deadline().map(|deadline| deadline.at)
    }

    /// The boot clock.
    pub(super) fn mono(&self) -> Mono {
        self.clock.now().mono
    }

    /// Why the node stopped, if it did.
    pub(super) fn halted(&self) -> Option<&HaltReason> {
        self.hands.halted.as_ref()
    }

    /// Stops for a reason of the shell's.
    pub(super) fn halt(&mut self, reason: HaltReason) {
        self.hands.halted.get_or_insert(reason);
    }

    /// The open clients.
    pub(super) fn sessions(&mut self) -> &mut Sessions {
        &mut self.hands.sessions
    }

    /// Remembers who asked.
    pub(super) fn expect_answer(&mut self, token: Token, asker: oneshot::Sender<OperatorAnswer>) {
        // Askers that gave up need no answer any more.
        self.hands.operators.retain(|_, waiting| !waiting.is_closed());
        self.hands.operators.insert(token, asker);
    }

    /// Whether SQL is served, and its changes.
    pub(super) fn serving(&self) -> watch::Receiver<bool> {
        self.hands.serving.subscribe()
    }

    /// What the node knows of the cluster.
    pub(super) fn status(&self) -> shardforge_core::node::status::ClusterStatus {
        self.node.status()
    }

    /// Whether a client should be read.
    pub(super) fn wants_input(&self, session: SessionId) -> bool {
        self.node.wants_input(session)
    }

    /// Closes clients, log and stores in good order.
    pub(super) fn close(&mut self) {
        self.hands.hand_over();
        self.hands.sessions.close_all();
        self.hands.log.close();
        self.hands.stores.close();
    }
}

impl<S: Stores, L: LogDisk> Hands<S, L> {
    fn next_ready(&mut self) -> Option<Input> {
        match self.stored.pop_front() {
            Some(event) => Some(Input::StorageCompleted(event)),
            None => self.queued.pop_front(),
        }
    }

    /// Whether clients were answered.
    fn hand_over(&mut self) -> bool {
        self.hand_over_appends();
        let Self { sessions, queued, .. } = self;
        let answered = sessions.has_answers();
        sessions.flush(|input| queued.push_back(input));
        answered
    }

    fn hand_over_appends(&mut self) {
        if let Some((ticket, writes)) = self.appends.take() {
            self.log.append(ticket, writes);
        }
    }

    fn perform(&mut self, effect: Effect) {
        if self.halted.is_some() {
            return;
        }
        self.metrics.effects.inc();
        match effect {
            Effect::SendPeerMessage { to, frame } => self.peers.send(to, frame),
            Effect::ProbePeer { address, frame } => self.peers.probe(&address, frame),
            Effect::PeersChanged(peers) => self.peers.peers_changed(peers),
            Effect::AppendLog { ticket, writes } => {
                self.metrics.log.appends.inc();
                let (newest, gathered) = self.appends.get_or_insert_default();
                *newest = ticket;
                gathered.extend(writes);
            }
            Effect::RetireSegments(segments) => {
                self.hand_over_appends();
                self.log.retire(segments);
            }
            Effect::Storage(effect) => self.stores.perform(effect, &mut self.stored),
            Effect::AnswerClient { session, replies } => self.sessions.answer(session, &replies),
            Effect::CloseClient { session } => self.sessions.close(session),
            Effect::AnswerOperator { token, answer } => {
                if let Some(asker) = self.operators.remove(&token) {
                    // The asker may have given up.
                    let _ = asker.send(answer);
                }
            }
            Effect::ServiceChanged(serving) => {
                self.metrics.serving.set(i64::from(serving));
                self.serving.send_replace(serving);
            }
            Effect::Log { level, message } => log(level, &message),
            Effect::Halt(reason) => self.halted = Some(reason),
        }
    }
}

fn log(level: LogLevel, message: &str) {
    match level {
        LogLevel::Error => tracing::error!(target: "shardforge::node", "{message}"),
        LogLevel::Warn => tracing::warn!(target: "shardforge::node", "{message}"),
        LogLevel::Info => tracing::info!(target: "shardforge::node", "{message}"),
        LogLevel::Debug => tracing::debug!(target: "shardforge::node", "{message}"),
    }
}
