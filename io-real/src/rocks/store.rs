//! One shard's database.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DB, DBRawIterator, Error, ErrorKind, FlushOptions,
    ReadOptions, WriteOptions,
};
use shardforge_core::base::id::ShardId;
use shardforge_core::base::limit;
use shardforge_core::storage::port::{Family, StorageError, WriteBatch, WriteOp};
use shardforge_core::storage::versioned::{Cursor, Readable};

use super::options::{Shared, family_name};

/// Past every key of a family.
pub(super) fn past_all_keys() -> Vec<u8> {
    vec![0xff; limit::KEY_BYTES_MAX + 64]
}

/// An open database. Clones share it; it closes with the last.
#[derive(Clone)]
pub(super) struct RocksStore {
    id: ShardId,
    path: PathBuf,
    db: Arc<DB>,
}

/// RocksDB's words in ours.
pub(super) fn explain(store: ShardId, error: &Error) -> StorageError {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::Corruption => StorageError::Damaged { store, what: text },
        ErrorKind::Incomplete | ErrorKind::Busy | ErrorKind::TryAgain => StorageError::Stalled,
        _ if text.contains("No space left on device") => StorageError::DiskFull,
        _ => StorageError::Io(text),
    }
}

impl RocksStore {
    pub(super) fn open(shared: &Shared, path: &Path, id: ShardId) -> Result<Self, StorageError> {
        let families =
            Family::ALL.map(|f| ColumnFamilyDescriptor::new(family_name(f), shared.family(f)));
        let db = DB::open_cf_descriptors(&shared.database(), path, families)
            .map_err(|e| explain(id, &e))?;
        Ok(Self { id, path: path.to_owned(), db: Arc::new(db) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn id(&self) -> ShardId {
        self.id
    }

    pub(super) fn db(&self) -> &DB {
        &self.db
    }

    /// The database, if no one else holds it.
    pub(super) fn into_db(self) -> Option<DB> {
        Arc::into_inner(self.db)
    }

    /// Applies a batch, not durably.
    pub(super) fn write(&self, batch: &WriteBatch) -> Result<(), StorageError> {
        let build = || -> Result<rocksdb::WriteBatch, StorageError> {
            let mut out = rocksdb::WriteBatch::default();
            for op in &batch.ops {
                match op {
                    WriteOp::Put(f, key, value) => out.put_cf(self.family(*f)?, key, value),
                    WriteOp::Delete(f, key) => out.delete_cf(self.family(*f)?, key),
                    WriteOp::DeleteRange(f, span) if !span.is_empty() => {
                        out.delete_range_cf(self.family(*f)?, &span.start.0, &span.end.0);
                    }
                    WriteOp::DeleteRange(..) => {}
                    WriteOp::PutPacked(f, pairs) => {
                        let family = self.family(*f)?;
                        pairs.iter().for_each(|(key, value)| out.put_cf(family, key, value));
                    }
                }
            }
            Ok(out)
        };
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        options.set_no_slowdown(true);
        match self.db.write_opt(build()?, &options) {
            // The core's apply is in order: a batch cannot be skipped. Waiting here holds up the
            // node, which the options make rare.
            Err(error) if error.kind() == ErrorKind::Incomplete => {
                options.set_no_slowdown(false);
                self.db.write_opt(build()?, &options).map_err(|e| explain(self.id, &e))
            }
            done => done.map_err(|e| explain(self.id, &e)),
        }
    }

    /// Removes every pair, not durably.
    pub(super) fn clear(&self) -> Result<(), StorageError> {
        let mut batch = rocksdb::WriteBatch::default();
        for family in Family::ALL {
            batch.delete_range_cf(self.family(family)?, Vec::new(), past_all_keys());
        }
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.db.write_opt(batch, &options).map_err(|e| explain(self.id, &e))
    }

    /// Makes all writes so far durable, all families at one moment.
    pub(super) fn flush(&self) -> Result<(), StorageError> {
        let mut families = Vec::with_capacity(Family::ALL.len());
        for family in Family::ALL {
            families.push(self.family(family)?);
        }
        let mut options = FlushOptions::default();
        options.set_wait(true);
        self.db.flush_cfs_opt(&families, &options).map_err(|e| explain(self.id, &e))
    }

    /// Whether there is no pair at all.
    pub(super) fn is_empty(&self) -> Result<bool, StorageError> {
        for family in Family::ALL {
            let mut cursor = self.cursor(family);
            cursor.seek(&[]);
            if cursor.key().is_some() {
                return Ok(false);
            }
            cursor.status()?;
        }
        Ok(true)
    }

    pub(super) fn family(&self, family: Family) -> Result<&ColumnFamily, StorageError> {
        self.db.cf_handle(family_name(family)).ok_or(StorageError::Missing)
    }
}

/// A cursor over one family; `None` if the family is missing.
pub(super) struct RocksCursor<'a> {
    id: ShardId,
    inner: Option<DBRawIterator<'a>>,
}

impl<'a> RocksCursor<'a> {
    pub(super) fn new(id: ShardId, inner: Option<DBRawIterator<'a>>) -> Self {
        Self { id, inner }
    }
}

/// Options for walking: over key prefixes, without their bloom filters.
pub(super) fn walking() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_total_order_seek(true);
    options
}

impl Readable for RocksStore {
    type Cursor<'a> = RocksCursor<'a>;

