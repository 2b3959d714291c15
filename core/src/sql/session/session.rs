//! A session: its state, and the loop that takes one message after the other.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::inbox::{Inbox, SessionHandle, Signal};
use super::instance::Instance;
use super::ports::{Clock, Event, ReplySink};
use super::prepared::{Portal, Prepared};
use super::replies::Replies;
use super::settings::Settings;
use super::transaction::{Block, Modes, Transactions};
use crate::auth::principal::Principal;
use crate::base::error::{SqlError, sqlstate};
use crate::base::id::SessionId;
use crate::base::time::Mono;
use crate::row::eval::SessionInfo;
use crate::sql::catalog::descriptor::DatabaseDescriptor;
use crate::sql::catalog::snapshot::PUBLIC;
use crate::sql::error::{IDLE_IN_TRANSACTION_TIMEOUT, IDLE_SESSION_TIMEOUT};
use crate::sql::execute::context::SequenceMemory;
use crate::sql::protocol::{ClientReply, ClientRequest, NoticeSeverity};

/// Why a session ends.
#[derive(Debug)]
pub(super) enum End {
    /// The client said goodbye or is gone.
    Quietly,
    /// With a last word.
    Fatal(SqlError),
}

/// What a handler of a message gives back.
pub(super) type Flow = Result<(), End>;

/// A search path and what expressions may know of the session under it.
type KnownInfo = (Rc<[String]>, Rc<SessionInfo>);

/// The end of a statement's time. The timer is made only if the statement has to wait.
pub(super) struct Expiry {
    clock: Rc<dyn Clock>,
    at: Mono,
    event: Option<Event>,
}

impl Expiry {
    fn event(&mut self) -> &mut Event {
        self.event.get_or_insert_with(|| self.clock.sleep_until(self.at))
    }
}

pub(crate) struct Session {
    pub(super) instance: Rc<Instance>,
    #[expect(dead_code, reason = "shown in pg_stat_activity once that is there")]
    pub(super) id: SessionId,
    pub(super) handle: SessionHandle,
    pub(super) inbox: Rc<Inbox>,
    pub(super) replies: Replies,
    pub(super) settings: Settings,
    pub(super) user: Rc<Principal>,
    pub(super) database: Rc<DatabaseDescriptor>,
    pub(super) process: u32,
    pub(super) transactions: Transactions,
    pub(super) statements: BTreeMap<String, Rc<Prepared>>,
    pub(super) portals: BTreeMap<String, Portal>,
    pub(super) skip_to_sync: bool,
    /// Within an extended batch answers wait for its end, as PostgreSQL's do.
    in_extended_batch: bool,
    pub(super) statement_deadline: Option<Mono>,
    pub(super) sequences: Rc<SequenceMemory>,
    info: RefCell<Option<KnownInfo>>,
}

impl Session {
    pub(super) fn new(
        instance: Rc<Instance>,
        id: SessionId,
        handle: SessionHandle,
        sink: Rc<dyn ReplySink>,
    ) -> Self {
        let inbox = Rc::clone(&handle.0);
        let nobody = Principal::superuser(None);
        let nowhere = DatabaseDescriptor { oid: 0, name: String::new(), owner: 0 };
        Self {
            instance,
            id,
            handle,
            inbox,
            replies: Replies::new(sink),
            settings: Settings::new(&nobody.name),
            user: Rc::new(nobody),
            database: Rc::new(nowhere),
            process: 0,
            transactions: Transactions::default(),
            statements: BTreeMap::new(),
            portals: BTreeMap::new(),
            skip_to_sync: false,
            in_extended_batch: false,
            statement_deadline: None,
            sequences: Rc::default(),
            info: RefCell::default(),
        }
    }

    /// The session from its first message to its end.
    pub(super) async fn run(mut self) {
        let end = match self.start_up().await {
            Ok(()) => self.serve().await,
            Err(end) => end,
        };
        if let End::Fatal(error) = end {
            self.replies.push(ClientReply::Fatal(error));
        }
        self.portals.clear();
        let instance = Rc::clone(&self.instance);
        self.transactions.abort(&instance, Block::Idle).await;
        if self.process != 0 {
            instance.deregister(self.process);
        }
        self.replies.close();
    }

    async fn serve(&mut self) -> End {
        loop {
            if self.run_batch_at_once() {
                self.in_extended_batch = false;
                self.replies.flow().await;
                continue;
            }
            let request = match self.next_request().await {
                Ok(request) => request,
                Err(end) => return end,
            };
            if let Err(end) = self.handle(request).await {
                return end;
            }
        }
    }

