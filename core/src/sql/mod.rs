//! SQL: tables over transactions. Parse, bind, plan, optimise, execute in batches.
//!
//! Floor 5. It sees keys, rows and transactions; it never sees a shard's log, a peer or a socket.

pub mod bind;
pub mod catalog;
pub mod error;
mod execute;
pub mod fuzz;
pub mod optimize;
pub mod parse;
mod pg_catalog;
pub mod plan;
pub mod ports;
pub mod protocol;
pub mod session;
