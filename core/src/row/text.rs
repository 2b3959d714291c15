//! Values as text, to the byte as PostgreSQL 15 renders and reads them.

use std::fmt::Write as _;

use super::datetime::{
    Moment, Zone, parse_date, parse_interval, parse_time, parse_timestamp, parse_timestamptz,
    write_date, write_interval, write_time, write_timestamp, write_timestamptz,
};
use super::datum::{Array, Datum, Text};
use super::float;
use super::numeric::Numeric;
use super::types::DataType;
use crate::base::error::{SqlError, sqlstate};
use crate::base::limit;

mod array;

/// Resolves OIDs of named things, for the `reg…` types.
pub trait OidNames {
    /// How the thing with this OID is called; `None` shows the number.
    fn name_of(&self, ty: &DataType, oid: u32) -> Option<String>;
}

/// How values are shown.
#[derive(Clone, Copy)]
pub struct RenderOptions<'a> {
    /// For `timestamptz`.
    pub zone: &'a Zone,
    /// Above zero: the shortest form that reads back the same.
    pub extra_float_digits: i32,
    /// `bytea` as `\x…` rather than escaped.
    pub bytea_hex: bool,
    /// For `regclass` and its kin.
    pub names: Option<&'a dyn OidNames>,
}

/// What text is read by.
pub type ParseContext<'a> = Moment<'a>;

impl<'a> RenderOptions<'a> {
    /// PostgreSQL's defaults in this time zone.
    pub fn new(zone: &'a Zone) -> Self {
        Self { zone, extra_float_digits: 1, bytea_hex: true, names: None }
    }
}

impl Datum {
    /// Appends the value as text; nothing for null.
    pub fn render_text(&self, ty: &DataType, options: &RenderOptions<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Null => {}
            Self::Text(text) => {
                out.extend_from_slice(text.as_bytes());
                pad(ty, text, |blanks| out.resize(out.len() + blanks, b' '));
            }
            Self::Int4(value) => write_integer(out, i64::from(*value)),
            Self::Int8(value) => write_integer(out, *value),
            Self::Int2(value) => write_integer(out, i64::from(*value)),
            _ => {
                let mut text = String::new();
                self.write_text(ty, options, &mut text);
                out.extend_from_slice(text.as_bytes());
            }
        }
    }

    /// Appends the value as text; nothing for null.
    pub fn write_text(&self, ty: &DataType, options: &RenderOptions<'_>, out: &mut String) {
        match self {
            Self::Null => {}
            Self::Bool(value) => out.push(if *value { 't' } else { 'f' }),
            Self::Int2(value) => display(out, value),
            Self::Int4(value) => display(out, value),
            Self::Int8(value) => display(out, value),
            Self::Float4(value) => float::write_f32(out, *value, options.extra_float_digits),
            Self::Float8(value) => float::write_f64(out, *value, options.extra_float_digits),
            Self::Numeric(value) => display(out, value),
            Self::Json(text) => out.push_str(text),
            Self::Text(text) => {
                out.push_str(text);
                pad(ty, text, |blanks| out.extend(std::iter::repeat_n(' ', blanks)));
            }
            Self::Bytea(bytes) => write_bytea(out, bytes, options.bytea_hex),
            Self::Date(days) => write_date(out, *days),
            Self::Time(micros) => write_time(out, *micros),
            Self::Timestamp(micros) => write_timestamp(out, *micros),
            Self::Timestamptz(micros) => write_timestamptz(out, *micros, options.zone),
            Self::Interval(interval) => write_interval(out, interval),
            Self::Uuid(value) => write_uuid(out, *value),
            Self::Oid(value) => write_oid(out, ty, *value, options),
            Self::Array(items) => array::write(out, ty, items, options),
        }
    }

    /// The value as text.
    pub fn to_text(&self, ty: &DataType, options: &RenderOptions<'_>) -> String {
        let mut out = String::new();
        self.write_text(ty, options, &mut out);
        out
    }
}

fn display(out: &mut String, value: &impl std::fmt::Display) {
    // Writing to a String does not fail.
    let _ = write!(out, "{value}");
}

