//! Identity: who a client is and how it proves that.
//!
//! Floor 2. What a principal may do with which object is decided where statements are resolved
//! (`sql`); here are only the principals themselves.

pub mod principal;
pub mod scram;
