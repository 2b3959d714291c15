//! Rows of a stored table: by whole keys, by ranges of an index, or all of them.

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

use super::run::{Row, Run};
use super::table::TableAccess;
use super::write::OldRow;
use crate::base::error::{SqlError, sqlstate};
use crate::base::id::IndexId;
use crate::base::key::{Key, Span};
use crate::base::limit;
use crate::row::codec::encode_key_column;
use crate::row::datum::Datum;
use crate::row::eval::Expr;
use crate::sql::catalog::descriptor::IndexDescriptor;
use crate::sql::parse::ast::{LockStrength, LockWait as WaitClause};
use crate::sql::plan::{Access, RangeBound, RowLock, TableScan};
use crate::sql::ports::{
    Found, GetRequest, LockMode, LockWait, Place, Route, ScanRequest, TxnFailure,
};

/// Rows of the first batch of a scan that may end early.
const FIRST_BATCH: usize = 128;
/// First byte of a key column that holds a value, and of one that holds NULL (ascending).
const TAGS: (u8, u8) = (0x01, 0x02);

/// A scan at work.
#[derive(Debug)]
pub(crate) struct Scanner {
    access: Rc<TableAccess>,
    filter: Option<Expr>,
    needed: Option<Vec<usize>>,
    lock: LockMode,
    wait: LockWait,
    reverse: bool,
    left: Option<usize>,
    batch: usize,
    steps: VecDeque<Step>,
}

/// Something to read.
#[derive(Debug)]
enum Step {
    /// Rows by their keys.
    Rows(Vec<Key>, Route),
    /// Rows in a span.
    Span(Span, Route),
    /// Entries of an index by their keys (a unique index).
    Entries(IndexId, Vec<Key>, Route),
    /// Entries of an index in a span.
    EntrySpan(IndexId, Span, Route),
}

impl Scanner {
    /// Prepares a scan: values of keys and bounds are known from now on.
    pub(crate) async fn new(
        scan: &TableScan,
        access: &Rc<TableAccess>,
        run: &Run,
    ) -> Result<Self, SqlError> {
        let (lock, wait) = lock_of(scan.lock, run)?;
        let left = match &scan.limit {
            Some(limit) => super::operators::count_of(&run.value(limit).await?, "LIMIT")?,
            None => None,
        };
        let all = scan.needed.iter().all(|needed| *needed);
        let needed = (!all).then(|| {
            scan.needed.iter().enumerate().filter_map(|(at, needed)| needed.then_some(at)).collect()
        });
        let mut scanner = Self {
            access: Rc::clone(access),
            filter: scan.filter.clone(),
            needed,
            lock,
            wait,
            reverse: scan.reverse,
            left,
            batch: FIRST_BATCH,
            steps: VecDeque::new(),
        };
        scanner.plan(&scan.access, run).await?;
        Ok(scanner)
    }

    /// All columns are decoded, for rows that are to be written again.
    pub(crate) fn whole_rows(mut self) -> Self {
        self.needed = None;
        self
    }

    /// Rows are locked exclusively, for they are to be changed.
    pub(crate) fn locking(mut self) -> Self {
        self.lock = LockMode::Exclusive;
        self
    }

    /// A scan of the rows whose index key begins with these values.
    pub(crate) fn lookup(
        scan: &TableScan,
        access: &Rc<TableAccess>,
        run: &Run,
        index: usize,
        values: &[Datum],
    ) -> Result<Self, SqlError> {
        let (lock, wait) = lock_of(scan.lock, run)?;
        let mut scanner = Self {
            access: Rc::clone(access),
            filter: scan.filter.clone(),
            needed: None,
            lock,
            wait,
            reverse: false,
            left: None,
            batch: FIRST_BATCH,
            steps: VecDeque::new(),
        };
        if values.iter().all(|value| !value.is_null()) {
            let descriptor = &access.descriptor.indexes[index];
            if descriptor.unique && values.len() == descriptor.columns.len() {
                scanner.push_points(descriptor, vec![values.to_vec()]);
            } else {
                scanner.push_prefix(descriptor, values, access.index_prefix(descriptor, values));
            }
        }
        Ok(scanner)
    }

