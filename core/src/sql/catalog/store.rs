//! System tables as keys and bytes: reading and writing descriptors inside a transaction.
//!
//! Keys are `table id u32be, index id 0 u32be`, then a number (u32be) or a name. Names of relations
//! have a row each, so that two transactions that make the same name collide.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::descriptor::{
    DESCRIPTOR_VERSION, DatabaseDescriptor, SequenceDescriptor, TableDescriptor,
};
use crate::auth::principal::Principal;
use crate::base::codec::{from_versioned, to_versioned};
use crate::base::id::{IndexId, TableId};
use crate::base::key::{Key, Span};
use crate::base::limit;
use crate::sql::ports::{
    Found, GetRequest, LockMode, LockWait, Place, Route, RowWrite, ScanRequest, Txn, TxnFailure,
    WriteKind,
};

/// The system tables.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SystemTable {
    /// [`DatabaseDescriptor`] by name.
    Databases = 1,
    /// [`TableDescriptor`] by oid.
    Tables = 2,
    /// [`SequenceDescriptor`] by oid.
    Sequences = 3,
    /// The next value of a sequence, by oid.
    SequenceValues = 4,
    /// [`Principal`] by name.
    Principals = 5,
    /// Counters by name.
    Counters = 6,
    /// The oid of a relation by (database, schema, name).
    RelationNames = 7,
}

impl SystemTable {
    /// How requests name it.
    pub fn place(self) -> Place {
        Place { table: TableId(self as u32), version: 1, index: IndexId(0) }
    }

    /// All its keys.
    pub fn span(self) -> Span {
        Span::prefix(self.key(&[]))
    }

    /// The key of a row.
    pub fn key(self, rest: &[u8]) -> Key {
        let mut key = BytesMut::with_capacity(8 + rest.len());
        key.put_u32(self as u32);
        key.put_u32(0);
        key.put_slice(rest);
        Key(key.freeze())
    }
}

/// The key of a relation's name.
pub fn relation_key(database: u32, schema: &str, name: &str) -> Key {
    let mut rest = BytesMut::with_capacity(5 + schema.len() + name.len());
    rest.put_u32(database);
    rest.put_slice(schema.as_bytes());
    rest.put_u8(0); // names hold no zero byte
    rest.put_slice(name.as_bytes());
    SystemTable::RelationNames.key(&rest)
}

/// Something with a row in the catalog.
pub trait Described: Serialize + DeserializeOwned {
    /// Its table.
    const TABLE: SystemTable;
    /// Its key.
    fn key(&self) -> Key;
}

impl Described for DatabaseDescriptor {
    const TABLE: SystemTable = SystemTable::Databases;
    fn key(&self) -> Key {
        Self::TABLE.key(self.name.as_bytes())
    }
}

impl Described for TableDescriptor {
    const TABLE: SystemTable = SystemTable::Tables;
    fn key(&self) -> Key {
        Self::TABLE.key(&self.oid.to_be_bytes())
    }
}

impl Described for SequenceDescriptor {
    const TABLE: SystemTable = SystemTable::Sequences;
    fn key(&self) -> Key {
        Self::TABLE.key(&self.oid.to_be_bytes())
    }
}

impl Described for Principal {
    const TABLE: SystemTable = SystemTable::Principals;
    fn key(&self) -> Key {
        Self::TABLE.key(self.name.as_bytes())
    }
}

fn corrupted(error: impl std::fmt::Display) -> TxnFailure {
    TxnFailure::Corrupted(format!("catalog row: {error}"))
}

