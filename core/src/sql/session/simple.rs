//! The simple query protocol: a string of statements, run one after the other.

use std::rc::Rc;

use super::prepared::{PortalState, Prepared};
use super::run::{Completion, Request};
use super::session::{Flow, Session};
use super::transaction::Block;
use crate::base::error::{SqlError, sqlstate};
use crate::sql::error::STATEMENT_RETRY;
use crate::sql::parse::ast::Statement;
use crate::sql::parse::{self, Parsed};
use crate::sql::protocol::ClientReply;

impl Session {
    /// A Query message: answers everything up to ReadyForQuery.
    pub(super) async fn simple_query(&mut self, sql: &str) -> Flow {
        self.portals.remove("");
        self.begin_running();
        let result = self.run_script(sql).await;
        self.end_running();
        if let Err(error) = result {
            self.fail(error).await;
        }
        self.ready();
        Ok(())
    }

    /// An error ends the transaction, or leaves the block failed, and is told.
    pub(super) async fn fail(&mut self, error: SqlError) {
        let then = match self.transactions.block {
            Block::Idle | Block::Implicit => Block::Idle,
            Block::Explicit | Block::Failed => Block::Failed,
        };
        self.end_transaction_portals();
        let instance = Rc::clone(&self.instance);
        self.transactions.abort(&instance, then).await;
        // The settings of a failed block are undone when the block ends.
        if then == Block::Idle {
            self.settings.transaction_ended(false);
        }
        self.replies.push(ClientReply::Error(shown(error)));
    }

    /// Portals hold cursors of the transaction: they end with it.
    pub(super) fn end_transaction_portals(&mut self) {
        for portal in self.portals.values_mut() {
            portal.state = PortalState::Done;
        }
    }

    async fn run_script(&mut self, sql: &str) -> Result<(), SqlError> {
        if let Some(hit) = self.cached_statement(sql)
            && let Some(result) = self.run_cached(sql, hit).await
        {
            return result;
        }
        let mut statements = parse::parse(sql)?.into_iter().peekable();
        if statements.peek().is_none() {
            self.replies.push(ClientReply::EmptyQueryResponse);
            return Ok(());
        }
        let several = 1 < statements.len();
        while let Some(parsed) = statements.next() {
            let is_last = statements.peek().is_none();
            self.run_parsed(sql, parsed, several, is_last).await?;
        }
        Ok(())
    }

    async fn run_parsed(
        &mut self,
        sql: &str,
        parsed: Parsed,
        several: bool,
        is_last: bool,
    ) -> Result<(), SqlError> {
        let text: Rc<str> = Rc::from(sql.get(parsed.range.clone()).unwrap_or(sql));
        let statement = Rc::new(parsed.statement);
        if several && self.transactions.block == Block::Idle && !is_control(&statement) {
            self.transactions.enter(Block::Implicit, None);
        }
        let prepared = Rc::new(Prepared::raw(text, statement));
        let autocommit = !several;
        let request = Request { prepared, parameters: Rc::from([]), formats: None, autocommit };
        let completion = self.run_retried(&request).await?;
        if is_last && self.transactions.block == Block::Implicit {
            self.commit_block().await?;
        }
        if !several {
            self.remember_statement(sql);
        }
        self.complete(completion);
        Ok(())
    }

    pub(super) fn complete(&mut self, completion: Completion) {
        match completion {
            Completion::Tag(tag) => self.replies.push(ClientReply::CommandComplete(tag)),
            Completion::Empty => self.replies.push(ClientReply::EmptyQueryResponse),
            Completion::Suspended => self.replies.push(ClientReply::PortalSuspended),
        }
    }
}

/// An error as clients see it.
fn shown(mut error: SqlError) -> SqlError {
    if error.state == STATEMENT_RETRY {
        error.state = sqlstate::SERIALIZATION_FAILURE;
    }
    error
}

/// Statements that make or end a block themselves.
pub(super) fn is_control(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Begin { .. } | Statement::Commit { .. } | Statement::Rollback { .. }
    )
}
