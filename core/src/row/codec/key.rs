//! Keys that sort as bytes the way their columns sort as values.
//!
//! A column is self-delimiting and no column is a prefix of another, so concatenation keeps the
//! order. Ascending order puts nulls last and descending order first, as PostgreSQL's defaults
//! do.
//!
//! ```text
//! null          02
//! value         01 · body            DESC: every byte of the column inverted
//! bool          00 | 01
//! integers      big-endian, sign bit flipped (2, 4 or 8 bytes); oid plain
//! floats        big-endian; sign bit flipped, or all bits if negative; one NaN, no -0
//! numeric       class (-inf 00, negative 01, zero 02, positive 03, inf 04, nan 05),
//!               weight (2 bytes, sign flipped), digits + 1 (2 bytes each), 0000;
//!               weight to end inverted if negative
//! text, bytea   bytes with 00 → 00 ff, then 00 01
//! dates, times  as integers; interval: its length in microseconds, 16 bytes
//! uuid          16 bytes
//! array         (02 · column) for each element, then 01
//! ```
//!
//! What does not order values is lost: a numeric's display scale, an interval's split into months
//! and days, a negative zero. A column that needs them is stored in the row's value as well.

use xxhash_rust::xxh3::xxh3_64;

use crate::base::codec::CodecError;
use crate::row::datum::{Array, DAY_MICROS, Datum};
use crate::row::interval::Interval;
use crate::row::numeric::{Numeric, Sign};
use crate::row::types::DataType;

const TAG_VALUE: u8 = 0x01;
const TAG_NULL: u8 = 0x02;
const ARRAY_END: u8 = 0x01;
const ARRAY_MORE: u8 = 0x02;

/// Appends the ids that open every physical key.
pub fn encode_key_prefix(out: &mut Vec<u8>, table_id: u32, index_id: u32) {
    out.extend_from_slice(&table_id.to_be_bytes());
    out.extend_from_slice(&index_id.to_be_bytes());
}

/// Appends one column.
pub fn encode_key_column(out: &mut Vec<u8>, datum: &Datum, desc: bool) {
    let start = out.len();
    encode(out, datum);
    if desc {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

fn encode(out: &mut Vec<u8>, datum: &Datum) {
    if datum.is_null() {
        out.push(TAG_NULL);
        return;
    }
    out.push(TAG_VALUE);
    match datum {
        Datum::Null => {} // returned above
        Datum::Bool(value) => out.push(u8::from(*value)),
        Datum::Int2(value) => {
            out.extend_from_slice(&((*value as u16) ^ 0x8000).to_be_bytes());
        }
        Datum::Int4(value) | Datum::Date(value) => {
            out.extend_from_slice(&((*value as u32) ^ 0x8000_0000).to_be_bytes());
        }
        Datum::Int8(value)
        | Datum::Time(value)
        | Datum::Timestamp(value)
        | Datum::Timestamptz(value) => out.extend_from_slice(&flip64(*value).to_be_bytes()),
        Datum::Oid(value) => out.extend_from_slice(&value.to_be_bytes()),
        Datum::Float4(value) => {
            let plain = if value.is_nan() { f32::NAN } else { *value + 0.0 };
            let bits = plain.to_bits();
            let flipped = if bits >> 31 == 1 { !bits } else { bits ^ 0x8000_0000 };
            out.extend_from_slice(&flipped.to_be_bytes());
        }
        Datum::Float8(value) => {
            let plain = if value.is_nan() { f64::NAN } else { *value + 0.0 };
            let bits = plain.to_bits();
            let flipped = if bits >> 63 == 1 { !bits } else { bits ^ (1 << 63) };
            out.extend_from_slice(&flipped.to_be_bytes());
        }
        Datum::Numeric(number) => encode_numeric(out, number),
        // The order of jsonb is not that of its text; equality is, apart from trailing zeros.
        Datum::Text(text) | Datum::Json(text) => encode_bytes(out, text.as_bytes()),
        Datum::Bytea(bytes) => encode_bytes(out, bytes),
        Datum::Interval(interval) => {
            let flipped = (interval.span() as u128) ^ (1 << 127);
            out.extend_from_slice(&flipped.to_be_bytes());
        }
        Datum::Uuid(value) => out.extend_from_slice(&value.to_be_bytes()),
        Datum::Array(array) => {
            for item in &array.items {
                out.push(ARRAY_MORE);
                encode(out, item);
            }
            out.push(ARRAY_END);
        }
    }
}

fn flip64(value: i64) -> u64 {
    (value as u64) ^ (1 << 63)
}

fn encode_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(0, rest) {
        out.extend_from_slice(&rest[..=at]);
        out.push(0xff);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(&[0x00, 0x01]);
}

fn encode_numeric(out: &mut Vec<u8>, number: &Numeric) {
    let class = match number.sign() {
        Sign::NegativeInfinity => 0,
        Sign::Negative => 1,
        Sign::Positive if number.is_zero() => 2,
        Sign::Positive => 3,
        Sign::PositiveInfinity => 4,
        Sign::NaN => 5,
    };
    out.push(class);
    if class != 1 && class != 3 {
        return;
    }
    let start = out.len();
    out.extend_from_slice(&((number.weight() as u16) ^ 0x8000).to_be_bytes());
    for digit in number.digits() {
        out.extend_from_slice(&(digit + 1).to_be_bytes());
    }
    out.extend_from_slice(&[0, 0]);
    if class == 1 {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

/// Reads columns of a key one after the other.
#[derive(Clone, Copy, Debug)]
pub struct KeyReader<'a> {
    bytes: &'a [u8],
    mask: u8,
}

impl<'a> KeyReader<'a> {
    /// A reader over columns, behind the key's prefix.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, mask: 0 }
    }

    /// What is not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let Some((head, tail)) = self.bytes.split_at_checked(N) else {
            return Err(CodecError::Short { wanted: N, left: self.bytes.len() });
        };
        let mut out = [0; N];
        for (to, from) in out.iter_mut().zip(head) {
            *to = from ^ self.mask;
        }
        self.bytes = tail;
        Ok(out)
    }

    fn u8(&mut self) -> Result<u8, CodecError> {
        Ok(self.array::<1>()?[0])
    }

    fn i64(&mut self) -> Result<i64, CodecError> {
        Ok((u64::from_be_bytes(self.array()?) ^ (1 << 63)) as i64)
    }

    fn bytes(&mut self) -> Result<Vec<u8>, CodecError> {
        let mut out = Vec::new();
        loop {
            let run = memchr::memchr(self.mask, self.bytes)
                .ok_or(CodecError::Malformed("string of a key has no end"))?;
            out.extend(self.bytes[..run].iter().map(|byte| byte ^ self.mask));
            self.bytes = &self.bytes[run + 1..];
            match self.u8()? {
                0xff => out.push(0),
                0x01 => return Ok(out),
                _ => return Err(CodecError::Malformed("bad escape in a string of a key")),
            }
        }
    }
}

