//! One statement, from its transaction to its completion: the part that the simple and the extended
//! protocol share.
//!
//! A statement that commits by itself and lost to others is run again, as long as the client has
//! seen nothing of it.

use std::rc::Rc;

use super::prepared::{Prepared, Work};
use super::session::Session;
use super::simple::is_control;
use super::transaction::{Block, OpenTransaction};
use crate::base::error::{SqlError, sqlstate};
use crate::base::limit;
use crate::row::datum::Datum;
use crate::sql::error::STATEMENT_RETRY;
use crate::sql::execute::context::{ExecContext, SessionFacts};
use crate::sql::execute::cursor::{Cursor, Started};
use crate::sql::execute::planned::Planned;
use crate::sql::execute::wire::Formats;
use crate::sql::parse::ast::Statement;
use crate::sql::plan::Field;
use crate::sql::ports::LockWait;
use crate::sql::protocol::{ClientReply, FieldDescription};

/// Times that a statement of READ COMMITTED is run again within its transaction.
const STATEMENT_REPLAYS_MAX: usize = 100;

/// A statement to run.
pub(super) struct Request {
    pub(super) prepared: Rc<Prepared>,
    pub(super) parameters: Rc<[Datum]>,
    /// Formats of the result's columns; `None` in the simple protocol: text, and described first.
    pub(super) formats: Option<Formats>,
    /// Nothing but this statement is in its transaction, if no block is open.
    pub(super) autocommit: bool,
}

/// What the client is told last.
#[derive(Debug)]
pub(super) enum Completion {
    /// CommandComplete.
    Tag(String),
    /// The text was empty.
    Empty,
    /// The portal has more rows, perhaps.
    Suspended,
}

impl Session {
    /// Runs a statement to its end; again if it lost to others and nothing was sent.
    pub(super) async fn run_retried(&mut self, request: &Request) -> Result<Completion, SqlError> {
        // As it was before the statement: a COMMIT that lost has left its block, and run again it would
        // find nothing to commit and report success.
        let alone = request.autocommit && self.transactions.block == Block::Idle;
        if alone && let Some(done) = self.run_at_once(request) {
            return done;
        }
        let mut replays = 0;
        loop {
            let mark = self.replies.mark();
            let error = match self.run_statement(request).await {
                Ok(completion) => return Ok(completion),
                Err(error) => error,
            };
            if is_copy(request) || !self.replies.rewind(mark) {
                return Err(error);
            }
            replays += 1;
            if error.state == STATEMENT_RETRY
                && !is_insert(request)
                && replays <= STATEMENT_REPLAYS_MAX
            {
                continue; // in the same transaction, which keeps its locks
            }
            let lost = matches!(
                error.state,
                sqlstate::SERIALIZATION_FAILURE | sqlstate::DEADLOCK_DETECTED | STATEMENT_RETRY
            );
            if !alone || !lost || limit::REPLAYS_MAX < replays {
                return Err(error);
            }
            let instance = Rc::clone(&self.instance);
            self.transactions.abort(&instance, Block::Idle).await;
        }
    }

    async fn run_statement(&mut self, request: &Request) -> Result<Completion, SqlError> {
        let Some(statement) = request.prepared.statement.clone() else {
            return Ok(Completion::Empty);
        };
        self.check_failed_block(&statement)?;
        if is_control(&statement) || is_sessions_own(&statement) {
            return self.run_control(&statement).await;
        }
        let open = self.open_transaction(request.autocommit).await?;
        let completion = match &request.prepared.work {
            Work::Planned(_) => {
                let planned = self.current_plan(&request.prepared, &open).await?;
                self.run_planned(request, &planned, &open).await?
            }
            Work::Empty | Work::Utility => {
                let inbox = Rc::clone(&self.inbox);
                let expiry = self.statement_expiry();
                let work = self.run_utility(request, &statement, &open);
                Self::guarded(&inbox, expiry, work).await?
            }
        };
        self.statement_done().await?;
        Ok(completion)
    }

    /// 25P02 unless the statement ends the failed block.
    pub(super) fn check_failed_block(&self, statement: &Statement) -> Result<(), SqlError> {
        let ends = matches!(statement, Statement::Commit { .. } | Statement::Rollback { .. });
        if self.transactions.block != Block::Failed || ends {
            return Ok(());
        }
        let message =
            "current transaction is aborted, commands ignored until end of transaction block";
        Err(SqlError::new(sqlstate::IN_FAILED_SQL_TRANSACTION, message))
    }

    /// The transaction for a statement.
    pub(super) async fn open_transaction(
        &mut self,
        autocommit: bool,
    ) -> Result<Rc<OpenTransaction>, SqlError> {
        let default = self.default_modes();
        let (inbox, expiry) = (Rc::clone(&self.inbox), self.statement_expiry());
        let instance = Rc::clone(&self.instance);
        let work = self.transactions.for_statement(&instance, default, autocommit);
        Self::guarded(&inbox, expiry, work).await
    }

    /// Outside of a block a statement's end is its transaction's end.
    pub(super) async fn statement_done(&mut self) -> Result<(), SqlError> {
        if self.transactions.block == Block::Idle {
            self.commit_block().await?;
        }
        Ok(())
    }

    /// Commits what is open. Not under a statement's guard: a commit once begun is not cancelled.
    pub(super) async fn commit_block(&mut self) -> Result<(), SqlError> {
        let instance = Rc::clone(&self.instance);
        let result = self.transactions.commit(&instance).await;
        self.settings.transaction_ended(result.is_ok());
        result
    }

