//! One property a file.

pub mod bank;
pub mod converged;
pub mod durable;
pub mod lease;
pub mod predicate;
pub mod raft;
pub mod serial;
pub mod watch;
