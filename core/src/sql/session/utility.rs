//! Statements that steer the session: transaction blocks, settings, prepared statements. And the
//! door to those that change the catalog.

use std::rc::Rc;

use super::prepared::{Prepared, Work};
use super::run::{Completion, Request, describe};
use super::session::Session;
use super::settings::{Scope, Settings, isolation_of};
use super::transaction::{Block, Modes, OpenTransaction};
use crate::base::error::{SqlError, sqlstate};
use crate::row::datum::Datum;
use crate::row::types::DataType;
use crate::sql::execute::ddl;
use crate::sql::execute::explain;
use crate::sql::execute::planned::plain;
use crate::sql::execute::wire::{Encoder, Formats};
use crate::sql::parse::ast::{
    IsolationLevel, Name, Prepare, Setting, SettingScope, Statement, TransactionModes,
};
use crate::sql::plan::Field;
use crate::sql::ports::Isolation;
use crate::sql::protocol::ClientReply;

impl Session {
    /// BEGIN, COMMIT, ROLLBACK, SET and what else concerns the session alone.
    pub(super) async fn run_control(
        &mut self,
        statement: &Statement,
    ) -> Result<Completion, SqlError> {
        let tag = match statement {
            Statement::Begin { modes, start } => {
                self.begin(modes);
                if *start { "START TRANSACTION".to_owned() } else { "BEGIN".to_owned() }
            }
            Statement::Commit { chain } => self.end_block(true, *chain).await?,
            Statement::Rollback { chain } => self.end_block(false, *chain).await?,
            Statement::Set(setting) => self.set(setting)?,
            Statement::Reset(name) => self.reset(name.as_deref())?,
            Statement::SetTransaction(modes) => self.set_transaction(modes)?,
            Statement::SetSessionTransaction(modes) => self.set_session_transaction(modes)?,
            Statement::Deallocate(name) => self.deallocate(name.as_ref())?,
            Statement::DiscardAll => self.discard_all()?,
            Statement::Checkpoint => "CHECKPOINT".to_owned(),
            other => return Err(SqlError::unsupported(format!("{other:?}"))),
        };
        Ok(Completion::Tag(tag))
    }

    fn begin(&mut self, asked: &TransactionModes) {
        if self.transactions.block == Block::Explicit {
            self.warn(
                sqlstate::ACTIVE_SQL_TRANSACTION,
                "there is already a transaction in progress",
            );
            return;
        }
        let modes = merged(self.default_modes(), asked);
        self.transactions.enter(Block::Explicit, Some(modes));
    }

    async fn end_block(&mut self, commit: bool, chain: bool) -> Result<String, SqlError> {
        let block = self.transactions.block;
        let modes = self.transactions.modes();
        if matches!(block, Block::Idle | Block::Implicit) {
            if chain {
                let verb = if commit { "COMMIT" } else { "ROLLBACK" };
                let message = format!("{verb} AND CHAIN can only be used in transaction blocks");
                return Err(SqlError::new(sqlstate::NO_ACTIVE_SQL_TRANSACTION, message));
            }
            self.warn(sqlstate::NO_ACTIVE_SQL_TRANSACTION, "there is no transaction in progress");
        }
        self.end_transaction_portals();
        let committed = commit && block != Block::Failed;
        if committed {
            self.commit_block().await?;
        } else {
            let instance = Rc::clone(&self.instance);
            self.transactions.abort(&instance, Block::Idle).await;
            self.settings.transaction_ended(false);
        }
        if chain {
            self.transactions.enter(Block::Explicit, modes.or(Some(self.default_modes())));
        }
        Ok(if committed { "COMMIT" } else { "ROLLBACK" }.to_owned())
    }

    fn in_block(&self) -> bool {
        matches!(self.transactions.block, Block::Explicit | Block::Implicit)
    }

