//! One value, once. Also how the node answers a task that waits for the outside.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

struct State<T> {
    value: Option<T>,
    waker: Option<Waker>,
    sender_alive: bool,
    receiver_alive: bool,
}

/// Sends the value. Dropping it unsent fails the receiver.
pub struct Sender<T>(Rc<RefCell<State<T>>>);

/// Waits for the value.
pub struct Receiver<T>(Rc<RefCell<State<T>>>);

/// Ends the wait of a [`Receiver`] from aside; does not keep the channel alive.
pub struct Closer<T>(Weak<RefCell<State<T>>>);

impl<T> Closer<T> {
    /// The receiver is told [`Canceled`], unless its value has come already.
    pub fn close(&self) {
        let Some(state) = self.0.upgrade() else { return };
        let mut state = state.borrow_mut();
        state.sender_alive = false;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// Whether nobody waits any more.
    pub fn is_over(&self) -> bool {
        self.0.upgrade().is_none_or(|state| !state.borrow().receiver_alive)
    }
}

/// The sender was dropped without a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("sender was dropped without a value")]
pub struct Canceled;

/// A channel for one value.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let state = Rc::new(RefCell::new(State {
        value: None,
        waker: None,
        sender_alive: true,
        receiver_alive: true,
    }));
    (Sender(state.clone()), Receiver(state))
}

impl<T> Sender<T> {
    /// Sends the value.
    ///
    /// # Errors
    ///
    /// Gives the value back if nobody waits for it any more.
    pub fn send(self, value: T) -> Result<(), T> {
        let mut state = self.0.borrow_mut();
        if !state.receiver_alive {
            return Err(value);
        }
        state.value = Some(value);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
        Ok(())
    }

    /// Whether nobody waits any more: the work for the answer may be dropped.
    pub fn is_closed(&self) -> bool {
        !self.0.borrow().receiver_alive
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.borrow_mut();
        state.sender_alive = false;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Receiver<T> {
    /// What can end this wait from aside.
    pub fn closer(&self) -> Closer<T> {
        Closer(Rc::downgrade(&self.0))
    }

    /// The value, if it is there; `Err` if it never will be.
    ///
    /// # Errors
    ///
    /// [`Canceled`] if the sender was dropped without a value.
    pub fn try_recv(&mut self) -> Result<Option<T>, Canceled> {
        let mut state = self.0.borrow_mut();
        match state.value.take() {
            Some(value) => Ok(Some(value)),
            None if state.sender_alive => Ok(None),
            None => Err(Canceled),
        }
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, Canceled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.borrow_mut();
        if let Some(value) = state.value.take() {
            return Poll::Ready(Ok(value));
        }
        if !state.sender_alive {
            return Poll::Ready(Err(Canceled));
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let (value, waker) = {
            let mut state = self.0.borrow_mut();
            state.receiver_alive = false;
            (state.value.take(), state.waker.take())
        };
        // Outside the borrow: the value's destructor may reach this channel again.
        drop((value, waker));
    }
}
