//! Operators over batches of rows: the simple ones. Joins, groups and orders have files of their own.

use std::collections::VecDeque;
use std::rc::Rc;

use super::function_scan::FunctionRows;
use super::group::GroupOp;
use super::join::{HashJoinOp, LookupJoinOp, NestedLoopOp};
use super::run::{BATCH_ROWS, Pending, Row, Run, row_bytes};
use super::scan::Scanner;
use super::set::{DistinctOp, SetOperationOp};
use super::sort::{SortOp, TopKOp};
use super::subquery::ApplyOp;
use super::table::TableAccess;
use crate::base::error::{SqlError, sqlstate};
use crate::row::datum::Datum;
use crate::row::eval::{Expr, eval};
use crate::sql::plan::{PhysicalPlan, TableScan};

/// Gives batches of rows. An empty batch is not the end.
pub(crate) trait Operator {
    /// The next batch; `None` at the end, and ever after.
    fn next<'a>(&'a mut self, run: &'a Run) -> Pending<'a, Option<Vec<Row>>>;
}

/// Any operator.
pub(crate) type BoxOperator = Box<dyn Operator>;

/// The operator for a plan.
pub(crate) fn build(plan: &PhysicalPlan) -> BoxOperator {
    match plan {
        PhysicalPlan::Values { rows, .. } => Box::new(ValuesOp { rows: rows.clone().into() }),
        PhysicalPlan::Scan(scan) => Box::new(ScanOp { scan: scan.clone(), scanner: None }),
        PhysicalPlan::ViewScan { schema, name, filter, .. } => Box::new(ViewOp {
            view: (schema.clone(), name.clone()),
            filter: filter.clone(),
            done: false,
        }),
        PhysicalPlan::FunctionScan { kind, args, ordinality } => {
            Box::new(FunctionRows::new(*kind, args.clone(), *ordinality))
        }
        PhysicalPlan::CteScan { number, .. } => Box::new(CteOp { number: *number, at: 0 }),
        PhysicalPlan::Filter { input, predicate } => {
            let (input, predicate) = (build(input), predicate.clone());
            Box::new(FilterOp { volatile: predicate.is_volatile(), input, predicate })
        }
        PhysicalPlan::Project { input, exprs } => {
            let (input, columns) = (build(input), ascending_columns(exprs));
            Box::new(ProjectOp { input, exprs: exprs.clone(), columns })
        }
        PhysicalPlan::Apply { input, subqueries } => {
            Box::new(ApplyOp::new(build(input), subqueries))
        }
        PhysicalPlan::NestedLoop { kind, left, right, on, lateral } => {
            let widths = (left.width(), right.width());
            Box::new(NestedLoopOp::new(*kind, build(left), right, on.clone(), lateral, widths))
        }
        PhysicalPlan::HashJoin { .. } => Box::new(HashJoinOp::new(plan)),
        PhysicalPlan::LookupJoin { kind, left, right, index, keys, residual } => Box::new(
            LookupJoinOp::new(*kind, build(left), right, *index, keys.clone(), residual.clone()),
        ),
        PhysicalPlan::Aggregate { input, keys, aggregates } => {
            Box::new(GroupOp::new(build(input), keys.clone(), aggregates.clone()))
        }
        PhysicalPlan::Sort { input, keys } => Box::new(SortOp::new(build(input), keys.clone())),
        PhysicalPlan::TopK { input, keys, limit, offset } => {
            Box::new(TopKOp::new(build(input), keys.clone(), limit.clone(), offset.clone()))
        }
        PhysicalPlan::Limit { input, limit, offset } => Box::new(LimitOp {
            input: build(input),
            limit: limit.clone(),
            offset: offset.clone(),
            left: None,
        }),
        PhysicalPlan::Distinct { input, on } => Box::new(DistinctOp::new(build(input), on.clone())),
        PhysicalPlan::Append { inputs } => {
            Box::new(AppendOp { inputs: inputs.iter().map(build).collect() })
        }
        PhysicalPlan::SetOperation { intersect, all, left, right } => {
            Box::new(SetOperationOp::new(*intersect, *all, build(left), build(right)))
        }
    }
}

/// All rows of an operator, within the statement's memory.
pub(crate) async fn collect(operator: &mut BoxOperator, run: &Run) -> Result<Vec<Row>, SqlError> {
    let mut all = Vec::new();
    while let Some(rows) = operator.next(run).await? {
        run.context.charge(rows.iter().map(|row| row_bytes(row)).sum())?;
        run.context.tick(rows.len()).await;
        all.extend(rows);
    }
    Ok(all)
}