    /// The next message. What has gathered is sent before we wait for it.
    pub(super) async fn next_request(&mut self) -> Result<ClientRequest, End> {
        if self.inbox.is_overflown() {
            let message = "the client sent more than may wait unread";
            let error = SqlError::new(sqlstate::CONFIGURATION_LIMIT_EXCEEDED, message);
            return Err(End::Fatal(error));
        }
        if let (false, Some(request)) = (self.inbox.is_disconnected(), self.inbox.try_next()) {
            self.replies.flow().await;
            return Ok(request);
        }
        if !self.in_extended_batch {
            self.replies.flush();
        }
        let inbox = Rc::clone(&self.inbox);
        let next = inbox.next();
        let answer = match self.idle_limit() {
            None => next.await,
            Some((limit, error)) => {
                let at = self.instance.clock.now().mono + limit;
                match before(next, self.instance.clock.sleep_until(at)).await {
                    Some(answer) => answer,
                    None => return Err(End::Fatal(error)),
                }
            }
        };
        answer.map_err(|signal| match signal {
            Signal::Disconnected | Signal::Cancelled => End::Quietly,
            Signal::Stopped => End::Fatal(SqlError::new(
                sqlstate::ADMIN_SHUTDOWN,
                "terminating connection due to administrator command",
            )),
        })
    }

    fn idle_limit(&self) -> Option<(Duration, SqlError)> {
        let hot = self.settings.hot();
        let (limit, state, what) = match self.transactions.block {
            Block::Idle | Block::Implicit => {
                (hot.idle_timeout, IDLE_SESSION_TIMEOUT, "idle-session timeout")
            }
            Block::Explicit | Block::Failed => (
                hot.idle_in_transaction_timeout,
                IDLE_IN_TRANSACTION_TIMEOUT,
                "idle-in-transaction timeout",
            ),
        };
        let message = format!("terminating connection due to {what}");
        (!limit.is_zero()).then(|| (limit, SqlError::new(state, message)))
    }

    async fn handle(&mut self, request: ClientRequest) -> Flow {
        if self.skip_to_sync && !matches!(request, ClientRequest::Sync | ClientRequest::Terminate) {
            return Ok(());
        }
        self.in_extended_batch = is_batched(&request);
        match request {
            ClientRequest::Query(sql) => self.simple_query(&sql).await,
            ClientRequest::Parse { name, sql, parameter_types } => {
                let result = self.parse(name, sql, parameter_types).await;
                self.in_batch(result).await
            }
            ClientRequest::Bind {
                portal,
                statement,
                parameter_formats,
                parameters,
                result_formats,
            } => {
                let formats = (parameter_formats, result_formats);
                let result = self.bind(portal, &statement, parameters, formats).await;
                self.in_batch(result).await
            }
            ClientRequest::DescribeStatement(name) => {
                let result = self.describe_statement(&name).await;
                self.in_batch(result).await
            }
            ClientRequest::DescribePortal(name) => {
                let result = self.describe_portal(&name);
                self.in_batch(result).await
            }
            ClientRequest::Execute { portal, rows_max } => {
                let result = self.execute_portal(&portal, rows_max).await;
                self.in_batch(result).await
            }
            ClientRequest::CloseStatement(name) => {
                self.statements.remove(&name);
                self.replies.push(ClientReply::CloseComplete);
                Ok(())
            }
            ClientRequest::ClosePortal(name) => {
                self.portals.remove(&name);
                self.replies.push(ClientReply::CloseComplete);
                Ok(())
            }
            ClientRequest::Flush => {
                self.replies.flush();
                Ok(())
            }
            ClientRequest::Sync => self.sync().await,
            // Left over from a COPY that failed: PostgreSQL ignores them too.
            ClientRequest::CopyData(_) | ClientRequest::CopyDone | ClientRequest::CopyFail(_) => {
                Ok(())
            }
            ClientRequest::Terminate => Err(End::Quietly),
            ClientRequest::Startup { .. } | ClientRequest::Authenticated => {
                Err(violation("a start-up message in the middle of a session"))
            }
            ClientRequest::Cancel { .. } => Err(End::Quietly),
            ClientRequest::ProtocolViolation(what) => Err(violation(&what)),
        }
    }

    /// Runs a piece of a statement, unless the client cancels it, is gone, or time is up.
    pub(super) async fn guarded<T>(
        inbox: &Inbox,
        expiry: Option<Expiry>,
        work: impl Future<Output = Result<T, SqlError>>,
    ) -> Result<T, SqlError> {
        let mut work = pin!(work);
        let mut expiry = expiry;
        poll_fn(|context| {
            if let Some(signal) = inbox.signal() {
                return Poll::Ready(Err(stopped_by(signal)));
            }
            if let Poll::Ready(result) = work.as_mut().poll(context) {
                return Poll::Ready(result);
            }
            if let Some(expiry) = &mut expiry
                && expiry.event().as_mut().poll(context).is_ready()
            {
                let message = "canceling statement due to statement timeout";
                return Poll::Ready(Err(SqlError::new(sqlstate::QUERY_CANCELED, message)));
            }
            inbox.watch(context.waker());
            Poll::Pending
        })
        .await
    }

