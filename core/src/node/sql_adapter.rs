//! SQL's ports over the transaction floor: the same words, another room's types.

use std::rc::Rc;

use crate::base::id::TxnId;
use crate::base::key::Key;
use crate::base::timestamp::Timestamp;
use crate::replica::request::LockMode;
use crate::shard::routing;
use crate::sql::ports as sql;
use crate::txn::error::TxnError;
use crate::txn::source::TxnSource;
use crate::txn::transaction::Transaction;
use crate::txn::types;

/// Transactions as sessions know them.
pub(super) fn adapt(source: Rc<TxnSource>) -> Rc<dyn sql::TxnSource> {
    Rc::new(Source(source))
}

struct Source(Rc<TxnSource>);

struct Adapted(Transaction);

impl sql::TxnSource for Source {
    fn begin(&self, options: sql::TxnOptions) -> Rc<dyn sql::Txn> {
        let isolation = match options.isolation {
            sql::Isolation::Serializable => types::Isolation::Serializable,
            sql::Isolation::ReadCommitted => types::Isolation::ReadCommitted,
        };
        let sql::TxnOptions { read_only, autocommit, .. } = options;
        let options = types::TxnOptions { isolation, read_only, autocommit, replays: 0 };
        Rc::new(Adapted(self.0.begin(options)))
    }

    fn read_now(
        &self,
        catalog_version: u64,
        at: sql::Place,
        to: sql::Route,
        key: &Key,
    ) -> Option<Option<sql::Found>> {
        Some(self.0.read_now(catalog_version, place(at), route(to), key)?.map(found))
    }
}

fn place(place: sql::Place) -> routing::Place {
    routing::Place { table: place.table, version: place.version, index: place.index }
}

fn route(route: sql::Route) -> routing::Route {
    match route {
        sql::Route::Hash(hash) => routing::Route::Hash(hash),
        sql::Route::All => routing::Route::All,
    }
}

fn lock(mode: sql::LockMode) -> LockMode {
    match mode {
        sql::LockMode::None => LockMode::None,
        sql::LockMode::Shared => LockMode::Shared,
        sql::LockMode::Exclusive => LockMode::Exclusive,
    }
}

fn wait(wait: sql::LockWait) -> types::LockWait {
    match wait {
        sql::LockWait::Timeout(patience) if patience.is_zero() => types::LockWait::Forever,
        sql::LockWait::Timeout(patience) => types::LockWait::Timeout(patience),
        sql::LockWait::NoWait => types::LockWait::No,
    }
}

fn found(found: types::Found) -> sql::Found {
    sql::Found { key: found.key, row: found.row, version: found.version }
}

fn write(write: sql::RowWrite) -> types::RowWrite {
    let kind = match write.kind {
        sql::WriteKind::Insert(row) => types::WriteKind::Insert(row),
        sql::WriteKind::Put(row) => types::WriteKind::Put(row),
        sql::WriteKind::Delete => types::WriteKind::Delete,
    };
    let sql::RowWrite { hash, key, seen, tag, .. } = write;
    types::RowWrite { place: place(write.place), hash, key, kind, seen, tag }
}

fn bulk(row: sql::BulkRow) -> types::BulkRow {
    types::BulkRow { place: place(row.place), hash: row.hash, key: row.key, row: row.row }
}

fn failure(error: TxnError) -> sql::TxnFailure {
    match error {
        TxnError::Serialization(why) => sql::TxnFailure::Serialization(why),
        TxnError::Changed => sql::TxnFailure::Changed,
        TxnError::Duplicate { tag, key } => sql::TxnFailure::Duplicate { tag, key },
        TxnError::LockTimeout => sql::TxnFailure::LockTimeout,
        TxnError::Deadlock(cycle) => sql::TxnFailure::Deadlock(cycle),
        TxnError::Unknown => sql::TxnFailure::Unknown,
        TxnError::TooLarge => sql::TxnFailure::TooLarge,
        TxnError::CrossShard => sql::TxnFailure::CrossShard,
        TxnError::WrongSchema => sql::TxnFailure::WrongSchema,
        TxnError::Unavailable(what) => sql::TxnFailure::Unavailable(what),
        TxnError::Limit(_) => sql::TxnFailure::Limit("a bound of a shard"),
        TxnError::Corrupted(what) => sql::TxnFailure::Corrupted(what),
        TxnError::Ended => sql::TxnFailure::Unavailable(error.to_string()),
    }
}

