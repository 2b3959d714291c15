//! The extended query protocol: Parse, Bind, Describe, Execute, Close, Sync.
//!
//! Outside of a block, everything up to Sync is one transaction. When Sync is already there as an
//! Execute begins and nothing else is open, the statement commits by itself, and its CommandComplete
//! is the truth.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;

use super::prepared::{Portal, PortalState, Prepared, Work};
use super::run::{Completion, Request};
use super::session::{Flow, Session};
use super::transaction::{Block, OpenTransaction};
use crate::base::error::{SqlError, sqlstate};
use crate::base::limit;
use crate::row::datum::Datum;
use crate::row::types::DataType;
use crate::sql::catalog::snapshot::Catalog;
use crate::sql::execute::planned::{self, PlanFacts, Planned};
use crate::sql::execute::wire::{self, Formats};
use crate::sql::parse;
use crate::sql::parse::ast::Statement;
use crate::sql::protocol::ClientReply;

/// Bytes of the texts of one session's prepared statements, as far as they are long.
const PREPARED_BYTES_MAX: usize = 16 << 20;
/// Texts below this are not counted: there are at most `limit::PREPARED_MAX` of them.
const SHORT_BYTES: usize = 4_096;

impl Prepared {
    /// A statement that has not been looked at yet.
    pub(super) fn raw(text: Rc<str>, statement: Rc<Statement>) -> Self {
        let work = match planned::is_planned(&statement) {
            true => Work::Planned(RefCell::new(None)),
            false => Work::Utility,
        };
        let (parameters, fields) = (Vec::new(), None);
        Self { text, statement: Some(statement), work, parameters, fields }
    }
}

impl Session {
    /// The end of a message of an extended batch: an error skips everything up to Sync.
    pub(super) async fn in_batch(&mut self, result: Result<(), SqlError>) -> Flow {
        self.end_running();
        if let Err(error) = result {
            self.skip_to_sync = true;
            self.fail(error).await;
            self.replies.flush();
        }
        Ok(())
    }

    pub(super) async fn sync(&mut self) -> Flow {
        self.skip_to_sync = false;
        if matches!(self.transactions.block, Block::Idle | Block::Implicit) {
            self.end_transaction_portals();
            if let Err(error) = self.commit_block().await {
                self.fail(error).await;
            }
        }
        self.ready();
        Ok(())
    }

    pub(super) async fn parse(
        &mut self,
        name: String,
        sql: String,
        types: Vec<u32>,
    ) -> Result<(), SqlError> {
        if !name.is_empty() && self.statements.contains_key(&name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(SqlError::new(sqlstate::DUPLICATE_PREPARED_STATEMENT, message));
        }
        if limit::PREPARED_MAX <= self.statements.len() {
            let message = "too many prepared statements";
            return Err(SqlError::new(sqlstate::CONFIGURATION_LIMIT_EXCEEDED, message));
        }
        let held: usize = match sql.len() {
            0..SHORT_BYTES => 0,
            _ => self.statements.values().map(|prepared| prepared.text.len()).sum(),
        };
        if PREPARED_BYTES_MAX < held + sql.len() {
            let message = "prepared statements are too long together";
            return Err(SqlError::new(sqlstate::CONFIGURATION_LIMIT_EXCEEDED, message));
        }
        self.begin_running();
        let prepared = self.prepare(&sql, &types).await?;
        self.statements.insert(name, Rc::new(prepared));
        self.replies.push(ClientReply::ParseComplete);
        Ok(())
    }

    async fn prepare(&mut self, sql: &str, types: &[u32]) -> Result<Prepared, SqlError> {
        let text: Rc<str> = Rc::from(sql);
        let Some(parsed) = parse::parse_one(sql)? else {
            let work = Work::Empty;
            return Ok(Prepared { text, statement: None, work, parameters: vec![], fields: None });
        };
        let statement = Rc::new(parsed.statement);
        self.check_failed_block(&statement)?;
        self.prepare_statement(text, statement, parameter_hints(types)?).await
    }

    /// Plans a statement, so that its parameters and its columns are known.
    pub(super) async fn prepare_statement(
        &mut self,
        text: Rc<str>,
        statement: Rc<Statement>,
        hints: Vec<Option<DataType>>,
    ) -> Result<Prepared, SqlError> {
        let mut prepared = Prepared::raw(text, Rc::clone(&statement));
        if let Work::Planned(slot) = &prepared.work {
            let open = self.transactions.open.clone().filter(|open| open.has_begun());
            let plan = match &open {
                Some(open) => self.plan(&statement, &hints, open.catalog().await?)?,
                None => self.plan_outside(&statement, &hints).await?,
            };
            prepared.parameters = plan.parameters.clone();
            prepared.fields = plan.fields.clone();
            if open.is_none_or(|open| !open.has_own_catalog()) {
                *slot.borrow_mut() = Some(plan);
            }
        } else {
            self.refine_utility(&mut prepared)?;
        }
        Ok(prepared)
    }

