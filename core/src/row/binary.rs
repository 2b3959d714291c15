//! Values in PostgreSQL's binary wire format.
//!
//! # Source
//!
//! PostgreSQL 15: the `…send` and `…recv` functions of each type.

use bytes::BufMut;

use super::datetime::{DATE_MAX, DATE_MIN, TIMESTAMP_END, TIMESTAMP_MIN};
use super::datum::{Array, DAY_MICROS, Datum};
use super::interval::Interval;
use super::json;
use super::numeric::{Numeric, Sign};
use super::text::fit_string;
use super::types::DataType;
use crate::base::codec::{CodecError, Reader};
use crate::base::error::{SqlError, sqlstate};

/// The version byte of binary `jsonb`.
const JSONB_VERSION: u8 = 1;
const NUMERIC_POSITIVE: u16 = 0x0000;
const NUMERIC_NEGATIVE: u16 = 0x4000;
const NUMERIC_NAN: u16 = 0xc000;
const NUMERIC_INFINITY: u16 = 0xd000;
const NUMERIC_MINUS_INFINITY: u16 = 0xf000;

impl Datum {
    /// Appends the value as the wire has it, without its length; nothing for null.
    pub fn write_binary(&self, ty: &DataType, out: &mut Vec<u8>) {
        match self {
            Self::Null => {}
            Self::Bool(value) => out.put_u8(u8::from(*value)),
            Self::Int2(value) => out.put_i16(*value),
            Self::Int4(value) | Self::Date(value) => out.put_i32(*value),
            Self::Int8(value)
            | Self::Time(value)
            | Self::Timestamp(value)
            | Self::Timestamptz(value) => out.put_i64(*value),
            Self::Float4(value) => out.put_f32(*value),
            Self::Float8(value) => out.put_f64(*value),
            Self::Numeric(value) => write_numeric(out, value),
            Self::Text(text) => {
                out.extend_from_slice(text.as_bytes());
                if let DataType::Char(Some(len)) = ty {
                    let missing = (*len as usize).saturating_sub(text.chars().count());
                    out.resize(out.len() + missing, b' ');
                }
            }
            Self::Json(text) => {
                if *ty == DataType::Jsonb {
                    out.put_u8(JSONB_VERSION);
                }
                out.extend_from_slice(text.as_bytes());
            }
            Self::Bytea(bytes) => out.extend_from_slice(bytes),
            Self::Interval(interval) => {
                out.put_i64(interval.micros);
                out.put_i32(interval.days);
                out.put_i32(interval.months);
            }
            Self::Uuid(value) => out.put_u128(*value),
            Self::Oid(value) => out.put_u32(*value),
            Self::Array(array) => write_array(out, ty, array),
        }
    }
}

fn write_numeric(out: &mut Vec<u8>, number: &Numeric) {
    let sign = match number.sign() {
        Sign::Positive => NUMERIC_POSITIVE,
        Sign::Negative => NUMERIC_NEGATIVE,
        Sign::NaN => NUMERIC_NAN,
        Sign::PositiveInfinity => NUMERIC_INFINITY,
        Sign::NegativeInfinity => NUMERIC_MINUS_INFINITY,
    };
    // The format's bounds keep the count below 2^16.
    out.put_u16(u16::try_from(number.digits().len()).unwrap_or(u16::MAX));
    out.put_i16(number.weight());
    out.put_u16(sign);
    out.put_u16(number.dscale());
    number.digits().iter().for_each(|digit| out.put_u16(*digit));
}

fn write_array(out: &mut Vec<u8>, ty: &DataType, array: &Array) {
    let element = match ty {
        DataType::Array(element) => element,
        _ => &array.element, // the vectors of the catalogs
    };
    // Vectors count from 0.
    let lower_bound = i32::from(matches!(ty, DataType::Array(_)));
    let empty = array.items.is_empty() && lower_bound == 1;
    out.put_i32(if empty { 0 } else { 1 });
    out.put_i32(i32::from(array.items.iter().any(Datum::is_null)));
    out.put_u32(element.oid());
    if empty {
        return;
    }
    out.put_i32(i32::try_from(array.items.len()).unwrap_or(i32::MAX));
    out.put_i32(lower_bound);
    for item in &array.items {
        if item.is_null() {
            out.put_i32(-1);
            continue;
        }
        let at = out.len();
        out.put_i32(0);
        item.write_binary(element, out);
        let len = i32::try_from(out.len() - at - 4).unwrap_or(i32::MAX);
        out[at..at + 4].copy_from_slice(&len.to_be_bytes());
    }
}