/// The hot case of results: digits without the formatter.
fn write_integer(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// Calls `fill` with the blanks that `character(n)` shows behind its characters.
fn pad(ty: &DataType, text: &str, fill: impl FnOnce(usize)) {
    if let DataType::Char(Some(len)) = ty {
        let missing = (*len as usize).saturating_sub(text.chars().count());
        if 0 < missing {
            fill(missing);
        }
    }
}

fn write_bytea(out: &mut String, bytes: &[u8], hex: bool) {
    if hex {
        out.push_str("\\x");
        for byte in bytes {
            let _ = write!(out, "{byte:02x}");
        }
        return;
    }
    for byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7e => out.push(char::from(*byte)),
            _ => {
                let _ = write!(out, "\\{byte:03o}");
            }
        }
    }
}

fn write_uuid(out: &mut String, value: u128) {
    let hex = format!("{value:032x}");
    let _ = write!(
        out,
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    );
}

fn write_oid(out: &mut String, ty: &DataType, oid: u32, options: &RenderOptions<'_>) {
    match ty {
        DataType::Oid | DataType::Xid => return display(out, &oid),
        _ if oid == 0 => return out.push('-'),
        DataType::Regtype => {
            if let Some(named) = DataType::from_oid(oid, -1) {
                return out.push_str(&named.base_name());
            }
        }
        _ => {} // named by the catalog
    }
    match options.names.and_then(|names| names.name_of(ty, oid)) {
        Some(name) => out.push_str(&name),
        None => display(out, &oid),
    }
}

/// "invalid input syntax for type …".
pub(super) fn invalid(type_name: &str, text: &str) -> SqlError {
    SqlError::new(
        sqlstate::INVALID_TEXT_REPRESENTATION,
        format!("invalid input syntax for type {type_name}: \"{text}\""),
    )
}

/// Reads a value. Modifiers are applied as by a column: strings that are too long are refused,
/// numerics are rounded.
///
/// # Errors
///
/// PostgreSQL's: 22P02 and 22007 for bad syntax, 22003 and 22008 out of range, 22001 too long.
pub fn parse_text(
    ty: &DataType,
    text: &str,
    context: &ParseContext<'_>,
) -> Result<Datum, SqlError> {
    Ok(match ty {
        DataType::Bool => Datum::Bool(parse_bool(text)?),
        DataType::Int2 => Datum::Int2(parse_integer(text, "smallint")?),
        DataType::Int4 => Datum::Int4(parse_integer(text, "integer")?),
        DataType::Int8 => Datum::Int8(parse_integer(text, "bigint")?),
        DataType::Float4 => Datum::Float4(float::parse_f32(text)?),
        DataType::Float8 => Datum::Float8(float::parse_f64(text)?),
        DataType::Numeric { precision } => {
            let number = Numeric::parse(text)?;
            Datum::Numeric(match precision {
                Some((precision, scale)) => number.fit(*precision, *scale)?,
                None => number,
            })
        }
        DataType::Text | DataType::Unknown => Datum::text(text),
        DataType::Varchar(_) | DataType::Char(_) | DataType::Name | DataType::InternalChar => {
            Datum::Text(fit_string(ty, text, false)?)
        }
        DataType::Bytea => Datum::Bytea(parse_bytea(text)?.into()),
        DataType::Date => Datum::Date(parse_date(text, *context)?),
        DataType::Time => Datum::Time(parse_time(text, *context)?),
        DataType::Timestamp => Datum::Timestamp(parse_timestamp(text, *context)?),
        DataType::Timestamptz => Datum::Timestamptz(parse_timestamptz(text, *context)?),
        DataType::Interval => Datum::Interval(parse_interval(text)?),
        DataType::Uuid => Datum::Uuid(parse_uuid(text)?),
        DataType::Json => {
            super::json::check(text)?;
            Datum::Json(text.into())
        }
        DataType::Jsonb => Datum::Json(super::json::canonical(text)?.into()),
        DataType::Oid | DataType::Xid => Datum::Oid(parse_oid(text, &ty.name())?),
        DataType::Regclass
        | DataType::Regtype
        | DataType::Regproc
        | DataType::Regnamespace
        | DataType::Regrole => Datum::Oid(parse_named_oid(ty, text)?),
        DataType::Array(element) => array::parse(element, text, context)?,
        DataType::Int2Vector => parse_vector(&DataType::Int2, text, context)?,
        DataType::OidVector => parse_vector(&DataType::Oid, text, context)?,
        DataType::Void => Datum::Null,
        DataType::Record
        | DataType::Any
        | DataType::AnyElement
        | DataType::AnyArray
        | DataType::AnyNonArray => {
            let message = format!("cannot accept a value of type {}", ty.name());
            return Err(SqlError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
        }
    })
}

const BLANKS: [char; 6] = [' ', '\t', '\n', '\r', '\x0b', '\x0c'];

/// Reads a truth value: a prefix of true, false, yes, no, on, off, or 1 or 0.
///
/// # Errors
///
/// 22P02.
pub fn parse_bool(text: &str) -> Result<bool, SqlError> {
    let lower = text.trim_matches(BLANKS).to_ascii_lowercase();
    let begins = |word: &str, least: usize| least <= lower.len() && word.starts_with(&lower);
    if begins("true", 1) || begins("yes", 1) || lower == "on" || lower == "1" {
        Ok(true)
    } else if begins("false", 1) || begins("no", 1) || begins("off", 2) || lower == "0" {
        Ok(false)
    } else {
        Err(invalid("boolean", text))
    }
}

fn parse_integer<T: TryFrom<i64>>(text: &str, type_name: &str) -> Result<T, SqlError> {
    let trimmed = text.trim_matches(BLANKS);
    let digits = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid(type_name, text));
    }
    trimmed.parse::<i64>().ok().and_then(|value| T::try_from(value).ok()).ok_or_else(|| {
        let message = format!("value \"{text}\" is out of range for type {type_name}");
        SqlError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, message)
    })
}

