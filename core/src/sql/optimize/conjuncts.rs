//! Conditions taken apart at their ANDs.

use crate::row::eval::Expr;

/// The parts that must all be true.
pub(super) fn split(expr: Expr, into: &mut Vec<Expr>) {
    match expr {
        Expr::And(parts) => {
            for part in parts {
                split(part, into);
            }
        }
        other if other.is_true() => {}
        other => into.push(other),
    }
}

/// One condition of several parts; `None` if there are none.
pub(super) fn join(mut parts: Vec<Expr>) -> Option<Expr> {
    match parts.len() {
        0 => None,
        1 => parts.pop(),
        _ => Some(Expr::And(parts)),
    }
}

/// Whether all columns that it reads lie in `range`.
pub(super) fn reads_only(expr: &Expr, range: std::ops::Range<usize>) -> bool {
    expr.columns().iter().all(|column| range.contains(column))
}

/// Moves the columns that it reads down by `by`.
pub(super) fn shift_down(expr: &mut Expr, by: usize) {
    if let Expr::Column(index) = expr {
        assert!(by <= *index, "a column of the left side on the right");
        *index -= by;
        return;
    }
    for child in expr.children_mut() {
        shift_down(child, by);
    }
}

/// Replaces each column by what it is computed from; `None` if that is more than a column or constant.
pub(super) fn through(expr: &Expr, exprs: &[Expr]) -> Option<Expr> {
    let simple = |column: &usize| {
        matches!(exprs.get(*column), Some(Expr::Column(_) | Expr::Const(..) | Expr::Param(_)))
    };
    if !expr.columns().iter().all(simple) {
        return None;
    }
    let mut expr = expr.clone();
    substitute(&mut expr, exprs);
    Some(expr)
}

fn substitute(expr: &mut Expr, exprs: &[Expr]) {
    if let Expr::Column(index) = expr {
        if let Some(source) = exprs.get(*index) {
            *expr = source.clone();
        }
        return;
    }
    for child in expr.children_mut() {
        substitute(child, exprs);
    }
}

/// Marks the columns that an expression reads.
pub(super) fn mark(expr: &Expr, needed: &mut [bool]) {
    for column in expr.columns() {
        if let Some(slot) = needed.get_mut(column) {
            *slot = true;
        }
    }
}