    fn set(&mut self, setting: &Setting) -> Result<String, SqlError> {
        let in_block = self.in_block();
        let scope = match setting.scope {
            SettingScope::Session => Scope::Session,
            SettingScope::Local => Scope::Local,
        };
        if scope == Scope::Local && self.transactions.block != Block::Explicit {
            let message = "SET LOCAL can only be used in transaction blocks";
            self.warn(sqlstate::NO_ACTIVE_SQL_TRANSACTION, message);
        }
        match (setting.name.as_str(), &setting.value) {
            ("transaction_isolation", Some(value)) => {
                let modes = TransactionModes { isolation: level_of(value), ..Default::default() };
                self.set_transaction(&modes)?;
            }
            ("transaction_read_only", Some(value)) => {
                let read_only = matches!(value.as_str(), "on" | "true" | "yes" | "1");
                let modes = TransactionModes { read_only: Some(read_only), ..Default::default() };
                self.set_transaction(&modes)?;
            }
            ("role", Some(value)) if value != "none" && *value != self.user.name => {
                return Err(SqlError::unsupported("SET ROLE"));
            }
            ("role", _) => {}
            (name, Some(value)) => self.settings.set(name, value, scope, in_block)?,
            (name, None) => self.settings.reset(name, scope, in_block)?,
        }
        if self.transactions.block == Block::Idle && scope == Scope::Local {
            self.settings.transaction_ended(true);
        }
        Ok("SET".to_owned())
    }

    fn reset(&mut self, name: Option<&str>) -> Result<String, SqlError> {
        let in_block = self.in_block();
        match name {
            Some(name) => self.settings.reset(name, Scope::Session, in_block)?,
            None => self.settings.reset_all(in_block),
        }
        Ok("RESET".to_owned())
    }

    fn set_transaction(&mut self, asked: &TransactionModes) -> Result<String, SqlError> {
        if self.transactions.block != Block::Explicit {
            let message = "SET TRANSACTION can only be used in transaction blocks";
            self.warn(sqlstate::NO_ACTIVE_SQL_TRANSACTION, message);
            return Ok("SET".to_owned());
        }
        let old = self.transactions.modes().unwrap_or_else(|| self.default_modes());
        let new = merged(old, asked);
        if self.transactions.open.as_ref().is_some_and(|open| open.has_begun()) {
            if asked.isolation.is_some() && new.isolation != old.isolation {
                let message = "SET TRANSACTION ISOLATION LEVEL must be called before any query";
                return Err(SqlError::new(sqlstate::ACTIVE_SQL_TRANSACTION, message));
            }
            if old.read_only && !new.read_only {
                let message = "transaction read-write mode must be set before any query";
                return Err(SqlError::new(sqlstate::ACTIVE_SQL_TRANSACTION, message));
            }
        }
        self.transactions.enter(Block::Explicit, Some(new));
        Ok("SET".to_owned())
    }

    fn set_session_transaction(&mut self, asked: &TransactionModes) -> Result<String, SqlError> {
        let in_block = self.in_block();
        if let Some(level) = asked.isolation {
            let name = "default_transaction_isolation";
            self.settings.set(name, level_name(level), Scope::Session, in_block)?;
        }
        if let Some(read_only) = asked.read_only {
            let value = if read_only { "on" } else { "off" };
            self.settings.set("default_transaction_read_only", value, Scope::Session, in_block)?;
        }
        Ok("SET".to_owned())
    }

    fn deallocate(&mut self, name: Option<&Name>) -> Result<String, SqlError> {
        let Some(name) = name else {
            self.statements.retain(|name, _| name.is_empty());
            return Ok("DEALLOCATE ALL".to_owned());
        };
        if self.statements.remove(&name.text).is_none() {
            let message = format!("prepared statement \"{}\" does not exist", name.text);
            return Err(SqlError::new(sqlstate::INVALID_SQL_STATEMENT_NAME, message));
        }
        Ok("DEALLOCATE".to_owned())
    }

    fn discard_all(&mut self) -> Result<String, SqlError> {
        if self.in_block() {
            let message = "DISCARD ALL cannot run inside a transaction block";
            return Err(SqlError::new(sqlstate::ACTIVE_SQL_TRANSACTION, message));
        }
        self.statements.clear();
        self.portals.clear();
        self.settings.reset_all(false);
        Ok("DISCARD ALL".to_owned())
    }

