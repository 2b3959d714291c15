//! SQL through whole sessions, over a transaction floor in memory: no raft, no disk, no socket.

#![allow(unreachable_pub, reason = "the modules are this binary's own")]

#[path = "sql/harness.rs"]
mod harness;
#[path = "sql/memory.rs"]
mod memory;
#[path = "sql/protocol.rs"]
mod protocol;
#[path = "sql/schema.rs"]
mod schema;
#[path = "sql/scripts.rs"]
mod scripts;
