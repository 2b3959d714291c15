//! Computing once what does not depend on the row.

use super::context::EvalContext;
use super::expr::Expr;
use super::run::eval;
use crate::row::datum::Datum;
use crate::row::functions::{self, Volatility};
use crate::row::types::DataType;

/// Replaces every part that is the same for all rows by its value: immutable functions of
/// constants, and casts that depend on nothing but their operand.
///
/// What would raise an error stays as it is, so that it is raised when (and only if) it is reached.
/// Stable functions stay too: the plan may outlive the statement.
#[must_use]
pub fn const_fold(mut expr: Expr, context: &EvalContext<'_>) -> Expr {
    fold(&mut expr, context, 0);
    expr
}

fn fold(expr: &mut Expr, context: &EvalContext<'_>, depth: usize) {
    if super::expr::EXPR_DEPTH_MAX <= depth {
        return;
    }
    for child in expr.children_mut() {
        fold(child, context, depth + 1);
    }
    simplify(expr);
    let constant = |expr: &&Expr| matches!(expr, Expr::Const(..));
    let children = expr.children();
    if children.is_empty() || !children.iter().all(constant) || !is_immutable(expr) {
        return;
    }
    if let (Ok(value), Some(ty)) = (eval(expr, &[], context), result_type(expr)) {
        *expr = Expr::Const(value, ty);
    }
}

/// `AND` and `OR` lose parts that decide nothing.
fn simplify(expr: &mut Expr) {
    let (parts, decisive) = match expr {
        Expr::And(parts) => (parts, false),
        Expr::Or(parts) => (parts, true),
        _ => return, // nothing to drop
    };
    let is = |part: &Expr, value: bool| match part {
        Expr::Const(Datum::Bool(found), _) => *found == value,
        _ => false, // known only at the row
    };
    if parts.first().is_some_and(|first| is(first, decisive)) {
        *expr = Expr::Const(Datum::Bool(decisive), DataType::Bool);
        return;
    }
    parts.retain(|part| !is(part, !decisive));
    if parts.is_empty() {
        *expr = Expr::Const(Datum::Bool(!decisive), DataType::Bool);
    } else if parts.len() == 1
        && let Some(only) = parts.pop()
    {
        *expr = only;
    }
}

impl Expr {
    /// Whether two evaluations in one statement may differ (`random()`, `nextval`): then it must be
    /// computed for each row, and may be neither a key nor repeated. A subquery is not: one that reads no
    /// row runs once. Source: PostgreSQL, Function Volatility Categories.
    #[must_use]
    pub fn is_volatile(&self) -> bool {
        let mut found = false;
        self.walk(&mut |part| {
            if let Self::Call { function, .. } = part {
                found |= functions::by_id(*function)
                    .is_none_or(|def| def.volatility == Volatility::Volatile);
            }
        });
        found
    }
}

fn is_immutable(expr: &Expr) -> bool {
    match expr {
        Expr::Call { function, .. } => {
            functions::by_id(*function).is_some_and(|def| def.volatility == Volatility::Immutable)
        }
        Expr::Cast { from, to, .. } => is_immutable_cast(from, to),
        Expr::Column(_) | Expr::Param(_) | Expr::Subquery(_) | Expr::Const(..) => false,
        _ => true, // operators of SQL itself
    }
}

/// Casts that read or show local time or names depend on the session.
fn is_immutable_cast(from: &DataType, to: &DataType) -> bool {
    let depends = |ty: &DataType| {
        matches!(
            ty,
            DataType::Timestamptz
                | DataType::Regclass
                | DataType::Regtype
                | DataType::Regproc
                | DataType::Regnamespace
                | DataType::Regrole
        )
    };
    // `'today'::date` must not outlive the day.
    let reads_words = |ty: &DataType| {
        matches!(ty, DataType::Date | DataType::Time | DataType::Timestamp | DataType::Array(_))
    };
    let floats_to_text = matches!(from, DataType::Float4 | DataType::Float8) && to.is_string();
    let words = from.is_string() && reads_words(to);
    let changing = depends(from) || depends(to) || floats_to_text || words;
    !changing && !matches!(from, DataType::Array(_))
}

/// The type of a constant that takes an expression's place.
fn result_type(expr: &Expr) -> Option<DataType> {
    let of_first = |args: &[Expr]| match args.first() {
        Some(Expr::Const(_, ty)) => Some(ty.clone()),
        _ => None, // unknown without a schema
    };
    match expr {
        Expr::Call { ty, .. } | Expr::Cast { to: ty, .. } => Some(ty.clone()),
        Expr::Compare { .. }
        | Expr::And(_)
        | Expr::Or(_)
        | Expr::Not(_)
        | Expr::InList { .. }
        | Expr::Like { .. }
        | Expr::Regex { .. }
        | Expr::IsNull { .. }
        | Expr::IsBool { .. }
        | Expr::IsDistinct { .. }
        | Expr::AnyAll { .. } => Some(DataType::Bool),
        Expr::Array { element, .. } => Some(DataType::array_of(element.clone())),
        Expr::Coalesce(args) | Expr::MinMax { args, .. } => of_first(args),
        Expr::NullIf(first, _) => of_first(std::slice::from_ref(first)),
        Expr::Case { branches, .. } => match branches.first() {
            Some((_, Expr::Const(_, ty))) => Some(ty.clone()),
            _ => None, // unknown without a schema
        },
        Expr::Subscript { array, .. } => match &**array {
            Expr::Const(_, ty) => ty.element(),
            _ => None, // unknown without a schema
        },
        Expr::Slice { array, .. } => of_first(std::slice::from_ref(array)),
        Expr::Const(..) | Expr::Column(_) | Expr::Param(_) | Expr::Subquery(_) => None,
    }
}
