//! The catalog: descriptors as MVCC rows of system tables in shard 0, and a cache of them.
//!
//! A statement is bound against a [`snapshot::Catalog`]: everything at one catalog version, immutable.
//! Every timestamp grant carries that version, so a session knows without asking whether its snapshot
//! is the newest. A transaction that changed the catalog reads a snapshot of its own.

pub mod bootstrap;
pub mod cache;
pub mod descriptor;
pub mod numbers;
pub mod snapshot;
pub mod store;
