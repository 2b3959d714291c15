//! Everything that one node is: inputs in, effects out.
//!
//! Floor 7, the core's only door. The shells know [`node::Node`], [`input::Input`] and
//! [`effect::Effect`]; everything else of the core they use as plain values.

mod boot;
pub mod config;
mod duties;
pub mod effect;
mod found;
mod host;
pub mod identity;
pub mod input;
mod membership;
pub mod message;
#[expect(clippy::module_inception, reason = "the room is named after its one citizen")]
pub mod node;
mod outbox;
mod peers;
mod sessions;
mod shared;
mod sql_adapter;
pub mod status;
mod window;
mod wiring;

pub use config::{CoreConfig, Seed};
pub use node::{Effects, Node};
