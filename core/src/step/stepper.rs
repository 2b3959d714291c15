//! The stepper itself: polls what is ready, fires what is due, and stops.

use std::future::Future;
use std::task::{Context, Poll};

use super::task::TaskHandle;
use super::{StepHandle, ambient};
use crate::base::rng::Rng;
use crate::base::time::Mono;

/// A deterministic executor. One node owns one; tasks hold [`StepHandle`]s.
pub struct Stepper {
    handle: StepHandle,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StepOutcome {
    /// Tasks polled.
    pub polls: usize,
    /// Whether tasks are still ready: the bound ended the run, not a stall.
    pub more: bool,
}

impl Stepper {
    /// A stepper whose tasks draw randomness from `rng`.
    pub fn new(rng: Rng) -> Self {
        Self { handle: StepHandle::new(rng) }
    }

    /// What tasks and rooms hold of it.
    pub fn handle(&self) -> &StepHandle {
        &self.handle
    }

    /// Starts a task; it is polled by the next run.
    pub fn spawn<F>(&self, future: F) -> TaskHandle<F::Output>
    where
        F: Future + 'static,
    {
        self.handle.spawn(future)
    }

    /// Runs `work` as this stepper, for calls into openraft from outside a task.
    ///
    /// # Panics
    ///
    /// If a stepper is entered already.
    pub fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        ambient::enter(&self.handle, work)
    }

    /// Sets the time without running anything, so that code called before the run reads it.
    pub fn advance(&mut self, now: Mono) {
        let shared = self.handle.shared();
        shared.now.set(shared.now.get().max(now));
    }

    /// Fires the timers due at `now` and polls tasks until none is ready or `polls_max` is reached.
    ///
    /// A `now` before the last one counts as the last one: time never goes back.
    ///
    /// # Panics
    ///
    /// If a stepper is entered already, or if a task panics.
    pub fn run_until_stalled(&mut self, now: Mono, polls_max: usize) -> StepOutcome {
        self.advance(now);
        let shared = self.handle.shared();
        loop {
            // Waking may run foreign code only through our wakers, which queue and nothing else.
            let due = shared.timers.borrow_mut().pop_due(shared.now.get());
            let Some(waker) = due else { break };
            waker.wake();
        }
        if shared.ready.is_empty() {
            return StepOutcome::default();
        }
        let polls = self.enter(|| self.poll_ready(polls_max));
        StepOutcome { polls, more: !shared.ready.is_empty() }
    }

    fn poll_ready(&self, polls_max: usize) -> usize {
        let shared = self.handle.shared();
        let mut polls = 0;
        while polls < polls_max {
            let Some(id) = shared.ready.pop() else { break };
            let Some(mut running) = shared.tasks.borrow_mut().take(id) else { continue };
            running.unqueue();
            polls += 1;
            let outcome = running.future.as_mut().poll(&mut Context::from_waker(&running.waker));
            // The table is not borrowed while a future is dropped: its destructors may use it.
            let ended = match outcome {
                Poll::Pending => shared.tasks.borrow_mut().put_back(id, running),
                Poll::Ready(()) => {
                    shared.tasks.borrow_mut().remove(id);
                    Some(running)
                }
            };
            drop(ended);
        }
        polls
    }

    /// When the next timer is due.
    pub fn next_timer(&self) -> Option<Mono> {
        self.handle.shared().timers.borrow().next()
    }

    /// Whether tasks are ready now.
    pub fn is_ready(&self) -> bool {
        !self.handle.shared().ready.is_empty()
    }
}

impl Drop for Stepper {
    /// Ends every task, inside the stepper: tasks hold handles to it, and openraft's must not be
    /// dropped outside.
    fn drop(&mut self) {
        let end_all = || {
            // A destructor may spawn; twice is enough for those that do so once, and the bound
            // keeps a chain from running for ever.
            for _ in 0..8 {
                let tasks = self.handle.shared().tasks.borrow_mut().drain();
                if tasks.is_empty() {
                    break;
                }
                drop(tasks);
            }
            let timers = self.handle.shared().timers.borrow_mut().clear();
            drop(timers);
            self.handle.shared().ready.clear();
        };
        if ambient::is_entered() {
            end_all();
        } else {
            self.enter(end_all);
        }
    }
}
