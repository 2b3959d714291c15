//! A queue between tasks of one thread.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// One task takes out what others put in. Its bound is the sender's: the core's questions, a client's
/// one query at a time, the wire's latency.
pub(crate) struct Mailbox<T> {
    queue: RefCell<VecDeque<T>>,
    taker: Cell<Option<Waker>>,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self { queue: RefCell::default(), taker: Cell::default() }
    }
}

impl<T> Mailbox<T> {
    /// Puts something in and wakes the taker.
    pub(crate) fn put(&self, item: T) {
        self.queue.borrow_mut().push_back(item);
        if let Some(taker) = self.taker.take() {
            taker.wake();
        }
    }

    /// What has come, if anything.
    pub(crate) fn take(&self) -> Option<T> {
        self.queue.borrow_mut().pop_front()
    }

    /// The next thing that comes. One task at a time may wait.
    pub(crate) async fn next(&self) -> T {
        poll_fn(|context| match self.take() {
            Some(item) => Poll::Ready(item),
            None => {
                self.taker.set(Some(context.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }
}
