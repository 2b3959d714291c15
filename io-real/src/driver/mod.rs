//! The loop: wait for an event or the node's deadline, read the clock, hand the node one input,
//! perform all of its effects.
//!
//! One OS thread runs a node, its sockets and its stores. A socket's task that has decoded a
//! request calls the node itself ([`Door::give`]) instead of queueing for another task: a point
//! read is then one read, one handle and one write, without a task switch. [`Driver::run`] is the
//! task that waits for deadlines and for other threads' answers, and [`Driver::hand_over`] the one that
//! gives log and clients what a batch of turns gathered.

mod cell;
mod door;
mod linger;
#[cfg(test)]
mod tests;

pub use cell::{Cell, PeerSender};
pub use door::{Door, Driver};
