//! Index selection: which key a table's conditions restrict.

use std::rc::Rc;

use super::conjuncts;
use super::lower::Lowering;
use crate::row::datum::Datum;
use crate::row::eval::{CompareOp, Expr};
use crate::row::types::DataType;
use crate::sql::catalog::descriptor::{IndexDescriptor, TableDescriptor};
use crate::sql::plan::{Access, RangeBound, RowLock, TableScan};

/// Rows that an IN list may name before a scan is the better way.
const POINTS_MAX: usize = 1_000;

/// A condition on one column by a value that no row decides.
struct Restriction {
    /// Which of the conditions it is.
    conjunct: usize,
    column: usize,
    kind: RestrictionKind,
    /// Whether the key alone decides the condition; if not it is checked on each row, too.
    exact: bool,
}

enum RestrictionKind {
    Compare(CompareOp, Expr),
    In(Vec<Expr>),
}

/// The way into the table that its conditions allow; what the way does not decide becomes its filter.
pub(super) fn scan(
    table: Rc<TableDescriptor>,
    mut conjuncts: Vec<Expr>,
    mut needed: Vec<bool>,
    lock: Option<RowLock>,
    lowering: Lowering<'_>,
) -> TableScan {
    let restrictions = restrictions(&table, &conjuncts, lowering);
    let mut best: Option<(usize, Access, Vec<usize>)> = None;
    for at in 0..table.indexes.len() {
        if let Some((score, access, used)) = index_access(&table.indexes[at], at, &restrictions)
            && best.as_ref().is_none_or(|(known, _, _)| *known < score)
        {
            best = Some((score, access, used));
        }
    }
    let access = match best {
        Some((_, access, used)) => {
            let mut at = 0;
            conjuncts.retain(|_| {
                at += 1;
                !used.contains(&(at - 1))
            });
            access
        }
        None => Access::Full,
    };
    for conjunct in &conjuncts {
        conjuncts::mark(conjunct, &mut needed);
    }
    let filter = conjuncts::join(conjuncts);
    TableScan { table, access, filter, needed, reverse: false, limit: None, lock }
}

/// Better ways score higher; the primary key wins a tie because it comes first.
fn index_access(
    index: &IndexDescriptor,
    at: usize,
    restrictions: &[Restriction],
) -> Option<(usize, Access, Vec<usize>)> {
    let mut prefix = Vec::new();
    let mut used = Vec::new();
    for key in &index.columns {
        let equal = restrictions.iter().find_map(|r| match &r.kind {
            RestrictionKind::Compare(CompareOp::Eq, value)
                if r.column == usize::from(key.column) =>
            {
                Some((r.conjunct, value.clone()))
            }
            _ => None,
        });
        let Some((conjunct, value)) = equal else { break };
        prefix.push(value);
        used.push(conjunct);
    }
    let count = prefix.len();
    let Some(next) = index.columns.get(count).map(|key| usize::from(key.column)) else {
        return Some(match index.unique {
            true => (10_000, Access::Points { index: at, keys: vec![prefix] }, used),
            false => {
                let access = Access::Range { index: at, prefix, low: None, high: None };
                (count * 100, access, used)
            }
        });
    };
    if let Some((conjunct, list)) = in_list(restrictions, next) {
        let key = |value: &Expr| prefix.iter().cloned().chain([value.clone()]).collect();
        let keys = list.iter().map(key).collect();
        used.push(conjunct);
        return Some(match index.unique && count + 1 == index.columns.len() {
            true => (9_000, Access::Points { index: at, keys }, used),
            false => (count * 100 + 50, Access::Prefixes { index: at, prefixes: keys }, used),
        });
    }
    let low = bound(restrictions, next, [CompareOp::Ge, CompareOp::Gt], &mut used);
    let high = bound(restrictions, next, [CompareOp::Le, CompareOp::Lt], &mut used);
    if prefix.is_empty() && low.is_none() && high.is_none() {
        return None;
    }
    let ends = usize::from(low.is_some()) + usize::from(high.is_some());
    let score = count * 100 + ends * 10;
    Some((score, Access::Range { index: at, prefix, low, high }, used))
}

fn in_list(restrictions: &[Restriction], column: usize) -> Option<(usize, &Vec<Expr>)> {
    restrictions.iter().find_map(|r| match &r.kind {
        RestrictionKind::In(list) if r.column == column => Some((r.conjunct, list)),
        _ => None,
    })
}

fn bound(
    restrictions: &[Restriction],
    column: usize,
    [inclusive, exclusive]: [CompareOp; 2],
    used: &mut Vec<usize>,
) -> Option<RangeBound> {
    restrictions.iter().filter(|r| r.column == column).find_map(|r| match &r.kind {
        RestrictionKind::Compare(op, value) if *op == inclusive || *op == exclusive => {
            if r.exact {
                used.push(r.conjunct);
            }
            Some(RangeBound { value: value.clone(), inclusive: *op == inclusive })
        }
        _ => None,
    })
}

fn restrictions(
    table: &TableDescriptor,
    conjuncts: &[Expr],
    lowering: Lowering<'_>,
) -> Vec<Restriction> {
    let mut found = Vec::new();
    for (conjunct, expr) in conjuncts.iter().enumerate() {
        let restriction =
            match expr {
                Expr::Compare { op, left, right } => compared(table, *op, left, right, lowering)
                    .map(|(column, op, value, exact)| Restriction {
                        conjunct,
                        column,
                        kind: RestrictionKind::Compare(op, value),
                        exact,
                    }),
                Expr::InList { expr, list, negated: false } if list.len() <= POINTS_MAX => {
                    column_of(expr).and_then(|column| {
                        let ty = &table.columns.get(column)?.ty;
                        let list = list
                            .iter()
                            .map(|value| Some(key_value(value, ty, CompareOp::Eq, lowering)?.0))
                            .collect::<Option<Vec<_>>>()?;
                        let kind = RestrictionKind::In(list);
                        Some(Restriction { conjunct, column, kind, exact: true })
                    })
                }
                Expr::Or(parts) if parts.len() <= POINTS_MAX => {
                    any_of(table, parts, lowering).map(|(column, list)| {
                        let kind = RestrictionKind::In(list);
                        Restriction { conjunct, column, kind, exact: true }
                    })
                }
                _ => None, // restricts no key
            };
        found.extend(restriction);
    }
    found
}

