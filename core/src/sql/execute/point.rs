//! The fast path: rows by whole primary keys, without operators.

use smallvec::SmallVec;

use super::planned::Planned;
use super::run::{Row, Run};
use super::scan::Scanner;
use super::table::TableAccess;
use super::write::OldRow;
use crate::base::error::SqlError;
use crate::base::key::Key;
use crate::row::datum::Datum;
use crate::row::eval::{Expr, eval};
use crate::row::types::DataType;
use crate::sql::plan::{Access, PhysicalPlan, Plan, PlanRoot, TableScan};
use crate::sql::ports::{GetRequest, LockMode, Place, Route};

/// A query of one row by its whole primary key that gives columns as they are.
#[derive(Debug)]
pub(crate) struct RowQuery {
    key: Vec<Operand>,
    needed: Vec<bool>,
    /// The result's columns, by their place in the table.
    columns: Vec<usize>,
}

#[derive(Debug)]
enum Operand {
    Param(usize),
    Const(Datum),
}

impl RowQuery {
    /// A plan as such a query, if it is one.
    pub(crate) fn of(plan: &Plan) -> Option<Self> {
        let PlanRoot::Query(root) = &plan.root else { return None };
        let (scan, exprs) = match root {
            PhysicalPlan::Project { input, exprs } => match &**input {
                PhysicalPlan::Scan(scan) => (scan, Some(exprs)),
                _ => return None, // of something else
            },
            PhysicalPlan::Scan(scan) => (scan, None),
            _ => return None, // something else
        };
        let bare = scan.filter.is_none() && scan.lock.is_none() && scan.limit.is_none();
        if !bare || !plan.ctes.is_empty() || !plan.fields.iter().all(|field| is_plain(&field.ty)) {
            return None;
        }
        let operand = |expr: &Expr| match expr {
            Expr::Param(number) => Some(Operand::Param(*number)),
            Expr::Const(value, _) => Some(Operand::Const(value.clone())),
            _ => None, // has to be evaluated
        };
        let column = |expr: &Expr| match expr {
            Expr::Column(at) => Some(*at),
            _ => None, // has to be evaluated
        };
        let columns = match exprs {
            Some(exprs) => exprs.iter().map(column).collect::<Option<_>>()?,
            None => (0..scan.table.columns.len()).collect(),
        };
        let key = key_of(scan)?.iter().map(operand).collect::<Option<_>>()?;
        Some(Self { key, needed: scan.needed.clone(), columns })
    }

    /// Where its row lies; `None` if a value is null or missing.
    pub(crate) fn place(
        &self,
        access: &TableAccess,
        parameters: &[Datum],
    ) -> Option<(Place, Route, Key)> {
        let value = |operand: &Operand| match operand {
            Operand::Param(number) => parameters.get(*number).cloned(),
            Operand::Const(value) => Some(value.clone()),
        };
        let values: SmallVec<[Datum; 2]> = self.key.iter().map(value).collect::<Option<_>>()?;
        if values.iter().any(Datum::is_null) {
            return None;
        }
        let (key, route) = access.point(&values);
        Some((access.rows(), route, key))
    }

    /// A row's values, and which of them are the result.
    pub(crate) fn values(
        &self,
        access: &TableAccess,
        row: &[u8],
    ) -> Result<(Vec<Datum>, &[usize]), SqlError> {
        Ok((access.decode_needed(row, &self.needed)?, &self.columns))
    }
}

/// Whether a type's text needs neither names of the catalog nor anything else of a statement.
fn is_plain(ty: &DataType) -> bool {
    matches!(
        ty,
        DataType::Bool
            | DataType::Int2
            | DataType::Int4
            | DataType::Int8
            | DataType::Float4
            | DataType::Float8
            | DataType::Numeric { .. }
            | DataType::Text
            | DataType::Varchar(_)
            | DataType::Char(_)
            | DataType::Bytea
            | DataType::Date
            | DataType::Time
            | DataType::Timestamp
            | DataType::Timestamptz
            | DataType::Interval
            | DataType::Uuid
            | DataType::Json
            | DataType::Jsonb
    )
}

