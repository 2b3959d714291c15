//! Which statement goes where, and what its tag is.

use std::rc::Rc;

use super::{alter, create_table, database, drop, sequence, truncate};
use crate::base::error::SqlError;
use crate::row::datum::Datum;
use crate::row::types::DataType;
use crate::sql::execute::context::ExecContext;
use crate::sql::execute::{cursor, planned};
use crate::sql::parse::ast::{
    Distinct, Expr, ObjectKind, Query, Select, SelectItem, SetBody, Statement, TypeName, Vacuum,
};
use crate::sql::protocol::NoticeSeverity;

/// Runs a statement that changes the catalog; gives back its tag.
pub(crate) async fn run(statement: &Statement, context: &ExecContext) -> Result<String, SqlError> {
    match statement {
        Statement::Vacuum(vacuum) => return self::vacuum(vacuum, context, "VACUUM").await,
        Statement::Analyze(vacuum) => return self::vacuum(vacuum, context, "ANALYZE").await,
        _ => context.open.check_writable(verb(statement))?, // all others write
    }
    match statement {
        Statement::CreateTable(create) => create_table::create_table(create, context).await?,
        Statement::CreateIndex(create) => alter::create_index(create, context).await?,
        Statement::AlterTable(alter) => alter::alter_table(alter, context).await?,
        Statement::CreateDatabase(create) => database::create(create, context).await?,
        Statement::CreateSequence(create) => sequence::create(create, context).await?,
        Statement::CreateRole(role) => database::role(role, context).await?,
        Statement::Drop(dropped) => drop::drop(dropped, context).await?,
        Statement::Truncate { tables, restart_identity, cascade: _ } => {
            truncate::truncate(tables, *restart_identity, context).await?;
        }
        other => return Err(SqlError::unsupported(verb(other))),
    }
    Ok(verb(statement).to_owned())
}

/// The statement as its tag and messages name it.
pub(crate) fn verb(statement: &Statement) -> &'static str {
    match statement {
        Statement::CreateTable(_) => "CREATE TABLE",
        Statement::CreateIndex(create) if create.concurrently => "CREATE INDEX CONCURRENTLY",
        Statement::CreateIndex(_) => "CREATE INDEX",
        Statement::AlterTable(_) => "ALTER TABLE",
        Statement::CreateDatabase(_) => "CREATE DATABASE",
        Statement::CreateSequence(_) => "CREATE SEQUENCE",
        Statement::CreateRole(role) if role.alter => "ALTER ROLE",
        Statement::CreateRole(_) => "CREATE ROLE",
        Statement::Drop(dropped) => match dropped.kind {
            ObjectKind::Table => "DROP TABLE",
            ObjectKind::Index => "DROP INDEX",
            ObjectKind::Sequence => "DROP SEQUENCE",
            ObjectKind::Database => "DROP DATABASE",
            ObjectKind::Role => "DROP ROLE",
        },
        Statement::Truncate { .. } => "TRUNCATE TABLE",
        Statement::Vacuum(_) => "VACUUM",
        Statement::Analyze(_) => "ANALYZE",
        _ => "this statement", // only the above come here
    }
}

/// Whether the statement refuses to share a transaction with others.
pub(crate) fn is_outside_only(statement: &Statement) -> bool {
    match statement {
        Statement::CreateDatabase(_) | Statement::Vacuum(_) => true,
        Statement::Drop(dropped) => dropped.kind == ObjectKind::Database,
        Statement::CreateIndex(create) => create.concurrently,
        _ => false, // all others may
    }
}

/// The type that a written name means.
pub(crate) fn data_type(name: &TypeName) -> Result<DataType, SqlError> {
    let spelled = match name.name.schema() {
        Some(schema) => format!("{}.{}", schema.text, name.name.name().text),
        None => name.name.name().text.clone(),
    };
    let ty = DataType::from_sql_name(&spelled, &name.modifiers);
    let ty = ty.map_err(|error| error.at(name.position))?;
    Ok(if name.array { DataType::array_of(ty) } else { ty })
}

/// The value of an expression without columns, as a value of a type.
pub(crate) async fn constant(
    expr: &Expr,
    ty: &DataType,
    context: &Rc<ExecContext>,
) -> Result<Datum, SqlError> {
    let statement = select_of(expr.clone());
    let facts = context.plan_facts().await?;
    let plan = Rc::new(planned::plan(&statement, &[], &facts)?);
    let value = cursor::one_value(&plan, context).await?;
    let from = plan.plan.fields.first().map_or(DataType::Unknown, |field| field.ty.clone());
    planned::assign(&value, &from, ty, context)
}

/// `SELECT expr`
pub(super) fn select_of(expr: Expr) -> Statement {
    let select = Select {
        distinct: Distinct::No,
        items: vec![SelectItem::Expr { expr, alias: None }],
        from: Vec::new(),
        filter: None,
        group_by: Vec::new(),
        having: None,
    };
    Statement::Query(Box::new(Query {
        with: Vec::new(),
        body: SetBody::Select(Box::new(select)),
        order_by: Vec::new(),
        limit: None,
        offset: None,
        locking: Vec::new(),
    }))
}

async fn vacuum(
    vacuum: &Vacuum,
    context: &ExecContext,
    tag: &'static str,
) -> Result<String, SqlError> {
    let catalog = context.open.catalog().await?;
    for name in &vacuum.tables {
        super::names::table(context, &catalog, name)?;
    }
    let message = match tag {
        "ANALYZE" => "ANALYZE gathers nothing yet: plans do not use statistics",
        _ => "VACUUM reclaims nothing yet: old versions of rows are kept",
    };
    context.notice(NoticeSeverity::Notice, SqlError::new(crate::sql::error::SUCCESS, message));
    Ok(tag.to_owned())
}
