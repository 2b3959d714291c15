//! One shard: agreed, versioned, applied, locked.
//!
//! Floor 3. A [`replica::Replica`] answers requests for its shard: it decides on applied state plus
//! what it has in flight, proposes commands to its raft group and tells what became of them. A
//! [`machine::Machine`] is its replicated half: it turns committed commands into store batches, alike
//! on every node.
//!
//! This room does not know how requests reach it, nor what a transaction did in other shards (see
//! `txn`).

pub mod command;
pub mod error;
pub mod latch;
pub mod liveness;
pub mod lock;
pub mod machine;
pub mod newest;
pub mod oracle;
pub mod ports;
mod proposer;
mod read;
#[expect(clippy::module_inception, reason = "a file is named as what it holds")]
pub mod replica;
pub mod request;
mod system;
#[cfg(test)]
pub(crate) mod testing;
pub mod tscache;
pub mod wait;
mod write;
