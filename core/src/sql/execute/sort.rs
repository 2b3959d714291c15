//! ORDER BY, alone and with LIMIT.

use std::cmp::Ordering;

use super::operators::{BoxOperator, Operator, collect, limits};
use super::run::{BATCH_ROWS, Pending, Row, Run, row_bytes};
use crate::base::error::SqlError;
use crate::row::datum::Datum;
use crate::row::eval::Expr;
use crate::sql::plan::SortKey;

/// The order of two rows' keys.
pub(super) fn order(keys: &[SortKey], left: &[Datum], right: &[Datum]) -> Ordering {
    for (key, (left, right)) in keys.iter().zip(left.iter().zip(right)) {
        let order = match (left.is_null(), right.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) if key.nulls_first => Ordering::Less,
            (true, false) => Ordering::Greater,
            (false, true) if key.nulls_first => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) if key.descending => right.compare(left),
            (false, false) => left.compare(right),
        };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// Rows with the values of their keys.
async fn keyed(keys: &[SortKey], rows: Vec<Row>, run: &Run) -> Result<Vec<(Row, Row)>, SqlError> {
    let exprs: Vec<_> = keys.iter().map(|key| key.expr.clone()).collect();
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        out.push((run.values(&exprs, &row).await?, row));
    }
    Ok(out)
}

/// All rows in an order.
pub(super) struct SortOp {
    input: BoxOperator,
    keys: Vec<SortKey>,
    sorted: Option<std::vec::IntoIter<(Row, Row)>>,
}

impl SortOp {
    pub(super) fn new(input: BoxOperator, keys: Vec<SortKey>) -> Self {
        Self { input, keys, sorted: None }
    }
}

impl Operator for SortOp {
    fn next<'a>(&'a mut self, run: &'a Run) -> Pending<'a, Option<Vec<Row>>> {
        Box::pin(async move {
            if self.sorted.is_none() {
                let rows = collect(&mut self.input, run).await?;
                let mut rows = keyed(&self.keys, rows, run).await?;
                rows.sort_by(|(left, _), (right, _)| order(&self.keys, left, right));
                self.sorted = Some(rows.into_iter());
            }
            let Some(sorted) = &mut self.sorted else {
                return Ok(None);
            };
            let batch: Vec<_> = sorted.by_ref().take(BATCH_ROWS).map(|(_, row)| row).collect();
            run.context.release(batch.iter().map(|row| row_bytes(row)).sum());
            Ok((!batch.is_empty()).then_some(batch))
        })
    }
}

/// The first rows of an order: memory for these only.
pub(super) struct TopKOp {
    input: BoxOperator,
    keys: Vec<SortKey>,
    limit: Expr,
    offset: Option<Expr>,
    done: bool,
}

impl TopKOp {
    pub(super) fn new(
        input: BoxOperator,
        keys: Vec<SortKey>,
        limit: Expr,
        offset: Option<Expr>,
    ) -> Self {
        Self { input, keys, limit, offset, done: false }
    }
}

impl Operator for TopKOp {
    fn next<'a>(&'a mut self, run: &'a Run) -> Pending<'a, Option<Vec<Row>>> {
        Box::pin(async move {
            if std::mem::replace(&mut self.done, true) {
                return Ok(None);
            }
            let (skip, give) = limits(Some(&self.limit), self.offset.as_ref(), run).await?;
            let held_max = skip.saturating_add(give);
            let mut held: Vec<(Row, Row)> = Vec::new();
            while let Some(rows) = self.input.next(run).await? {
                run.context.tick(rows.len()).await;
                run.context.charge(rows.iter().map(|row| row_bytes(row)).sum())?;
                held.extend(keyed(&self.keys, rows, run).await?);
                if held_max.saturating_mul(2).saturating_add(BATCH_ROWS) < held.len() {
                    self.cut(&mut held, held_max, run);
                }
            }
            self.cut(&mut held, held_max, run);
            Ok(Some(held.into_iter().skip(skip).map(|(_, row)| row).collect()))
        })
    }
}

impl TopKOp {
    fn cut(&self, held: &mut Vec<(Row, Row)>, held_max: usize, run: &Run) {
        held.sort_by(|(left, _), (right, _)| order(&self.keys, left, right));
        if held_max < held.len() {
            let gone = held.drain(held_max..).map(|(_, row)| row_bytes(&row)).sum();
            run.context.release(gone);
        }
    }
}