/// Reads one column of a type.
///
/// # Errors
///
/// [`CodecError`] if the bytes are no column of that type.
pub fn decode_key_column(
    reader: &mut KeyReader<'_>,
    ty: &DataType,
    desc: bool,
) -> Result<Datum, CodecError> {
    reader.mask = if desc { 0xff } else { 0 };
    decode(reader, ty)
}

fn decode(reader: &mut KeyReader<'_>, ty: &DataType) -> Result<Datum, CodecError> {
    match reader.u8()? {
        TAG_NULL => return Ok(Datum::Null),
        TAG_VALUE => {}
        _ => return Err(CodecError::Malformed("bad tag of a key column")),
    }
    Ok(match ty {
        DataType::Bool => match reader.u8()? {
            0 => Datum::Bool(false),
            1 => Datum::Bool(true),
            _ => return Err(CodecError::Malformed("bad boolean in a key")),
        },
        DataType::Int2 => Datum::Int2((u16::from_be_bytes(reader.array()?) ^ 0x8000) as i16),
        DataType::Int4 => Datum::Int4((u32::from_be_bytes(reader.array()?) ^ 0x8000_0000) as i32),
        DataType::Int8 => Datum::Int8(reader.i64()?),
        DataType::Float4 => {
            let bits = u32::from_be_bytes(reader.array()?);
            let bits = if bits >> 31 == 1 { bits ^ 0x8000_0000 } else { !bits };
            Datum::Float4(f32::from_bits(bits))
        }
        DataType::Float8 => {
            let bits = u64::from_be_bytes(reader.array()?);
            Datum::Float8(f64::from_bits(if bits >> 63 == 1 { bits ^ (1 << 63) } else { !bits }))
        }
        DataType::Numeric { .. } => Datum::Numeric(decode_numeric(reader)?),
        DataType::Text
        | DataType::Varchar(_)
        | DataType::Char(_)
        | DataType::InternalChar
        | DataType::Name
        | DataType::Unknown => {
            let text = String::from_utf8(reader.bytes()?);
            Datum::Text(text.map_err(|_| CodecError::Malformed("text is not UTF-8"))?.into())
        }
        DataType::Json | DataType::Jsonb => {
            let text = String::from_utf8(reader.bytes()?);
            Datum::Json(text.map_err(|_| CodecError::Malformed("json is not UTF-8"))?.into())
        }
        DataType::Bytea => Datum::Bytea(reader.bytes()?.into()),
        DataType::Date => Datum::Date((u32::from_be_bytes(reader.array()?) ^ 0x8000_0000) as i32),
        DataType::Time => Datum::Time(reader.i64()?),
        DataType::Timestamp => Datum::Timestamp(reader.i64()?),
        DataType::Timestamptz => Datum::Timestamptz(reader.i64()?),
        DataType::Interval => decode_interval(reader)?,
        DataType::Uuid => Datum::Uuid(u128::from_be_bytes(reader.array()?)),
        DataType::Oid
        | DataType::Xid
        | DataType::Regclass
        | DataType::Regtype
        | DataType::Regproc
        | DataType::Regnamespace
        | DataType::Regrole => Datum::Oid(u32::from_be_bytes(reader.array()?)),
        DataType::Array(element) => decode_array(reader, element)?,
        DataType::Int2Vector => decode_array(reader, &DataType::Int2)?,
        DataType::OidVector => decode_array(reader, &DataType::Oid)?,
        DataType::Void
        | DataType::Record
        | DataType::Any
        | DataType::AnyElement
        | DataType::AnyArray
        | DataType::AnyNonArray => return Err(CodecError::Malformed("no key has this type")),
    })
}

