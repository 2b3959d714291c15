//! Joins: nested loops, hashes, and look-ups in an index.

use std::rc::Rc;

use super::operators::{BoxOperator, Operator, build, collect, release};
use super::run::{BATCH_ROWS, Pending, Row, Run};
use super::scan::Scanner;
use super::table::TableAccess;
use crate::base::error::SqlError;
use crate::base::map::FixedMap;
use crate::row::datum::Datum;
use crate::row::eval::Expr;
use crate::sql::plan::{JoinType, PhysicalPlan, TableScan};

/// What a join does with a left row's matches.
#[derive(Clone, Copy, Debug)]
struct Shape {
    kind: JoinType,
    left_width: usize,
    right_width: usize,
}

impl Shape {
    fn keeps_left(self) -> bool {
        matches!(self.kind, JoinType::Left | JoinType::Full)
    }

    fn keeps_right(self) -> bool {
        matches!(self.kind, JoinType::Right | JoinType::Full)
    }

    /// Joins one left row with candidates; `seen` learns which had a partner.
    async fn join<'a>(
        self,
        run: &Run,
        left: &Row,
        candidates: impl Iterator<Item = (usize, &'a Row)>,
        on: Option<&Expr>,
        out: &mut Vec<Row>,
        mut seen: Option<&mut Vec<bool>>,
    ) -> Result<(), SqlError> {
        let mut matched = false;
        for (at, right) in candidates {
            let pair: Row = left.iter().chain(right).cloned().collect();
            if !run.passes(on, &pair).await? {
                continue;
            }
            matched = true;
            if let Some(seen) = &mut seen
                && let Some(seen) = seen.get_mut(at)
            {
                *seen = true;
            }
            match self.kind {
                JoinType::Semi | JoinType::Anti => break,
                JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                    out.push(pair);
                }
            }
        }
        match self.kind {
            JoinType::Semi if matched => out.push(left.clone()),
            JoinType::Anti if !matched => out.push(left.clone()),
            _ if self.keeps_left() && !matched => {
                let nulls = std::iter::repeat_n(Datum::Null, self.right_width);
                out.push(left.iter().cloned().chain(nulls).collect());
            }
            _ => {} // nothing is kept without a partner
        }
        Ok(())
    }

    /// Right rows without a partner.
    fn lonely(self, rows: &[Row], seen: &[bool]) -> Vec<Row> {
        let lonely = rows.iter().zip(seen).filter(|(_, seen)| !**seen);
        let padded = lonely.map(|(right, _)| {
            let nulls = std::iter::repeat_n(Datum::Null, self.left_width);
            nulls.chain(right.iter().cloned()).collect()
        });
        padded.collect()
    }
}

/// Every pair is looked at.
pub(super) struct NestedLoopOp {
    shape: Shape,
    left: BoxOperator,
    right: PhysicalPlan,
    on: Option<Expr>,
    lateral: Vec<(usize, Expr)>,
    /// The right side's rows, unless it depends on the left.
    held: Option<(Vec<Row>, Vec<bool>)>,
    done: bool,
}

impl NestedLoopOp {
    pub(super) fn new(
        kind: JoinType,
        left: BoxOperator,
        right: &PhysicalPlan,
        on: Option<Expr>,
        lateral: &[(usize, Expr)],
        (left_width, right_width): (usize, usize),
    ) -> Self {
        let shape = Shape { kind, left_width, right_width };
        let (right, lateral) = (right.clone(), lateral.to_vec());
        Self { shape, left, right, on, lateral, held: None, done: false }
    }

    async fn with_lateral(
        &mut self,
        run: &Run,
        left: Row,
        out: &mut Vec<Row>,
    ) -> Result<(), SqlError> {
        for (slot, expr) in &self.lateral {
            let value = run.values(std::slice::from_ref(expr), &left).await?;
            run.set_param(*slot, value.into_iter().next().unwrap_or(Datum::Null));
        }
        let rows = collect(&mut build(&self.right), run).await?;
        let on = self.on.as_ref();
        self.shape.join(run, &left, rows.iter().enumerate(), on, out, None).await?;
        release(&rows, run);
        Ok(())
    }
}

impl Operator for NestedLoopOp {
    fn next<'a>(&'a mut self, run: &'a Run) -> Pending<'a, Option<Vec<Row>>> {
        Box::pin(async move {
            if self.done {
                return Ok(None);
            }
            if self.held.is_none() && self.lateral.is_empty() {
                let rows = collect(&mut build(&self.right), run).await?;
                let seen = vec![false; rows.len()];
                self.held = Some((rows, seen));
            }
            let Some(lefts) = self.left.next(run).await? else {
                self.done = true;
                let lonely = match &self.held {
                    Some((rows, seen)) if self.shape.keeps_right() => self.shape.lonely(rows, seen),
                    _ => Vec::new(), // they are not part of the result
                };
                return Ok(Some(lonely));
            };
            let mut out = Vec::new();
            for left in lefts {
                if self.held.is_none() {
                    self.with_lateral(run, left, &mut out).await?;
                    continue;
                }
                if let Some((rows, seen)) = &mut self.held {
                    run.context.tick(rows.len()).await;
                    let candidates = rows.iter().enumerate();
                    let on = self.on.as_ref();
                    self.shape.join(run, &left, candidates, on, &mut out, Some(seen)).await?;
                }
            }
            Ok(Some(out))
        })
    }
}

