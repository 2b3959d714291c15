//! The stores of shards on RocksDB: one database a shard, without its log.
//!
//! Answers the core's storage effects. The raft log is what makes writes durable before a flush;
//! the core asks for flushes and truncates its log only behind them.
//!
//! Reads and writes are performed on the caller's thread, in order; flushes, chunks of incoming
//! snapshots and removals on a worker, chunks of outgoing snapshots on a thread each that pins the
//! state.
//!
//! # Invariants
//!
//! * A flush covers all families (`atomic_flush`): after a crash they are of one moment.
//! * All stores share one block cache and one write-buffer budget.
//! * A write is never given to RocksDB's own log.

mod arrival;
#[cfg(test)]
mod conformance;
mod options;
mod snapshot;
mod store;
mod stores;

pub use options::RocksConfig;
pub use stores::RocksStores;
