//! Waiting for one another: one-shot answers, gates, and patience with an end.
//!
//! Wakes are in the order of waiting, so that the same seed gives the same run.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::ports::Clock;
use crate::base::time::Mono;

#[derive(Debug)]
struct Slot<T> {
    value: Option<T>,
    waker: Option<Waker>,
    resolver_gone: bool,
    answer_gone: bool,
}

/// The half that answers.
#[derive(Debug)]
pub struct Resolver<T>(Rc<RefCell<Slot<T>>>);

/// The half that waits; `None` if nobody will ever answer.
#[derive(Debug)]
pub struct Answer<T>(Rc<RefCell<Slot<T>>>);

/// A one-shot channel.
pub fn promise<T>() -> (Resolver<T>, Answer<T>) {
    let slot = Slot { value: None, waker: None, resolver_gone: false, answer_gone: false };
    let slot = Rc::new(RefCell::new(slot));
    (Resolver(slot.clone()), Answer(slot))
}

impl<T> Resolver<T> {
    /// Answers; `false` if nobody waits any more.
    pub fn resolve(self, value: T) -> bool {
        let mut slot = self.0.borrow_mut();
        if slot.answer_gone {
            return false;
        }
        slot.value = Some(value);
        true // the drop of `self` wakes
    }

    /// Whether nobody waits any more.
    pub fn is_abandoned(&self) -> bool {
        self.0.borrow().answer_gone
    }
}

impl<T> Drop for Resolver<T> {
    fn drop(&mut self) {
        let waker = {
            let mut slot = self.0.borrow_mut();
            slot.resolver_gone = true;
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for Answer<T> {
    type Output = Option<T>;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut slot = self.0.borrow_mut();
        if let Some(value) = slot.value.take() {
            return Poll::Ready(Some(value));
        }
        if slot.resolver_gone {
            return Poll::Ready(None);
        }
        slot.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        self.0.borrow_mut().answer_gone = true;
    }
}

#[derive(Debug, Default)]
struct GateState {
    open: bool,
    next: u64,
    waiting: Vec<(u64, Waker)>,
}

/// Shut at first, opened once, open for ever.
#[derive(Clone, Debug, Default)]
pub struct Gate(Rc<RefCell<GateState>>);

impl Gate {
    /// Opens it and wakes all who wait.
    pub fn open(&self) {
        let waiting = {
            let mut state = self.0.borrow_mut();
            state.open = true;
            std::mem::take(&mut state.waiting)
        };
        for (_, waker) in waiting {
            waker.wake();
        }
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.0.borrow().open
    }

    /// Ends once it is open.
    pub fn opened(&self) -> Opened {
        Opened { gate: self.clone(), ticket: None }
    }
}

/// See [`Gate::opened`].
#[derive(Debug)]
pub struct Opened {
    gate: Gate,
    ticket: Option<u64>,
}

impl Future for Opened {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let gate = self.gate.clone();
        let mut state = gate.0.borrow_mut();
        if state.open {
            return Poll::Ready(());
        }
        let ticket = *self.ticket.get_or_insert(state.next);
        match state.waiting.iter_mut().find(|(number, _)| *number == ticket) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => {
                state.next += 1;
                state.waiting.push((ticket, cx.waker().clone()));
            }
        }
        Poll::Pending
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.gate.0.borrow_mut().waiting.retain(|(number, _)| *number != ticket);
        }
    }
}

/// Waits for `future` until `at`; `None` if that came first. The timer is made only if it has to wait.
pub async fn within<F: Future>(clock: &dyn Clock, at: Mono, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut timer = None;
    poll_fn(|cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        timer.get_or_insert_with(|| clock.sleep_until(at)).as_mut().poll(cx).map(|()| None)
    })
    .await
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn an_answer_comes_once_and_a_lost_resolver_says_so() {
        let (resolver, mut answer) = promise();
        assert_eq!((&mut answer).now_or_never(), None);
        assert!(resolver.resolve(7));
        assert_eq!(answer.now_or_never(), Some(Some(7)));
        let (resolver, answer) = promise::<u8>();
        drop(resolver);
        assert_eq!(answer.now_or_never(), Some(None));
        let (resolver, answer) = promise();
        drop(answer);
        assert!(resolver.is_abandoned());
        assert!(!resolver.resolve(1));
    }

    #[test]
    fn a_gate_lets_all_pass_once_it_is_open() {
        let gate = Gate::default();
        let (mut first, second) = (gate.opened(), gate.opened());
        assert_eq!((&mut first).now_or_never(), None);
        drop(second);
        gate.open();
        assert_eq!(first.now_or_never(), Some(()));
        assert_eq!(gate.opened().now_or_never(), Some(()));
    }
}
