//! Tables, indexes and sequences as `pg_class` and its kin show them.

use std::rc::Rc;

use super::definition;
use super::rows::Source;
use crate::row::datum::Datum;
use crate::row::types::DataType;
use crate::sql::catalog::descriptor::{IndexDescriptor, SequenceDescriptor, TableDescriptor};
use crate::sql::catalog::snapshot::Relation;
use crate::sql::execute::run::Row;

/// Numbers of schemas.
pub(super) fn namespace(schema: &str) -> u32 {
    match schema {
        "pg_catalog" => 11,
        "public" => 2200,
        _ => 13_000, // information_schema
    }
}

const CLASS: u32 = 1259;
const HEAP: u32 = 2;
const BTREE: u32 = 403;
/// `pg_opclass` of btree over a type, where tools look at it.
const OPCLASS: u32 = 1978;

pub(super) fn classes(source: &Source<'_>) -> Vec<Row> {
    let line = |relation: &Relation| {
        let line = source
            .line()
            .oid("oid", relation.oid())
            .text("relname", relation.name())
            .oid("relnamespace", namespace(relation.schema()))
            .oid("relfilenode", relation.oid())
            .text("relpersistence", "p")
            .text("relreplident", "d")
            .set("reltuples", Datum::Float4(-1.0))
            .bool("relispopulated", true);
        match relation {
            Relation::Table(table) => line
                .text("relkind", "r")
                .oid("relowner", table.owner)
                .oid("relam", HEAP)
                .int2("relnatts", table.columns.len())
                .bool("relhasindex", !table.indexes.is_empty()),
            Relation::Index(table, at) => line
                .text("relkind", "i")
                .text("relreplident", "n")
                .oid("relowner", table.owner)
                .oid("relam", BTREE)
                .int2("relnatts", table.indexes[*at].columns.len()),
            Relation::Sequence(sequence) => line
                .text("relkind", "S")
                .text("relreplident", "n")
                .oid("relowner", sequence.owner)
                .int2("relnatts", 3),
        }
        .done()
    };
    source.catalog.relations(source.database).map(line).collect()
}

/// A column of anything: relation, number, name, type.
struct Attribute<'a> {
    relation: u32,
    number: usize,
    name: &'a str,
    ty: &'a DataType,
    not_null: bool,
    has_default: bool,
}

fn attribute(source: &Source<'_>, attribute: &Attribute<'_>) -> Row {
    let by_value = matches!(attribute.ty.len(), 1 | 2 | 4 | 8);
    let align = match attribute.ty.len() {
        1 => "c",
        2 => "s",
        8 => "d",
        _ => "i",
    };
    let collation = if attribute.ty.is_string() { 100 } else { 0 };
    let storage = match attribute.ty {
        DataType::Numeric { .. } => "m",
        ty if ty.len() < 0 => "x",
        _ => "p", // fixed length
    };
    source
        .line()
        .oid("attrelid", attribute.relation)
        .text("attname", attribute.name)
        .oid("atttypid", attribute.ty.oid())
        .int2("attnum", attribute.number)
        .set("attlen", Datum::Int2(attribute.ty.len()))
        .int4("atttypmod", attribute.ty.typmod())
        .int4("attcacheoff", -1)
        .int4("attstattarget", -1)
        .bool("attbyval", by_value)
        .text("attalign", align)
        .text("attstorage", storage)
        .bool("attnotnull", attribute.not_null)
        .bool("atthasdef", attribute.has_default)
        .bool("attislocal", true)
        .oid("attcollation", collation)
        .done()
}

