//! Descriptors: what the catalog knows of databases, tables, indexes, sequences and roles.
//!
//! Each is one MVCC row of a system table (`store.rs`), a version byte and its postcard form.
//! A table has two numbers: its `oid` is its name in the catalog for as long as it lives; its `id` is
//! where its rows are, and TRUNCATE or ADD PRIMARY KEY give it a new one.
//!
//! # Invariants
//!
//! * Columns stand in the order of their ordinals; `pg_attribute.attnum` is the ordinal plus one.
//! * `indexes[0]` is the primary key (index id 0) if there is one; without, `hidden_rowid` is set.

use serde::{Deserialize, Serialize};

use crate::base::id::{IndexId, TableId};
use crate::row::types::DataType;

/// Format of descriptor rows.
pub const DESCRIPTOR_VERSION: u8 = 1;
/// The first number that is given to users' objects, as in PostgreSQL.
pub const FIRST_USER_OID: u32 = 16_384;

/// A database.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct DatabaseDescriptor {
    /// Its number.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// The role that owns it.
    pub owner: u32,
}

/// A column of a table.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ColumnDescriptor {
    /// Identifies the column in stored rows; never used twice in a table.
    pub id: u16,
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: DataType,
    /// Whether NULL may stand in it.
    pub nullable: bool,
    /// The default as SQL text, as `pg_get_expr` prints it.
    pub default: Option<String>,
}

/// A key column of an index.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct IndexColumn {
    /// Ordinal of the table's column.
    pub column: u16,
    /// Largest first.
    pub descending: bool,
    /// Where NULLs stand.
    pub nulls_first: bool,
}

/// An index of a table, the primary key among them.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct IndexDescriptor {
    /// Names its key space; 0 is the primary key.
    pub id: IndexId,
    /// Its number in the catalog.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// Whether keys are unique (NULLs are distinct).
    pub unique: bool,
    /// Whether it is the primary key.
    pub primary: bool,
    /// Whether a constraint made it (PRIMARY KEY, UNIQUE).
    pub constraint: bool,
    /// Its key columns.
    pub columns: Vec<IndexColumn>,
}

/// A table.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct TableDescriptor {
    /// Where its rows are.
    pub id: TableId,
    /// Its number in the catalog.
    pub oid: u32,
    /// Raised with every change.
    pub version: u32,
    /// Number of its database.
    pub database: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The role that owns it.
    pub owner: u32,
    /// Its columns.
    pub columns: Vec<ColumnDescriptor>,
    /// Its indexes; the primary key first.
    pub indexes: Vec<IndexDescriptor>,
    /// No primary key: rows are keyed by a hidden (node, counter).
    pub hidden_rowid: bool,
    /// Ordinals of the columns whose hash says which shard a row belongs to; empty with a hidden
    /// rowid, which is hashed itself.
    pub shard_key: Vec<u16>,
    /// The next index id.
    pub next_index: u32,
}

impl TableDescriptor {
    /// The primary key, if there is one.
    pub fn primary(&self) -> Option<&IndexDescriptor> {
        self.indexes.first().filter(|index| index.primary)
    }

    /// Indexes with entries of their own.
    pub fn secondary(&self) -> impl Iterator<Item = &IndexDescriptor> {
        self.indexes.iter().filter(|index| !index.primary)
    }

    /// The ordinal of a column.
    pub fn ordinal(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

/// A sequence.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SequenceDescriptor {
    /// Its number.
    pub oid: u32,
    /// Number of its database.
    pub database: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The role that owns it.
    pub owner: u32,
    /// int2, int4 or int8.
    pub ty: DataType,
    /// First value.
    pub start: i64,
    /// Step; not zero.
    pub increment: i64,
    /// Least value.
    pub min: i64,
    /// Largest value.
    pub max: i64,
    /// Values that a session may take at once.
    pub cache: i64,
    /// Whether it begins again at its end.
    pub cycle: bool,
    /// (table oid, column ordinal): goes with it.
    pub owned_by: Option<(u32, u16)>,
}
