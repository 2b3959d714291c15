//! Functions and operators over `json` and `jsonb`.

use super::string_more::shown;
use super::{Args, Outcome, check_size, text};
use crate::base::error::{SqlError, SqlState, sqlstate};
use crate::row::datum::{Array, Datum};
use crate::row::eval::EvalContext;
use crate::row::json::{Json, parse, quote, raw_at};
use crate::row::numeric::Numeric;

fn tree(args: Args<'_>, index: usize) -> Result<Json, SqlError> {
    Ok(parse(args.str(index)?, "json")?.canonical())
}

fn invalid(message: &str) -> SqlError {
    SqlError::new(sqlstate::INVALID_PARAMETER_VALUE, message)
}

fn json(value: &Json) -> Outcome {
    let shown = value.to_string();
    check_size(shown.len())?;
    Ok(Datum::Json(shown.into()))
}

/// A step of a path as text; numbers are indexes into arrays.
fn step(args: Args<'_>) -> Result<String, SqlError> {
    match args.datum(1).as_i64() {
        Some(index) => Ok(index.to_string()),
        None => Ok(args.str(1)?.to_owned()),
    }
}

/// The steps of a path; `None` if one is null.
fn path(array: &Array) -> Option<Vec<&str>> {
    array.items.iter().map(Datum::as_str).collect()
}

/// `json -> key` and `json -> index` keep the text as it was written.
fn raw<'a>(args: Args<'a>, by_index: bool) -> Result<Option<&'a str>, SqlError> {
    let step = step(args)?;
    Ok(raw_at(args.str(0)?, &[&step], Some(by_index)))
}

pub(super) fn field(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let by_index = args.datum(1).as_i64().is_some();
    Ok(raw(args, by_index)?.map_or(Datum::Null, |found| Datum::Json(found.into())))
}

fn plain(found: Option<&str>) -> Outcome {
    let Some(found) = found else { return Ok(Datum::Null) };
    match parse(found, "json")? {
        Json::Null => Ok(Datum::Null),
        Json::String(value) => text(value),
        _ => text(found),
    }
}

pub(super) fn field_text(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    plain(raw(args, args.datum(1).as_i64().is_some())?)
}

pub(super) fn at_path(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let Some(path) = path(args.array(1)?) else { return Ok(Datum::Null) };
    let found = raw_at(args.str(0)?, &path, None);
    Ok(found.map_or(Datum::Null, |found| Datum::Json(found.into())))
}

pub(super) fn at_path_text(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let Some(path) = path(args.array(1)?) else { return Ok(Datum::Null) };
    plain(raw_at(args.str(0)?, &path, None))
}

pub(super) fn type_of(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    text(tree(args, 0)?.type_name())
}

pub(super) fn array_length(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    match tree(args, 0)? {
        Json::Array(items) => Ok(Datum::Int4(i32::try_from(items.len()).unwrap_or(i32::MAX))),
        Json::Object(_) => Err(invalid("cannot get array length of a non-array")),
        _ => Err(invalid("cannot get array length of a scalar")),
    }
}

pub(super) fn contains(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    Ok(Datum::Bool(tree(args, 0)?.contains(&tree(args, 1)?)))
}

pub(super) fn contained(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    Ok(Datum::Bool(tree(args, 1)?.contains(&tree(args, 0)?)))
}

/// Whether a string is a key of an object or an element of an array.
fn has_key(value: &Json, key: &str) -> bool {
    match value {
        Json::Object(_) => value.member(key).is_some(),
        Json::Array(items) => {
            items.iter().any(|item| matches!(item, Json::String(text) if text == key))
        }
        Json::String(text) => text == key,
        _ => false, // other scalars have no strings
    }
}

pub(super) fn exists(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    Ok(Datum::Bool(has_key(&tree(args, 0)?, args.str(1)?)))
}

pub(super) fn exists_any(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let value = tree(args, 0)?;
    let mut keys = args.array(1)?.items.iter().filter_map(Datum::as_str);
    Ok(Datum::Bool(keys.any(|key| has_key(&value, key))))
}

pub(super) fn exists_all(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let value = tree(args, 0)?;
    let mut keys = args.array(1)?.items.iter().filter_map(Datum::as_str);
    Ok(Datum::Bool(keys.all(|key| has_key(&value, key))))
}

pub(super) fn concat(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let joined = match (tree(args, 0)?, tree(args, 1)?) {
        (Json::Object(mut left), Json::Object(right)) => {
            left.extend(right);
            Json::Object(left).canonical()
        }
        (left, right) => {
            let items = |value: Json| match value {
                Json::Array(items) => items,
                other => vec![other],
            };
            let mut all = items(left);
            all.extend(items(right));
            Json::Array(all)
        }
    };
    json(&joined)
}

