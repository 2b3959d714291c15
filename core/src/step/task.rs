//! Tasks: their table, their wakers, and the handle that waits for or ends one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::StepHandle;

pub(super) type TaskFuture = Pin<Box<dyn Future<Output = ()>>>;

/// A slot of the table and its use count, so that a late wake never reaches a slot's next tenant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct TaskId {
    slot: u32,
    generation: u32,
}

/// The tasks that were woken, in that order. A mutex only because a `Waker` must be `Send`; it is
/// never contended.
#[derive(Default)]
pub(super) struct ReadyQueue(Mutex<VecDeque<TaskId>>);

impl ReadyQueue {
    fn push(&self, id: TaskId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(id);
    }
    pub(super) fn pop(&self) -> Option<TaskId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

pub(super) struct TaskWaker {
    id: TaskId,
    queued: AtomicBool,
    ready: Arc<ReadyQueue>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.push(self.id);
        }
    }
}

struct Slot {
    generation: u32,
    live: bool,
    aborted: bool,
    /// Out while the task is polled.
    running: Option<Running>,
}

/// What the stepper takes out of a slot to poll it.
pub(super) struct Running {
    pub(super) future: TaskFuture,
    pub(super) waker: Waker,
    queued: Arc<TaskWaker>,
}

impl Running {
    /// A wake from now on queues the task again.
    pub(super) fn unqueue(&self) {
        self.queued.queued.store(false, Ordering::Relaxed);
    }
}

/// All tasks of a stepper.
pub(super) struct TaskTable {
    slots: Vec<Slot>,
    free: Vec<u32>,
    ready: Arc<ReadyQueue>,
}

impl TaskTable {
    pub(super) fn new(ready: Arc<ReadyQueue>) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), ready }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Takes a task in and queues its first poll.
    pub(super) fn insert(&mut self, future: TaskFuture) -> TaskId {
        let slot = self.free.pop().unwrap_or_else(|| {
            let slot = u32::try_from(self.slots.len());
            assert!(slot.is_ok(), "over four thousand million tasks");
            self.slots.push(Slot { generation: 0, live: false, aborted: false, running: None });
            slot.unwrap_or_default()
        });
        let entry = &mut self.slots[slot as usize];
        let id = TaskId { slot, generation: entry.generation };
        let queued =
            Arc::new(TaskWaker { id, queued: AtomicBool::new(true), ready: self.ready.clone() });
        entry.live = true;
        entry.aborted = false;
        entry.running = Some(Running { future, waker: Waker::from(queued.clone()), queued });
        self.ready.push(id);
        id
    }

    fn slot(&mut self, id: TaskId) -> Option<&mut Slot> {
        self.slots
            .get_mut(id.slot as usize)
            .filter(|slot| slot.live && slot.generation == id.generation)
    }

    /// Takes a task out to be polled; `None` if it has ended.
    pub(super) fn take(&mut self, id: TaskId) -> Option<Running> {
        self.slot(id).and_then(|slot| slot.running.take())
    }

    /// Puts a pending task back; gives it back if it was aborted meanwhile.
    pub(super) fn put_back(&mut self, id: TaskId, running: Running) -> Option<Running> {
        match self.slot(id) {
            Some(slot) if !slot.aborted => {
                slot.running = Some(running);
                None
            }
            _ => {
                self.remove(id);
                Some(running)
            }
        }
    }

    /// Frees the slot of a task that has ended.
    pub(super) fn remove(&mut self, id: TaskId) {
        if let Some(slot) = self.slot(id) {
            slot.live = false;
            slot.generation = slot.generation.wrapping_add(1);
            self.free.push(id.slot);
        }
    }

    /// Ends a task. The future comes back to be dropped by the caller; a task that is being polled
    /// is only marked.
    pub(super) fn abort(&mut self, id: TaskId) -> Option<Running> {
        let slot = self.slot(id)?;
        slot.aborted = true;
        let running = slot.running.take();
        if running.is_some() {
            self.remove(id);
        }
        running
    }

    /// Empties the table; the futures come back to be dropped by the caller.
    pub(super) fn drain(&mut self) -> Vec<Running> {
        let mut all = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if slot.live {
                slot.live = false;
                slot.generation = slot.generation.wrapping_add(1);
                self.free.push(u32::try_from(index).unwrap_or(u32::MAX));
                all.extend(slot.running.take());
            }
        }
        all
    }
}

/// The task did not finish.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JoinError {
    /// It was aborted, or its stepper was dropped.
    #[error("task was aborted")]
    Aborted,
}

pub(super) struct JoinState<T> {
    outcome: RefCell<Option<Result<T, JoinError>>>,
    ended: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl<T> JoinState<T> {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            outcome: RefCell::new(None),
            ended: Cell::new(false),
            waker: RefCell::new(None),
        })
    }

    fn end(&self, outcome: Result<T, JoinError>) {
        if self.ended.replace(true) {
            return;
        }
        *self.outcome.borrow_mut() = Some(outcome);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// Tells the handle that the task ended, also when it is dropped half-way.
struct EndOnDrop<T>(Rc<JoinState<T>>);

impl<T> Drop for EndOnDrop<T> {
    fn drop(&mut self) {
        self.0.end(Err(JoinError::Aborted));
    }
}

/// `future`, with its outcome put where its handle finds it.
pub(super) async fn supervised<F: Future>(future: F, join: Rc<JoinState<F::Output>>) {
    let end = EndOnDrop(join);
    let output = future.await;
    end.0.end(Ok(output));
}

/// Waits for a task's output. Dropping it detaches the task.
pub struct TaskHandle<T> {
    stepper: StepHandle,
    id: TaskId,
    join: Rc<JoinState<T>>,
}

impl<T> TaskHandle<T> {
    pub(super) fn new(stepper: StepHandle, id: TaskId, join: Rc<JoinState<T>>) -> Self {
        Self { stepper, id, join }
    }

    /// Ends the task now; whatever it held is dropped before this returns (a task that aborts
    /// itself ends at its next `.await`).
    pub fn abort(&self) {
        self.stepper.abort(self.id);
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.join.ended.get()
    }
}

impl<T> Future for TaskHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.join.outcome.borrow_mut().take() {
            return Poll::Ready(outcome);
        }
        assert!(!self.join.ended.get(), "a task's output was taken twice");
        *self.join.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}
