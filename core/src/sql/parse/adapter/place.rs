//! Where expressions and queries begin, without walking all of them.
//!
//! sqlparser's own spans visit a whole tree, and a nested query's frames are large.

use sqlparser::ast as sp;
use sqlparser::ast::Spanned;

use super::lower::{end, start};

/// Stack for sqlparser's walk over an operand of any shape.
const SPAN_STACK_BYTES: usize = 16 << 20;

/// Where an expression begins; brackets around it do not count.
pub(super) fn start_of(expr: &sp::Expr) -> u32 {
    let mut expr = expr;
    loop {
        expr = match expr {
            sp::Expr::Nested(inner)
            | sp::Expr::Cast { expr: inner, .. }
            | sp::Expr::UnaryOp { expr: inner, .. }
            | sp::Expr::BinaryOp { left: inner, .. }
            | sp::Expr::AnyOp { left: inner, .. }
            | sp::Expr::AllOp { left: inner, .. }
            | sp::Expr::InList { expr: inner, .. }
            | sp::Expr::InSubquery { expr: inner, .. }
            | sp::Expr::Between { expr: inner, .. }
            | sp::Expr::Like { expr: inner, .. }
            | sp::Expr::ILike { expr: inner, .. }
            | sp::Expr::IsNull(inner)
            | sp::Expr::IsNotNull(inner)
            | sp::Expr::Collate { expr: inner, .. } => inner,
            sp::Expr::Identifier(ident) => return start(ident.span),
            sp::Expr::CompoundIdentifier(parts) => {
                return parts.first().map_or(0, |part| start(part.span));
            }
            sp::Expr::Value(value) => return start(value.span),
            sp::Expr::Case { case_token, .. } => return start(case_token.0.span),
            sp::Expr::Subquery(query) | sp::Expr::Exists { subquery: query, .. } => {
                return start_of_query(query);
            }
            sp::Expr::Function(call) => {
                return match call.name.0.first() {
                    Some(sp::ObjectNamePart::Identifier(ident)) => start(ident.span),
                    _ => 0,
                };
            }
            sp::Expr::Tuple(items) => match items.first() {
                Some(item) => item,
                None => return 0,
            },
            sp::Expr::Array(array) => match array.elem.first() {
                Some(item) => item,
                None => return 0,
            },
            other => return start(on_large_stack(|| other.span())),
        };
    }
}

/// Where an expression ends; brackets around it do not count.
pub(super) fn end_of(expr: &sp::Expr) -> u32 {
    match expr {
        sp::Expr::Identifier(ident) => end(ident.span),
        sp::Expr::Value(value) => end(value.span),
        other => end(on_large_stack(|| other.span())),
    }
}

/// Where a query begins.
pub(super) fn start_of_query(query: &sp::Query) -> u32 {
    if let Some(with) = &query.with {
        return start(with.with_token.0.span);
    }
    let mut body = &*query.body;
    loop {
        body = match body {
            sp::SetExpr::Select(select) => return start(select.select_token.0.span),
            sp::SetExpr::Query(query) => match &query.with {
                Some(with) => return start(with.with_token.0.span),
                None => &query.body,
            },
            sp::SetExpr::SetOperation { left, .. } => left,
            sp::SetExpr::Values(values) => {
                return values.rows.first().map_or(0, |row| start(row.opening_token.0.span));
            }
            sp::SetExpr::Insert(_)
            | sp::SetExpr::Update(_)
            | sp::SetExpr::Delete(_)
            | sp::SetExpr::Merge(_)
            | sp::SetExpr::Table(_) => return 0,
        };
    }
}

/// Where an item of FROM begins.
pub(super) fn start_of_table(factor: &sp::TableFactor) -> u32 {
    let first = |name: &sp::ObjectName| match name.0.first() {
        Some(sp::ObjectNamePart::Identifier(ident)) => start(ident.span),
        _ => 0,
    };
    match factor {
        sp::TableFactor::Table { name, .. } | sp::TableFactor::Function { name, .. } => first(name),
        sp::TableFactor::Derived { subquery, .. } => start_of_query(subquery),
        sp::TableFactor::NestedJoin { table_with_joins, .. } => {
            start_of_table(&table_with_joins.relation)
        }
        sp::TableFactor::UNNEST { array_exprs, .. } => array_exprs.first().map_or(0, start_of),
        _ => 0, // refused anyway
    }
}

fn on_large_stack<R>(walk: impl FnOnce() -> R) -> R {
    stacker::maybe_grow(SPAN_STACK_BYTES, 2 * SPAN_STACK_BYTES, walk)
}
