//! Definitions as SQL text: `pg_get_indexdef`, `pg_get_constraintdef`.

use crate::sql::catalog::descriptor::{IndexColumn, IndexDescriptor, TableDescriptor};
use crate::sql::execute::deparse::identifier;

/// `CREATE UNIQUE INDEX …`; with the table's schema if `qualified`.
pub(super) fn index(table: &TableDescriptor, index: &IndexDescriptor, qualified: bool) -> String {
    let schema = if qualified { format!("{}.", identifier(&table.schema)) } else { String::new() };
    let unique = if index.unique { "UNIQUE " } else { "" };
    let columns: Vec<_> = index.columns.iter().map(|key| with_order(table, key)).collect();
    format!(
        "CREATE {unique}INDEX {} ON {schema}{} USING btree ({})",
        identifier(&index.name),
        identifier(&table.name),
        columns.join(", ")
    )
}

/// A key column by itself, as `pg_get_indexdef` gives it for one column.
pub(super) fn column(table: &TableDescriptor, key: &IndexColumn) -> String {
    identifier(&table.columns[usize::from(key.column)].name)
}

fn with_order(table: &TableDescriptor, key: &IndexColumn) -> String {
    let order = match (key.descending, key.nulls_first) {
        (false, false) => "",
        (false, true) => " NULLS FIRST",
        (true, true) => " DESC",
        (true, false) => " DESC NULLS LAST",
    };
    format!("{}{order}", column(table, key))
}

/// `PRIMARY KEY (…)`
pub(super) fn constraint(table: &TableDescriptor, index: &IndexDescriptor) -> String {
    let columns: Vec<_> = index.columns.iter().map(|key| column(table, key)).collect();
    let kind = if index.primary { "PRIMARY KEY" } else { "UNIQUE" };
    format!("{kind} ({})", columns.join(", "))
}
