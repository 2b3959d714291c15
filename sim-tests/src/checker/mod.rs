//! One property a file.

pub mod converged;
pub mod raft;
pub mod serial;
