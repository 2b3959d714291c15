//! GROUP BY and aggregates.
//!
//! Groups come out in the order in which they were first seen.

use super::operators::{BoxOperator, Operator};
use super::run::{BATCH_ROWS, Pending, Row, Run, row_bytes};
use super::sort::order;
use crate::base::error::SqlError;
use crate::base::map::{FixedMap, FixedSet};
use crate::row::aggregate::{Accumulator, AggregateCall};
use crate::row::eval::Expr;
use crate::sql::plan::Aggregate;

/// Bytes that a group takes beside its key, roughly.
const GROUP_BYTES: usize = 128;

/// One row a group: the keys, then the aggregates.
pub(super) struct GroupOp {
    input: BoxOperator,
    keys: Vec<Expr>,
    aggregates: Vec<Aggregate>,
    results: Option<std::vec::IntoIter<Row>>,
}

/// One aggregate of one group.
#[derive(Clone)]
struct Sum {
    accumulator: Accumulator,
    /// Arguments seen, for DISTINCT.
    seen: FixedSet<Row>,
    /// Sort keys and arguments, for ORDER BY: added up at the end.
    held: Vec<(Row, Row)>,
}

struct Group {
    key: Row,
    sums: Vec<Sum>,
}

impl GroupOp {
    pub(super) fn new(input: BoxOperator, keys: Vec<Expr>, aggregates: Vec<Aggregate>) -> Self {
        Self { input, keys, aggregates, results: None }
    }

    fn fresh(&self) -> Vec<Sum> {
        let sum = |aggregate: &Aggregate| Sum {
            accumulator: Accumulator::new(&call_of(aggregate)),
            seen: FixedSet::default(),
            held: Vec::new(),
        };
        self.aggregates.iter().map(sum).collect()
    }

    async fn run(&mut self, run: &Run) -> Result<Vec<Row>, SqlError> {
        let fresh = self.fresh();
        let mut groups: Vec<Group> = Vec::new();
        let mut by_key: FixedMap<Row, usize> = FixedMap::default();
        if self.keys.is_empty() {
            groups.push(Group { key: Vec::new(), sums: fresh.clone() });
        }
        while let Some(rows) = self.input.next(run).await? {
            run.context.tick(rows.len()).await;
            for row in &rows {
                let at = if self.keys.is_empty() {
                    0
                } else {
                    let key = run.values(&self.keys, row).await?;
                    match by_key.get(&key) {
                        Some(at) => *at,
                        None => {
                            run.context.charge(2 * row_bytes(&key) + GROUP_BYTES)?;
                            by_key.insert(key.clone(), groups.len());
                            groups.push(Group { key, sums: fresh.clone() });
                            groups.len() - 1
                        }
                    }
                };
                self.add(&mut groups[at], row, run).await?;
            }
        }
        groups.into_iter().map(|group| self.finish(group)).collect()
    }

    async fn add(&self, group: &mut Group, row: &Row, run: &Run) -> Result<(), SqlError> {
        for (aggregate, sum) in self.aggregates.iter().zip(&mut group.sums) {
            if aggregate.filter.is_some() && !run.passes(aggregate.filter.as_ref(), row).await? {
                continue;
            }
            let args = run.values(&aggregate.args, row).await?;
            if aggregate.distinct {
                let bytes = row_bytes(&args);
                if !sum.seen.insert(args.clone()) {
                    continue;
                }
                run.context.charge(bytes)?;
            }
            if aggregate.order_by.is_empty() {
                sum.accumulator.update(&args)?;
                continue;
            }
            let exprs: Vec<_> = aggregate.order_by.iter().map(|key| key.expr.clone()).collect();
            let keys = run.values(&exprs, row).await?;
            run.context.charge(row_bytes(&keys) + row_bytes(&args))?;
            sum.held.push((keys, args));
        }
        Ok(())
    }

    fn finish(&self, group: Group) -> Result<Row, SqlError> {
        let mut row = group.key;
        for (aggregate, mut sum) in self.aggregates.iter().zip(group.sums) {
            sum.held.sort_by(|(left, _), (right, _)| order(&aggregate.order_by, left, right));
            for (_, args) in &sum.held {
                sum.accumulator.update(args)?;
            }
            row.push(sum.accumulator.finish()?);
        }
        Ok(row)
    }
}

fn call_of(aggregate: &Aggregate) -> AggregateCall {
    AggregateCall {
        kind: aggregate.kind,
        args: aggregate.arg_types.clone(),
        returns: aggregate.ty.clone(),
    }
}

impl Operator for GroupOp {
    fn next<'a>(&'a mut self, run: &'a Run) -> Pending<'a, Option<Vec<Row>>> {
        Box::pin(async move {
            if self.results.is_none() {
                self.results = Some(self.run(run).await?.into_iter());
            }
            let rows: Vec<_> =
                self.results.iter_mut().flat_map(|r| r.by_ref().take(BATCH_ROWS)).collect();
            Ok((!rows.is_empty()).then_some(rows))
        })
    }
}
