//! Writing rows of one table: through the transaction's write set, or through the bulk path if this
//! transaction made the table.
//!
//! Index entries are derived from the rows here, and nowhere else.

use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;

use super::bulk::{BulkBatch, BulkEntry, duplicate_key};
use super::context::ExecContext;
use super::table::TableAccess;
use super::wire::text_of;
use crate::base::error::{SqlError, sqlstate};
use crate::base::id::IndexId;
use crate::base::key::Key;
use crate::base::limit;
use crate::base::timestamp::Timestamp;
use crate::row::datum::Datum;
use crate::sql::ports::{
    BulkRow, GetRequest, LockMode, Place, Route, RowWrite, TxnFailure, WriteKind,
};

/// Buffered writes are handed down at this many bytes.
const FLUSH_BYTES: usize = 512 << 10;
/// And at this many.
const FLUSH_WRITES: usize = 1_024;

/// A row as it was found.
#[derive(Clone, Debug)]
pub(crate) struct OldRow {
    pub(crate) key: Key,
    pub(crate) version: Option<Timestamp>,
    pub(crate) values: Vec<Datum>,
}

/// Writes rows of one table within one statement.
pub(crate) struct TableWriter<'a> {
    context: &'a ExecContext,
    access: Rc<TableAccess>,
    is_bulk: bool,
    tags: Vec<u32>,
    writes: Vec<RowWrite>,
    bulk: BTreeMap<IndexId, BulkBatch>,
    bytes: usize,
}

impl<'a> TableWriter<'a> {
    pub(crate) fn new(context: &'a ExecContext, access: Rc<TableAccess>) -> Result<Self, SqlError> {
        let is_bulk = context.open.write_to(access.descriptor.id)?;
        let mut keys = context.open.bulk_keys().borrow_mut();
        let indexes = access.descriptor.indexes.len();
        // A table without a primary key has row keys that cannot meet; its tag is never looked up.
        let tags = (0..indexes.max(1)).map(|at| keys.tag(&access, at)).collect();
        drop(keys);
        let (writes, bulk) = (Vec::new(), BTreeMap::new());
        Ok(Self { context, access, is_bulk, tags, writes, bulk, bytes: 0 })
    }

    /// A writer for the entries of an index that no committed descriptor names.
    pub(crate) fn for_new_index(context: &'a ExecContext, access: Rc<TableAccess>) -> Self {
        let (writes, bulk) = (Vec::new(), BTreeMap::new());
        Self { context, access, is_bulk: true, tags: Vec::new(), writes, bulk, bytes: 0 }
    }

    /// The entry of a row that is there already, in a new index (its place in `indexes`).
    pub(crate) async fn fill_entry(
        &mut self,
        at: usize,
        row: &[Datum],
        key: &Key,
    ) -> Result<(), SqlError> {
        let access = Rc::clone(&self.access);
        let index = &access.descriptor.indexes[at];
        let entry = access.index_entry(index, row, key)?;
        self.bulk_put(at, index.id, entry.key, entry.hash, entry.row)?;
        self.flow().await
    }

    /// A new row.
    pub(crate) async fn insert(&mut self, row: &[Datum]) -> Result<(), SqlError> {
        check_not_null(&self.access, row)?;
        let (key, hash) = self.new_key(row)?;
        let bytes = self.access.encode(hash, row)?;
        self.put_new(row, (key, hash), bytes).await
    }

    /// A row with these bytes in another table with the same columns; of its values only those that
    /// keys are made of ([`TableAccess::key_columns`]) need be there.
    pub(crate) async fn insert_again(&mut self, row: &[Datum], old: &[u8]) -> Result<(), SqlError> {
        let (key, hash) = self.new_key(row)?;
        let bytes = self.access.restamp(hash, old)?;
        self.put_new(row, (key, hash), bytes).await
    }

    fn new_key(&self, row: &[Datum]) -> Result<(Key, u16), SqlError> {
        self.access.row_key(row, || self.context.instance.next_rowid())
    }

    async fn put_new(
        &mut self,
        row: &[Datum],
        (key, hash): (Key, u16),
        bytes: Bytes,
    ) -> Result<(), SqlError> {
        self.add_entries(row, &key)?;
        if self.is_bulk {
            self.bulk_put(0, IndexId(0), key, hash, bytes)?;
        } else {
            let tag = self.tags[0];
            // A hidden row id was never anybody's: there is nothing to look for.
            let kind = match self.access.descriptor.hidden_rowid {
                true => WriteKind::Put(bytes),
                false => WriteKind::Insert(bytes),
            };
            self.push(self.access.rows(), hash, key, kind, None, tag);
        }
        self.flow().await
    }

