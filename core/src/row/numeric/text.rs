//! Numbers as text.

use std::fmt;

use super::value::{DIGIT_WIDTH, Numeric, SCALE_MAX, Sign, Var, overflow};
use crate::base::error::{SqlError, sqlstate};

fn invalid(text: &str) -> SqlError {
    SqlError::new(
        sqlstate::INVALID_TEXT_REPRESENTATION,
        format!("invalid input syntax for type numeric: \"{text}\""),
    )
}

impl Numeric {
    /// Reads PostgreSQL's input forms: digits, a point, an exponent, `NaN`, `[±]Infinity` or `inf`.
    ///
    /// # Errors
    ///
    /// 22P02 if it is not a number, 22003 if it is out of bounds.
    pub fn parse(text: &str) -> Result<Self, SqlError> {
        let trimmed = text.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
        let (negative, unsigned) = match trimmed.as_bytes().first() {
            Some(b'-') => (true, &trimmed[1..]),
            Some(b'+') => (false, &trimmed[1..]),
            _ => (false, trimmed), // a digit, a point, a letter, or nothing
        };
        if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            let lower = unsigned.to_ascii_lowercase();
            return match lower.as_str() {
                "nan" if trimmed.len() == unsigned.len() => Ok(Self::nan()),
                "inf" | "infinity" => Ok(Self::infinity(negative)),
                _ => Err(invalid(text)),
            };
        }
        let mut var = parse_decimal(unsigned, text)?;
        var.negative = negative;
        var.finish()
    }
}

/// Reads `123.45e-6`; `whole` is what the message quotes.
fn parse_decimal(unsigned: &str, whole: &str) -> Result<Var, SqlError> {
    let mut decimals = Vec::with_capacity(unsigned.len());
    let mut places: Option<i32> = None;
    let mut rest = "";
    for (at, byte) in unsigned.bytes().enumerate() {
        match byte {
            b'0'..=b'9' => {
                decimals.push(byte - b'0');
                places = places.map(|count| count.saturating_add(1));
            }
            b'.' if places.is_none() => places = Some(0),
            b'e' | b'E' => {
                rest = &unsigned[at + 1..];
                if rest.is_empty() {
                    return Err(invalid(whole));
                }
                break;
            }
            _ => return Err(invalid(whole)), // nothing else belongs to a number
        }
    }
    if decimals.is_empty() {
        return Err(invalid(whole));
    }
    let exponent = parse_exponent(rest, whole)?;
    let places = places.unwrap_or(0);
    let len = i32::try_from(decimals.len()).map_err(|_| overflow())?;
    let dscale = (places - exponent).max(0);
    if SCALE_MAX < dscale && decimals.iter().any(|digit| *digit != 0) {
        return Err(overflow());
    }
    let leading = decimals.iter().take_while(|digit| **digit == 0).count();
    if leading == decimals.len() {
        return Ok(Var { dscale: dscale.min(SCALE_MAX), ..Var::default() });
    }
    // The power of ten of the first digit.
    let dweight = len - places - 1 + exponent - leading as i32;
    if 131_072 <= dweight {
        return Err(overflow());
    }
    Ok(from_decimals(&decimals[leading..], dweight, dscale))
}

fn parse_exponent(text: &str, whole: &str) -> Result<i32, SqlError> {
    if text.is_empty() {
        return Ok(0);
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid(whole));
    }
    // PostgreSQL refuses exponents of INT_MAX/2 and more as out of range of the format.
    text.parse::<i32>().ok().filter(|e| e.abs() < i32::MAX / 2).ok_or_else(overflow)
}

/// Groups decimal digits by four, aligned to the point.
fn from_decimals(decimals: &[u8], dweight: i32, dscale: i32) -> Var {
    let weight = dweight.div_euclid(DIGIT_WIDTH);
    // Decimal digits missing in front of the first group.
    let offset = DIGIT_WIDTH - 1 - dweight.rem_euclid(DIGIT_WIDTH);
    let mut digits = Vec::with_capacity(decimals.len() / 4 + 2);
    let mut group = 0u16;
    let mut filled = offset;
    for decimal in decimals {
        group = group * 10 + u16::from(*decimal);
        filled += 1;
        if filled == DIGIT_WIDTH {
            digits.push(group);
            group = 0;
            filled = 0;
        }
    }
    if 0 < filled {
        for _ in filled..DIGIT_WIDTH {
            group *= 10;
        }
        digits.push(group);
    }
    Var { negative: false, weight, dscale, digits }
}

impl fmt::Display for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sign {
            Sign::NaN => return f.write_str("NaN"),
            Sign::PositiveInfinity => return f.write_str("Infinity"),
            Sign::NegativeInfinity => return f.write_str("-Infinity"),
            Sign::Negative => f.write_str("-")?,
            Sign::Positive => {}
        }
        let digit_at = |place: i32| {
            usize::try_from(i32::from(self.weight) - place)
                .ok()
                .and_then(|at| self.digits.get(at).copied())
                .unwrap_or(0)
        };
        if self.weight < 0 || self.digits.is_empty() {
            f.write_str("0")?;
        } else {
            write!(f, "{}", digit_at(i32::from(self.weight)))?;
            for place in (0..i32::from(self.weight)).rev() {
                write!(f, "{:04}", digit_at(place))?;
            }
        }
        let mut left = i32::from(self.dscale);
        if 0 < left {
            f.write_str(".")?;
        }
        let mut place = -1;
        while 0 < left {
            let digit = digit_at(place);
            match left {
                1 => write!(f, "{}", digit / 1000)?,
                2 => write!(f, "{:02}", digit / 100)?,
                3 => write!(f, "{:03}", digit / 10)?,
                _ => write!(f, "{digit:04}")?, // a whole group
            }
            left -= DIGIT_WIDTH;
            place -= 1;
        }
        Ok(())
    }
}
