//! SQL data types: their numbers, spellings, modifiers and which casts exist between them.
//!
//! A [`DataType`] is a PostgreSQL type together with its modifier (`numeric(10,2)`, `varchar(20)`).
//! Names are resolved here without a catalog: users' own types do not exist yet.
//!
//! # Source
//!
//! PostgreSQL 15: `format_type.c`, `numerictypmodin`, `pg_type.dat`, `parse_coerce.c`.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::type_table::{CASTS, TYPES, TypeRow, oid};
use crate::base::error::{SqlError, sqlstate};

/// Longest `varchar(n)` or `char(n)` (PostgreSQL's `MaxAttrSize`).
pub const CHARACTERS_MAX: i64 = 10_485_760;
/// Largest declared precision of `numeric`.
pub const NUMERIC_PRECISION_MAX: i64 = 1_000;

/// A type of SQL, with its modifier.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub enum DataType {
    /// `boolean`.
    Bool,
    /// `smallint`.
    Int2,
    /// `integer`.
    Int4,
    /// `bigint`.
    Int8,
    /// `real`.
    Float4,
    /// `double precision`.
    Float8,
    /// `numeric`, with precision and scale if declared.
    Numeric {
        /// (precision, scale).
        precision: Option<(u16, i16)>,
    },
    /// `text`.
    Text,
    /// `character varying(n)`.
    Varchar(Option<u32>),
    /// `character(n)`; `None` is `bpchar` without a length.
    Char(Option<u32>),
    /// `"char"`: one byte, of the catalogs.
    InternalChar,
    /// `name`: at most 63 bytes.
    Name,
    /// `bytea`.
    Bytea,
    /// `date`.
    Date,
    /// `time without time zone`.
    Time,
    /// `timestamp without time zone`.
    Timestamp,
    /// `timestamp with time zone`.
    Timestamptz,
    /// `interval`.
    Interval,
    /// `uuid`.
    Uuid,
    /// `json`: the text as given, checked.
    Json,
    /// `jsonb`: JSON in canonical form.
    Jsonb,
    /// `oid`.
    Oid,
    /// `xid`.
    Xid,
    /// `regclass`.
    Regclass,
    /// `regtype`.
    Regtype,
    /// `regproc`.
    Regproc,
    /// `regnamespace`.
    Regnamespace,
    /// `regrole`.
    Regrole,
    /// `int2vector`, of the catalogs.
    Int2Vector,
    /// `oidvector`, of the catalogs.
    OidVector,
    /// A literal whose type is not decided yet.
    Unknown,
    /// A one-dimensional array.
    Array(Box<DataType>),
    /// What a function returns that returns nothing.
    Void,
    /// A row value without a named type.
    Record,
    /// Pseudo-type of function signatures.
    Any,
    /// Pseudo-type of function signatures.
    AnyElement,
    /// Pseudo-type of function signatures.
    AnyArray,
    /// Pseudo-type of function signatures.
    AnyNonArray,
}

/// Where a cast may happen. A wider context allows every narrower cast.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize)]
pub enum CastContext {
    /// Anywhere in an expression.
    Implicit,
    /// Also when a value is stored into a column.
    Assignment,
    /// Only where it is written.
    Explicit,
}

impl DataType {
    /// `numeric` without a modifier.
    pub const NUMERIC: Self = Self::Numeric { precision: None };

    /// An array of `element`.
    pub fn array_of(element: Self) -> Self {
        Self::Array(Box::new(element))
    }

    /// The type's OID.
    pub fn oid(&self) -> u32 {
        match self {
            Self::Bool => oid::BOOL,
            Self::Int2 => oid::INT2,
            Self::Int4 => oid::INT4,
            Self::Int8 => oid::INT8,
            Self::Float4 => oid::FLOAT4,
            Self::Float8 => oid::FLOAT8,
            Self::Numeric { .. } => oid::NUMERIC,
            Self::Text => oid::TEXT,
            Self::Varchar(_) => oid::VARCHAR,
            Self::Char(_) => oid::BPCHAR,
            Self::InternalChar => oid::INTERNAL_CHAR,
            Self::Name => oid::NAME,
            Self::Bytea => oid::BYTEA,
            Self::Date => oid::DATE,
            Self::Time => oid::TIME,
            Self::Timestamp => oid::TIMESTAMP,
            Self::Timestamptz => oid::TIMESTAMPTZ,
            Self::Interval => oid::INTERVAL,
            Self::Uuid => oid::UUID,
            Self::Json => oid::JSON,
            Self::Jsonb => oid::JSONB,
            Self::Oid => oid::OID,
            Self::Xid => oid::XID,
            Self::Regclass => oid::REGCLASS,
            Self::Regtype => oid::REGTYPE,
            Self::Regproc => oid::REGPROC,
            Self::Regnamespace => oid::REGNAMESPACE,
            Self::Regrole => oid::REGROLE,
            Self::Int2Vector => oid::INT2VECTOR,
            Self::OidVector => oid::OIDVECTOR,
            Self::Unknown => oid::UNKNOWN,
            Self::Array(element) => array_oid(element.oid()),
            Self::Void => oid::VOID,
            Self::Record => oid::RECORD,
            Self::Any => oid::ANY,
            Self::AnyElement => oid::ANYELEMENT,
            Self::AnyArray => oid::ANYARRAY,
            Self::AnyNonArray => oid::ANYNONARRAY,
        }
    }

