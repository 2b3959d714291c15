//! Transactions at their gateway: many statements, one decision.
//!
//! Floor 4. A [`transaction::Transaction`] reads at one timestamp, buffers its writes until COMMIT and
//! then commits in one phase at the one shard it wrote in. Timestamps come from the replicated oracle,
//! so no reader ever waits out a clock.
//!
//! This room does not know how a request reaches a node (see [`ports::ShardCalls`]) nor what a row is.

mod buffer;
mod coordinator;
pub mod error;
pub mod oracle;
pub mod ports;
mod reads;
pub mod router;
mod scan;
pub mod source;
mod statement;
#[cfg(test)]
mod tests;
pub mod transaction;
pub mod types;