/// Gives back the memory of rows that [`collect`] gathered.
pub(crate) fn release(rows: &[Row], run: &Run) {
    run.context.release(rows.iter().map(|row| row_bytes(row)).sum());
}

/// A LIMIT or OFFSET; NULL is no bound.
pub(crate) fn count_of(value: &Datum, what: &str) -> Result<Option<usize>, SqlError> {
    match value.as_i64() {
        None => Ok(None),
        Some(count) => match usize::try_from(count) {
            Ok(count) => Ok(Some(count)),
            Err(_) => {
                let state = match what {
                    "LIMIT" => sqlstate::INVALID_ROW_COUNT_IN_LIMIT,
                    _ => sqlstate::INVALID_ROW_COUNT_IN_OFFSET,
                };
                Err(SqlError::new(state, format!("{what} must not be negative")))
            }
        },
    }
}

struct ValuesOp {
    rows: VecDeque<Vec<Expr>>,
}

impl Operator for ValuesOp {
    fn next<'a>(&'a mut self, run: &'a Run) -> Pending<'a, Option<Vec<Row>>> {
        Box::pin(async move {
            if self.rows.is_empty() {
                return Ok(None);
            }
            let count = self.rows.len().min(BATCH_ROWS);
            let mut rows = Vec::with_capacity(count);
            for exprs in self.rows.drain(..count) {
                rows.push(run.values(&exprs, &[]).await?);
            }
            Ok(Some(rows))
        })
    }
}

struct ScanOp {
    scan: Box<TableScan>,
    scanner: Option<Scanner>,
}

impl Operator for ScanOp {
    fn next<'a>(&'a mut self, run: &'a Run) -> Pending<'a, Option<Vec<Row>>> {
        Box::pin(async move {
            let scanner = match &mut self.scanner {
                Some(scanner) => scanner,
                None => {
                    let access = Rc::new(TableAccess::new(Rc::clone(&self.scan.table)));
                    self.scanner.insert(Scanner::new(&self.scan, &access, run).await?)
                }
            };
            scanner.next_values(run).await
        })
    }
}

struct ViewOp {
    view: (String, String),
    filter: Option<Expr>,
    done: bool,
}

impl Operator for ViewOp {
    fn next<'a>(&'a mut self, run: &'a Run) -> Pending<'a, Option<Vec<Row>>> {
        Box::pin(async move {
            if std::mem::replace(&mut self.done, true) {
                return Ok(None);
            }
            let (schema, name) = &self.view;
            let mut rows = crate::sql::pg_catalog::rows(schema, name, &run.context)?;
            if let Some(filter) = &self.filter {
                run.retain(filter, &mut rows)?;
            }
            Ok(Some(rows))
        })
    }
}

struct CteOp {
    number: usize,
    at: usize,
}

impl Operator for CteOp {
    fn next<'a>(&'a mut self, run: &'a Run) -> Pending<'a, Option<Vec<Row>>> {
        Box::pin(async move {
            let known = run.ctes.borrow().get(self.number).cloned().flatten();
            let rows = match known {
                Some(rows) => rows,
                None => {
                    let Some(plan) = run.plan.ctes.get(self.number) else {
                        let message = "a common table expression without a plan";
                        return Err(SqlError::new(sqlstate::INTERNAL_ERROR, message));
                    };
                    let rows = Rc::new(collect(&mut build(plan), run).await?);
                    run.ctes.borrow_mut()[self.number] = Some(Rc::clone(&rows));
                    rows
                }
            };
            let batch = &rows[self.at.min(rows.len())..rows.len().min(self.at + BATCH_ROWS)];
            self.at += batch.len();
            Ok((!batch.is_empty()).then(|| batch.to_vec()))
        })
    }
}

struct FilterOp {
    input: BoxOperator,
    predicate: Expr,
    /// Whether rows are looked at one by one, for each may lack something.
    volatile: bool,
}

