//! Timers: waiting for a moment that some later input will bring.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

use super::StepHandle;
use crate::base::time::Mono;

type TimerKey = (Mono, u64);

/// Armed timers, by (deadline, creation).
#[derive(Default)]
pub(super) struct TimerQueue {
    armed: BTreeMap<TimerKey, Waker>,
    created: u64,
}

impl TimerQueue {
    fn arm(&mut self, deadline: Mono, waker: Waker) -> TimerKey {
        self.created += 1;
        let key = (deadline, self.created);
        self.armed.insert(key, waker);
        key
    }

    pub(super) fn len(&self) -> usize {
        self.armed.len()
    }

    pub(super) fn next(&self) -> Option<Mono> {
        self.armed.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next timer that is due.
    pub(super) fn pop_due(&mut self, now: Mono) -> Option<Waker> {
        let entry = self.armed.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    pub(super) fn clear(&mut self) -> BTreeMap<TimerKey, Waker> {
        std::mem::take(&mut self.armed)
    }
}

/// Waits for a moment; dropping it disarms the timer.
pub struct Sleep {
    stepper: StepHandle,
    deadline: Mono,
    key: Option<TimerKey>,
}

impl Sleep {
    pub(super) fn new(stepper: StepHandle, deadline: Mono) -> Self {
        Self { stepper, deadline, key: None }
    }

    /// When it ends.
    pub fn deadline(&self) -> Mono {
        self.deadline
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.deadline <= self.stepper.now() {
            return Poll::Ready(());
        }
        let key = {
            let mut timers = self.stepper.shared().timers.borrow_mut();
            match self.key.and_then(|key| timers.armed.get_mut(&key)) {
                Some(waker) => {
                    waker.clone_from(cx.waker());
                    return Poll::Pending;
                }
                None => timers.arm(self.deadline, cx.waker().clone()),
            }
        };
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.stepper.shared().timers.borrow_mut().armed.remove(&key);
        }
    }
}

/// The time given to a future is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("deadline has elapsed")]
pub struct Elapsed;

pin_project! {
    /// A future with a deadline. The future is asked first, so one that is ready at its deadline
    /// wins.
    pub struct Timeout<F> {
        sleep: Sleep,
        #[pin]
        future: F,
    }
}

impl<F> Timeout<F> {
    pub(super) fn new(sleep: Sleep, future: F) -> Self {
        Self { sleep, future }
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(this.sleep).poll(cx).map(|()| Err(Elapsed))
    }
}

/// Pending once, and queued behind every task that is ready now.
#[derive(Default)]
pub struct Yield {
    yielded: bool,
}

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
