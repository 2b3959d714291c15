//! SQL: tables over transactions. Parse, bind, plan, optimise, execute in batches.
//!
//! Floor 5. It sees keys, rows and transactions; it never sees a shard's log, a peer or a socket.

pub mod parse;
pub mod ports;
pub mod protocol;