    /// A value as SHOW prints it: two of them belong to the transaction.
    fn shown(&self, name: &str) -> Result<String, SqlError> {
        let modes = self.transactions.modes();
        match (name, modes) {
            ("transaction_isolation", _) => {
                let modes = modes.unwrap_or_else(|| self.default_modes());
                Ok(match modes.isolation {
                    Isolation::Serializable => "serializable",
                    Isolation::ReadCommitted => "read committed",
                }
                .to_owned())
            }
            ("transaction_read_only", _) => {
                let modes = modes.unwrap_or_else(|| self.default_modes());
                Ok(if modes.read_only { "on" } else { "off" }.to_owned())
            }
            _ => self.settings.view().show(name), // all others belong to the session
        }
    }

    /// Statements that need a transaction but no plan.
    pub(super) async fn run_utility(
        &mut self,
        request: &Request,
        statement: &Statement,
        open: &Rc<OpenTransaction>,
    ) -> Result<Completion, SqlError> {
        let formats = request.formats.as_ref();
        let tag = match statement {
            Statement::Show(name) => {
                self.show(name, formats)?;
                "SHOW".to_owned()
            }
            Statement::Explain(wanted) => {
                let context = self.context(open, &request.parameters);
                let catalog = open.catalog().await?;
                let plan = self.plan(&wanted.statement, &[], catalog)?;
                let lines = explain::explain(wanted, &plan, &context).await?;
                let rows = lines.into_iter().map(|line| vec![Datum::text(&line)]).collect();
                self.send_table(&text_fields(&["QUERY PLAN"]), rows, formats)?;
                "EXPLAIN".to_owned()
            }
            Statement::Copy(copy) => self.copy(copy, open).await?,
            Statement::Prepare(prepare) => self.prepare_by_name(prepare).await?,
            Statement::Execute { name, args } => {
                return self.execute_by_name(name, args, open, request).await;
            }
            other => self.change_schema(other, open).await?,
        };
        Ok(Completion::Tag(tag))
    }

    async fn change_schema(
        &mut self,
        statement: &Statement,
        open: &Rc<OpenTransaction>,
    ) -> Result<String, SqlError> {
        if ddl::is_outside_only(statement) && self.in_block() {
            let verb = ddl::verb(statement);
            let message = format!("{verb} cannot run inside a transaction block");
            return Err(SqlError::new(sqlstate::ACTIVE_SQL_TRANSACTION, message));
        }
        let context = self.context(open, &Rc::from([]));
        let result = ddl::run(statement, &context).await;
        self.take_notices(&context);
        result
    }

    fn show(&mut self, name: &str, formats: Option<&Formats>) -> Result<(), SqlError> {
        if name.eq_ignore_ascii_case("all") {
            let fields = text_fields(&["name", "setting", "description"]);
            let all = self.settings.view().all().into_iter();
            let texts = all.map(|(name, value, about)| {
                vec![Datum::text(name), Datum::text(&value), Datum::text(about)]
            });
            return self.send_table(&fields, texts.collect(), formats);
        }
        let value = self.shown(name)?;
        let fields = text_fields(&[&Settings::spelling(name)]);
        self.send_table(&fields, vec![vec![Datum::text(&value)]], formats)
    }

    fn send_table(
        &mut self,
        fields: &[Field],
        rows: Vec<Vec<Datum>>,
        formats: Option<&Formats>,
    ) -> Result<(), SqlError> {
        if formats.is_none() {
            self.replies.push(ClientReply::RowDescription(describe(fields, &Formats::All(0))));
        }
        let encoder = Encoder::new(formats, Rc::default(), None);
        for row in rows {
            self.replies.row(fields.len(), |out| encoder.encode(fields, &row, out))?;
        }
        Ok(())
    }

