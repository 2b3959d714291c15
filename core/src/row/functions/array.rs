//! Functions over arrays.

use super::string_more::shown;
use super::{Args, Outcome, check_size, text};
use crate::row::datum::{Array, Datum};
use crate::row::eval::EvalContext;
use crate::row::types::DataType;

fn int(value: usize) -> Datum {
    Datum::Int4(i32::try_from(value).unwrap_or(i32::MAX))
}

/// `array_length` and `array_upper`: null for empty arrays and other dimensions.
pub(super) fn length(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let array = args.array(0)?;
    let there = args.i64(1)? == 1 && !array.items.is_empty();
    Ok(if there { int(array.items.len()) } else { Datum::Null })
}

pub(super) fn lower_bound(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let there = args.i64(1)? == 1 && !args.array(0)?.items.is_empty();
    Ok(if there { Datum::Int4(1) } else { Datum::Null })
}

pub(super) fn dimensions(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let empty = args.array(0)?.items.is_empty();
    Ok(if empty { Datum::Null } else { Datum::Int4(1) })
}

pub(super) fn cardinality(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    Ok(int(args.array(0)?.items.len()))
}

fn items(datum: &Datum) -> &[Datum] {
    match datum {
        Datum::Array(array) => &array.items,
        _ => &[], // null counts as empty
    }
}

fn element(datum: &Datum) -> Option<DataType> {
    match datum {
        Datum::Array(array) => Some(array.element.clone()),
        _ => None, // null has no elements
    }
}

pub(super) fn append(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (array, item) = (args.datum(0), args.datum(1));
    let element = element(array).unwrap_or_else(|| item.natural_type());
    let mut joined = items(array).to_vec();
    joined.push(item.clone());
    Ok(Datum::array(element, joined))
}

pub(super) fn prepend(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (item, array) = (args.datum(0), args.datum(1));
    let element = element(array).unwrap_or_else(|| item.natural_type());
    let mut joined = vec![item.clone()];
    joined.extend_from_slice(items(array));
    Ok(Datum::array(element, joined))
}

pub(super) fn concat(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (left, right) = (args.datum(0), args.datum(1));
    let Some(element) = element(left).or_else(|| element(right)) else { return Ok(Datum::Null) };
    Ok(Datum::array(element, [items(left), items(right)].concat()))
}

pub(super) fn position(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    if args.datum(0).is_null() {
        return Ok(Datum::Null);
    }
    let found = items(args.datum(0)).iter().position(|item| item == args.datum(1));
    Ok(found.map_or(Datum::Null, |at| int(at + 1)))
}

pub(super) fn remove(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    if args.datum(0).is_null() {
        return Ok(Datum::Null);
    }
    let array = args.array(0)?;
    let kept = array.items.iter().filter(|item| *item != args.datum(1)).cloned().collect();
    Ok(Datum::array(array.element.clone(), kept))
}

pub(super) fn to_string(args: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    if args.datum(0).is_null() {
        return Ok(Datum::Null);
    }
    let Some(separator) = args.datum(1).as_str() else { return Ok(Datum::Null) };
    let for_null = args.datum(2).as_str();
    let mut out = String::new();
    let mut first = true;
    for item in &args.array(0)?.items {
        let part = match (item.is_null(), for_null) {
            (true, None) => continue,
            (true, Some(word)) => word.to_owned(),
            (false, _) => shown(item, context),
        };
        if !first {
            out.push_str(separator);
        }
        first = false;
        out.push_str(&part);
        check_size(out.len())?;
    }
    text(out)
}

pub(super) fn from_string(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let Some(string) = args.datum(0).as_str() else { return Ok(Datum::Null) };
    let null_word = args.datum(2).as_str();
    let item = |part: &str| {
        if Some(part) == null_word { Datum::Null } else { Datum::text(part) }
    };
    let items = match args.datum(1).as_str() {
        _ if string.is_empty() => Vec::new(),
        None => string.chars().map(|c| item(c.encode_utf8(&mut [0; 4]))).collect(),
        Some("") => vec![item(string)],
        Some(separator) => string.split(separator).map(item).collect(),
    };
    Ok(Datum::array(DataType::Text, items))
}

/// Whether every element of `part` is in `whole`; nulls are in nothing.
fn contains(whole: &Array, part: &Array) -> bool {
    part.items.iter().all(|item| !item.is_null() && whole.items.contains(item))
}

pub(super) fn contains_fn(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    Ok(Datum::Bool(contains(args.array(0)?, args.array(1)?)))
}

pub(super) fn contained_fn(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    Ok(Datum::Bool(contains(args.array(1)?, args.array(0)?)))
}

pub(super) fn overlaps(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (left, right) = (args.array(0)?, args.array(1)?);
    let shared = left.items.iter().any(|item| !item.is_null() && right.items.contains(item));
    Ok(Datum::Bool(shared))
}
