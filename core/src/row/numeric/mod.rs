//! Exact decimal numbers with PostgreSQL's semantics.
//!
//! Base-10000 digits as PostgreSQL keeps them, so that its binary wire format is a copy. Display
//! scale, rounding (half away from zero), NaN and the infinities follow `numeric.c` of PostgreSQL
//! 15.

mod arith;
mod convert;
mod functions;
mod text;
mod value;

#[cfg(test)]
mod tests;

pub use value::{Numeric, Sign};