    /// What Describe says of utility statements whose columns depend on the session.
    pub(super) fn refine_utility(&self, prepared: &mut Prepared) -> Result<(), SqlError> {
        match prepared.statement.as_deref() {
            Some(Statement::Show(name)) if name.eq_ignore_ascii_case("all") => {
                prepared.fields = Some(text_fields(&["name", "setting", "description"]).into());
            }
            Some(Statement::Show(name)) => {
                self.shown(name)?;
                prepared.fields = Some(text_fields(&[&Settings::spelling(name)]).into());
            }
            Some(Statement::Explain(_)) => {
                prepared.fields = Some(text_fields(&["QUERY PLAN"]).into());
            }
            Some(Statement::Execute { name, .. }) => {
                let inner = self.statements.get(&name.text);
                prepared.fields = inner.and_then(|inner| inner.fields.clone());
            }
            _ => {} // all others give no rows
        }
        Ok(())
    }

    async fn prepare_by_name(&mut self, prepare: &Prepare) -> Result<String, SqlError> {
        if self.statements.contains_key(&prepare.name.text) {
            let message = format!("prepared statement \"{}\" already exists", prepare.name.text);
            return Err(SqlError::new(sqlstate::DUPLICATE_PREPARED_STATEMENT, message));
        }
        let types = prepare.types.iter();
        let hints: Result<Vec<_>, SqlError> =
            types.map(|ty| ddl::data_type(ty).map(Some)).collect();
        let statement = Rc::new(prepare.statement.clone());
        let prepared = self.prepare_statement(Rc::from(""), statement, hints?).await?;
        self.statements.insert(prepare.name.text.clone(), Rc::new(prepared));
        Ok("PREPARE".to_owned())
    }

    async fn execute_by_name(
        &mut self,
        name: &Name,
        args: &[crate::sql::parse::ast::Expr],
        open: &Rc<OpenTransaction>,
        request: &Request,
    ) -> Result<Completion, SqlError> {
        let Some(inner) = self.statements.get(&name.text).cloned() else {
            let message = format!("prepared statement \"{}\" does not exist", name.text);
            return Err(SqlError::new(sqlstate::INVALID_SQL_STATEMENT_NAME, message));
        };
        if args.len() != inner.parameters.len() {
            let message = format!("wrong number of parameters for prepared statement \"{name}\"");
            let detail =
                format!("Expected {} parameters but got {}.", inner.parameters.len(), args.len());
            return Err(SqlError::new(sqlstate::SYNTAX_ERROR, message).detail(detail));
        }
        let Work::Planned(_) = inner.work else {
            return Err(SqlError::unsupported("EXECUTE of a utility statement"));
        };
        let context = self.context(open, &Rc::from([]));
        let mut values = Vec::with_capacity(args.len());
        for (arg, ty) in args.iter().zip(&inner.parameters) {
            values.push(ddl::constant(arg, ty, &context).await?);
        }
        let parameters: Rc<[Datum]> = values.into();
        let plan = self.current_plan(&inner, open).await?;
        let context = self.context(open, &parameters);
        if let (None, Some(fields)) = (&request.formats, &plan.fields) {
            self.replies.push(ClientReply::RowDescription(describe(fields, &Formats::All(0))));
        }
        let mut cursor = crate::sql::execute::cursor::Cursor::start(&plan, &context).await?;
        self.send_rows(&mut cursor, request.formats.as_ref(), 0).await
    }
}

fn text_fields(names: &[&str]) -> Vec<Field> {
    names.iter().map(|name| plain(name, DataType::Text)).collect()
}

fn merged(default: Modes, asked: &TransactionModes) -> Modes {
    Modes {
        isolation: asked.isolation.map_or(default.isolation, |l| isolation_of(level_name(l))),
        read_only: asked.read_only.unwrap_or(default.read_only),
    }
}

fn level_name(level: IsolationLevel) -> &'static str {
    match level {
        IsolationLevel::ReadUncommitted => "read uncommitted",
        IsolationLevel::ReadCommitted => "read committed",
        IsolationLevel::RepeatableRead => "repeatable read",
        IsolationLevel::Serializable => "serializable",
    }
}

fn level_of(name: &str) -> Option<IsolationLevel> {
    Some(match name.to_ascii_lowercase().as_str() {
        "read uncommitted" => IsolationLevel::ReadUncommitted,
        "read committed" => IsolationLevel::ReadCommitted,
        "repeatable read" => IsolationLevel::RepeatableRead,
        _ => IsolationLevel::Serializable, // the strictest serves everything
    })
}
