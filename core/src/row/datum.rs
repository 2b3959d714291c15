//! One SQL value.
//!
//! A datum does not carry its type's modifier, and strings of every string type are
//! [`Datum::Text`]. `character(n)` values are kept without their trailing blanks, which makes
//! comparison, hashing and keys right by themselves; rendering pads them again.
//!
//! # Source
//!
//! Order and equality: PostgreSQL 15's default btree operator classes. NaN equals itself and is the
//! largest float; strings compare by bytes (collation C); nulls sort last.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::codec;
use super::interval::Interval;
use super::json;
use super::numeric::Numeric;
use super::types::DataType;
use crate::base::codec::CodecError;

/// Microseconds of a day.
pub const DAY_MICROS: i64 = 86_400_000_000;

/// An immutable string, cheap to clone.
#[derive(Clone, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Text(Arc<str>);

impl Text {
    /// The characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::ops::Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// Immutable bytes, cheap to clone.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Blob(Arc<[u8]>);

impl std::ops::Deref for Blob {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Blob {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<u8>::deserialize(deserializer).map(Self::from)
    }
}

/// A one-dimensional array, with lower bound 1. Its elements are never arrays.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "ArrayParts", into = "ArrayParts")]
pub struct Array {
    /// What it holds.
    pub element: DataType,
    /// The elements; they may be null.
    pub items: Vec<Datum>,
}

/// An array between nodes: its element type, and elements as the row codec writes them.
#[derive(Serialize, Deserialize)]
struct ArrayParts(DataType, Vec<u8>);

impl From<Array> for ArrayParts {
    fn from(array: Array) -> Self {
        let mut bytes = Vec::new();
        let fits = codec::encode_items(&mut bytes, &array.element, &array.items);
        assert!(fits, "array of {} holds {:?}", array.element, array.items);
        Self(array.element, bytes)
    }
}

impl TryFrom<ArrayParts> for Array {
    type Error = CodecError;
    fn try_from(parts: ArrayParts) -> Result<Self, CodecError> {
        Ok(Self { items: codec::decode_items(&parts.0, &parts.1)?, element: parts.0 })
    }
}

/// A value of SQL.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Datum {
    /// The absence of a value, of any type.
    Null,
    /// `boolean`.
    Bool(bool),
    /// `smallint`.
    Int2(i16),
    /// `integer`.
    Int4(i32),
    /// `bigint`.
    Int8(i64),
    /// `real`.
    Float4(f32),
    /// `double precision`.
    Float8(f64),
    /// `numeric`.
    Numeric(Numeric),
    /// Every string type, and literals of type unknown.
    Text(Text),
    /// `json` as it was written, `jsonb` in its canonical form.
    Json(Text),
    /// `bytea`.
    Bytea(Blob),
    /// `date`: days since 2000-01-01; `i32::MIN` and `i32::MAX` are the infinities.
    Date(i32),
    /// `time`: microseconds since midnight, 24:00 included.
    Time(i64),
    /// `timestamp`: microseconds since 2000-01-01; `i64::MIN` and `i64::MAX` are the infinities.
    Timestamp(i64),
    /// `timestamptz`: microseconds since 2000-01-01 UTC, with infinities.
    Timestamptz(i64),
    /// `interval`.
    Interval(Interval),
    /// `uuid`, big-endian.
    Uuid(u128),
    /// `oid`, `xid` and the `reg…` types.
    Oid(u32),
    /// Arrays and the vectors of the catalogs.
    Array(Arc<Array>),
}

impl Datum {
    /// A string value.
    pub fn text(text: &str) -> Self {
        Self::Text(Text::from(text))
    }

