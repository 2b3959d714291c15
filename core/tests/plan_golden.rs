//! Plans as promises: scripts under `golden/plan/` whose names are claims.
//!
//! A script is blocks of "statement, `---`, what comes of it". `CREATE TABLE` and `CREATE INDEX` make
//! tables for the statements behind them; every other statement shows its plan, its columns and its
//! parameters, or its error. `UPDATE=1` writes what comes of it into the file: read the difference.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use shardforge_core::base::id::{IndexId, TableId};
use shardforge_core::row::types::DataType;
use shardforge_core::sql::bind::{Names, Relation, ViewColumn};
use shardforge_core::sql::catalog::descriptor::{
    ColumnDescriptor, IndexColumn, IndexDescriptor, TableDescriptor,
};
use shardforge_core::sql::optimize::{explain, plan};
use shardforge_core::sql::parse::ast::{
    ColumnConstraintKind, CreateIndex, CreateTable, Statement, TableConstraintKind, TypeName,
};
use shardforge_core::sql::parse::parse_one;

#[derive(Default)]
struct World {
    tables: RefCell<Vec<Rc<TableDescriptor>>>,
}

impl Names for World {
    fn relation(&self, schema: Option<&str>, name: &str) -> Option<Relation> {
        if schema.is_none_or(|schema| schema == "pg_catalog")
            && let Some(columns) = catalog_columns(name)
        {
            let (schema, name) = ("pg_catalog".to_owned(), name.to_owned());
            return Some(Relation::View { schema, name, oid: 0, columns });
        }
        if schema.is_some_and(|schema| schema != "public") {
            return None;
        }
        let tables = self.tables.borrow();
        tables.iter().find(|table| table.name == name).map(|t| Relation::Table(Rc::clone(t)))
    }
    fn has_schema(&self, schema: &str) -> bool {
        matches!(schema, "public" | "pg_catalog")
    }
    fn database(&self) -> &str {
        "postgres"
    }
}

/// Columns of PostgreSQL 15's catalog.
fn catalog_columns(relation: &str) -> Option<Vec<ViewColumn>> {
    let columns: Vec<ViewColumn> = include_str!("data/sql/pg_catalog_columns.txt")
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .filter(|parts| parts[0] == relation)
        .map(|parts| ViewColumn { name: parts[1].to_owned(), ty: catalog_type(parts[2]) })
        .collect();
    (!columns.is_empty()).then_some(columns)
}

fn catalog_type(name: &str) -> DataType {
    if let Some(element) = name.strip_prefix('_') {
        return DataType::array_of(catalog_type(element));
    }
    match name {
        "char" => DataType::InternalChar,
        "pg_node_tree" | "aclitem" => DataType::Text,
        "anyarray" => DataType::array_of(DataType::Text),
        name => DataType::from_sql_name(name, &[]).unwrap(),
    }
}

fn data_type(name: &TypeName) -> DataType {
    let text = &name.name.parts.last().unwrap().text;
    let text = if text == "serial" { "int4" } else { text.as_str() };
    let ty = DataType::from_sql_name(text, &name.modifiers).unwrap();
    if name.array { DataType::array_of(ty) } else { ty }
}

