//! A table as keys and bytes: where a row lies, where its index entries lie, how it is written.
//!
//! ```text
//! row          table id · 0 · primary key columns (or the hidden rowid)   ->  the row
//! index entry  table id · index id · columns [· row's key columns]        ->  the row's key columns
//! ```
//!
//! A unique entry without NULLs ends with its columns, so that two rows with the same values meet at
//! one key.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use bytes::Bytes;

use crate::base::codec::CodecError;
use crate::base::error::{SqlError, sqlstate};
use crate::base::id::IndexId;
use crate::base::key::{Key, Span};
use crate::base::limit;
use crate::row::codec::{
    KeyReader, RowDecoder, RowEncoder, decode_key_column, encode_key_column, encode_key_prefix,
    hash16,
};
use crate::row::datum::Datum;
use crate::row::types::DataType;
use crate::sql::catalog::descriptor::{IndexDescriptor, TableDescriptor};
use crate::sql::ports::{Place, Route};

/// Bytes of table id and index id.
const PREFIX_BYTES: usize = 8;
/// What the scratch memory keeps after a large row.
const SCRATCH_BYTES_MAX: usize = 64 << 10;

/// A table's descriptor with its encoders.
#[derive(Debug)]
pub(crate) struct TableAccess {
    pub(crate) descriptor: Rc<TableDescriptor>,
    encoder: RowEncoder,
    decoder: RowDecoder,
    /// Where a row's bytes are put together before they take just the memory that they need.
    scratch: RefCell<Vec<u8>>,
}

/// An entry of an index.
#[derive(Debug)]
pub(crate) struct IndexEntry {
    pub(crate) key: Key,
    pub(crate) hash: u16,
    pub(crate) row: Bytes,
}

impl TableAccess {
    pub(crate) fn new(descriptor: Rc<TableDescriptor>) -> Self {
        let types: Vec<_> = descriptor.columns.iter().map(|column| column.ty.clone()).collect();
        let encoder = RowEncoder::new(types.clone(), descriptor.version);
        let decoder = RowDecoder::new(types, Vec::new());
        Self { descriptor, encoder, decoder, scratch: RefCell::default() }
    }

    /// How requests name an index of it (0: its rows).
    pub(crate) fn place(&self, index: IndexId) -> Place {
        Place { table: self.descriptor.id, version: self.descriptor.version, index }
    }

    /// How requests name its rows.
    pub(crate) fn rows(&self) -> Place {
        self.place(IndexId(0))
    }

    /// All keys of an index.
    pub(crate) fn span(&self, index: IndexId) -> Span {
        Span::prefix(self.prefix(index).into())
    }

    /// The bytes that open all keys of an index.
    pub(crate) fn prefix(&self, index: IndexId) -> Vec<u8> {
        let mut key = Vec::with_capacity(32);
        encode_key_prefix(&mut key, self.descriptor.id.0, index.0);
        key
    }

    /// The key of a row and the hash of its sharding columns. `rowid` is asked for if the table has
    /// no primary key.
    pub(crate) fn row_key(
        &self,
        row: &[Datum],
        rowid: impl FnOnce() -> (i64, i64),
    ) -> Result<(Key, u16), SqlError> {
        let mut key = self.prefix(IndexId(0));
        let hash = match self.descriptor.primary() {
            Some(primary) => {
                for column in &primary.columns {
                    encode_key_column(
                        &mut key,
                        &row[usize::from(column.column)],
                        column.descending,
                    );
                }
                self.shard_hash(row)
            }
            None => {
                let (high, low) = rowid();
                let parts = [Datum::Int8(high), Datum::Int8(low)];
                for part in &parts {
                    encode_key_column(&mut key, part, false);
                }
                hash16(&parts)
            }
        };
        Ok((checked(key, "row")?, hash))
    }

    /// The hash of a row that has a key already: of its sharding columns, or of its hidden rowid.
    pub(crate) fn hash_of(&self, row: &[Datum], key: &Key) -> Result<u16, SqlError> {
        if !self.descriptor.hidden_rowid {
            return Ok(self.shard_hash(row));
        }
        let mut reader = KeyReader::new(&key.0[PREFIX_BYTES..]);
        let high = decode_key_column(&mut reader, &DataType::Int8, false).map_err(corrupted)?;
        let low = decode_key_column(&mut reader, &DataType::Int8, false).map_err(corrupted)?;
        Ok(hash16(&[high, low]))
    }

    fn shard_hash(&self, row: &[Datum]) -> u16 {
        match self.descriptor.shard_key.as_slice() {
            [one] => hash16(std::slice::from_ref(&row[usize::from(*one)])),
            many => {
                let columns: Vec<_> = many.iter().map(|at| row[usize::from(*at)].clone()).collect();
                hash16(&columns)
            }
        }
    }

    /// The key and the shard of the row with these primary key values, given in the key's order.
    pub(crate) fn point(&self, values: &[Datum]) -> (Key, Route) {
        let mut key = self.prefix(IndexId(0));
        let Some(primary) = self.descriptor.primary() else {
            return (key.into(), Route::All);
        };
        for (column, value) in primary.columns.iter().zip(values) {
            encode_key_column(&mut key, value, column.descending);
        }
        let of = |ordinal: &u16| {
            let at = primary.columns.iter().position(|column| column.column == *ordinal);
            at.and_then(|at| values.get(at)).cloned()
        };
        let sharding: Option<Vec<_>> = self.descriptor.shard_key.iter().map(of).collect();
        let route = sharding.map_or(Route::All, |columns| Route::Hash(hash16(&columns)));
        (key.into(), route)
    }

