//! COPY … FROM STDIN: records become rows of a table.

use std::rc::Rc;

use super::format::{self, Fields, Splitter};
use crate::base::error::{SqlError, sqlstate};
use crate::row::datetime::{Moment, Zone};
use crate::row::datum::Datum;
use crate::row::text::parse_text;
use crate::row::types::DataType;
use crate::sql::catalog::descriptor::TableDescriptor;
use crate::sql::execute::context::ExecContext;
use crate::sql::execute::planned::{self, DefaultValues};
use crate::sql::execute::table::TableAccess;
use crate::sql::execute::wire::moment_micros;
use crate::sql::execute::write::TableWriter;
use crate::sql::parse::ast::{CopyOptions, Name};

/// A COPY FROM at work: takes pieces, writes rows.
pub(crate) struct CopyIn<'a> {
    context: &'a Rc<ExecContext>,
    table: Rc<TableDescriptor>,
    /// Ordinals of the columns in the stream's order.
    columns: Vec<usize>,
    defaults: DefaultValues,
    options: CopyOptions,
    splitter: Splitter,
    writer: TableWriter<'a>,
    skip_header: bool,
    rows: u64,
}

impl<'a> CopyIn<'a> {
    pub(crate) async fn new(
        context: &'a Rc<ExecContext>,
        table: Rc<TableDescriptor>,
        names: &[Name],
        options: &CopyOptions,
    ) -> Result<Self, SqlError> {
        context.open.check_writable("COPY FROM")?;
        let columns = columns(&table, names)?;
        let facts = context.plan_facts().await?;
        let absent = (0..table.columns.len()).filter(|at| !columns.contains(at));
        let defaults = planned::default_values(&table, absent, &facts, context)?;
        let access = Rc::new(TableAccess::new(Rc::clone(&table)));
        let writer = TableWriter::new(context, access)?;
        let (splitter, skip_header) = (Splitter::new(options.clone()), options.header);
        let options = options.clone();
        Ok(Self {
            context,
            table,
            columns,
            defaults,
            options,
            splitter,
            writer,
            skip_header,
            rows: 0,
        })
    }

    /// Columns in the stream.
    pub(crate) fn width(&self) -> usize {
        self.columns.len()
    }

    /// A piece of the stream.
    pub(crate) async fn piece(&mut self, bytes: &[u8]) -> Result<(), SqlError> {
        self.splitter.push(bytes)?;
        self.records(false).await
    }

    /// The stream is at its end; gives back the number of rows.
    pub(crate) async fn finish(mut self) -> Result<u64, SqlError> {
        self.records(true).await?;
        let line = self.splitter.line();
        let finished = self.writer.finish().await;
        finished.map_err(|error| in_line(error, &self.table.name, line, None))?;
        Ok(self.rows)
    }

    async fn records(&mut self, at_end: bool) -> Result<(), SqlError> {
        while let Some(record) = self.splitter.next(at_end) {
            if std::mem::take(&mut self.skip_header) {
                continue;
            }
            let line = self.splitter.line();
            let shown = || String::from_utf8_lossy(&record[..record.len().min(100)]).into_owned();
            let fields = format::fields(&record, &self.options)
                .map_err(|error| in_line(error, &self.table.name, line, None))?;
            let row = self.row(fields, line, &shown).await?;
            let inserted = self.writer.insert(&row).await;
            inserted.map_err(|error| in_line(error, &self.table.name, line, Some(&shown())))?;
            self.rows += 1;
        }
        Ok(())
    }

    async fn row(
        &self,
        fields: Fields<'_>,
        line: u64,
        shown: &dyn Fn() -> String,
    ) -> Result<Vec<Datum>, SqlError> {
        let bad = |message: String| {
            let error = SqlError::new(sqlstate::BAD_COPY_FILE_FORMAT, message);
            in_line(error, &self.table.name, line, Some(&shown()))
        };
        if self.columns.len() < fields.len() {
            return Err(bad("extra data after last expected column".to_owned()));
        }
        if fields.len() < self.columns.len() {
            let column = &self.table.columns[self.columns[fields.len()]].name;
            return Err(bad(format!("missing data for column \"{column}\"")));
        }
        let zone = &self.context.facts.zone;
        let mut row = vec![Datum::Null; self.table.columns.len()];
        for (field, ordinal) in fields.into_iter().zip(&self.columns) {
            let Some(text) = field else { continue };
            let column = &self.table.columns[*ordinal];
            let value = self.value(&column.ty, &text, zone);
            row[*ordinal] = value.map_err(|error| {
                let place = format!("{line}, column {}: \"{text}\"", column.name);
                with_context(error, format!("COPY {}, line {place}", self.table.name))
            })?;
        }
        self.defaults.fill(&mut row).await?;
        Ok(row)
    }

    fn value(&self, ty: &DataType, text: &str, zone: &Zone) -> Result<Datum, SqlError> {
        // Most columns are integers: the general way is for everything else.
        match ty {
            DataType::Int4 => {
                if let Ok(value) = text.parse::<i32>() {
                    return Ok(Datum::Int4(value));
                }
            }
            DataType::Int8 => {
                if let Ok(value) = text.parse::<i64>() {
                    return Ok(Datum::Int8(value));
                }
            }
            _ => {} // below
        }
        let moment = Moment { now: moment_micros(self.context.open.began), zone };
        parse_text(ty, text, &moment)
    }
}

/// Ordinals of the named columns; all if none is named.
pub(crate) fn columns(table: &TableDescriptor, names: &[Name]) -> Result<Vec<usize>, SqlError> {
    if names.is_empty() {
        return Ok((0..table.columns.len()).collect());
    }
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let Some(at) = table.ordinal(&name.text) else {
            let message =
                format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
            return Err(SqlError::new(sqlstate::UNDEFINED_COLUMN, message));
        };
        if columns.contains(&at) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(SqlError::new(sqlstate::DUPLICATE_COLUMN, message));
        }
        columns.push(at);
    }
    Ok(columns)
}

fn in_line(error: SqlError, table: &str, line: u64, shown: Option<&str>) -> SqlError {
    let context = match shown {
        Some(shown) => format!("COPY {table}, line {line}: \"{shown}\""),
        None => format!("COPY {table}, line {line}"),
    };
    with_context(error, context)
}

/// Where in the stream; in the detail, unless that is taken.
fn with_context(error: SqlError, context: String) -> SqlError {
    if error.detail.is_some() { error } else { error.detail(context) }
}