    /// What execution needs to know.
    pub(super) fn context(
        &self,
        open: &Rc<OpenTransaction>,
        parameters: &Rc<[Datum]>,
    ) -> Rc<ExecContext> {
        let wait = LockWait::Timeout(self.settings.hot().lock_timeout);
        Rc::new(ExecContext::new(
            Rc::clone(&self.instance),
            Rc::clone(open),
            Rc::clone(parameters),
            SessionFacts {
                user: Rc::clone(&self.user),
                database: Rc::clone(&self.database),
                search_path: self.search_path(),
                info: self.info(),
                sequences: Rc::clone(&self.sequences),
                zone: Rc::clone(&self.settings.hot().zone),
                settings: self.settings.view(),
                wait,
            },
        ))
    }

    async fn run_planned(
        &mut self,
        request: &Request,
        planned: &Rc<Planned>,
        open: &Rc<OpenTransaction>,
    ) -> Result<Completion, SqlError> {
        if request.parameters.len() < planned.parameters.len() {
            let message = format!("there is no parameter ${}", request.parameters.len() + 1);
            return Err(SqlError::new(sqlstate::UNDEFINED_PARAMETER, message));
        }
        let context = self.context(open, &request.parameters);
        if request.formats.is_none()
            && let Some(fields) = &planned.fields
        {
            let described = planned.described.get_or_init(|| describe(fields, &Formats::All(0)));
            self.replies.push(ClientReply::RowDescription(Rc::clone(described)));
        }
        let mut cursor = self.start(planned, &context).await?;
        let completion = self.send_rows(&mut cursor, request.formats.as_ref(), 0).await?;
        self.take_notices(&context);
        Ok(completion)
    }

    /// Begins to run a plan, under the statement's guard.
    pub(super) async fn start(
        &mut self,
        planned: &Rc<Planned>,
        context: &Rc<ExecContext>,
    ) -> Result<Cursor, SqlError> {
        let (inbox, expiry) = (Rc::clone(&self.inbox), self.statement_expiry());
        let work = Cursor::start(planned, context);
        Self::guarded(&inbox, expiry, work).await
    }

    /// Sends a cursor's rows, at most `rows_max` (0: all).
    pub(super) async fn send_rows(
        &mut self,
        cursor: &mut Cursor,
        formats: Option<&Formats>,
        rows_max: u64,
    ) -> Result<Completion, SqlError> {
        let inbox = Rc::clone(&self.inbox);
        let mut left = if rows_max == 0 { u64::MAX } else { rows_max };
        while 0 < left {
            let expiry = self.statement_expiry();
            match Self::guarded(&inbox, expiry, cursor.next(left)).await? {
                Started::Rows(rows) => {
                    left -= u64::try_from(rows.len()).unwrap_or(left).min(left);
                    self.send_batch(cursor, &rows, formats)?;
                    self.flow_guarded().await?;
                }
                Started::Finished(tag) => return Ok(Completion::Tag(tag)),
            }
        }
        Ok(Completion::Suspended)
    }

    async fn flow_guarded(&mut self) -> Result<(), SqlError> {
        if !self.replies.is_burst() {
            return Ok(());
        }
        let inbox = Rc::clone(&self.inbox);
        let expiry = self.statement_expiry();
        let replies = &mut self.replies;
        let work = async {
            replies.flow().await;
            Ok(())
        };
        Self::guarded(&inbox, expiry, work).await
    }

    fn send_batch(
        &mut self,
        cursor: &Cursor,
        rows: &[Vec<Datum>],
        formats: Option<&Formats>,
    ) -> Result<(), SqlError> {
        let Some(fields) = cursor.fields() else {
            return Ok(());
        };
        let encoder = cursor.encoder(formats);
        for row in rows {
            self.replies.row(fields.len(), |out| encoder.encode(fields, row, out))?;
        }
        Ok(())
    }

    pub(super) fn take_notices(&mut self, context: &ExecContext) {
        for (severity, notice) in context.take_notices() {
            self.tell(severity, notice);
        }
    }
}

/// An INSERT may have buffered some of its rows when it fails.
fn is_insert(request: &Request) -> bool {
    matches!(request.prepared.statement.as_deref(), Some(Statement::Insert(_)))
}

/// COPY FROM STDIN has eaten its client's messages: it cannot be run again.
fn is_copy(request: &Request) -> bool {
    matches!(request.prepared.statement.as_deref(), Some(Statement::Copy(_)))
}

/// Statements about the session itself: they need no transaction.
fn is_sessions_own(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Set(_)
            | Statement::Reset(_)
            | Statement::SetTransaction(_)
            | Statement::SetSessionTransaction(_)
            | Statement::Deallocate(_)
            | Statement::DiscardAll
            | Statement::Checkpoint
    )
}

/// RowDescription's fields.
pub(super) fn describe(fields: &[Field], formats: &Formats) -> Rc<[FieldDescription]> {
    let described = fields.iter().enumerate().map(|(at, field)| FieldDescription {
        name: field.name.clone(),
        table_oid: field.table_oid,
        column: field.column,
        type_oid: field.ty.oid(),
        type_len: field.ty.len(),
        type_modifier: field.ty.typmod(),
        format: formats.of(at),
    });
    described.collect()
}
