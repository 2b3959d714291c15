//! Statements.

use super::{
    AlterTable, CreateDatabase, CreateIndex, CreateRole, CreateSequence, CreateTable, Drop, Expr,
    Name, ObjectName, Query, SelectItem, TableAlias, TableRef, TypeName,
};

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// `SELECT`, `VALUES`, `TABLE`, `WITH … SELECT`
    Query(Box<Query>),
    /// `INSERT`
    Insert(Box<Insert>),
    /// `UPDATE`
    Update(Box<Update>),
    /// `DELETE`
    Delete(Box<Delete>),
    /// `COPY`
    Copy(Box<Copy>),
    /// `CREATE TABLE`
    CreateTable(Box<CreateTable>),
    /// `CREATE INDEX`
    CreateIndex(Box<CreateIndex>),
    /// `ALTER TABLE`
    AlterTable(Box<AlterTable>),
    /// `CREATE DATABASE`
    CreateDatabase(CreateDatabase),
    /// `CREATE SEQUENCE`
    CreateSequence(Box<CreateSequence>),
    /// `CREATE USER`, `ALTER USER`
    CreateRole(Box<CreateRole>),
    /// `DROP …`
    Drop(Drop),
    /// `TRUNCATE`
    Truncate {
        /// The tables.
        tables: Vec<ObjectName>,
        /// `RESTART IDENTITY`
        restart_identity: bool,
        /// `CASCADE`
        cascade: bool,
    },
    /// `BEGIN`, `START TRANSACTION`
    Begin {
        /// The modes.
        modes: TransactionModes,
        /// Whether the words were `START TRANSACTION`: the command's tag repeats them.
        start: bool,
    },
    /// `COMMIT`, `END`
    Commit {
        /// `AND CHAIN`
        chain: bool,
    },
    /// `ROLLBACK`, `ABORT`
    Rollback {
        /// `AND CHAIN`
        chain: bool,
    },
    /// `SET TRANSACTION …`
    SetTransaction(TransactionModes),
    /// `SET SESSION CHARACTERISTICS AS TRANSACTION …`
    SetSessionTransaction(TransactionModes),
    /// `SET name = …`
    Set(Setting),
    /// `RESET name`, `RESET ALL` (`None`)
    Reset(Option<String>),
    /// `SHOW name`, `SHOW ALL` (`"all"`)
    Show(String),
    /// `EXPLAIN`
    Explain(Box<Explain>),
    /// `VACUUM`
    Vacuum(Vacuum),
    /// `ANALYZE`
    Analyze(Vacuum),
    /// `CHECKPOINT`
    Checkpoint,
    /// `PREPARE name AS …`
    Prepare(Box<Prepare>),
    /// `EXECUTE name (…)`
    Execute {
        /// The prepared statement.
        name: Name,
        /// Its arguments.
        args: Vec<Expr>,
    },
    /// `DEALLOCATE name`, `DEALLOCATE ALL` (`None`)
    Deallocate(Option<Name>),
    /// `DISCARD ALL`
    DiscardAll,
}

/// `INSERT INTO table (columns) source RETURNING …`
#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    /// Common table expressions do not stand here: they belong to the source's query.
    pub table: ObjectName,
    /// `AS alias`
    pub alias: Option<Name>,
    /// Target columns; empty means all.
    pub columns: Vec<Name>,
    /// The rows.
    pub source: InsertSource,
    /// `RETURNING`
    pub returning: Vec<SelectItem>,
}

/// The rows of an INSERT.
#[derive(Clone, Debug, PartialEq)]
pub enum InsertSource {
    /// `DEFAULT VALUES`
    Defaults,
    /// `VALUES …`, in which `DEFAULT` may stand, or a query.
    Query(Query),
}

/// `UPDATE table SET … FROM … WHERE … RETURNING …`
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// The table.
    pub table: ObjectName,
    /// Its alias.
    pub alias: Option<TableAlias>,
    /// `SET`
    pub assignments: Vec<Assignment>,
    /// `FROM`
    pub from: Vec<TableRef>,
    /// `WHERE`
    pub filter: Option<Expr>,
    /// `RETURNING`
    pub returning: Vec<SelectItem>,
}

