//! The real network shell (gRPC over HTTP/2 between nodes, the PostgreSQL front) over turmoil's TCP.
//!
//! Disks are in memory and durable at once: what is attacked here is the network alone. Clients are
//! scripts of the world's workloads; what they saw passes the world's checkers.

#[path = "../support/backend.rs"]
mod backend;
#[path = "../support/libc_shim.rs"]
mod libc_shim;

mod client;
mod cluster;
mod network;
mod partition;
