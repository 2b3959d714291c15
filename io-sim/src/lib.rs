//! The simulated shell: a world whose network, disks, clocks and processes break on command.
//!
//! The world is a discrete-event loop over the same `Node::handle` that the real shell drives. All
//! chance comes from one seed; the trace of a run is the same in every process.

#![forbid(unsafe_code)]

pub mod client;
mod clients;
pub mod clock;
pub mod disk;
pub mod fault;
pub mod host;
pub mod net;
mod perform;
pub mod shadow;
mod strike;
pub mod trace;
pub mod world;

pub use client::{ClientScript, Next, Outcome, Rows};
pub use fault::{Fault, FaultClass, FaultPlan};
pub use world::{Cluster, World};