    /// The keys of an index that begin with these values of its first columns, and their shard.
    pub(crate) fn index_prefix(&self, index: &IndexDescriptor, values: &[Datum]) -> Vec<u8> {
        let mut key = self.prefix(index.id);
        for (column, value) in index.columns.iter().zip(values) {
            encode_key_column(&mut key, value, column.descending);
        }
        key
    }

    /// The shard of an index's entries whose first column has this value.
    pub(crate) fn index_route(&self, index: &IndexDescriptor, values: &[Datum]) -> Route {
        if index.primary {
            return self.point(values).1;
        }
        values.first().map_or(Route::All, |first| Route::Hash(hash16(std::slice::from_ref(first))))
    }

    /// A row's entry in a secondary index.
    pub(crate) fn index_entry(
        &self,
        index: &IndexDescriptor,
        row: &[Datum],
        row_key: &Key,
    ) -> Result<IndexEntry, SqlError> {
        let mut key = self.prefix(index.id);
        let mut has_null = false;
        for column in &index.columns {
            let value = &row[usize::from(column.column)];
            has_null |= value.is_null();
            encode_key_column(&mut key, value, column.descending);
        }
        let suffix = row_key.0.slice(PREFIX_BYTES..);
        if !index.unique || has_null {
            key.extend_from_slice(&suffix);
        }
        let first = index.columns.first().map_or(0, |column| usize::from(column.column));
        let hash = hash16(std::slice::from_ref(&row[first]));
        Ok(IndexEntry { key: checked(key, "index row")?, hash, row: suffix })
    }

    /// The row's key that an index entry leads to.
    pub(crate) fn row_key_of_entry(&self, entry: &[u8]) -> Key {
        let mut key = self.prefix(IndexId(0));
        key.extend_from_slice(entry);
        key.into()
    }

    /// A row's bytes.
    pub(crate) fn encode(&self, hash: u16, row: &[Datum]) -> Result<Bytes, SqlError> {
        self.written(|out| self.encoder.encode_into(hash, row, out))
    }

    /// The bytes of a row that has bytes in another table with the same columns.
    pub(crate) fn restamp(&self, hash: u16, bytes: &[u8]) -> Result<Bytes, SqlError> {
        self.written(|out| self.encoder.restamp(hash, bytes, out).map_err(corrupted))
    }

    fn written(
        &self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), SqlError>,
    ) -> Result<Bytes, SqlError> {
        let mut scratch = self.scratch.borrow_mut();
        scratch.clear();
        scratch.shrink_to(SCRATCH_BYTES_MAX);
        write(&mut scratch)?;
        Ok(Bytes::copy_from_slice(&scratch))
    }

    /// The columns that the keys of its rows and index entries are made of, ascending.
    pub(crate) fn key_columns(&self) -> Vec<usize> {
        let indexed = self.descriptor.indexes.iter().flat_map(|index| &index.columns);
        let ordinals =
            indexed.map(|key| key.column).chain(self.descriptor.shard_key.iter().copied());
        let columns: BTreeSet<_> = ordinals.map(usize::from).collect();
        columns.into_iter().collect()
    }

    /// A row's values.
    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<Vec<Datum>, SqlError> {
        let mut row = Vec::with_capacity(self.decoder.width());
        self.decoder.decode(bytes, &mut row).map_err(corrupted)?;
        Ok(row)
    }

    /// A row's values, others than `wanted` (ascending) null.
    pub(crate) fn decode_some(
        &self,
        bytes: &[u8],
        wanted: &[usize],
    ) -> Result<Vec<Datum>, SqlError> {
        let mut row = Vec::with_capacity(self.decoder.width());
        self.decoder.decode_sparse(bytes, wanted, &mut row).map_err(corrupted)?;
        Ok(row)
    }

    /// A row's values, others than those flagged null.
    pub(crate) fn decode_needed(
        &self,
        bytes: &[u8],
        needed: &[bool],
    ) -> Result<Vec<Datum>, SqlError> {
        let wanted = needed.iter().enumerate().filter_map(|(at, wanted)| wanted.then_some(at));
        let wanted: smallvec::SmallVec<[usize; 8]> = wanted.collect();
        self.decode_some(bytes, &wanted)
    }

    /// The values of the columns of an index's key.
    pub(crate) fn key_values(
        &self,
        index: &IndexDescriptor,
        key: &Key,
    ) -> Result<Vec<Datum>, CodecError> {
        let columns = key.0.get(PREFIX_BYTES..).ok_or(CodecError::Malformed("short key"))?;
        let mut reader = KeyReader::new(columns);
        let decode = |column: &crate::sql::catalog::descriptor::IndexColumn| {
            let ty = &self.descriptor.columns[usize::from(column.column)].ty;
            decode_key_column(&mut reader, ty, column.descending)
        };
        index.columns.iter().map(decode).collect()
    }
}

fn checked(key: Vec<u8>, what: &str) -> Result<Key, SqlError> {
    if limit::KEY_BYTES_MAX < key.len() {
        let message = format!("{what} size {} exceeds maximum {}", key.len(), limit::KEY_BYTES_MAX);
        return Err(SqlError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message));
    }
    Ok(key.into())
}

fn corrupted(error: CodecError) -> SqlError {
    SqlError::new(sqlstate::DATA_CORRUPTED, format!("stored row: {error}"))
}
