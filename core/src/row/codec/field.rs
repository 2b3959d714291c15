//! One column of a stored row: fixed bytes for fixed types, a length and bytes for the others.

use bytes::BufMut;

use crate::base::codec::{CodecError, Reader, put_blob, put_varint};
use crate::base::limit;
use crate::row::datum::{Array, Datum};
use crate::row::interval::Interval;
use crate::row::numeric::{Numeric, Sign};
use crate::row::types::DataType;

/// Bytes of a column of this type, if they are always as many.
pub(super) fn fixed_len(ty: &DataType) -> Option<usize> {
    Some(match ty {
        DataType::Bool => 1,
        DataType::Int2 => 2,
        DataType::Int4 | DataType::Float4 | DataType::Date => 4,
        DataType::Oid
        | DataType::Xid
        | DataType::Regclass
        | DataType::Regtype
        | DataType::Regproc
        | DataType::Regnamespace
        | DataType::Regrole => 4,
        DataType::Int8
        | DataType::Float8
        | DataType::Time
        | DataType::Timestamp
        | DataType::Timestamptz => 8,
        DataType::Interval | DataType::Uuid => 16,
        _ => return None, // a length goes before them
    })
}

/// Appends a value that is not null. `false` if it is not a value of the type.
#[must_use]
pub fn encode_field(out: &mut Vec<u8>, ty: &DataType, datum: &Datum) -> bool {
    match (ty, datum) {
        (DataType::Bool, Datum::Bool(value)) => out.push(u8::from(*value)),
        (DataType::Int2, Datum::Int2(value)) => out.put_i16_le(*value),
        (DataType::Int4, Datum::Int4(value)) | (DataType::Date, Datum::Date(value)) => {
            out.put_i32_le(*value);
        }
        (DataType::Int8, Datum::Int8(value))
        | (DataType::Time, Datum::Time(value))
        | (DataType::Timestamp, Datum::Timestamp(value))
        | (DataType::Timestamptz, Datum::Timestamptz(value)) => out.put_i64_le(*value),
        (DataType::Float4, Datum::Float4(value)) => out.put_f32_le(*value),
        (DataType::Float8, Datum::Float8(value)) => out.put_f64_le(*value),
        (DataType::Numeric { .. }, Datum::Numeric(number)) => encode_numeric(out, number),
        (DataType::Json | DataType::Jsonb, Datum::Json(text)) => put_blob(out, text.as_bytes()),
        (_, Datum::Text(text)) if ty.is_string() => put_blob(out, text.as_bytes()),
        (DataType::Bytea, Datum::Bytea(bytes)) => put_blob(out, bytes),
        (DataType::Interval, Datum::Interval(interval)) => {
            out.put_i32_le(interval.months);
            out.put_i32_le(interval.days);
            out.put_i64_le(interval.micros);
        }
        (DataType::Uuid, Datum::Uuid(value)) => out.put_u128(*value),
        (_, Datum::Oid(value)) if fixed_len(ty) == Some(4) && is_oid(ty) => out.put_u32_le(*value),
        (_, Datum::Array(array)) => {
            let Some(element) = element_of(ty) else { return false };
            let mut body = Vec::new();
            if !encode_items(&mut body, element, &array.items) {
                return false;
            }
            put_blob(out, &body);
        }
        _ => return false, // a value of another type
    }
    true
}

fn is_oid(ty: &DataType) -> bool {
    !matches!(ty, DataType::Int4 | DataType::Float4 | DataType::Date)
}

fn element_of(ty: &DataType) -> Option<&DataType> {
    match ty {
        // An array of arrays is not a type that a column can have.
        DataType::Array(element) if !matches!(**element, DataType::Array(_)) => Some(element),
        DataType::Int2Vector => Some(&DataType::Int2),
        DataType::OidVector => Some(&DataType::Oid),
        _ => None, // not an array
    }
}

/// Appends (length · value, or 0 for null; lengths are one too large) for each item.
#[must_use]
pub(in crate::row) fn encode_items(out: &mut Vec<u8>, element: &DataType, items: &[Datum]) -> bool {
    put_varint(out, items.len() as u64);
    let mut field = Vec::new();
    for item in items {
        if item.is_null() {
            out.push(0);
            continue;
        }
        field.clear();
        if !encode_field(&mut field, element, item) {
            return false;
        }
        put_varint(out, field.len() as u64 + 1);
        out.extend_from_slice(&field);
    }
    true
}

pub(in crate::row) fn decode_items(
    element: &DataType,
    bytes: &[u8],
) -> Result<Vec<Datum>, CodecError> {
    if matches!(element, DataType::Array(_)) {
        return Err(CodecError::Malformed("array of arrays"));
    }
    let mut reader = Reader::new(bytes);
    let count = reader.varint()?;
    // Every item takes a byte at least: no more memory than the bytes can fill.
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if reader.rest().len() < count {
        return Err(CodecError::Malformed("more array elements than bytes"));
    }
    let mut items = Vec::with_capacity(count);
    for _ in 0..count {
        let len = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
        let Some(len) = len.checked_sub(1) else {
            items.push(Datum::Null);
            continue;
        };
        let mut field = Reader::new(reader.take(len)?);
        items.push(decode_field(&mut field, element)?);
        if !field.is_empty() {
            return Err(CodecError::Malformed("bytes after an array element"));
        }
    }
    if !reader.is_empty() {
        return Err(CodecError::Malformed("bytes after an array"));
    }
    Ok(items)
}