fn bad(message: &str) -> SqlError {
    SqlError::new(sqlstate::INVALID_BINARY_REPRESENTATION, message)
}

fn short(_: CodecError) -> SqlError {
    SqlError::new(sqlstate::PROTOCOL_VIOLATION, "insufficient data left in message")
}

/// Reads a value of a type.
///
/// # Errors
///
/// 22P03 or 08P01 if the bytes are no such value, and the errors of its range and modifier.
pub fn read_binary(ty: &DataType, bytes: &[u8]) -> Result<Datum, SqlError> {
    let mut reader = Reader::new(bytes);
    let datum = read(ty, &mut reader)?;
    if reader.is_empty() { Ok(datum) } else { Err(bad("incorrect binary data format")) }
}

fn fixed<const N: usize>(reader: &mut Reader<'_>) -> Result<[u8; N], SqlError> {
    let mut out = [0; N];
    out.copy_from_slice(reader.take(N).map_err(short)?);
    Ok(out)
}

fn rest<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], SqlError> {
    reader.take(reader.rest().len()).map_err(short)
}

fn read(ty: &DataType, reader: &mut Reader<'_>) -> Result<Datum, SqlError> {
    Ok(match ty {
        DataType::Bool => Datum::Bool(fixed::<1>(reader)?[0] != 0),
        DataType::Int2 => Datum::Int2(i16::from_be_bytes(fixed(reader)?)),
        DataType::Int4 => Datum::Int4(i32::from_be_bytes(fixed(reader)?)),
        DataType::Int8 => Datum::Int8(i64::from_be_bytes(fixed(reader)?)),
        DataType::Float4 => Datum::Float4(f32::from_be_bytes(fixed(reader)?)),
        DataType::Float8 => Datum::Float8(f64::from_be_bytes(fixed(reader)?)),
        DataType::Numeric { precision } => {
            let number = read_numeric(reader)?;
            Datum::Numeric(match precision {
                Some((precision, scale)) => number.fit(*precision, *scale)?,
                None => number,
            })
        }
        DataType::Json => {
            let text = read_text(rest(reader)?)?;
            json::check(text)?;
            Datum::Json(text.into())
        }
        DataType::Jsonb => {
            if fixed::<1>(reader)?[0] != JSONB_VERSION {
                return Err(bad("unsupported jsonb version number"));
            }
            Datum::Json(json::canonical(read_text(rest(reader)?)?)?.into())
        }
        DataType::Text | DataType::Unknown => Datum::text(read_text(rest(reader)?)?),
        DataType::Varchar(_) | DataType::Char(_) | DataType::Name | DataType::InternalChar => {
            Datum::Text(fit_string(ty, read_text(rest(reader)?)?, false)?)
        }
        DataType::Bytea => Datum::Bytea(rest(reader)?.into()),
        DataType::Date => Datum::Date(read_date(reader)?),
        DataType::Time => Datum::Time(read_time(reader)?),
        DataType::Timestamp => Datum::Timestamp(read_moment(reader)?),
        DataType::Timestamptz => Datum::Timestamptz(read_moment(reader)?),
        DataType::Interval => {
            let micros = i64::from_be_bytes(fixed(reader)?);
            let days = i32::from_be_bytes(fixed(reader)?);
            let months = i32::from_be_bytes(fixed(reader)?);
            Datum::Interval(Interval { months, days, micros })
        }
        DataType::Uuid => Datum::Uuid(u128::from_be_bytes(fixed(reader)?)),
        DataType::Oid
        | DataType::Xid
        | DataType::Regclass
        | DataType::Regtype
        | DataType::Regproc
        | DataType::Regnamespace
        | DataType::Regrole => Datum::Oid(u32::from_be_bytes(fixed(reader)?)),
        DataType::Array(element) => read_array(element, reader)?,
        DataType::Int2Vector => read_array(&DataType::Int2, reader)?,
        DataType::OidVector => read_array(&DataType::Oid, reader)?,
        DataType::Void => Datum::Null,
        DataType::Record
        | DataType::Any
        | DataType::AnyElement
        | DataType::AnyArray
        | DataType::AnyNonArray => {
            return Err(SqlError::unsupported(format!("binary input of type {ty}")));
        }
    })
}

fn out_of_range(message: &str) -> SqlError {
    SqlError::new(sqlstate::DATETIME_FIELD_OVERFLOW, message)
}

fn read_date(reader: &mut Reader<'_>) -> Result<i32, SqlError> {
    let days = i32::from_be_bytes(fixed(reader)?);
    let finite = (DATE_MIN..=DATE_MAX).contains(&days);
    if !finite && days != i32::MIN && days != i32::MAX {
        return Err(out_of_range("date out of range"));
    }
    Ok(days)
}

