//! From a statement to something that runs: the door to binder and optimiser.

use std::cell::OnceCell;
use std::rc::Rc;

use super::context::ExecContext;
use super::point::RowQuery;
use super::run::Run;
use super::table::TableAccess;
use crate::base::error::SqlError;
use crate::row::datum::Datum;
use crate::row::eval::{Expr, cast, eval};
use crate::row::types::DataType;
use crate::sql::bind::{self, Names, ViewColumn};
use crate::sql::catalog::descriptor::{ColumnDescriptor, DatabaseDescriptor, TableDescriptor};
use crate::sql::catalog::snapshot::{Catalog, PG_CATALOG, Relation};
use crate::sql::optimize;
use crate::sql::parse::ast::Statement;
use crate::sql::pg_catalog;
use crate::sql::plan::{Field, PhysicalPlan, Plan, PlanRoot};
use crate::sql::protocol::FieldDescription;

/// A column that is computed.
pub(crate) fn plain(name: &str, ty: DataType) -> Field {
    Field { name: name.to_owned(), ty, table_oid: 0, column: 0 }
}

/// What a statement is planned against.
#[derive(Clone, Debug)]
pub(crate) struct PlanFacts {
    pub(crate) catalog: Rc<Catalog>,
    pub(crate) database: Rc<DatabaseDescriptor>,
    pub(crate) search_path: Rc<[String]>,
}

impl PlanFacts {
    fn view(schema: &str, name: &str) -> Option<bind::Relation> {
        let view = pg_catalog::view(schema, name)?;
        let column =
            |(name, ty): &(&str, DataType)| ViewColumn { name: (*name).to_owned(), ty: ty.clone() };
        Some(bind::Relation::View {
            schema: view.schema.to_owned(),
            name: view.name.to_owned(),
            oid: view.oid,
            columns: view.columns.iter().map(column).collect(),
        })
    }
}

impl Names for PlanFacts {
    fn relation(&self, schema: Option<&str>, name: &str) -> Option<bind::Relation> {
        // pg_catalog is searched before everything, unless it is named.
        if let Some(view) = Self::view(schema.unwrap_or(PG_CATALOG), name) {
            return Some(view);
        }
        let path = &self.search_path;
        let found = self.catalog.relation(self.database.oid, path, schema, name);
        match found {
            Some(Relation::Table(table)) => Some(bind::Relation::Table(Rc::clone(table))),
            Some(Relation::Index(..)) => Some(bind::Relation::Other("an index")),
            Some(Relation::Sequence(_)) => Some(bind::Relation::Other("a sequence")),
            None if schema.is_none() => path.iter().find_map(|schema| Self::view(schema, name)),
            None => None,
        }
    }

    fn has_schema(&self, schema: &str) -> bool {
        self.catalog.has_schema(schema)
    }

    fn database(&self) -> &str {
        &self.database.name
    }
}

/// A planned statement.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) plan: Rc<Plan>,
    /// Columns of its result; `None` if it has no result.
    pub(crate) fields: Option<Rc<[Field]>>,
    /// The columns as a client is told of them, all text, once somebody asked.
    pub(crate) described: OnceCell<Rc<[FieldDescription]>>,
    /// Types of its parameters.
    pub(crate) parameters: Vec<DataType>,
    /// The catalog that it was planned against.
    pub(crate) catalog_version: u64,
    /// The search path that its names were resolved in.
    pub(crate) search_path: Rc<[String]>,
    /// The one table that it writes, or reads by its key.
    pub(crate) access: Option<Rc<TableAccess>>,
    /// What it is beside, if it only reads a row by its key.
    pub(crate) row_query: Option<RowQuery>,
}

/// Whether a statement goes through the planner.
pub(crate) fn is_planned(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Query(_) | Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_)
    )
}

/// Whether two results have the same columns as far as a client can tell.
pub(crate) fn same_types(left: &[Field], right: &[Field]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left.ty == right.ty)
}

/// Plans a statement.
///
/// # Errors
///
/// The user's: unknown names, types that do not fit, what is not supported.
pub(crate) fn plan(
    statement: &Statement,
    hints: &[Option<DataType>],
    facts: &PlanFacts,
) -> Result<Planned, SqlError> {
    let bound = bind::bind(statement, hints, facts)?;
    let plan = optimize::optimize(bound);
    let has_result = match &plan.root {
        PlanRoot::Query(_) => true,
        PlanRoot::Insert(insert) => insert.returning.is_some(),
        PlanRoot::Update(update) => update.returning.is_some(),
        PlanRoot::Delete(delete) => delete.returning.is_some(),
    };
    let access = table_of(&plan.root).map(|table| Rc::new(TableAccess::new(Rc::clone(table))));
    Ok(Planned {
        fields: has_result.then(|| plan.fields.clone().into()),
        described: OnceCell::new(),
        parameters: plan.parameters.clone(),
        catalog_version: facts.catalog.version(),
        search_path: Rc::clone(&facts.search_path),
        row_query: access.as_ref().and_then(|_| RowQuery::of(&plan)),
        access,
        plan: Rc::new(plan),
    })
}

fn table_of(root: &PlanRoot) -> Option<&Rc<TableDescriptor>> {
    match root {
        PlanRoot::Insert(insert) => Some(&insert.table),
        PlanRoot::Update(update) => Some(&update.source.scan.table),
        PlanRoot::Delete(delete) => Some(&delete.source.scan.table),
        PlanRoot::Query(PhysicalPlan::Scan(scan)) => Some(&scan.table),
        PlanRoot::Query(PhysicalPlan::Project { input, .. }) => match &**input {
            PhysicalPlan::Scan(scan) => Some(&scan.table),
            _ => None, // of several
        },
        PlanRoot::Query(_) => None,
    }
}

/// Whether a column's default means something, of a type that the column takes.
pub(crate) fn check_default(
    text: &str,
    column: &ColumnDescriptor,
    facts: &PlanFacts,
) -> Result<(), SqlError> {
    bind::bind_default(text, &column.ty, &column.name, facts).map(|_| ())
}

/// Turns a value of a type into one of a column's type.
pub(crate) fn assign(
    value: &Datum,
    from: &DataType,
    to: &DataType,
    context: &Rc<ExecContext>,
) -> Result<Datum, SqlError> {
    Run::bare(context).with(|context| cast(value, from, to, false, context))
}

/// Defaults of columns that a COPY does not name.
#[derive(Debug)]
pub(crate) struct DefaultValues {
    columns: Vec<(usize, Expr)>,
    run: Run,
}

impl DefaultValues {
    /// Fills the columns of a row.
    pub(crate) async fn fill(&self, row: &mut [Datum]) -> Result<(), SqlError> {
        for (ordinal, expr) in &self.columns {
            row[*ordinal] = self.run.with_catalog(|context| eval(expr, &[], context)).await?;
        }
        Ok(())
    }
}

/// The defaults of some columns (ordinals).
pub(crate) fn default_values(
    table: &TableDescriptor,
    ordinals: impl Iterator<Item = usize>,
    facts: &PlanFacts,
    context: &Rc<ExecContext>,
) -> Result<DefaultValues, SqlError> {
    let mut columns = Vec::new();
    for ordinal in ordinals {
        let column = &table.columns[ordinal];
        if let Some(text) = &column.default {
            columns.push((ordinal, bind::bind_default(text, &column.ty, &column.name, facts)?));
        }
    }
    Ok(DefaultValues { columns, run: Run::bare(context) })
}