    /// The type with this OID and modifier (-1: none); `None` if we do not know it.
    pub fn from_oid(number: u32, typmod: i32) -> Option<Self> {
        Some(match number {
            oid::BOOL => Self::Bool,
            oid::INT2 => Self::Int2,
            oid::INT4 => Self::Int4,
            oid::INT8 => Self::Int8,
            oid::FLOAT4 => Self::Float4,
            oid::FLOAT8 => Self::Float8,
            oid::NUMERIC => Self::Numeric { precision: numeric_typmod(typmod) },
            oid::TEXT => Self::Text,
            oid::VARCHAR => Self::Varchar(u32::try_from(typmod.saturating_sub(4)).ok()),
            oid::BPCHAR => Self::Char(u32::try_from(typmod.saturating_sub(4)).ok()),
            oid::INTERNAL_CHAR => Self::InternalChar,
            oid::NAME => Self::Name,
            oid::BYTEA => Self::Bytea,
            oid::DATE => Self::Date,
            oid::TIME => Self::Time,
            oid::TIMESTAMP => Self::Timestamp,
            oid::TIMESTAMPTZ => Self::Timestamptz,
            oid::INTERVAL => Self::Interval,
            oid::UUID => Self::Uuid,
            oid::JSON => Self::Json,
            oid::JSONB => Self::Jsonb,
            oid::OID => Self::Oid,
            oid::XID => Self::Xid,
            oid::REGCLASS => Self::Regclass,
            oid::REGTYPE => Self::Regtype,
            oid::REGPROC => Self::Regproc,
            oid::REGNAMESPACE => Self::Regnamespace,
            oid::REGROLE => Self::Regrole,
            oid::INT2VECTOR => Self::Int2Vector,
            oid::OIDVECTOR => Self::OidVector,
            oid::UNKNOWN => Self::Unknown,
            oid::VOID => Self::Void,
            oid::RECORD => Self::Record,
            oid::ANY => Self::Any,
            oid::ANYELEMENT => Self::AnyElement,
            oid::ANYARRAY => Self::AnyArray,
            oid::ANYNONARRAY => Self::AnyNonArray,
            0 => return None,
            _ => {
                let row = TYPES.iter().find(|row| row.array_oid == number)?;
                Self::array_of(Self::from_oid(row.oid, typmod)?)
            }
        })
    }

    /// `atttypmod` as PostgreSQL packs it; -1 if there is no modifier.
    pub fn typmod(&self) -> i32 {
        match self {
            Self::Numeric { precision: Some((precision, scale)) } => {
                ((i32::from(*precision) << 16) | (i32::from(*scale) & 0x7ff)) + 4
            }
            Self::Varchar(Some(n)) | Self::Char(Some(n)) => {
                i32::try_from(*n).unwrap_or(i32::MAX - 4) + 4
            }
            Self::Array(element) => element.typmod(),
            _ => -1, // every other type has no modifier
        }
    }

    /// `typlen`: bytes on PostgreSQL's pages, -1 for variable length.
    #[expect(clippy::len_without_is_empty, reason = "a type's length is not a collection's")]
    pub fn len(&self) -> i16 {
        self.row().map_or(-1, |row| row.len)
    }

    /// `typname`, as `pg_type` spells it: `int4`, `_int4` for an array.
    pub fn typname(&self) -> String {
        match self {
            Self::Array(element) => format!("_{}", element.typname()),
            _ => self.row().map_or("unknown", |row| row.typname).to_owned(),
        }
    }

