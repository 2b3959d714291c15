//! A set-returning function in a select list.
//!
//! One such call repeats each row that WHERE leaves for each of its values, which is what a lateral join
//! does. Two of them go in lockstep in PostgreSQL and are refused, as are those below an aggregate or GROUP BY.
//!
//! # Source
//!
//! PostgreSQL 15, "SQL Functions Returning Sets" (xfunc-sql); `nodeProjectSet.c`.

use super::from::is_set_returning;
use super::naming;
use crate::sql::parse::ast::{
    Expr, ExprKind, FunctionCall, FunctionTable, Name, Select, SelectItem, TableAlias, TableRef,
};

/// No name that a user can write.
const HIDDEN: &str = "\0series";

/// A select whose list has a column where it had the call.
pub(super) struct Moved {
    pub(super) select: Select,
    /// The call, to be joined to what WHERE leaves.
    pub(super) function: TableRef,
    /// Where it stood.
    pub(super) position: u32,
}

/// The select and the call in its list; `None` if there is no such call.
pub(super) fn from_list(select: &Select) -> Option<Moved> {
    let has_star = |item: &SelectItem| matches!(item, SelectItem::Star { table: None, .. });
    let holds = |item: &SelectItem| match item {
        SelectItem::Expr { expr, .. } => holds(expr),
        SelectItem::Star { .. } => false,
    };
    if !select.items.iter().any(holds) || select.items.iter().any(has_star) {
        return None;
    }
    let mut select = select.clone();
    for item in &mut select.items {
        let SelectItem::Expr { expr, alias } = item else { continue };
        let name = Name { text: naming::column_name(expr), position: expr.position };
        if let Some((call, position)) = take(expr) {
            alias.get_or_insert(name);
            let name = Name { text: HIDDEN.to_owned(), position };
            let function = TableRef::Function(FunctionTable {
                name: call.name,
                args: call.args,
                ordinality: false,
                alias: Some(TableAlias { name, columns: Vec::new() }),
            });
            return Some(Moved { select, function, position });
        }
    }
    None
}

fn is_series(call: &FunctionCall) -> bool {
    let plain = !call.star && !call.distinct && !call.bare && call.filter.is_none();
    plain && call.order_by.is_empty() && is_set_returning(&call.name.name().text)
}

/// Operands in which a call may stand. `coalesce` and the like decide what they compute: PostgreSQL
/// refuses sets there, and so does the binder.
fn operands(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::Unary { operand, .. } | ExprKind::Cast { operand, .. } => vec![operand],
        ExprKind::Binary { left, right, .. } => vec![left, right],
        ExprKind::Function(call) if call.name.name().text != "coalesce" => {
            call.args.iter().collect()
        }
        _ => Vec::new(), // nothing that a set may stand in
    }
}

fn operands_mut(expr: &mut Expr) -> Vec<&mut Expr> {
    match &mut expr.kind {
        ExprKind::Unary { operand, .. } | ExprKind::Cast { operand, .. } => vec![operand],
        ExprKind::Binary { left, right, .. } => vec![left, right],
        ExprKind::Function(call) if call.name.name().text != "coalesce" => {
            call.args.iter_mut().collect()
        }
        _ => Vec::new(), // as above
    }
}

fn holds(expr: &Expr) -> bool {
    let is_it = matches!(&expr.kind, ExprKind::Function(call) if is_series(call));
    is_it || operands(expr).into_iter().any(holds)
}

/// Takes the first call out and leaves its column.
fn take(expr: &mut Expr) -> Option<(FunctionCall, u32)> {
    if let ExprKind::Function(call) = &expr.kind
        && is_series(call)
    {
        let position = expr.position;
        let column = vec![Name { text: HIDDEN.to_owned(), position }];
        let ExprKind::Function(call) = std::mem::replace(&mut expr.kind, ExprKind::Column(column))
        else {
            return None;
        };
        return Some((call, position));
    }
    operands_mut(expr).into_iter().find_map(take)
}
