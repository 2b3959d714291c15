//! The transaction floor as a map in memory: versions by key, optimistic checks at commit, locks
//! that make others wait. Simple enough to be obviously right; not fast.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use bytes::Bytes;
use shardforge_core::base::id::{Incarnation, NodeId, TxnId};
use shardforge_core::base::key::{Key, Span};
use shardforge_core::base::limit;
use shardforge_core::base::timestamp::Timestamp;
use shardforge_core::sql::ports::{
    BulkRow, Found, GetRequest, Isolation, LockMode, LockWait, Place, Route, RowWrite, ScanBatch,
    ScanRequest, Txn, TxnFailure, TxnOptions, TxnSource, Wait, WriteKind,
};

#[derive(Default)]
struct Store {
    versions: BTreeMap<Key, Vec<(Timestamp, Option<Bytes>)>>,
    clock: u64,
    catalog_version: u64,
    locks: BTreeMap<Key, u64>,
    wakers: Vec<Waker>,
    next_txn: u64,
    reads: u64,
}

impl Store {
    fn tick(&mut self) -> Timestamp {
        self.clock += 1;
        Timestamp(self.clock)
    }

    fn read(&self, key: &Key, at: Timestamp) -> Option<(Timestamp, Option<Bytes>)> {
        let versions = self.versions.get(key)?;
        versions.iter().rev().find(|(ts, _)| *ts <= at).cloned()
    }

    fn changed_after(&self, span: &Span, after: Timestamp) -> bool {
        let range = span.start.clone()..span.end.clone();
        !span.is_empty()
            && self
                .versions
                .range(range)
                .any(|(_, versions)| versions.last().is_some_and(|(ts, _)| after < *ts))
    }
}

/// A store and its source of transactions.
#[derive(Clone, Default)]
pub struct Memory(Rc<RefCell<Store>>);

impl TxnSource for Memory {
    fn begin(&self, options: TxnOptions) -> Rc<dyn Txn> {
        let number = {
            let mut store = self.0.borrow_mut();
            store.next_txn += 1;
            store.next_txn
        };
        Rc::new(MemoryTxn {
            store: Rc::clone(&self.0),
            number,
            options,
            at: Cell::new(Timestamp::ZERO),
            seen_catalog: Cell::new(0),
            writes: RefCell::default(),
            ingested: RefCell::default(),
            reads: RefCell::default(),
            changes_catalog: Cell::new(false),
            over: Cell::new(false),
        })
    }

    /// One row of three is at hand: a batch that finds none asks twice, and then goes the long way.
    fn read_now(
        &self,
        catalog_version: u64,
        _: Place,
        _: Route,
        key: &Key,
    ) -> Option<Option<Found>> {
        let mut store = self.0.borrow_mut();
        store.reads += 1;
        if catalog_version != store.catalog_version || store.reads % 3 != 1 {
            return None;
        }
        let at = store.tick();
        let newest = store.read(key, at);
        let found = |(version, row): (Timestamp, Option<Bytes>)| {
            row.map(|row| Found { key: key.clone(), row, version: Some(version) })
        };
        Some(newest.and_then(found))
    }
}

struct Buffered {
    value: Option<Bytes>,
    seen: Option<Timestamp>,
    insert: bool,
    tag: u32,
}

struct MemoryTxn {
    store: Rc<RefCell<Store>>,
    number: u64,
    options: TxnOptions,
    at: Cell<Timestamp>,
    seen_catalog: Cell<u64>,
    writes: RefCell<BTreeMap<Key, Buffered>>,
    ingested: RefCell<BTreeMap<Key, Bytes>>,
    reads: RefCell<Vec<Span>>,
    changes_catalog: Cell<bool>,
    over: Cell<bool>,
}

impl MemoryTxn {
    fn own(&self, key: &Key) -> Option<Option<Bytes>> {
        if let Some(write) = self.writes.borrow().get(key) {
            return Some(write.value.clone());
        }
        self.ingested.borrow().get(key).map(|row| Some(row.clone()))
    }

    fn find(&self, key: &Key) -> Option<Found> {
        match self.own(key) {
            Some(value) => value.map(|row| Found { key: key.clone(), row, version: None }),
            None => {
                let (version, row) = self.store.borrow().read(key, self.at.get())?;
                Some(Found { key: key.clone(), row: row?, version: Some(version) })
            }
        }
    }

