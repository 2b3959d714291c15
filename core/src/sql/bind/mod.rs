//! From names to columns, from spellings to types: a syntax tree becomes a logical plan.
//!
//! Resolution follows PostgreSQL: the innermost scope first, unknown literals and untyped parameters
//! take the type that their surroundings want, operators and functions are chosen among their
//! overloads. Errors have PostgreSQL's words, SQLSTATE and position.
//!
//! - A bound expression has no name and no undecided type left.
//! - Columns of an enclosing query are parameters of the subquery (see [`crate::sql::plan::Subquery`]).

mod aggregate;
mod binder;
mod call;
mod coerce;
mod constant;
mod dml;
mod expr;
mod from;
mod insert;
mod names;
mod naming;
mod operator;
mod predicate;
mod query;
mod registry;
mod scope;
mod select;
mod series;
mod special;
mod statement;
mod types;

#[cfg(test)]
mod tests;

pub(in crate::sql) use binder::SLOT_BASE;
pub use names::{Names, Relation, ViewColumn};
pub use statement::{BoundModify, BoundRoot, BoundStatement, bind, bind_default};