pub(super) fn delete(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let keys: Vec<&str> = match args.datum(1) {
        Datum::Array(array) => array.items.iter().filter_map(Datum::as_str).collect(),
        _ => vec![args.str(1)?], // one key
    };
    let mut value = tree(args, 0)?;
    match &mut value {
        Json::Object(members) => members.retain(|(key, _)| !keys.contains(&key.as_str())),
        Json::Array(items) => items
            .retain(|item| !matches!(item, Json::String(text) if keys.contains(&text.as_str()))),
        _ => return Err(invalid("cannot delete from scalar")),
    }
    json(&value)
}

pub(super) fn delete_index(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (mut value, index) = (tree(args, 0)?, args.i64(1)?);
    match &mut value {
        Json::Array(items) => {
            let at = if index < 0 { index + items.len() as i64 } else { index };
            if let Some(at) = usize::try_from(at).ok().filter(|at| *at < items.len()) {
                items.remove(at);
            }
        }
        Json::Object(_) => {
            return Err(invalid("cannot delete from object using integer index"));
        }
        _ => return Err(invalid("cannot delete from scalar")),
    }
    json(&value)
}

/// What a change of a path does at its end.
enum Change<'a> {
    Delete,
    Set { value: &'a Json, create: bool },
}

fn change(here: &mut Json, path: &[&str], what: &Change<'_>) -> Result<(), SqlError> {
    let Some((step, rest)) = path.split_first() else { return Ok(()) };
    match here {
        Json::Object(members) => {
            let at = members.iter().position(|(key, _)| key == step);
            match (at, rest.is_empty(), what) {
                (Some(at), false, _) => change(&mut members[at].1, rest, what)?,
                (Some(at), true, Change::Delete) => drop(members.remove(at)),
                (Some(at), true, Change::Set { value, .. }) => members[at].1 = (*value).clone(),
                (None, true, Change::Set { value, create: true }) => {
                    members.push(((*step).to_owned(), (*value).clone()));
                }
                (None, _, _) => {} // nothing there
            }
        }
        Json::Array(items) => {
            let index: i64 = step.parse().map_err(|_| {
                let message = format!("path element at position 1 is not an integer: \"{step}\"");
                SqlError::new(sqlstate::INVALID_TEXT_REPRESENTATION, message)
            })?;
            let len = items.len() as i64;
            let at = if index < 0 { index + len } else { index };
            let inside = usize::try_from(at).ok().filter(|at| *at < items.len());
            match (inside, rest.is_empty(), what) {
                (Some(at), false, _) => change(&mut items[at], rest, what)?,
                (Some(at), true, Change::Delete) => drop(items.remove(at)),
                (Some(at), true, Change::Set { value, .. }) => items[at] = (*value).clone(),
                (None, true, Change::Set { value, create: true }) => {
                    let end = if at < 0 { 0 } else { items.len() };
                    items.insert(end, (*value).clone());
                }
                (None, _, _) => {} // nothing there
            }
        }
        _ => {} // a scalar has nothing below it
    }
    Ok(())
}

pub(super) fn delete_path(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let mut value = tree(args, 0)?;
    if !matches!(value, Json::Object(_) | Json::Array(_)) {
        return Err(invalid("cannot delete path in scalar"));
    }
    let Some(path) = path(args.array(1)?) else { return Ok(Datum::Null) };
    change(&mut value, &path, &Change::Delete)?;
    json(&value)
}

pub(super) fn set(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (mut value, new) = (tree(args, 0)?, tree(args, 2)?);
    if !matches!(value, Json::Object(_) | Json::Array(_)) {
        return Err(invalid("cannot set path in scalar"));
    }
    let Some(path) = path(args.array(1)?) else { return Ok(Datum::Null) };
    let create = args.len() < 4 || args.bool(3)?;
    change(&mut value, &path, &Change::Set { value: &new, create })?;
    json(&value.canonical())
}

pub(super) fn strip_nulls(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    fn strip(value: Json) -> Json {
        match value {
            Json::Object(members) => Json::Object(
                members
                    .into_iter()
                    .filter(|(_, value)| !matches!(value, Json::Null))
                    .map(|(key, value)| (key, strip(value)))
                    .collect(),
            ),
            Json::Array(items) => Json::Array(items.into_iter().map(strip).collect()),
            scalar => scalar,
        }
    }
    json(&strip(tree(args, 0)?))
}

