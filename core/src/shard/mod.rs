//! Placement: which shard owns a row, and who is believed to lead it.
//!
//! Floor 2. Routing is apart from physical order: a shard owns an interval of *routing keys*, and a
//! row's physical key carries no hash.

pub mod cache;
pub mod map;
pub mod routing;
