//! The catalog at one version: immutable, and shared by all sessions that are at that version.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::descriptor::{DatabaseDescriptor, IndexDescriptor, SequenceDescriptor, TableDescriptor};
use super::store;
use crate::auth::principal::Principal;
use crate::sql::ports::{Txn, TxnFailure};

/// The schema of users' tables.
pub const PUBLIC: &str = "public";
/// The schema of the system's views.
pub const PG_CATALOG: &str = "pg_catalog";
/// The standard's schema.
pub const INFORMATION_SCHEMA: &str = "information_schema";

/// What a name means among relations.
#[derive(Clone, Debug)]
pub enum Relation {
    /// A table.
    Table(Rc<TableDescriptor>),
    /// An index: its table and its place in `indexes`.
    Index(Rc<TableDescriptor>, usize),
    /// A sequence.
    Sequence(Rc<SequenceDescriptor>),
}

impl Relation {
    /// Its number.
    pub fn oid(&self) -> u32 {
        match self {
            Self::Table(table) => table.oid,
            Self::Index(table, at) => table.indexes[*at].oid,
            Self::Sequence(sequence) => sequence.oid,
        }
    }

    /// Its schema.
    pub fn schema(&self) -> &str {
        match self {
            Self::Table(table) | Self::Index(table, _) => &table.schema,
            Self::Sequence(sequence) => &sequence.schema,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Table(table) => &table.name,
            Self::Index(table, at) => &table.indexes[*at].name,
            Self::Sequence(sequence) => &sequence.name,
        }
    }

    /// Its database.
    pub fn database(&self) -> u32 {
        match self {
            Self::Table(table) | Self::Index(table, _) => table.database,
            Self::Sequence(sequence) => sequence.database,
        }
    }

    /// The index, if it is one.
    pub fn index(&self) -> Option<&IndexDescriptor> {
        match self {
            Self::Index(table, at) => table.indexes.get(*at),
            Self::Table(_) | Self::Sequence(_) => None,
        }
    }
}

/// Everything that the catalog says, at one version.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    version: u64,
    databases: BTreeMap<String, Rc<DatabaseDescriptor>>,
    relations: BTreeMap<u32, Relation>,
    names: BTreeMap<u32, BTreeMap<(String, String), u32>>,
    principals: BTreeMap<String, Rc<Principal>>,
}

impl Catalog {
    /// Reads everything through a transaction, at its timestamp.
    ///
    /// # Errors
    ///
    /// Those of the scans.
    pub async fn load(txn: &dyn Txn, version: u64) -> Result<Self, TxnFailure> {
        let mut catalog = Self { version, ..Self::default() };
        for database in store::load_all::<DatabaseDescriptor>(txn).await? {
            catalog.databases.insert(database.name.clone(), Rc::new(database));
        }
        for principal in store::load_all::<Principal>(txn).await? {
            catalog.principals.insert(principal.name.clone(), Rc::new(principal));
        }
        for sequence in store::load_all::<SequenceDescriptor>(txn).await? {
            catalog.add(Relation::Sequence(Rc::new(sequence)));
        }
        for table in store::load_all::<TableDescriptor>(txn).await? {
            catalog.add_table(Rc::new(table));
        }
        Ok(catalog)
    }

    /// The version that it is at.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// A database by name.
    pub fn database(&self, name: &str) -> Option<&Rc<DatabaseDescriptor>> {
        self.databases.get(name)
    }

    /// All databases, by name.
    pub fn databases(&self) -> impl Iterator<Item = &Rc<DatabaseDescriptor>> {
        self.databases.values()
    }

    /// A role by name.
    pub fn principal(&self, name: &str) -> Option<&Rc<Principal>> {
        self.principals.get(name)
    }

    /// All roles, by name.
    pub fn principals(&self) -> impl Iterator<Item = &Rc<Principal>> {
        self.principals.values()
    }

    /// A relation by number.
    pub fn relation_by_oid(&self, oid: u32) -> Option<&Relation> {
        self.relations.get(&oid)
    }

    /// A relation by name: in `schema`, or in the first schema of `search_path` that has it.
    pub fn relation(
        &self,
        database: u32,
        search_path: &[String],
        schema: Option<&str>,
        name: &str,
    ) -> Option<&Relation> {
        let names = self.names.get(&database)?;
        let find = |schema: &str| names.get(&(schema.to_owned(), name.to_owned()));
        let oid = match schema {
            Some(schema) => find(schema),
            None => search_path.iter().find_map(|schema| find(schema)),
        };
        self.relations.get(oid?)
    }

    /// All relations of a database, by schema and name.
    pub fn relations(&self, database: u32) -> impl Iterator<Item = &Relation> {
        let names = self.names.get(&database).into_iter().flat_map(|names| names.values());
        names.filter_map(|oid| self.relations.get(oid))
    }

    /// All tables of a database.
    pub fn tables(&self, database: u32) -> impl Iterator<Item = &Rc<TableDescriptor>> {
        self.relations(database).filter_map(|relation| match relation {
            Relation::Table(table) => Some(table),
            Relation::Index(..) | Relation::Sequence(_) => None,
        })
    }

    /// Whether a schema exists.
    pub fn has_schema(&self, schema: &str) -> bool {
        matches!(schema, PUBLIC | PG_CATALOG | INFORMATION_SCHEMA)
    }

    fn add_table(&mut self, table: Rc<TableDescriptor>) {
        for at in 0..table.indexes.len() {
            self.add(Relation::Index(Rc::clone(&table), at));
        }
        self.add(Relation::Table(table));
    }

    fn add(&mut self, relation: Relation) {
        let name = (relation.schema().to_owned(), relation.name().to_owned());
        self.names.entry(relation.database()).or_default().insert(name, relation.oid());
        self.relations.insert(relation.oid(), relation);
    }
}
