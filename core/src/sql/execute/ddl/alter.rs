//! ALTER TABLE … ADD PRIMARY KEY | UNIQUE, and CREATE INDEX.

use std::rc::Rc;

use super::create_table::{self, KeyDraft};
use super::{fill, names};
use crate::base::error::{SqlError, sqlstate};
use crate::base::id::TableId;
use crate::sql::catalog::descriptor::{IndexColumn, IndexDescriptor, TableDescriptor};
use crate::sql::catalog::store;
use crate::sql::error::SUCCESS;
use crate::sql::execute::context::ExecContext;
use crate::sql::execute::table::TableAccess;
use crate::sql::parse::ast::{
    AlterTable, AlterTableAction, CreateIndex, ExprKind, OrderItem, TableConstraint,
    TableConstraintKind,
};
use crate::sql::protocol::NoticeSeverity;

pub(super) async fn alter_table(alter: &AlterTable, context: &ExecContext) -> Result<(), SqlError> {
    for action in &alter.actions {
        let catalog = context.open.catalog().await?;
        if alter.if_exists && names::find(context, &catalog, &alter.name)?.is_none() {
            let message = format!("relation \"{}\" does not exist, skipping", alter.name.name());
            context.notice(NoticeSeverity::Notice, SqlError::new(SUCCESS, message));
            return Ok(());
        }
        let table = names::table(context, &catalog, &alter.name)?;
        match action {
            AlterTableAction::AddConstraint(constraint) => {
                add_constraint(context, &table, constraint).await?;
            }
        }
    }
    Ok(())
}

async fn add_constraint(
    context: &ExecContext,
    table: &Rc<TableDescriptor>,
    constraint: &TableConstraint,
) -> Result<(), SqlError> {
    let catalog = context.open.catalog().await?;
    let primary = constraint.kind == TableConstraintKind::PrimaryKey;
    if primary && table.primary().is_some() {
        let message = format!("multiple primary keys for table \"{}\" are not allowed", table.name);
        return Err(SqlError::new(sqlstate::INVALID_TABLE_DEFINITION, message));
    }
    let columns = create_table::key_columns(table, &constraint.columns)?;
    let mut new = (**table).clone();
    let draft = KeyDraft {
        oid: context.new_number().await?,
        name: constraint.name.as_ref().map(|name| name.text.clone()),
        columns: columns.clone(),
        primary,
    };
    let oid = draft.oid;
    let name = create_table::add_key(&catalog, &mut new, draft, &[])?;
    lock(context, table).await?;
    names::claim(context, &table.schema, &name, oid).await?;
    new.version += 1;
    if primary {
        // Rows are keyed by the primary key, so they move to a key space of their own.
        new.id = TableId(context.new_number().await?);
        context.open.made_table(new.id);
        fill::table(context, table, &new, &columns).await?;
    } else {
        let at = new.indexes.len() - 1;
        fill::index(context, table, &new, at).await?;
    }
    replace(context, &new).await
}

pub(super) async fn create_index(
    create: &CreateIndex,
    context: &ExecContext,
) -> Result<(), SqlError> {
    let catalog = context.open.catalog().await?;
    let table = names::table(context, &catalog, &create.table)?;
    create_table::storage_options(context, &create.options, create.tablespace.as_ref())?;
    let columns = index_columns(&table, &create.columns)?;
    let ordinals: Vec<_> = columns.iter().map(|column| column.column).collect();
    create_table::check_index_columns(&table, &ordinals)?;
    let name = match &create.name {
        Some(name) => name.text.clone(),
        None => {
            let names: Vec<_> =
                ordinals.iter().map(|at| table.columns[usize::from(*at)].name.as_str()).collect();
            let joined = names.join("_");
            let parts = (table.name.as_str(), joined.as_str(), "idx");
            names::choose(&catalog, table.database, &table.schema, parts, &[])
        }
    };
    if catalog.relation(table.database, &[], Some(&table.schema), &name).is_some() {
        let exists = names::exists_already(&name);
        if !create.if_not_exists {
            return Err(exists);
        }
        let notice = SqlError::new(exists.state, format!("{}, skipping", exists.message));
        context.notice(NoticeSeverity::Notice, notice);
        return Ok(());
    }
    lock(context, &table).await?;
    let oid = context.new_number().await?;
    let mut new = (*table).clone();
    new.version += 1;
    let id = create_table::next_index(&mut new);
    let unique = create.unique;
    let index = IndexDescriptor {
        id,
        oid,
        name: name.clone(),
        unique,
        primary: false,
        constraint: false,
        columns,
    };
    new.indexes.push(index);
    names::claim(context, &table.schema, &name, oid).await?;
    let at = new.indexes.len() - 1;
    fill::index(context, &table, &new, at).await?;
    replace(context, &new).await
}

fn index_columns(
    table: &TableDescriptor,
    items: &[OrderItem],
) -> Result<Vec<IndexColumn>, SqlError> {
    let column = |item: &OrderItem| {
        let name = match &item.expr.kind {
            ExprKind::Column(parts) => parts.last(),
            _ => None, // an expression
        };
        let Some(name) = name else {
            return Err(SqlError::unsupported("an index on an expression").at(item.expr.position));
        };
        let Some(ordinal) = table.ordinal(&name.text) else {
            let message = format!("column \"{name}\" does not exist");
            return Err(SqlError::new(sqlstate::UNDEFINED_COLUMN, message));
        };
        // NULLs are the largest values: first when descending. Another order is not stored.
        if item.nulls_first.is_some_and(|first| first != item.descending) {
            let what = "NULLS FIRST or LAST against the order of an index column";
            return Err(SqlError::unsupported(what).at(item.expr.position));
        }
        Ok(IndexColumn {
            column: u16::try_from(ordinal).unwrap_or(u16::MAX),
            descending: item.descending,
            nulls_first: item.descending,
        })
    };
    items.iter().map(column).collect()
}

/// Locks a table against everybody, and marks that the catalog changes.
pub(super) async fn lock(context: &ExecContext, table: &TableDescriptor) -> Result<(), SqlError> {
    context.open.change_catalog()?;
    if context.open.is_new(table.id) {
        return Ok(()); // nobody else can see it
    }
    let access = TableAccess::new(Rc::new(table.clone()));
    Ok(context.open.txn.lock_table(access.rows(), context.facts.wait).await?)
}

/// Writes a table's new descriptor.
pub(super) async fn replace(context: &ExecContext, new: &TableDescriptor) -> Result<(), SqlError> {
    store::replace_described(&*context.open.txn, new, context.facts.wait).await?;
    context.open.catalog_changed();
    Ok(())
}