/// The column that a comparison restricts, how, and whether that decides it.
fn compared(
    table: &TableDescriptor,
    op: CompareOp,
    left: &Expr,
    right: &Expr,
    lowering: Lowering<'_>,
) -> Option<(usize, CompareOp, Expr, bool)> {
    let sides = [(left, right, op), (right, left, op.flipped())];
    sides.into_iter().find_map(|(column, value, op)| {
        let column = column_of(column)?;
        let ty = &table.columns.get(column)?.ty;
        let (value, exact) = key_value(value, ty, op, lowering)?;
        Some((column, if exact { op } else { op.or_equal() }, value, exact))
    })
}

/// The column that equals one of several values, if that is what the alternatives say.
fn any_of(
    table: &TableDescriptor,
    parts: &[Expr],
    lowering: Lowering<'_>,
) -> Option<(usize, Vec<Expr>)> {
    let mut list = Vec::with_capacity(parts.len());
    let mut known = None;
    for part in parts {
        let Expr::Compare { op: CompareOp::Eq, left, right } = part else { return None };
        let (column, _, value, _) = compared(table, CompareOp::Eq, left, right, lowering)?;
        if *known.get_or_insert(column) != column {
            return None;
        }
        list.push(value);
    }
    Some((known?, list))
}

/// The column that an operand is; `varchar` compares as text and is stored as such.
fn column_of(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Column(index) => Some(*index),
        Expr::Cast { expr, from: DataType::Varchar(_), to: DataType::Text, .. } => column_of(expr),
        _ => None,
    }
}

/// The value as a key of the column's type, if it is one for all rows and means the same there; and
/// whether it means quite the same, or for `<` and `>` perhaps one value more.
fn key_value(
    value: &Expr,
    column: &DataType,
    op: CompareOp,
    lowering: Lowering<'_>,
) -> Option<(Expr, bool)> {
    if op == CompareOp::Ne {
        return None;
    }
    let mut decided = true;
    value.walk(&mut |part| decided &= !matches!(part, Expr::Column(_) | Expr::Subquery(_)));
    if !decided || value.is_volatile() {
        return None;
    }
    let ty = type_of(value, lowering)?;
    let text = |ty: &DataType| matches!(ty, DataType::Text | DataType::Varchar(_));
    if ty.oid() == column.oid() || (text(&ty) && text(column)) {
        return Some((value.clone(), true));
    }
    let (low, high) = match column {
        DataType::Int2 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        DataType::Int4 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        DataType::Int8 => (i64::MIN, i64::MAX),
        _ => return None,
    };
    if !matches!(ty, DataType::Int2 | DataType::Int4 | DataType::Int8) {
        return None;
    }
    if let Expr::Const(datum, _) = value {
        let number = datum.as_i64().filter(|number| low <= *number && *number <= high)?;
        let datum = match column {
            DataType::Int2 => Datum::Int2(i16::try_from(number).ok()?),
            DataType::Int4 => Datum::Int4(i32::try_from(number).ok()?),
            _ => Datum::Int8(number), // the third of the integers
        };
        return Some((Expr::Const(datum, column.clone()), true));
    }
    let value_is_int2 = ty == DataType::Int2;
    let cast =
        Expr::Cast { expr: Box::new(value.clone()), from: ty, to: column.clone(), explicit: true };
    let fits = match column {
        DataType::Int8 => true,
        DataType::Int4 => value_is_int2,
        _ => false,
    };
    if fits {
        return Some((cast, true));
    }
    let constant = |number| Expr::Const(Datum::Int8(number), DataType::Int8);
    let below = Expr::compare(CompareOp::Lt, value.clone(), constant(low));
    let above = Expr::compare(CompareOp::Gt, value.clone(), constant(high));
    let end = |number| Expr::Cast {
        expr: Box::new(constant(number)),
        from: DataType::Int8,
        to: column.clone(),
        explicit: true,
    };
    // A number that the column cannot hold is beyond all of its values: a null key finds nothing, the
    // column's own end finds all.
    let null = || Expr::Const(Datum::Null, column.clone());
    let (branches, exact) = match op {
        CompareOp::Eq => (vec![(below, null()), (above, null())], true),
        CompareOp::Ge | CompareOp::Gt => {
            (vec![(below, end(low)), (above, null())], op == CompareOp::Ge)
        }
        CompareOp::Le | CompareOp::Lt => {
            (vec![(below, null()), (above, end(high))], op == CompareOp::Le)
        }
        CompareOp::Ne => return None,
    };
    Some((Expr::Case { operand: None, branches, otherwise: Some(Box::new(cast)) }, exact))
}

/// The type of an expression without columns, as far as it says.
fn type_of(expr: &Expr, lowering: Lowering<'_>) -> Option<DataType> {
    match expr {
        Expr::Const(_, ty) | Expr::Cast { to: ty, .. } | Expr::Call { ty, .. } => Some(ty.clone()),
        Expr::Param(index) => lowering.parameter_type(*index),
        _ => None, // no key worth the trouble
    }
}
