//! A session's inbox: messages in order, and two signals that overtake them.
//!
//! # Invariants
//!
//! * Only the session's own task takes messages; only its handle puts them in.
//! * A cancel that arrives while nothing runs is forgotten, as PostgreSQL does.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::base::limit;
use crate::sql::protocol::ClientRequest;

/// Messages that may wait; a client that sends more without reading is cut off.
const MESSAGES_MAX: usize = 1 << 20;
/// Bytes that may wait: some messages of the largest size.
const BYTES_MAX: usize = 16 * limit::CLIENT_MESSAGE_BYTES_MAX;
/// Above this the shell should read no more from the client.
const BYTES_WANTED: usize = 1 << 20;

/// Why a statement must stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Signal {
    /// The client asked for it.
    Cancelled,
    /// The client is gone.
    Disconnected,
    /// The node is stopping.
    Stopped,
}

#[derive(Debug, Default)]
pub(super) struct Inbox {
    queue: RefCell<VecDeque<ClientRequest>>,
    bytes: Cell<usize>,
    overflown: Cell<bool>,
    running: Cell<bool>,
    cancelled: Cell<bool>,
    disconnected: Cell<bool>,
    stopped: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// What the node holds of a session.
#[derive(Clone, Debug)]
pub struct SessionHandle(pub(super) Rc<Inbox>);

impl SessionHandle {
    /// A message of the client. Cancel requests go to `Instance::cancel` instead.
    pub fn request(&self, request: ClientRequest) {
        self.0.push(request);
    }

    /// The client is gone: what runs is given up.
    pub fn disconnected(&self) {
        self.0.disconnected.set(true);
        self.0.wake();
    }

    /// The node is stopping: what runs is finished, and the session ends when idle.
    pub fn stop(&self) {
        self.0.stopped.set(true);
        self.0.wake();
    }

    /// Whether the shell should go on reading from this client.
    pub fn wants_input(&self) -> bool {
        self.0.bytes.get() < BYTES_WANTED
    }

    pub(super) fn cancel(&self) {
        if self.0.running.get() {
            self.0.cancelled.set(true);
            self.0.wake();
        }
    }
}

impl Inbox {
    fn push(&self, request: ClientRequest) {
        let mut queue = self.queue.borrow_mut();
        if MESSAGES_MAX <= queue.len() || BYTES_MAX <= self.bytes.get() {
            self.overflown.set(true);
        } else {
            self.bytes.set(self.bytes.get() + size_bytes(&request));
            queue.push_back(request);
        }
        drop(queue);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// The next message if one waits.
    pub(super) fn try_next(&self) -> Option<ClientRequest> {
        let request = self.queue.borrow_mut().pop_front()?;
        self.bytes.set(self.bytes.get().saturating_sub(size_bytes(&request)));
        Some(request)
    }

    /// Puts a message back in front.
    pub(super) fn put_back(&self, request: ClientRequest) {
        self.bytes.set(self.bytes.get() + size_bytes(&request));
        self.queue.borrow_mut().push_front(request);
    }

    /// Whether the message that comes next is Sync.
    pub(super) fn is_sync_next(&self) -> bool {
        matches!(self.queue.borrow().front(), Some(ClientRequest::Sync))
    }

    /// Looks at the messages that wait.
    pub(super) fn look<T>(&self, at: impl FnOnce(&VecDeque<ClientRequest>) -> T) -> T {
        at(&self.queue.borrow())
    }

    /// Whether the client sent more than may wait.
    pub(super) fn is_overflown(&self) -> bool {
        self.overflown.get()
    }

    pub(super) fn is_disconnected(&self) -> bool {
        self.disconnected.get()
    }

    /// The next message; a signal if the client is gone, or the node stops and none waits.
    pub(super) async fn next(&self) -> Result<ClientRequest, Signal> {
        poll_fn(|context| {
            if self.disconnected.get() {
                return Poll::Ready(Err(Signal::Disconnected));
            }
            if let Some(request) = self.try_next() {
                return Poll::Ready(Ok(request));
            }
            if self.stopped.get() {
                return Poll::Ready(Err(Signal::Stopped));
            }
            self.watch(context.waker());
            Poll::Pending
        })
        .await
    }

    /// Keeps the waker of whoever waits: messages and signals wake it.
    pub(super) fn watch(&self, waker: &Waker) {
        let mut held = self.waker.borrow_mut();
        if held.as_ref().is_none_or(|held| !held.will_wake(waker)) {
            *held = Some(waker.clone());
        }
    }

    /// A statement begins: forgets older cancels.
    pub(super) fn begin_running(&self) {
        self.running.set(true);
        self.cancelled.set(false);
    }

    /// The statement is over.
    pub(super) fn end_running(&self) {
        self.running.set(false);
    }

    /// Why what runs must stop, if it must.
    pub(super) fn signal(&self) -> Option<Signal> {
        if self.disconnected.get() {
            Some(Signal::Disconnected)
        } else if self.cancelled.replace(false) {
            Some(Signal::Cancelled)
        } else {
            None
        }
    }
}

fn size_bytes(request: &ClientRequest) -> usize {
    let held = match request {
        ClientRequest::Query(sql) => sql.len(),
        ClientRequest::Parse { sql, parameter_types, .. } => sql.len() + parameter_types.len() * 4,
        ClientRequest::Bind { parameters, .. } => {
            parameters.iter().map(|value| 32 + value.as_ref().map_or(0, |v| v.len())).sum()
        }
        ClientRequest::CopyData(bytes) => bytes.len(),
        _ => 0, // all others are small
    };
    64 + held
}
