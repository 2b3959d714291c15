//! Prepared statements and portals.

use std::cell::RefCell;
use std::rc::Rc;

use crate::row::datum::Datum;
use crate::row::types::DataType;
use crate::sql::execute::cursor::Cursor;
use crate::sql::execute::planned::Planned;
use crate::sql::parse::ast::Statement;
use crate::sql::plan::Field;

/// What a prepared statement does.
#[derive(Clone, Debug)]
pub(super) enum Work {
    /// Nothing: the text was empty.
    Empty,
    /// Something that goes through the planner. The plan is kept while the catalog stays the same.
    Planned(RefCell<Option<Rc<Planned>>>),
    /// Everything else.
    Utility,
}

/// A prepared statement.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Its text, for replanning and for `pg_prepared_statements`.
    pub(super) text: Rc<str>,
    /// Its tree; `None` if the text was empty.
    pub(super) statement: Option<Rc<Statement>>,
    /// What it does.
    pub(super) work: Work,
    /// Types of its parameters.
    pub(super) parameters: Vec<DataType>,
    /// Columns of its result, if it has one.
    pub(super) fields: Option<Rc<[Field]>>,
}

impl Prepared {
    /// Keeps a plan for the next run.
    pub(super) fn keep_plan(&self, plan: Rc<Planned>) {
        if let Work::Planned(slot) = &self.work {
            *slot.borrow_mut() = Some(plan);
        }
    }
}

/// A statement with its parameters, ready to run or running.
pub(super) struct Portal {
    pub(super) prepared: Rc<Prepared>,
    pub(super) parameters: Rc<[Datum]>,
    /// One a column.
    pub(super) formats: Rc<[i16]>,
    pub(super) state: PortalState,
}

/// How far a portal is.
pub(super) enum PortalState {
    /// Not begun.
    Fresh,
    /// Rows are left, or may be.
    Running(Box<Cursor>),
    /// All is done.
    Done,
}

/// The format of a column: none given is text, one is for all.
pub(super) fn spread_formats(given: &[i16], columns: usize) -> Option<Rc<[i16]>> {
    if given.iter().any(|format| !matches!(format, 0 | 1)) {
        return None;
    }
    match given {
        [] => Some(vec![0; columns].into()),
        [one] => Some(vec![*one; columns].into()),
        many if many.len() == columns => Some(many.into()),
        _ => None, // a count that fits nothing
    }
}
