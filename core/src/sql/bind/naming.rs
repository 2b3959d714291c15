//! What a column of a result is called.

use crate::sql::parse::ast::{Expr, ExprKind};

/// The name that PostgreSQL gives to a column without an alias (`FigureColname`).
pub(super) fn column_name(expr: &Expr) -> String {
    figure(expr).0.unwrap_or_else(|| "?column?".to_owned())
}

/// A name and how good it is: 2 is a name, 1 is better than nothing.
fn figure(expr: &Expr) -> (Option<String>, u8) {
    let weak = |name: &str| (Some(name.to_owned()), 1);
    let strong = |name: &str| (Some(name.to_owned()), 2);
    match &expr.kind {
        ExprKind::Column(names) => match names.last() {
            Some(name) => strong(&name.text),
            None => (None, 0),
        },
        ExprKind::Function(call) => strong(&call.name.name().text),
        ExprKind::Cast { operand, ty } => match figure(operand) {
            (name, 2) => (name, 2),
            _ => weak(&ty.name.name().text),
        },
        ExprKind::Case { otherwise, .. } => match otherwise.as_deref().map(figure) {
            Some((name, strength)) if 0 < strength => (name, strength),
            _ => weak("case"),
        },
        ExprKind::Subscript { operand, .. } | ExprKind::Collate { operand, .. } => figure(operand),
        ExprKind::Exists(_) => strong("exists"),
        ExprKind::ArrayQuery(_) | ExprKind::Array(_) => strong("array"),
        ExprKind::Row(_) => strong("row"),
        ExprKind::ScalarQuery(query) => match &query.body {
            crate::sql::parse::ast::SetBody::Select(select) => match select.items.first() {
                Some(crate::sql::parse::ast::SelectItem::Expr { alias: Some(alias), .. }) => {
                    strong(&alias.text)
                }
                Some(crate::sql::parse::ast::SelectItem::Expr { expr, alias: None }) => {
                    figure(expr)
                }
                _ => (None, 0),
            },
            _ => (None, 0),
        },
        _ => (None, 0),
    }
}