    fn release(&self) {
        let mut store = self.store.borrow_mut();
        store.locks.retain(|_, holder| *holder != self.number);
        self.over.set(true);
        for waker in store.wakers.drain(..) {
            waker.wake();
        }
    }

    /// Takes a key's lock; waits while another holds it.
    async fn lock(&self, key: &Key, wait: LockWait) -> Result<(), TxnFailure> {
        poll_fn(|context| {
            let mut store = self.store.borrow_mut();
            match store.locks.get(key) {
                Some(holder) if *holder != self.number => match wait {
                    LockWait::NoWait => Poll::Ready(Err(TxnFailure::LockTimeout)),
                    LockWait::Timeout(_) => {
                        store.wakers.push(context.waker().clone());
                        Poll::Pending
                    }
                },
                _ => {
                    store.locks.insert(key.clone(), self.number);
                    Poll::Ready(Ok(()))
                }
            }
        })
        .await?;
        self.catch_up(key)
    }

    /// A newer version than our timestamp: move forward if nothing that was read has changed.
    fn catch_up(&self, key: &Key) -> Result<(), TxnFailure> {
        let mut store = self.store.borrow_mut();
        if !store.changed_after(&Span::point(key.clone()), self.at.get()) {
            return Ok(());
        }
        if self.options.isolation == Isolation::ReadCommitted {
            return Err(TxnFailure::Changed);
        }
        let stale = self.reads.borrow().iter().any(|s| store.changed_after(s, self.at.get()));
        if stale {
            return Err(TxnFailure::Serialization("a row that was read has changed"));
        }
        let now = store.tick();
        self.at.set(now);
        Ok(())
    }

    fn check_insert(&self, key: &Key, tag: u32) -> Result<(), TxnFailure> {
        let live = match self.own(key) {
            Some(value) => value.is_some(),
            None => {
                let newest = self.store.borrow().read(key, Timestamp::MAX);
                newest.is_some_and(|(_, row)| row.is_some())
            }
        };
        if live { Err(TxnFailure::Duplicate { tag, key: key.clone() }) } else { Ok(()) }
    }

    fn scan_now(&self, request: &ScanRequest) -> ScanBatch {
        let range = request.span.start.clone()..request.span.end.clone();
        if request.span.is_empty() {
            return ScanBatch::default();
        }
        let mut keys: Vec<Key> = {
            let store = self.store.borrow();
            let stored = store.versions.range(range.clone()).map(|(key, _)| key.clone());
            let (writes, ingested) = (self.writes.borrow(), self.ingested.borrow());
            let own = writes.range(range.clone()).map(|(key, _)| key.clone());
            let bulk = ingested.range(range).map(|(key, _)| key.clone());
            stored.chain(own).chain(bulk).collect()
        };
        keys.sort();
        keys.dedup();
        if request.reverse {
            keys.reverse();
        }
        let max = request.rows_max.clamp(1, limit::SCAN_ROWS_MAX);
        let mut batch = ScanBatch::default();
        for key in keys {
            if max <= batch.rows.len() {
                let span = request.span.clone();
                let last = &batch.rows[batch.rows.len() - 1].key;
                batch.resume = Some(match request.reverse {
                    false => Span { start: last.successor(), end: span.end },
                    true => Span { start: span.start, end: last.clone() },
                });
                break;
            }
            batch.rows.extend(self.find(&key));
        }
        batch
    }
}

impl Txn for MemoryTxn {
    fn id(&self) -> TxnId {
        TxnId { node: NodeId::machine(1), incarnation: Incarnation(1), number: self.number }
    }