    /// A row takes the place of an old one.
    pub(crate) async fn update(&mut self, old: &OldRow, new: &[Datum]) -> Result<(), SqlError> {
        check_not_null(&self.access, new)?;
        let context = self.context;
        let hidden = self.access.descriptor.hidden_rowid;
        let (key, hash) = if hidden {
            (old.key.clone(), self.access.hash_of(new, &old.key)?)
        } else {
            self.access.row_key(new, || context.instance.next_rowid())?
        };
        if self.is_bulk {
            let what = "UPDATE of a table made or truncated in the same transaction";
            return Err(SqlError::unsupported(what));
        }
        let bytes = self.access.encode(hash, new)?;
        if key == old.key {
            let tag = self.tags[0];
            let put = WriteKind::Put(bytes);
            self.push(self.access.rows(), hash, key.clone(), put, old.version, tag);
        } else {
            let old_hash = self.access.hash_of(&old.values, &old.key)?;
            let (place, tag) = (self.access.rows(), self.tags[0]);
            self.push(place, old_hash, old.key.clone(), WriteKind::Delete, old.version, tag);
            self.push(place, hash, key.clone(), WriteKind::Insert(bytes), None, tag);
        }
        self.move_entries(old, new, &key).await?;
        self.flow().await
    }

    /// A row goes.
    pub(crate) async fn delete(&mut self, old: &OldRow) -> Result<(), SqlError> {
        if self.is_bulk {
            let what = "DELETE from a table made or truncated in the same transaction";
            return Err(SqlError::unsupported(what));
        }
        let hash = self.access.hash_of(&old.values, &old.key)?;
        let (place, tag) = (self.access.rows(), self.tags[0]);
        self.push(place, hash, old.key.clone(), WriteKind::Delete, old.version, tag);
        let access = Rc::clone(&self.access);
        for (at, index) in access.descriptor.indexes.iter().enumerate() {
            if !index.primary {
                let entry = access.index_entry(index, &old.values, &old.key)?;
                self.remove_entry(at, entry.key, entry.hash).await?;
            }
        }
        self.flow().await
    }

    /// Hands down what is left; must be called at the end.
    pub(crate) async fn finish(&mut self) -> Result<(), SqlError> {
        self.flush_bulk().await?;
        self.flush_writes().await
    }

    fn add_entries(&mut self, row: &[Datum], key: &Key) -> Result<(), SqlError> {
        let access = Rc::clone(&self.access);
        for (at, index) in access.descriptor.indexes.iter().enumerate() {
            if index.primary {
                continue;
            }
            let entry = access.index_entry(index, row, key)?;
            if self.is_bulk {
                self.bulk_put(at, index.id, entry.key, entry.hash, entry.row)?;
            } else {
                let (place, tag) = (access.place(index.id), self.tags[at]);
                let insert = WriteKind::Insert(entry.row);
                self.push(place, entry.hash, entry.key, insert, None, tag);
            }
        }
        Ok(())
    }

    async fn move_entries(
        &mut self,
        old: &OldRow,
        new: &[Datum],
        key: &Key,
    ) -> Result<(), SqlError> {
        let access = Rc::clone(&self.access);
        for (at, index) in access.descriptor.indexes.iter().enumerate() {
            if index.primary {
                continue;
            }
            let gone = access.index_entry(index, &old.values, &old.key)?;
            let come = access.index_entry(index, new, key)?;
            if gone.key == come.key && gone.row == come.row {
                continue;
            }
            self.remove_entry(at, gone.key, gone.hash).await?;
            let (place, tag) = (access.place(index.id), self.tags[at]);
            self.push(place, come.hash, come.key, WriteKind::Insert(come.row), None, tag);
        }
        Ok(())
    }

    /// An entry goes with its row. Its version is asked for: the row's lock keeps it from changing.
    async fn remove_entry(&mut self, at: usize, key: Key, hash: u16) -> Result<(), SqlError> {
        let place = self.access.place(self.access.descriptor.indexes[at].id);
        self.flush_writes().await?;
        let request = GetRequest {
            place,
            route: Route::Hash(hash),
            keys: vec![key.clone()],
            lock: LockMode::None,
            wait: self.context.facts.wait,
        };
        let found = self.context.open.txn.get(request).await?;
        let Some(found) = found.into_iter().next().flatten() else {
            let name = &self.access.descriptor.indexes[at].name;
            let message = format!("index \"{name}\" lacks the entry of a row");
            return Err(SqlError::new(sqlstate::DATA_CORRUPTED, message));
        };
        self.push(place, hash, key, WriteKind::Delete, found.version, self.tags[at]);
        Ok(())
    }

    fn push(
        &mut self,
        place: Place,
        hash: u16,
        key: Key,
        kind: WriteKind,
        seen: Option<Timestamp>,
        tag: u32,
    ) {
        let body = match &kind {
            WriteKind::Insert(row) | WriteKind::Put(row) => row.len(),
            WriteKind::Delete => 0,
        };
        self.bytes += key.0.len() + body + 32;
        self.writes.push(RowWrite { place, hash, key, kind, seen, tag });
    }

