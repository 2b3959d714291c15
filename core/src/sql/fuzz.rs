//! The body of the fuzz target `sql_text`: any text, parsed, bound and planned over a small schema.
//!
//! What must hold for any text: no panic; an error is the user's, never an internal one, and points
//! into the text; a statement of a script stands alone; a text without its literals has the columns
//! of the text itself.

use std::rc::Rc;

use super::bind::{Names, Relation, ViewColumn};
use super::catalog::descriptor::{ColumnDescriptor, IndexColumn, IndexDescriptor, TableDescriptor};
use super::optimize::{explain, plan};
use super::parse::ast::Statement;
use super::parse::{self, NormalizedText, Parsed, TextLiteralKind};
use super::pg_catalog;
use super::plan::Plan;
use crate::base::error::{SqlError, sqlstate};
use crate::base::id::{IndexId, TableId};
use crate::row::types::DataType;

/// Any text; bytes that are not UTF-8 never come this far in a session.
///
/// # Panics
///
/// If something of the module's list does not hold.
pub fn sql_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let schema = Schema::new();
    match parse::parse(text) {
        Err(error) => judge(&error, text),
        Ok(script) => {
            for parsed in &script {
                one_statement(text, parsed, &schema);
            }
            if let [parsed] = script.as_slice() {
                without_literals(text, &parsed.statement, &schema);
            }
        }
    }
}

/// An error may be anything but ours, and points at a character of the text or just behind it.
fn judge(error: &SqlError, text: &str) {
    assert_ne!(error.state, sqlstate::INTERNAL_ERROR, "{error} for {text:?}");
    if let Some(position) = error.position {
        let chars = text.chars().count();
        let inside = (1..=chars + 1).contains(&(position as usize));
        assert!(inside, "{error} at {position} of {chars} characters: {text:?}");
    }
}

fn one_statement(text: &str, parsed: &Parsed, schema: &Schema) {
    let piece = text.get(parsed.range.clone());
    assert!(piece.is_some_and(|piece| !piece.is_empty()), "no text at {:?}", parsed.range);
    let alone = piece.map(parse::parse_one);
    assert!(matches!(alone, Some(Ok(Some(_)))), "{piece:?} does not stand alone: {alone:?}");
    match plan(&parsed.statement, &[], schema) {
        Err(error) => judge(&error, text),
        Ok(plan) => {
            let lines = explain(&plan);
            assert!(!lines.is_empty(), "nothing to explain in {text:?}");
        }
    }
}

/// The plan cache runs the plan of the text without literals: it must give the same columns.
fn without_literals(text: &str, statement: &Statement, schema: &Schema) {
    let mut normal = NormalizedText::default();
    if !parse::normalize(text, &mut normal) {
        return;
    }
    let Ok(direct) = plan(statement, &[], schema) else { return };
    let Ok(Some(parsed)) = parse::parse_one(normal.statement()) else { return };
    let hints: Vec<_> = normal.literals().iter().map(|literal| hint(literal.kind)).collect();
    let Ok(cached) = plan(&parsed.statement, &hints, schema) else { return };
    if cached.parameters.len() != hints.len() {
        return;
    }
    let columns = |plan: &Plan| {
        plan.fields.iter().map(|f| (f.name.clone(), f.ty.clone())).collect::<Vec<_>>()
    };
    assert_eq!(columns(&direct), columns(&cached), "{text:?} as {:?}", normal.statement());
}

fn hint(kind: TextLiteralKind) -> Option<DataType> {
    match kind {
        TextLiteralKind::Int4 => Some(DataType::Int4),
        TextLiteralKind::Int8 => Some(DataType::Int8),
        TextLiteralKind::Numeric => Some(DataType::NUMERIC),
        TextLiteralKind::String => None,
    }
}

/// Three tables: one of many types, one with a key of two columns, one without a key.
struct Schema {
    tables: [Rc<TableDescriptor>; 3],
}

impl Schema {
    fn new() -> Self {
        let many = [
            ("a", DataType::Int4),
            ("b", DataType::Int8),
            ("n", DataType::NUMERIC),
            ("f", DataType::Float8),
            ("s", DataType::Text),
            ("v", DataType::Varchar(Some(8))),
            ("t", DataType::Bool),
            ("d", DataType::Date),
            ("ts", DataType::Timestamp),
            ("x", DataType::Bytea),
            ("u", DataType::Uuid),
            ("l", DataType::array_of(DataType::Int4)),
        ];
        let pair = [("a", DataType::Int4), ("b", DataType::Int4), ("c", DataType::Text)];
        let tables = [
            table(16_384, "t", &many, &[&[0], &[4, 1]]),
            table(16_400, "p", &pair, &[&[0, 1]]),
            table(16_410, "h", &pair, &[]),
        ];
        Self { tables }
    }
}

/// The first key is the primary one, the others are plain indexes.
fn table(
    oid: u32,
    name: &str,
    columns: &[(&str, DataType)],
    keys: &[&[u16]],
) -> Rc<TableDescriptor> {
    let column = |(at, (name, ty)): (usize, &(&str, DataType))| ColumnDescriptor {
        id: at as u16,
        name: (*name).to_owned(),
        ty: ty.clone(),
        nullable: at != 0,
        default: (at == 1).then(|| "1 + 1".to_owned()),
    };
    let key = |(at, columns): (usize, &&[u16])| IndexDescriptor {
        id: IndexId(at as u32),
        oid: oid + 1 + at as u32,
        name: format!("{name}_{at}"),
        unique: at == 0,
        primary: at == 0,
        constraint: at == 0,
        columns: columns
            .iter()
            .map(|column| IndexColumn { column: *column, descending: false, nulls_first: false })
            .collect(),
    };
    Rc::new(TableDescriptor {
        id: TableId(oid),
        oid,
        version: 1,
        database: 5,
        schema: "public".to_owned(),
        name: name.to_owned(),
        owner: 10,
        columns: columns.iter().enumerate().map(column).collect(),
        indexes: keys.iter().enumerate().map(key).collect(),
        hidden_rowid: keys.is_empty(),
        shard_key: keys.first().map(|key| key.to_vec()).unwrap_or_default(),
        next_index: keys.len().max(1) as u32,
    })
}

impl Names for Schema {
    fn relation(&self, schema: Option<&str>, name: &str) -> Option<Relation> {
        if let Some(view) = pg_catalog::view(schema.unwrap_or("pg_catalog"), name) {
            let columns = view
                .columns
                .iter()
                .map(|(name, ty)| ViewColumn { name: (*name).to_owned(), ty: ty.clone() });
            return Some(Relation::View {
                schema: view.schema.to_owned(),
                name: view.name.to_owned(),
                oid: view.oid,
                columns: columns.collect(),
            });
        }
        if schema.is_some_and(|schema| schema != "public") {
            return None;
        }
        let found = self.tables.iter().find(|table| table.name == name);
        found.map(|table| Relation::Table(Rc::clone(table)))
    }

    fn has_schema(&self, schema: &str) -> bool {
        matches!(schema, "public" | "pg_catalog")
    }

    fn database(&self) -> &str {
        "postgres"
    }
}
