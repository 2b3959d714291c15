//! CASE, COALESCE and the other expressions that are not functions.

use super::binder::{Binder, Typed};
use super::expr::boolean;
use super::types;
use crate::base::error::{SqlError, sqlstate};
use crate::row::eval::{CompareOp, Expr};
use crate::row::types::DataType;
use crate::sql::parse::ast::{self, CaseBranch};

impl Binder<'_> {
    /// CASE.
    pub(super) fn case(
        &mut self,
        operand: Option<&ast::Expr>,
        branches: &[CaseBranch],
        otherwise: Option<&ast::Expr>,
        position: u32,
    ) -> Result<Typed, SqlError> {
        let operand = operand.map(|operand| self.value(operand)).transpose()?;
        let mut whens = Vec::with_capacity(branches.len());
        let mut values = Vec::with_capacity(branches.len() + 1);
        for branch in branches {
            // `CASE x WHEN y` is `CASE WHEN x = y`: each pair finds its own type.
            let when = match &operand {
                None => self.condition(&branch.when, "CASE/WHEN")?,
                Some(operand) => {
                    let when = self.expr(&branch.when)?;
                    let at = when.position;
                    self.compare("=", CompareOp::Eq, operand.clone(), when, at)?.expr
                }
            };
            whens.push(when);
            values.push(self.expr(&branch.then)?);
        }
        let has_else = otherwise.is_some();
        if let Some(otherwise) = otherwise {
            values.push(self.expr(otherwise)?);
        }
        let (mut values, ty) = self.unify("CASE", values)?;
        let otherwise = if has_else { values.pop().map(Box::new) } else { None };
        let branches = whens.into_iter().zip(values).collect();
        Ok(Typed { expr: Expr::Case { operand: None, branches, otherwise }, ty, position })
    }

    /// Values of one type; `what` is for the message.
    pub(super) fn unify(
        &mut self,
        what: &str,
        values: Vec<Typed>,
    ) -> Result<(Vec<Expr>, DataType), SqlError> {
        let ty = match types::common(values.iter().map(|value| &value.ty)) {
            Ok(ty) => ty,
            Err((one, other)) => {
                let position =
                    values.iter().find(|value| value.ty == other).map_or(0, |v| v.position);
                return Err(no_common_type(what, &one, &other, position));
            }
        };
        let exprs = values
            .into_iter()
            .map(|value| Ok(self.coerce(value, &ty)?.expr))
            .collect::<Result<Vec<_>, SqlError>>()?;
        Ok((exprs, ty))
    }

    /// The functions that are grammar; `None` if `name` is not one of them.
    pub(super) fn grammar_function(
        &mut self,
        name: &str,
        args: &[ast::Expr],
        position: u32,
    ) -> Result<Option<Typed>, SqlError> {
        match (name, args) {
            ("coalesce", [_, ..]) => {
                let values = args.iter().map(|a| self.expr(a)).collect::<Result<Vec<_>, _>>()?;
                let (exprs, ty) = self.unify("COALESCE", values)?;
                Ok(Some(Typed { expr: Expr::Coalesce(exprs), ty, position }))
            }
            ("greatest" | "least", [_, ..]) => {
                let values = args.iter().map(|a| self.expr(a)).collect::<Result<Vec<_>, _>>()?;
                let (args, ty) = self.unify(&name.to_ascii_uppercase(), values)?;
                let expr = Expr::MinMax { greatest: name == "greatest", args };
                Ok(Some(Typed { expr, ty, position }))
            }
            ("nullif", [left, right]) => {
                let (left, right) = (self.expr(left)?, self.expr(right)?);
                let (left, right) = self.comparable("=", left, right, position)?;
                let ty = left.ty.clone();
                let expr = Expr::NullIf(Box::new(left.expr), Box::new(right.expr));
                Ok(Some(Typed { expr, ty, position }))
            }
            _ => Ok(None),
        }
    }

    /// ARRAY[…]
    pub(super) fn array(&mut self, items: &[ast::Expr], position: u32) -> Result<Typed, SqlError> {
        if items.is_empty() {
            let message = "cannot determine type of empty array";
            return Err(SqlError::new(sqlstate::INDETERMINATE_DATATYPE, message)
                .at(position)
                .hint("Explicitly cast to the desired type, for example ARRAY[]::integer[]."));
        }
        let values = items.iter().map(|item| self.expr(item)).collect::<Result<Vec<_>, _>>()?;
        let (items, element) = self.unify("ARRAY", values)?;
        if element.element().is_some() {
            return Err(SqlError::unsupported("an array of arrays").at(position));
        }
        let ty = DataType::array_of(element.clone());
        Ok(Typed { expr: Expr::Array { element, items }, ty, position })
    }

    /// `array[index]`
    pub(super) fn subscript(
        &mut self,
        operand: &ast::Expr,
        index: &ast::Expr,
        position: u32,
    ) -> Result<Typed, SqlError> {
        let array = self.value(operand)?;
        let Some(element) = array.ty.element() else {
            let name = array.ty.base_name();
            let message =
                format!("cannot subscript type {name} because it does not support subscripting");
            return Err(SqlError::new(sqlstate::DATATYPE_MISMATCH, message).at(position));
        };
        let base = match array.ty {
            DataType::Int2Vector | DataType::OidVector => 0,
            _ => 1,
        };
        let index = self.expr(index)?;
        let index = Box::new(self.coerce(index, &DataType::Int4)?.expr);
        let array = Box::new(array.expr);
        Ok(Typed { expr: Expr::Subscript { array, index, base }, ty: element, position })
    }

    /// `left op right` as a condition.
    pub(super) fn compare(
        &mut self,
        op: &str,
        compare: CompareOp,
        left: Typed,
        right: Typed,
        position: u32,
    ) -> Result<Typed, SqlError> {
        let (left, right) = self.comparable(op, left, right, position)?;
        Ok(boolean(Expr::compare(compare, left.expr, right.expr), position))
    }
}

/// "CASE types integer and text cannot be matched"
pub(super) fn no_common_type(
    what: &str,
    one: &DataType,
    other: &DataType,
    position: u32,
) -> SqlError {
    let message =
        format!("{what} types {} and {} cannot be matched", one.base_name(), other.base_name());
    let error = SqlError::new(sqlstate::DATATYPE_MISMATCH, message);
    if position == 0 { error } else { error.at(position) }
}
