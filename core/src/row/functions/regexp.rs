//! Functions over patterns.

use super::{Args, Outcome, check_size, text};
use crate::base::error::{SqlError, sqlstate};
use crate::row::datum::Datum;
use crate::row::eval::{EvalContext, compile_regex, like_matches};
use crate::row::types::DataType;

pub(super) fn like(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    like_matches(args.str(0)?, args.str(1)?, Some('\\')).map(Datum::Bool)
}

pub(super) fn not_like(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    like_matches(args.str(0)?, args.str(1)?, Some('\\')).map(|found| Datum::Bool(!found))
}

fn matches_folded(args: Args<'_>) -> Result<bool, SqlError> {
    like_matches(&args.str(0)?.to_lowercase(), &args.str(1)?.to_lowercase(), Some('\\'))
}

pub(super) fn ilike(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    matches_folded(args).map(Datum::Bool)
}

pub(super) fn not_ilike(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    matches_folded(args).map(|found| Datum::Bool(!found))
}

fn found(args: Args<'_>, fold: bool) -> Result<bool, SqlError> {
    Ok(compile_regex(args.str(1)?, fold)?.is_match(args.str(0)?))
}

pub(super) fn matches(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    found(args, false).map(Datum::Bool)
}

pub(super) fn not_matches(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    found(args, false).map(|found| Datum::Bool(!found))
}

pub(super) fn matches_fold(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    found(args, true).map(Datum::Bool)
}

pub(super) fn not_matches_fold(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    found(args, true).map(|found| Datum::Bool(!found))
}

struct Flags {
    global: bool,
    fold: bool,
}

fn flags(text: &str) -> Result<Flags, SqlError> {
    let mut flags = Flags { global: false, fold: false };
    for c in text.chars() {
        match c {
            'g' => flags.global = true,
            'i' => flags.fold = true,
            'c' => flags.fold = false,
            's' => {}
            _ => {
                let message = format!("invalid regular expression option: \"{c}\"");
                return Err(SqlError::new(sqlstate::INVALID_PARAMETER_VALUE, message));
            }
        }
    }
    Ok(flags)
}

fn flags_at(args: Args<'_>, index: usize) -> Result<Flags, SqlError> {
    if args.len() <= index { flags("") } else { flags(args.str(index)?) }
}

pub(super) fn regexp_replace(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (string, replacement, flags) = (args.str(0)?, args.str(2)?, flags_at(args, 3)?);
    let regex = compile_regex(args.str(1)?, flags.fold)?;
    let template = replacement_template(replacement);
    let mut out = String::new();
    let mut end = 0;
    for captures in regex.captures_iter(string) {
        let Some(whole) = captures.get(0) else { continue };
        out.push_str(&string[end..whole.start()]);
        captures.expand(&template, &mut out);
        check_size(out.len())?;
        end = whole.end();
        if !flags.global {
            break;
        }
    }
    out.push_str(&string[end..]);
    text(out)
}

/// `\1`, `\&` and `\\` as the regex crate writes them.
fn replacement_template(replacement: &str) -> String {
    let mut out = String::with_capacity(replacement.len() + 8);
    let mut chars = replacement.chars();
    while let Some(c) = chars.next() {
        match c {
            '$' => out.push_str("$$"),
            '\\' => match chars.next() {
                Some('&') => out.push_str("${0}"),
                Some(digit @ '1'..='9') => {
                    out.push_str("${");
                    out.push(digit);
                    out.push('}');
                }
                Some('\\') | None => out.push('\\'),
                Some('$') => out.push_str("\\$$"),
                Some(other) => {
                    out.push('\\');
                    out.push(other);
                }
            },
            _ => out.push(c),
        }
    }
    out
}

fn captured(part: Option<regex::Match<'_>>) -> Datum {
    part.map_or(Datum::Null, |part| Datum::text(part.as_str()))
}

pub(super) fn regexp_match(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let flags = flags_at(args, 2)?;
    let regex = compile_regex(args.str(1)?, flags.fold)?;
    let Some(captures) = regex.captures(args.str(0)?) else { return Ok(Datum::Null) };
    let first = usize::from(1 < captures.len());
    let items = (first..captures.len()).map(|at| captured(captures.get(at))).collect();
    Ok(Datum::array(DataType::Text, items))
}

pub(super) fn split(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let flags = flags_at(args, 2)?;
    let regex = compile_regex(args.str(1)?, flags.fold)?;
    let string = args.str(0)?;
    let mut items = Vec::new();
    let mut end = 0;
    for found in regex.find_iter(string) {
        // An empty match at the beginning or the end splits nothing.
        if found.is_empty() && (found.start() == 0 || found.end() == string.len()) {
            continue;
        }
        items.push(Datum::text(&string[end..found.start()]));
        end = found.end();
    }
    items.push(Datum::text(&string[end..]));
    Ok(Datum::array(DataType::Text, items))
}

/// `substring(string from pattern)`.
pub(super) fn substring_pattern(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let regex = compile_regex(args.str(1)?, false)?;
    let Some(captures) = regex.captures(args.str(0)?) else { return Ok(Datum::Null) };
    Ok(captured(if 1 < captures.len() { captures.get(1) } else { captures.get(0) }))
}