    /// When the running statement's time is up, as an event.
    pub(super) fn statement_expiry(&self) -> Option<Expiry> {
        let clock = &self.instance.clock;
        self.statement_deadline.map(|at| Expiry { clock: Rc::clone(clock), at, event: None })
    }

    /// A statement begins: its time starts to run, older cancels are forgotten.
    pub(super) fn begin_running(&mut self) {
        self.inbox.begin_running();
        let limit = self.settings.hot().statement_timeout;
        self.statement_deadline =
            (!limit.is_zero()).then(|| self.instance.clock.now().mono + limit);
    }

    pub(super) fn end_running(&mut self) {
        self.inbox.end_running();
        self.statement_deadline = None;
    }

    /// The modes of a transaction that nobody gave any.
    pub(super) fn default_modes(&self) -> Modes {
        let hot = self.settings.hot();
        Modes { isolation: hot.isolation, read_only: hot.read_only }
    }

    /// What session functions answer.
    pub(super) fn info(&self) -> Rc<SessionInfo> {
        let path = self.search_path();
        if let Some((known, info)) = self.info.borrow().as_ref()
            && Rc::ptr_eq(known, &path)
        {
            return Rc::clone(info);
        }
        let exists = |schema: &&String| schema.as_str() == PUBLIC || schema.starts_with("pg_cat");
        let info = Rc::new(SessionInfo {
            user: self.user.name.clone(),
            session_user: self.user.name.clone(),
            database: self.database.name.clone(),
            search_path: path.iter().filter(exists).cloned().collect(),
            backend_pid: i32::try_from(self.process).unwrap_or(0),
        });
        *self.info.borrow_mut() = Some((path, Rc::clone(&info)));
        info
    }

    /// The schemas that unqualified names are looked for in.
    pub(super) fn search_path(&self) -> Rc<[String]> {
        Rc::clone(&self.settings.hot().search_path)
    }

    pub(super) fn warn(&mut self, state: crate::base::error::SqlState, message: &str) {
        self.tell(NoticeSeverity::Warning, SqlError::new(state, message));
    }

    /// A notice, if the client wants to hear of its kind.
    pub(super) fn tell(&mut self, severity: NoticeSeverity, notice: SqlError) {
        let wanted = match severity {
            NoticeSeverity::Info => true,
            NoticeSeverity::Notice => self.settings.hot().messages < 1,
            NoticeSeverity::Warning => self.settings.hot().messages < 2,
        };
        if wanted {
            self.replies.notice(severity, notice);
        }
    }

    /// ReadyForQuery, after what changed among the reported settings.
    pub(super) fn ready(&mut self) {
        self.report_settings();
        let status = self.transactions.status();
        self.replies.ready(status);
    }

    pub(super) fn report_settings(&mut self) {
        let Some(reports) = self.settings.take_reports() else {
            return;
        };
        for (name, value) in reports {
            if self.reported(name, &value) {
                let reply = ClientReply::ParameterStatus(name.to_owned(), value.to_string());
                self.replies.push(reply);
            }
        }
    }

    fn reported(&mut self, name: &'static str, value: &Rc<str>) -> bool {
        if name == "application_name" {
            self.instance.set_application(self.process, value);
        }
        self.settings.note_report(name, value)
    }
}

/// Whether the answer may wait for those of the messages that must follow.
fn is_batched(request: &ClientRequest) -> bool {
    matches!(
        request,
        ClientRequest::Parse { .. }
            | ClientRequest::Bind { .. }
            | ClientRequest::DescribeStatement(_)
            | ClientRequest::DescribePortal(_)
            | ClientRequest::Execute { .. }
            | ClientRequest::CloseStatement(_)
            | ClientRequest::ClosePortal(_)
    )
}

/// The work's output if it comes before the event.
pub(super) async fn before<T>(
    work: impl Future<Output = T>,
    event: super::ports::Event,
) -> Option<T> {
    let (mut work, mut event) = (pin!(work), event);
    poll_fn(|context| {
        if let Poll::Ready(output) = work.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        event.as_mut().poll(context).map(|()| None)
    })
    .await
}

pub(super) fn violation(what: &str) -> End {
    End::Fatal(SqlError::new(sqlstate::PROTOCOL_VIOLATION, what))
}

fn stopped_by(signal: Signal) -> SqlError {
    match signal {
        Signal::Cancelled => {
            SqlError::new(sqlstate::QUERY_CANCELED, "canceling statement due to user request")
        }
        Signal::Disconnected | Signal::Stopped => {
            SqlError::new(sqlstate::CONNECTION_FAILURE, "connection to client lost")
        }
    }
}