impl World {
    fn create_table(&self, create: &CreateTable, text: &str) {
        let mut columns = Vec::new();
        let mut keys: Vec<(bool, Vec<String>)> = Vec::new();
        for (at, column) in create.columns.iter().enumerate() {
            let mut default = None;
            let mut nullable = true;
            for constraint in &column.constraints {
                match &constraint.kind {
                    ColumnConstraintKind::NotNull => nullable = false,
                    ColumnConstraintKind::Default(expr) => {
                        let from = expr.position as usize - 1;
                        let end = text[from..].find([',', '\n']).map_or(text.len(), |e| from + e);
                        let lower = text.to_ascii_lowercase();
                        let end = lower[from..end].find(" not null").map_or(end, |e| from + e);
                        default = Some(text[from..end].trim_end_matches(')').to_owned());
                    }
                    ColumnConstraintKind::PrimaryKey => {
                        nullable = false;
                        keys.push((true, vec![column.name.text.clone()]));
                    }
                    ColumnConstraintKind::Unique => {
                        keys.push((false, vec![column.name.text.clone()]));
                    }
                    ColumnConstraintKind::Null => {}
                }
            }
            let name = column.name.text.clone();
            let ty = data_type(&column.ty);
            columns.push(ColumnDescriptor { id: at as u16, name, ty, nullable, default });
        }
        for constraint in &create.constraints {
            let primary = constraint.kind == TableConstraintKind::PrimaryKey;
            keys.push((primary, constraint.columns.iter().map(|c| c.text.clone()).collect()));
        }
        keys.sort_by_key(|(primary, _)| !primary);
        let oid = 16_384 + self.tables.borrow().len() as u32 * 10;
        let mut table = TableDescriptor {
            id: TableId(oid),
            oid,
            version: 1,
            database: 5,
            schema: "public".to_owned(),
            name: create.name.name().text.clone(),
            owner: 10,
            columns,
            indexes: Vec::new(),
            hidden_rowid: !keys.iter().any(|(primary, _)| *primary),
            shard_key: Vec::new(),
            next_index: 1,
        };
        for (primary, columns) in keys {
            let suffix = if primary { "pkey".to_owned() } else { format!("{}_key", columns[0]) };
            add_index(
                &mut table,
                &format!("{}_{suffix}", create.name.name()),
                true,
                primary,
                columns,
            );
        }
        self.tables.borrow_mut().push(Rc::new(table));
    }

    fn create_index(&self, create: &CreateIndex) {
        let mut tables = self.tables.borrow_mut();
        let slot = tables.iter_mut().find(|t| t.name == create.table.name().text).unwrap();
        let mut table = (**slot).clone();
        let columns = create
            .columns
            .iter()
            .map(|item| match &item.expr.kind {
                shardforge_core::sql::parse::ast::ExprKind::Column(names) => names[0].text.clone(),
                other => panic!("not a column: {other:?}"),
            })
            .collect();
        let name = create.name.as_ref().unwrap().text.clone();
        add_index(&mut table, &name, create.unique, false, columns);
        *slot = Rc::new(table);
    }

    fn run(&self, text: &str) -> String {
        match self.try_run(text) {
            Ok(out) => out,
            Err(error) => {
                let mut out = format!("ERROR {}", error.state);
                if let Some(position) = error.position {
                    let _ = write!(out, " at {position}");
                }
                let _ = write!(out, ": {}", error.message);
                out
            }
        }
    }

    fn try_run(&self, text: &str) -> Result<String, shardforge_core::base::error::SqlError> {
        let parsed = parse_one(text)?.unwrap();
        match &parsed.statement {
            Statement::CreateTable(create) => {
                self.create_table(create, text);
                Ok("created".to_owned())
            }
            Statement::CreateIndex(create) => {
                self.create_index(create);
                Ok("created".to_owned())
            }
            statement => {
                let plan = plan(statement, &[], self)?;
                let mut lines = explain(&plan);
                if !plan.fields.is_empty() {
                    let fields: Vec<String> = plan
                        .fields
                        .iter()
                        .map(|field| format!("{} {}", field.name, field.ty))
                        .collect();
                    lines.push(format!("columns: {}", fields.join(", ")));
                }
                if !plan.parameters.is_empty() {
                    let types: Vec<String> =
                        plan.parameters.iter().map(ToString::to_string).collect();
                    lines.push(format!("parameters: {}", types.join(", ")));
                }
                Ok(lines.join("\n"))
            }
        }
    }
}

fn add_index(
    table: &mut TableDescriptor,
    name: &str,
    unique: bool,
    primary: bool,
    columns: Vec<String>,
) {
    let columns = columns
        .iter()
        .map(|column| IndexColumn {
            column: table.ordinal(column).unwrap() as u16,
            descending: false,
            nulls_first: false,
        })
        .collect();
    let id = if primary { IndexId(0) } else { IndexId(table.next_index) };
    table.next_index += u32::from(!primary);
    let (oid, name) = (table.oid + 1 + id.0, name.to_owned());
    let constraint = primary;
    table.indexes.push(IndexDescriptor { id, oid, name, unique, primary, constraint, columns });
}

