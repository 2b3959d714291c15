//! Functions over strings: lengths, parts and positions. All count characters, not bytes.

use super::{Args, Outcome, check_size, text};
use crate::base::error::{SqlError, sqlstate};
use crate::row::datum::Datum;
use crate::row::eval::EvalContext;

fn int(value: usize) -> Datum {
    Datum::Int4(i32::try_from(value).unwrap_or(i32::MAX))
}

pub(super) fn char_length(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let string = args.str(0)?;
    Ok(int(if string.is_ascii() { string.len() } else { string.chars().count() }))
}

pub(super) fn octet_length(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    Ok(int(args.str(0)?.len()))
}

pub(super) fn bit_length(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    Ok(int(args.str(0)?.len() * 8))
}

pub(super) fn upper(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    // Character by character: libc does not turn ß into SS.
    text(args.str(0)?.chars().map(|c| single(c, c.to_uppercase())).collect::<String>())
}

pub(super) fn lower(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    text(args.str(0)?.chars().map(|c| single(c, c.to_lowercase())).collect::<String>())
}

fn single(c: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c, // several characters, or none
    }
}

pub(super) fn initcap(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let mut inside = false;
    let mapped = args.str(0)?.chars().map(|c| {
        let out = if inside { single(c, c.to_lowercase()) } else { single(c, c.to_uppercase()) };
        inside = c.is_alphanumeric();
        out
    });
    text(mapped.collect::<String>())
}

/// The part of `len` items that SQL's substring names by a start from 1 and a count.
pub(super) fn window(
    start: i64,
    count: Option<i64>,
    len: usize,
) -> Result<(usize, usize), SqlError> {
    let end = match count {
        None => i64::MAX,
        Some(count) if count < 0 => {
            let message = "negative substring length not allowed";
            return Err(SqlError::new(sqlstate::SUBSTRING_ERROR, message));
        }
        Some(count) => start.saturating_add(count),
    };
    let clamp = |at: i64| usize::try_from(at - 1).unwrap_or(0).min(len);
    let from = clamp(start.max(1));
    Ok((from, clamp(end.max(1)).max(from)))
}

/// Characters `from..to` of a string.
fn slice(string: &str, from: usize, to: usize) -> &str {
    if string.is_ascii() {
        return &string[from..to];
    }
    let mut offsets = string.char_indices().map(|(at, _)| at).chain([string.len()]);
    let start = offsets.nth(from).unwrap_or(string.len());
    let end = if from < to { offsets.nth(to - from - 1).unwrap_or(string.len()) } else { start };
    &string[start..end]
}

fn count_chars(string: &str) -> usize {
    if string.is_ascii() { string.len() } else { string.chars().count() }
}

pub(super) fn substr(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let string = args.str(0)?;
    let count = if args.len() < 3 { None } else { Some(args.i64(2)?) };
    let (from, to) = window(args.i64(1)?, count, count_chars(string))?;
    text(slice(string, from, to))
}

pub(super) fn left(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (string, n) = (args.str(0)?, args.i64(1)?);
    let len = count_chars(string);
    let keep = if n < 0 { len as i64 + n } else { n };
    text(slice(string, 0, usize::try_from(keep).unwrap_or(0).min(len)))
}

pub(super) fn right(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (string, n) = (args.str(0)?, args.i64(1)?);
    let len = count_chars(string);
    let keep = if n < 0 { len as i64 + n } else { n };
    text(slice(string, len - usize::try_from(keep).unwrap_or(0).min(len), len))
}

pub(super) fn strpos(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (string, part) = (args.str(0)?, args.str(1)?);
    Ok(int(string.find(part).map_or(0, |at| count_chars(&string[..at]) + 1)))
}

pub(super) fn starts_with(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    Ok(Datum::Bool(args.str(0)?.starts_with(args.str(1)?)))
}

/// The characters to trim: a blank unless given.
fn trimmed<'a>(args: Args<'a>) -> Result<(&'a str, &'a str), SqlError> {
    Ok((args.str(0)?, if args.len() < 2 { " " } else { args.str(1)? }))
}

