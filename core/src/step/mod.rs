//! Time made steppable: a deterministic, single-threaded executor with virtual time.
//!
//! `Node::handle` stamps a moment, hands its input to the rooms and runs the [`Stepper`] until it
//! stalls. openraft's tasks run on it and so do our own long procedures: a statement, a distributed
//! commit, a shard move are plain `async fn`s whose every `.await` ends in an effect and is woken
//! by an input.
//!
//! There is no reactor, no thread and no clock here: time is what [`Stepper::run_until_stalled`]
//! was told, and a task that waits for the outside waits on a [`channel::oneshot`] that the node
//! holds.
//!
//! # Invariants
//!
//! * Tasks are polled in the order in which they were woken; a task is queued at most once.
//! * Timers due at one moment fire in the order of (deadline, creation).
//! * Time never goes back, and stands still while tasks run.

pub mod ambient;
pub mod channel;
mod handle;
mod mutex;
mod stepper;
mod task;
#[cfg(test)]
mod tests;
mod timer;

pub use handle::StepHandle;
pub use mutex::{Mutex, MutexGuard};
pub use stepper::{StepOutcome, Stepper};
pub use task::{JoinError, TaskHandle};
pub use timer::{Elapsed, Sleep, Timeout, Yield};
