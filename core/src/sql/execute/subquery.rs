//! Subqueries in expressions: their values become further columns of a row.
//!
//! A subquery that reads nothing of the row runs once; the others run for every row.

use super::operators::{BoxOperator, Operator, build, collect, release};
use super::run::{Pending, Row, Run};
use crate::base::error::{SqlError, sqlstate};
use crate::row::datum::Datum;
use crate::row::eval::CompareOp;
use crate::sql::plan::{PhysicalPlan, Subquery, SubqueryKind};

/// Adds a column for each subquery.
pub(super) struct ApplyOp {
    input: BoxOperator,
    subqueries: Subqueries,
}

impl ApplyOp {
    pub(super) fn new(input: BoxOperator, subqueries: &[Subquery<PhysicalPlan>]) -> Self {
        Self { input, subqueries: Subqueries::new(subqueries) }
    }
}

impl Operator for ApplyOp {
    fn next<'a>(&'a mut self, run: &'a Run) -> Pending<'a, Option<Vec<Row>>> {
        Box::pin(async move {
            let Some(mut rows) = self.input.next(run).await? else {
                return Ok(None);
            };
            for row in &mut rows {
                self.subqueries.append(row, run).await?;
            }
            Ok(Some(rows))
        })
    }
}

/// Subqueries with the rows of those that run once.
pub(super) struct Subqueries {
    all: Vec<Subquery<PhysicalPlan>>,
    once: Vec<Option<Vec<Row>>>,
}

impl Subqueries {
    pub(super) fn new(subqueries: &[Subquery<PhysicalPlan>]) -> Self {
        Self { all: subqueries.to_vec(), once: vec![None; subqueries.len()] }
    }

    /// Appends the subqueries' values to a row. One may read those before it.
    pub(super) async fn append(&mut self, row: &mut Row, run: &Run) -> Result<(), SqlError> {
        for at in 0..self.all.len() {
            let subquery = &self.all[at];
            let left = match &subquery.kind {
                SubqueryKind::Compare { left, .. } => {
                    let values = run.values(std::slice::from_ref(left), row).await?;
                    values.into_iter().next().unwrap_or(Datum::Null)
                }
                _ => Datum::Null, // only a comparison has a left side
            };
            let value = if subquery.outer.is_empty() {
                if self.once[at].is_none() {
                    self.once[at] = Some(rows_of(subquery, run).await?);
                }
                value(&subquery.kind, &left, self.once[at].as_deref().unwrap_or_default())?
            } else {
                for (slot, expr) in &subquery.outer {
                    let values = run.values(std::slice::from_ref(expr), row).await?;
                    run.set_param(*slot, values.into_iter().next().unwrap_or(Datum::Null));
                }
                let rows = rows_of(subquery, run).await?;
                let value = value(&subquery.kind, &left, &rows)?;
                release(&rows, run);
                value
            };
            row.push(value);
        }
        Ok(())
    }
}

/// The rows that a subquery's value depends on.
async fn rows_of(subquery: &Subquery<PhysicalPlan>, run: &Run) -> Result<Vec<Row>, SqlError> {
    let mut operator = build(&subquery.plan);
    let enough = match &subquery.kind {
        SubqueryKind::Exists => 1,
        SubqueryKind::Scalar => 2,
        SubqueryKind::Compare { .. } | SubqueryKind::Array(_) => {
            return collect(&mut operator, run).await;
        }
    };
    let mut rows = Vec::new();
    while rows.len() < enough
        && let Some(batch) = operator.next(run).await?
    {
        rows.extend(batch);
    }
    rows.truncate(enough);
    run.context.charge(rows.iter().map(|row| super::run::row_bytes(row)).sum())?;
    Ok(rows)
}

fn value(kind: &SubqueryKind, left: &Datum, rows: &[Row]) -> Result<Datum, SqlError> {
    let first = |row: &Row| row.first().cloned().unwrap_or(Datum::Null);
    match kind {
        SubqueryKind::Exists => Ok(Datum::Bool(!rows.is_empty())),
        SubqueryKind::Scalar => match rows {
            [] => Ok(Datum::Null),
            [row] => Ok(first(row)),
            _ => {
                let message = "more than one row returned by a subquery used as an expression";
                Err(SqlError::new(sqlstate::CARDINALITY_VIOLATION, message))
            }
        },
        SubqueryKind::Array(element) => {
            Ok(Datum::array(element.clone(), rows.iter().map(first).collect()))
        }
        SubqueryKind::Compare { op, all, .. } => Ok(compared(*op, *all, left, rows)),
    }
}

/// `left op ANY (rows)` or ALL, with SQL's third truth value.
fn compared(op: CompareOp, all: bool, left: &Datum, rows: &[Row]) -> Datum {
    let mut unknown = false;
    for row in rows {
        let right = row.first().unwrap_or(&Datum::Null);
        if left.is_null() || right.is_null() {
            unknown = true;
        } else if op.holds(left.compare(right)) != all {
            return Datum::Bool(!all);
        }
    }
    if unknown { Datum::Null } else { Datum::Bool(all) }
}