    /// An array of `items`.
    pub fn array(element: DataType, items: Vec<Self>) -> Self {
        Self::Array(Arc::new(Array { element, items }))
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The truth value; `None` for null and for everything that is no boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None, // binding has made sure of the type
        }
    }

    /// The string, if it is one, or the text of a JSON value.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Json(text) => Some(text.as_str()),
            _ => None, // binding has made sure of the type
        }
    }

    /// The whole number, if it is one of any width (OIDs too).
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int2(value) => Some(i64::from(*value)),
            Self::Int4(value) => Some(i64::from(*value)),
            Self::Int8(value) => Some(*value),
            Self::Oid(value) => Some(i64::from(*value)),
            _ => None, // binding has made sure of the type
        }
    }

    /// The type that the value has by itself; `Unknown` for null.
    pub fn natural_type(&self) -> DataType {
        match self {
            Self::Null => DataType::Unknown,
            Self::Bool(_) => DataType::Bool,
            Self::Int2(_) => DataType::Int2,
            Self::Int4(_) => DataType::Int4,
            Self::Int8(_) => DataType::Int8,
            Self::Float4(_) => DataType::Float4,
            Self::Float8(_) => DataType::Float8,
            Self::Numeric(_) => DataType::NUMERIC,
            Self::Text(_) => DataType::Text,
            Self::Json(_) => DataType::Jsonb,
            Self::Bytea(_) => DataType::Bytea,
            Self::Date(_) => DataType::Date,
            Self::Time(_) => DataType::Time,
            Self::Timestamp(_) => DataType::Timestamp,
            Self::Timestamptz(_) => DataType::Timestamptz,
            Self::Interval(_) => DataType::Interval,
            Self::Uuid(_) => DataType::Uuid,
            Self::Oid(_) => DataType::Oid,
            Self::Array(array) => DataType::array_of(array.element.clone()),
        }
    }

    /// Bytes of memory that it takes, roughly: for budgets.
    pub fn size_bytes(&self) -> usize {
        let heap = match self {
            Self::Text(text) | Self::Json(text) => text.len() + 16,
            Self::Bytea(bytes) => bytes.len() + 16,
            Self::Numeric(number) => number.digits().len() * 2 + 16,
            Self::Array(array) => 48 + array.items.iter().map(Self::size_bytes).sum::<usize>(),
            _ => 0, // all others are held in place
        };
        size_of::<Self>() + heap
    }

    /// PostgreSQL's order, total over all datums: nulls last, values of unlike types by kind.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Int4(left), Self::Int4(right)) => left.cmp(right),
            (Self::Int8(left), Self::Int8(right)) => left.cmp(right),
            (Self::Text(left), Self::Text(right)) => left.as_bytes().cmp(right.as_bytes()),
            (Self::Null, Self::Null) => Ordering::Equal,
            (Self::Null, _) => Ordering::Greater,
            (_, Self::Null) => Ordering::Less,
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            (Self::Float8(left), Self::Float8(right)) => compare_f64(*left, *right),
            (Self::Numeric(left), Self::Numeric(right)) => left.cmp(right),
            (Self::Bytea(left), Self::Bytea(right)) => left.cmp(right),
            (Self::Date(left), Self::Date(right)) => left.cmp(right),
            (Self::Time(left), Self::Time(right)) => left.cmp(right),
            (Self::Timestamp(left), Self::Timestamp(right))
            | (Self::Timestamptz(left), Self::Timestamptz(right)) => left.cmp(right),
            (Self::Interval(left), Self::Interval(right)) => left.span().cmp(&right.span()),
            (Self::Uuid(left), Self::Uuid(right)) => left.cmp(right),
            (Self::Oid(left), Self::Oid(right)) => left.cmp(right),
            (Self::Array(left), Self::Array(right)) => compare_arrays(left, right),
            (Self::Json(left), Self::Json(right)) => json::compare(left, right),
            (Self::Date(left), Self::Timestamp(right)) => date_to_timestamp(*left).cmp(right),
            (Self::Timestamp(left), Self::Date(right)) => left.cmp(&date_to_timestamp(*right)),
            _ => self.compare_unlike(other), // numbers of different kinds, or no match
        }
    }

    fn compare_unlike(&self, other: &Self) -> Ordering {
        if let (Some(left), Some(right)) = (self.as_i64(), other.as_i64()) {
            return left.cmp(&right);
        }
        match (self.as_float(), other.as_float()) {
            (Some(left), Some(right)) => compare_f64(left, right),
            _ => match (self.as_numeric(), other.as_numeric()) {
                (Some(left), Some(right)) => left.cmp(&right),
                _ => self.kind().cmp(&other.kind()), // no common ground: any fixed order will do
            },
        }
    }

    /// The value as a double, if it is a number and at least binary floating point is meant.
    fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float4(value) => Some(f64::from(*value)),
            Self::Float8(value) => Some(*value),
            _ => None, // compared exactly
        }
    }

    fn as_numeric(&self) -> Option<Numeric> {
        match self {
            Self::Numeric(value) => Some(value.clone()),
            Self::Float4(value) => Some(Numeric::from_f32(*value)),
            Self::Float8(value) => Some(Numeric::from_f64(*value)),
            _ => self.as_i64().map(Numeric::from), // or no number at all
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Bool(_) => 0,
            Self::Int2(_) | Self::Int4(_) | Self::Int8(_) | Self::Oid(_) => 1,
            Self::Float4(_) | Self::Float8(_) | Self::Numeric(_) => 1,
            Self::Text(_) => 2,
            Self::Bytea(_) => 3,
            Self::Date(_) | Self::Timestamp(_) => 4,
            Self::Timestamptz(_) => 5,
            Self::Time(_) => 6,
            Self::Interval(_) => 7,
            Self::Uuid(_) => 8,
            Self::Array(_) => 9,
            Self::Json(_) => 10,
            Self::Null => 11,
        }
    }
}

