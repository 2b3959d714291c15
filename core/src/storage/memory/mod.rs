//! The reference store: behaves as RocksDB without its log, in memory.
//!
//! A crash returns a store to the state after some batch at or after its last flush, all families
//! together. The simulator's nodes and the goldens run on it, and the conformance suite of the real
//! shell holds RocksDB against it.

mod store;
mod stores;

pub use store::{MapCursor, MemoryStore, Pinned};
pub use stores::MemoryStores;
