//! DISTINCT, INTERSECT, EXCEPT.

use super::operators::{BoxOperator, Operator, collect};
use super::run::{Pending, Row, Run, row_bytes};
use crate::base::map::{FixedMap, FixedSet};
use crate::row::eval::Expr;

/// Each row once, in the order of first sight; with keys, the first row of each.
pub(super) struct DistinctOp {
    input: BoxOperator,
    on: Option<Vec<Expr>>,
    seen: FixedSet<Row>,
}

impl DistinctOp {
    pub(super) fn new(input: BoxOperator, on: Option<Vec<Expr>>) -> Self {
        Self { input, on, seen: FixedSet::default() }
    }
}

impl Operator for DistinctOp {
    fn next<'a>(&'a mut self, run: &'a Run) -> Pending<'a, Option<Vec<Row>>> {
        Box::pin(async move {
            let Some(rows) = self.input.next(run).await? else {
                return Ok(None);
            };
            run.context.tick(rows.len()).await;
            let mut out = Vec::new();
            for row in rows {
                let key = match &self.on {
                    None => row.clone(),
                    Some(on) => run.values(on, &row).await?,
                };
                let bytes = row_bytes(&key);
                if self.seen.insert(key) {
                    run.context.charge(bytes)?;
                    out.push(row);
                }
            }
            Ok(Some(out))
        })
    }
}

/// INTERSECT or EXCEPT [ALL].
pub(super) struct SetOperationOp {
    intersect: bool,
    all: bool,
    left: BoxOperator,
    right: Option<BoxOperator>,
    /// How often each row stands on the right.
    counts: FixedMap<Row, usize>,
    given: FixedSet<Row>,
}

impl SetOperationOp {
    pub(super) fn new(intersect: bool, all: bool, left: BoxOperator, right: BoxOperator) -> Self {
        let (counts, given) = (FixedMap::default(), FixedSet::default());
        Self { intersect, all, left, right: Some(right), counts, given }
    }

    fn keeps(&mut self, row: &Row) -> bool {
        if !self.all {
            let wanted = self.counts.contains_key(row) == self.intersect;
            return wanted && self.given.insert(row.clone());
        }
        match self.counts.get_mut(row) {
            Some(count) if 0 < *count => {
                *count -= 1;
                self.intersect
            }
            _ => !self.intersect, // no partner is left on the right
        }
    }
}

impl Operator for SetOperationOp {
    fn next<'a>(&'a mut self, run: &'a Run) -> Pending<'a, Option<Vec<Row>>> {
        Box::pin(async move {
            if let Some(mut right) = self.right.take() {
                for row in collect(&mut right, run).await? {
                    *self.counts.entry(row).or_default() += 1;
                }
            }
            let Some(rows) = self.left.next(run).await? else {
                return Ok(None);
            };
            run.context.tick(rows.len()).await;
            Ok(Some(rows.into_iter().filter(|row| self.keeps(row)).collect()))
        })
    }
}