pub(super) fn attributes(source: &Source<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for relation in source.catalog.relations(source.database) {
        match relation {
            Relation::Table(table) => {
                rows.extend(table.columns.iter().enumerate().map(|(at, column)| {
                    attribute(
                        source,
                        &Attribute {
                            relation: table.oid,
                            number: at + 1,
                            name: &column.name,
                            ty: &column.ty,
                            not_null: !column.nullable,
                            has_default: column.default.is_some(),
                        },
                    )
                }));
            }
            Relation::Index(table, place) => {
                let index = &table.indexes[*place];
                rows.extend(index.columns.iter().enumerate().map(|(at, key)| {
                    let column = &table.columns[usize::from(key.column)];
                    attribute(
                        source,
                        &Attribute {
                            relation: index.oid,
                            number: at + 1,
                            name: &column.name,
                            ty: &column.ty,
                            not_null: false,
                            has_default: false,
                        },
                    )
                }));
            }
            Relation::Sequence(sequence) => {
                let columns = [
                    ("last_value", DataType::Int8),
                    ("log_cnt", DataType::Int8),
                    ("is_called", DataType::Bool),
                ];
                rows.extend(columns.iter().enumerate().map(|(at, (name, ty))| {
                    attribute(
                        source,
                        &Attribute {
                            relation: sequence.oid,
                            number: at + 1,
                            name,
                            ty,
                            not_null: true,
                            has_default: false,
                        },
                    )
                }));
            }
        }
    }
    rows
}

/// A number for the default of a column.
fn default_oid(table: &TableDescriptor, column: usize) -> u32 {
    let column = u32::try_from(column).unwrap_or(0);
    0x8000_0000 | (table.oid.wrapping_mul(1_601).wrapping_add(column) & 0x7fff_ffff)
}

pub(super) fn defaults(source: &Source<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for table in source.catalog.tables(source.database) {
        for (at, column) in table.columns.iter().enumerate() {
            if let Some(text) = &column.default {
                let line = source
                    .line()
                    .oid("oid", default_oid(table, at))
                    .oid("adrelid", table.oid)
                    .int2("adnum", at + 1)
                    .text("adbin", text);
                rows.push(line.done());
            }
        }
    }
    rows
}

fn each_index<'a>(
    source: &'a Source<'_>,
) -> impl Iterator<Item = (&'a Rc<TableDescriptor>, &'a IndexDescriptor)> {
    source
        .catalog
        .tables(source.database)
        .flat_map(|table| table.indexes.iter().map(move |index| (table, index)))
}

fn vector(element: DataType, items: impl Iterator<Item = Datum>) -> Datum {
    Datum::array(element, items.collect())
}

fn attnum(column: u16) -> Datum {
    Datum::Int2(i16::try_from(column + 1).unwrap_or(i16::MAX))
}

pub(super) fn indexes(source: &Source<'_>) -> Vec<Row> {
    let line = |(table, index): (&Rc<TableDescriptor>, &IndexDescriptor)| {
        let keys = index.columns.iter().map(|key| attnum(key.column));
        let options = index
            .columns
            .iter()
            .map(|key| Datum::Int2(i16::from(key.descending) | i16::from(key.nulls_first) << 1));
        let collations = index.columns.iter().map(|key| {
            let is_string = table.columns[usize::from(key.column)].ty.is_string();
            Datum::Oid(if is_string { 100 } else { 0 })
        });
        let classes = index.columns.iter().map(|_| Datum::Oid(OPCLASS));
        source
            .line()
            .oid("indexrelid", index.oid)
            .oid("indrelid", table.oid)
            .int2("indnatts", index.columns.len())
            .int2("indnkeyatts", index.columns.len())
            .bool("indisunique", index.unique)
            .bool("indisprimary", index.primary)
            .bool("indimmediate", true)
            .bool("indisvalid", true)
            .bool("indisready", true)
            .bool("indislive", true)
            .set("indkey", vector(DataType::Int2, keys))
            .set("indcollation", vector(DataType::Oid, collations))
            .set("indclass", vector(DataType::Oid, classes))
            .set("indoption", vector(DataType::Int2, options))
            .done()
    };
    each_index(source).map(line).collect()
}

