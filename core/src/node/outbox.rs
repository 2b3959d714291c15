//! Where rooms leave their wishes, and where the answers find their way back.
//!
//! Effects leave in the order they were made; log records, messages and replies of one `handle` are
//! gathered, so that a handle costs one log batch, one frame a peer and one write a client.
//!
//! # Invariants
//!
//! * Every token has exactly one waiter, which is gone once answered.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use bytes::Bytes;

use super::effect::{Effect, LogLevel};
use crate::base::id::{NodeId, SessionId, ShardId, Token};
use crate::base::map::FixedMap;
use crate::base::time::Now;
use crate::sql::protocol::ClientReply;
use crate::step::channel::oneshot;
use crate::storage::log::LogRecord;
use crate::storage::port::{StorageEffect, StorageEvent};

/// Called, inside the stepper, when what was appended is durable.
pub(super) type OnDurable = Box<dyn FnOnce()>;

/// Log records of one `handle`, in order, and who waits for them.
#[derive(Default)]
pub(super) struct LogBatch {
    pub(super) records: Vec<(ShardId, LogRecord)>,
    pub(super) waiters: Vec<OnDurable>,
}

#[derive(Default)]
struct Inner {
    effects: VecDeque<Effect>,
    frames: BTreeMap<NodeId, Vec<Bytes>>,
    /// By session: answers of this handle, and whether to close then.
    replies: Vec<(SessionId, Vec<ClientReply>, bool)>,
    log: LogBatch,
    next_token: u64,
    waiters: FixedMap<Token, oneshot::Sender<StorageEvent>>,
}

impl Inner {
    fn answer_of(&mut self, session: SessionId) -> &mut (SessionId, Vec<ClientReply>, bool) {
        let at = match self.replies.binary_search_by_key(&session, |(id, ..)| *id) {
            Ok(at) => at,
            Err(at) => {
                self.replies.insert(at, (session, Vec::new(), false));
                at
            }
        };
        &mut self.replies[at]
    }
}

/// The shared outbox of a node. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Outbox {
    inner: Rc<RefCell<Inner>>,
    now: Rc<Cell<Now>>,
}

impl Outbox {
    /// The time of the input being handled.
    pub(super) fn now(&self) -> Now {
        self.now.get()
    }

    pub(super) fn set_now(&self, now: Now) {
        self.now.set(now);
    }

    /// Makes a wish.
    pub(super) fn push(&self, effect: Effect) {
        self.inner.borrow_mut().effects.push_back(effect);
    }

    /// A line for the log.
    pub(super) fn log(&self, level: LogLevel, message: String) {
        self.push(Effect::Log { level, message });
    }

    /// Asks a store; the answer arrives on the returned channel.
    pub(super) fn ask(
        &self,
        make: impl FnOnce(Token) -> StorageEffect,
    ) -> oneshot::Receiver<StorageEvent> {
        let (sender, receiver) = oneshot::channel();
        let mut inner = self.inner.borrow_mut();
        inner.next_token += 1;
        let token = Token(inner.next_token);
        inner.waiters.insert(token, sender);
        inner.effects.push_back(Effect::Storage(make(token)));
        receiver
    }

    /// Gives an answer to who asked; answers nobody waits for any more are dropped.
    pub(super) fn answer(&self, token: Token, event: StorageEvent) {
        let waiter = self.inner.borrow_mut().waiters.remove(&token);
        if let Some(waiter) = waiter {
            // The asker may be gone: a cancelled statement drops its reads.
            let _ = waiter.send(event);
        }
    }

    /// Adds a message to this handle's frame for a peer.
    pub(super) fn send(&self, to: NodeId, message: Bytes) {
        self.inner.borrow_mut().frames.entry(to).or_default().push(message);
    }

    /// Adds replies to this handle's answer for a client.
    pub(super) fn reply(&self, session: SessionId, replies: Vec<ClientReply>) {
        let mut inner = self.inner.borrow_mut();
        let held = &mut inner.answer_of(session).1;
        if held.is_empty() {
            *held = replies;
        } else {
            held.extend(replies);
        }
    }

    /// Closes a client's connection after its replies.
    pub(super) fn close_client(&self, session: SessionId) {
        self.inner.borrow_mut().answer_of(session).2 = true;
    }

    /// Adds records to this handle's log batch.
    pub(super) fn append(
        &self,
        group: ShardId,
        records: impl IntoIterator<Item = LogRecord>,
        on_durable: Option<OnDurable>,
    ) {
        let log = &mut self.inner.borrow_mut().log;
        log.records.extend(records.into_iter().map(|record| (group, record)));
        log.waiters.extend(on_durable);
    }

    /// The log batch gathered so far.
    pub(super) fn take_log(&self) -> LogBatch {
        std::mem::take(&mut self.inner.borrow_mut().log)
    }

    /// The frames gathered so far.
    pub(super) fn take_frames(&self) -> BTreeMap<NodeId, Vec<Bytes>> {
        std::mem::take(&mut self.inner.borrow_mut().frames)
    }

    /// Turns gathered replies into effects.
    pub(super) fn flush_replies(&self) {
        let mut inner = self.inner.borrow_mut();
        let mut gathered = std::mem::take(&mut inner.replies);
        for (session, replies, close) in gathered.drain(..) {
            if !replies.is_empty() {
                inner.effects.push_back(Effect::AnswerClient { session, replies });
            }
            if close {
                inner.effects.push_back(Effect::CloseClient { session });
            }
        }
        inner.replies = gathered;
    }

    /// The next wish.
    pub(super) fn pop(&self) -> Option<Effect> {
        self.inner.borrow_mut().effects.pop_front()
    }

    /// Whether anything waits to be performed.
    pub(super) fn is_empty(&self) -> bool {
        self.inner.borrow().effects.is_empty()
    }
}