    /// The spelling of `format_type`, with the modifier.
    pub fn name(&self) -> String {
        match self {
            Self::Numeric { precision: Some((p, s)) } => format!("numeric({p},{s})"),
            Self::Varchar(Some(n)) => format!("character varying({n})"),
            Self::Char(Some(n)) => format!("character({n})"),
            Self::Char(None) => "bpchar".to_owned(),
            Self::Array(element) => format!("{}[]", element.name()),
            _ => self.base_name().into_owned(),
        }
    }

    /// The spelling of `format_type` without a modifier, as error messages use it.
    pub fn base_name(&self) -> std::borrow::Cow<'static, str> {
        match self {
            Self::Array(element) => format!("{}[]", element.base_name()).into(),
            _ => self.row().map_or("unknown", |row| row.name).into(),
        }
    }

    /// `typcategory`.
    pub fn category(&self) -> u8 {
        self.row().map_or(b'A', |row| row.category)
    }

    /// `typispreferred`: the type that wins among its category.
    pub fn is_preferred(&self) -> bool {
        self.row().is_some_and(|row| row.preferred)
    }

    /// Whether values are strings of characters that compare byte by byte.
    pub fn is_string(&self) -> bool {
        matches!(
            self,
            Self::Text
                | Self::Varchar(_)
                | Self::Char(_)
                | Self::Name
                | Self::InternalChar
                | Self::Unknown
        )
    }

    /// Whether it is a pseudo-type, which no column can have.
    pub fn is_pseudo(&self) -> bool {
        self.category() == b'P' && !matches!(self, Self::Array(_))
    }

    /// The same type without its modifier.
    pub fn without_modifier(&self) -> Self {
        match self {
            Self::Numeric { .. } => Self::NUMERIC,
            Self::Varchar(_) => Self::Varchar(None),
            Self::Char(_) => Self::Char(None),
            Self::Array(element) => Self::array_of(element.without_modifier()),
            _ => self.clone(),
        }
    }

    /// What an array holds.
    pub fn element(&self) -> Option<Self> {
        match self {
            Self::Array(element) => Some((**element).clone()),
            Self::Int2Vector => Some(Self::Int2),
            Self::OidVector => Some(Self::Oid),
            _ => None,
        }
    }

    fn row(&self) -> Option<&'static TypeRow> {
        let number = self.oid();
        TYPES.binary_search_by_key(&number, |row| row.oid).ok().map(|at| &TYPES[at])
    }
}

/// As OID and modifier: no nesting that hostile bytes could drive.
impl Serialize for DataType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.oid(), self.typmod()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for DataType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (oid, typmod) = <(u32, i32)>::deserialize(deserializer)?;
        Self::from_oid(oid, typmod).ok_or_else(|| D::Error::custom("unknown type"))
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

fn array_oid(element: u32) -> u32 {
    TYPES.binary_search_by_key(&element, |row| row.oid).map_or(0, |at| TYPES[at].array_oid)
}

fn numeric_typmod(typmod: i32) -> Option<(u16, i16)> {
    let packed = typmod.checked_sub(4).filter(|packed| 0 <= *packed)?;
    let precision = u16::try_from((packed >> 16) & 0xffff).ok()?;
    let scale = ((packed & 0x7ff) ^ 1024) - 1024;
    Some((precision, i16::try_from(scale).ok()?))
}

/// Whether a value of type `from` may become a `to` in `context`, modifiers aside. Equal types may.
///
/// Literals of type unknown may become anything; text may become anything that is written
/// explicitly, and anything may be stored as text (PostgreSQL's casts through input and output).
pub fn can_cast(from: &DataType, to: &DataType, context: CastContext) -> bool {
    if from.oid() == to.oid() || *from == DataType::Unknown {
        return true;
    }
    match (from, to) {
        (_, DataType::Any | DataType::AnyElement) => return true,
        (_, DataType::AnyNonArray) => return !matches!(from, DataType::Array(_)),
        (_, DataType::AnyArray) => return matches!(from, DataType::Array(_)),
        (DataType::Array(from), DataType::Array(to)) => return can_cast(from, to, context),
        (DataType::Int2Vector, DataType::Array(to)) => {
            return context == CastContext::Explicit && **to == DataType::Int2;
        }
        (DataType::OidVector, DataType::Array(to)) => {
            return context == CastContext::Explicit && **to == DataType::Oid;
        }
        (DataType::Void | DataType::Record, _) | (_, DataType::Void | DataType::Record) => {
            return false;
        }
        _ => {} // decided by the table
    }
    if let Some(needed) = cast_context(from, to) {
        return needed <= context;
    }
    if to.category() == b'S' && *to != DataType::Name {
        return CastContext::Assignment <= context;
    }
    (from.category() == b'S' || to.category() == b'S') && context == CastContext::Explicit
}

