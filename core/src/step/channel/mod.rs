//! Channels between tasks of one stepper. No lock, no thread: `Rc` and cells, woken in FIFO order.

pub mod mpsc;
pub mod oneshot;
pub mod watch;
