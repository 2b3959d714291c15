//! Which rows a view has.

use std::rc::Rc;

use super::line::Line;
use super::views::{View, view};
use super::{cluster, information, relations};
use crate::base::error::{SqlError, sqlstate};
use crate::sql::catalog::snapshot::Catalog;
use crate::sql::execute::context::ExecContext;
use crate::sql::execute::run::Row;

/// What a view's rows are made of.
pub(super) struct Source<'a> {
    pub(super) view: &'static View,
    pub(super) context: &'a ExecContext,
    pub(super) catalog: Rc<Catalog>,
    pub(super) database: u32,
}

impl Source<'_> {
    pub(super) fn line(&self) -> Line {
        Line::new(self.view)
    }
}

/// All rows of a view.
pub(crate) fn rows(schema: &str, name: &str, context: &ExecContext) -> Result<Vec<Row>, SqlError> {
    let Some(view) = view(schema, name) else {
        let message = format!("relation \"{schema}.{name}\" does not exist");
        return Err(SqlError::new(sqlstate::UNDEFINED_TABLE, message));
    };
    let database = context.facts.database.oid;
    let source = Source { view, context, catalog: context.catalog()?, database };
    Ok(match (schema, name) {
        ("information_schema", _) => information::rows(&source),
        (_, "pg_class") => relations::classes(&source),
        (_, "pg_attribute") => relations::attributes(&source),
        (_, "pg_attrdef") => relations::defaults(&source),
        (_, "pg_index") => relations::indexes(&source),
        (_, "pg_constraint") => relations::constraints(&source),
        (_, "pg_sequence" | "pg_sequences") => relations::sequences(&source),
        (_, "pg_tables") => relations::tables(&source),
        (_, "pg_stat_user_tables") => relations::table_statistics(&source),
        (_, "pg_indexes") => relations::index_texts(&source),
        (_, "pg_depend") => relations::dependencies(&source),
        (_, "pg_namespace") => cluster::namespaces(&source),
        (_, "pg_database") => cluster::databases(&source),
        (_, "pg_roles" | "pg_authid" | "pg_user") => cluster::roles(&source),
        (_, "pg_type") => cluster::types(&source),
        (_, "pg_am") => cluster::access_methods(&source),
        (_, "pg_settings") => cluster::settings(&source),
        (_, "pg_stat_activity") => cluster::activity(&source),
        (_, "pg_tablespace") => cluster::tablespaces(&source),
        (_, "pg_collation") => cluster::collations(&source),
        (_, "pg_language") => cluster::languages(&source),
        _ => Vec::new(), // views of what we do not have
    })
}
