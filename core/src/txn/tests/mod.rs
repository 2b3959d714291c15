//! The protocol under attack: whole transactions over real replicas, with raft groups that lose
//! proposals and change leaders, calls that are delayed, repeated and lost, and clients that vanish.

mod golden;
mod history;
mod protocol;
mod router;
mod session;
mod world;