fn parse_oid(text: &str, type_name: &str) -> Result<u32, SqlError> {
    let value: i64 = parse_integer(text, type_name)?;
    // PostgreSQL takes negative numbers of 32 bits too.
    if let Ok(value) = u32::try_from(value) {
        return Ok(value);
    }
    i32::try_from(value).map(|value| value as u32).map_err(|_| {
        let message = format!("value \"{text}\" is out of range for type {type_name}");
        SqlError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, message)
    })
}

/// Numbers, and the names of types; other names are the catalog's, above.
fn parse_named_oid(ty: &DataType, text: &str) -> Result<u32, SqlError> {
    if text == "-" {
        return Ok(0);
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return parse_oid(text, "oid");
    }
    if *ty == DataType::Regtype {
        let lower = text.to_ascii_lowercase();
        let (name, array) = match lower.strip_suffix("[]") {
            Some(element) => (element, true),
            None => (lower.as_str(), false),
        };
        // Arrays are also called by the names that the catalog has for them.
        let (name, array) = match name.strip_prefix('_') {
            Some(element) if !array => (element, true),
            _ => (name, array), // a name as SQL writes it
        };
        let named = DataType::from_sql_name(name.trim(), &[])?;
        return Ok(if array { DataType::array_of(named).oid() } else { named.oid() });
    }
    Err(SqlError::unsupported(format!("a name as {} here", ty.name())))
}

/// A string as a type takes it. `explicit` casts cut, others refuse what is too long, except
/// blanks.
///
/// # Errors
///
/// 22001 if it is too long.
pub fn fit_string(ty: &DataType, text: &str, explicit: bool) -> Result<Text, SqlError> {
    let limit = match ty {
        DataType::Varchar(limit) | DataType::Char(limit) => *limit,
        DataType::Name => return Ok(cut_bytes(text, 63).into()),
        DataType::InternalChar => return Ok(cut_bytes(text, 1).into()),
        _ => None, // no bound
    };
    let mut kept = text;
    if let Some(limit) = limit
        && let Some((at, _)) = text.char_indices().nth(limit as usize)
    {
        if !explicit && text[at..].bytes().any(|byte| byte != b' ') {
            let message = format!("value too long for type {}", ty.name());
            return Err(SqlError::new(sqlstate::STRING_DATA_RIGHT_TRUNCATION, message));
        }
        kept = &text[..at];
    }
    // Blanks at the end of char(n) do not count; see `datum`.
    Ok(if matches!(ty, DataType::Char(_)) { kept.trim_end_matches(' ') } else { kept }.into())
}

