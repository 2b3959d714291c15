//! Expressions as EXPLAIN shows them.

use crate::row::datetime::Zone;
use crate::row::datum::Datum;
use crate::row::eval::EvalContext;
use crate::row::eval::Expr;
use crate::row::functions;
use crate::row::types::DataType;

/// An expression over columns with these names; others show their number.
pub(super) fn show(expr: &Expr, names: &[String]) -> String {
    let inner = |expr: &Expr| show(expr, names);
    let list =
        |exprs: &[Expr], between: &str| exprs.iter().map(inner).collect::<Vec<_>>().join(between);
    let not = |negated: bool| if negated { "NOT " } else { "" };
    match expr {
        Expr::Const(datum, ty) => constant(datum, ty),
        Expr::Column(index) => names.get(*index).cloned().unwrap_or_else(|| format!("#{index}")),
        Expr::Param(index) => format!("${}", index + 1),
        Expr::Subquery(number) => format!("(SubPlan {number})"),
        Expr::Call { function, args, .. } => {
            let name = functions::by_id(*function).map_or("?", |def| def.name);
            format!("{name}({})", list(args, ", "))
        }
        Expr::Compare { op, left, right } => {
            format!("({} {} {})", inner(left), op.sign(), inner(right))
        }
        Expr::And(parts) => format!("({})", list(parts, " AND ")),
        Expr::Or(parts) => format!("({})", list(parts, " OR ")),
        Expr::Not(part) => format!("(NOT {})", inner(part)),
        Expr::Case { branches, otherwise, .. } => {
            let branches: Vec<String> = branches
                .iter()
                .map(|(when, then)| format!("WHEN {} THEN {}", inner(when), inner(then)))
                .collect();
            let otherwise =
                otherwise.as_ref().map_or(String::new(), |e| format!(" ELSE {}", inner(e)));
            format!("CASE {}{otherwise} END", branches.join(" "))
        }
        Expr::Coalesce(args) => format!("COALESCE({})", list(args, ", ")),
        Expr::NullIf(left, right) => format!("NULLIF({}, {})", inner(left), inner(right)),
        Expr::MinMax { greatest, args } => {
            let name = if *greatest { "GREATEST" } else { "LEAST" };
            format!("{name}({})", list(args, ", "))
        }
        Expr::Cast { expr, to, .. } => format!("({})::{}", inner(expr), to.name()),
        Expr::InList { expr, list: items, negated } => {
            format!("({} {}IN ({}))", inner(expr), not(*negated), list(items, ", "))
        }
        Expr::Like { expr, pattern, negated, case_insensitive, .. } => {
            let op = if *case_insensitive { "~~*" } else { "~~" };
            let bang = if *negated { "!" } else { "" };
            format!("({} {bang}{op} {})", inner(expr), inner(pattern))
        }
        Expr::Regex { expr, pattern, negated, case_insensitive } => {
            let op = if *case_insensitive { "~*" } else { "~" };
            let bang = if *negated { "!" } else { "" };
            format!("({} {bang}{op} {})", inner(expr), inner(pattern))
        }
        Expr::IsNull { expr, negated } => format!("({} IS {}NULL)", inner(expr), not(*negated)),
        Expr::IsBool { expr, value, negated } => {
            let value = match value {
                Some(true) => "TRUE",
                Some(false) => "FALSE",
                None => "UNKNOWN",
            };
            format!("({} IS {}{value})", inner(expr), not(*negated))
        }
        Expr::IsDistinct { left, right, negated } => {
            format!("({} IS {}DISTINCT FROM {})", inner(left), not(*negated), inner(right))
        }
        Expr::AnyAll { op, left, array, all } => {
            let word = if *all { "ALL" } else { "ANY" };
            format!("({} {} {word} ({}))", inner(left), op.sign(), inner(array))
        }
        Expr::Array { items, .. } => format!("ARRAY[{}]", list(items, ", ")),
        Expr::Subscript { array, index, .. } => format!("{}[{}]", inner(array), inner(index)),
        Expr::Slice { array, .. } => format!("{}[:]", inner(array)),
    }
}

fn constant(datum: &Datum, ty: &DataType) -> String {
    let zone = Zone::default();
    let options = EvalContext::new(&zone).render_options();
    match datum {
        Datum::Null => format!("NULL::{}", ty.base_name()),
        Datum::Bool(value) => value.to_string(),
        Datum::Int2(_) | Datum::Int4(_) | Datum::Int8(_) | Datum::Numeric(_) => {
            datum.to_text(ty, &options)
        }
        other => {
            let text = other.to_text(ty, &options).replace('\'', "''");
            format!("'{text}'::{}", ty.base_name())
        }
    }
}
