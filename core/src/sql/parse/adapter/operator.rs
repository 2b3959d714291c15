//! Operators.

use sqlparser::ast as sp;

use super::lower::Lower;
use super::place::start_of;
use crate::base::error::SqlError;
use crate::sql::parse::ast::{Expr, ExprKind};
use crate::sql::parse::syntax::unsupported;

/// The operator's own spelling; the `OPERATOR(schema.op)` form loses its schema, which can only be
/// `pg_catalog` here.
fn spelling(op: &sp::BinaryOperator, position: u32) -> Result<String, SqlError> {
    use sp::BinaryOperator as Op;
    match op {
        Op::PGCustomBinaryOperator(parts) => match parts.as_slice() {
            [op] => Ok(op.clone()),
            [schema, op] if schema.eq_ignore_ascii_case("pg_catalog") => Ok(op.clone()),
            _ => Err(unsupported("an operator outside pg_catalog", position)),
        },
        Op::Custom(op) => Ok(op.clone()),
        Op::Spaceship
        | Op::Xor
        | Op::DuckIntegerDivide
        | Op::MyIntegerDivide
        | Op::Match
        | Op::Regexp
        | Op::Glob
        | Op::Assignment
        | Op::Overlaps => Err(unsupported(&format!("operator {op}"), position)),
        _ => Ok(op.to_string()), // every other variant displays as PostgreSQL writes it
    }
}

impl Lower<'_> {
    /// `left op right`, walking down the left spine: `1 + 2 + 3 …` is as deep as it is long.
    pub(super) fn binary(self, expr: sp::Expr) -> Result<Expr, SqlError> {
        let mut spine = Vec::new();
        let mut leftmost = expr;
        while let sp::Expr::BinaryOp { left, op, right } = leftmost {
            spine.push((op, *right));
            leftmost = *left;
        }
        let mut left = self.expr(leftmost)?;
        while let Some((op, right)) = spine.pop() {
            let right_start = start_of(&right);
            let right = self.expr(right)?;
            left = self.combine(left, op, right, right_start)?;
        }
        Ok(left)
    }

    fn combine(
        self,
        left: Expr,
        op: sp::BinaryOperator,
        right: Expr,
        right_start: u32,
    ) -> Result<Expr, SqlError> {
        match op {
            sp::BinaryOperator::And => Ok(and(left, right)),
            sp::BinaryOperator::Or => Ok(or(left, right)),
            op => {
                let text = spelling(&op, right_start)?;
                let written = if matches!(op, sp::BinaryOperator::PGCustomBinaryOperator(_)) {
                    "operator"
                } else {
                    text.as_str()
                };
                let mut position = self.find_before(right_start, written);
                if position == right_start && text == "<>" {
                    position = self.find_before(right_start, "!=");
                }
                let (left, right) = (Box::new(left), Box::new(right));
                Ok(Expr { kind: ExprKind::Binary { op: text, left, right }, position })
            }
        }
    }

    /// `op operand`
    pub(super) fn unary(self, op: sp::UnaryOperator, operand: sp::Expr) -> Result<Expr, SqlError> {
        let operand_start = start_of(&operand);
        let operand = Box::new(self.expr(operand)?);
        if op == sp::UnaryOperator::Not {
            return Ok(Expr { position: operand.position, kind: ExprKind::Not(operand) });
        }
        if matches!(op, sp::UnaryOperator::BangNot | sp::UnaryOperator::PGPostfixFactorial) {
            return Err(unsupported(&format!("operator {op}"), operand_start));
        }
        let op = op.to_string();
        let position = self.find_before(operand_start, &op);
        Ok(Expr { kind: ExprKind::Unary { op, operand }, position })
    }

    /// The operator of `left op ANY (…)`.
    pub(super) fn quantified_op(
        self,
        op: &sp::BinaryOperator,
        right_start: u32,
    ) -> Result<(String, u32), SqlError> {
        let text = spelling(op, right_start)?;
        let position = self.find_before(right_start, &text);
        Ok((text, position))
    }
}

fn and(left: Expr, right: Expr) -> Expr {
    let position = left.position;
    let mut items = match left.kind {
        ExprKind::And(items) => items,
        kind => vec![Expr { kind, position }],
    };
    items.push(right);
    Expr { kind: ExprKind::And(items), position }
}

fn or(left: Expr, right: Expr) -> Expr {
    let position = left.position;
    let mut items = match left.kind {
        ExprKind::Or(items) => items,
        kind => vec![Expr { kind, position }],
    };
    items.push(right);
    Expr { kind: ExprKind::Or(items), position }
}