    fn bulk_put(
        &mut self,
        at: usize,
        index: IndexId,
        key: Key,
        hash: u16,
        row: Bytes,
    ) -> Result<(), SqlError> {
        self.bytes += key.0.len() + row.len() + 64;
        let put = self.bulk.entry(index).or_default().put(key, hash, row);
        put.map_err(|key| duplicate_key(&self.access, at, &key))
    }

    async fn flow(&mut self) -> Result<(), SqlError> {
        let limit = if self.is_bulk { limit::BULK_BATCH_BYTES } else { FLUSH_BYTES };
        if self.bytes < limit && self.writes.len() < FLUSH_WRITES {
            return Ok(());
        }
        self.finish().await?;
        self.context.instance.clock.yield_now().await;
        Ok(())
    }

    async fn flush_writes(&mut self) -> Result<(), SqlError> {
        if self.writes.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let mut writes = std::mem::take(&mut self.writes);
        let txn = &self.context.open.txn;
        let written = match txn.write_now(&mut writes) {
            Some(written) => written,
            None => txn.write(writes).await,
        };
        match written {
            Err(TxnFailure::Duplicate { tag, key }) => {
                Err(self.context.open.bulk_keys().borrow().duplicate(tag, &key))
            }
            other => Ok(other?),
        }
    }

    async fn flush_bulk(&mut self) -> Result<(), SqlError> {
        if self.bulk.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let bulk = std::mem::take(&mut self.bulk);
        let batches: Vec<_> =
            bulk.into_iter().map(|(index, batch)| (index, batch.into_sorted())).collect();
        self.check_bulk(&batches).await?;
        let mut rows = Vec::with_capacity(batches.iter().map(|(_, batch)| batch.len()).sum());
        for (index, batch) in batches {
            let place = self.access.place(index);
            rows.extend(batch.into_iter().map(|(key, hash, row)| BulkRow {
                place,
                hash,
                key,
                row,
            }));
        }
        // Nobody finds a single row of a table without an index.
        let remember = !self.access.descriptor.indexes.is_empty();
        Ok(self.context.open.txn.ingest(rows, remember).await?)
    }

    /// Keys that are not larger than all before them are looked up.
    async fn check_bulk(&self, batches: &[(IndexId, Vec<BulkEntry>)]) -> Result<(), SqlError> {
        let table = self.access.descriptor.id;
        let mut doubtful: BTreeMap<IndexId, Vec<Key>> = BTreeMap::new();
        {
            let mut keys = self.context.open.bulk_keys().borrow_mut();
            for (index, batch) in batches {
                let (Some((first, ..)), Some((last, ..))) = (batch.first(), batch.last()) else {
                    continue;
                };
                if keys.are_larger(table, *index, (first, last)) {
                    continue;
                }
                for (key, ..) in batch {
                    if !keys.is_larger(table, *index, key) {
                        doubtful.entry(*index).or_default().push(key.clone());
                    }
                }
            }
        }
        for (index, keys) in doubtful {
            let request = GetRequest {
                place: self.access.place(index),
                route: Route::All,
                keys,
                lock: LockMode::None,
                wait: self.context.facts.wait,
            };
            let found = self.context.open.txn.get(request).await?;
            if let Some(found) = found.into_iter().flatten().next() {
                let indexes = &self.access.descriptor.indexes;
                let at = indexes.iter().position(|candidate| candidate.id == index);
                return Err(duplicate_key(&self.access, at.unwrap_or(usize::MAX), &found.key));
            }
        }
        Ok(())
    }
}

/// 23502 in PostgreSQL's words.
fn check_not_null(access: &TableAccess, row: &[Datum]) -> Result<(), SqlError> {
    let table = &access.descriptor;
    let columns = table.columns.iter().zip(row);
    let Some((column, _)) =
        columns.clone().find(|(column, value)| !column.nullable && value.is_null())
    else {
        return Ok(());
    };
    let message = format!(
        "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
        column.name, table.name
    );
    let shown = columns.map(|(column, value)| match value {
        Datum::Null => "null".to_owned(),
        value => cut(text_of(value, &column.ty)),
    });
    let shown: Vec<_> = shown.collect();
    Err(SqlError::new(sqlstate::NOT_NULL_VIOLATION, message)
        .detail(format!("Failing row contains ({}).", shown.join(", ")))
        .column(&table.name, &column.name))
}

/// PostgreSQL shows 64 bytes of a value.
fn cut(text: String) -> String {
    if text.len() <= 64 {
        return text;
    }
    let end = (0..=64).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}...", &text[..end])
}