impl sql::Txn for Adapted {
    fn id(&self) -> TxnId {
        self.0.id()
    }

    fn begin_statement(&self) -> sql::Wait<'_, Timestamp> {
        Box::pin(async { self.0.begin_statement().await.map_err(failure) })
    }

    fn begin_statement_now(&self) -> Option<Timestamp> {
        self.0.begin_statement_now()
    }

    fn get_now(
        &self,
        at: sql::Place,
        to: sql::Route,
        key: &Key,
        mode: sql::LockMode,
    ) -> Option<Result<Option<sql::Found>, sql::TxnFailure>> {
        let (at, to) = (place(at), route(to));
        match lock(mode) {
            LockMode::None => Some(Ok(self.0.get_now(at, to, key)?.map(found))),
            mode => {
                let locked = self.0.lock_now(at, to, key, mode)?;
                Some(locked.map(|row| row.map(found)).map_err(failure))
            }
        }
    }

    fn write_now(&self, writes: &mut Vec<sql::RowWrite>) -> Option<Result<(), sql::TxnFailure>> {
        let is_insert = |write: &&sql::RowWrite| matches!(write.kind, sql::WriteKind::Insert(_));
        let inserts = writes.iter().filter(is_insert).map(|write| &write.key);
        self.0
            .takes_now(inserts)
            .then(|| self.0.take_now(writes.drain(..).map(write)).map_err(failure))
    }

    fn commit_now(&self) -> bool {
        self.0.commit_now()
    }

    fn catalog_version(&self) -> u64 {
        self.0.catalog_version()
    }

    fn get(&self, request: sql::GetRequest) -> sql::Wait<'_, Vec<Option<sql::Found>>> {
        let request = types::GetRequest {
            place: place(request.place),
            route: route(request.route),
            keys: request.keys,
            lock: lock(request.lock),
            wait: wait(request.wait),
        };
        Box::pin(async move {
            let rows = self.0.get(request).await.map_err(failure)?;
            Ok(rows.into_iter().map(|row| row.map(found)).collect())
        })
    }

    fn scan(&self, request: sql::ScanRequest) -> sql::Wait<'_, sql::ScanBatch> {
        let request = types::ScanRequest {
            place: place(request.place),
            route: route(request.route),
            span: request.span,
            reverse: request.reverse,
            rows_max: request.rows_max,
            lock: lock(request.lock),
            wait: wait(request.wait),
        };
        Box::pin(async move {
            let batch = self.0.scan(request).await.map_err(failure)?;
            let rows = batch.rows.into_iter().map(found).collect();
            Ok(sql::ScanBatch { rows, resume: batch.resume })
        })
    }

    fn write(&self, writes: Vec<sql::RowWrite>) -> sql::Wait<'_, ()> {
        let writes = writes.into_iter().map(write).collect();
        Box::pin(async move { self.0.write(writes).await.map_err(failure) })
    }

    fn ingest(&self, rows: Vec<sql::BulkRow>, remember: bool) -> sql::Wait<'_, ()> {
        let rows = rows.into_iter().map(bulk);
        Box::pin(async move { self.0.ingest(rows, remember).await.map_err(failure) })
    }

    fn lock_table(&self, table: sql::Place, patience: sql::LockWait) -> sql::Wait<'_, ()> {
        let locking = self.0.lock_table(place(table), wait(patience));
        Box::pin(async move { locking.await.map_err(failure) })
    }

    fn changes_catalog(&self) {
        self.0.changes_catalog();
    }

    fn commit(&self) -> sql::Wait<'_, ()> {
        Box::pin(async { self.0.commit().await.map(|_| ()).map_err(failure) })
    }

    fn rollback(&self) -> sql::Wait<'_, ()> {
        Box::pin(async { self.0.rollback().await.map_err(failure) })
    }
}
