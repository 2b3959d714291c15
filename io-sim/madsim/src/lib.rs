//! The madsim driver: a node as tasks that may die at any `.await`.
//!
//! The world of `shardforge-io-sim` calls a node as a discrete-event loop does; here the same node is
//! driven as the server drives it, by tasks that wait: a loop over an inbox and a deadline, a log
//! writer, late answers of stores. madsim picks the next task at random and kills a node's tasks
//! wherever they wait. Network and disk are ours ([`wire`](self), `shardforge_io_sim::disk`): what
//! travels are the bytes of `shardforge-proto`.
//!
//! # Invariants
//!
//! * One thread, one runtime, one seed: the same seed gives the same trace.
//! * What a killed node had not synced is torn or lost; what it had synced is there.
//!
//! # Source
//!
//! madsim 0.2: `Runtime`, tasks, time, kill and restart; not its `Endpoint`, its files or its tonic.

#![forbid(unsafe_code)]

#[cfg(not(madsim))]
compile_error!(
    "cfg(madsim) is not set: RUSTFLAGS in the environment replaces the flags of .cargo/config.toml; \
     unset it"
);

#[cfg(madsim)]
mod driver;
#[cfg(madsim)]
mod log;
#[cfg(madsim)]
mod machine;
#[cfg(madsim)]
mod mailbox;
#[cfg(madsim)]
mod wire;
#[cfg(madsim)]
mod world;

#[cfg(madsim)]
pub use wire::Connection;
#[cfg(madsim)]
pub use world::{Ran, World, run};