    /// Plans outside of a transaction: with the newest catalog that we hold, and with a fresh one
    /// before an error is believed. Execution checks the catalog's version again.
    async fn plan_outside(
        &self,
        statement: &Statement,
        hints: &[Option<DataType>],
    ) -> Result<Rc<Planned>, SqlError> {
        let instance = &self.instance;
        let held = match instance.catalog.newest() {
            Some(catalog) => catalog,
            None => instance.catalog.refresh(&*instance.source).await?,
        };
        let version = held.version();
        match self.plan(statement, hints, held) {
            Ok(plan) => Ok(plan),
            Err(error) => {
                let fresh = instance.catalog.refresh(&*instance.source).await?;
                if fresh.version() == version {
                    return Err(error);
                }
                self.plan(statement, hints, fresh)
            }
        }
    }

    pub(super) fn plan(
        &self,
        statement: &Statement,
        hints: &[Option<DataType>],
        catalog: Rc<Catalog>,
    ) -> Result<Rc<Planned>, SqlError> {
        let facts = PlanFacts {
            catalog,
            database: Rc::clone(&self.database),
            search_path: self.search_path(),
        };
        Ok(Rc::new(planned::plan(statement, hints, &facts)?))
    }

    /// The statement's plan for the catalog that its transaction sees.
    pub(super) async fn current_plan(
        &self,
        prepared: &Prepared,
        open: &Rc<OpenTransaction>,
    ) -> Result<Rc<Planned>, SqlError> {
        let (Work::Planned(slot), Some(statement)) = (&prepared.work, &prepared.statement) else {
            return Err(SqlError::new(sqlstate::INTERNAL_ERROR, "a statement without a plan"));
        };
        let path = self.search_path();
        if !open.has_own_catalog() {
            let version = open.catalog().await?.version();
            if let Some(plan) = slot.borrow().as_ref()
                && plan.catalog_version == version
                && plan.search_path == path
            {
                return Ok(Rc::clone(plan));
            }
        }
        let hints: Vec<_> = prepared.parameters.iter().cloned().map(Some).collect();
        let plan = self.plan(statement, &hints, open.catalog().await?)?;
        if let (Some(known), Some(new)) = (&prepared.fields, &plan.fields)
            && !planned::same_types(known, new)
        {
            let message = "cached plan must not change result type";
            return Err(SqlError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
        }
        if !open.has_own_catalog() {
            *slot.borrow_mut() = Some(Rc::clone(&plan));
        }
        Ok(plan)
    }

    pub(super) async fn bind(
        &mut self,
        portal: String,
        statement: &str,
        values: Vec<Option<Bytes>>,
        formats: (Vec<i16>, Vec<i16>),
    ) -> Result<(), SqlError> {
        let prepared = self.prepared(statement)?;
        if !portal.is_empty() && self.portals.contains_key(&portal) {
            let message = format!("cursor \"{portal}\" already exists");
            return Err(SqlError::new(sqlstate::DUPLICATE_CURSOR, message));
        }
        if limit::PREPARED_MAX <= self.portals.len() {
            let message = "too many portals";
            return Err(SqlError::new(sqlstate::CONFIGURATION_LIMIT_EXCEEDED, message));
        }
        if let Some(statement) = &prepared.statement {
            self.check_failed_block(statement)?;
        }
        let parameters = self.decode_parameters(statement, &prepared, &values, &formats.0)?;
        let columns = prepared.fields.as_ref().map_or(0, |fields| fields.len());
        let Some(result_formats) = Formats::given(&formats.1, columns) else {
            let message = format!(
                "bind message has {} result formats but query has {columns} columns",
                formats.1.len()
            );
            return Err(SqlError::new(sqlstate::PROTOCOL_VIOLATION, message));
        };
        let fresh =
            Portal { prepared, parameters, formats: result_formats, state: PortalState::Fresh };
        self.portals.insert(portal, fresh);
        self.replies.push(ClientReply::BindComplete);
        Ok(())
    }

    pub(super) fn decode_parameters(
        &self,
        name: &str,
        prepared: &Prepared,
        values: &[Option<Bytes>],
        formats: &[i16],
    ) -> Result<Rc<[Datum]>, SqlError> {
        let wanted = prepared.parameters.len();
        if values.len() != wanted {
            let message = format!(
                "bind message supplies {} parameters, but prepared statement \"{name}\" \
                 requires {wanted}",
                values.len()
            );
            return Err(SqlError::new(sqlstate::PROTOCOL_VIOLATION, message));
        }
        let Some(formats) = Formats::given(formats, wanted) else {
            let message = format!(
                "bind message has {} parameter formats but {wanted} parameters",
                formats.len()
            );
            return Err(SqlError::new(sqlstate::PROTOCOL_VIOLATION, message));
        };
        let zone = &self.settings.hot().zone;
        let now = self.instance.clock.now().wall;
        let decode = |at: usize| match &values[at] {
            None => Ok(Datum::Null),
            Some(bytes) => {
                wire::decode_parameter(&prepared.parameters[at], formats.of(at), bytes, zone, now)
            }
        };
        (0..wanted).map(decode).collect()
    }

    fn prepared(&self, name: &str) -> Result<Rc<Prepared>, SqlError> {
        self.statements.get(name).cloned().ok_or_else(|| {
            let message = match name {
                "" => "unnamed prepared statement does not exist".to_owned(),
                name => format!("prepared statement \"{name}\" does not exist"),
            };
            SqlError::new(sqlstate::INVALID_SQL_STATEMENT_NAME, message)
        })
    }

    pub(super) async fn describe_statement(&mut self, name: &str) -> Result<(), SqlError> {
        let prepared = self.prepared(name)?;
        let oids = prepared.parameters.iter().map(DataType::oid).collect();
        self.replies.push(ClientReply::ParameterDescription(oids));
        self.replies.push(match prepared.described(&Formats::All(0)) {
            Some(fields) => ClientReply::RowDescription(fields),
            None => ClientReply::NoData,
        });
        Ok(())
    }

    pub(super) fn describe_portal(&mut self, name: &str) -> Result<(), SqlError> {
        let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
        let reply = match portal.prepared.described(&portal.formats) {
            Some(fields) => ClientReply::RowDescription(fields),
            None => ClientReply::NoData,
        };
        self.replies.push(reply);
        Ok(())
    }

    pub(super) async fn execute_portal(
        &mut self,
        name: &str,
        rows_max: u32,
    ) -> Result<(), SqlError> {
        let portal = self.portals.get_mut(name).ok_or_else(|| no_portal(name))?;
        let state = std::mem::replace(&mut portal.state, PortalState::Done);
        let (prepared, parameters) = (Rc::clone(&portal.prepared), Rc::clone(&portal.parameters));
        let formats = portal.formats.clone();
        self.begin_running();
        let completion = match state {
            PortalState::Done => {
                if let Some(statement) = &prepared.statement {
                    self.check_failed_block(statement)?;
                }
                done_again(&prepared)?
            }
            PortalState::Running(cursor) => {
                self.go_on(name, cursor, &formats, u64::from(rows_max)).await?
            }
            PortalState::Fresh => {
                let autocommit = self.inbox.is_sync_next();
                if !autocommit && self.transactions.block == Block::Idle {
                    self.transactions.enter(Block::Implicit, None);
                }
                let formats = Some(formats);
                let request = Request { prepared, parameters, formats, autocommit };
                if rows_max == 0 || request.prepared.fields.is_none() {
                    self.run_retried(&request).await?
                } else {
                    self.run_in_parts(name, &request, u64::from(rows_max)).await?
                }
            }
        };
        self.complete(completion);
        Ok(())
    }

    /// Runs a portal that may be suspended: its cursor stays with it.
    async fn run_in_parts(
        &mut self,
        name: &str,
        request: &Request,
        rows_max: u64,
    ) -> Result<Completion, SqlError> {
        let Some(statement) = request.prepared.statement.clone() else {
            return Ok(Completion::Empty);
        };
        if !matches!(request.prepared.work, Work::Planned(_)) {
            return self.run_retried(request).await;
        }
        self.check_failed_block(&statement)?;
        if self.transactions.block == Block::Idle {
            self.transactions.enter(Block::Implicit, None);
        }
        let open = self.open_transaction(false).await?;
        let plan = self.current_plan(&request.prepared, &open).await?;
        let context = self.context(&open, &request.parameters);
        let cursor = self.start(&plan, &context).await?;
        self.take_notices(&context);
        let formats = request.formats.clone().unwrap_or(Formats::All(0));
        self.go_on(name, Box::new(cursor), &formats, rows_max).await
    }

    async fn go_on(
        &mut self,
        name: &str,
        mut cursor: Box<crate::sql::execute::cursor::Cursor>,
        formats: &Formats,
        rows_max: u64,
    ) -> Result<Completion, SqlError> {
        let completion = self.send_rows(&mut cursor, Some(formats), rows_max).await?;
        if let (Completion::Suspended, Some(portal)) = (&completion, self.portals.get_mut(name)) {
            portal.state = PortalState::Running(cursor);
        }
        Ok(completion)
    }
}

fn no_portal(name: &str) -> SqlError {
    SqlError::new(sqlstate::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
}

/// A finished portal gives no more rows; one that cannot give rows cannot run twice.
fn done_again(prepared: &Prepared) -> Result<Completion, SqlError> {
    match (&prepared.statement, &prepared.fields) {
        (None, _) => Ok(Completion::Empty),
        (Some(_), Some(_)) => Ok(Completion::Tag("SELECT 0".to_owned())),
        (Some(_), None) => Err(SqlError::new(
            sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "portal cannot be run anymore",
        )),
    }
}

fn parameter_hints(types: &[u32]) -> Result<Vec<Option<DataType>>, SqlError> {
    if limit::PARAMETERS_MAX < types.len() {
        return Err(SqlError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, "too many parameters"));
    }
    let hint = |oid: &u32| match oid {
        0 | 705 => Ok(None),
        oid => match DataType::from_oid(*oid, -1) {
            Some(ty) => Ok(Some(ty)),
            None => Err(SqlError::unsupported(format!("parameter type with OID {oid}"))),
        },
    };
    types.iter().map(hint).collect()
}
