//! From what is wanted to how it is got: rules, one a file, and EXPLAIN.
//!
//! There are no statistics yet: an index is taken if its key is restricted, a hash join if there is an
//! equality. Every rule keeps the rows and, where the plan sorts, their order.

mod access;
mod conjuncts;
mod explain;
mod join;
mod lower;
mod renumber;
mod semi_join;
mod show;
mod statement;

pub use explain::explain;
pub use statement::{optimize, plan};