fn compare_f64(left: f64, right: f64) -> Ordering {
    // NaN is equal to NaN and above the rest; 0 equals -0.
    left.partial_cmp(&right).unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()))
}

fn compare_arrays(left: &Array, right: &Array) -> Ordering {
    let pairs = left.items.iter().zip(&right.items);
    pairs
        .map(|(left, right)| left.compare(right))
        .find(|order| order.is_ne())
        .unwrap_or_else(|| left.items.len().cmp(&right.items.len()))
}

/// Midnight of a date; infinities stay. Dates beyond the range of timestamps come to its ends.
pub fn date_to_timestamp(days: i32) -> i64 {
    match days {
        i32::MIN => i64::MIN,
        i32::MAX => i64::MAX,
        _ => i64::from(days).saturating_mul(DAY_MICROS),
    }
}

/// Equality of keys and groups: as [`Datum::compare`]; nulls are equal to each other.
impl PartialEq for Datum {
    fn eq(&self, other: &Self) -> bool {
        self.compare(other) == Ordering::Equal
    }
}

impl Eq for Datum {}

impl Ord for Datum {
    fn cmp(&self, other: &Self) -> Ordering {
        self.compare(other)
    }
}

impl PartialOrd for Datum {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Agrees with equality for values of one type; integers of all widths hash alike.
impl Hash for Datum {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Null => state.write_u8(0),
            Self::Bool(value) => value.hash(state),
            Self::Int2(value) => state.write_i64(i64::from(*value)),
            Self::Int4(value) => state.write_i64(i64::from(*value)),
            Self::Int8(value) => state.write_i64(*value),
            Self::Oid(value) => state.write_i64(i64::from(*value)),
            Self::Float4(value) => hash_f64(f64::from(*value), state),
            Self::Float8(value) => hash_f64(*value, state),
            Self::Numeric(value) => value.hash(state),
            Self::Text(text) => text.hash(state),
            Self::Bytea(bytes) => bytes.hash(state),
            Self::Date(value) => state.write_i64(date_to_timestamp(*value)),
            Self::Time(value) | Self::Timestamp(value) | Self::Timestamptz(value) => {
                state.write_i64(*value);
            }
            Self::Interval(value) => value.span().hash(state),
            Self::Uuid(value) => value.hash(state),
            Self::Array(array) => array.items.hash(state),
            Self::Json(text) => json::hash(text, state),
        }
    }
}

fn hash_f64<H: Hasher>(value: f64, state: &mut H) {
    // Equal floats of different bits: NaNs, and the two zeros.
    let plain = if value.is_nan() { f64::NAN } else { value + 0.0 };
    state.write_u64(plain.to_bits());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::map::FixedHasher;

    fn hash(datum: &Datum) -> u64 {
        let mut hasher = FixedHasher::default();
        datum.hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn a_datum_stays_small() {
        assert!(size_of::<Datum>() <= 32, "{}", size_of::<Datum>());
    }

    #[test]
    fn nulls_sort_last_and_nan_above_numbers() {
        let mut floats = [
            Datum::Null,
            Datum::Float8(f64::NAN),
            Datum::Float8(f64::INFINITY),
            Datum::Float8(-1.0),
            Datum::Float8(f64::NEG_INFINITY),
        ];
        floats.sort();
        assert_eq!(
            format!("{floats:?}"),
            "[Float8(-inf), Float8(-1.0), Float8(inf), Float8(NaN), Null]"
        );
    }

    #[test]
    fn equal_values_hash_alike() {
        for (left, right) in [
            (Datum::Int2(7), Datum::Int8(7)),
            (Datum::Float8(0.0), Datum::Float8(-0.0)),
            (Datum::Float8(f64::NAN), Datum::Float8(-f64::NAN)),
            (
                Datum::Numeric(Numeric::parse("1.0").unwrap()),
                Datum::Numeric(Numeric::parse("1.000").unwrap()),
            ),
        ] {
            assert_eq!(left, right);
            assert_eq!(hash(&left), hash(&right), "{left:?}");
        }
        assert_ne!(Datum::Int4(1), Datum::Int4(2));
    }

    #[test]
    fn arrays_compare_element_by_element() {
        let ints = |items: &[i32]| {
            Datum::array(DataType::Int4, items.iter().map(|n| Datum::Int4(*n)).collect())
        };
        assert!(ints(&[1, 2]) < ints(&[1, 2, 0]));
        assert!(ints(&[1, 3]) > ints(&[1, 2, 0]));
        assert_eq!(ints(&[]), ints(&[]));
    }
}