/// The narrowest context in which `pg_cast` has a cast from `from` to `to`.
pub fn cast_context(from: &DataType, to: &DataType) -> Option<CastContext> {
    let pair = (from.oid(), to.oid());
    CASTS.binary_search_by_key(&pair, |(from, to, _)| (*from, *to)).ok().map(|at| CASTS[at].2)
}

impl DataType {
    /// The type that a SQL type name and its modifiers mean. The name is in lower case, words
    /// separated by one space, without `[]`.
    ///
    /// # Errors
    ///
    /// 42704 for an unknown name, 22023 for a bad modifier, 0A000 for what we do not have.
    pub fn from_sql_name(name: &str, modifiers: &[i64]) -> Result<Self, SqlError> {
        let plain = match name.strip_prefix("pg_catalog.").unwrap_or(name) {
            "bool" | "boolean" => Self::Bool,
            "int2" | "smallint" => Self::Int2,
            "int" | "int4" | "integer" => Self::Int4,
            "int8" | "bigint" => Self::Int8,
            "float4" | "real" => Self::Float4,
            "float8" | "double precision" => Self::Float8,
            "float" => return float_of(modifiers),
            "numeric" | "decimal" | "dec" => return numeric_of(modifiers),
            "text" => Self::Text,
            "varchar" | "character varying" | "char varying" => {
                return Ok(Self::Varchar(length_of("varchar", modifiers)?));
            }
            "char" | "character" | "nchar" => {
                return Ok(Self::Char(Some(length_of("char", modifiers)?.unwrap_or(1))));
            }
            "bpchar" => return Ok(Self::Char(length_of("char", modifiers)?)),
            "\"char\"" => Self::InternalChar,
            "name" => Self::Name,
            "bytea" => Self::Bytea,
            "date" => Self::Date,
            "time" | "time without time zone" => return time_of(Self::Time, name, modifiers),
            "timestamp" | "timestamp without time zone" => {
                return time_of(Self::Timestamp, name, modifiers);
            }
            "timestamptz" | "timestamp with time zone" => {
                return time_of(Self::Timestamptz, name, modifiers);
            }
            "interval" => return time_of(Self::Interval, name, modifiers),
            "uuid" => Self::Uuid,
            "json" => Self::Json,
            "jsonb" => Self::Jsonb,
            "oid" => Self::Oid,
            "xid" => Self::Xid,
            "regclass" => Self::Regclass,
            "regtype" => Self::Regtype,
            "regproc" | "regprocedure" => Self::Regproc,
            "regnamespace" => Self::Regnamespace,
            "regrole" => Self::Regrole,
            "int2vector" => Self::Int2Vector,
            "oidvector" => Self::OidVector,
            "unknown" => Self::Unknown,
            "void" => Self::Void,
            "record" => Self::Record,
            _ => return Err(no_such_type(name)),
        };
        if modifiers.is_empty() {
            return Ok(plain);
        }
        let message = format!("type modifier is not allowed for type \"{}\"", plain.typname());
        Err(SqlError::new(sqlstate::SYNTAX_ERROR, message))
    }
}

