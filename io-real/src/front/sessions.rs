//! All clients of a node as the driver sees them: who is owed which bytes.
//!
//! # Invariants
//!
//! - A session that was removed is not written to any more.
//! - A session whose statement goes on after a write (a large result, COPY) is reported as drained
//!   whenever the socket has taken bytes. One that is ready for its next query is reported only
//!   after [`REPORT_BYTES`]: a report is an input, and most answers are shorter than an input is
//!   worth.

use std::rc::Rc;

use bytes::BytesMut;
use shardforge_core::base::id::SessionId;
use shardforge_core::base::map::FixedMap;
use shardforge_core::node::input::Input;
use shardforge_core::sql::protocol::ClientReply;
use shardforge_proto::pgwire;

use super::connection::{Connection, Login};
use crate::metrics::Metrics;

/// The core holds a session back at four times this.
const REPORT_BYTES: usize = 64 << 10;
/// What a reply without rows counts, about.
const REPLY_BYTES: usize = 64;

struct Session {
    connection: Rc<Connection>,
    /// Its last answer was not the end of its statement: it may wait for the socket.
    streaming: bool,
    /// What was answered since the core last heard that the socket took something, as the core
    /// counts.
    unreported_bytes: usize,
    dirty: bool,
}

/// The open sessions.
#[derive(Default)]
pub struct Sessions {
    open: FixedMap<SessionId, Session>,
    dirty: Vec<SessionId>,
    metrics: Metrics,
}

impl Sessions {
    /// None yet.
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, ..Self::default() }
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// A client came.
    pub fn insert(&mut self, id: SessionId, connection: Rc<Connection>) {
        self.open.insert(
            id,
            Session { connection, streaming: false, unreported_bytes: 0, dirty: false },
        );
        self.metrics.sessions.set(self.open.len() as i64);
    }

    /// A client went.
    pub fn remove(&mut self, id: SessionId) {
        self.open.remove(&id);
        self.metrics.sessions.set(self.open.len() as i64);
    }

    /// Appends answers; they leave with the next [`Self::flush`].
    pub fn answer(&mut self, id: SessionId, replies: &[ClientReply]) {
        let Some(session) = self.open.get_mut(&id) else { return };
        for reply in replies {
            session.unreported_bytes += counted_bytes(reply);
            match reply {
                ClientReply::AuthenticationScram(verifier) => {
                    session.connection.set_login(Login::Scram(verifier.clone()));
                }
                ClientReply::AuthenticationOk => session.connection.set_login(Login::Done),
                ClientReply::ReadyForQuery(_) => session.streaming = false,
                ClientReply::DataRows(_)
                | ClientReply::CopyData(_)
                | ClientReply::CopyOutResponse(..)
                | ClientReply::RowDescription(_) => session.streaming = true,
                ClientReply::CommandComplete(_)
                | ClientReply::PortalSuspended
                | ClientReply::Error(_) => session.streaming = false,
                ClientReply::ParameterStatus(..)
                | ClientReply::BackendKeyData { .. }
                | ClientReply::NoData
                | ClientReply::ParameterDescription(_)
                | ClientReply::EmptyQueryResponse
                | ClientReply::ParseComplete
                | ClientReply::BindComplete
                | ClientReply::CloseComplete
                | ClientReply::Fatal(_)
                | ClientReply::Notice(..)
                | ClientReply::CopyInResponse(..)
                | ClientReply::CopyDone => {}
            }
            session.connection.append(|out: &mut BytesMut| pgwire::encode(reply, out));
        }
        if !session.dirty {
            session.dirty = true;
            self.dirty.push(id);
        }
    }

    /// Whether answers wait for [`Self::flush`].
    pub fn has_answers(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Closes after what was answered.
    pub fn close(&mut self, id: SessionId) {
        if let Some(session) = self.open.get_mut(&id) {
            session.connection.flush();
            session.connection.close();
        }
    }

    /// Writes what was answered, one write a session, and reports to `drained` what the core may
    /// wait for.
    pub fn flush(&mut self, mut drained: impl FnMut(Input)) {
        for id in self.dirty.drain(..) {
            let Some(session) = self.open.get_mut(&id) else { continue };
            session.dirty = false;
            let sent = session.connection.flush();
            if 0 < sent {
                self.metrics.client_writes.inc();
                self.metrics.client_sent_bytes.inc_by(sent as u64);
                if session.streaming || REPORT_BYTES <= session.unreported_bytes {
                    session.unreported_bytes = 0;
                    let unsent_bytes = session.connection.unsent_bytes();
                    drained(Input::ClientDrained { session: id, unsent_bytes });
                }
            }
        }
    }

    /// Tells every client's task to end, as far as it can at once.
    pub fn close_all(&mut self) {
        for session in self.open.values() {
            session.connection.flush();
            session.connection.close();
        }
    }
}

fn counted_bytes(reply: &ClientReply) -> usize {
    match reply {
        ClientReply::DataRows(rows) => rows.bytes.len() + 5 * rows.ends.len(),
        ClientReply::CopyData(rows) => rows.iter().map(|row| row.len() + 5).sum(),
        // Everything else is short.
        _ => REPLY_BYTES,
    }
}
