//! SQL: tables over transactions. Parse, bind, plan, optimise, execute in batches.
//!
//! Floor 5. It sees keys, rows and transactions; it never sees a shard's log, a peer or a socket.

pub mod bind;
pub mod catalog;
pub mod optimize;
pub mod parse;
pub mod plan;
pub mod ports;
pub mod protocol;
