//! CREATE TABLE.

use super::names;
use super::sequence;
use crate::base::error::{SqlError, sqlstate};
use crate::base::id::{IndexId, TableId};
use crate::base::limit;
use crate::row::types::DataType;
use crate::sql::catalog::descriptor::{
    ColumnDescriptor, IndexColumn, IndexDescriptor, SequenceDescriptor, TableDescriptor,
};
use crate::sql::catalog::snapshot::Catalog;
use crate::sql::catalog::store;
use crate::sql::error::SUCCESS;
use crate::sql::execute::context::ExecContext;
use crate::sql::execute::deparse;
use crate::sql::parse::ast::{
    ColumnConstraintKind, ColumnDefinition, CreateTable, Name, StorageOption, TableConstraint,
    TableConstraintKind, TypeName,
};
use crate::sql::protocol::NoticeSeverity;

/// Columns of one index.
const INDEX_COLUMNS_MAX: usize = 32;

pub(super) async fn create_table(
    create: &CreateTable,
    context: &ExecContext,
) -> Result<(), SqlError> {
    let catalog = context.open.catalog().await?;
    let schema = names::schema_for_new(context, &catalog, &create.name)?;
    let name = &create.name.name().text;
    let database = context.facts.database.oid;
    if catalog.relation(database, &[], Some(&schema), name).is_some() {
        let exists = names::exists_already(name);
        if !create.if_not_exists {
            return Err(exists);
        }
        let notice = SqlError::new(exists.state, format!("{}, skipping", exists.message));
        context.notice(NoticeSeverity::Notice, notice);
        return Ok(());
    }
    storage_options(context, &create.options, create.tablespace.as_ref())?;
    let mut draft = Draft::new(context, &catalog, &schema, name).await?;
    for column in &create.columns {
        draft.column(column).await?;
    }
    for constraint in &create.constraints {
        draft.constraint(constraint)?;
    }
    draft.write().await
}

/// A table in the making.
struct Draft<'a> {
    context: &'a ExecContext,
    catalog: &'a Catalog,
    table: TableDescriptor,
    sequences: Vec<SequenceDescriptor>,
    /// Unique constraints: name, columns, whether it is the primary key.
    keys: Vec<(Option<String>, Vec<u16>, bool)>,
}

impl<'a> Draft<'a> {
    async fn new(
        context: &'a ExecContext,
        catalog: &'a Catalog,
        schema: &str,
        name: &str,
    ) -> Result<Self, SqlError> {
        let oid = context.new_number().await?;
        let table = TableDescriptor {
            id: TableId(oid),
            oid,
            version: 1,
            database: context.facts.database.oid,
            schema: schema.to_owned(),
            name: name.to_owned(),
            owner: context.facts.user.oid,
            columns: Vec::new(),
            indexes: Vec::new(),
            hidden_rowid: true,
            shard_key: Vec::new(),
            next_index: 1,
        };
        Ok(Self { context, catalog, table, sequences: Vec::new(), keys: Vec::new() })
    }

    async fn column(&mut self, column: &ColumnDefinition) -> Result<(), SqlError> {
        if self.table.ordinal(&column.name.text).is_some() {
            let message = format!("column \"{}\" specified more than once", column.name);
            return Err(SqlError::new(sqlstate::DUPLICATE_COLUMN, message));
        }
        if limit::COLUMNS_MAX <= self.table.columns.len() {
            let message = format!("tables can have at most {} columns", limit::COLUMNS_MAX);
            return Err(SqlError::new(sqlstate::TOO_MANY_COLUMNS, message));
        }
        let ordinal = u16::try_from(self.table.columns.len()).unwrap_or(u16::MAX);
        let (ty, serial) = column_type(&column.ty)?;
        if ty.is_pseudo() {
            let message = format!("column \"{}\" has pseudo-type {}", column.name, ty.name());
            return Err(SqlError::new(sqlstate::INVALID_TABLE_DEFINITION, message));
        }
        let mut described = ColumnDescriptor {
            id: ordinal,
            name: column.name.text.clone(),
            ty,
            nullable: true,
            default: None,
        };
        if serial {
            described.nullable = false;
            described.default = Some(self.serial(&described, ordinal).await?);
        }
        for constraint in &column.constraints {
            let name = constraint.name.as_ref().map(|name| name.text.clone());
            match &constraint.kind {
                ColumnConstraintKind::Null => {}
                ColumnConstraintKind::NotNull => described.nullable = false,
                ColumnConstraintKind::Default(expr) => {
                    let text = deparse::default_text(expr, &described.ty)?;
                    self.context.check_default(&text, &described).await?;
                    described.default = Some(text);
                }
                ColumnConstraintKind::PrimaryKey => self.key(name, vec![ordinal], true)?,
                ColumnConstraintKind::Unique => self.key(name, vec![ordinal], false)?,
            }
        }
        self.table.columns.push(described);
        Ok(())
    }

