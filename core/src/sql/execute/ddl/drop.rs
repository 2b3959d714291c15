//! DROP TABLE, INDEX, SEQUENCE, DATABASE, ROLE.
//!
//! A dropped table's rows stay where they are: nothing names them any more, and its key space is
//! never given again.

use std::rc::Rc;

use super::{alter, database, names};
use crate::base::error::{SqlError, sqlstate};
use crate::sql::catalog::descriptor::{SequenceDescriptor, TableDescriptor};
use crate::sql::catalog::snapshot::{Catalog, Relation};
use crate::sql::catalog::store::{self, Described, SystemTable};
use crate::sql::error::SUCCESS;
use crate::sql::execute::context::ExecContext;
use crate::sql::parse::ast::{Drop, ObjectKind, ObjectName};
use crate::sql::protocol::NoticeSeverity;

pub(super) async fn drop(dropped: &Drop, context: &ExecContext) -> Result<(), SqlError> {
    for name in &dropped.names {
        match dropped.kind {
            ObjectKind::Database => database::drop(name, dropped.if_exists, context).await?,
            ObjectKind::Role => database::drop_role(name, dropped.if_exists, context).await?,
            ObjectKind::Table | ObjectKind::Index | ObjectKind::Sequence => {
                relation(dropped, name, context).await?;
            }
        }
    }
    Ok(())
}

async fn relation(
    dropped: &Drop,
    name: &ObjectName,
    context: &ExecContext,
) -> Result<(), SqlError> {
    let catalog = context.open.catalog().await?;
    let word = match dropped.kind {
        ObjectKind::Table => "table",
        ObjectKind::Index => "index",
        _ => "sequence", // the only other kind that comes here
    };
    let Some(relation) = names::find(context, &catalog, name)?.cloned() else {
        if dropped.if_exists {
            let message = format!("{word} \"{}\" does not exist, skipping", name.name());
            context.notice(NoticeSeverity::Notice, SqlError::new(SUCCESS, message));
            return Ok(());
        }
        let message = format!("{word} \"{name}\" does not exist");
        let state = match dropped.kind {
            ObjectKind::Index => sqlstate::UNDEFINED_OBJECT,
            _ => sqlstate::UNDEFINED_TABLE, // tables and sequences
        };
        return Err(SqlError::new(state, message));
    };
    match (dropped.kind, relation) {
        (ObjectKind::Table, Relation::Table(table)) => drop_table(context, &catalog, &table).await,
        (ObjectKind::Index, Relation::Index(table, at)) => drop_index(context, &table, at).await,
        (ObjectKind::Sequence, Relation::Sequence(sequence)) => {
            drop_sequence(context, &catalog, &sequence, dropped.cascade).await
        }
        (_, relation) => Err(wrong_kind(word, &relation)),
    }
}

fn wrong_kind(word: &str, relation: &Relation) -> SqlError {
    let article = if word == "index" { "an" } else { "a" };
    let message = format!("\"{}\" is not {article} {word}", relation.name());
    let (article, verb) = match relation {
        Relation::Table(_) => ("a table", "DROP TABLE"),
        Relation::Index(..) => ("an index", "DROP INDEX"),
        Relation::Sequence(_) => ("a sequence", "DROP SEQUENCE"),
    };
    SqlError::new(sqlstate::WRONG_OBJECT_TYPE, message)
        .hint(format!("Use {verb} to remove {article}."))
}

async fn drop_table(
    context: &ExecContext,
    catalog: &Catalog,
    table: &TableDescriptor,
) -> Result<(), SqlError> {
    alter::lock(context, table).await?;
    remove_table(context, table).await?;
    for relation in catalog.relations(table.database) {
        if let Relation::Sequence(sequence) = relation
            && sequence.owned_by.is_some_and(|(owner, _)| owner == table.oid)
        {
            remove_sequence(context, sequence).await?;
        }
    }
    context.open.catalog_changed();
    Ok(())
}

/// Removes a table's rows from the catalog.
pub(super) async fn remove_table(
    context: &ExecContext,
    table: &TableDescriptor,
) -> Result<(), SqlError> {
    let (txn, wait) = (&*context.open.txn, context.facts.wait);
    store::remove(txn, SystemTable::Tables, table.key(), wait).await?;
    names::release(context, &table.schema, &table.name).await?;
    for index in &table.indexes {
        names::release(context, &table.schema, &index.name).await?;
    }
    Ok(())
}

/// Removes a sequence's rows from the catalog.
pub(super) async fn remove_sequence(
    context: &ExecContext,
    sequence: &SequenceDescriptor,
) -> Result<(), SqlError> {
    let (txn, wait) = (&*context.open.txn, context.facts.wait);
    store::remove(txn, SystemTable::Sequences, sequence.key(), wait).await?;
    let value = SystemTable::SequenceValues.key(&sequence.oid.to_be_bytes());
    store::remove(txn, SystemTable::SequenceValues, value, wait).await?;
    names::release(context, &sequence.schema, &sequence.name).await?;
    context.open.forget_sequence_at_end(sequence.oid);
    Ok(())
}

async fn drop_index(
    context: &ExecContext,
    table: &Rc<TableDescriptor>,
    at: usize,
) -> Result<(), SqlError> {
    let index = &table.indexes[at];
    if index.constraint {
        let (name, owner) = (&index.name, &table.name);
        let message = format!(
            "cannot drop index {name} because constraint {name} on table {owner} requires it"
        );
        return Err(SqlError::new(sqlstate::DEPENDENT_OBJECTS_STILL_EXIST, message)
            .hint(format!("You can drop constraint {name} on table {owner} instead.")));
    }
    alter::lock(context, table).await?;
    names::release(context, &table.schema, &index.name).await?;
    let mut new = (**table).clone();
    new.indexes.remove(at);
    new.version += 1;
    alter::replace(context, &new).await
}

async fn drop_sequence(
    context: &ExecContext,
    catalog: &Catalog,
    sequence: &SequenceDescriptor,
    cascade: bool,
) -> Result<(), SqlError> {
    let owner = sequence.owned_by.and_then(|(oid, _)| catalog.relation_by_oid(oid));
    if let (Some(Relation::Table(table)), false) = (owner, cascade) {
        let name = &sequence.name;
        let message = format!("cannot drop sequence {name} because other objects depend on it");
        let column = sequence.owned_by.map_or(0, |(_, column)| usize::from(column));
        let column = table.columns.get(column).map_or("", |column| column.name.as_str());
        let detail = format!(
            "default value for column {column} of table {} depends on sequence {name}",
            table.name
        );
        return Err(SqlError::new(sqlstate::DEPENDENT_OBJECTS_STILL_EXIST, message)
            .detail(detail)
            .hint("Use DROP ... CASCADE to drop the dependent objects too."));
    }
    if owner.is_some() {
        return Err(SqlError::unsupported("DROP SEQUENCE … CASCADE of a column's sequence"));
    }
    context.open.change_catalog()?;
    remove_sequence(context, sequence).await?;
    context.open.catalog_changed();
    Ok(())
}