fn encode_numeric(out: &mut Vec<u8>, number: &Numeric) {
    let sign = match number.sign() {
        Sign::Positive => 0,
        Sign::Negative => 1,
        Sign::NaN => 2,
        Sign::PositiveInfinity => 3,
        Sign::NegativeInfinity => 4,
    };
    let mut body = Vec::with_capacity(5 + number.digits().len() * 2);
    body.push(sign);
    if number.is_finite() {
        body.put_i16_le(number.weight());
        body.put_u16_le(number.dscale());
        for digit in number.digits() {
            body.put_u16_le(*digit);
        }
    }
    put_blob(out, &body);
}

fn decode_numeric(bytes: &[u8]) -> Result<Numeric, CodecError> {
    let (sign, body) = bytes.split_first().ok_or(CodecError::Short { wanted: 1, left: 0 })?;
    let sign = match sign {
        0 => Sign::Positive,
        1 => Sign::Negative,
        2 => Sign::NaN,
        3 => Sign::PositiveInfinity,
        4 => Sign::NegativeInfinity,
        _ => return Err(CodecError::Malformed("bad sign of a numeric")),
    };
    let (words, rest) = body.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(CodecError::Malformed("half a digit of a numeric"));
    }
    let mut words = words.iter().map(|word| u16::from_le_bytes(*word));
    let weight = words.next().unwrap_or(0) as i16;
    let dscale = words.next().unwrap_or(0);
    Numeric::from_parts(sign, weight, dscale, words.collect())
}

fn little<const N: usize>(reader: &mut Reader<'_>) -> Result<[u8; N], CodecError> {
    let mut out = [0; N];
    out.copy_from_slice(reader.take(N)?);
    Ok(out)
}

/// Reads a value of a type.
///
/// # Errors
///
/// [`CodecError`] if the bytes are no value of that type.
pub fn decode_field(reader: &mut Reader<'_>, ty: &DataType) -> Result<Datum, CodecError> {
    Ok(match ty {
        DataType::Bool => match reader.u8()? {
            0 => Datum::Bool(false),
            1 => Datum::Bool(true),
            _ => return Err(CodecError::Malformed("bad boolean")),
        },
        DataType::Int2 => Datum::Int2(i16::from_le_bytes(little(reader)?)),
        DataType::Int4 => Datum::Int4(i32::from_le_bytes(little(reader)?)),
        DataType::Int8 => Datum::Int8(i64::from_le_bytes(little(reader)?)),
        DataType::Float4 => Datum::Float4(f32::from_le_bytes(little(reader)?)),
        DataType::Float8 => Datum::Float8(f64::from_le_bytes(little(reader)?)),
        DataType::Date => Datum::Date(i32::from_le_bytes(little(reader)?)),
        DataType::Time => Datum::Time(i64::from_le_bytes(little(reader)?)),
        DataType::Timestamp => Datum::Timestamp(i64::from_le_bytes(little(reader)?)),
        DataType::Timestamptz => Datum::Timestamptz(i64::from_le_bytes(little(reader)?)),
        DataType::Interval => Datum::Interval(Interval {
            months: i32::from_le_bytes(little(reader)?),
            days: i32::from_le_bytes(little(reader)?),
            micros: i64::from_le_bytes(little(reader)?),
        }),
        DataType::Uuid => Datum::Uuid(u128::from_be_bytes(little(reader)?)),
        DataType::Oid
        | DataType::Xid
        | DataType::Regclass
        | DataType::Regtype
        | DataType::Regproc
        | DataType::Regnamespace
        | DataType::Regrole => Datum::Oid(u32::from_le_bytes(little(reader)?)),
        DataType::Numeric { .. } => {
            Datum::Numeric(decode_numeric(reader.blob(limit::ROW_BYTES_MAX)?)?)
        }
        DataType::Text
        | DataType::Varchar(_)
        | DataType::Char(_)
        | DataType::InternalChar
        | DataType::Name
        | DataType::Unknown => {
            let bytes = reader.blob(limit::ROW_BYTES_MAX)?;
            let text = std::str::from_utf8(bytes);
            Datum::text(text.map_err(|_| CodecError::Malformed("text is not UTF-8"))?)
        }
        DataType::Json | DataType::Jsonb => {
            let text = std::str::from_utf8(reader.blob(limit::ROW_BYTES_MAX)?);
            Datum::Json(text.map_err(|_| CodecError::Malformed("json is not UTF-8"))?.into())
        }
        DataType::Bytea => Datum::Bytea(reader.blob(limit::ROW_BYTES_MAX)?.into()),
        DataType::Array(_) | DataType::Int2Vector | DataType::OidVector => {
            let element = element_of(ty).ok_or(CodecError::Malformed("array of arrays"))?;
            let items = decode_items(element, reader.blob(limit::ROW_BYTES_MAX)?)?;
            Datum::Array(Array { element: element.clone(), items }.into())
        }
        DataType::Void
        | DataType::Record
        | DataType::Any
        | DataType::AnyElement
        | DataType::AnyArray
        | DataType::AnyNonArray => return Err(CodecError::Malformed("no column has this type")),
    })
}

/// Passes over a value of a type.
pub(super) fn skip_field(reader: &mut Reader<'_>, len: Option<usize>) -> Result<(), CodecError> {
    match len {
        Some(len) => reader.take(len)?,
        None => reader.blob(limit::ROW_BYTES_MAX)?,
    };
    Ok(())
}
