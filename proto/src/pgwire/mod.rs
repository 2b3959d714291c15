//! The PostgreSQL protocol, version 3, as a server speaks it: bytes to the core's requests, and the
//! core's replies to bytes.
//!
//! Our own codec, and why not the crate `pgwire`'s: `docs/decisions/0010-pgwire-codec.md`. That
//! crate is the witness in the tests.
//!
//! # Source
//!
//! PostgreSQL 15, chapter 55, sections 55.2 and 55.7.

mod decode;
mod encode;

pub use decode::{Decoder, Frontend, ProtocolError};
pub use encode::{encode, negotiate_version, sasl_continue, sasl_final};

/// The one SASL mechanism on offer while there is no TLS.
pub const SCRAM_SHA_256: &str = "SCRAM-SHA-256";
