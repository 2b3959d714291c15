//! Clients of this node: their sessions' handles, and the way back to their sockets.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::Waker;

use super::outbox::Outbox;
use super::shared::Shared;
use crate::base::error::{SqlError, sqlstate};
use crate::base::id::SessionId;
use crate::base::time::{Mono, Now};
use crate::sql::protocol::{ClientReply, ClientRequest};
use crate::sql::session::SessionHandle;
use crate::sql::session::ports::{Clock, Event, ReplySink, UNSENT_BYTES_MAX};
use crate::step::StepHandle;

/// What is known of a client's socket.
#[derive(Default)]
struct Flow {
    unsent: Cell<usize>,
    waker: RefCell<Option<Waker>>,
}

/// A way to one client, over the outbox.
struct Sink {
    outbox: Outbox,
    session: SessionId,
    flow: Rc<Flow>,
}

impl ReplySink for Sink {
    fn send(&self, replies: Vec<ClientReply>) {
        let bytes: usize = replies.iter().map(reply_bytes).sum();
        self.flow.unsent.set(self.flow.unsent.get() + bytes);
        self.outbox.reply(self.session, replies);
    }

    fn close(&self) {
        self.outbox.close_client(self.session);
    }

    fn unsent_bytes(&self) -> usize {
        self.flow.unsent.get()
    }

    fn drained(&self) -> Event {
        let flow = Rc::clone(&self.flow);
        Box::pin(std::future::poll_fn(move |context| {
            if flow.unsent.get() < UNSENT_BYTES_MAX {
                return std::task::Poll::Ready(());
            }
            *flow.waker.borrow_mut() = Some(context.waker().clone());
            std::task::Poll::Pending
        }))
    }
}

/// About how many bytes a reply takes on the wire; small ones count a little.
fn reply_bytes(reply: &ClientReply) -> usize {
    match reply {
        ClientReply::DataRows(rows) => rows.bytes.len() + 5 * rows.ends.len(),
        ClientReply::CopyData(rows) => rows.iter().map(|row| row.len() + 5).sum(),
        _ => 64, // everything else is small
    }
}

/// The session's clock over the stepper.
pub(super) struct SessionClock {
    pub(super) outbox: Outbox,
    pub(super) step: StepHandle,
}

impl Clock for SessionClock {
    fn now(&self) -> Now {
        self.outbox.now()
    }

    fn sleep_until(&self, at: Mono) -> Event {
        Box::pin(self.step.sleep_until(at))
    }

    fn yield_now(&self) -> Event {
        Box::pin(self.step.yield_now())
    }
}

/// All clients of a node.
pub(super) struct Sessions {
    shared: Rc<Shared>,
    clients: BTreeMap<SessionId, (SessionHandle, Rc<Flow>)>,
}

impl Sessions {
    pub(super) fn new(shared: Rc<Shared>) -> Self {
        Self { shared, clients: BTreeMap::new() }
    }

    /// A client connected; refused at once where there is no SQL yet.
    pub(super) fn connect(&mut self, session: SessionId) {
        let refusal = if self.shared.config.sessions_max <= self.clients.len() {
            Some((sqlstate::TOO_MANY_CONNECTIONS, "sorry, too many clients already"))
        } else if self.shared.instance.borrow().is_none() {
            Some((sqlstate::CANNOT_CONNECT_NOW, "the database system is starting up"))
        } else {
            None
        };
        if let Some((state, message)) = refusal {
            let error = SqlError::new(state, message);
            self.shared.outbox.reply(session, vec![ClientReply::Fatal(error)]);
            self.shared.outbox.close_client(session);
            return;
        }
        let Some(instance) = self.shared.instance.borrow().clone() else { return };
        let flow = Rc::new(Flow::default());
        let outbox = self.shared.outbox.clone();
        let sink = Rc::new(Sink { outbox, session, flow: Rc::clone(&flow) });
        let (handle, task) = instance.connect(session, sink);
        self.shared.step.spawn_detached(task);
        self.clients.insert(session, (handle, flow));
    }

    pub(super) fn request(&self, session: SessionId, request: ClientRequest) {
        let instance = self.shared.instance.borrow().clone();
        if let (Some((handle, _)), Some(instance)) = (self.clients.get(&session), instance) {
            instance.request(handle, request);
        }
    }

    pub(super) fn wants_input(&self, session: SessionId) -> bool {
        self.clients.get(&session).is_none_or(|(handle, _)| handle.wants_input())
    }

    pub(super) fn drained(&self, session: SessionId, unsent_bytes: usize) {
        let Some((_, flow)) = self.clients.get(&session) else { return };
        flow.unsent.set(unsent_bytes);
        if unsent_bytes < UNSENT_BYTES_MAX
            && let Some(waker) = flow.waker.borrow_mut().take()
        {
            waker.wake();
        }
    }

    pub(super) fn disconnect(&mut self, session: SessionId) {
        if let Some((handle, _)) = self.clients.remove(&session) {
            handle.disconnected();
        }
    }

    /// No new clients; the present ones end when they are idle.
    pub(super) fn drain(&self) {
        if let Some(instance) = &*self.shared.instance.borrow() {
            let message = "the database system is shutting down";
            instance.refuse(SqlError::new(sqlstate::ADMIN_SHUTDOWN, message));
            instance.stop_sessions();
        }
    }
}
