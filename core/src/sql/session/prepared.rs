//! Prepared statements and portals.

use std::cell::RefCell;
use std::rc::Rc;

use super::run::describe;
use crate::row::datum::Datum;
use crate::row::types::DataType;
use crate::sql::execute::cursor::Cursor;
use crate::sql::execute::planned::Planned;
use crate::sql::execute::wire::Formats;
use crate::sql::parse::ast::Statement;
use crate::sql::plan::Field;
use crate::sql::protocol::FieldDescription;

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
    /// Its columns as a client is told of them.
    pub(super) fn described(&self, formats: &Formats) -> Option<Rc<[FieldDescription]>> {
        let fields = self.fields.as_ref()?;
        if *formats == Formats::All(0)
            && let Work::Planned(slot) = &self.work
            && let Some(plan) = slot.borrow().as_ref()
            && plan.fields.as_ref().is_some_and(|known| Rc::ptr_eq(known, fields))
        {
            return Some(Rc::clone(plan.described.get_or_init(|| describe(fields, formats))));
        }
        Some(describe(fields, formats))
    }

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
    pub(super) formats: Formats,
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
