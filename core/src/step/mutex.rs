//! An async mutex, first come first served.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::VecDeque;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// A value that one task at a time may hold over an `.await`.
pub struct Mutex<T> {
    value: RefCell<T>,
    /// Held, or handed to the first waiter.
    taken: Cell<bool>,
    waiters: RefCell<VecDeque<(u64, Waker)>>,
    /// The waiter that the lock was handed to, if it has not come for it yet.
    handed: Cell<Option<u64>>,
    created: Cell<u64>,
}

impl<T> Mutex<T> {
    /// A free mutex.
    pub fn new(value: T) -> Self {
        Self {
            value: RefCell::new(value),
            taken: Cell::new(false),
            waiters: RefCell::default(),
            handed: Cell::new(None),
            created: Cell::new(0),
        }
    }

    /// Waits for the lock.
    pub fn lock(&self) -> Lock<'_, T> {
        Lock { mutex: self, ticket: None }
    }

    fn release(&self) {
        match self.waiters.borrow_mut().pop_front() {
            Some((ticket, waker)) => {
                self.handed.set(Some(ticket));
                waker.wake();
            }
            None => self.taken.set(false),
        }
    }
}

/// Waits for a [`Mutex`].
pub struct Lock<'a, T> {
    mutex: &'a Mutex<T>,
    ticket: Option<u64>,
}

impl<'a, T> Lock<'a, T> {
    fn guard(&mut self) -> MutexGuard<'a, T> {
        self.ticket = None;
        MutexGuard { value: Some(self.mutex.value.borrow_mut()), mutex: self.mutex }
    }
}

impl<'a, T> Future for Lock<'a, T> {
    type Output = MutexGuard<'a, T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mutex = self.mutex;
        let Some(ticket) = self.ticket else {
            if !mutex.taken.replace(true) {
                return Poll::Ready(self.guard());
            }
            let ticket = mutex.created.get() + 1;
            mutex.created.set(ticket);
            mutex.waiters.borrow_mut().push_back((ticket, cx.waker().clone()));
            self.ticket = Some(ticket);
            return Poll::Pending;
        };
        if mutex.handed.get() == Some(ticket) {
            mutex.handed.set(None);
            return Poll::Ready(self.guard());
        }
        for (waiting, waker) in mutex.waiters.borrow_mut().iter_mut() {
            if *waiting == ticket {
                waker.clone_from(cx.waker());
            }
        }
        Poll::Pending
    }
}

impl<T> Drop for Lock<'_, T> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        if self.mutex.handed.get() == Some(ticket) {
            self.mutex.handed.set(None);
            self.mutex.release();
        } else {
            self.mutex.waiters.borrow_mut().retain(|(waiting, _)| *waiting != ticket);
        }
    }
}

/// The lock, held.
pub struct MutexGuard<'a, T> {
    /// `None` only while it is dropped.
    value: Option<RefMut<'a, T>>,
    mutex: &'a Mutex<T>,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        match &self.value {
            Some(value) => value,
            None => unreachable!("a guard is used while it is dropped"),
        }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.value {
            Some(value) => value,
            None => unreachable!("a guard is used while it is dropped"),
        }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.value = None;
        self.mutex.release();
    }
}
