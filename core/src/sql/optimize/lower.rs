//! From logical to physical operators, conditions sinking towards the rows that they are about.

use super::{access, conjuncts, join, semi_join};
use crate::row::datetime::Zone;
use crate::row::eval::{EvalContext, Expr, const_fold};
use crate::row::types::DataType;
use crate::sql::bind::SLOT_BASE;
use crate::sql::parse::with_stack;
use crate::sql::plan::{
    JoinType, LogicalPlan, PhysicalPlan, ScanSource, SortKey, Subquery, SubqueryKind,
};

/// What lowering knows of the statement.
#[derive(Clone, Copy)]
pub(super) struct Lowering<'a> {
    /// Types of the client's parameters.
    pub(super) parameters: &'a [DataType],
    /// Types of the values that rows around a subquery give it.
    pub(super) slots: &'a [DataType],
}

impl Lowering<'_> {
    /// The type of a parameter.
    pub(super) fn parameter_type(self, index: usize) -> Option<DataType> {
        match index.checked_sub(SLOT_BASE) {
            Some(slot) => self.slots.get(slot).cloned(),
            None => self.parameters.get(index).cloned(),
        }
    }

    /// A plan whose columns are all wanted.
    pub(super) fn whole(self, plan: LogicalPlan) -> PhysicalPlan {
        let needed = vec![true; plan.width()];
        self.lower(plan, Vec::new(), needed)
    }

    /// A plan's rows for which all `conjuncts` are true; only columns in `needed` are read.
    pub(super) fn lower(
        self,
        plan: LogicalPlan,
        conjuncts: Vec<Expr>,
        needed: Vec<bool>,
    ) -> PhysicalPlan {
        with_stack(|| self.lower_level(plan, conjuncts, needed))
    }

    fn lower_level(
        self,
        plan: LogicalPlan,
        mut conjuncts: Vec<Expr>,
        needed: Vec<bool>,
    ) -> PhysicalPlan {
        match plan {
            LogicalPlan::Filter { input, predicate } => {
                conjuncts::split(fold(predicate), &mut conjuncts);
                self.lower(*input, conjuncts, needed)
            }
            LogicalPlan::Scan { source, lock } => match source {
                ScanSource::Table(table) => {
                    let scan = access::scan(table, conjuncts, needed, lock, self);
                    PhysicalPlan::Scan(Box::new(scan))
                }
                ScanSource::View { schema, name, width } => {
                    let filter = conjuncts::join(conjuncts);
                    PhysicalPlan::ViewScan { schema, name, width, filter }
                }
            },
            LogicalPlan::Project { input, exprs } => {
                self.project(*input, exprs, conjuncts, &needed)
            }
            LogicalPlan::Join { kind, left, right, on, lateral } => {
                self.join(kind, *left, *right, on, lateral, conjuncts, needed)
            }
            LogicalPlan::Apply { input, subqueries } => {
                self.apply(*input, subqueries, conjuncts, needed)
            }
            LogicalPlan::Sort { input, keys } => {
                let keys = fold_keys(keys);
                let input = self.sort_input(*input, conjuncts, needed, &keys);
                PhysicalPlan::Sort { input: Box::new(input), keys }
            }
            LogicalPlan::Limit { input, limit, offset } => {
                filtered(self.limited(*input, limit, offset, needed), conjuncts)
            }
            LogicalPlan::Values { rows, width } => {
                let fold_row = |row: Vec<Expr>| row.into_iter().map(fold).collect();
                let rows = rows.into_iter().map(fold_row).collect();
                filtered(PhysicalPlan::Values { rows, width }, conjuncts)
            }
            LogicalPlan::Function { kind, args, ordinality } => {
                let args = args.into_iter().map(fold).collect();
                filtered(PhysicalPlan::FunctionScan { kind, args, ordinality }, conjuncts)
            }
            LogicalPlan::Cte { number, width } => {
                filtered(PhysicalPlan::CteScan { number, width }, conjuncts)
            }
            other => filtered(self.blocking(other), conjuncts),
        }
    }

    /// Operators that conditions do not sink through.
    fn blocking(self, plan: LogicalPlan) -> PhysicalPlan {
        match plan {
            LogicalPlan::Aggregate { input, keys, mut aggregates } => {
                let mut needed = vec![false; input.width()];
                let keys: Vec<Expr> = keys.into_iter().map(fold).collect();
                for aggregate in &mut aggregates {
                    aggregate.args = aggregate.args.drain(..).map(fold).collect();
                    let orders = aggregate.order_by.iter().map(|key| &key.expr);
                    for expr in aggregate.args.iter().chain(&aggregate.filter).chain(orders) {
                        conjuncts::mark(expr, &mut needed);
                    }
                }
                for key in &keys {
                    conjuncts::mark(key, &mut needed);
                }
                let input = Box::new(self.lower(*input, Vec::new(), needed));
                PhysicalPlan::Aggregate { input, keys, aggregates }
            }
            LogicalPlan::Distinct { input, on } => {
                let on = on.map(|keys| keys.into_iter().map(fold).collect());
                PhysicalPlan::Distinct { input: Box::new(self.whole(*input)), on }
            }
            LogicalPlan::Append { inputs } => {
                let inputs = inputs.into_iter().map(|input| self.whole(input)).collect();
                PhysicalPlan::Append { inputs }
            }
            LogicalPlan::SetOperation { intersect, all, left, right } => {
                let (left, right) = (Box::new(self.whole(*left)), Box::new(self.whole(*right)));
                PhysicalPlan::SetOperation { intersect, all, left, right }
            }
            // The caller keeps these.
            other => self.whole(other),
        }
    }

    fn project(
        self,
        input: LogicalPlan,
        exprs: Vec<Expr>,
        conjuncts: Vec<Expr>,
        needed: &[bool],
    ) -> PhysicalPlan {
        let exprs: Vec<Expr> = exprs.into_iter().map(fold).collect();
        let (mut below, mut above) = (Vec::new(), Vec::new());
        for conjunct in conjuncts {
            match conjuncts::through(&conjunct, &exprs) {
                Some(moved) => below.push(moved),
                None => above.push(conjunct),
            }
        }
        let mut inner = vec![false; input.width()];
        let mut read = needed.to_vec();
        for conjunct in &above {
            conjuncts::mark(conjunct, &mut read);
        }
        for (expr, read) in exprs.iter().zip(&read) {
            if *read {
                conjuncts::mark(expr, &mut inner);
            }
        }
        for conjunct in &below {
            conjuncts::mark(conjunct, &mut inner);
        }
        let input = Box::new(self.lower(input, below, inner));
        filtered(PhysicalPlan::Project { input, exprs }, above)
    }

    fn sort_input(
        self,
        input: LogicalPlan,
        conjuncts: Vec<Expr>,
        mut needed: Vec<bool>,
        keys: &[SortKey],
    ) -> PhysicalPlan {
        for key in keys {
            conjuncts::mark(&key.expr, &mut needed);
        }
        for conjunct in &conjuncts {
            conjuncts::mark(conjunct, &mut needed);
        }
        self.lower(input, conjuncts, needed)
    }

    /// A limit over a sort keeps only the first rows; over a scan it ends the scan.
    fn limited(
        self,
        input: LogicalPlan,
        limit: Option<Expr>,
        offset: Option<Expr>,
        needed: Vec<bool>,
    ) -> PhysicalPlan {
        let (limit, offset) = (limit.map(fold), offset.map(fold));
        match (input, limit) {
            (LogicalPlan::Sort { input, keys }, Some(limit)) => {
                let keys = fold_keys(keys);
                let input = Box::new(self.sort_input(*input, Vec::new(), needed, &keys));
                PhysicalPlan::TopK { input, keys, limit, offset }
            }
            (input, limit) => {
                let mut input = self.lower(input, Vec::new(), needed);
                if let (Some(limit), None) = (&limit, &offset) {
                    limit_scan(&mut input, limit);
                }
                PhysicalPlan::Limit { input: Box::new(input), limit, offset }
            }
        }
    }

    fn apply(
        self,
        input: LogicalPlan,
        subqueries: Vec<Subquery<LogicalPlan>>,
        mut conjuncts: Vec<Expr>,
        needed: Vec<bool>,
    ) -> PhysicalPlan {
        let (input, subqueries) =
            match semi_join::rewrite(input, subqueries, &mut conjuncts, &needed) {
                Ok(join) => return self.lower(join, conjuncts, needed),
                Err(unchanged) => unchanged,
            };
        let width = input.width();
        let (below, above): (Vec<Expr>, Vec<Expr>) =
            conjuncts.into_iter().partition(|c| conjuncts::reads_only(c, 0..width));
        let mut inner = needed[..width].to_vec();
        for conjunct in below.iter().chain(&above) {
            conjuncts::mark(conjunct, &mut inner);
        }
        let subqueries: Vec<_> =
            subqueries.into_iter().map(|subquery| self.subquery(subquery)).collect();
        for subquery in &subqueries {
            for (_, value) in &subquery.outer {
                conjuncts::mark(value, &mut inner);
            }
            if let SubqueryKind::Compare { left, .. } = &subquery.kind {
                conjuncts::mark(left, &mut inner);
            }
        }
        let input = Box::new(self.lower(input, below, inner));
        filtered(PhysicalPlan::Apply { input, subqueries }, above)
    }

    /// A subquery in an expression.
    pub(super) fn subquery(self, subquery: Subquery<LogicalPlan>) -> Subquery<PhysicalPlan> {
        let Subquery { kind, plan, outer } = subquery;
        let kind = match kind {
            SubqueryKind::Compare { left, op, all } => {
                SubqueryKind::Compare { left: fold(left), op, all }
            }
            other => other, // nothing to fold
        };
        Subquery { kind, plan: self.whole(plan), outer }
    }

    #[allow(clippy::too_many_arguments)]
    fn join(
        self,
        kind: JoinType,
        left: LogicalPlan,
        right: LogicalPlan,
        on: Option<Expr>,
        lateral: Vec<(usize, Expr)>,
        conjuncts: Vec<Expr>,
        needed: Vec<bool>,
    ) -> PhysicalPlan {
        let (left_width, right_width) = (left.width(), right.width());
        let all = left_width + right_width;
        let mut pairs = Vec::new();
        if let Some(on) = on {
            conjuncts::split(fold(on), &mut pairs);
        }
        let mut above = Vec::new();
        if kind == JoinType::Inner {
            pairs.extend(conjuncts);
        } else {
            above = conjuncts;
        }
        // What may sink: an outer join's preserved side takes no condition of ON, and the other side
        // none of WHERE.
        let left_takes_on = matches!(kind, JoinType::Inner | JoinType::Right | JoinType::Semi);
        let right_takes_on =
            matches!(kind, JoinType::Inner | JoinType::Left | JoinType::Semi | JoinType::Anti);
        let left_takes_where = matches!(kind, JoinType::Left | JoinType::Semi | JoinType::Anti);
        let (mut to_left, mut to_right, mut on) = (Vec::new(), Vec::new(), Vec::new());
        for mut pair in pairs {
            let constant = pair.columns().is_empty();
            if !constant && left_takes_on && conjuncts::reads_only(&pair, 0..left_width) {
                to_left.push(pair);
            } else if !constant && right_takes_on && conjuncts::reads_only(&pair, left_width..all) {
                conjuncts::shift_down(&mut pair, left_width);
                to_right.push(pair);
            } else {
                on.push(pair);
            }
        }
        let mut kept = Vec::new();
        for conjunct in above {
            if left_takes_where && conjuncts::reads_only(&conjunct, 0..left_width) {
                to_left.push(conjunct);
            } else {
                kept.push(conjunct);
            }
        }
        let mut read = needed;
        read.resize(all, false);
        for expr in on.iter().chain(&kept).chain(lateral.iter().map(|(_, value)| value)) {
            conjuncts::mark(expr, &mut read);
        }
        let mut right_read = read.split_off(left_width);
        for expr in &to_left {
            conjuncts::mark(expr, &mut read);
        }
        for expr in &to_right {
            conjuncts::mark(expr, &mut right_read);
        }
        let left = self.lower(left, to_left, read);
        let right = self.lower(right, to_right, right_read);
        filtered(join::join(kind, left, right, on, lateral), kept)
    }
}

/// The rows for which all conjuncts are true.
fn filtered(input: PhysicalPlan, conjuncts: Vec<Expr>) -> PhysicalPlan {
    match conjuncts::join(conjuncts) {
        Some(predicate) => PhysicalPlan::Filter { input: Box::new(input), predicate },
        None => input,
    }
}

/// Nobody wants more rows of this scan.
fn limit_scan(plan: &mut PhysicalPlan, limit: &Expr) {
    match plan {
        PhysicalPlan::Scan(scan) => scan.limit = Some(limit.clone()),
        PhysicalPlan::Project { input, .. } => limit_scan(input, limit),
        _ => {} // gives other rows than it reads
    }
}

fn fold_keys(keys: Vec<SortKey>) -> Vec<SortKey> {
    keys.into_iter().map(|key| SortKey { expr: fold(key.expr), ..key }).collect()
}

/// Computes what does not depend on rows, parameters or the session.
pub(super) fn fold(expr: Expr) -> Expr {
    let zone = Zone::default();
    const_fold(expr, &EvalContext::new(&zone))
}
