//! Transactions, settings, COPY, VACUUM, EXPLAIN, PREPARE: read with the cursor.

mod copy;
mod explain;
mod prepared;
mod setting;
mod statement;
mod transaction;
mod vacuum;

pub(super) use statement::statement;