    fn begin_statement(&self) -> Wait<'_, Timestamp> {
        Box::pin(async move {
            let fresh = self.options.isolation == Isolation::ReadCommitted;
            if fresh || self.at.get() == Timestamp::ZERO {
                let mut store = self.store.borrow_mut();
                self.at.set(store.tick());
                self.seen_catalog.set(store.catalog_version);
            }
            Ok(self.at.get())
        })
    }

    fn catalog_version(&self) -> u64 {
        self.seen_catalog.get()
    }

    fn get(&self, request: GetRequest) -> Wait<'_, Vec<Option<Found>>> {
        Box::pin(async move {
            assert!(!self.over.get(), "a read after the end");
            if request.lock != LockMode::None {
                for key in &request.keys {
                    self.lock(key, request.wait).await?;
                }
            }
            let spans = request.keys.iter().map(|key| Span::point(key.clone()));
            self.reads.borrow_mut().extend(spans);
            Ok(request.keys.iter().map(|key| self.find(key)).collect())
        })
    }

    fn scan(&self, request: ScanRequest) -> Wait<'_, ScanBatch> {
        Box::pin(async move {
            assert!(!self.over.get(), "a scan after the end");
            loop {
                let batch = self.scan_now(&request);
                let before = self.at.get();
                if request.lock != LockMode::None {
                    for found in &batch.rows {
                        self.lock(&found.key, request.wait).await?;
                    }
                }
                if before == self.at.get() {
                    self.reads.borrow_mut().push(request.span.clone());
                    return Ok(batch);
                }
            }
        })
    }

    fn write(&self, writes: Vec<RowWrite>) -> Wait<'_, ()> {
        Box::pin(async move {
            assert!(!self.over.get(), "a write after the end");
            for write in writes {
                let insert = matches!(write.kind, WriteKind::Insert(_));
                let held = self.writes.borrow().contains_key(&write.key);
                if insert {
                    self.lock(&write.key, LockWait::Timeout(std::time::Duration::ZERO)).await?;
                    self.check_insert(&write.key, write.tag)?;
                }
                let value = match write.kind {
                    WriteKind::Insert(row) | WriteKind::Put(row) => Some(row),
                    WriteKind::Delete => None,
                };
                let mut all = self.writes.borrow_mut();
                let old = all.remove(&write.key);
                let seen = if held { old.as_ref().and_then(|o| o.seen) } else { write.seen };
                let insert = old.map_or(insert, |old| old.insert);
                all.insert(write.key, Buffered { value, seen, insert, tag: write.tag });
            }
            Ok(())
        })
    }

    fn ingest(&self, rows: Vec<BulkRow>, _remember: bool) -> Wait<'_, ()> {
        Box::pin(async move {
            assert!(!self.over.get(), "an ingest after the end");
            let mut ingested = self.ingested.borrow_mut();
            ingested.extend(rows.into_iter().map(|row| (row.key, row.row)));
            Ok(())
        })
    }

    fn lock_table(&self, place: Place, wait: LockWait) -> Wait<'_, ()> {
        let key = Key::from([b"table".as_slice(), &place.table.0.to_be_bytes()].concat());
        Box::pin(async move { self.lock(&key, wait).await })
    }

    fn changes_catalog(&self) {
        self.changes_catalog.set(true);
    }

    fn commit(&self) -> Wait<'_, ()> {
        Box::pin(async move {
            assert!(!self.over.get(), "a second end");
            let result = self.try_commit();
            self.release();
            result
        })
    }

    fn rollback(&self) -> Wait<'_, ()> {
        Box::pin(async move {
            self.release();
            Ok(())
        })
    }
}

impl MemoryTxn {
    fn try_commit(&self) -> Result<(), TxnFailure> {
        let mut store = self.store.borrow_mut();
        let (writes, ingested) = (self.writes.borrow(), self.ingested.borrow());
        if writes.is_empty() && ingested.is_empty() {
            return Ok(());
        }
        let serializable = self.options.isolation == Isolation::Serializable;
        if serializable && self.reads.borrow().iter().any(|s| store.changed_after(s, self.at.get()))
        {
            return Err(TxnFailure::Serialization("a row that was read has changed"));
        }
        for (key, write) in writes.iter() {
            let newest = store.read(key, Timestamp::MAX);
            let live = newest.as_ref().is_some_and(|(_, row)| row.is_some());
            if write.insert && live {
                return Err(TxnFailure::Duplicate { tag: write.tag, key: key.clone() });
            }
            if !write.insert && newest.map(|(ts, _)| ts) != write.seen {
                return Err(TxnFailure::Serialization("a row that is written has changed"));
            }
        }
        let at = store.tick();
        for (key, write) in writes.iter() {
            store.versions.entry(key.clone()).or_default().push((at, write.value.clone()));
        }
        for (key, row) in ingested.iter() {
            store.versions.entry(key.clone()).or_default().push((at, Some(row.clone())));
        }
        if self.changes_catalog.get() {
            store.catalog_version += 1;
        }
        Ok(())
    }
}

impl Drop for MemoryTxn {
    fn drop(&mut self) {
        if !self.over.get() {
            self.release();
        }
    }
}
