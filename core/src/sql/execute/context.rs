//! What a running statement knows of its surroundings, and what it may use.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::planned::{self, PlanFacts};
use crate::auth::principal::Principal;
use crate::base::error::{SqlError, sqlstate};
use crate::base::limit;
use crate::base::time::Wall;
use crate::row::datetime::Zone;
use crate::row::datum::Datum;
use crate::row::eval::{Catalog as Functions, EvalContext, SessionInfo};
use crate::row::text::OidNames;
use crate::row::types::DataType;
use crate::sql::catalog::descriptor::{ColumnDescriptor, DatabaseDescriptor, SequenceDescriptor};
use crate::sql::catalog::snapshot::Catalog;
use crate::sql::pg_catalog;
use crate::sql::ports::LockWait;
use crate::sql::protocol::NoticeSeverity;
use crate::sql::session::instance::Instance;
use crate::sql::session::settings::SettingsView;
use crate::sql::session::transaction::OpenTransaction;

/// Rows after which a statement lets others run.
const ROWS_PER_TURN: u32 = 2_048;
/// Notices of one statement.
const NOTICES_MAX: usize = 1_000;

/// Of the session.
#[derive(Clone, Debug)]
pub(crate) struct SessionFacts {
    pub(crate) user: Rc<Principal>,
    pub(crate) database: Rc<DatabaseDescriptor>,
    pub(crate) search_path: Rc<[String]>,
    pub(crate) info: Rc<SessionInfo>,
    pub(crate) zone: Rc<Zone>,
    pub(crate) settings: SettingsView,
    pub(crate) wait: LockWait,
    pub(crate) sequences: Rc<SequenceMemory>,
}

/// What a session drew from sequences: `currval` and `lastval`.
#[derive(Debug, Default)]
pub(crate) struct SequenceMemory {
    pub(crate) values: RefCell<BTreeMap<u32, i64>>,
    pub(crate) last: Cell<Option<i64>>,
}

/// Something that an expression asked for and that takes time.
#[derive(Clone, Debug)]
pub(crate) enum Need {
    /// More values of a sequence.
    Values(Rc<SequenceDescriptor>),
    /// A sequence is to go on elsewhere.
    Set(Rc<SequenceDescriptor>, i64, bool),
    /// A while has to pass.
    Sleep(std::time::Duration),
}

/// Of a statement.
pub(crate) struct ExecContext {
    pub(crate) instance: Rc<Instance>,
    pub(crate) open: Rc<OpenTransaction>,
    pub(crate) parameters: Rc<[Datum]>,
    pub(crate) facts: SessionFacts,
    /// `statement_timestamp()`
    pub(crate) began: Wall,
    notices: RefCell<Vec<(NoticeSeverity, SqlError)>>,
    memory_bytes: Cell<usize>,
    rows: Cell<u32>,
    need: RefCell<Option<Need>>,
    /// Effects that the evaluation at hand has had: evaluated again, it must not have them again.
    effects_had: Cell<usize>,
    /// Effects that this pass of the evaluation has come to.
    effects_seen: Cell<usize>,
}

impl std::fmt::Debug for ExecContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ExecContext({:?})", self.open)
    }
}

impl ExecContext {
    pub(crate) fn new(
        instance: Rc<Instance>,
        open: Rc<OpenTransaction>,
        parameters: Rc<[Datum]>,
        facts: SessionFacts,
    ) -> Self {
        let began = instance.clock.now().wall;
        Self {
            instance,
            open,
            parameters,
            facts,
            began,
            notices: RefCell::default(),
            memory_bytes: Cell::new(0),
            rows: Cell::new(0),
            need: RefCell::default(),
            effects_had: Cell::new(0),
            effects_seen: Cell::new(0),
        }
    }

    /// Something to tell the client when the statement is done.
    pub(crate) fn notice(&self, severity: NoticeSeverity, notice: SqlError) {
        let mut notices = self.notices.borrow_mut();
        if notices.len() < NOTICES_MAX {
            notices.push((severity, notice));
        }
    }

    pub(crate) fn take_notices(&self) -> Vec<(NoticeSeverity, SqlError)> {
        self.notices.take()
    }

