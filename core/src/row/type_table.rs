//! The types we know, as PostgreSQL 15 numbers and describes them, and which casts exist.
//!
//! Pure data: rows of `pg_type` and `pg_cast`, taken from a PostgreSQL 15 server. What a cast
//! does is in `cast.rs`; how a type is spelled and modified is in `types.rs`.

use super::types::CastContext::{self, Assignment, Explicit, Implicit};

/// Type OIDs by name.
pub mod oid {
    #![allow(missing_docs, reason = "the names are PostgreSQL's type names")]
    pub const BOOL: u32 = 16;
    pub const BYTEA: u32 = 17;
    pub const INTERNAL_CHAR: u32 = 18;
    pub const NAME: u32 = 19;
    pub const INT8: u32 = 20;
    pub const INT2: u32 = 21;
    pub const INT2VECTOR: u32 = 22;
    pub const INT4: u32 = 23;
    pub const REGPROC: u32 = 24;
    pub const TEXT: u32 = 25;
    pub const OID: u32 = 26;
    pub const XID: u32 = 28;
    pub const OIDVECTOR: u32 = 30;
    pub const JSON: u32 = 114;
    pub const FLOAT4: u32 = 700;
    pub const FLOAT8: u32 = 701;
    pub const UNKNOWN: u32 = 705;
    pub const BPCHAR: u32 = 1042;
    pub const VARCHAR: u32 = 1043;
    pub const DATE: u32 = 1082;
    pub const TIME: u32 = 1083;
    pub const TIMESTAMP: u32 = 1114;
    pub const TIMESTAMPTZ: u32 = 1184;
    pub const INTERVAL: u32 = 1186;
    pub const NUMERIC: u32 = 1700;
    pub const REGCLASS: u32 = 2205;
    pub const REGTYPE: u32 = 2206;
    pub const RECORD: u32 = 2249;
    pub const ANY: u32 = 2276;
    pub const ANYARRAY: u32 = 2277;
    pub const VOID: u32 = 2278;
    pub const ANYELEMENT: u32 = 2283;
    pub const ANYNONARRAY: u32 = 2776;
    pub const UUID: u32 = 2950;
    pub const JSONB: u32 = 3802;
    pub const REGNAMESPACE: u32 = 4089;
    pub const REGROLE: u32 = 4096;
}

/// What `pg_type` says of a type.
#[derive(Clone, Copy, Debug)]
pub struct TypeRow {
    /// The type's OID.
    pub oid: u32,
    /// The OID of the array of it; 0 if there is none.
    pub array_oid: u32,
    /// `typname`.
    pub typname: &'static str,
    /// The spelling of `format_type` without a modifier.
    pub name: &'static str,
    /// `typlen`: bytes, -1 for variable length, -2 for C strings.
    pub len: i16,
    /// `typcategory`.
    pub category: u8,
    /// `typispreferred`.
    pub preferred: bool,
}

const fn row(
    oid: u32,
    array_oid: u32,
    typname: &'static str,
    name: &'static str,
    len: i16,
    category: u8,
    preferred: bool,
) -> TypeRow {
    TypeRow { oid, array_oid, typname, name, len, category, preferred }
}

/// All types, by OID.
#[rustfmt::skip]
pub const TYPES: &[TypeRow] = &[
    row(16, 1000, "bool", "boolean", 1, b'B', true),
    row(17, 1001, "bytea", "bytea", -1, b'U', false),
    row(18, 1002, "char", "\"char\"", 1, b'Z', false),
    row(19, 1003, "name", "name", 64, b'S', false),
    row(20, 1016, "int8", "bigint", 8, b'N', false),
    row(21, 1005, "int2", "smallint", 2, b'N', false),
    row(22, 1006, "int2vector", "int2vector", -1, b'A', false),
    row(23, 1007, "int4", "integer", 4, b'N', false),
    row(24, 1008, "regproc", "regproc", 4, b'N', false),
    row(25, 1009, "text", "text", -1, b'S', true),
    row(26, 1028, "oid", "oid", 4, b'N', true),
    row(28, 1011, "xid", "xid", 4, b'U', false),
    row(30, 1013, "oidvector", "oidvector", -1, b'A', false),
    row(114, 199, "json", "json", -1, b'U', false),
    row(700, 1021, "float4", "real", 4, b'N', false),
    row(701, 1022, "float8", "double precision", 8, b'N', true),
    row(705, 0, "unknown", "unknown", -2, b'X', false),
    row(1042, 1014, "bpchar", "character", -1, b'S', false),
    row(1043, 1015, "varchar", "character varying", -1, b'S', false),
    row(1082, 1182, "date", "date", 4, b'D', false),
    row(1083, 1183, "time", "time without time zone", 8, b'D', false),
    row(1114, 1115, "timestamp", "timestamp without time zone", 8, b'D', false),
    row(1184, 1185, "timestamptz", "timestamp with time zone", 8, b'D', true),
    row(1186, 1187, "interval", "interval", 16, b'T', true),
    row(1700, 1231, "numeric", "numeric", -1, b'N', false),
    row(2205, 2210, "regclass", "regclass", 4, b'N', false),
    row(2206, 2211, "regtype", "regtype", 4, b'N', false),
    row(2249, 2287, "record", "record", -1, b'P', false),
    row(2276, 0, "any", "\"any\"", 4, b'P', false),
    row(2277, 0, "anyarray", "anyarray", -1, b'P', false),
    row(2278, 0, "void", "void", 4, b'P', false),
    row(2283, 0, "anyelement", "anyelement", 4, b'P', false),
    row(2776, 0, "anynonarray", "anynonarray", 4, b'P', false),
    row(2950, 2951, "uuid", "uuid", 16, b'U', false),
    row(3802, 3807, "jsonb", "jsonb", -1, b'U', false),
    row(4089, 4090, "regnamespace", "regnamespace", 4, b'N', false),
    row(4096, 4097, "regrole", "regrole", 4, b'N', false),
];