/// The error for a name that means no type here: known to PostgreSQL, or to nobody.
fn no_such_type(name: &str) -> SqlError {
    const LATER: &[&str] = &[
        "timetz",
        "time with time zone",
        "xml",
        "money",
        "bit",
        "varbit",
        "inet",
        "cidr",
        "macaddr",
        "tsvector",
        "tsquery",
        "point",
        "hstore",
    ];
    if LATER.contains(&name.strip_prefix("pg_catalog.").unwrap_or(name)) {
        return SqlError::unsupported(format!("type {name}"));
    }
    SqlError::new(sqlstate::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist"))
}

fn invalid(message: String) -> SqlError {
    SqlError::new(sqlstate::INVALID_PARAMETER_VALUE, message)
}

fn length_of(name: &str, modifiers: &[i64]) -> Result<Option<u32>, SqlError> {
    match modifiers {
        [] => Ok(None),
        [n] if *n < 1 => Err(invalid(format!("length for type {name} must be at least 1"))),
        [n] if CHARACTERS_MAX < *n => {
            Err(invalid(format!("length for type {name} cannot exceed {CHARACTERS_MAX}")))
        }
        [n] => Ok(u32::try_from(*n).ok()),
        _ => Err(invalid("invalid type modifier".to_owned())),
    }
}

fn float_of(modifiers: &[i64]) -> Result<DataType, SqlError> {
    match modifiers {
        [] | [25..=53] => Ok(DataType::Float8),
        [1..=24] => Ok(DataType::Float4),
        [n] if *n < 1 => Err(invalid("precision for type float must be at least 1 bit".to_owned())),
        [_] => Err(invalid("precision for type float must be less than 54 bits".to_owned())),
        _ => Err(invalid("invalid type modifier".to_owned())),
    }
}

fn numeric_of(modifiers: &[i64]) -> Result<DataType, SqlError> {
    let (precision, scale) = match modifiers {
        [] => return Ok(DataType::NUMERIC),
        [precision] => (*precision, 0),
        [precision, scale] => (*precision, *scale),
        _ => return Err(invalid("invalid NUMERIC type modifier".to_owned())),
    };
    if !(1..=NUMERIC_PRECISION_MAX).contains(&precision) {
        return Err(invalid(format!(
            "NUMERIC precision {precision} must be between 1 and {NUMERIC_PRECISION_MAX}"
        )));
    }
    if !(-1_000..=1_000).contains(&scale) {
        return Err(invalid(format!("NUMERIC scale {scale} must be between -1000 and 1000")));
    }
    // Both are in range now.
    let packed = (u16::try_from(precision).unwrap_or(1), i16::try_from(scale).unwrap_or(0));
    Ok(DataType::Numeric { precision: Some(packed) })
}

fn time_of(plain: DataType, name: &str, modifiers: &[i64]) -> Result<DataType, SqlError> {
    match modifiers {
        [] | [6] => Ok(plain),
        [n] if *n < 0 => {
            Err(invalid(format!("{}({n}) precision must not be negative", name.to_uppercase())))
        }
        // PostgreSQL warns and takes 6.
        [n] if 6 < *n => Ok(plain),
        _ => Err(SqlError::unsupported(format!("type {name} with a precision below 6"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oids_lead_back_to_their_types() {
        for row in TYPES {
            let ty = DataType::from_oid(row.oid, -1).unwrap();
            assert_eq!(ty.oid(), row.oid);
            if row.array_oid != 0 {
                let array = DataType::from_oid(row.array_oid, -1).unwrap();
                assert_eq!(array, DataType::array_of(ty));
                assert_eq!(array.oid(), row.array_oid);
            }
        }
        assert_eq!(DataType::from_oid(0, -1), None);
        assert_eq!(DataType::from_oid(999_999, -1), None);
    }

    #[test]
    fn tables_are_sorted() {
        assert!(TYPES.is_sorted_by_key(|row| row.oid));
        assert!(CASTS.is_sorted_by_key(|(from, to, _)| (*from, *to)));
    }

    #[test]
    fn modifiers_survive_their_packing() {
        for ty in [
            DataType::Numeric { precision: Some((10, 2)) },
            DataType::Numeric { precision: Some((3, -4)) },
            DataType::Varchar(Some(20)),
            DataType::Char(Some(1)),
            DataType::array_of(DataType::Varchar(Some(7))),
        ] {
            assert_eq!(DataType::from_oid(ty.oid(), ty.typmod()), Some(ty));
        }
    }

    #[test]
    fn names_are_those_of_format_type() {
        let numeric = DataType::from_sql_name("decimal", &[10, 2]).unwrap();
        assert_eq!(numeric.name(), "numeric(10,2)");
        assert_eq!(DataType::from_sql_name("char", &[]).unwrap().name(), "character(1)");
        assert_eq!(DataType::array_of(DataType::Timestamptz).name(), "timestamp with time zone[]");
        let unknown = DataType::from_sql_name("nosuch", &[]).unwrap_err();
        assert_eq!(unknown.state, sqlstate::UNDEFINED_OBJECT);
    }

    #[test]
    fn casts_have_their_contexts() {
        use CastContext::{Assignment, Explicit, Implicit};
        let numeric = DataType::NUMERIC;
        assert!(can_cast(&DataType::Int4, &numeric, Implicit));
        assert!(!can_cast(&numeric, &DataType::Int4, Implicit));
        assert!(can_cast(&numeric, &DataType::Int4, Assignment));
        assert!(!can_cast(&DataType::Int4, &DataType::Bool, Assignment));
        assert!(can_cast(&DataType::Int4, &DataType::Bool, Explicit));
        assert!(can_cast(&DataType::Int4, &DataType::Text, Assignment));
        assert!(!can_cast(&DataType::Int4, &DataType::Text, Implicit));
        assert!(!can_cast(&DataType::Text, &DataType::Int4, Assignment));
        assert!(can_cast(&DataType::Text, &DataType::Date, Explicit));
        assert!(!can_cast(&DataType::Date, &DataType::Int4, Explicit));
    }
}