fn golden_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/plan");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "golden"))
        .collect();
    files.sort();
    files
}

/// What the script says when it is run: comments and statements as they are, results anew.
fn run_script(script: &str) -> String {
    let world = World::default();
    let mut out = String::new();
    for block in script.split("\n\n").map(str::trim).filter(|block| !block.is_empty()) {
        if !out.is_empty() {
            out.push('\n');
        }
        let input = block.split("\n---").next().unwrap_or_default().trim();
        out.push_str(input);
        out.push('\n');
        let statement: String = input
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| format!("{line}\n"))
            .collect();
        if statement.trim().is_empty() {
            continue;
        }
        let _ = writeln!(out, "---\n{}", world.run(statement.trim()));
    }
    out
}

#[test]
fn plans_are_as_promised() {
    let files = golden_files();
    assert!(!files.is_empty(), "no golden file was found");
    let mut wrong = Vec::new();
    for file in files {
        let expected = std::fs::read_to_string(&file).unwrap();
        let actual = run_script(&expected);
        if actual == expected {
            continue;
        }
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&file, &actual).unwrap();
        }
        wrong.push(format!("{}\n{actual}", file.display()));
    }
    assert!(wrong.is_empty(), "these differ:\n{}", wrong.join("\n"));
}

/// psql's own queries are the largest that every user sends.
#[test]
fn what_psql_asks_can_be_planned() {
    let world = World::default();
    let mut wrong = Vec::new();
    let mut count = 0;
    let statements = include_str!("data/sql/psql15.sql").split("\n;\n");
    for text in statements.map(str::trim).filter(|text| !text.is_empty()) {
        count += 1;
        if let Err(error) = world.try_run(text) {
            let at = error.position.map_or(0, |position| position as usize);
            let near: String = text.chars().skip(at.saturating_sub(1)).take(60).collect();
            wrong.push(format!("{error} near {near:?}"));
        }
    }
    assert!(30 < count, "only {count} statements were read");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A statement without its literals, given their types, has the columns of the statement itself.
#[test]
fn normalised_statements_mean_the_same() {
    use shardforge_core::sql::parse::{NormalizedText, TextLiteralKind, normalize};
    let world = World::default();
    let (pgbench, sysbench) =
        (include_str!("data/sql/pgbench15.sql"), include_str!("data/sql/sysbench.sql"));
    let texts = || pgbench.split("\n;\n").chain(sysbench.split("\n;\n")).map(str::trim);
    let strip = |text: &str| -> String {
        text.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n")
    };
    for text in texts().map(strip).filter(|text| text.to_lowercase().starts_with("create table")) {
        world.try_run(&text).unwrap();
    }
    let mut count = 0;
    for text in texts().map(strip) {
        let mut out = NormalizedText::default();
        if !normalize(&text, &mut out) || out.literals().is_empty() {
            continue;
        }
        let hints: Vec<Option<DataType>> = out
            .literals()
            .iter()
            .map(|literal| match literal.kind {
                TextLiteralKind::Int4 => Some(DataType::Int4),
                TextLiteralKind::Int8 => Some(DataType::Int8),
                TextLiteralKind::Numeric => Some(DataType::NUMERIC),
                TextLiteralKind::String => None,
            })
            .collect();
        let planned = |text: &str, hints: &[Option<DataType>]| {
            let parsed = parse_one(text).unwrap().unwrap();
            plan(&parsed.statement, hints, &world).unwrap_or_else(|e| panic!("{text}: {e}"))
        };
        let (direct, normal) = (planned(&text, &[]), planned(out.statement(), &hints));
        assert_eq!(direct.fields, normal.fields, "{text}");
        assert_eq!(normal.parameters.len(), hints.len(), "{text}");
        count += 1;
    }
    assert!(10 < count, "only {count} statements were normalised");
}
