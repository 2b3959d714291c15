//! Stored rows.
//!
//! ```text
//! flags u8 · hash16 u16be · schema version varint · column count varint
//! null bitmap (a bit a column, lowest bit first; 1 is null) · the columns that are not null
//! ```
//!
//! The bytes carry no types: who decodes brings those of the table. A row written before a column
//! was added has fewer columns; the missing ones take the default that the caller gives.

use crate::base::codec::{CodecError, Reader, put_varint};
use crate::base::error::{SqlError, sqlstate};
use crate::base::limit;
use crate::row::datum::Datum;
use crate::row::types::DataType;

use super::field::{decode_field, encode_field, fixed_len, skip_field};

/// Bits of [`ValueHeader::flags`].
pub mod flag {
    /// The key has no value: it was deleted.
    pub const TOMBSTONE: u8 = 0x01;
    /// All bits that have a meaning.
    pub const ALL: u8 = TOMBSTONE;
}

/// What opens every stored value. Ownership filters read the hash here, without a catalog.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ValueHeader {
    /// See [`flag`].
    pub flags: u8,
    /// The routing hash of the row's sharding columns.
    pub hash16: u16,
    /// The table's schema version at which the row was written.
    pub schema_version: u32,
}

impl ValueHeader {
    /// Appends the header.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.flags);
        out.extend_from_slice(&self.hash16.to_be_bytes());
        put_varint(out, u64::from(self.schema_version));
    }

    /// Splits a value into header and body.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if the value is too short or has flags that we do not know.
    pub fn decode(value: &[u8]) -> Result<(Self, &[u8]), CodecError> {
        let mut reader = Reader::new(value);
        let flags = reader.u8()?;
        if flags & !flag::ALL != 0 {
            return Err(CodecError::Malformed("unknown flags of a value"));
        }
        let hash16 = reader.u16()?;
        let schema_version = u32::try_from(reader.varint()?)
            .map_err(|_| CodecError::Malformed("schema version over 32 bits"))?;
        Ok((Self { flags, hash16, schema_version }, reader.rest()))
    }
}

/// Writes rows of one table version.
#[derive(Clone, Debug)]
pub struct RowEncoder {
    types: Vec<DataType>,
    schema_version: u32,
}

impl RowEncoder {
    /// An encoder for rows with these columns.
    pub fn new(types: Vec<DataType>, schema_version: u32) -> Self {
        Self { types, schema_version }
    }

    /// The bytes of a row: one datum a column, of the column's type.
    ///
    /// # Errors
    ///
    /// 54000 if the row is too large, XX000 if a datum is not of its column's type.
    pub fn encode(&self, hash16: u16, row: &[Datum]) -> Result<Vec<u8>, SqlError> {
        let mut out = Vec::with_capacity(16 + row.len() * 9);
        self.encode_into(hash16, row, &mut out)?;
        Ok(out)
    }

    /// As [`Self::encode`], into an empty buffer; after an error it holds anything.
    ///
    /// # Errors
    ///
    /// As [`Self::encode`].
    pub fn encode_into(
        &self,
        hash16: u16,
        row: &[Datum],
        out: &mut Vec<u8>,
    ) -> Result<(), SqlError> {
        if row.len() != self.types.len() {
            let message = format!("row has {} values for {} columns", row.len(), self.types.len());
            return Err(SqlError::new(sqlstate::INTERNAL_ERROR, message));
        }
        let header = ValueHeader { flags: 0, hash16, schema_version: self.schema_version };
        header.encode(out);
        put_varint(out, row.len() as u64);
        let bitmap = out.len();
        out.resize(bitmap + row.len().div_ceil(8), 0);
        for (at, (datum, ty)) in row.iter().zip(&self.types).enumerate() {
            if datum.is_null() {
                out[bitmap + at / 8] |= 1 << (at % 8);
            } else if !encode_field(out, ty, datum) {
                let message = format!("column {} of type {ty} cannot hold {datum:?}", at + 1);
                return Err(SqlError::new(sqlstate::INTERNAL_ERROR, message));
            }
        }
        if limit::ROW_BYTES_MAX < out.len() {
            let message = format!("row is too big: size {}", out.len());
            return Err(SqlError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message)
                .detail(format!("The maximum is {} bytes.", limit::ROW_BYTES_MAX)));
        }
        Ok(())
    }

    /// Bytes of a row of another table with the same columns, as a row of this one.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if they do not begin as a row does.
    pub fn restamp(&self, hash16: u16, row: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        let (header, body) = ValueHeader::decode(row)?;
        ValueHeader { hash16, schema_version: self.schema_version, ..header }.encode(out);
        out.extend_from_slice(body);
        Ok(())
    }
}

/// Reads rows of a table, also those written before its last columns were added.
#[derive(Clone, Debug)]
pub struct RowDecoder {
    columns: Vec<(DataType, Option<usize>)>,
    defaults: Vec<Datum>,
}

impl RowDecoder {
    /// A decoder for these columns. `defaults` are for columns that a row does not have yet;
    /// columns past their end take null.
    pub fn new(types: Vec<DataType>, defaults: Vec<Datum>) -> Self {
        let columns = types
            .into_iter()
            .map(|ty| {
                let len = fixed_len(&ty);
                (ty, len)
            })
            .collect();
        Self { columns, defaults }
    }

    /// Columns of a row.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// Appends every column to `out`.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if the value is no row of this table.
    pub fn decode(&self, value: &[u8], out: &mut Vec<Datum>) -> Result<(), CodecError> {
        self.walk(value, self.columns.len(), |_| true, |_, datum| out.push(datum))
    }

    /// Appends a row of full width in which only `wanted` columns are decoded and the others null.
    /// `wanted` is in ascending order.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if the value is no row of this table.
    pub fn decode_sparse(
        &self,
        value: &[u8],
        wanted: &[usize],
        out: &mut Vec<Datum>,
    ) -> Result<(), CodecError> {
        let base = out.len();
        out.resize(base + self.columns.len(), Datum::Null);
        let end = wanted.last().map_or(0, |last| last + 1).min(self.columns.len());
        let mut next = wanted.iter().copied().peekable();
        let is_wanted = |at: usize| next.next_if_eq(&at).is_some();
        self.walk(value, end, is_wanted, |at, datum| out[base + at] = datum)
    }

    /// Decodes the columns before `end` that are wanted.
    fn walk(
        &self,
        value: &[u8],
        end: usize,
        mut is_wanted: impl FnMut(usize) -> bool,
        mut take: impl FnMut(usize, Datum),
    ) -> Result<(), CodecError> {
        let (header, body) = ValueHeader::decode(value)?;
        if header.flags & flag::TOMBSTONE != 0 {
            return Err(CodecError::Malformed("a tombstone has no columns"));
        }
        let mut reader = Reader::new(body);
        let stored = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
        if limit::COLUMNS_MAX < stored {
            return Err(CodecError::Malformed("too many columns"));
        }
        let bitmap = reader.take(stored.div_ceil(8))?;
        for (at, (ty, len)) in self.columns.iter().enumerate().take(end) {
            let wanted = is_wanted(at);
            if stored <= at {
                if wanted {
                    take(at, self.defaults.get(at).cloned().unwrap_or(Datum::Null));
                }
            } else if bitmap[at / 8] & (1 << (at % 8)) != 0 {
                if wanted {
                    take(at, Datum::Null);
                }
            } else if wanted {
                take(at, decode_field(&mut reader, ty)?);
            } else {
                skip_field(&mut reader, *len)?;
            }
        }
        Ok(())
    }
}
