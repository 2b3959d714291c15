//! Arrays as text: `{1,2,NULL,"a b"}`.

use super::{Array, DataType, ParseContext};
use super::{Datum, RenderOptions, parse_text};
use crate::base::error::{SqlError, sqlstate};

/// Elements of an array literal.
const ELEMENTS_MAX: usize = 1 << 20;

pub(super) fn write(out: &mut String, ty: &DataType, array: &Array, options: &RenderOptions<'_>) {
    let vector = matches!(ty, DataType::Int2Vector | DataType::OidVector);
    let element = match ty {
        DataType::Array(element) => element,
        _ => &array.element, // vectors, and results of polymorphic functions
    };
    if !vector {
        out.push('{');
    }
    for (at, item) in array.items.iter().enumerate() {
        if 0 < at {
            out.push(if vector { ' ' } else { ',' });
        }
        if item.is_null() {
            out.push_str("NULL");
            continue;
        }
        let text = item.to_text(element, options);
        if needs_quotes(&text) {
            out.push('"');
            for c in text.chars() {
                if matches!(c, '"' | '\\') {
                    out.push('\\');
                }
                out.push(c);
            }
            out.push('"');
        } else {
            out.push_str(&text);
        }
    }
    if !vector {
        out.push('}');
    }
}

fn needs_quotes(text: &str) -> bool {
    text.is_empty()
        || text.eq_ignore_ascii_case("null")
        || text.contains(|c: char| {
            matches!(c, '{' | '}' | ',' | '"' | '\\')
                || matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
        })
}

fn malformed(text: &str, detail: &str) -> SqlError {
    SqlError::new(
        sqlstate::INVALID_TEXT_REPRESENTATION,
        format!("malformed array literal: \"{text}\""),
    )
    .detail(detail)
}

/// One element as written: its text, and whether it was quoted.
struct Element {
    text: String,
    quoted: bool,
}

pub(super) fn parse(
    element: &DataType,
    text: &str,
    context: &ParseContext<'_>,
) -> Result<Datum, SqlError> {
    let trimmed = text.trim();
    if trimmed.starts_with('[') {
        return Err(SqlError::unsupported("an array with explicit bounds"));
    }
    let Some(inside) = trimmed.strip_prefix('{') else {
        let detail = "Array value must start with \"{\" or dimension information.";
        return Err(malformed(text, detail));
    };
    let items: Result<Vec<Datum>, SqlError> = split(inside, text)?
        .into_iter()
        .map(|item| {
            if !item.quoted && item.text.eq_ignore_ascii_case("null") {
                return Ok(Datum::Null);
            }
            parse_text(element, &item.text, context)
        })
        .collect();
    Ok(Datum::array(element.clone(), items?))
}

/// Splits what follows the opening brace.
fn split(inside: &str, whole: &str) -> Result<Vec<Element>, SqlError> {
    let mut items = Vec::new();
    let mut chars = inside.chars().peekable();
    let unexpected_end = || malformed(whole, "Unexpected end of input.");
    loop {
        while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
        match chars.peek() {
            Some('}') if items.is_empty() => {
                chars.next();
                break;
            }
            Some('{') => return Err(SqlError::unsupported("an array of several dimensions")),
            Some(_) => {}
            None => return Err(unexpected_end()),
        }
        let mut item = Element { text: String::new(), quoted: false };
        let mut kept_len = 0;
        let closed = loop {
            let c = chars.next().ok_or_else(unexpected_end)?;
            match c {
                ',' => break false,
                '}' => break true,
                '"' if !item.quoted && item.text.is_empty() => {
                    item.quoted = true;
                    read_quoted(&mut chars, &mut item.text).ok_or_else(unexpected_end)?;
                    kept_len = item.text.len();
                }
                '\\' if !item.quoted => {
                    item.text.push(chars.next().ok_or_else(unexpected_end)?);
                    kept_len = item.text.len();
                }
                c if c.is_ascii_whitespace() => {
                    if !item.quoted {
                        item.text.push(c);
                    }
                }
                '"' | '{' => {
                    let detail = format!("Unexpected \"{c}\" character.");
                    return Err(malformed(whole, &detail));
                }
                _ if item.quoted => {
                    return Err(malformed(whole, "Unexpected array element."));
                }
                c => {
                    item.text.push(c);
                    kept_len = item.text.len();
                }
            }
        };
        item.text.truncate(kept_len);
        if item.text.is_empty() && !item.quoted {
            let found = if closed { '}' } else { ',' };
            return Err(malformed(whole, &format!("Unexpected \"{found}\" character.")));
        }
        items.push(item);
        if ELEMENTS_MAX < items.len() {
            let message = "array size exceeds the maximum allowed";
            return Err(SqlError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message));
        }
        if closed {
            break;
        }
    }
    if chars.any(|c| !c.is_ascii_whitespace()) {
        return Err(malformed(whole, "Junk after closing right brace."));
    }
    Ok(items)
}

fn read_quoted(chars: &mut impl Iterator<Item = char>, out: &mut String) -> Option<()> {
    loop {
        match chars.next()? {
            '"' => return Some(()),
            '\\' => out.push(chars.next()?),
            c => out.push(c),
        }
    }
}
