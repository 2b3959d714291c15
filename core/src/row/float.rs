//! Floating point numbers as PostgreSQL writes and reads them.
//!
//! # Source
//!
//! PostgreSQL 15: `float.c`, and the shortest-decimal forms of `d2s.c` and `f2s.c`.

use std::fmt::Write as _;

use crate::base::error::{SqlError, sqlstate};

/// Appends a double; `extra_float_digits` above zero means the shortest form that reads back the
/// same.
pub fn write_f64(out: &mut String, value: f64, extra_float_digits: i32) {
    if write_special(out, value) {
        return;
    }
    if 0 < extra_float_digits {
        write_shortest(out, &format!("{value:e}"), 15);
    } else {
        let digits = usize::try_from(15 + extra_float_digits).unwrap_or(1);
        out.push_str(&format_general(value, digits));
    }
}

/// Appends a float; see [`write_f64`].
pub fn write_f32(out: &mut String, value: f32, extra_float_digits: i32) {
    if write_special(out, f64::from(value)) {
        return;
    }
    if 0 < extra_float_digits {
        write_shortest(out, &format!("{value:e}"), 6);
    } else {
        let digits = usize::try_from(6 + extra_float_digits).unwrap_or(1);
        out.push_str(&format_general(f64::from(value), digits));
    }
}

fn write_special(out: &mut String, value: f64) -> bool {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value < 0.0 { "-Infinity" } else { "Infinity" });
    } else {
        return false;
    }
    true
}

/// `scientific` is Rust's shortest `{:e}`; the plain form is used for exponents in
/// `-4..exponent_max`.
fn write_shortest(out: &mut String, scientific: &str, exponent_max: i32) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    write_digits(out, mantissa, exponent, (-4..exponent_max).contains(&exponent));
}

/// C's `%.{significant}g`.
pub fn format_general(value: f64, significant: usize) -> String {
    let significant = significant.max(1);
    let scientific = format!("{value:.*e}", significant - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0') } else { mantissa };
    let mut out = String::new();
    let plain = -4 <= exponent && exponent < i32::try_from(significant).unwrap_or(i32::MAX);
    write_digits(&mut out, mantissa.trim_end_matches('.'), exponent, plain);
    out
}

fn write_digits(out: &mut String, mantissa: &str, exponent: i32, plain: bool) {
    let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
    if unsigned.len() != mantissa.len() {
        out.push('-');
    }
    if !plain {
        let sign = if exponent < 0 { '-' } else { '+' };
        // Writing to a String does not fail.
        let _ = write!(out, "{unsigned}e{sign}{:02}", exponent.abs());
        return;
    }
    let digits: String = unsigned.chars().filter(|c| *c != '.').collect();
    if exponent < 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', (-exponent - 1) as usize));
        out.push_str(&digits);
        return;
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        out.push_str(&digits);
        out.extend(std::iter::repeat_n('0', whole - digits.len()));
    } else {
        out.push_str(&digits[..whole]);
        out.push('.');
        out.push_str(&digits[whole..]);
    }
}

fn invalid(text: &str, type_name: &str) -> SqlError {
    SqlError::new(
        sqlstate::INVALID_TEXT_REPRESENTATION,
        format!("invalid input syntax for type {type_name}: \"{text}\""),
    )
}

fn out_of_range(text: &str, type_name: &str) -> SqlError {
    SqlError::new(
        sqlstate::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("\"{text}\" is out of range for type {type_name}"),
    )
}

/// Reads a double.
///
/// # Errors
///
/// 22P02 if it is not a number, 22003 if it overflows or underflows.
pub fn parse_f64(text: &str) -> Result<f64, SqlError> {
    let name = "double precision";
    let trimmed = check_syntax(text, name)?;
    if let Some(value) = parse_hex(trimmed) {
        return Ok(value);
    }
    let value: f64 = trimmed.parse().map_err(|_| invalid(text, name))?;
    let lost = (value == 0.0 && has_nonzero_digit(trimmed))
        || (value.is_infinite() && trimmed.contains(|c: char| c.is_ascii_digit()));
    if lost { Err(out_of_range(trimmed, name)) } else { Ok(value) }
}

/// Whole hexadecimal numbers, which C's `strtod` takes.
fn parse_hex(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X"))?;
    let value = u64::from_str_radix(digits, 16).ok()? as f64;
    Some(if text.starts_with('-') { -value } else { value })
}

/// Reads a float.
///
/// # Errors
///
/// 22P02 if it is not a number, 22003 if it overflows or underflows.
pub fn parse_f32(text: &str) -> Result<f32, SqlError> {
    let name = "real";
    let trimmed = check_syntax(text, name)?;
    let value: f32 = trimmed.parse().map_err(|_| invalid(text, name))?;
    let lost = (value == 0.0 && has_nonzero_digit(trimmed))
        || (value.is_infinite() && trimmed.contains(|c: char| c.is_ascii_digit()));
    if lost { Err(out_of_range(trimmed, name)) } else { Ok(value) }
}

/// Rust reads all that PostgreSQL reads, apart from spaces around it.
fn check_syntax<'a>(text: &'a str, type_name: &str) -> Result<&'a str, SqlError> {
    let trimmed = text.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    if trimmed.is_empty() { Err(invalid(text, type_name)) } else { Ok(trimmed) }
}

fn has_nonzero_digit(text: &str) -> bool {
    let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
    mantissa.bytes().any(|byte| (b'1'..=b'9').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text64(value: f64) -> String {
        let mut out = String::new();
        write_f64(&mut out, value, 1);
        out
    }

    #[test]
    fn doubles_take_the_plain_form_between_their_bounds() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1e100, "1e+100"),
            (-1.5e-7, "-1.5e-07"),
            (f64::INFINITY, "Infinity"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(text64(value), text);
            if !value.is_nan() {
                assert_eq!(parse_f64(text).unwrap().to_bits(), value.to_bits());
            }
        }
    }

    #[test]
    fn floats_have_a_lower_bound_for_the_plain_form() {
        let mut out = String::new();
        write_f32(&mut out, 1_000_000.0, 1);
        assert_eq!(out, "1e+06");
        out.clear();
        write_f32(&mut out, 123_456.7, 1);
        assert_eq!(out, "123456.7");
    }

    #[test]
    fn fewer_digits_round() {
        let mut out = String::new();
        write_f64(&mut out, 1.0 / 3.0, 0);
        assert_eq!(out, "0.333333333333333");
        assert_eq!(format_general(1e20, 15), "1e+20");
        assert_eq!(format_general(100.0, 6), "100");
    }

    #[test]
    fn bad_text_is_refused() {
        assert_eq!(parse_f64("x").unwrap_err().state, sqlstate::INVALID_TEXT_REPRESENTATION);
        assert_eq!(parse_f64("").unwrap_err().state, sqlstate::INVALID_TEXT_REPRESENTATION);
        assert_eq!(parse_f64("1e400").unwrap_err().state, sqlstate::NUMERIC_VALUE_OUT_OF_RANGE);
        assert_eq!(parse_f64("1e-400").unwrap_err().state, sqlstate::NUMERIC_VALUE_OUT_OF_RANGE);
        assert_eq!(parse_f64(" -inf ").unwrap(), f64::NEG_INFINITY);
    }
}
