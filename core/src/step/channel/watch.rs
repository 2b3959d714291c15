//! The newest value of something, and a bell when it changes.

use std::cell::{Cell, Ref, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

struct Shared<T> {
    value: RefCell<T>,
    version: Cell<u64>,
    senders: Cell<usize>,
    receivers: Cell<usize>,
    created: Cell<u64>,
    /// At most one waker a receiver, in the order in which they began to wait. One stays when its
    /// wait is dropped: in a loop of selects it is there again in the next round.
    waiting: RefCell<Vec<(u64, Waker)>>,
}

impl<T> Shared<T> {
    fn changed(&self) {
        self.version.set(self.version.get() + 1);
        self.ring();
    }
    fn ring(&self) {
        let mut waiting = self.waiting.borrow_mut();
        for (_, waker) in waiting.drain(..) {
            waker.wake();
        }
    }
    fn receiver(self: &Rc<Self>, seen: u64) -> Receiver<T> {
        self.receivers.set(self.receivers.get() + 1);
        self.created.set(self.created.get() + 1);
        Receiver { shared: self.clone(), id: self.created.get(), seen }
    }
}

/// Sets the value; clones set the same one.
pub struct Sender<T>(Rc<Shared<T>>);

/// Sees the newest value.
pub struct Receiver<T> {
    shared: Rc<Shared<T>>,
    id: u64,
    seen: u64,
}

/// All senders are gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("all senders of a watch are gone")]
pub struct Closed;

/// A value to watch. The receiver has seen the initial one.
pub fn channel<T>(initial: T) -> (Sender<T>, Receiver<T>) {
    let shared = Rc::new(Shared {
        value: RefCell::new(initial),
        version: Cell::new(0),
        senders: Cell::new(1),
        receivers: Cell::new(0),
        created: Cell::new(0),
        waiting: RefCell::default(),
    });
    let receiver = shared.receiver(0);
    (Sender(shared), receiver)
}

impl<T> Sender<T> {
    /// Sets the value and tells all receivers.
    ///
    /// # Errors
    ///
    /// Gives the value back, unset, if there is no receiver.
    pub fn send(&self, value: T) -> Result<(), T> {
        if self.0.receivers.get() == 0 {
            return Err(value);
        }
        let old = self.0.value.replace(value);
        self.0.changed();
        drop(old);
        Ok(())
    }

    /// Changes the value in place, and tells the receivers if `modify` says that it did.
    pub fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
        let modified = modify(&mut self.0.value.borrow_mut());
        if modified {
            self.0.changed();
        }
        modified
    }

    /// The value now.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.0.value.borrow()
    }

    /// A receiver that has seen the value as it is now.
    pub fn subscribe(&self) -> Receiver<T> {
        self.0.receiver(self.0.version.get())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.senders.set(self.0.senders.get() + 1);
        Self(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let left = self.0.senders.get() - 1;
        self.0.senders.set(left);
        if left == 0 {
            self.0.ring();
        }
    }
}

impl<T> Receiver<T> {
    /// Waits for a value not seen yet and marks it seen.
    pub fn changed(&mut self) -> Changed<'_, T> {
        Changed(self)
    }

    /// The value now; it stays as seen or unseen as it was.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.shared.value.borrow()
    }

    /// The value now, marked seen.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        self.seen = self.shared.version.get();
        self.shared.value.borrow()
    }

    /// Waits until the value satisfies `condition`.
    ///
    /// # Errors
    ///
    /// [`Closed`] if all senders go before it does.
    pub async fn wait_for(&mut self, mut condition: impl FnMut(&T) -> bool) -> Result<(), Closed> {
        loop {
            if condition(&*self.borrow_and_update()) {
                return Ok(());
            }
            self.changed().await?;
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.receiver(self.seen)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.receivers.set(self.shared.receivers.get() - 1);
        self.shared.waiting.borrow_mut().retain(|(id, _)| *id != self.id);
    }
}

/// Waits for a value not seen yet.
pub struct Changed<'a, T>(&'a mut Receiver<T>);

impl<T> Future for Changed<'_, T> {
    type Output = Result<(), Closed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let receiver = &mut *self.0;
        let version = receiver.shared.version.get();
        if receiver.seen != version {
            receiver.seen = version;
            return Poll::Ready(Ok(()));
        }
        if receiver.shared.senders.get() == 0 {
            return Poll::Ready(Err(Closed));
        }
        let mut waiting = receiver.shared.waiting.borrow_mut();
        match waiting.iter_mut().find(|(id, _)| *id == receiver.id) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => waiting.push((receiver.id, cx.waker().clone())),
        }
        Poll::Pending
    }
}
