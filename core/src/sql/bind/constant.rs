//! Literals.

use super::binder::Typed;
use crate::base::error::SqlError;
use crate::row::datum::Datum;
use crate::row::eval::Expr;
use crate::row::numeric::Numeric;
use crate::row::types::DataType;
use crate::sql::parse::ast::Literal;

/// A literal's value: integers are int4 if they fit, then int8, then numeric; strings and NULL have no
/// type yet.
pub(super) fn literal(literal: &Literal, position: u32) -> Result<Typed, SqlError> {
    let (datum, ty) = match literal {
        Literal::Null => (Datum::Null, DataType::Unknown),
        Literal::Bool(value) => (Datum::Bool(*value), DataType::Bool),
        Literal::String(text) => (Datum::text(text), DataType::Unknown),
        Literal::Number(digits) => return number(digits, position),
    };
    Ok(Typed { expr: Expr::Const(datum, ty.clone()), ty, position })
}

fn number(digits: &str, position: u32) -> Result<Typed, SqlError> {
    let (datum, ty) = if let Ok(small) = digits.parse::<i32>() {
        (Datum::Int4(small), DataType::Int4)
    } else if let Ok(large) = digits.parse::<i64>() {
        (Datum::Int8(large), DataType::Int8)
    } else {
        let numeric = Numeric::parse(digits).map_err(|error| error.at(position))?;
        (Datum::Numeric(numeric), DataType::NUMERIC)
    };
    Ok(Typed { expr: Expr::Const(datum, ty.clone()), ty, position })
}