/// The right side is hashed by its keys; NULL equals nothing.
pub(super) struct HashJoinOp {
    shape: Shape,
    left: BoxOperator,
    right: Option<BoxOperator>,
    left_keys: Vec<Expr>,
    right_keys: Vec<Expr>,
    residual: Option<Expr>,
    rows: Vec<Row>,
    seen: Vec<bool>,
    by_key: FixedMap<Row, Vec<usize>>,
    done: bool,
}

impl HashJoinOp {
    /// From a plan that is a hash join.
    pub(super) fn new(plan: &PhysicalPlan) -> Self {
        let PhysicalPlan::HashJoin { kind, left, right, left_keys, right_keys, residual } = plan
        else {
            unreachable!("only a hash join is built as one");
        };
        let shape = Shape { kind: *kind, left_width: left.width(), right_width: right.width() };
        Self {
            shape,
            left: build(left),
            right: Some(build(right)),
            left_keys: left_keys.clone(),
            right_keys: right_keys.clone(),
            residual: residual.clone(),
            rows: Vec::new(),
            seen: Vec::new(),
            by_key: FixedMap::default(),
            done: false,
        }
    }

    async fn hash(&mut self, run: &Run) -> Result<(), SqlError> {
        let Some(mut right) = self.right.take() else {
            return Ok(());
        };
        self.rows = collect(&mut right, run).await?;
        self.seen = vec![false; self.rows.len()];
        for (at, row) in self.rows.iter().enumerate() {
            let key = run.values(&self.right_keys, row).await?;
            if !key.iter().any(Datum::is_null) {
                self.by_key.entry(key).or_default().push(at);
            }
        }
        Ok(())
    }
}

impl Operator for HashJoinOp {
    fn next<'a>(&'a mut self, run: &'a Run) -> Pending<'a, Option<Vec<Row>>> {
        Box::pin(async move {
            if self.done {
                return Ok(None);
            }
            self.hash(run).await?;
            let Some(lefts) = self.left.next(run).await? else {
                self.done = true;
                let keeps = self.shape.keeps_right();
                return Ok(Some(match keeps {
                    true => self.shape.lonely(&self.rows, &self.seen),
                    false => Vec::new(),
                }));
            };
            let mut out = Vec::with_capacity(lefts.len());
            for left in lefts {
                let key = run.values(&self.left_keys, &left).await?;
                let matches = match key.iter().any(Datum::is_null) {
                    true => None,
                    false => self.by_key.get(&key),
                };
                let matches = matches.map_or(&[] as &[usize], Vec::as_slice);
                run.context.tick(matches.len() + 1).await;
                let rows = &self.rows;
                let candidates = matches.iter().map(|at| (*at, &rows[*at]));
                let residual = self.residual.as_ref();
                let seen = Some(&mut self.seen);
                self.shape.join(run, &left, candidates, residual, &mut out, seen).await?;
            }
            Ok(Some(out))
        })
    }
}

/// For each left row the rows of a table with its key.
pub(super) struct LookupJoinOp {
    shape: Shape,
    left: BoxOperator,
    scan: TableScan,
    access: Rc<TableAccess>,
    index: usize,
    keys: Vec<Expr>,
    residual: Option<Expr>,
    waiting: Vec<Row>,
}

impl LookupJoinOp {
    pub(super) fn new(
        kind: JoinType,
        left: BoxOperator,
        right: &TableScan,
        index: usize,
        keys: Vec<Expr>,
        residual: Option<Expr>,
    ) -> Self {
        let access = Rc::new(TableAccess::new(Rc::clone(&right.table)));
        let right_width = right.table.columns.len();
        // A look-up join keeps no lonely right rows, so nobody asks for the left width.
        let shape = Shape { kind, left_width: 0, right_width };
        let scan = right.clone();
        Self { shape, left, scan, access, index, keys, residual, waiting: Vec::new() }
    }
}

impl Operator for LookupJoinOp {
    fn next<'a>(&'a mut self, run: &'a Run) -> Pending<'a, Option<Vec<Row>>> {
        Box::pin(async move {
            if self.waiting.is_empty() {
                let Some(mut lefts) = self.left.next(run).await? else {
                    return Ok(None);
                };
                lefts.reverse();
                self.waiting = lefts;
            }
            let mut out = Vec::new();
            while out.len() < BATCH_ROWS
                && let Some(left) = self.waiting.pop()
            {
                let key = run.values(&self.keys, &left).await?;
                let mut scanner = Scanner::lookup(&self.scan, &self.access, run, self.index, &key)?;
                let mut rows = Vec::new();
                while let Some(batch) = scanner.next_values(run).await? {
                    rows.extend(batch);
                }
                let candidates = rows.iter().enumerate();
                let residual = self.residual.as_ref();
                self.shape.join(run, &left, candidates, residual, &mut out, None).await?;
            }
            Ok(Some(out))
        })
    }
}
