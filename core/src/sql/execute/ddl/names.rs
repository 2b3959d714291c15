//! Names of objects: which one a statement means, and which name a new one gets.

use std::rc::Rc;

use crate::base::error::{SqlError, sqlstate};
use crate::base::key::Key;
use crate::sql::catalog::descriptor::TableDescriptor;
use crate::sql::catalog::snapshot::{Catalog, INFORMATION_SCHEMA, PG_CATALOG, PUBLIC, Relation};
use crate::sql::catalog::store::{self, SystemTable, relation_key};
use crate::sql::execute::context::ExecContext;
use crate::sql::parse::ast::ObjectName;
use crate::sql::ports::TxnFailure;

/// Bytes of a name that count.
const NAME_BYTES_MAX: usize = 63;

/// The schema in which a new object is made.
pub(super) fn schema_for_new(
    context: &ExecContext,
    catalog: &Catalog,
    name: &ObjectName,
) -> Result<String, SqlError> {
    check_database(context, name)?;
    let Some(schema) = name.schema() else {
        let path = context.facts.search_path.iter();
        let found = path.filter(|s| catalog.has_schema(s)).find(|schema| *schema == PUBLIC);
        return found.cloned().ok_or_else(|| {
            let message = "no schema has been selected to create in";
            SqlError::new(sqlstate::INVALID_SCHEMA_NAME, message).at(name.position())
        });
    };
    if matches!(schema.text.as_str(), PG_CATALOG | INFORMATION_SCHEMA) {
        let message = format!("permission denied to create \"{}.{}\"", schema.text, name.name());
        return Err(SqlError::new(sqlstate::INSUFFICIENT_PRIVILEGE, message)
            .detail("System catalog modifications are currently disallowed."));
    }
    if !catalog.has_schema(&schema.text) {
        let message = format!("schema \"{}\" does not exist", schema.text);
        return Err(SqlError::new(sqlstate::INVALID_SCHEMA_NAME, message).at(schema.position));
    }
    Ok(schema.text.clone())
}

fn check_database(context: &ExecContext, name: &ObjectName) -> Result<(), SqlError> {
    match name.database() {
        Some(database) if database.text != context.facts.database.name => {
            Err(SqlError::unsupported(format!("cross-database reference \"{name}\""))
                .at(database.position))
        }
        _ => Ok(()), // ours, or not given
    }
}

/// What a name means; `None` if nothing has it.
pub(super) fn find<'a>(
    context: &ExecContext,
    catalog: &'a Catalog,
    name: &ObjectName,
) -> Result<Option<&'a Relation>, SqlError> {
    check_database(context, name)?;
    let schema = name.schema().map(|schema| schema.text.as_str());
    let path = &context.facts.search_path;
    Ok(catalog.relation(context.facts.database.oid, path, schema, &name.name().text))
}

/// The table that a name means.
pub(crate) fn table(
    context: &ExecContext,
    catalog: &Catalog,
    name: &ObjectName,
) -> Result<Rc<TableDescriptor>, SqlError> {
    match find(context, catalog, name)? {
        Some(Relation::Table(table)) => Ok(Rc::clone(table)),
        Some(Relation::Index(..) | Relation::Sequence(_)) => {
            let message = format!("\"{}\" is not a table", name.name());
            Err(SqlError::new(sqlstate::WRONG_OBJECT_TYPE, message))
        }
        None => {
            let message = format!("relation \"{name}\" does not exist");
            Err(SqlError::new(sqlstate::UNDEFINED_TABLE, message).at(name.position()))
        }
    }
}

/// 42P07.
pub(super) fn exists_already(name: &str) -> SqlError {
    let message = format!("relation \"{name}\" already exists");
    SqlError::new(sqlstate::DUPLICATE_TABLE, message)
}

/// Takes a relation's name.
pub(super) async fn claim(
    context: &ExecContext,
    schema: &str,
    name: &str,
    oid: u32,
) -> Result<(), SqlError> {
    let key = name_key(context, schema, name);
    let row = oid.to_be_bytes().to_vec().into();
    match store::insert(&*context.open.txn, SystemTable::RelationNames, key, row).await {
        Err(TxnFailure::Duplicate { .. }) => Err(exists_already(name)),
        other => Ok(other?),
    }
}

/// Gives a relation's name up.
pub(super) async fn release(
    context: &ExecContext,
    schema: &str,
    name: &str,
) -> Result<(), SqlError> {
    let key = name_key(context, schema, name);
    let table = SystemTable::RelationNames;
    store::remove(&*context.open.txn, table, key, context.facts.wait).await?;
    Ok(())
}

fn name_key(context: &ExecContext, schema: &str, name: &str) -> Key {
    relation_key(context.facts.database.oid, schema, name)
}

/// PostgreSQL's choice of a name: parts joined by `_`, cut to 63 bytes, numbered until it is free.
pub(super) fn choose(
    catalog: &Catalog,
    database: u32,
    schema: &str,
    (first, second, label): (&str, &str, &str),
    taken: &[String],
) -> String {
    let mut number = 0u32;
    loop {
        let label = match number {
            0 => label.to_owned(),
            n => format!("{label}{n}"),
        };
        let name = joined(first, second, &label);
        let free = catalog.relation(database, &[], Some(schema), &name).is_none();
        if free && !taken.contains(&name) {
            return name;
        }
        number += 1;
    }
}

fn joined(first: &str, second: &str, label: &str) -> String {
    let overhead = label.len() + 1 + usize::from(!second.is_empty());
    let room = NAME_BYTES_MAX.saturating_sub(overhead);
    let (mut one, mut two) = (first.len(), second.len());
    while room < one + two {
        // The longer part is cut, as PostgreSQL's makeObjectName does.
        if two < one { one -= 1 } else { two -= 1 }
    }
    let cut = |text: &str, len: usize| {
        let end = (0..=len).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text[..end].to_owned()
    };
    match second {
        "" => format!("{}_{label}", cut(first, one)),
        _ => format!("{}_{}_{label}", cut(first, one), cut(second, two)),
    }
}
