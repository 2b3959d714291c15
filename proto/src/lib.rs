//! Floor 8: the core's plain types to bytes on the wire, and back. Pure: no socket, no clock.
//!
//! - [`pgwire`]: the PostgreSQL protocol, version 3, as a server speaks it;
//! - [`peer`]: frames between nodes;
//! - [`admin`]: what `shardforge init` and `shardforge status` ask;
//! - [`v1`]: the generated protocol buffers and gRPC stubs behind the latter two;
//! - [`fuzz`]: bodies of the fuzz targets, replayed by ordinary tests.
//!
//! # Invariants
//!
//! - Any bytes give a value or an error, never a panic, and never memory beyond a small multiple of
//!   the bytes received: counts are believed only as far as the bytes for them are there.

#![forbid(unsafe_code)]

pub mod admin;
pub mod fuzz;
pub mod peer;
pub mod pgwire;

/// Generated from `proto/shardforge/v1`.
#[allow(unreachable_pub, missing_docs, clippy::all)]
pub mod v1 {
    tonic::include_proto!("shardforge.v1");
}
