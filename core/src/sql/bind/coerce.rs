//! Casts: those that are written, those that happen.

use super::binder::{Binder, Typed};
use crate::base::error::{SqlError, sqlstate};
use crate::row::datetime::Zone;
use crate::row::datum::Datum;
use crate::row::eval::{EvalContext, Expr, cast, const_fold};
use crate::row::types::{CastContext, DataType, can_cast};

impl Binder<'_> {
    /// The value as a `to`; `None` if there is no such cast in this context.
    pub(super) fn try_coerce(
        &mut self,
        value: Typed,
        to: &DataType,
        context: CastContext,
    ) -> Result<Option<Typed>, SqlError> {
        if value.ty == *to {
            return Ok(Some(value));
        }
        if let (Expr::Param(index), DataType::Unknown) = (&value.expr, &value.ty) {
            self.decide(*index, to);
            let ty = to.without_modifier();
            let typed = Typed { ty, ..value };
            return if typed.ty == *to {
                Ok(Some(typed))
            } else {
                Ok(Some(cast_to(typed, to, context)?))
            };
        }
        if !can_cast(&value.ty, to, context) {
            return Ok(None);
        }
        if value.ty.oid() == to.oid() && to.typmod() == -1 {
            return Ok(Some(Typed { ty: to.clone(), ..value }));
        }
        Ok(Some(cast_to(value, to, context)?))
    }

    /// The value as a `to`, implicitly.
    pub(super) fn coerce(&mut self, value: Typed, to: &DataType) -> Result<Typed, SqlError> {
        let (from, position) = (value.ty.clone(), value.position);
        match self.try_coerce(value, to, CastContext::Implicit)? {
            Some(value) => Ok(value),
            None => Err(cannot_cast(&from, to, position)),
        }
    }

    /// The value as a boolean; `what` is the clause for the message.
    pub(super) fn boolean(&mut self, value: Typed, what: &str) -> Result<Typed, SqlError> {
        let (from, position) = (value.ty.base_name().into_owned(), value.position);
        match self.try_coerce(value, &DataType::Bool, CastContext::Implicit)? {
            Some(value) => Ok(value),
            None => {
                let message = format!("argument of {what} must be type boolean, not type {from}");
                Err(SqlError::new(sqlstate::DATATYPE_MISMATCH, message).at(position))
            }
        }
    }

    /// The value as it is stored into a column.
    pub(super) fn assign(
        &mut self,
        value: Typed,
        to: &DataType,
        column: &str,
    ) -> Result<Expr, SqlError> {
        let (from, position) = (value.ty.base_name().into_owned(), value.position);
        match self.try_coerce(value, to, CastContext::Assignment)? {
            Some(value) => Ok(value.expr),
            None => {
                let message = format!(
                    "column \"{column}\" is of type {} but expression is of type {from}",
                    to.base_name()
                );
                let error = SqlError::new(sqlstate::DATATYPE_MISMATCH, message)
                    .hint("You will need to rewrite or cast the expression.");
                Err(if position == 0 { error } else { error.at(position) })
            }
        }
    }

    /// A value of undecided type becomes text.
    pub(super) fn decided(&mut self, value: Typed) -> Result<Typed, SqlError> {
        if value.ty == DataType::Unknown { self.coerce(value, &DataType::Text) } else { Ok(value) }
    }

    /// The type of a parameter is known from now on.
    fn decide(&mut self, index: usize, ty: &DataType) {
        if let Some(slot) = self.parameters.get_mut(index)
            && slot.is_none()
        {
            *slot = Some(ty.without_modifier());
        }
    }
}

/// "cannot cast type x to y"
pub(super) fn cannot_cast(from: &DataType, to: &DataType, position: u32) -> SqlError {
    let message = format!("cannot cast type {} to {}", from.base_name(), to.base_name());
    SqlError::new(sqlstate::CANNOT_COERCE, message).at(position)
}

/// The cast itself; a literal is read now, so that its error has a position.
pub(super) fn cast_to(
    value: Typed,
    to: &DataType,
    context: CastContext,
) -> Result<Typed, SqlError> {
    let Typed { expr, ty, position } = value;
    let explicit = context == CastContext::Explicit;
    if let Expr::Const(Datum::Null, _) = expr {
        return Ok(Typed { expr: Expr::Const(Datum::Null, to.clone()), ty: to.clone(), position });
    }
    let cast_expr = Expr::Cast {
        expr: Box::new(expr.clone()),
        from: ty.clone(),
        to: to.clone(),
        explicit: explicit || ty == DataType::Unknown && !limits_length(to),
    };
    let zone = Zone::default();
    let surroundings = EvalContext::new(&zone);
    let folded = const_fold(cast_expr, &surroundings);
    if let (Expr::Cast { explicit, .. }, Expr::Const(datum, _)) = (&folded, &expr)
        && reads_alone(to)
        && ty == DataType::Unknown
        && let Err(error) = cast(datum, &ty, to, *explicit, &surroundings)
    {
        return Err(if position == 0 { error } else { error.at(position) });
    }
    Ok(Typed { expr: folded, ty: to.clone(), position })
}

/// Types with a length that refuse a longer string unless the cast is written.
fn limits_length(ty: &DataType) -> bool {
    matches!(ty, DataType::Varchar(Some(_)) | DataType::Char(Some(_)))
}

/// Types whose text form means the same in every session.
fn reads_alone(ty: &DataType) -> bool {
    matches!(
        ty,
        DataType::Bool
            | DataType::Int2
            | DataType::Int4
            | DataType::Int8
            | DataType::Float4
            | DataType::Float8
            | DataType::Numeric { .. }
            | DataType::Uuid
            | DataType::Bytea
            | DataType::Oid
            | DataType::Varchar(_)
            | DataType::Char(_)
            | DataType::Json
    )
}
