//! Tests: IS, IN, BETWEEN, LIKE, ANY and ALL, and subqueries.

use super::binder::{Binder, Typed};
use super::expr::boolean;
use super::types;
use crate::base::error::{SqlError, sqlstate};
use crate::row::eval::{CompareOp, Expr};
use crate::row::types::DataType;
use crate::sql::parse::ast::{self, ExprKind, LikeKind, Query};
use crate::sql::plan::{Subquery, SubqueryKind};

impl Binder<'_> {
    /// A predicate.
    pub(super) fn predicate(&mut self, expr: &ast::Expr) -> Result<Typed, SqlError> {
        let position = expr.position;
        match &expr.kind {
            ExprKind::IsNull { operand, negated } => {
                let operand = self.value(operand)?;
                let expr = Box::new(operand.expr);
                Ok(boolean(Expr::IsNull { expr, negated: *negated }, position))
            }
            ExprKind::IsBool { operand, value, negated } => {
                let word = match value {
                    Some(true) => "IS TRUE",
                    Some(false) => "IS FALSE",
                    None => "IS UNKNOWN",
                };
                let expr = Box::new(self.condition(operand, word)?);
                Ok(boolean(Expr::IsBool { expr, value: *value, negated: *negated }, position))
            }
            ExprKind::IsDistinct { left, right, negated } => {
                let (left, right) = (self.expr(left)?, self.expr(right)?);
                let (left, right) = self.comparable("=", left, right, position)?;
                let (left, right) = (Box::new(left.expr), Box::new(right.expr));
                Ok(boolean(Expr::IsDistinct { left, right, negated: *negated }, position))
            }
            ExprKind::InList { operand, list, negated } => {
                self.in_list(operand, list, *negated, position)
            }
            ExprKind::InQuery { operand, query, negated } => {
                let value =
                    self.compare_query("=", CompareOp::Eq, false, operand, query, position)?;
                Ok(if *negated {
                    boolean(Expr::Not(Box::new(value.expr)), position)
                } else {
                    value
                })
            }
            ExprKind::Between { operand, low, high, negated } => {
                let value = self.expr(operand)?;
                let (low, high) = (self.expr(low)?, self.expr(high)?);
                let above = self.compare(">=", CompareOp::Ge, value.clone(), low, position)?;
                let below = self.compare("<=", CompareOp::Le, value, high, position)?;
                let both = Expr::And(vec![above.expr, below.expr]);
                let expr = if *negated { Expr::Not(Box::new(both)) } else { both };
                Ok(boolean(expr, position))
            }
            ExprKind::Like { kind, operand, pattern, escape, negated } => {
                if *kind == LikeKind::SimilarTo {
                    return Err(SqlError::unsupported("SIMILAR TO").at(position));
                }
                let expr = Box::new(self.text(operand)?);
                let pattern = Box::new(self.text(pattern)?);
                let escape =
                    escape.as_ref().map(|escape| self.text(escape)).transpose()?.map(Box::new);
                let (negated, case_insensitive) = (*negated, *kind == LikeKind::ILike);
                let like = Expr::Like { expr, pattern, escape, negated, case_insensitive };
                Ok(boolean(like, position))
            }
            ExprKind::AnyAll { op, all, left, right } => {
                self.any_all(op, *all, left, right, position)
            }
            ExprKind::AnyAllQuery { op, all, left, query } => {
                let Some(compare) = super::operator::comparison(op) else {
                    let what = format!("operator {op} with ANY or ALL");
                    return Err(SqlError::unsupported(what).at(position));
                };
                self.compare_query(op, compare, *all, left, query, position)
            }
            _ => Err(SqlError::unsupported("this predicate").at(position)), // the caller sorted
        }
    }

    /// An operand of a pattern match.
    fn text(&mut self, expr: &ast::Expr) -> Result<Expr, SqlError> {
        let value = self.expr(expr)?;
        if !value.ty.is_string() {
            let message = format!("operator does not exist: {} ~~ unknown", value.ty.base_name());
            return Err(SqlError::new(sqlstate::UNDEFINED_FUNCTION, message)
                .at(value.position)
                .hint(super::operator::NO_OPERATOR_HINT));
        }
        Ok(self.coerce(value, &DataType::Text)?.expr)
    }

    fn in_list(
        &mut self,
        operand: &ast::Expr,
        list: &[ast::Expr],
        negated: bool,
        position: u32,
    ) -> Result<Typed, SqlError> {
        let operand = self.expr(operand)?;
        let items = list.iter().map(|item| self.expr(item)).collect::<Result<Vec<_>, _>>()?;
        let all = std::iter::once(&operand).chain(&items);
        if let Ok(ty) = types::common(all.map(|item| &item.ty)) {
            let expr = Box::new(self.coerce(operand, &ty)?.expr);
            let list = items
                .into_iter()
                .map(|item| Ok(self.coerce(item, &ty)?.expr))
                .collect::<Result<Vec<_>, SqlError>>()?;
            return Ok(boolean(Expr::InList { expr, list, negated }, position));
        }
        // Types that do not meet may still compare pairwise (date with timestamp); the first that does
        // not says so.
        let mut tests = Vec::with_capacity(items.len());
        for item in items {
            tests.push(self.compare("=", CompareOp::Eq, operand.clone(), item, position)?.expr);
        }
        let any = Expr::Or(tests);
        Ok(boolean(if negated { Expr::Not(Box::new(any)) } else { any }, position))
    }

    fn any_all(
        &mut self,
        op: &str,
        all: bool,
        left: &ast::Expr,
        right: &ast::Expr,
        position: u32,
    ) -> Result<Typed, SqlError> {
        let Some(compare) = super::operator::comparison(op) else {
            let what = format!("operator {op} with ANY or ALL");
            return Err(SqlError::unsupported(what).at(position));
        };
        let left = self.expr(left)?;
        let right = self.expr(right)?;
        let (left, array) = match right.ty.element() {
            Some(element) => {
                let left = self.coerce(left, &element);
                match left {
                    Ok(left) => (left, right),
                    Err(_) => {
                        let message = format!(
                            "operator does not exist: {op} ANY of {}",
                            right.ty.base_name()
                        );
                        let state = sqlstate::UNDEFINED_FUNCTION;
                        return Err(SqlError::new(state, message).at(position));
                    }
                }
            }
            None if right.ty == DataType::Unknown => {
                let left = self.decided(left)?;
                let array = DataType::array_of(left.ty.without_modifier());
                let right = self.coerce(right, &array)?;
                (left, right)
            }
            None => {
                let message = "op ANY/ALL (array) requires array on right side";
                return Err(SqlError::new(sqlstate::WRONG_OBJECT_TYPE, message).at(position));
            }
        };
        let (left, array) = (Box::new(left.expr), Box::new(array.expr));
        Ok(boolean(Expr::AnyAll { op: compare, left, array, all }, position))
    }

    fn compare_query(
        &mut self,
        op: &str,
        compare: CompareOp,
        all: bool,
        left: &ast::Expr,
        query: &Query,
        position: u32,
    ) -> Result<Typed, SqlError> {
        let left = self.expr(left)?;
        let (bound, outer) = self.nested(|binder| binder.query(query, None))?;
        let [field] = bound.fields.as_slice() else {
            let message = if bound.fields.is_empty() {
                "subquery has too few columns"
            } else {
                "subquery has too many columns"
            };
            return Err(SqlError::new(sqlstate::SYNTAX_ERROR, message).at(position));
        };
        let column = Typed { expr: Expr::Column(0), ty: field.ty.clone(), position };
        let (left, right) = self.comparable(op, left, column, position)?;
        let mut plan = bound.plan;
        if right.expr != Expr::Column(0) {
            plan = crate::sql::plan::LogicalPlan::Project {
                input: Box::new(plan),
                exprs: vec![right.expr],
            };
        }
        let kind = SubqueryKind::Compare { left: left.expr, op: compare, all };
        let expr = self.add_subquery(Subquery { kind, plan, outer });
        Ok(boolean(expr, position))
    }

    /// EXISTS, a scalar subquery or ARRAY(…).
    pub(super) fn subquery(&mut self, expr: &ast::Expr) -> Result<Typed, SqlError> {
        let position = expr.position;
        let query = match &expr.kind {
            ExprKind::Exists(query)
            | ExprKind::ScalarQuery(query)
            | ExprKind::ArrayQuery(query) => query,
            _ => return Err(SqlError::unsupported("this subquery").at(position)), // sorted before
        };
        let (bound, outer) = self.nested(|binder| binder.query(query, None))?;
        if let ExprKind::Exists(_) = &expr.kind {
            let kind = SubqueryKind::Exists;
            let value = self.add_subquery(Subquery { kind, plan: bound.plan, outer });
            return Ok(boolean(value, position));
        }
        let [field] = bound.fields.as_slice() else {
            let message = "subquery must return only one column";
            return Err(SqlError::new(sqlstate::SYNTAX_ERROR, message).at(position));
        };
        let (kind, ty) = match &expr.kind {
            ExprKind::ArrayQuery(_) => {
                (SubqueryKind::Array(field.ty.clone()), DataType::array_of(field.ty.clone()))
            }
            _ => (SubqueryKind::Scalar, field.ty.clone()),
        };
        let value = self.add_subquery(Subquery { kind, plan: bound.plan, outer });
        Ok(Typed { expr: value, ty, position })
    }
}
