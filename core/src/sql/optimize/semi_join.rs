//! `x IN (SELECT …)` as a condition of its own: a semi join instead of a subquery for each row.

use crate::row::datum::Datum;
use crate::row::eval::{CompareOp, Expr};
use crate::row::types::DataType;
use crate::sql::plan::{JoinType, LogicalPlan, Subquery, SubqueryKind};

/// If the only subquery is an uncorrelated `= ANY` about each row that a condition wants true, and
/// nobody reads its value otherwise, the join that does the same; the condition is taken out of
/// `conjuncts`.
pub(super) fn rewrite(
    input: LogicalPlan,
    subqueries: Vec<Subquery<LogicalPlan>>,
    conjuncts: &mut Vec<Expr>,
    needed: &[bool],
) -> Result<LogicalPlan, (LogicalPlan, Vec<Subquery<LogicalPlan>>)> {
    let width = input.width();
    let value = Expr::Column(width);
    let wanted = conjuncts.iter().filter(|conjunct| **conjunct == value).count();
    let readers = conjuncts.iter().filter(|conjunct| conjunct.columns().contains(&width)).count();
    let fits = match subqueries.as_slice() {
        [
            Subquery {
                kind: SubqueryKind::Compare { left, op: CompareOp::Eq, all: false },
                outer,
                ..
            },
        ] => outer.is_empty() && !left.columns().is_empty() && !left.is_volatile(),
        _ => false, // not the shape
    };
    if !fits || wanted == 0 || wanted != readers || needed.get(width) == Some(&true) {
        return Err((input, subqueries));
    }
    let mut subqueries = subqueries;
    let Some(Subquery { kind: SubqueryKind::Compare { left, .. }, plan, .. }) = subqueries.pop()
    else {
        return Err((input, subqueries));
    };
    conjuncts.retain(|conjunct| *conjunct != value);
    let join = LogicalPlan::Join {
        kind: JoinType::Semi,
        on: Some(Expr::compare(CompareOp::Eq, left, Expr::Column(width))),
        left: Box::new(input),
        right: Box::new(plan),
        lateral: Vec::new(),
    };
    // The row keeps its width: what the condition read is true now.
    let truth = Expr::Const(Datum::Bool(true), DataType::Bool);
    let exprs = (0..width).map(Expr::Column).chain([truth]).collect();
    Ok(LogicalPlan::Project { input: Box::new(join), exprs })
}