fn read_time(reader: &mut Reader<'_>) -> Result<i64, SqlError> {
    let micros = i64::from_be_bytes(fixed(reader)?);
    if !(0..=DAY_MICROS).contains(&micros) {
        return Err(out_of_range("time out of range"));
    }
    Ok(micros)
}

fn read_moment(reader: &mut Reader<'_>) -> Result<i64, SqlError> {
    let micros = i64::from_be_bytes(fixed(reader)?);
    let finite = (TIMESTAMP_MIN..TIMESTAMP_END).contains(&micros);
    if !finite && micros != i64::MIN && micros != i64::MAX {
        return Err(out_of_range("timestamp out of range"));
    }
    Ok(micros)
}

/// UTF-8 without zero bytes, which PostgreSQL's strings cannot have.
///
/// # Errors
///
/// 22021.
pub fn read_text(bytes: &[u8]) -> Result<&str, SqlError> {
    let refuse = |at: usize| {
        let shown: Vec<String> =
            bytes[at..].iter().take(4).map(|byte| format!("0x{byte:02x}")).collect();
        let message = format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" "));
        SqlError::new(sqlstate::CHARACTER_NOT_IN_REPERTOIRE, message)
    };
    if memchr::memchr(0, bytes).is_some() {
        let message = "invalid byte sequence for encoding \"UTF8\": 0x00";
        return Err(SqlError::new(sqlstate::CHARACTER_NOT_IN_REPERTOIRE, message));
    }
    std::str::from_utf8(bytes).map_err(|error| refuse(error.valid_up_to()))
}

fn read_numeric(reader: &mut Reader<'_>) -> Result<Numeric, SqlError> {
    let count = u16::from_be_bytes(fixed(reader)?);
    let weight = i16::from_be_bytes(fixed(reader)?);
    let sign = match u16::from_be_bytes(fixed(reader)?) {
        NUMERIC_POSITIVE => Sign::Positive,
        NUMERIC_NEGATIVE => Sign::Negative,
        NUMERIC_NAN => Sign::NaN,
        NUMERIC_INFINITY => Sign::PositiveInfinity,
        NUMERIC_MINUS_INFINITY => Sign::NegativeInfinity,
        _ => return Err(bad("invalid sign in external \"numeric\" value")),
    };
    let dscale = u16::from_be_bytes(fixed(reader)?);
    if 0x3fff < dscale {
        return Err(bad("invalid scale in external \"numeric\" value"));
    }
    let bytes = reader.take(usize::from(count) * 2).map_err(short)?;
    let (words, _) = bytes.as_chunks::<2>();
    let digits = words.iter().map(|word| u16::from_be_bytes(*word)).collect();
    let number = Numeric::from_parts(sign, weight, dscale, digits)
        .map_err(|_| bad("invalid digit in external \"numeric\" value"))?;
    // Digits beyond the scale that is shown are cut, as PostgreSQL does.
    number.trunc(i32::from(dscale))
}

fn read_array(element: &DataType, reader: &mut Reader<'_>) -> Result<Datum, SqlError> {
    let dimensions = i32::from_be_bytes(fixed(reader)?);
    let flags = i32::from_be_bytes(fixed(reader)?);
    let oid = u32::from_be_bytes(fixed(reader)?);
    if flags != 0 && flags != 1 {
        return Err(bad("invalid array flags"));
    }
    if oid != element.oid() {
        let message = format!("wrong element type {oid} in binary array");
        return Err(SqlError::new(sqlstate::DATATYPE_MISMATCH, message));
    }
    match dimensions {
        0 => return Ok(Datum::array(element.clone(), Vec::new())),
        1 => {}
        _ => return Err(SqlError::unsupported("an array of several dimensions")),
    }
    let count = usize::try_from(i32::from_be_bytes(fixed(reader)?)).unwrap_or(usize::MAX);
    let _lower_bound = i32::from_be_bytes(fixed(reader)?);
    // Every element has a length of four bytes.
    if reader.rest().len() / 4 < count {
        return Err(bad("insufficient data left in message"));
    }
    let mut items = Vec::with_capacity(count);
    for _ in 0..count {
        let len = i32::from_be_bytes(fixed(reader)?);
        match usize::try_from(len) {
            Ok(len) => items.push(read_binary(element, reader.take(len).map_err(short)?)?),
            Err(_) if len == -1 => items.push(Datum::Null),
            Err(_) => return Err(bad("insufficient data left in message")),
        }
    }
    Ok(Datum::array(element.clone(), items))
}