pub(super) fn pretty(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    fn write(out: &mut String, value: &Json, indent: usize) {
        let line = |out: &mut String, indent: usize| {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * 4));
        };
        match value {
            Json::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    line(out, indent + 1);
                    write(out, item, indent + 1);
                }
                line(out, indent);
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                for (at, (key, member)) in members.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    line(out, indent + 1);
                    quote(out, key);
                    out.push_str(": ");
                    write(out, member, indent + 1);
                }
                line(out, indent);
                out.push('}');
            }
            scalar => out.push_str(&scalar.to_string()),
        }
    }
    let mut out = String::new();
    write(&mut out, &tree(args, 0)?, 0);
    check_size(out.len())?;
    text(out)
}

/// A value of SQL as JSON.
pub(in crate::row) fn from_datum(
    datum: &Datum,
    context: &EvalContext<'_>,
) -> Result<Json, SqlError> {
    Ok(match datum {
        Datum::Null => Json::Null,
        Datum::Bool(value) => Json::Bool(*value),
        Datum::Int2(_) | Datum::Int4(_) | Datum::Int8(_) => {
            Json::Number(Numeric::from(datum.as_i64().unwrap_or(0)))
        }
        Datum::Numeric(value) if value.is_finite() => Json::Number(value.clone()),
        Datum::Float4(value) if value.is_finite() => {
            Json::Number(Numeric::parse(&shown(datum, context))?)
        }
        Datum::Float8(value) if value.is_finite() => {
            Json::Number(Numeric::parse(&shown(datum, context))?)
        }
        Datum::Json(value) => parse(value, "json")?,
        Datum::Array(array) => {
            let items: Result<Vec<Json>, SqlError> =
                array.items.iter().map(|item| from_datum(item, context)).collect();
            Json::Array(items?)
        }
        // ISO 8601 has a T where SQL has a blank.
        Datum::Timestamp(_) | Datum::Timestamptz(_) => {
            let text = shown(datum, context).replacen(' ', "T", 1);
            Json::String(match (datum, text.rfind(['+', '-'])) {
                (Datum::Timestamptz(_), Some(at)) if text.len() - at == 3 => text + ":00",
                _ => text, // an offset with minutes, or none
            })
        }
        _ => Json::String(shown(datum, context)),
    })
}

pub(super) fn to_json(args: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    // `json` keeps the text that it has.
    match args.datum(0) {
        kept @ Datum::Json(_) => Ok(kept.clone()),
        Datum::Array(array) => {
            let parts: Result<Vec<String>, SqlError> =
                array.items.iter().map(|item| Ok(from_datum(item, context)?.to_string())).collect();
            Ok(Datum::Json(format!("[{}]", parts?.join(",")).into()))
        }
        Datum::Float4(_) | Datum::Float8(_) => match from_datum(args.datum(0), context)? {
            // As the float is shown, with its exponent.
            Json::Number(_) => Ok(Datum::Json(shown(args.datum(0), context).into())),
            other => json(&other),
        },
        other => json(&from_datum(other, context)?),
    }
}

pub(super) fn to_jsonb(args: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    json(&from_datum(args.datum(0), context)?.canonical())
}

/// Keys and values in turn.
fn pairs(args: Args<'_>, context: &EvalContext<'_>) -> Result<Vec<(String, Json)>, SqlError> {
    if !args.len().is_multiple_of(2) {
        return Err(invalid("argument list must have even number of elements")
            .hint("The arguments of this function must consist of alternating keys and values."));
    }
    args.0
        .chunks_exact(2)
        .enumerate()
        .map(|(at, pair)| {
            if pair[0].is_null() {
                let message = format!("argument {}: key must not be null", at * 2 + 1);
                return Err(SqlError::new(SqlState::new("22004"), message));
            }
            Ok((shown(&pair[0], context), from_datum(&pair[1], context)?))
        })
        .collect()
}

pub(super) fn build_object(args: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    let mut out = String::from("{");
    for (at, (key, value)) in pairs(args, context)?.iter().enumerate() {
        out.push_str(if at == 0 { "" } else { ", " });
        quote(&mut out, key);
        out.push_str(" : ");
        out.push_str(&value.to_string());
        check_size(out.len())?;
    }
    out.push('}');
    Ok(Datum::Json(out.into()))
}

pub(super) fn build_object_b(args: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    json(&Json::Object(pairs(args, context)?).canonical())
}

pub(super) fn build_array(args: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    let items: Result<Vec<Json>, SqlError> =
        args.0.iter().map(|item| from_datum(item, context)).collect();
    json(&Json::Array(items?).canonical())
}
