//! Scalar expressions after binding, and their evaluation over a row.
//!
//! An [`Expr`] has no names left: columns and parameters are numbers, functions are OIDs of
//! [`super::functions`], types are decided and casts are written out. It travels between nodes
//! inside a `ScanProgram`, as a flat list whose depth is checked when it is read.
//!
//! Subqueries, sequences and look-ups in the catalog are the business of floors above; they come in
//! through the ports of [`EvalContext`].

mod cast;
mod context;
mod expr;
mod fold;
mod pattern;
mod run;
mod wire;

#[cfg(test)]
mod tests;

pub use cast::cast;
pub use context::{Catalog, EvalContext, SessionInfo, Subqueries};
pub use expr::{CompareOp, EXPR_DEPTH_MAX, Expr};
pub use fold::const_fold;
pub use pattern::{compile_regex, like_matches};
pub use run::{eval, eval_filter};