    fn cursor(&self, family: Family) -> RocksCursor<'_> {
        let handle = self.family(family).ok();
        let inner = handle.map(|handle| self.db.raw_iterator_cf_opt(handle, walking()));
        RocksCursor { id: self.id, inner }
    }

    fn point_cursor(&self, family: Family) -> RocksCursor<'_> {
        let mut options = ReadOptions::default();
        options.set_prefix_same_as_start(matches!(family, Family::Data | Family::Index));
        let handle = self.family(family).ok();
        let inner = handle.map(|handle| self.db.raw_iterator_cf_opt(handle, options));
        RocksCursor { id: self.id, inner }
    }

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let found = self.db.get_pinned_cf(self.family(family)?, key);
        let found = found.map_err(|e| explain(self.id, &e))?;
        Ok(found.map(|value| Bytes::copy_from_slice(&value)))
    }
}

impl Cursor for RocksCursor<'_> {
    fn seek(&mut self, key: &[u8]) {
        if let Some(inner) = &mut self.inner {
            inner.seek(key);
        }
    }
    fn seek_for_prev(&mut self, key: &[u8]) {
        if let Some(inner) = &mut self.inner {
            inner.seek_for_prev(key);
        }
    }
    fn seek_to_last(&mut self) {
        if let Some(inner) = &mut self.inner {
            inner.seek_to_last();
        }
    }
    fn next(&mut self) {
        // RocksDB aborts on a step of an iterator that stands nowhere.
        if let Some(inner) = self.inner.as_mut().filter(|i| i.valid()) {
            inner.next();
        }
    }
    fn prev(&mut self) {
        if let Some(inner) = self.inner.as_mut().filter(|i| i.valid()) {
            inner.prev();
        }
    }
    fn key(&self) -> Option<&[u8]> {
        self.inner.as_ref().and_then(DBRawIterator::key)
    }
    fn value(&self) -> Bytes {
        let value = self.inner.as_ref().and_then(DBRawIterator::value);
        value.map(Bytes::copy_from_slice).unwrap_or_default()
    }
    fn copy_value(&self, out: &mut Vec<u8>) {
        if let Some(value) = self.inner.as_ref().and_then(DBRawIterator::value) {
            out.extend_from_slice(value);
        }
    }
    fn status(&self) -> Result<(), StorageError> {
        match &self.inner {
            Some(inner) => inner.status().map_err(|e| explain(self.id, &e)),
            None => Err(StorageError::Missing),
        }
    }
}
