//! Nodes as tasks that may die at any `.await`, over our own wire and disk, scheduled by madsim.
//!
//! Clients are scripts of the world's workloads; what they saw passes the world's checkers. A binary of
//! its own: madsim defines the C library's clock and randomness.

#[path = "../support/backend.rs"]
mod backend;

mod client;
mod kill;