fn decode_array(reader: &mut KeyReader<'_>, element: &DataType) -> Result<Datum, CodecError> {
    if matches!(element, DataType::Array(_)) {
        return Err(CodecError::Malformed("array of arrays in a key"));
    }
    let mut items = Vec::new();
    loop {
        match reader.u8()? {
            ARRAY_END => break,
            ARRAY_MORE => items.push(decode(reader, element)?),
            _ => return Err(CodecError::Malformed("bad array in a key")),
        }
    }
    Ok(Datum::Array(Array { element: element.clone(), items }.into()))
}

fn decode_numeric(reader: &mut KeyReader<'_>) -> Result<Numeric, CodecError> {
    let class = reader.u8()?;
    match class {
        0 => return Ok(Numeric::infinity(true)),
        2 => return Ok(Numeric::zero()),
        4 => return Ok(Numeric::infinity(false)),
        5 => return Ok(Numeric::nan()),
        1 | 3 => {}
        _ => return Err(CodecError::Malformed("bad class of a numeric in a key")),
    }
    let outer = reader.mask;
    if class == 1 {
        reader.mask = !outer;
    }
    let weight = (u16::from_be_bytes(reader.array()?) ^ 0x8000) as i16;
    let mut digits = Vec::new();
    loop {
        match u16::from_be_bytes(reader.array()?) {
            0 => break,
            digit => digits.push(digit - 1),
        }
    }
    reader.mask = outer;
    let sign = if class == 1 { Sign::Negative } else { Sign::Positive };
    Ok(Numeric::from_parts(sign, weight, 0, digits)?.trim_scale())
}

fn decode_interval(reader: &mut KeyReader<'_>) -> Result<Datum, CodecError> {
    let span = (u128::from_be_bytes(reader.array()?) ^ (1 << 127)) as i128;
    let day = i128::from(DAY_MICROS);
    let (months, rest) = (span / (day * 30), span % (day * 30));
    let months =
        i32::try_from(months).map_err(|_| CodecError::Malformed("interval out of range"))?;
    let days = i32::try_from(rest / day).unwrap_or(0);
    let micros = i64::try_from(rest % day).unwrap_or(0);
    Ok(Datum::Interval(Interval { months, days, micros }))
}

/// The top 16 bits of xxh3 over the columns as keys, integers of every width as `bigint`: equal
/// values of the sharding columns meet in one shard, whatever their types.
pub fn hash16(datums: &[Datum]) -> u16 {
    let mut bytes = Vec::with_capacity(datums.len() * 12);
    for datum in datums {
        match datum {
            Datum::Int2(value) => encode(&mut bytes, &Datum::Int8(i64::from(*value))),
            Datum::Int4(value) => encode(&mut bytes, &Datum::Int8(i64::from(*value))),
            _ => encode(&mut bytes, datum),
        }
    }
    (xxh3_64(&bytes) >> 48) as u16
}
