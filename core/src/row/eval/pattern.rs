//! `LIKE`, and regular expressions through the regex crate.
//!
//! The regex crate's syntax covers what people write: classes, groups, repetition, anchors, `\d`,
//! `\w`, `\s`, `\m` and `\M` (word starts and ends). Not supported, with 0A000: back references and
//! look-around.
//! Alternatives prefer the leftmost, where PostgreSQL prefers the longest; whether there is a match
//! does not depend on it.

use std::sync::Mutex;

use regex::{Regex, RegexBuilder};

use crate::base::error::{SqlError, sqlstate};

/// A pattern's text, bytes.
const PATTERN_BYTES_MAX: usize = 64 << 10;
/// A compiled pattern, bytes.
const PROGRAM_BYTES_MAX: usize = 1 << 20;

/// The character of an `ESCAPE` clause; none for the empty string.
///
/// # Errors
///
/// 22025 if there are several.
pub(super) fn escape_character(text: &str) -> Result<Option<char>, SqlError> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (first, None) => Ok(first),
        _ => Err(SqlError::new(sqlstate::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
            .hint("Escape string must be empty or one character.")),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Token {
    /// `%`
    Any,
    /// `_`
    One,
    Literal(char),
}

/// Whether a string matches a LIKE pattern.
///
/// Greedy with one point of return, which is enough for LIKE: time is at most the product of the
/// lengths.
///
/// # Errors
///
/// 22025 if the pattern ends with its escape character.
pub fn like_matches(text: &str, pattern: &str, escape: Option<char>) -> Result<bool, SqlError> {
    let tokens = like_tokens(pattern, escape)?;
    // Most patterns have a literal front: fail early, without looking at the rest.
    let mut rest = text.chars();
    let (mut at, mut retry): (usize, Option<(usize, std::str::Chars<'_>)>) = (0, None);
    loop {
        let step = match tokens.get(at) {
            None => rest.as_str().is_empty(),
            Some(Token::Any) => {
                at += 1;
                if at == tokens.len() {
                    return Ok(true);
                }
                retry = Some((at, rest.clone()));
                continue;
            }
            Some(Token::One) => rest.next().is_some(),
            Some(Token::Literal(c)) => rest.next() == Some(*c),
        };
        if step {
            if at == tokens.len() {
                return Ok(true);
            }
            at += 1;
            continue;
        }
        // Let the last % take one character more.
        let Some((back, mut from)) = retry.take() else { return Ok(false) };
        if from.next().is_none() {
            return Ok(false);
        }
        at = back;
        rest = from.clone();
        retry = Some((back, from));
    }
}

fn like_tokens(pattern: &str, escape: Option<char>) -> Result<Vec<Token>, SqlError> {
    let mut tokens = Vec::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            let literal = chars.next().ok_or_else(|| {
                SqlError::new(
                    sqlstate::INVALID_ESCAPE_SEQUENCE,
                    "LIKE pattern must not end with escape character",
                )
            })?;
            tokens.push(Token::Literal(literal));
        } else if c == '%' {
            if tokens.last() != Some(&Token::Any) {
                tokens.push(Token::Any);
            }
        } else if c == '_' {
            tokens.push(Token::One);
        } else {
            tokens.push(Token::Literal(c));
        }
    }
    Ok(tokens)
}

/// Compiles a regular expression of PostgreSQL.
///
/// # Errors
///
/// 2201B if it is malformed, 54000 if it is too large, 0A000 for what the engine does not have.
pub fn compile_regex(pattern: &str, case_insensitive: bool) -> Result<Regex, SqlError> {
    if PATTERN_BYTES_MAX < pattern.len() {
        let message = "regular expression is too long";
        return Err(SqlError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message));
    }
    // A poisoned cache is still a cache: entries are whole or absent.
    let mut cache = COMPILED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let same = |entry: &Compiled| entry.fold == case_insensitive && entry.pattern == pattern;
    if let Some(at) = cache.iter().position(same) {
        // The last used goes first.
        cache[..=at].rotate_right(1);
        return Ok(cache[0].regex.clone());
    }
    let regex = compile(pattern, case_insensitive)?;
    cache.truncate(COMPILED_MAX - 1);
    let entry =
        Compiled { pattern: pattern.to_owned(), fold: case_insensitive, regex: regex.clone() };
    cache.insert(0, entry);
    Ok(regex)
}

struct Compiled {
    pattern: String,
    fold: bool,
    regex: Regex,
}

/// Compiled patterns kept: compiling costs a thousand times what matching a short string does.
const COMPILED_MAX: usize = 32;

/// The patterns used last. A memo of a pure function: it changes no result.
static COMPILED: Mutex<Vec<Compiled>> = Mutex::new(Vec::new());

fn compile(pattern: &str, case_insensitive: bool) -> Result<Regex, SqlError> {
    let translated = translate(pattern);
    RegexBuilder::new(&translated)
        .case_insensitive(case_insensitive)
        .dot_matches_new_line(true)
        .size_limit(PROGRAM_BYTES_MAX)
        .dfa_size_limit(PROGRAM_BYTES_MAX)
        .nest_limit(64)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                SqlError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, "regular expression is too complex")
            }
            other => {
                let text = other.to_string();
                let last = text.lines().last().unwrap_or("").trim_start_matches("error: ");
                if last.contains("not supported") {
                    return SqlError::unsupported("this regular expression").detail(last);
                }
                let reason = match last {
                    _ if last.contains("unclosed character class") => "brackets [] not balanced",
                    _ if last.contains("unclosed group") || last.contains("unopened group") => {
                        "parentheses () not balanced"
                    }
                    _ if last.contains("repetition operator missing") => {
                        "quantifier operand invalid"
                    }
                    other => other,
                };
                let message = format!("invalid regular expression: {reason}");
                SqlError::new(sqlstate::INVALID_REGULAR_EXPRESSION, message)
            }
        })
}

/// Spells PostgreSQL's escapes and embedded options as the regex crate does.
fn translate(pattern: &str) -> String {
    let body = pattern.strip_prefix("***:").unwrap_or(pattern);
    if let Some(literal) = pattern.strip_prefix("***=") {
        return regex::escape(literal);
    }
    let mut out = String::with_capacity(body.len() + 8);
    let mut chars = body.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('m') if !in_class => out.push_str(r"\b{start}"),
                Some('M') if !in_class => out.push_str(r"\b{end}"),
                Some('y') if !in_class => out.push_str(r"\b"),
                Some('Y') if !in_class => out.push_str(r"\B"),
                Some('Z') if !in_class => out.push_str(r"\z"),
                Some(next) if next.is_ascii_alphanumeric() || next.is_ascii_punctuation() => {
                    out.push('\\');
                    out.push(next);
                }
                Some(next) => out.push(next),
                None => out.push('\\'),
            },
            '[' if in_class => {
                // Within a class only [:name:] is special.
                if chars.peek() == Some(&':') {
                    out.push('[')
                } else {
                    out.push_str(r"\[")
                }
                if chars.peek() == Some(&':') {
                    copy_named_class(&mut chars, &mut out);
                }
            }
            '[' => {
                in_class = true;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                if chars.next_if_eq(&']').is_some() {
                    out.push_str(r"\]");
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            // Set operations of the crate that PostgreSQL does not have.
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            '$' if !in_class => out.push_str(r"\z"),
            _ => out.push(c), // the same in both
        }
    }
    out
}

fn copy_named_class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    for c in chars.by_ref() {
        out.push(c);
        if c == ']' {
            return;
        }
    }
}