pub(super) fn constraints(source: &Source<'_>) -> Vec<Row> {
    let line = |(table, index): (&Rc<TableDescriptor>, &IndexDescriptor)| {
        let keys = index.columns.iter().map(|key| attnum(key.column));
        source
            .line()
            .oid("oid", index.oid)
            .text("conname", &index.name)
            .oid("connamespace", namespace(&table.schema))
            .text("contype", if index.primary { "p" } else { "u" })
            .bool("convalidated", true)
            .oid("conrelid", table.oid)
            .oid("conindid", index.oid)
            .bool("conislocal", true)
            .bool("connoinherit", true)
            .set("conkey", vector(DataType::Int2, keys))
            .done()
    };
    each_index(source).filter(|(_, index)| index.constraint).map(line).collect()
}

fn each_sequence<'a>(source: &'a Source<'_>) -> impl Iterator<Item = &'a SequenceDescriptor> {
    source.catalog.relations(source.database).filter_map(|relation| match relation {
        Relation::Sequence(sequence) => Some(&**sequence),
        Relation::Table(_) | Relation::Index(..) => None,
    })
}

pub(super) fn sequences(source: &Source<'_>) -> Vec<Row> {
    let plain = source.view.name == "pg_sequence";
    let line = |sequence: &SequenceDescriptor| {
        if plain {
            source
                .line()
                .oid("seqrelid", sequence.oid)
                .oid("seqtypid", sequence.ty.oid())
                .int8("seqstart", sequence.start)
                .int8("seqincrement", sequence.increment)
                .int8("seqmax", sequence.max)
                .int8("seqmin", sequence.min)
                .int8("seqcache", sequence.cache)
                .bool("seqcycle", sequence.cycle)
                .done()
        } else {
            source
                .line()
                .text("schemaname", &sequence.schema)
                .text("sequencename", &sequence.name)
                .text("sequenceowner", &owner(source, sequence.owner))
                .int8("start_value", sequence.start)
                .int8("min_value", sequence.min)
                .int8("max_value", sequence.max)
                .int8("increment_by", sequence.increment)
                .bool("cycle", sequence.cycle)
                .int8("cache_size", sequence.cache)
                .set("last_value", Datum::Null)
                .done()
        }
    };
    each_sequence(source).map(line).collect()
}

/// The name of a role.
pub(super) fn owner(source: &Source<'_>, oid: u32) -> String {
    let found = source.catalog.principals().find(|principal| principal.oid == oid);
    found.map_or_else(|| format!("unknown (OID={oid})"), |principal| principal.name.clone())
}

pub(super) fn tables(source: &Source<'_>) -> Vec<Row> {
    let line = |table: &Rc<TableDescriptor>| {
        source
            .line()
            .text("schemaname", &table.schema)
            .text("tablename", &table.name)
            .text("tableowner", &owner(source, table.owner))
            .bool("hasindexes", !table.indexes.is_empty())
            .done()
    };
    source.catalog.tables(source.database).map(line).collect()
}

pub(super) fn table_statistics(source: &Source<'_>) -> Vec<Row> {
    let line = |table: &Rc<TableDescriptor>| {
        source
            .line()
            .oid("relid", table.oid)
            .text("schemaname", &table.schema)
            .text("relname", &table.name)
            .done()
    };
    source.catalog.tables(source.database).map(line).collect()
}

pub(super) fn index_texts(source: &Source<'_>) -> Vec<Row> {
    let line = |(table, index): (&Rc<TableDescriptor>, &IndexDescriptor)| {
        source
            .line()
            .text("schemaname", &table.schema)
            .text("tablename", &table.name)
            .text("indexname", &index.name)
            .text("indexdef", &definition::index(table, index, true))
            .done()
    };
    each_index(source).map(line).collect()
}

/// Sequences that belong to columns.
pub(super) fn dependencies(source: &Source<'_>) -> Vec<Row> {
    let line = |sequence: &SequenceDescriptor| {
        let (table, column) = sequence.owned_by?;
        let row = source
            .line()
            .oid("classid", CLASS)
            .oid("objid", sequence.oid)
            .oid("refclassid", CLASS)
            .oid("refobjid", table)
            .int4("refobjsubid", i32::from(column) + 1)
            .text("deptype", "a")
            .done();
        Some(row)
    };
    each_sequence(source).filter_map(line).collect()
}
