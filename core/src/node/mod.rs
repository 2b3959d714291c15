//! Everything that one node is: inputs in, effects out.
//!
//! Floor 7, the core's only door. The shells know `Node`, [`input::Input`] and [`effect::Effect`];
//! everything else of the core they use as plain values.

pub mod effect;
pub mod input;
pub mod sql_adapter;
pub mod status;
