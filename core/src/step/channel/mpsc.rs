//! Many senders, one receiver, a bounded queue between them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

struct State<T> {
    queue: VecDeque<T>,
    capacity: usize,
    senders: usize,
    receiver_alive: bool,
    receiver: Option<Waker>,
    /// Senders that wait for room, first come first served.
    waiting: VecDeque<(u64, Waker)>,
    tickets: u64,
}

impl<T> State<T> {
    fn wake_receiver(&mut self) {
        if let Some(waker) = self.receiver.take() {
            waker.wake();
        }
    }
    fn wake_sender(&mut self) {
        if let Some((_, waker)) = self.waiting.pop_front() {
            waker.wake();
        }
    }
    fn pop(&mut self) -> Option<T> {
        let value = self.queue.pop_front();
        if value.is_some() {
            self.wake_sender();
        }
        value
    }
}

/// Sends values; clones send to the same receiver.
pub struct Sender<T>(Rc<RefCell<State<T>>>);

/// A sender that does not keep the channel open.
pub struct WeakSender<T>(Weak<RefCell<State<T>>>);

/// Receives values in the order in which they were sent.
pub struct Receiver<T>(Rc<RefCell<State<T>>>);

/// The receiver is gone; the value comes back.
#[derive(Debug)]
pub struct Closed<T>(pub T);

/// Why a value was not taken at once.
#[derive(Debug)]
pub enum TrySendError<T> {
    /// The queue is full.
    Full(T),
    /// The receiver is gone.
    Closed(T),
}

/// Why no value was there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TryRecvError {
    /// There may be one later.
    Empty,
    /// All senders are gone.
    Disconnected,
}

/// A queue of at most `capacity` values; senders wait for room.
///
/// # Panics
///
/// If `capacity` is zero.
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(0 < capacity, "a channel needs room for one value");
    let state = Rc::new(RefCell::new(State {
        queue: VecDeque::new(),
        capacity,
        senders: 1,
        receiver_alive: true,
        receiver: None,
        waiting: VecDeque::new(),
        tickets: 0,
    }));
    (Sender(state.clone()), Receiver(state))
}

/// A queue without a bound of its own, for callers who bound it elsewhere.
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    channel(usize::MAX)
}

impl<T> Sender<T> {
    /// Sends a value, waiting for room.
    pub fn send(&self, value: T) -> Send<'_, T> {
        Send { sender: self, value: Some(value), ticket: None }
    }

    /// Sends a value if there is room now.
    ///
    /// # Errors
    ///
    /// Gives the value back if the queue is full or the receiver gone.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let mut state = self.0.borrow_mut();
        if !state.receiver_alive {
            return Err(TrySendError::Closed(value));
        }
        if state.capacity <= state.queue.len() {
            return Err(TrySendError::Full(value));
        }
        state.queue.push_back(value);
        state.wake_receiver();
        Ok(())
    }

    /// A sender that does not keep the channel open.
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender(Rc::downgrade(&self.0))
    }

    /// Whether the receiver is gone.
    pub fn is_closed(&self) -> bool {
        !self.0.borrow().receiver_alive
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.borrow_mut().senders += 1;
        Self(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.borrow_mut();
        state.senders -= 1;
        if state.senders == 0 {
            state.wake_receiver();
        }
    }
}

impl<T> WeakSender<T> {
    /// A sender, unless the channel is closed.
    pub fn upgrade(&self) -> Option<Sender<T>> {
        let state = self.0.upgrade()?;
        {
            let mut open = state.borrow_mut();
            if open.senders == 0 || !open.receiver_alive {
                return None;
            }
            open.senders += 1;
        }
        Some(Sender(state))
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Waits until a value is taken into the queue.
pub struct Send<'a, T> {
    sender: &'a Sender<T>,
    value: Option<T>,
    ticket: Option<u64>,
}

// The value is never pinned: it is moved into the queue.
impl<T> Unpin for Send<'_, T> {}

impl<T> Future for Send<'_, T> {
    type Output = Result<(), Closed<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(value) = self.value.take() else {
            unreachable!("a send is polled after its end");
        };
        match self.sender.try_send(value) {
            Ok(()) => {
                if let Some(ticket) = self.ticket.take() {
                    let mut state = self.sender.0.borrow_mut();
                    state.waiting.retain(|(waiting, _)| *waiting != ticket);
                }
                Poll::Ready(Ok(()))
            }
            Err(TrySendError::Closed(value)) => Poll::Ready(Err(Closed(value))),
            Err(TrySendError::Full(value)) => {
                self.value = Some(value);
                let mut state = self.sender.0.borrow_mut();
                let ticket = match self.ticket {
                    Some(ticket) => ticket,
                    None => {
                        state.tickets += 1;
                        state.tickets
                    }
                };
                match state.waiting.iter_mut().find(|(waiting, _)| *waiting == ticket) {
                    Some((_, waker)) => waker.clone_from(cx.waker()),
                    None => state.waiting.push_back((ticket, cx.waker().clone())),
                }
                drop(state);
                self.ticket = Some(ticket);
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Send<'_, T> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut state = self.sender.0.borrow_mut();
        let before = state.waiting.len();
        state.waiting.retain(|(waiting, _)| *waiting != ticket);
        // Woken but given up: pass the room on.
        if state.waiting.len() == before && state.queue.len() < state.capacity {
            state.wake_sender();
        }
    }
}

impl<T> Receiver<T> {
    /// The next value; `None` when all senders are gone and the queue is empty.
    pub fn recv(&mut self) -> Recv<'_, T> {
        Recv(self)
    }

    /// The next value, if it is there.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`] if there is none yet or none will come.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let mut state = self.0.borrow_mut();
        match state.pop() {
            Some(value) => Ok(value),
            None if state.senders == 0 => Err(TryRecvError::Disconnected),
            None => Err(TryRecvError::Empty),
        }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.0.borrow_mut();
        if let Some(value) = state.pop() {
            return Poll::Ready(Some(value));
        }
        if state.senders == 0 {
            return Poll::Ready(None);
        }
        match &mut state.receiver {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let queue = {
            let mut state = self.0.borrow_mut();
            state.receiver_alive = false;
            state.receiver = None;
            for (_, waker) in std::mem::take(&mut state.waiting) {
                waker.wake();
            }
            std::mem::take(&mut state.queue)
        };
        // Outside the borrow: a value may hold a sender of this very channel.
        drop(queue);
    }
}

/// Waits for the next value.
pub struct Recv<'a, T>(&'a mut Receiver<T>);

impl<T> Future for Recv<'_, T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_recv(cx)
    }
}
