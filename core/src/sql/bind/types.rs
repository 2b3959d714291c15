//! Types of the syntax tree as types of values, and the type that several values share.

use crate::base::error::{SqlError, sqlstate};
use crate::row::types::{CastContext, DataType, can_cast};
use crate::sql::parse::ast::TypeName;

/// The type that a type name means.
///
/// # Errors
///
/// 42704 if there is none, 0A000 if we do not have it, at its position.
pub(super) fn resolve(name: &TypeName) -> Result<DataType, SqlError> {
    let schema = name.name.schema().map(|schema| schema.text.as_str());
    if let Some(schema) = schema
        && schema != "pg_catalog"
    {
        let message = format!("type \"{}\" does not exist", name.name);
        return Err(SqlError::new(sqlstate::UNDEFINED_OBJECT, message).at(name.position));
    }
    let text = &name.name.name().text;
    // `"char"` in quotes: SQL's own spelling became bpchar in the parser.
    let text = if text == "char" { "\"char\"" } else { text.as_str() };
    let (text, array) = match text.strip_prefix('_') {
        Some(element) if DataType::from_sql_name(element, &[]).is_ok() => (element, true),
        _ => (text, name.array),
    };
    let ty =
        DataType::from_sql_name(text, &name.modifiers).map_err(|error| error.at(name.position))?;
    if array { Ok(DataType::array_of(ty)) } else { Ok(ty) }
}

/// The type that values of several types share in CASE, UNION, VALUES, COALESCE, IN and ARRAY.
///
/// # Errors
///
/// The two types that do not match.
pub(super) fn common<'a>(
    types: impl Iterator<Item = &'a DataType>,
) -> Result<DataType, (DataType, DataType)> {
    let mut chosen: Option<DataType> = None;
    let (mut same, mut literals) = (true, false);
    for ty in types {
        if *ty == DataType::Unknown {
            literals = true;
            continue;
        }
        let Some(current) = &chosen else {
            chosen = Some(ty.clone());
            continue;
        };
        if current == ty {
            continue;
        }
        same = false;
        if current.oid() == ty.oid() {
            continue;
        }
        if current.category() != ty.category() {
            return Err((current.clone(), ty.clone()));
        }
        let implicit = CastContext::Implicit;
        if !current.is_preferred()
            && can_cast(current, ty, implicit)
            && !can_cast(ty, current, implicit)
        {
            chosen = Some(ty.clone());
        } else if !can_cast(ty, current, implicit) {
            return Err((current.clone(), ty.clone()));
        }
    }
    match chosen {
        None => Ok(DataType::Text),
        // A literal takes the type without its modifier. Blanks of `char(n)` are the modifier's,
        // so it stays there: or the columns would lose theirs.
        Some(ty) if same && (!literals || matches!(ty, DataType::Char(_))) => Ok(ty),
        Some(ty) => Ok(ty.without_modifier()),
    }
}
