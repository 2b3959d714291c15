//! Parameters that rows give move behind the client's.

use crate::row::eval::Expr;
use crate::sql::bind::SLOT_BASE;
use crate::sql::plan::{
    Access, Aggregate, PhysicalPlan, SortKey, Subquery, SubqueryKind, TableScan,
};

/// Moves the parameters of a plan.
pub(super) struct Renumber {
    /// The client's parameters.
    pub(super) client_count: usize,
}

impl Renumber {
    fn slot(&self, slot: &mut usize) {
        if SLOT_BASE <= *slot {
            *slot = *slot - SLOT_BASE + self.client_count;
        }
    }

    /// An expression's.
    pub(super) fn expr(&self, expr: &mut Expr) {
        if let Expr::Param(slot) = expr {
            self.slot(slot);
            return;
        }
        for child in expr.children_mut() {
            self.expr(child);
        }
    }

    fn exprs<'a>(&self, exprs: impl IntoIterator<Item = &'a mut Expr>) {
        for expr in exprs {
            self.expr(expr);
        }
    }

    fn keys(&self, keys: &mut [SortKey]) {
        self.exprs(keys.iter_mut().map(|key| &mut key.expr));
    }

    fn captures(&self, captures: &mut [(usize, Expr)]) {
        for (slot, value) in captures {
            self.slot(slot);
            self.expr(value);
        }
    }

    /// A scan's.
    pub(super) fn scan(&self, scan: &mut TableScan) {
        match &mut scan.access {
            Access::Full => {}
            Access::Points { keys, .. } | Access::Prefixes { prefixes: keys, .. } => {
                self.exprs(keys.iter_mut().flatten());
            }
            Access::Range { prefix, low, high, .. } => {
                self.exprs(prefix);
                self.exprs(low.iter_mut().chain(high).map(|bound| &mut bound.value));
            }
        }
        self.exprs(scan.filter.iter_mut().chain(&mut scan.limit));
    }

    /// A subquery's.
    pub(super) fn subquery(&self, subquery: &mut Subquery<PhysicalPlan>) {
        if let SubqueryKind::Compare { left, .. } = &mut subquery.kind {
            self.expr(left);
        }
        self.captures(&mut subquery.outer);
        self.plan(&mut subquery.plan);
    }

    fn aggregate(&self, aggregate: &mut Aggregate) {
        self.exprs(aggregate.args.iter_mut().chain(&mut aggregate.filter));
        self.keys(&mut aggregate.order_by);
    }

    /// A plan's.
    pub(super) fn plan(&self, plan: &mut PhysicalPlan) {
        match plan {
            PhysicalPlan::Values { rows, .. } => self.exprs(rows.iter_mut().flatten()),
            PhysicalPlan::Scan(scan) => self.scan(scan),
            PhysicalPlan::ViewScan { filter, .. } => self.exprs(filter),
            PhysicalPlan::FunctionScan { args, .. } => self.exprs(args),
            PhysicalPlan::CteScan { .. } => {}
            PhysicalPlan::Filter { input, predicate } => {
                self.plan(input);
                self.expr(predicate);
            }
            PhysicalPlan::Project { input, exprs } => {
                self.plan(input);
                self.exprs(exprs);
            }
            PhysicalPlan::Apply { input, subqueries } => {
                self.plan(input);
                subqueries.iter_mut().for_each(|subquery| self.subquery(subquery));
            }
            PhysicalPlan::NestedLoop { left, right, on, lateral, .. } => {
                self.plan(left);
                self.plan(right);
                self.exprs(on);
                self.captures(lateral);
            }
            PhysicalPlan::HashJoin { left, right, left_keys, right_keys, residual, .. } => {
                self.plan(left);
                self.plan(right);
                self.exprs(left_keys.iter_mut().chain(right_keys).chain(residual));
            }
            PhysicalPlan::LookupJoin { left, right, keys, residual, .. } => {
                self.plan(left);
                self.scan(right);
                self.exprs(keys.iter_mut().chain(residual));
            }
            PhysicalPlan::Aggregate { input, keys, aggregates } => {
                self.plan(input);
                self.exprs(keys);
                aggregates.iter_mut().for_each(|aggregate| self.aggregate(aggregate));
            }
            PhysicalPlan::Sort { input, keys } => {
                self.plan(input);
                self.keys(keys);
            }
            PhysicalPlan::TopK { input, keys, limit, offset } => {
                self.plan(input);
                self.keys(keys);
                self.expr(limit);
                self.exprs(offset);
            }
            PhysicalPlan::Limit { input, limit, offset } => {
                self.plan(input);
                self.exprs(limit.iter_mut().chain(offset));
            }
            PhysicalPlan::Distinct { input, on } => {
                self.plan(input);
                self.exprs(on.iter_mut().flatten());
            }
            PhysicalPlan::Append { inputs } => {
                inputs.iter_mut().for_each(|input| self.plan(input));
            }
            PhysicalPlan::SetOperation { left, right, .. } => {
                self.plan(left);
                self.plan(right);
            }
        }
    }
}