/// All descriptors of a kind.
///
/// # Errors
///
/// Those of the scan; [`TxnFailure::Corrupted`] for a row that is none of ours.
pub async fn load_all<D: Described>(txn: &dyn Txn) -> Result<Vec<D>, TxnFailure> {
    let mut descriptors = Vec::new();
    let mut span = Some(D::TABLE.span());
    while let Some(rest) = span {
        let request = ScanRequest {
            place: D::TABLE.place(),
            route: Route::All,
            span: rest,
            reverse: false,
            rows_max: limit::SCAN_ROWS_MAX,
            lock: LockMode::None,
            wait: LockWait::NoWait,
        };
        let batch = txn.scan(request).await?;
        for found in batch.rows {
            descriptors.push(from_versioned(DESCRIPTOR_VERSION, &found.row).map_err(corrupted)?);
        }
        span = batch.resume;
    }
    Ok(descriptors)
}

/// One row, locked exclusively if `lock`.
///
/// # Errors
///
/// Those of the read.
pub async fn get(
    txn: &dyn Txn,
    table: SystemTable,
    key: Key,
    lock: Option<LockWait>,
) -> Result<Option<Found>, TxnFailure> {
    let request = GetRequest {
        place: table.place(),
        route: Route::All,
        keys: vec![key],
        lock: if lock.is_some() { LockMode::Exclusive } else { LockMode::None },
        wait: lock.unwrap_or(LockWait::NoWait),
    };
    Ok(txn.get(request).await?.into_iter().next().flatten())
}

/// Adds a row; [`TxnFailure::Duplicate`] if its key is live.
///
/// # Errors
///
/// Those of the write.
pub async fn insert(
    txn: &dyn Txn,
    table: SystemTable,
    key: Key,
    row: Bytes,
) -> Result<(), TxnFailure> {
    write(txn, table, key, WriteKind::Insert(row), None).await
}

/// Adds a descriptor.
///
/// # Errors
///
/// Those of the write.
pub async fn insert_described<D: Described>(txn: &dyn Txn, new: &D) -> Result<(), TxnFailure> {
    insert(txn, D::TABLE, new.key(), to_versioned(DESCRIPTOR_VERSION, new)).await
}

/// Replaces a descriptor; its row must be there.
///
/// # Errors
///
/// Those of the read and the write; [`TxnFailure::Serialization`] if somebody dropped it meanwhile.
pub async fn replace_described<D: Described>(
    txn: &dyn Txn,
    new: &D,
    wait: LockWait,
) -> Result<(), TxnFailure> {
    let found = get(txn, D::TABLE, new.key(), Some(wait)).await?;
    let Some(found) = found else {
        return Err(TxnFailure::Serialization("object was dropped concurrently"));
    };
    let row = to_versioned(DESCRIPTOR_VERSION, new);
    write(txn, D::TABLE, new.key(), WriteKind::Put(row), found.version).await
}

/// Writes a row whether or not there is one.
///
/// # Errors
///
/// Those of the read and the write.
pub async fn put(
    txn: &dyn Txn,
    table: SystemTable,
    key: Key,
    row: Bytes,
    wait: LockWait,
) -> Result<(), TxnFailure> {
    match get(txn, table, key.clone(), Some(wait)).await? {
        Some(found) => write(txn, table, key, WriteKind::Put(row), found.version).await,
        None => insert(txn, table, key, row).await,
    }
}

/// Removes a row; false if there was none.
///
/// # Errors
///
/// Those of the read and the write.
pub async fn remove(
    txn: &dyn Txn,
    table: SystemTable,
    key: Key,
    wait: LockWait,
) -> Result<bool, TxnFailure> {
    let Some(found) = get(txn, table, key.clone(), Some(wait)).await? else {
        return Ok(false);
    };
    write(txn, table, key, WriteKind::Delete, found.version).await?;
    Ok(true)
}

async fn write(
    txn: &dyn Txn,
    table: SystemTable,
    key: Key,
    kind: WriteKind,
    seen: Option<crate::base::timestamp::Timestamp>,
) -> Result<(), TxnFailure> {
    let write = RowWrite { place: table.place(), hash: 0, key, kind, seen, tag: 0 };
    txn.write(vec![write]).await
}
