//! Node to node, and operator to node: gRPC on the peer port.
//!
//! A node keeps one stream to each address it sends to; what it receives comes on the streams that
//! others keep to it. Frames are queued without waiting and may be lost with their stream: the core
//! sends again what matters.

pub mod admin;
mod identity;
mod links;
mod server;
mod stream;
#[cfg(test)]
mod tests;

pub use identity::Identity;
pub use links::Links;
pub use server::{Inbound, Server, serve};
