//! Filling what a schema change makes: a rewritten table, a new index. Rows are read in batches and
//! written through the bulk path, in memory that does not grow with the table.

use std::rc::Rc;

use crate::base::error::{SqlError, sqlstate};
use crate::base::id::IndexId;
use crate::base::limit;
use crate::sql::catalog::descriptor::TableDescriptor;
use crate::sql::execute::context::ExecContext;
use crate::sql::execute::table::TableAccess;
use crate::sql::execute::write::TableWriter;
use crate::sql::ports::{Found, LockMode, Route, ScanRequest};

/// Copies all rows of a table into the key space of its new descriptor, which has the same columns.
/// Those of the new primary key must hold no NULL.
pub(super) async fn table(
    context: &ExecContext,
    old: &Rc<TableDescriptor>,
    new: &TableDescriptor,
    not_null: &[u16],
) -> Result<(), SqlError> {
    let source = TableAccess::new(Rc::clone(old));
    let target = Rc::new(TableAccess::new(Rc::new(new.clone())));
    let wanted = target.key_columns();
    let mut writer = TableWriter::new(context, target)?;
    let mut rows = Rows::new(&source);
    while let Some(batch) = rows.next(context).await? {
        for found in batch {
            let row = source.decode_some(&found.row, &wanted)?;
            if let Some(column) = not_null.iter().find(|at| row[usize::from(**at)].is_null()) {
                let column = &old.columns[usize::from(*column)].name;
                let message = format!(
                    "column \"{column}\" of relation \"{}\" contains null values",
                    old.name
                );
                return Err(
                    SqlError::new(sqlstate::NOT_NULL_VIOLATION, message).column(&old.name, column)
                );
            }
            let inserted = writer.insert_again(&row, &found.row).await;
            inserted.map_err(|error| could_not_create(error, new))?;
        }
    }
    writer.finish().await.map_err(|error| could_not_create(error, new))
}

/// Writes the entries of a new index (its place in the new descriptor's `indexes`).
pub(super) async fn index(
    context: &ExecContext,
    old: &Rc<TableDescriptor>,
    new: &TableDescriptor,
    at: usize,
) -> Result<(), SqlError> {
    let source = TableAccess::new(Rc::clone(old));
    let target = Rc::new(TableAccess::new(Rc::new(new.clone())));
    let wanted = target.key_columns();
    let mut writer = TableWriter::for_new_index(context, target);
    let mut rows = Rows::new(&source);
    while let Some(batch) = rows.next(context).await? {
        for found in batch {
            let row = source.decode_some(&found.row, &wanted)?;
            let filled = writer.fill_entry(at, &row, &found.key).await;
            filled.map_err(|error| could_not_create(error, new))?;
        }
    }
    writer.finish().await.map_err(|error| could_not_create(error, new))
}

/// PostgreSQL's words for a duplicate that an index build meets.
fn could_not_create(mut error: SqlError, table: &TableDescriptor) -> SqlError {
    if error.state == sqlstate::UNIQUE_VIOLATION {
        let name = error.constraint.clone().unwrap_or_else(|| table.name.clone());
        error.message = format!("could not create unique index \"{name}\"");
        let detail = error.detail.take().map(|d| d.replace(" already exists.", " is duplicated."));
        error.detail = detail;
    }
    error
}

/// A table's rows, batch by batch.
struct Rows<'a> {
    access: &'a TableAccess,
    left: Option<crate::base::key::Span>,
}

impl<'a> Rows<'a> {
    fn new(access: &'a TableAccess) -> Self {
        Self { access, left: Some(access.span(IndexId(0))) }
    }

    async fn next(&mut self, context: &ExecContext) -> Result<Option<Vec<Found>>, SqlError> {
        let Some(span) = self.left.take() else {
            return Ok(None);
        };
        let request = ScanRequest {
            place: self.access.rows(),
            route: Route::All,
            span,
            reverse: false,
            rows_max: limit::SCAN_ROWS_MAX,
            lock: LockMode::None,
            wait: context.facts.wait,
        };
        let batch = context.open.txn.scan(request).await?;
        self.left = batch.resume;
        context.instance.clock.yield_now().await;
        Ok(Some(batch.rows))
    }
}