/// The longest prefix of whole characters in so many bytes.
fn cut_bytes(text: &str, len_max: usize) -> &str {
    let mut end = text.len().min(len_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Reads `\x…` or the escape form.
///
/// # Errors
///
/// 22P02, 22023 for bad hexadecimal digits.
pub fn parse_bytea(text: &str) -> Result<Vec<u8>, SqlError> {
    if let Some(hex) = text.strip_prefix("\\x") {
        return decode_hex(hex);
    }
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let octal = |i: usize| bytes.get(at + i).filter(|b| (b'0'..=b'7').contains(b));
        match (byte, bytes.get(at + 1)) {
            (b'\\', Some(b'\\')) => {
                out.push(b'\\');
                at += 2;
            }
            (b'\\', Some(b'0'..=b'3')) => match (octal(1), octal(2), octal(3)) {
                (Some(a), Some(b), Some(c)) => {
                    out.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                    at += 4;
                }
                _ => return Err(bytea_syntax()),
            },
            (b'\\', _) => return Err(bytea_syntax()),
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    Ok(out)
}

fn bytea_syntax() -> SqlError {
    SqlError::new(sqlstate::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type bytea")
}

/// Reads hexadecimal digits; blanks between pairs are skipped.
///
/// # Errors
///
/// 22023 for other characters or an odd number of digits.
pub fn decode_hex(hex: &str) -> Result<Vec<u8>, SqlError> {
    let fail = |message: String| SqlError::new(sqlstate::INVALID_PARAMETER_VALUE, message);
    let mut out = Vec::with_capacity(hex.len() / 2);
    let mut half: Option<u8> = None;
    for c in hex.chars() {
        if half.is_none() && matches!(c, ' ' | '\n' | '\t' | '\r') {
            continue;
        }
        let Some(digit) = c.to_digit(16) else {
            return Err(fail(format!("invalid hexadecimal digit: \"{c}\"")));
        };
        match half.take() {
            Some(high) => out.push(high << 4 | digit as u8),
            None => half = Some(digit as u8),
        }
    }
    if half.is_some() {
        return Err(fail("invalid hexadecimal data: odd number of digits".to_owned()));
    }
    Ok(out)
}

fn parse_uuid(text: &str) -> Result<u128, SqlError> {
    let refuse = || invalid("uuid", text);
    let bare = match text.strip_prefix('{') {
        Some(open) => open.strip_suffix('}').ok_or_else(refuse)?,
        None => text,
    };
    let mut value = 0u128;
    let mut digits = 0;
    let mut after_hyphen = false;
    for c in bare.chars() {
        if c == '-' {
            // A hyphen may follow each group of four digits.
            if after_hyphen || digits == 0 || digits % 4 != 0 || 32 <= digits {
                return Err(refuse());
            }
            after_hyphen = true;
            continue;
        }
        after_hyphen = false;
        let digit = c.to_digit(16).ok_or_else(refuse)?;
        digits += 1;
        if 32 < digits {
            return Err(refuse());
        }
        value = value << 4 | u128::from(digit);
    }
    if digits == 32 && !after_hyphen { Ok(value) } else { Err(refuse()) }
}

fn parse_vector(
    element: &DataType,
    text: &str,
    context: &ParseContext<'_>,
) -> Result<Datum, SqlError> {
    let items: Result<Vec<Datum>, SqlError> = text
        .split_ascii_whitespace()
        .take(limit::COLUMNS_MAX)
        .map(|word| parse_text(element, word, context))
        .collect();
    Ok(Datum::array(element.clone(), items?))
}

#[cfg(test)]
pub(super) mod tests;
