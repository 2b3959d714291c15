//! The sans-IO heart of ShardForge: raft, shards, transactions and SQL as one deterministic state
//! machine.
//!
//! Nothing here opens a socket or a file, reads a clock, starts a thread or draws ambient
//! randomness. Time and seeds come in as arguments; effects go out as values. The same crate runs
//! under the real shell (`shardforge-io-real`) and under the simulated world
//! (`shardforge-io-sim`).
//!
//! Floors, lowest first; a floor imports only floors below it and rooms of one floor never import
//! each other (`core/tests/house.rs` enforces it):
//!
//! ```text
//! 7 node · 6 ops · 5 sql · 4 txn · 3 replica · 2 raft mvcc shard auth row · 1 step storage · 0 base
//! ```

#![forbid(unsafe_code)]

pub mod auth;
pub mod base;
pub mod mvcc;
pub mod node;
pub mod raft;
pub mod replica;
pub mod row;
pub mod shard;
pub mod sql;
pub mod step;
pub mod storage;
pub mod txn;
