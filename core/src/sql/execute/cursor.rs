//! A running plan: gives rows batch by batch.
//!
//! Statements that write, and rows by whole keys, are done when [`Cursor::start`] returns; everything
//! else runs as its rows are asked for.

use std::collections::VecDeque;
use std::rc::Rc;

use super::context::ExecContext;
use super::dml;
use super::operators::{BoxOperator, build, collect};
use super::planned::Planned;
use super::point;
use super::run::{Row, Run};
use super::wire::{Encoder, Formats};
use crate::base::error::SqlError;
use crate::row::datum::Datum;
use crate::sql::plan::{Field, PlanRoot};

/// Rows, or the end with its tag.
#[derive(Debug)]
pub(crate) enum Started {
    /// Some rows; perhaps none.
    Rows(Vec<Row>),
    /// No more.
    Finished(String),
}

/// A plan at work.
pub(crate) struct Cursor {
    planned: Rc<Planned>,
    run: Run,
    operator: Option<BoxOperator>,
    held: VecDeque<Row>,
    verb: &'static str,
    /// Rows given, or rows written.
    count: u64,
    counts_rows: bool,
}

impl Cursor {
    /// Begins to run; a statement that writes has written when this returns.
    pub(crate) async fn start(
        planned: &Rc<Planned>,
        context: &Rc<ExecContext>,
    ) -> Result<Self, SqlError> {
        let run = Run::new(&planned.plan, context);
        let mut cursor = Self {
            planned: Rc::clone(planned),
            run,
            operator: None,
            held: VecDeque::new(),
            verb: "SELECT",
            count: 0,
            counts_rows: true,
        };
        let changed = match &planned.plan.root {
            PlanRoot::Query(plan) => {
                match point::rows(plan, planned, &cursor.run).await? {
                    Some(rows) => cursor.held = rows.into(),
                    None => cursor.operator = Some(build(plan)),
                }
                return Ok(cursor);
            }
            PlanRoot::Insert(insert) => {
                cursor.verb = "INSERT 0";
                dml::insert(insert, planned, &cursor.run).await?
            }
            PlanRoot::Update(update) => {
                cursor.verb = "UPDATE";
                dml::update(update, planned, &cursor.run).await?
            }
            PlanRoot::Delete(delete) => {
                cursor.verb = "DELETE";
                dml::delete(delete, planned, &cursor.run).await?
            }
        };
        cursor.counts_rows = false;
        cursor.count = changed.count;
        cursor.held = changed.rows.into();
        Ok(cursor)
    }

    /// Columns of the rows.
    pub(crate) fn fields(&self) -> Option<&[Field]> {
        self.planned.fields.as_deref()
    }

    /// What writes its rows for a client.
    pub(crate) fn encoder<'a>(&'a self, formats: Option<&'a Formats>) -> Encoder<'a> {
        let context = &*self.run.context;
        Encoder::new(formats, Rc::clone(&context.facts.zone), Some(context))
    }

    /// The next rows, at most `rows_max`.
    pub(crate) async fn next(&mut self, rows_max: u64) -> Result<Started, SqlError> {
        if self.held.is_empty() {
            let next = match &mut self.operator {
                Some(operator) => operator.next(&self.run).await?,
                None => None,
            };
            match next {
                Some(rows) => self.held = rows.into(),
                None => return Ok(Started::Finished(format!("{} {}", self.verb, self.count))),
            }
        }
        let wanted = usize::try_from(rows_max).unwrap_or(usize::MAX).min(self.held.len());
        let rows: Vec<_> = match wanted == self.held.len() {
            true => std::mem::take(&mut self.held).into(),
            false => self.held.drain(..wanted).collect(),
        };
        if self.counts_rows {
            self.count += rows.len() as u64;
        }
        Ok(Started::Rows(rows))
    }
}

/// All rows of a query's plan.
pub(crate) async fn all_rows(
    planned: &Rc<Planned>,
    context: &Rc<ExecContext>,
) -> Result<Vec<Row>, SqlError> {
    let mut cursor = Cursor::start(planned, context).await?;
    let mut all: Vec<Row> = std::mem::take(&mut cursor.held).into();
    if let Some(operator) = &mut cursor.operator {
        all.extend(collect(operator, &cursor.run).await?);
    }
    Ok(all)
}

/// The one value of a plan that gives one.
pub(crate) async fn one_value(
    planned: &Rc<Planned>,
    context: &Rc<ExecContext>,
) -> Result<Datum, SqlError> {
    let rows = all_rows(planned, context).await?;
    let value = rows.into_iter().next().and_then(|row| row.into_iter().next());
    Ok(value.unwrap_or(Datum::Null))
}