/// `column = value`; the value may be `DEFAULT`.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The column.
    pub column: Name,
    /// Its new value.
    pub value: Expr,
}

/// `DELETE FROM table USING … WHERE … RETURNING …`
#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    /// The table.
    pub table: ObjectName,
    /// Its alias.
    pub alias: Option<TableAlias>,
    /// `USING`
    pub using: Vec<TableRef>,
    /// `WHERE`
    pub filter: Option<Expr>,
    /// `RETURNING`
    pub returning: Vec<SelectItem>,
}

/// `COPY … FROM STDIN`, `COPY … TO STDOUT`
#[derive(Clone, Debug, PartialEq)]
pub struct Copy {
    /// What is read or written.
    pub source: CopySource,
    /// FROM STDIN; else TO STDOUT.
    pub from_stdin: bool,
    /// Its options.
    pub options: CopyOptions,
}

/// The rows of a COPY.
#[derive(Clone, Debug, PartialEq)]
pub enum CopySource {
    /// A table.
    Table {
        /// Its name.
        name: ObjectName,
        /// Its columns; empty means all.
        columns: Vec<Name>,
    },
    /// `(query)`, only TO.
    Query(Box<Query>),
}

/// The format of a COPY.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CopyFormat {
    /// PostgreSQL's own text format.
    Text,
    /// Comma-separated values.
    Csv,
}

/// Options of COPY, defaults filled in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CopyOptions {
    /// Text or csv.
    pub format: CopyFormat,
    /// Between columns.
    pub delimiter: u8,
    /// What stands for NULL.
    pub null: String,
    /// The first line names the columns.
    pub header: bool,
    /// csv: the quote.
    pub quote: u8,
    /// csv: what escapes a quote.
    pub escape: u8,
    /// The table was made or truncated in this transaction: take the bulk path.
    pub freeze: bool,
}

/// `BEGIN` modes; `None` where not written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TransactionModes {
    /// `ISOLATION LEVEL …`
    pub isolation: Option<IsolationLevel>,
    /// `READ ONLY` or `READ WRITE`
    pub read_only: Option<bool>,
    /// `[NOT] DEFERRABLE`
    pub deferrable: Option<bool>,
}

/// The four levels of the standard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IsolationLevel {
    /// As READ COMMITTED.
    ReadUncommitted,
    /// A snapshot a statement.
    ReadCommitted,
    /// A snapshot a transaction.
    RepeatableRead,
    /// As if one after the other.
    Serializable,
}

/// How long a SET lasts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SettingScope {
    /// Until the session's end.
    Session,
    /// Until the transaction's end.
    Local,
}

/// `SET name = values`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setting {
    /// The parameter, lower case; `timezone` for `TIME ZONE`.
    pub name: String,
    /// Its new values joined by `, `; `None` is `DEFAULT`.
    pub value: Option<String>,
    /// How long.
    pub scope: SettingScope,
}

/// `EXPLAIN [(options)] statement`
#[derive(Clone, Debug, PartialEq)]
pub struct Explain {
    /// Run it too.
    pub analyze: bool,
    /// Say more.
    pub verbose: bool,
    /// Show estimates.
    pub costs: bool,
    /// Show times.
    pub timing: bool,
    /// Show the total.
    pub summary: Option<bool>,
    /// As JSON.
    pub json: bool,
    /// What.
    pub statement: Statement,
}

/// `VACUUM`, `ANALYZE`
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Vacuum {
    /// The tables; empty means all.
    pub tables: Vec<ObjectName>,
    /// `FULL`
    pub full: bool,
    /// `VACUUM … ANALYZE`
    pub analyze: bool,
    /// `VERBOSE`
    pub verbose: bool,
}

/// `PREPARE name [(types)] AS statement`
#[derive(Clone, Debug, PartialEq)]
pub struct Prepare {
    /// Its name.
    pub name: Name,
    /// Types of the first parameters.
    pub types: Vec<TypeName>,
    /// The statement.
    pub statement: Statement,
}
