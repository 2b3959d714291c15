//! ShardForge's real shell: sockets, files, clocks, threads and the command line around the core.
//!
//! - [`driver`] is THE loop: one input in, all effects performed;
//! - [`front`] serves PostgreSQL clients and HTTP, [`peer`] other nodes and operators;
//! - [`shell`] puts ports around a driver; [`ports`] names what it plugs together;
//! - [`config`] and [`cli`] are what operators see.
//!
//! Without the feature `rocksdb` this is the network shell alone, which simulations run over a
//! simulated network.

#![forbid(unsafe_code)]

pub mod cli;
pub mod clock;
pub mod config;
pub mod disk;
pub mod driver;
pub mod front;
pub mod logs;
pub mod memory;
pub mod metrics;
pub mod password;
pub mod peer;
pub mod ports;
pub mod real;
#[cfg(feature = "rocksdb")]
pub mod rocks;
pub mod security;
pub mod shell;
pub mod tcp;
#[cfg(test)]
mod testing;
