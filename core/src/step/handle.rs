//! What tasks hold of their stepper: to spawn, to sleep, to read the time.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::ambient;
use super::task::{JoinState, ReadyQueue, TaskHandle, TaskId, TaskTable, supervised};
use super::timer::{Sleep, Timeout, TimerQueue, Yield};
use crate::base::rng::Rng;
use crate::base::time::Mono;

/// A cheap handle to a stepper; clones share it.
#[derive(Clone)]
pub struct StepHandle(Rc<Shared>);

pub(super) struct Shared {
    pub(super) now: Cell<Mono>,
    pub(super) tasks: RefCell<TaskTable>,
    pub(super) timers: RefCell<TimerQueue>,
    pub(super) ready: Arc<ReadyQueue>,
    rng: RefCell<Rng>,
}

impl std::fmt::Debug for StepHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StepHandle({})", self.0.now.get())
    }
}

impl StepHandle {
    pub(super) fn new(rng: Rng) -> Self {
        let ready = Arc::new(ReadyQueue::default());
        Self(Rc::new(Shared {
            now: Cell::new(Mono::ZERO),
            tasks: RefCell::new(TaskTable::new(ready.clone())),
            timers: RefCell::new(TimerQueue::default()),
            ready,
            rng: RefCell::new(rng),
        }))
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.0
    }

    /// The moment of the input that is being handled.
    pub fn now(&self) -> Mono {
        self.0.now.get()
    }

    /// Starts a task. Dropping the handle lets it run on; [`TaskHandle::abort`] ends it.
    pub fn spawn<F>(&self, future: F) -> TaskHandle<F::Output>
    where
        F: Future + 'static,
    {
        let join = JoinState::new();
        let id = self.0.tasks.borrow_mut().insert(Box::pin(supervised(future, join.clone())));
        TaskHandle::new(self.clone(), id, join)
    }

    /// Starts a task whose end nobody waits for: one allocation less.
    pub fn spawn_detached(&self, future: impl Future<Output = ()> + 'static) {
        self.0.tasks.borrow_mut().insert(Box::pin(future));
    }

    /// Ends a task now; its future is dropped before this returns, unless it is the caller itself.
    pub(super) fn abort(&self, id: TaskId) {
        let future = self.0.tasks.borrow_mut().abort(id);
        // The table must not be borrowed while foreign destructors run: they may spawn or abort.
        if ambient::is_entered() {
            drop(future);
        } else {
            ambient::enter(self, || drop(future));
        }
    }

    /// Waits for a moment; ready at once if it has passed.
    pub fn sleep_until(&self, deadline: Mono) -> Sleep {
        Sleep::new(self.clone(), deadline)
    }

    /// Waits for a while.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.now() + duration)
    }

    /// The future's output, or [`super::Elapsed`] at the deadline.
    pub fn timeout_at<F: Future>(&self, deadline: Mono, future: F) -> Timeout<F> {
        Timeout::new(self.sleep_until(deadline), future)
    }

    /// The future's output, or [`super::Elapsed`] after a while.
    pub fn timeout<F: Future>(&self, duration: Duration, future: F) -> Timeout<F> {
        self.timeout_at(self.now() + duration, future)
    }

    /// Lets every task that is ready now run first.
    pub fn yield_now(&self) -> Yield {
        Yield::default()
    }

    /// 64 bits of the stepper's own random stream.
    pub fn random_u64(&self) -> u64 {
        self.0.rng.borrow_mut().next_u64()
    }

    /// Tasks alive, for status and for oracles of leaks.
    pub fn task_count(&self) -> usize {
        self.0.tasks.borrow().len()
    }

    /// Timers armed, for status and for oracles of leaks.
    pub fn timer_count(&self) -> usize {
        self.0.timers.borrow().len()
    }
}
