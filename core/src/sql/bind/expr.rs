//! Expressions: which kind goes where, and names of columns.

use super::binder::{Binder, Typed};
use super::coerce::{cannot_cast, cast_to};
use super::scope::Lookup;
use super::{constant, types};
use crate::base::error::{SqlError, sqlstate};
use crate::base::limit;
use crate::row::eval::Expr;
use crate::row::types::{CastContext, DataType};
use crate::sql::parse::ast::{self, ExprKind, Name, TypeName};
use crate::sql::parse::with_stack;

impl Binder<'_> {
    /// Binds an expression.
    pub(super) fn expr(&mut self, expr: &ast::Expr) -> Result<Typed, SqlError> {
        with_stack(|| self.expr_level(expr))
    }

    /// Binds an expression and gives it a type if nothing else has.
    pub(super) fn value(&mut self, expr: &ast::Expr) -> Result<Typed, SqlError> {
        let typed = self.expr(expr)?;
        self.decided(typed)
    }

    /// Binds a condition; `what` is its clause, for the message.
    pub(super) fn condition(&mut self, expr: &ast::Expr, what: &str) -> Result<Expr, SqlError> {
        let typed = self.expr(expr)?;
        Ok(self.boolean(typed, what)?.expr)
    }

    fn expr_level(&mut self, expr: &ast::Expr) -> Result<Typed, SqlError> {
        let position = expr.position;
        match &expr.kind {
            ExprKind::Literal(literal) => constant::literal(literal, position),
            ExprKind::Param(number) => self.parameter(*number, position),
            ExprKind::Column(names) => self.column(names, position),
            ExprKind::Unary { op, operand } => self.unary(op, operand, position),
            ExprKind::Binary { op, left, right } => self.binary(op, left, right, position),
            ExprKind::And(items) => self.connective(items, position, "AND"),
            ExprKind::Or(items) => self.connective(items, position, "OR"),
            ExprKind::Not(operand) => {
                let operand = self.condition(operand, "NOT")?;
                Ok(boolean(Expr::Not(Box::new(operand)), position))
            }
            ExprKind::IsNull { .. }
            | ExprKind::IsBool { .. }
            | ExprKind::IsDistinct { .. }
            | ExprKind::InList { .. }
            | ExprKind::InQuery { .. }
            | ExprKind::Between { .. }
            | ExprKind::Like { .. }
            | ExprKind::AnyAll { .. }
            | ExprKind::AnyAllQuery { .. } => self.predicate(expr),
            ExprKind::Cast { operand, ty } => self.cast(operand, ty, position),
            ExprKind::Function(call) => self.call(call, position),
            ExprKind::Case { operand, branches, otherwise } => {
                self.case(operand.as_deref(), branches, otherwise.as_deref(), position)
            }
            ExprKind::Exists(_) | ExprKind::ScalarQuery(_) | ExprKind::ArrayQuery(_) => {
                self.subquery(expr)
            }
            ExprKind::Array(items) => self.array(items, position),
            ExprKind::Row(_) => Err(SqlError::unsupported("a row value").at(position)),
            ExprKind::Subscript { operand, index } => self.subscript(operand, index, position),
            ExprKind::Collate { operand, collation } => {
                let name = collation.name().text.as_str();
                if !["default", "C", "POSIX", "C.UTF-8", "ucs_basic"].contains(&name) {
                    let what = format!("collation \"{name}\"");
                    return Err(SqlError::unsupported(what).at(position));
                }
                let operand = self.expr(operand)?;
                self.decided(operand)
            }
            ExprKind::Default => {
                let message = "DEFAULT is not allowed in this context";
                Err(SqlError::new(sqlstate::SYNTAX_ERROR, message).at(position))
            }
        }
    }

    fn connective(
        &mut self,
        items: &[ast::Expr],
        position: u32,
        what: &str,
    ) -> Result<Typed, SqlError> {
        let items =
            items.iter().map(|item| self.condition(item, what)).collect::<Result<Vec<_>, _>>()?;
        let expr = if what == "AND" { Expr::And(items) } else { Expr::Or(items) };
        Ok(boolean(expr, position))
    }

    fn parameter(&mut self, number: u32, position: u32) -> Result<Typed, SqlError> {
        let index = number as usize - 1;
        if limit::PARAMETERS_MAX <= index {
            let message = format!("there is no parameter ${number}");
            return Err(SqlError::new(sqlstate::UNDEFINED_PARAMETER, message).at(position));
        }
        if self.parameters.len() <= index {
            self.parameters.resize(index + 1, None);
        }
        let ty = self.parameters[index].clone().unwrap_or(DataType::Unknown);
        Ok(Typed { expr: Expr::Param(index), ty, position })
    }

    /// A column of this level or of one around it.
    pub(super) fn column(&mut self, names: &[Name], position: u32) -> Result<Typed, SqlError> {
        for depth in (0..self.levels.len()).rev() {
            let lookup = match names {
                [name] => self.levels[depth].scope.by_name(&name.text),
                [table, name] => self.levels[depth].scope.by_table(None, &table.text, &name.text),
                [schema, table, name] => {
                    let schema = Some(schema.text.as_str());
                    self.levels[depth].scope.by_table(schema, &table.text, &name.text)
                }
                _ => return Err(SqlError::unsupported("a column of a database").at(position)),
            };
            match lookup {
                Lookup::Column(column) => {
                    let (index, ty) = (column.index, column.ty.clone());
                    return Ok(self.found(depth, index, ty, position));
                }
                Lookup::Ambiguous => {
                    let name = names.last().map_or("", |name| name.text.as_str());
                    let message = format!("column reference \"{name}\" is ambiguous");
                    let state = sqlstate::AMBIGUOUS_COLUMN;
                    return Err(SqlError::new(state, message).at(position));
                }
                Lookup::NoColumn => return Err(no_column(names, position)),
                Lookup::Nothing => {}
            }
        }
        Err(self.unknown_column(names, position))
    }

    fn found(&mut self, depth: usize, index: usize, ty: DataType, position: u32) -> Typed {
        let level = &mut self.levels[depth];
        if !level.in_aggregate && !level.named.iter().any(|(named, _)| *named == index) {
            level.named.push((index, position));
        }
        let expr = if depth + 1 == self.levels.len() {
            Expr::Column(index)
        } else {
            self.capture(depth, index, &ty)
        };
        Typed { expr, ty, position }
    }

    fn unknown_column(&self, names: &[Name], position: u32) -> SqlError {
        match names {
            [_] => no_column(names, position),
            [.., table, _] => {
                let message = format!("missing FROM-clause entry for table \"{table}\"");
                let mut error = SqlError::new(sqlstate::UNDEFINED_TABLE, message).at(position);
                let aliased = self.levels.last().is_some_and(|level| {
                    level.scope.columns.iter().any(|c| c.schema.as_deref() == Some(&table.text))
                });
                if aliased {
                    error = error.hint("Perhaps you meant to reference the table alias.");
                }
                error
            }
            [] => SqlError::new(sqlstate::UNDEFINED_COLUMN, "a column without a name"),
        }
    }

    fn cast(
        &mut self,
        operand: &ast::Expr,
        ty: &TypeName,
        position: u32,
    ) -> Result<Typed, SqlError> {
        let to = types::resolve(ty)?;
        let value = match (&operand.kind, &to) {
            // `ARRAY[]::int[]` takes its element type from the cast.
            (ExprKind::Array(items), DataType::Array(element)) if items.is_empty() => {
                let items = Vec::new();
                let expr = Expr::Array { element: (**element).clone(), items };
                return Ok(Typed { expr, ty: to, position });
            }
            _ => self.expr(operand)?,
        };
        let from = value.ty.clone();
        if from == to {
            return Ok(value);
        }
        let at =
            if matches!(operand.kind, ExprKind::Literal(_)) { operand.position } else { position };
        if from == DataType::Unknown && matches!(value.expr, Expr::Param(_)) {
            return self.coerce(value, &to);
        }
        if !crate::row::types::can_cast(&from, &to, CastContext::Explicit) {
            return Err(cannot_cast(&from, &to, position));
        }
        cast_to(Typed { position: at, ..value }, &to, CastContext::Explicit)
    }

    /// Whether aggregates may stand here; else PostgreSQL's error.
    pub(super) fn check_aggregate_place(&mut self, position: u32) -> Result<(), SqlError> {
        let level = self.level();
        let message = if level.in_aggregate {
            "aggregate function calls cannot be nested".to_owned()
        } else {
            match level.clause.refuses_aggregates() {
                None => return Ok(()),
                Some(place) => format!("aggregate functions are not allowed in {place}"),
            }
        };
        Err(SqlError::new(sqlstate::GROUPING_ERROR, message).at(position))
    }
}

/// A value of type boolean.
pub(super) fn boolean(expr: Expr, position: u32) -> Typed {
    Typed { expr, ty: DataType::Bool, position }
}

fn no_column(names: &[Name], position: u32) -> SqlError {
    let message = match names {
        [.., table, name] => format!("column {table}.{name} does not exist"),
        [name] => format!("column \"{name}\" does not exist"),
        [] => "a column without a name".to_owned(),
    };
    SqlError::new(sqlstate::UNDEFINED_COLUMN, message).at(position)
}
