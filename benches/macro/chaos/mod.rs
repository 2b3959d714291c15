//! Breaking three nodes under load, in ways that operators know.

pub mod counter;
pub mod faults;
pub mod plan;
pub mod run;
pub mod undo;
