//! The cell among tasks: who may give it inputs, and the task that waits on its behalf.

use std::any::Any;
use std::cell::{Cell as Slot, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use shardforge_core::base::id::{SessionId, Token};
use shardforge_core::base::time::Mono;
use shardforge_core::node::effect::HaltReason;
use shardforge_core::node::input::{Input, OperatorAnswer, OperatorRequest};
use shardforge_core::node::status::ClusterStatus;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::cell::Cell;
use super::linger::{LOOKS, Linger};
use crate::front::Connection;
use crate::metrics::Metrics;
use crate::ports::{CoreNode, LogDisk, Stores};

/// Answers of other threads taken at once before sockets are polled.
const COMPLETIONS_PER_TURN: usize = 64;

/// The node's door, as sockets' tasks see it.
pub trait Door {
    /// Gives the node an input and performs what follows from it, at once.
    fn give(&self, input: Input);
    /// A client came.
    fn open_session(&self, connection: Rc<Connection>) -> SessionId;
    /// A client went.
    fn close_session(&self, session: SessionId);
    /// Whether a client should be read; while not, ask again a little later.
    fn wants_input(&self, session: SessionId) -> bool;
    /// Asks as an operator; the receiver fails if the node stops first.
    fn ask(&self, request: OperatorRequest) -> oneshot::Receiver<OperatorAnswer>;
    /// What the node knows of the cluster.
    fn status(&self) -> ClusterStatus;
    /// Whether SQL is served, and its changes.
    fn serving(&self) -> watch::Receiver<bool>;
    /// The node's figures.
    fn metrics(&self) -> &Metrics;
}

/// A cell among tasks.
pub struct Driver<N, S, L> {
    cell: RefCell<Cell<N, S, L>>,
    metrics: Metrics,
    /// What the waiting task sleeps for; an earlier deadline must wake it.
    armed: Slot<Option<Mono>>,
    /// The waiting task has something to look at: a deadline, a halt, answers left over.
    look: Notify,
    /// Turns have gathered something.
    gathered: Notify,
    /// Clients have been answered.
    answered: Slot<bool>,
    next_session: Slot<u64>,
    next_token: Slot<u64>,
}

impl<N: CoreNode, S: Stores, L: LogDisk> Driver<N, S, L> {
    /// Around a cell.
    pub fn new(cell: Cell<N, S, L>, metrics: Metrics) -> Self {
        Self {
            cell: RefCell::new(cell),
            metrics,
            armed: Slot::new(None),
            look: Notify::new(),
            gathered: Notify::new(),
            answered: Slot::new(false),
            next_session: Slot::new(0),
            next_token: Slot::new(0),
        }
    }

    /// Boots the node and waits on its behalf until it halts.
    pub async fn run(
        &self,
        boot: Input,
        completions: &mut mpsc::UnboundedReceiver<Input>,
    ) -> HaltReason {
        self.give(boot);
        loop {
            let halted = self.cell.borrow().halted().cloned();
            if let Some(reason) = halted {
                // What was wished before the end.
                self.finish();
                return reason;
            }
            if self.cell.borrow().has_answers() {
                tokio::task::yield_now().await;
                self.finish();
                continue;
            }
            let deadline = self.cell.borrow().deadline();
            self.armed.set(deadline);
            tokio::select! {
                biased;
                completion = completions.recv() => self.take(completion, completions),
                () = self.look.notified() => {}
                () = self.reach(deadline) => self.give_deadline(),
            }
        }
    }

    /// Hands over what turns gather: as a task of its own it comes after all sockets that were ready
    /// when the first of those turns began. Then it keeps the thread awake for a moment, if that pays.
    pub async fn hand_over(&self) {
        let mut linger = Linger::new();
        loop {
            self.gathered.notified().await;
            self.finish();
            if self.answered.take() && linger.worthwhile() {
                linger.learn(self.something_comes().await);
            }
        }
    }

    fn finish(&self) {
        self.guarded(|cell| {
            if cell.finish() {
                self.answered.set(true);
            }
        });
    }

    /// Has the sockets polled some times; whether there was an input.
    async fn something_comes(&self) -> bool {
        let turns = self.cell.borrow().turns();
        for _ in 0..LOOKS {
            tokio::task::yield_now().await;
            if self.cell.borrow().turns() != turns {
                return true;
            }
        }
        false
    }

    fn take(&self, first: Option<Input>, more: &mut mpsc::UnboundedReceiver<Input>) {
        let Some(first) = first else { return };
        self.give(first);
        for _ in 1..COMPLETIONS_PER_TURN {
            let Ok(input) = more.try_recv() else { break };
            self.give(input);
        }
    }

    async fn reach(&self, deadline: Option<Mono>) {
        match deadline {
            None => std::future::pending().await,
            Some(at) => {
                let left = at.since(self.cell.borrow().mono());
                tokio::time::sleep_until(Instant::now() + left).await;
            }
        }
    }

    fn give_deadline(&self) {
        let due = {
            let cell = self.cell.borrow();
            cell.deadline().is_some_and(|at| at <= cell.mono())
        };
        // The deadline may have moved on while the task slept.
        if due {
            self.give(Input::DeadlineReached);
        }
    }

    /// Closes clients, after what was answered.
    pub fn close_clients(&self) {
        self.guarded(|cell| cell.sessions().close_all());
    }

    /// Closes clients, log and stores in good order.
    pub fn close(&self) {
        self.guarded(Cell::close);
    }

    /// Runs on the cell. A panic in there leaves the node in no state that may go on: it halts.
    fn guarded(&self, run: impl FnOnce(&mut Cell<N, S, L>)) {
        let mut cell = self.cell.borrow_mut();
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&mut cell)));
        if let Err(panic) = outcome {
            cell.halt(HaltReason::Invariant(panic_text(&*panic)));
        }
        let earlier = match (cell.deadline(), self.armed.get()) {
            (Some(next), Some(armed)) => next < armed,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if earlier || cell.has_answers() || cell.halted().is_some() {
            self.look.notify_one();
        }
        if cell.has_gathered() {
            self.gathered.notify_one();
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}

impl<N: CoreNode, S: Stores, L: LogDisk> Door for Driver<N, S, L> {
    fn give(&self, input: Input) {
        // Peers' frames come in runs.
        let of_many = matches!(input, Input::PeerMessageReceived(_));
        self.guarded(|cell| {
            cell.turn(input);
            // Nobody to wait for.
            if !of_many && cell.sessions().len() <= 1 && cell.finish() {
                self.answered.set(true);
                self.gathered.notify_one();
            }
        });
    }

    fn open_session(&self, connection: Rc<Connection>) -> SessionId {
        let session = SessionId(self.next_session.get() + 1);
        self.next_session.set(session.0);
        self.cell.borrow_mut().sessions().insert(session, connection);
        self.give(Input::ClientConnected { session });
        session
    }

    fn close_session(&self, session: SessionId) {
        self.cell.borrow_mut().sessions().remove(session);
        self.give(Input::ClientDisconnected { session });
    }

    fn wants_input(&self, session: SessionId) -> bool {
        self.cell.borrow().wants_input(session)
    }

    fn ask(&self, request: OperatorRequest) -> oneshot::Receiver<OperatorAnswer> {
        let token = Token(self.next_token.get() + 1);
        self.next_token.set(token.0);
        let (asker, answer) = oneshot::channel();
        self.cell.borrow_mut().expect_answer(token, asker);
        self.give(Input::OperatorRequested { token, request });
        answer
    }

    fn status(&self) -> ClusterStatus {
        self.cell.borrow().status()
    }

    fn serving(&self) -> watch::Receiver<bool> {
        self.cell.borrow().serving()
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}
