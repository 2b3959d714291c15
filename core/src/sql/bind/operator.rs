//! Operators: comparisons by the types' families, everything else by the registry's overloads.

use super::binder::{Binder, Typed};
use super::expr::boolean;
use super::registry::{self, Choice};
use crate::base::error::{SqlError, sqlstate};
use crate::row::datum::Datum;
use crate::row::eval::{CompareOp, Expr};
use crate::row::types::{CastContext, DataType, can_cast};
use crate::sql::parse::ast::{self, ExprKind, Literal};

pub(super) const NO_OPERATOR_HINT: &str = "No operator matches the given name and argument types. You might need to add explicit type casts.";

/// The comparison that an operator is.
pub(super) fn comparison(op: &str) -> Option<CompareOp> {
    Some(match op {
        "=" => CompareOp::Eq,
        "<>" | "!=" => CompareOp::Ne,
        "<" => CompareOp::Lt,
        "<=" => CompareOp::Le,
        ">" => CompareOp::Gt,
        ">=" => CompareOp::Ge,
        _ => return None,
    })
}

impl Binder<'_> {
    /// `left op right`
    pub(super) fn binary(
        &mut self,
        op: &str,
        left: &ast::Expr,
        right: &ast::Expr,
        position: u32,
    ) -> Result<Typed, SqlError> {
        // A chain of operators is as deep as it is long: walk it.
        let mut spine = vec![(op, right, position)];
        let mut leftmost = left;
        while let ExprKind::Binary { op, left, right } = &leftmost.kind {
            spine.push((op.as_str(), right, leftmost.position));
            leftmost = left;
        }
        let mut value = self.expr(leftmost)?;
        while let Some((op, right, position)) = spine.pop() {
            let right = self.expr(right)?;
            value = self.binary_typed(op, value, right, position)?;
        }
        Ok(value)
    }

    fn binary_typed(
        &mut self,
        op: &str,
        left: Typed,
        right: Typed,
        position: u32,
    ) -> Result<Typed, SqlError> {
        if let Some(compare) = comparison(op) {
            return self.compare(op, compare, left, right, position);
        }
        if let Some((negated, case_insensitive)) = pattern_flags(op)
            && left.ty.is_string()
            && right.ty.is_string()
        {
            let expr = Box::new(self.coerce(left, &DataType::Text)?.expr);
            let pattern = Box::new(self.coerce(right, &DataType::Text)?.expr);
            let expr = if op.contains("~~") {
                Expr::Like { expr, pattern, escape: None, negated, case_insensitive }
            } else {
                Expr::Regex { expr, pattern, negated, case_insensitive }
            };
            return Ok(boolean(expr, position));
        }
        let types = [left.ty.clone(), right.ty.clone()];
        match registry::choose_operator(op, &types) {
            Choice::One(candidate) => self.call_candidate(&candidate, vec![left, right], position),
            choice => Err(no_operator(op, &types, position, &choice)),
        }
    }

    /// `op operand`
    pub(super) fn unary(
        &mut self,
        op: &str,
        operand: &ast::Expr,
        position: u32,
    ) -> Result<Typed, SqlError> {
        // `-1` is a constant; `-2147483648` is too, of type int8 as in PostgreSQL.
        if let (ExprKind::Literal(Literal::Number(_)), "-") = (&operand.kind, op) {
            let value = self.expr(operand)?;
            if let Expr::Const(datum, ty) = &value.expr
                && let Some(datum) = negated(datum)
            {
                let expr = Expr::Const(datum, ty.clone());
                return Ok(Typed { expr, ty: value.ty, position });
            }
        }
        let operand = self.expr(operand)?;
        let types = [operand.ty.clone()];
        match registry::choose_operator(op, &types) {
            Choice::One(candidate) => self.call_candidate(&candidate, vec![operand], position),
            choice => Err(no_operator(op, &types, position, &choice)),
        }
    }

    /// Both operands of a comparison, of one type.
    pub(super) fn comparable(
        &mut self,
        op: &str,
        left: Typed,
        right: Typed,
        position: u32,
    ) -> Result<(Typed, Typed), SqlError> {
        match comparison_type(&left.ty, &right.ty) {
            Some(ty) => {
                // Integers of any width compare as they are.
                let left = if left.ty == DataType::Unknown || !is_integer_pair(&left.ty, &ty) {
                    self.coerce_comparand(left, &ty)?
                } else {
                    left
                };
                let right = if right.ty == DataType::Unknown || !is_integer_pair(&right.ty, &ty) {
                    self.coerce_comparand(right, &ty)?
                } else {
                    right
                };
                Ok((left, right))
            }
            None => Err(no_operator(op, &[left.ty, right.ty], position, &Choice::Nothing)),
        }
    }

    fn coerce_comparand(&mut self, value: Typed, ty: &DataType) -> Result<Typed, SqlError> {
        // A modifier does not matter to a comparison: `varchar(3) = 'abcd'` is false, not an error.
        self.coerce(value, &ty.without_modifier())
    }
}