    async fn serial(
        &mut self,
        column: &ColumnDescriptor,
        ordinal: u16,
    ) -> Result<String, SqlError> {
        let taken: Vec<_> = self.sequences.iter().map(|s| s.name.clone()).collect();
        let parts = (self.table.name.as_str(), column.name.as_str(), "seq");
        let schema = &self.table.schema;
        let name = names::choose(self.catalog, self.table.database, schema, parts, &taken);
        let oid = self.context.new_number().await?;
        let mut made = sequence::with_defaults(self.context, oid, schema, &name, &column.ty);
        made.owned_by = Some((self.table.oid, ordinal));
        self.sequences.push(made);
        Ok(format!("nextval('{}'::regclass)", deparse::quoted_in_literal(&name)))
    }

    fn constraint(&mut self, constraint: &TableConstraint) -> Result<(), SqlError> {
        let columns = key_columns(&self.table, &constraint.columns)?;
        let name = constraint.name.as_ref().map(|name| name.text.clone());
        let primary = constraint.kind == TableConstraintKind::PrimaryKey;
        self.key(name, columns, primary)
    }

    fn key(
        &mut self,
        name: Option<String>,
        columns: Vec<u16>,
        primary: bool,
    ) -> Result<(), SqlError> {
        if primary && self.keys.iter().any(|(_, _, primary)| *primary) {
            let message =
                format!("multiple primary keys for table \"{}\" are not allowed", self.table.name);
            return Err(SqlError::new(sqlstate::INVALID_TABLE_DEFINITION, message));
        }
        self.keys.push((name, columns, primary));
        Ok(())
    }

    async fn write(mut self) -> Result<(), SqlError> {
        self.keys.sort_by_key(|(_, _, primary)| !primary);
        let mut taken: Vec<String> = vec![self.table.name.clone()];
        for (name, columns, primary) in std::mem::take(&mut self.keys) {
            let oid = self.context.new_number().await?;
            let index = add_key(
                self.catalog,
                &mut self.table,
                KeyDraft { oid, name, columns, primary },
                &taken,
            )?;
            taken.push(index);
        }
        let context = self.context;
        context.open.change_catalog()?;
        names::claim(context, &self.table.schema, &self.table.name, self.table.oid).await?;
        for index in &self.table.indexes {
            names::claim(context, &self.table.schema, &index.name, index.oid).await?;
        }
        for sequence in &self.sequences {
            sequence::write(context, sequence).await?;
        }
        store::insert_described(&*context.open.txn, &self.table).await?;
        context.open.made_table(self.table.id);
        context.open.catalog_changed();
        Ok(())
    }
}

/// A key that a table is to get.
pub(super) struct KeyDraft {
    pub(super) oid: u32,
    pub(super) name: Option<String>,
    pub(super) columns: Vec<u16>,
    pub(super) primary: bool,
}

/// Adds a PRIMARY KEY or UNIQUE constraint's index to a descriptor; gives back its name.
pub(super) fn add_key(
    catalog: &Catalog,
    table: &mut TableDescriptor,
    draft: KeyDraft,
    taken: &[String],
) -> Result<String, SqlError> {
    let KeyDraft { oid, name, columns, primary } = draft;
    check_index_columns(table, &columns)?;
    let name = match name {
        Some(name) => {
            let exists = catalog.relation(table.database, &[], Some(&table.schema), &name);
            if exists.is_some() || taken.contains(&name) {
                return Err(names::exists_already(&name));
            }
            name
        }
        None => {
            let joined: Vec<_> =
                columns.iter().map(|at| table.columns[usize::from(*at)].name.as_str()).collect();
            let joined = joined.join("_");
            let parts = if primary {
                (table.name.as_str(), "", "pkey")
            } else {
                (table.name.as_str(), joined.as_str(), "key")
            };
            names::choose(catalog, table.database, &table.schema, parts, taken)
        }
    };
    let id = if primary { IndexId(0) } else { next_index(table) };
    let ascending =
        |column: &u16| IndexColumn { column: *column, descending: false, nulls_first: false };
    let index = IndexDescriptor {
        id,
        oid,
        name: name.clone(),
        unique: true,
        primary,
        constraint: true,
        columns: columns.iter().map(ascending).collect(),
    };
    if primary {
        for column in &columns {
            table.columns[usize::from(*column)].nullable = false;
        }
        table.hidden_rowid = false;
        table.shard_key = columns.first().copied().into_iter().collect();
        table.indexes.insert(0, index);
    } else {
        table.indexes.push(index);
    }
    Ok(name)
}