    async fn plan(&mut self, access: &Access, run: &Run) -> Result<(), SqlError> {
        match access {
            Access::Full => {
                let span = self.access.span(IndexId(0));
                self.steps.push_back(Step::Span(span, Route::All));
            }
            Access::Points { index, keys } => {
                let wanted = without_null(keys, run).await?;
                let table = Rc::clone(&self.access);
                self.push_points(&table.descriptor.indexes[*index], wanted);
            }
            Access::Prefixes { index, prefixes } => {
                let wanted = without_null(prefixes, run).await?;
                let table = Rc::clone(&self.access);
                self.push_prefixes(&table.descriptor.indexes[*index], wanted);
            }
            Access::Range { index, prefix, low, high } => {
                let values = run.values(prefix, &[]).await?;
                let low = bound(low.as_ref(), run).await?;
                let high = bound(high.as_ref(), run).await?;
                let is_null = |bound: &Option<(Datum, bool)>| {
                    bound.as_ref().is_some_and(|(value, _)| value.is_null())
                };
                if values.iter().any(Datum::is_null) || is_null(&low) || is_null(&high) {
                    return Ok(());
                }
                let table = Rc::clone(&self.access);
                let descriptor = &table.descriptor.indexes[*index];
                let start = table.index_prefix(descriptor, &values);
                let span = range(descriptor, values.len(), start, low, high);
                let route = match values.is_empty() {
                    true => Route::All,
                    false => table.index_route(descriptor, &values),
                };
                self.push_span(descriptor, span, route);
            }
        }
        Ok(())
    }

    fn push_points(&mut self, index: &IndexDescriptor, wanted: Vec<Vec<Datum>>) {
        let mut seen = BTreeSet::new();
        for values in wanted {
            let (key, route) = if index.primary {
                self.access.point(&values)
            } else {
                let key = self.access.index_prefix(index, &values).into();
                (key, self.access.index_route(index, &values))
            };
            if !seen.insert(key.clone()) {
                continue;
            }
            self.steps.push_back(match index.primary {
                true => Step::Rows(vec![key], route),
                false => Step::Entries(index.id, vec![key], route),
            });
        }
    }

    fn push_prefixes(&mut self, index: &IndexDescriptor, wanted: Vec<Vec<Datum>>) {
        let mut seen = BTreeSet::new();
        for values in wanted {
            let prefix = self.access.index_prefix(index, &values);
            if seen.insert(prefix.clone()) {
                self.push_prefix(index, &values, prefix);
            }
        }
    }

    fn push_prefix(&mut self, index: &IndexDescriptor, values: &[Datum], prefix: Vec<u8>) {
        let route = self.access.index_route(index, values);
        self.push_span(index, Span::prefix(prefix.into()), route);
    }

    fn push_span(&mut self, index: &IndexDescriptor, span: Span, route: Route) {
        if span.is_empty() {
            return;
        }
        self.steps.push_back(match index.primary {
            true => Step::Span(span, route),
            false => Step::EntrySpan(index.id, span, route),
        });
    }

    /// The next rows that pass; `None` at the end. A batch may be empty.
    pub(crate) async fn next(&mut self, run: &Run) -> Result<Option<Vec<OldRow>>, SqlError> {
        if self.left == Some(0) {
            return Ok(None);
        }
        let Some(step) = self.steps.pop_front() else {
            return Ok(None);
        };
        let found = self.step(step, run).await?;
        run.context.tick(found.len() + 1).await;
        let mut rows = Vec::with_capacity(found.len());
        for found in found {
            if self.left == Some(0) {
                break;
            }
            let values = match &self.needed {
                None => self.access.decode(&found.row)?,
                Some(needed) => self.access.decode_some(&found.row, needed)?,
            };
            if run.passes(self.filter.as_ref(), &values).await? {
                rows.push(OldRow { key: found.key, version: found.version, values });
                self.left = self.left.map(|left| left - 1);
            }
        }
        Ok(Some(rows))
    }

    /// As [`Scanner::next`], values only.
    pub(crate) async fn next_values(&mut self, run: &Run) -> Result<Option<Vec<Row>>, SqlError> {
        let rows = self.next(run).await?;
        Ok(rows.map(|rows| rows.into_iter().map(|row| row.values).collect()))
    }

    async fn step(&mut self, step: Step, run: &Run) -> Result<Vec<Found>, SqlError> {
        match step {
            Step::Rows(keys, route) => {
                let found = self.get(self.access.rows(), keys, route, self.lock, run).await?;
                Ok(found.into_iter().flatten().collect())
            }
            Step::Span(span, route) => {
                let place = self.access.rows();
                let batch = self.scan(place, span, route, self.lock, run).await?;
                if let Some(rest) = batch.resume {
                    self.steps.push_front(Step::Span(rest, route));
                }
                Ok(batch.rows)
            }
            Step::Entries(index, keys, route) => {
                let place = self.access.place(index);
                let entries = self.get(place, keys, route, LockMode::None, run).await?;
                self.rows_of(entries.into_iter().flatten(), run).await
            }
            Step::EntrySpan(index, span, route) => {
                let place = self.access.place(index);
                let batch = self.scan(place, span, route, LockMode::None, run).await?;
                if let Some(rest) = batch.resume {
                    self.steps.push_front(Step::EntrySpan(index, rest, route));
                }
                self.rows_of(batch.rows.into_iter(), run).await
            }
        }
    }