fn is_integer(ty: &DataType) -> bool {
    matches!(ty, DataType::Int2 | DataType::Int4 | DataType::Int8)
}

fn is_integer_pair(from: &DataType, to: &DataType) -> bool {
    from.oid() == to.oid() || (is_integer(from) && is_integer(to))
}

/// The type in which two values compare.
fn comparison_type(left: &DataType, right: &DataType) -> Option<DataType> {
    use DataType::{Float4, Float8, InternalChar, Name, Oid, Text, Unknown};
    if left.is_pseudo() && *left != Unknown || right.is_pseudo() && *right != Unknown {
        return None;
    }
    match (left, right) {
        (Unknown, Unknown) => return Some(Text),
        (Unknown, other) | (other, Unknown) => {
            return Some(match other {
                DataType::Varchar(_) => Text,
                DataType::Json => return None,
                _ => other.without_modifier(),
            });
        }
        (DataType::Json, _) | (_, DataType::Json) => return None,
        _ => {} // by families
    }
    if left.oid() == right.oid() {
        return Some(match left {
            DataType::Varchar(_) => Text,
            _ => left.without_modifier(),
        });
    }
    if is_integer(left) && is_integer(right) {
        return Some(if *left == DataType::Int8 || *right == DataType::Int8 {
            DataType::Int8
        } else {
            DataType::Int4
        });
    }
    let is_float = |ty: &DataType| matches!(ty, Float4 | Float8);
    let is_number = |ty: &DataType| is_integer(ty) || matches!(ty, DataType::Numeric { .. });
    if (is_float(left) && (is_number(right) || is_float(right)))
        || (is_float(right) && is_number(left))
    {
        return Some(Float8);
    }
    if is_number(left) && is_number(right) {
        return Some(DataType::NUMERIC);
    }
    if left.is_string() && right.is_string() {
        // name, varchar and "char" meet as text; so do char(n) and text.
        return Some(match (left, right) {
            (Name, Name) => Name,
            (InternalChar, InternalChar) => InternalChar,
            _ => Text,
        });
    }
    let is_oid = |ty: &DataType| {
        matches!(
            ty,
            Oid | DataType::Regclass
                | DataType::Regtype
                | DataType::Regproc
                | DataType::Regnamespace
                | DataType::Regrole
        )
    };
    if (is_oid(left) && (is_oid(right) || is_integer(right))) || (is_integer(left) && is_oid(right))
    {
        return Some(Oid);
    }
    for (from, to) in [(left, right), (right, left)] {
        if left.category() == right.category() && can_cast(from, to, CastContext::Implicit) {
            return Some(to.without_modifier());
        }
    }
    None
}

/// (negated, case-insensitive) of the pattern operators.
fn pattern_flags(op: &str) -> Option<(bool, bool)> {
    Some(match op {
        "~" | "~~" => (false, false),
        "!~" | "!~~" => (true, false),
        "~*" | "~~*" => (false, true),
        "!~*" | "!~~*" => (true, true),
        _ => return None,
    })
}

fn negated(datum: &Datum) -> Option<Datum> {
    match datum {
        Datum::Int4(value) => value.checked_neg().map(Datum::Int4),
        Datum::Int8(value) => value.checked_neg().map(Datum::Int8),
        _ => None, // the operator does it
    }
}

fn no_operator(op: &str, types: &[DataType], position: u32, choice: &Choice) -> SqlError {
    let shown = match types {
        [operand] => format!("{op} {}", operand.base_name()),
        [left, right] => format!("{} {op} {}", left.base_name(), right.base_name()),
        _ => op.to_owned(), // operators have one or two operands
    };
    let error = if matches!(choice, Choice::Ambiguous) {
        let message = format!("operator is not unique: {shown}");
        SqlError::new(sqlstate::AMBIGUOUS_FUNCTION, message).hint(
            "Could not choose a best candidate operator. You might need to add explicit type casts.",
        )
    } else {
        let message = format!("operator does not exist: {shown}");
        SqlError::new(sqlstate::UNDEFINED_FUNCTION, message).hint(NO_OPERATOR_HINT)
    };
    error.at(position)
}