pub(super) fn btrim(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (string, set) = trimmed(args)?;
    text(string.trim_matches(|c| set.contains(c)))
}

pub(super) fn ltrim(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (string, set) = trimmed(args)?;
    text(string.trim_start_matches(|c| set.contains(c)))
}

pub(super) fn rtrim(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (string, set) = trimmed(args)?;
    text(string.trim_end_matches(|c| set.contains(c)))
}

pub(super) fn replace(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (string, from, to) = (args.str(0)?, args.str(1)?, args.str(2)?);
    if from.is_empty() {
        return Ok(args.datum(0).clone());
    }
    let found = string.matches(from).count();
    check_size(string.len().saturating_add(found.saturating_mul(to.len())))?;
    text(string.replace(from, to))
}

pub(super) fn translate(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (string, from, to) = (args.str(0)?, args.str(1)?, args.str(2)?);
    let to: Vec<char> = to.chars().collect();
    let mapped = string.chars().filter_map(|c| match from.chars().position(|f| f == c) {
        None => Some(c),
        Some(at) => to.get(at).copied(),
    });
    text(mapped.collect::<String>())
}

pub(super) fn split_part(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (string, separator, field) = (args.str(0)?, args.str(1)?, args.i64(2)?);
    if field == 0 {
        let message = "field position must not be zero";
        return Err(SqlError::new(sqlstate::INVALID_PARAMETER_VALUE, message));
    }
    let nth = usize::try_from(field.unsigned_abs() - 1).unwrap_or(usize::MAX);
    if separator.is_empty() || string.is_empty() {
        return text(if nth == 0 { string } else { "" });
    }
    let part = if 0 < field {
        string.split(separator).nth(nth)
    } else {
        string.split(separator).collect::<Vec<_>>().into_iter().rev().nth(nth)
    };
    text(part.unwrap_or(""))
}

/// What fills a string up to so many characters.
fn padding(fill: &str, count: usize) -> Result<String, SqlError> {
    check_size(count.saturating_mul(4))?;
    Ok(fill.chars().cycle().take(count).collect())
}

fn pad(args: Args<'_>, in_front: bool) -> Outcome {
    let (string, wanted) = (args.str(0)?, usize::try_from(args.i64(1)?).unwrap_or(0));
    let fill = if args.len() < 3 { " " } else { args.str(2)? };
    let len = count_chars(string);
    if wanted <= len || fill.is_empty() {
        return text(slice(string, 0, wanted.min(len)));
    }
    let padding = padding(fill, wanted - len)?;
    text(if in_front { padding + string } else { string.to_owned() + &padding })
}

pub(super) fn lpad(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    pad(args, true)
}

pub(super) fn rpad(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    pad(args, false)
}

pub(super) fn repeat(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (string, count) = (args.str(0)?, usize::try_from(args.i64(1)?).unwrap_or(0));
    check_size(string.len().saturating_mul(count))?;
    text(string.repeat(count))
}

pub(super) fn reverse(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    text(args.str(0)?.chars().rev().collect::<String>())
}

pub(super) fn overlay(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (string, new, start) = (args.str(0)?, args.str(1)?, args.i64(2)?);
    let count = if args.len() < 4 { count_chars(new) as i64 } else { args.i64(3)? };
    if start <= 0 {
        let message = "negative substring length not allowed";
        return Err(SqlError::new(sqlstate::SUBSTRING_ERROR, message));
    }
    let len = count_chars(string);
    let at = |position: i64| usize::try_from(position - 1).unwrap_or(0).min(len);
    let (head, tail) = (at(start), at(start.saturating_add(count)));
    text([slice(string, 0, head), new, slice(string, tail, len)].concat())
}

pub(super) fn concat2(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (left, right) = (args.str(0)?, args.str(1)?);
    check_size(left.len() + right.len())?;
    text([left, right].concat())
}
