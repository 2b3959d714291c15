//! TPC-B transactions with a unique id in each history row, so that afterwards every promise can be
//! held against what is there.

pub mod load;
pub mod outcome;
pub mod schema;
pub mod session;
pub mod verify;
