//! The standard's `information_schema`.

use super::rows::Source;
use crate::row::datum::Datum;
use crate::row::types::DataType;
use crate::sql::catalog::descriptor::{ColumnDescriptor, TableDescriptor};
use crate::sql::execute::run::Row;

pub(super) fn rows(source: &Source<'_>) -> Vec<Row> {
    match source.view.name {
        "tables" => tables(source),
        "columns" => columns(source),
        "schemata" => schemata(source),
        "table_constraints" => constraints(source),
        "key_column_usage" => key_columns(source),
        _ => Vec::new(), // listed, but of things that we do not have
    }
}

fn database<'a>(source: &'a Source<'_>) -> &'a str {
    &source.context.facts.database.name
}

fn tables(source: &Source<'_>) -> Vec<Row> {
    let line = |table: &std::rc::Rc<TableDescriptor>| {
        source
            .line()
            .text("table_catalog", database(source))
            .text("table_schema", &table.schema)
            .text("table_name", &table.name)
            .text("table_type", "BASE TABLE")
            .text("is_insertable_into", "YES")
            .text("is_typed", "NO")
            .done()
    };
    source.catalog.tables(source.database).map(line).collect()
}

fn columns(source: &Source<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for table in source.catalog.tables(source.database) {
        for (at, column) in table.columns.iter().enumerate() {
            rows.push(column_row(source, table, at, column));
        }
    }
    rows
}

fn column_row(
    source: &Source<'_>,
    table: &TableDescriptor,
    at: usize,
    column: &ColumnDescriptor,
) -> Row {
    let number = |value: Option<i32>| value.map_or(Datum::Null, Datum::Int4);
    let length = match &column.ty {
        DataType::Varchar(Some(n)) | DataType::Char(Some(n)) => i32::try_from(*n).ok(),
        _ => None, // without a length
    };
    let (precision, radix, scale) = match &column.ty {
        DataType::Int2 => (Some(16), Some(2), Some(0)),
        DataType::Int4 => (Some(32), Some(2), Some(0)),
        DataType::Int8 => (Some(64), Some(2), Some(0)),
        DataType::Float4 => (Some(24), Some(2), None),
        DataType::Float8 => (Some(53), Some(2), None),
        DataType::Numeric { precision } => (
            precision.map(|(precision, _)| i32::from(precision)),
            Some(10),
            precision.map(|(_, scale)| i32::from(scale)),
        ),
        _ => (None, None, None), // no number
    };
    source
        .line()
        .text("table_catalog", database(source))
        .text("table_schema", &table.schema)
        .text("table_name", &table.name)
        .text("column_name", &column.name)
        .int4("ordinal_position", i32::try_from(at + 1).unwrap_or(i32::MAX))
        .set("column_default", column.default.as_deref().map_or(Datum::Null, Datum::text))
        .text("is_nullable", if column.nullable { "YES" } else { "NO" })
        .text("data_type", &column.ty.base_name())
        .text("udt_catalog", database(source))
        .text("udt_schema", "pg_catalog")
        .text("udt_name", &column.ty.typname())
        .set("character_maximum_length", number(length))
        .set("character_octet_length", number(length.map(|n| n.saturating_mul(4))))
        .set("numeric_precision", number(precision))
        .set("numeric_precision_radix", number(radix))
        .set("numeric_scale", number(scale))
        .set("datetime_precision", Datum::Null)
        .set("interval_precision", Datum::Null)
        .set("maximum_cardinality", Datum::Null)
        .text("dtd_identifier", &(at + 1).to_string())
        .text("is_identity", "NO")
        .text("is_generated", "NEVER")
        .text("is_updatable", "YES")
        .done()
}

fn schemata(source: &Source<'_>) -> Vec<Row> {
    let line = |name: &str| {
        source
            .line()
            .text("catalog_name", database(source))
            .text("schema_name", name)
            .text("schema_owner", crate::auth::principal::SUPERUSER)
            .done()
    };
    ["public", "pg_catalog", "information_schema"].into_iter().map(line).collect()
}

fn constraints(source: &Source<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for table in source.catalog.tables(source.database) {
        for index in table.indexes.iter().filter(|index| index.constraint) {
            let line = source
                .line()
                .text("constraint_catalog", database(source))
                .text("constraint_schema", &table.schema)
                .text("constraint_name", &index.name)
                .text("table_catalog", database(source))
                .text("table_schema", &table.schema)
                .text("table_name", &table.name)
                .text("constraint_type", if index.primary { "PRIMARY KEY" } else { "UNIQUE" })
                .text("is_deferrable", "NO")
                .text("initially_deferred", "NO")
                .text("enforced", "YES");
            rows.push(line.done());
        }
    }
    rows
}

fn key_columns(source: &Source<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for table in source.catalog.tables(source.database) {
        for index in table.indexes.iter().filter(|index| index.constraint) {
            for (at, key) in index.columns.iter().enumerate() {
                let column = &table.columns[usize::from(key.column)];
                let line = source
                    .line()
                    .text("constraint_catalog", database(source))
                    .text("constraint_schema", &table.schema)
                    .text("constraint_name", &index.name)
                    .text("table_catalog", database(source))
                    .text("table_schema", &table.schema)
                    .text("table_name", &table.name)
                    .text("column_name", &column.name)
                    .int4("ordinal_position", i32::try_from(at + 1).unwrap_or(i32::MAX))
                    .set("position_in_unique_constraint", Datum::Null);
                rows.push(line.done());
            }
        }
    }
    rows
}
