//! Statements that change the catalog.

use super::{Expr, Name, ObjectName, OrderItem, TypeName};

/// `CREATE TABLE`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTable {
    /// Its name.
    pub name: ObjectName,
    /// No error if it is there.
    pub if_not_exists: bool,
    /// The columns.
    pub columns: Vec<ColumnDefinition>,
    /// Constraints of the table as a whole.
    pub constraints: Vec<TableConstraint>,
    /// `WITH (…)`
    pub options: Vec<StorageOption>,
    /// `TABLESPACE name`
    pub tablespace: Option<Name>,
}

/// A column of CREATE TABLE.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnDefinition {
    /// Its name.
    pub name: Name,
    /// Its type.
    pub ty: TypeName,
    /// Its constraints, in the order written.
    pub constraints: Vec<ColumnConstraint>,
}

/// `[CONSTRAINT name] …` of a column.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnConstraint {
    /// Its name, if given.
    pub name: Option<Name>,
    /// What it is.
    pub kind: ColumnConstraintKind,
    /// Where it stands.
    pub position: u32,
}

/// What a column may promise.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnConstraintKind {
    /// `NULL`
    Null,
    /// `NOT NULL`
    NotNull,
    /// `DEFAULT expr`
    Default(Expr),
    /// `PRIMARY KEY`
    PrimaryKey,
    /// `UNIQUE`
    Unique,
}

/// A constraint of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct TableConstraint {
    /// Its name, if given.
    pub name: Option<Name>,
    /// What it is.
    pub kind: TableConstraintKind,
    /// Its columns.
    pub columns: Vec<Name>,
    /// Where it stands.
    pub position: u32,
}

/// What a table may promise.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TableConstraintKind {
    /// `PRIMARY KEY (…)`
    PrimaryKey,
    /// `UNIQUE (…)`
    Unique,
}

/// `name [= value]` in `WITH (…)`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StorageOption {
    /// The option.
    pub name: Name,
    /// Its value as text.
    pub value: Option<String>,
}

/// `CREATE [UNIQUE] INDEX`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateIndex {
    /// Its name, if given.
    pub name: Option<Name>,
    /// The table.
    pub table: ObjectName,
    /// No error if it is there.
    pub if_not_exists: bool,
    /// Whether keys are unique.
    pub unique: bool,
    /// `CONCURRENTLY` was written.
    pub concurrently: bool,
    /// The key columns: always plain columns.
    pub columns: Vec<OrderItem>,
    /// `WITH (…)`
    pub options: Vec<StorageOption>,
    /// `TABLESPACE name`
    pub tablespace: Option<Name>,
}

/// `ALTER TABLE`
#[derive(Clone, Debug, PartialEq)]
pub struct AlterTable {
    /// The table.
    pub name: ObjectName,
    /// No error if it is not there.
    pub if_exists: bool,
    /// What to do, in order.
    pub actions: Vec<AlterTableAction>,
}

/// A change of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum AlterTableAction {
    /// `ADD [CONSTRAINT name] PRIMARY KEY | UNIQUE (…)`
    AddConstraint(TableConstraint),
}

/// `CREATE DATABASE`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CreateDatabase {
    /// Its name.
    pub name: Name,
    /// No error if it is there (ours; PostgreSQL has none).
    pub if_not_exists: bool,
    /// `OWNER`, `ENCODING`, … as written.
    pub options: Vec<StorageOption>,
}

/// `CREATE SEQUENCE`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CreateSequence {
    /// Its name.
    pub name: ObjectName,
    /// No error if it is there.
    pub if_not_exists: bool,
    /// Its options.
    pub options: SequenceOptions,
}

/// Options of a sequence; `None` where not written.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SequenceOptions {
    /// `AS type`
    pub ty: Option<TypeName>,
    /// `INCREMENT BY`
    pub increment: Option<i64>,
    /// `MINVALUE`
    pub min: Option<i64>,
    /// `MAXVALUE`
    pub max: Option<i64>,
    /// `START WITH`
    pub start: Option<i64>,
    /// `CACHE`
    pub cache: Option<i64>,
    /// `CYCLE`
    pub cycle: bool,
    /// `OWNED BY table.column`
    pub owned_by: Option<ObjectName>,
}

/// `CREATE USER | ROLE`, `ALTER USER | ROLE`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CreateRole {
    /// Its name.
    pub name: Name,
    /// ALTER: it must exist.
    pub alter: bool,
    /// `[WITH] … PASSWORD 'x'`: `Some(None)` is `PASSWORD NULL`.
    pub password: Option<Option<String>>,
    /// `LOGIN`, `NOLOGIN`; `CREATE USER` implies it.
    pub login: Option<bool>,
    /// `SUPERUSER`, `NOSUPERUSER`
    pub superuser: Option<bool>,
    /// `CREATEDB`, `NOCREATEDB`
    pub create_database: Option<bool>,
    /// `CREATEROLE`, `NOCREATEROLE`
    pub create_role: Option<bool>,
}

/// What DROP drops.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ObjectKind {
    /// A table.
    Table,
    /// An index.
    Index,
    /// A sequence.
    Sequence,
    /// A database.
    Database,
    /// A role.
    Role,
}

/// `DROP kind [IF EXISTS] names [CASCADE | RESTRICT]`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Drop {
    /// What.
    pub kind: ObjectKind,
    /// Which.
    pub names: Vec<ObjectName>,
    /// No error if it is not there.
    pub if_exists: bool,
    /// Dependents go too.
    pub cascade: bool,
}
