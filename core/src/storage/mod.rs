//! Disks made polite: what the core asks of a key-value store and of the log, as plain values.
//!
//! Floor 1. Nothing here touches a disk; the shells do, and tell what became of it.

pub mod chunk;
pub mod log;
pub mod memory;
pub mod packed;
pub mod port;
pub mod versioned;
