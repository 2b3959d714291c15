//! From sqlparser's trees to ours, at once: sqlparser's types stop here.
//!
//! Its structs are taken apart without `..`, so that a field which a newer version adds fails to
//! compile instead of being dropped. What PostgreSQL does not have either is 42601 or 0A000, whichever
//! is nearer; nobody writes it.

mod call;
mod dml;
mod door;
mod expr;
mod from;
mod lower;
mod only;
mod operator;
mod place;
mod query;
mod rewrite;
mod select;

pub(super) use door::{default_expression, expression, query, statement};
pub(super) use lower::too_many_dots;
