//! Where clients come in: the PostgreSQL protocol, and HTTP for metrics and health.

mod connection;
pub mod http;
pub mod pgwire;
pub mod scram;
mod sessions;

pub use connection::Connection;
pub use sessions::Sessions;