/// A fresh index id of a table.
pub(super) fn next_index(table: &mut TableDescriptor) -> IndexId {
    let id = IndexId(table.next_index);
    table.next_index += 1;
    id
}

pub(super) fn check_index_columns(
    table: &TableDescriptor,
    columns: &[u16],
) -> Result<(), SqlError> {
    if INDEX_COLUMNS_MAX < columns.len() {
        let message = format!("cannot use more than {INDEX_COLUMNS_MAX} columns in an index");
        return Err(SqlError::new(sqlstate::TOO_MANY_COLUMNS, message));
    }
    for column in columns {
        let ty = &table.columns[usize::from(*column)].ty;
        if matches!(ty, DataType::Json | DataType::Jsonb | DataType::Xid) {
            let message = format!(
                "data type {} has no default operator class for access method \"btree\"",
                ty.name()
            );
            return Err(SqlError::new(sqlstate::UNDEFINED_OBJECT, message).hint(
                "You must specify an operator class for the index or define a default operator \
                 class for the data type.",
            ));
        }
    }
    Ok(())
}

/// Ordinals of a key's columns.
pub(super) fn key_columns(table: &TableDescriptor, columns: &[Name]) -> Result<Vec<u16>, SqlError> {
    let mut ordinals = Vec::with_capacity(columns.len());
    for column in columns {
        let Some(ordinal) = table.ordinal(&column.text) else {
            let message = format!("column \"{column}\" named in key does not exist");
            return Err(SqlError::new(sqlstate::UNDEFINED_COLUMN, message).at(column.position));
        };
        let ordinal = u16::try_from(ordinal).unwrap_or(u16::MAX);
        if ordinals.contains(&ordinal) {
            let message = format!("column \"{column}\" appears twice in a key constraint");
            return Err(SqlError::new(sqlstate::DUPLICATE_COLUMN, message).at(column.position));
        }
        ordinals.push(ordinal);
    }
    Ok(ordinals)
}

fn column_type(name: &TypeName) -> Result<(DataType, bool), SqlError> {
    let serial = match name.name.name().text.as_str() {
        "serial" | "serial4" => DataType::Int4,
        "bigserial" | "serial8" => DataType::Int8,
        "smallserial" | "serial2" => DataType::Int2,
        _ => return Ok((super::data_type(name)?, false)), // a type proper
    };
    if name.array {
        let message = "array of serial is not implemented";
        return Err(SqlError::new(sqlstate::FEATURE_NOT_SUPPORTED, message).at(name.position));
    }
    Ok((serial, true))
}

/// `WITH (…)` and TABLESPACE: taken, but we store rows in our own way.
pub(super) fn storage_options(
    context: &ExecContext,
    options: &[StorageOption],
    tablespace: Option<&Name>,
) -> Result<(), SqlError> {
    for option in options {
        let name = option.name.text.as_str();
        match name {
            "sharding" if option.value.as_deref() == Some("hash") => {}
            "sharding" | "shard_key" => {
                let what = format!("storage parameter \"{name}\" other than its default");
                return Err(SqlError::unsupported(what).at(option.name.position));
            }
            "fillfactor" | "oids" | "parallel_workers" | "user_catalog_table"
            | "toast_tuple_target" | "deduplicate_items" => {
                let message = format!("storage parameter \"{name}\" has no effect");
                context.notice(NoticeSeverity::Notice, SqlError::new(SUCCESS, message));
            }
            name if name.starts_with("autovacuum_") || name.starts_with("toast.") => {
                let message = format!("storage parameter \"{name}\" has no effect");
                context.notice(NoticeSeverity::Notice, SqlError::new(SUCCESS, message));
            }
            name => {
                let message = format!("unrecognized parameter \"{name}\"");
                return Err(SqlError::new(sqlstate::INVALID_PARAMETER_VALUE, message));
            }
        }
    }
    match tablespace {
        Some(space) if space.text != "pg_default" => {
            let message = format!("tablespace \"{space}\" does not exist");
            Err(SqlError::new(sqlstate::UNDEFINED_OBJECT, message))
        }
        _ => Ok(()), // the only one there is
    }
}
