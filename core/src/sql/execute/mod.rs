//! Execution: plans and schema changes over a transaction.
//!
//! [`planned`] is the way from a statement to something that runs, [`cursor`] runs it row batch by
//! row batch, [`write`] is the only place that derives index entries from rows.

pub(crate) mod bulk;
pub(crate) mod context;
pub(crate) mod copy;
pub(crate) mod cursor;
pub(crate) mod ddl;
pub(crate) mod deparse;
mod dml;
pub(crate) mod explain;
mod function_scan;
mod group;
mod join;
mod operators;
pub(crate) mod planned;
mod point;
pub(crate) mod run;
mod scan;
mod set;
mod sort;
mod subquery;
pub(crate) mod table;
pub(crate) mod wire;
pub(crate) mod write;
