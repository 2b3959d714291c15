//! What all sessions of a node share: the catalog's cache, numbers, plans, and who is connected.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;

use super::cache::PlanCache;
use super::inbox::{Inbox, SessionHandle};
use super::ports::{Clock, ReplySink};
use super::session::Session;
use crate::base::error::{SqlError, sqlstate};
use crate::base::id::{Incarnation, NodeId, SessionId};
use crate::base::limit;
use crate::base::rng::Rng;
use crate::sql::catalog::cache::CatalogCache;
use crate::sql::catalog::numbers::Numbers;
use crate::sql::ports::TxnSource;
use crate::sql::protocol::ClientRequest;

/// What an instance is told at birth.
#[derive(Clone, Debug)]
pub struct InstanceConfig {
    /// This node.
    pub node: NodeId,
    /// Its life; together with the node it makes hidden row ids unique.
    pub incarnation: Incarnation,
    /// No authentication.
    pub insecure: bool,
    /// For cancel keys, mock verifiers and `random()`.
    pub seed: u64,
}

/// A node's SQL.
pub struct Instance {
    pub(crate) config: InstanceConfig,
    pub(crate) source: Rc<dyn TxnSource>,
    pub(crate) clock: Rc<dyn Clock>,
    pub(crate) catalog: CatalogCache,
    pub(crate) numbers: Numbers,
    pub(super) plans: RefCell<PlanCache>,
    rowids: Cell<u64>,
    pub(crate) rng: RefCell<Rng>,
    accepting: RefCell<Option<SqlError>>,
    connected: RefCell<BTreeMap<u32, Connected>>,
    next_process: Cell<u32>,
}

/// A session as others see it.
#[derive(Clone, Debug)]
pub(crate) struct Connected {
    pub(super) secret: u32,
    pub(super) handle: SessionHandle,
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) application: String,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Instance({}, {} sessions)", self.config.node, self.connected.borrow().len())
    }
}

impl Instance {
    /// An instance that refuses clients until [`Instance::accept`] is called.
    pub fn new(
        config: InstanceConfig,
        source: Rc<dyn TxnSource>,
        clock: Rc<dyn Clock>,
    ) -> Rc<Self> {
        let rng = Rng::stream(config.seed, "sql");
        let starting =
            SqlError::new(sqlstate::CANNOT_CONNECT_NOW, "the database system is starting up");
        Rc::new(Self {
            config,
            source,
            clock,
            catalog: CatalogCache::default(),
            numbers: Numbers::default(),
            plans: RefCell::default(),
            rowids: Cell::new(1),
            rng: RefCell::new(rng),
            accepting: RefCell::new(Some(starting)),
            connected: RefCell::default(),
            next_process: Cell::new(1),
        })
    }

    /// From now on clients are served.
    pub fn accept(&self) {
        *self.accepting.borrow_mut() = None;
    }

    /// From now on new clients are refused with this (57P03 before `init`, 57P01 while stopping).
    pub fn refuse(&self, why: SqlError) {
        *self.accepting.borrow_mut() = Some(why);
    }

    /// Tells every session to end when it is idle.
    pub fn stop_sessions(&self) {
        for connected in self.connected.borrow().values() {
            connected.handle.stop();
        }
    }

    /// Sessions connected and past start-up.
    pub fn session_count(&self) -> usize {
        self.connected.borrow().len()
    }

    /// A client connected: what the node keeps, and the session's task.
    pub fn connect(
        self: &Rc<Self>,
        id: SessionId,
        sink: Rc<dyn ReplySink>,
    ) -> (SessionHandle, impl Future<Output = ()> + 'static) {
        let handle = SessionHandle(Rc::new(Inbox::default()));
        let session = Session::new(Rc::clone(self), id, handle.clone(), sink);
        (handle, session.run())
    }

    /// Cancels what the session with this key runs; a wrong key changes nothing.
    pub fn cancel(&self, process: u32, secret: u32) {
        if let Some(connected) = self.connected.borrow().get(&process)
            && connected.secret == secret
        {
            connected.handle.cancel();
        }
    }

    /// As [`Instance::cancel`] and [`SessionHandle::request`]: routes one message.
    pub fn request(&self, handle: &SessionHandle, request: ClientRequest) {
        match request {
            ClientRequest::Cancel { process, secret } => {
                self.cancel(process, secret);
                handle.disconnected();
            }
            other => handle.request(other),
        }
    }

    pub(super) fn refusal(&self) -> Option<SqlError> {
        self.accepting.borrow().clone()
    }

    pub(super) fn register(
        &self,
        handle: &SessionHandle,
        user: &str,
        database: &str,
    ) -> Result<(u32, u32), SqlError> {
        let mut connected = self.connected.borrow_mut();
        if limit::SESSIONS_MAX <= connected.len() {
            let message = "sorry, too many clients already";
            return Err(SqlError::new(sqlstate::TOO_MANY_CONNECTIONS, message));
        }
        let process = self.next_process.get();
        self.next_process.set(process.checked_add(1).filter(|n| *n < 1 << 31).unwrap_or(1));
        let secret = (self.random() >> 32) as u32;
        let entry = Connected {
            secret,
            handle: handle.clone(),
            user: user.to_owned(),
            database: database.to_owned(),
            application: String::new(),
        };
        connected.insert(process, entry);
        Ok((process, secret))
    }

    pub(super) fn deregister(&self, process: u32) {
        self.connected.borrow_mut().remove(&process);
    }

    pub(super) fn set_application(&self, process: u32, application: &str) {
        if let Some(connected) = self.connected.borrow_mut().get_mut(&process) {
            connected.application = application.to_owned();
        }
    }

    pub(crate) fn connected(&self) -> Vec<(u32, Connected)> {
        self.connected.borrow().iter().map(|(process, c)| (*process, c.clone())).collect()
    }

    /// 64 random bits.
    pub(crate) fn random(&self) -> u64 {
        self.rng.borrow_mut().next_u64()
    }

    /// A fresh hidden row id: unique for ever, growing on one node.
    pub(crate) fn next_rowid(&self) -> (i64, i64) {
        let counter = self.rowids.get();
        self.rowids.set(counter + 1);
        let life = self.config.incarnation.0 & 0xffff_ffff;
        let high = (u64::from(self.config.node.0) << 32 | life) as i64;
        (high, counter as i64)
    }
}
