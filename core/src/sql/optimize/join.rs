//! Joins: equalities make keys of a hash join, everything else is a nested loop.

use super::conjuncts;
use crate::row::eval::{CompareOp, Expr};
use crate::sql::plan::{JoinType, PhysicalPlan};

/// Joins two lowered sides on what must hold for each pair.
pub(super) fn join(
    kind: JoinType,
    left: PhysicalPlan,
    right: PhysicalPlan,
    on: Vec<Expr>,
    lateral: Vec<(usize, Expr)>,
) -> PhysicalPlan {
    let (left_width, right_width) = (left.width(), right.width());
    let (left, right) = (Box::new(left), Box::new(right));
    if !lateral.is_empty() {
        return PhysicalPlan::NestedLoop { kind, left, right, on: conjuncts::join(on), lateral };
    }
    let mut keys = (Vec::new(), Vec::new());
    let mut residual = Vec::new();
    for conjunct in on {
        match equality(&conjunct, left_width, right_width) {
            Some((l, r)) => {
                keys.0.push(l);
                keys.1.push(r);
            }
            None => residual.push(conjunct),
        }
    }
    let residual = conjuncts::join(residual);
    if keys.0.is_empty() {
        return PhysicalPlan::NestedLoop { kind, left, right, on: residual, lateral };
    }
    let (left_keys, right_keys) = keys;
    PhysicalPlan::HashJoin { kind, left, right, left_keys, right_keys, residual }
}

/// `left key = right key`, each over its own side's row and the same for all of its pairs.
fn equality(conjunct: &Expr, left: usize, right: usize) -> Option<(Expr, Expr)> {
    let Expr::Compare { op: CompareOp::Eq, left: a, right: b } = conjunct else { return None };
    if conjunct.is_volatile() {
        return None;
    }
    let is_left = |e: &Expr| !e.columns().is_empty() && conjuncts::reads_only(e, 0..left);
    let is_right =
        |e: &Expr| !e.columns().is_empty() && conjuncts::reads_only(e, left..left + right);
    let (l, r) = if is_left(a) && is_right(b) {
        (a, b)
    } else if is_left(b) && is_right(a) {
        (b, a)
    } else {
        return None;
    };
    let mut right_key = (**r).clone();
    conjuncts::shift_down(&mut right_key, left);
    Some(((**l).clone(), right_key))
}