/// The rows of a plan that reads one key and perhaps projects; `None` for every other plan.
pub(super) async fn rows(
    plan: &PhysicalPlan,
    planned: &Planned,
    run: &Run,
) -> Result<Option<Vec<Row>>, SqlError> {
    let (scan, exprs) = match plan {
        PhysicalPlan::Project { input, exprs } => match &**input {
            PhysicalPlan::Scan(scan) => (scan, Some(exprs.as_slice())),
            _ => return Ok(None), // not a point
        },
        PhysicalPlan::Scan(scan) => (scan, None),
        _ => return Ok(None), // not a point
    };
    let Some(key) = key_of(scan) else {
        return Ok(None);
    };
    let Some(access) = planned.access.as_ref().filter(|_| scan.lock.is_none()) else {
        return Ok(None);
    };
    let values = run.values(key, &[]).await?;
    let found = fetch(scan, access, run, &values, LockMode::None, false).await?;
    let mut out = Vec::with_capacity(1);
    for row in found {
        out.push(match exprs {
            None => row.values,
            Some(exprs) => project(exprs, &row.values, run).await?,
        });
    }
    Ok(Some(out))
}

async fn project(exprs: &[Expr], row: &[Datum], run: &Run) -> Result<Row, SqlError> {
    run.with_catalog(|context| exprs.iter().map(|expr| eval(expr, row, context)).collect()).await
}

/// The one whole primary key that a scan asks for.
fn key_of(scan: &TableScan) -> Option<&[Expr]> {
    match &scan.access {
        Access::Points { index, keys } if scan.table.indexes[*index].primary => {
            match keys.as_slice() {
                [one] => Some(one),
                _ => None, // several
            }
        }
        _ => None, // other ways
    }
}

/// Rows to be changed: locked, whole.
pub(super) async fn locked(
    scan: &TableScan,
    access: &std::rc::Rc<TableAccess>,
    run: &Run,
) -> Result<Vec<OldRow>, SqlError> {
    if let Some(key) = key_of(scan)
        && scan.limit.is_none()
    {
        let values = run.values(key, &[]).await?;
        return fetch(scan, access, run, &values, LockMode::Exclusive, true).await;
    }
    let mut scanner = Scanner::new(scan, access, run).await?.whole_rows().locking();
    let mut all = Vec::new();
    while let Some(rows) = scanner.next(run).await? {
        let bytes = rows.iter().map(|row| super::run::row_bytes(&row.values) + 64).sum();
        run.context.charge(bytes)?;
        all.extend(rows);
    }
    Ok(all)
}

async fn fetch(
    scan: &TableScan,
    access: &TableAccess,
    run: &Run,
    values: &[Datum],
    lock: LockMode,
    whole: bool,
) -> Result<Vec<OldRow>, SqlError> {
    if values.iter().any(Datum::is_null) {
        return Ok(Vec::new());
    }
    let (key, route) = access.point(values);
    let wait = run.context.facts.wait;
    let (txn, place) = (&run.context.open.txn, access.rows());
    let found = match txn.get_now(place, route, &key, lock) {
        Some(found) => found?,
        None => {
            let request = GetRequest { place, route, keys: vec![key], lock, wait };
            txn.get(request).await?.into_iter().next().flatten()
        }
    };
    let Some(found) = found else {
        return Ok(Vec::new());
    };
    let values = if whole || scan.needed.iter().all(|needed| *needed) {
        access.decode(&found.row)?
    } else {
        access.decode_needed(&found.row, &scan.needed)?
    };
    if !run.passes(scan.filter.as_ref(), &values).await? {
        return Ok(Vec::new());
    }
    Ok(vec![OldRow { key: found.key, version: found.version, values }])
}