    /// Memory that the statement holds from now on.
    ///
    /// # Errors
    ///
    /// 53200 past the bound of a query.
    pub(crate) fn charge(&self, bytes: usize) -> Result<(), SqlError> {
        let held = self.memory_bytes.get().saturating_add(bytes);
        if limit::QUERY_MEMORY_MAX < held {
            let message = "out of memory";
            let detail = format!("A query may hold {} bytes.", limit::QUERY_MEMORY_MAX);
            return Err(SqlError::new(sqlstate::OUT_OF_MEMORY, message).detail(detail));
        }
        self.memory_bytes.set(held);
        Ok(())
    }

    /// Memory that the statement does not hold any more.
    pub(crate) fn release(&self, bytes: usize) {
        self.memory_bytes.set(self.memory_bytes.get().saturating_sub(bytes));
    }

    /// So many rows were worked on: lets others run now and then.
    pub(crate) async fn tick(&self, rows: usize) {
        let sum = self.rows.get().saturating_add(u32::try_from(rows).unwrap_or(u32::MAX));
        if sum < ROWS_PER_TURN {
            self.rows.set(sum);
            return;
        }
        self.rows.set(0);
        self.instance.clock.yield_now().await;
    }

    /// A fresh number for an object.
    pub(crate) async fn new_number(&self) -> Result<u32, SqlError> {
        self.instance.numbers.object(&*self.instance.source).await
    }

    /// The catalog that the statement sees.
    ///
    /// # Errors
    ///
    /// XX000 if the statement changed it and has not read it again.
    pub(crate) fn catalog(&self) -> Result<Rc<Catalog>, SqlError> {
        self.open
            .held_catalog()
            .ok_or_else(|| SqlError::new(sqlstate::INTERNAL_ERROR, "the catalog is not read yet"))
    }

    /// What the planner needs to know.
    pub(crate) async fn plan_facts(&self) -> Result<PlanFacts, SqlError> {
        Ok(PlanFacts {
            catalog: self.open.catalog().await?,
            database: Rc::clone(&self.facts.database),
            search_path: Rc::clone(&self.facts.search_path),
        })
    }

    /// Whether a column's default means something, of a type that the column takes.
    pub(crate) async fn check_default(
        &self,
        text: &str,
        column: &ColumnDescriptor,
    ) -> Result<(), SqlError> {
        planned::check_default(text, column, &self.plan_facts().await?)
    }

    /// What an expression lacked, if it failed for that.
    pub(crate) fn take_need(&self) -> Option<Need> {
        self.need.take()
    }

    /// Gets what an expression lacked.
    pub(crate) async fn fetch(&self, need: Need) -> Result<(), SqlError> {
        let source = &*self.instance.source;
        match need {
            Need::Values(sequence) => self.instance.numbers.refill(source, &sequence).await,
            Need::Set(sequence, value, called) => {
                let numbers = &self.instance.numbers;
                numbers.set_sequence(source, &sequence, value, called).await?;
                self.effects_had.set(self.effects_had.get() + 1);
                Ok(())
            }
            Need::Sleep(time) => {
                let clock = &self.instance.clock;
                clock.sleep_until(clock.now().mono + time).await;
                self.effects_had.set(self.effects_had.get() + 1);
                Ok(())
            }
        }
    }

    /// An expression lacks something: it fails with what this gives, and is evaluated again.
    pub(crate) fn ask(&self, need: Need) -> SqlError {
        *self.need.borrow_mut() = Some(need);
        SqlError::unsupported("a function with effects here")
    }

    /// An evaluation begins, or begins again.
    pub(crate) fn begin_pass(&self) {
        self.effects_seen.set(0);
    }

    /// The evaluation is done: the next one has effects of its own.
    pub(crate) fn end_evaluation(&self) {
        self.effects_had.set(0);
    }

    /// Whether the effect that an expression is about to ask for was had in an earlier pass.
    pub(crate) fn take_met(&self) -> bool {
        let at = self.effects_seen.get();
        self.effects_seen.set(at + 1);
        at < self.effects_had.get()
    }
}

impl OidNames for ExecContext {
    fn name_of(&self, ty: &DataType, oid: u32) -> Option<String> {
        pg_catalog::name_of(self, ty, oid)
    }
}

impl Functions for ExecContext {
    fn call(
        &self,
        name: &str,
        args: &[Datum],
        context: &EvalContext<'_>,
    ) -> Result<Datum, SqlError> {
        pg_catalog::call(self, name, args, context)
    }
}