impl Operator for FilterOp {
    fn next<'a>(&'a mut self, run: &'a Run) -> Pending<'a, Option<Vec<Row>>> {
        Box::pin(async move {
            let Some(mut rows) = self.input.next(run).await? else {
                return Ok(None);
            };
            run.context.tick(rows.len()).await;
            if !self.volatile {
                run.retain(&self.predicate, &mut rows)?;
                return Ok(Some(rows));
            }
            let mut passed = Vec::new();
            for row in rows {
                if run.passes(Some(&self.predicate), &row).await? {
                    passed.push(row);
                }
            }
            Ok(Some(passed))
        })
    }
}

struct ProjectOp {
    input: BoxOperator,
    exprs: Vec<Expr>,
    /// If they are columns in ascending order, these: a row gives them up where it lies.
    columns: Option<Vec<usize>>,
}

/// The columns that these are, if they are nothing else and ascend.
fn ascending_columns(exprs: &[Expr]) -> Option<Vec<usize>> {
    let column = |expr: &Expr| match expr {
        Expr::Column(column) => Some(*column),
        _ => None, // computed
    };
    let columns = exprs.iter().map(column).collect::<Option<Vec<_>>>()?;
    columns.is_sorted_by(|a, b| a < b).then_some(columns)
}

/// Leaves only these columns, which ascend, in rows that all have them; `false` if one has not.
fn keep_columns(rows: &mut [Row], columns: &[usize]) -> bool {
    let width = columns.last().map_or(0, |last| last + 1);
    if rows.iter().any(|row| row.len() < width) {
        return false;
    }
    for row in rows {
        for (to, from) in columns.iter().enumerate() {
            row.swap(to, *from);
        }
        row.truncate(columns.len());
    }
    true
}

impl Operator for ProjectOp {
    fn next<'a>(&'a mut self, run: &'a Run) -> Pending<'a, Option<Vec<Row>>> {
        Box::pin(async move {
            let Some(mut rows) = self.input.next(run).await? else {
                return Ok(None);
            };
            run.context.tick(rows.len()).await;
            if let Some(columns) = &self.columns
                && keep_columns(&mut rows, columns)
            {
                return Ok(Some(rows));
            }
            let exprs = &self.exprs;
            let project = |context: &crate::row::eval::EvalContext<'_>, row: &Row| {
                exprs.iter().map(|expr| eval(expr, row, context)).collect::<Result<Row, _>>()
            };
            let mut out = Vec::with_capacity(rows.len());
            for row in &rows {
                out.push(run.with_catalog(|context| project(context, row)).await?);
            }
            Ok(Some(out))
        })
    }
}

struct LimitOp {
    input: BoxOperator,
    limit: Option<Expr>,
    offset: Option<Expr>,
    /// Rows to skip and rows to give, once they are known.
    left: Option<(usize, usize)>,
}

impl Operator for LimitOp {
    fn next<'a>(&'a mut self, run: &'a Run) -> Pending<'a, Option<Vec<Row>>> {
        Box::pin(async move {
            let (mut skip, mut give) = match self.left {
                Some(left) => left,
                None => limits(self.limit.as_ref(), self.offset.as_ref(), run).await?,
            };
            self.left = Some((skip, give));
            if give == 0 {
                return Ok(None);
            }
            let Some(mut rows) = self.input.next(run).await? else {
                return Ok(None);
            };
            let skipped = skip.min(rows.len());
            rows.drain(..skipped);
            skip -= skipped;
            rows.truncate(give);
            give -= rows.len();
            self.left = Some((skip, give));
            Ok(Some(rows))
        })
    }
}

/// (offset, limit)
pub(crate) async fn limits(
    limit: Option<&Expr>,
    offset: Option<&Expr>,
    run: &Run,
) -> Result<(usize, usize), SqlError> {
    let give = match limit {
        Some(limit) => count_of(&run.value(limit).await?, "LIMIT")?,
        None => None,
    };
    let skip = match offset {
        Some(offset) => count_of(&run.value(offset).await?, "OFFSET")?,
        None => None,
    };
    Ok((skip.unwrap_or(0), give.unwrap_or(usize::MAX)))
}

struct AppendOp {
    inputs: VecDeque<BoxOperator>,
}

impl Operator for AppendOp {
    fn next<'a>(&'a mut self, run: &'a Run) -> Pending<'a, Option<Vec<Row>>> {
        Box::pin(async move {
            while let Some(input) = self.inputs.front_mut() {
                if let Some(rows) = input.next(run).await? {
                    return Ok(Some(rows));
                }
                self.inputs.pop_front();
            }
            Ok(None)
        })
    }
}