/// `pg_cast`: (source, target, where the cast may happen), by source and target.
#[rustfmt::skip]
pub const CASTS: &[(u32, u32, CastContext)] = &[
    (16, 23, Explicit), (16, 25, Assignment), (16, 1042, Assignment),
    (16, 1043, Assignment), (18, 23, Explicit), (18, 25, Implicit),
    (18, 1042, Assignment), (18, 1043, Assignment), (19, 25, Implicit),
    (19, 1042, Assignment), (19, 1043, Assignment), (20, 21, Assignment),
    (20, 23, Assignment), (20, 24, Implicit), (20, 26, Implicit),
    (20, 700, Implicit), (20, 701, Implicit), (20, 1700, Implicit),
    (20, 2205, Implicit), (20, 2206, Implicit), (20, 4089, Implicit),
    (20, 4096, Implicit), (21, 20, Implicit), (21, 23, Implicit),
    (21, 24, Implicit), (21, 26, Implicit), (21, 700, Implicit),
    (21, 701, Implicit), (21, 1700, Implicit), (21, 2205, Implicit),
    (21, 2206, Implicit), (21, 4089, Implicit), (21, 4096, Implicit),
    (23, 16, Explicit), (23, 18, Explicit), (23, 20, Implicit),
    (23, 21, Assignment), (23, 24, Implicit), (23, 26, Implicit),
    (23, 700, Implicit), (23, 701, Implicit), (23, 1700, Implicit),
    (23, 2205, Implicit), (23, 2206, Implicit), (23, 4089, Implicit),
    (23, 4096, Implicit), (24, 20, Assignment), (24, 23, Assignment),
    (24, 26, Implicit), (25, 18, Assignment), (25, 19, Implicit),
    (25, 1042, Implicit), (25, 1043, Implicit), (25, 2205, Implicit),
    (26, 20, Assignment), (26, 23, Assignment), (26, 24, Implicit),
    (26, 2205, Implicit), (26, 2206, Implicit), (26, 4089, Implicit),
    (26, 4096, Implicit), (114, 3802, Assignment), (700, 20, Assignment),
    (700, 21, Assignment), (700, 23, Assignment), (700, 701, Implicit),
    (700, 1700, Assignment), (701, 20, Assignment), (701, 21, Assignment),
    (701, 23, Assignment), (701, 700, Assignment), (701, 1700, Assignment),
    (1042, 18, Assignment), (1042, 19, Implicit), (1042, 25, Implicit),
    (1042, 1043, Implicit), (1043, 18, Assignment), (1043, 19, Implicit),
    (1043, 25, Implicit), (1043, 1042, Implicit), (1043, 2205, Implicit),
    (1082, 1114, Implicit), (1082, 1184, Implicit), (1083, 1186, Implicit),
    (1114, 1082, Assignment), (1114, 1083, Assignment), (1114, 1184, Implicit),
    (1184, 1082, Assignment), (1184, 1083, Assignment), (1184, 1114, Assignment),
    (1186, 1083, Assignment), (1700, 20, Assignment), (1700, 21, Assignment),
    (1700, 23, Assignment), (1700, 700, Implicit), (1700, 701, Implicit),
    (2205, 20, Assignment), (2205, 23, Assignment), (2205, 26, Implicit),
    (2206, 20, Assignment), (2206, 23, Assignment), (2206, 26, Implicit),
    (3802, 16, Explicit), (3802, 20, Explicit), (3802, 21, Explicit),
    (3802, 23, Explicit), (3802, 114, Assignment), (3802, 700, Explicit),
    (3802, 701, Explicit), (3802, 1700, Explicit), (4089, 20, Assignment),
    (4089, 23, Assignment), (4089, 26, Implicit), (4096, 20, Assignment),
    (4096, 23, Assignment), (4096, 26, Implicit), 
];
