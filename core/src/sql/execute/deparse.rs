//! Expressions of the catalog as text: column defaults, in the form that `pg_get_expr` prints and
//! the parser reads again.

use crate::base::error::{SqlError, sqlstate};
use crate::row::types::DataType;
use crate::sql::parse::ast::{Expr, ExprKind, FunctionCall, Literal, TypeName};

/// Longest text of a default.
const DEFAULT_BYTES_MAX: usize = 16 << 10;

/// A default of a column of this type.
pub(crate) fn default_text(expr: &Expr, ty: &DataType) -> Result<String, SqlError> {
    let mut out = String::new();
    match &expr.kind {
        // PostgreSQL gives an unknown literal the column's type, and shows it.
        ExprKind::Literal(Literal::String(text)) => {
            out.push_str(&format!("{}::{}", quoted(text), ty.base_name()));
        }
        ExprKind::Literal(Literal::Null) => out.push_str(&format!("NULL::{}", ty.base_name())),
        _ => put(&mut out, expr)?, // shown as written
    }
    if DEFAULT_BYTES_MAX < out.len() {
        let message = "the default expression is too long";
        return Err(SqlError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message).at(expr.position));
    }
    Ok(out)
}

fn put(out: &mut String, expr: &Expr) -> Result<(), SqlError> {
    match &expr.kind {
        ExprKind::Literal(literal) => put_literal(out, literal),
        ExprKind::Unary { op, operand } => match &operand.kind {
            ExprKind::Literal(Literal::Number(number)) if op == "-" => {
                out.push_str(&format!("'-{number}'::{}", number_type(number)));
            }
            _ => {
                out.push_str(&format!("({op} "));
                put(out, operand)?;
                out.push(')');
            }
        },
        ExprKind::Binary { op, left, right } => {
            out.push('(');
            put(out, left)?;
            out.push_str(&format!(" {op} "));
            put(out, right)?;
            out.push(')');
        }
        ExprKind::Cast { operand, ty } => {
            match &operand.kind {
                ExprKind::Literal(Literal::String(text)) => out.push_str(&quoted(text)),
                _ => {
                    out.push('(');
                    put(out, operand)?;
                    out.push(')');
                }
            }
            out.push_str(&format!("::{}", type_text(ty)?));
        }
        ExprKind::Function(call) => put_call(out, call)?,
        ExprKind::Column(parts) => {
            let message = "cannot use column reference in DEFAULT expression";
            let position = parts.first().map_or(expr.position, |part| part.position);
            return Err(SqlError::new(sqlstate::FEATURE_NOT_SUPPORTED, message).at(position));
        }
        _ => {
            return Err(SqlError::unsupported("this kind of default expression").at(expr.position));
        }
    }
    Ok(())
}

fn put_literal(out: &mut String, literal: &Literal) {
    match literal {
        Literal::Null => out.push_str("NULL"),
        Literal::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Literal::Number(number) => out.push_str(number),
        Literal::String(text) => out.push_str(&quoted(text)),
    }
}

fn number_type(number: &str) -> &'static str {
    if number.parse::<i32>().is_ok() {
        "integer"
    } else if number.parse::<i64>().is_ok() {
        "bigint"
    } else {
        "numeric"
    }
}

fn put_call(out: &mut String, call: &FunctionCall) -> Result<(), SqlError> {
    let name = call.name.to_string();
    if call.bare {
        out.push_str(&name.to_uppercase());
        return Ok(());
    }
    if call.distinct || call.star || !call.order_by.is_empty() || call.filter.is_some() {
        let message = "aggregate functions are not allowed in DEFAULT expressions";
        return Err(SqlError::new(sqlstate::GROUPING_ERROR, message).at(call.name.position()));
    }
    out.push_str(&name);
    out.push('(');
    for (at, arg) in call.args.iter().enumerate() {
        if 0 < at {
            out.push_str(", ");
        }
        match (&arg.kind, name.as_str()) {
            (ExprKind::Literal(Literal::String(text)), "nextval" | "currval" | "setval")
                if at == 0 =>
            {
                out.push_str(&format!("{}::regclass", quoted(text)));
            }
            _ => put(out, arg)?, // as written
        }
    }
    out.push(')');
    Ok(())
}

fn type_text(ty: &TypeName) -> Result<String, SqlError> {
    Ok(super::ddl::data_type(ty)?.name())
}

/// A string literal.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// An identifier, quoted if it must be.
pub(crate) fn identifier(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// An identifier within a string literal: `nextval('"T_id_seq"')`.
pub(crate) fn quoted_in_literal(name: &str) -> String {
    identifier(name).replace('\'', "''")
}
