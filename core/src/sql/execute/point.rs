//! The fast path: rows by whole primary keys, without operators.

use super::planned::Planned;
use super::run::{Row, Run};
use super::scan::Scanner;
use super::table::TableAccess;
use super::write::OldRow;
use crate::base::error::SqlError;
use crate::row::datum::Datum;
use crate::row::eval::{Expr, eval};
use crate::sql::plan::{Access, PhysicalPlan, TableScan};
use crate::sql::ports::{GetRequest, LockMode};

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
    let request = GetRequest { place: access.rows(), route, keys: vec![key], lock, wait };
    let found = run.context.open.txn.get(request).await?;
    let Some(found) = found.into_iter().next().flatten() else {
        return Ok(Vec::new());
    };
    let values = if whole || scan.needed.iter().all(|needed| *needed) {
        access.decode(&found.row)?
    } else {
        access.decode_needed(&found.row, &scan.needed)?
    };
    if !run.passes(scan.filter.as_ref(), &values)? {
        return Ok(Vec::new());
    }
    Ok(vec![OldRow { key: found.key, version: found.version, values }])
}
