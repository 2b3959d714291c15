//! Statements that change the catalog.
//!
//! Each reads the descriptors it needs from the transaction's catalog, writes new ones as rows of
//! the system tables, and fills what must be filled through the bulk path. A table is locked
//! exclusively before anything about it changes.

mod alter;
mod create_table;
mod database;
mod dispatch;
mod drop;
mod fill;
mod names;
mod sequence;
mod truncate;

pub(crate) use dispatch::{constant, data_type, is_outside_only, run, verb};
pub(crate) use names::table;