    async fn rows_of(
        &self,
        entries: impl Iterator<Item = Found>,
        run: &Run,
    ) -> Result<Vec<Found>, SqlError> {
        let keys: Vec<_> = entries.map(|entry| self.access.row_key_of_entry(&entry.row)).collect();
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.get(self.access.rows(), keys, Route::All, self.lock, run).await?;
        // An entry without a row: the row went while we waited for its lock.
        Ok(found.into_iter().flatten().collect())
    }

    async fn get(
        &self,
        place: Place,
        keys: Vec<Key>,
        route: Route,
        lock: LockMode,
        run: &Run,
    ) -> Result<Vec<Option<Found>>, SqlError> {
        let request = GetRequest { place, route, keys, lock, wait: self.wait };
        let answer = run.context.open.txn.get(request).await;
        answer.map_err(|failure| self.failed(failure))
    }

    async fn scan(
        &mut self,
        place: Place,
        span: Span,
        route: Route,
        lock: LockMode,
        run: &Run,
    ) -> Result<crate::sql::ports::ScanBatch, SqlError> {
        let unfiltered = self.filter.is_none();
        let wanted = self.left.filter(|_| unfiltered).unwrap_or(usize::MAX);
        let rows_max = self.batch.min(wanted).max(1);
        self.batch = (self.batch * 4).min(limit::SCAN_ROWS_MAX);
        let (reverse, wait) = (self.reverse, self.wait);
        let request = ScanRequest { place, route, span, reverse, rows_max, lock, wait };
        let answer = run.context.open.txn.scan(request).await;
        answer.map_err(|failure| self.failed(failure))
    }

    fn failed(&self, failure: TxnFailure) -> SqlError {
        match (failure, self.wait) {
            (TxnFailure::LockTimeout, LockWait::NoWait) => {
                let table = &self.access.descriptor.name;
                let message = format!("could not obtain lock on row in relation \"{table}\"");
                SqlError::new(sqlstate::LOCK_NOT_AVAILABLE, message)
            }
            (failure, _) => failure.into(),
        }
    }
}

fn lock_of(lock: Option<RowLock>, run: &Run) -> Result<(LockMode, LockWait), SqlError> {
    let default = run.context.facts.wait;
    let Some(lock) = lock else {
        return Ok((LockMode::None, default));
    };
    let mode = match lock.strength {
        LockStrength::Share => LockMode::Shared,
        LockStrength::Update => LockMode::Exclusive,
    };
    match lock.wait {
        WaitClause::Wait => Ok((mode, default)),
        WaitClause::NoWait => Ok((mode, LockWait::NoWait)),
        WaitClause::SkipLocked => Err(SqlError::unsupported("SKIP LOCKED")),
    }
}

/// The values of these keys, but for those with a null, which equals nothing.
async fn without_null(keys: &[Vec<Expr>], run: &Run) -> Result<Vec<Vec<Datum>>, SqlError> {
    let mut wanted = Vec::with_capacity(keys.len());
    for key in keys {
        let values = run.values(key, &[]).await?;
        if values.iter().all(|value| !value.is_null()) {
            wanted.push(values);
        }
    }
    Ok(wanted)
}

async fn bound(bound: Option<&RangeBound>, run: &Run) -> Result<Option<(Datum, bool)>, SqlError> {
    match bound {
        None => Ok(None),
        Some(bound) => Ok(Some((run.value(&bound.value).await?, bound.inclusive))),
    }
}

/// The keys that begin with `start` and whose next column lies between the bounds. With a bound,
/// NULL is outside.
fn range(
    index: &IndexDescriptor,
    at: usize,
    start: Vec<u8>,
    low: Option<(Datum, bool)>,
    high: Option<(Datum, bool)>,
) -> Span {
    let Some(column) = index.columns.get(at) else {
        return Span::prefix(start.into());
    };
    if low.is_none() && high.is_none() {
        return Span::prefix(start.into());
    }
    let descending = column.descending;
    let encoded = |value: &Datum| {
        let mut key = start.clone();
        encode_key_column(&mut key, value, descending);
        Key::from(key)
    };
    let tagged = |tag: u8| {
        let mut key = start.clone();
        key.push(tag);
        Key::from(key)
    };
    // In key order the lower end is the high value if the column is descending.
    let (first, last) = if descending { (high, low) } else { (low, high) };
    let begin = match first {
        Some((value, true)) => encoded(&value),
        Some((value, false)) => after(encoded(&value)),
        None if descending => tagged(!TAGS.0),
        None => tagged(TAGS.0),
    };
    let end = match last {
        Some((value, true)) => after(encoded(&value)),
        Some((value, false)) => encoded(&value),
        None if descending => after(tagged(!TAGS.0)),
        None => tagged(TAGS.1),
    };
    Span { start: begin, end }
}

/// The first key after all that begin with this one.
fn after(key: Key) -> Key {
    Span::prefix(key).end
}
