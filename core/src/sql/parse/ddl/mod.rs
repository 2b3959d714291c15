//! CREATE, DROP, ALTER and TRUNCATE, read with the cursor.

mod create_table;
mod index;
mod role;
mod sequence;
mod statement;

pub(super) use statement::statement;
