//! PostgreSQL clients: accept, read, decode, hand to the core. Answers are written by the driver.
//!
//! # Invariants
//!
//! - The core hears of a client only after its start-up packet, and hears of its end exactly once.
//! - A client that is not authenticated within [`LOGIN_DEADLINE`] is closed.
//! - What breaks the protocol is answered, logged with its reason and closed; others notice
//!   nothing.

use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use shardforge_core::base::error::{SqlError, sqlstate};
use shardforge_core::base::id::SessionId;
use shardforge_core::node::input::Input;
use shardforge_core::sql::protocol::{ClientReply, ClientRequest};
use shardforge_proto::pgwire::{self, Decoder, Frontend, ProtocolError};
use tokio::sync::watch;

use super::connection::{Connection, Event, Login};
use super::scram::{Scram, Step};
use crate::driver::Door;
use crate::ports::{ByteStream, Listener};

/// From connect to authenticated.
pub const LOGIN_DEADLINE: Duration = Duration::from_secs(10);
/// How long a client may take to fetch its last answers.
const LINGER: Duration = Duration::from_secs(5);
/// Messages of one client before others have their turn.
const MESSAGES_PER_TURN: usize = 64;
/// How long to wait for a session that has enough to do.
const ROOM_PAUSE: Duration = Duration::from_millis(1);
/// How long to wait after the machine had no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts clients until `stop` says so; those that are here stay.
pub async fn serve<L: Listener>(
    mut listener: L,
    door: Rc<dyn Door>,
    connections_max: usize,
    mut stop: watch::Receiver<bool>,
) {
    // Each connection holds a count, whether it has a session or not.
    let open = Rc::new(());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a client");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        door.metrics().connections.inc();
        if connections_max < Rc::strong_count(&open) {
            door.metrics().connections_refused.inc();
            tracing::warn!(client = stream.peer_name(), "client refused: too many connections");
            continue;
        }
        let (client, counted) = (Client::new(stream, Rc::clone(&door)), Rc::clone(&open));
        tokio::task::spawn_local(async move {
            client.run().await;
            drop(counted);
        });
    }
}

struct Client {
    door: Rc<dyn Door>,
    connection: Rc<Connection>,
    name: String,
    user: String,
    decoder: Decoder,
    buffer: BytesMut,
    session: Option<OpenSession>,
    scram: Option<Scram>,
}

/// What follows what was decoded.
enum Then {
    /// The rest has not come yet.
    Wait,
    /// More is there.
    GoOn,
    /// Nothing: the client says goodbye.
    End,
    /// The client's bytes broke the protocol.
    BreakOff(ProtocolError),
}

/// Reports the client's end, however its task ends.
struct OpenSession {
    door: Rc<dyn Door>,
    id: SessionId,
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.door.close_session(self.id);
    }
}

impl Client {
    fn new(stream: impl ByteStream, door: Rc<dyn Door>) -> Self {
        let name = stream.peer_name();
        Self {
            door,
            connection: Rc::new(Connection::new(Box::new(stream))),
            name,
            user: String::new(),
            decoder: Decoder::default(),
            buffer: BytesMut::new(),
            session: None,
            scram: None,
        }
    }

    async fn run(mut self) {
        if self.log_in().await {
            self.converse().await;
        }
        let connection = Rc::clone(&self.connection);
        let farewell = async {
            let mut nothing = BytesMut::new();
            connection.close();
            while !matches!(
                connection.event(&mut nothing, false).await,
                Event::Closed | Event::Ended
            ) {}
            connection.shut_down().await;
        };
        // A client that does not fetch its last answers is left behind.
        let _ = tokio::time::timeout(LINGER, farewell).await;
    }

    /// Whether the client is in.
    async fn log_in(&mut self) -> bool {
        match tokio::time::timeout(LOGIN_DEADLINE, self.log_in_without_deadline()).await {
            Ok(admitted) => admitted,
            Err(_) => {
                let error = SqlError::new(sqlstate::INVALID_AUTHORIZATION, "login timed out");
                self.refuse(error);
                false
            }
        }
    }

    async fn log_in_without_deadline(&mut self) -> bool {
        loop {
            match self.connection.login() {
                Login::Done => {
                    self.decoder.authenticated();
                    return true;
                }
                Login::Scram(verifier) if self.scram.is_none() => {
                    self.scram = Some(Scram::new(verifier));
                }
                Login::Scram(_) | Login::Undecided => {}
            }
            // Between the start-up packet and its answer there is nothing to decode.
            let undecided = self.session.is_some() && self.scram.is_none();
            if !undecided && !self.buffer.is_empty() {
                match self.decoder.decode(&mut self.buffer) {
                    Ok(None) => {}
                    Ok(Some(frontend)) => {
                        if self.take_login(frontend) {
                            continue;
                        }
                        return false;
                    }
                    Err(error) => {
                        self.break_off(error);
                        return false;
                    }
                }
            }
            match self.connection.event(&mut self.buffer, !undecided).await {
                Event::Read | Event::LoginChanged | Event::Drained(_) => {}
                Event::Ended | Event::Closed => return false,
            }
        }
    }

    /// Whether the login goes on.
    fn take_login(&mut self, frontend: Frontend) -> bool {
        match frontend {
            Frontend::EncryptionWanted => {
                self.connection.append(|out| out.extend_from_slice(b"N"));
                self.connection.flush();
                true
            }
            Frontend::Cancel(request) => {
                self.open_session();
                self.request(request);
                false
            }
            Frontend::Startup { request, negotiate } => {
                if let Some(options) = negotiate {
                    self.connection.append(|out| pgwire::negotiate_version(&options, out));
                }
                if let ClientRequest::Startup { user, .. } = &request {
                    self.user.clone_from(user);
                }
                self.open_session();
                self.request(request);
                true
            }
            Frontend::Sasl(message) => self.take_proof(&message),
            // The decoder gives requests only after `authenticated`.
            Frontend::Request(_) => false,
        }
    }

    fn take_proof(&mut self, message: &[u8]) -> bool {
        let Some(scram) = &mut self.scram else { return false };
        match scram.handle(message) {
            Ok(Step::Continue(data)) => {
                self.connection.append(|out| pgwire::sasl_continue(&data, out));
                self.connection.flush();
                true
            }
            Ok(Step::Final(data)) => {
                self.connection.append(|out| pgwire::sasl_final(&data, out));
                self.request(ClientRequest::Authenticated);
                true
            }
            Err(refused) => {
                self.door.metrics().logins_failed.inc();
                let message = format!("{refused} for user \"{}\"", self.user);
                self.refuse(SqlError::new(sqlstate::INVALID_PASSWORD, message));
                false
            }
        }
    }

    async fn converse(&mut self) {
        loop {
            while !self.buffer.is_empty() && !self.connection.is_closing() {
                self.wait_for_room().await;
                let (requests, then) = self.decode_some();
                let full = MESSAGES_PER_TURN <= requests.len();
                self.give(requests);
                match then {
                    Then::Wait => break,
                    Then::GoOn if full => tokio::task::yield_now().await,
                    Then::GoOn => {}
                    Then::End => return,
                    Then::BreakOff(error) => {
                        self.break_off(error);
                        return;
                    }
                }
            }
            let held = self.buffer.len();
            match self.connection.event(&mut self.buffer, true).await {
                Event::Read => {
                    let received = self.buffer.len().saturating_sub(held);
                    self.door.metrics().client_received_bytes.inc_by(received as u64);
                }
                Event::Drained(unsent_bytes) => self.drained(unsent_bytes),
                Event::LoginChanged => {}
                Event::Ended | Event::Closed => return,
            }
        }
    }

    /// Decodes what has come, as far as it may be handed over at once.
    fn decode_some(&mut self) -> (Vec<ClientRequest>, Then) {
        let mut requests = Vec::new();
        while requests.len() < MESSAGES_PER_TURN {
            match self.decoder.decode(&mut self.buffer) {
                Ok(None) => return (requests, Then::Wait),
                Ok(Some(Frontend::Request(ClientRequest::Terminate))) => {
                    return (requests, Then::End);
                }
                Ok(Some(Frontend::Request(request))) => requests.push(request),
                // The decoder gives nothing else after `authenticated`.
                Ok(Some(_)) => return (requests, Then::End),
                Err(error) => return (requests, Then::BreakOff(error)),
            }
        }
        (requests, Then::GoOn)
    }

    /// Waits while the session has as much to do as it should have.
    async fn wait_for_room(&self) {
        let Some(session) = &self.session else { return };
        while !self.connection.is_closing() && !self.door.wants_input(session.id) {
            // Only a flood (COPY) comes here; nobody is told when a session has caught up.
            tokio::time::sleep(ROOM_PAUSE).await;
        }
    }

    fn drained(&self, unsent_bytes: usize) {
        if let Some(session) = &self.session {
            self.door.give(Input::ClientDrained { session: session.id, unsent_bytes });
        }
    }

    fn open_session(&mut self) {
        let id = self.door.open_session(Rc::clone(&self.connection));
        self.session = Some(OpenSession { door: Rc::clone(&self.door), id });
    }

    /// What came together is handed over together: one input, one write of answers.
    fn give(&self, mut requests: Vec<ClientRequest>) {
        let Some(session) = &self.session else { return };
        let session = session.id;
        match (requests.pop(), requests.is_empty()) {
            (None, _) => {}
            (Some(request), true) => self.door.give(Input::ClientRequested { session, request }),
            (Some(last), false) => {
                requests.push(last);
                self.door.give(Input::ClientPipelined { session, requests });
            }
        }
    }

    fn request(&self, request: ClientRequest) {
        if let Some(session) = &self.session {
            self.door.give(Input::ClientRequested { session: session.id, request });
        }
    }

    /// The client's bytes broke the protocol.
    fn break_off(&mut self, error: ProtocolError) {
        self.door.metrics().connections_refused.inc();
        tracing::warn!(client = self.name, reason = %error, "client closed: not the protocol");
        if self.connection.login() == Login::Done {
            self.request(ClientRequest::ProtocolViolation(error.message));
        } else {
            self.say_fatal(SqlError::new(error.state, error.message));
        }
    }

    fn refuse(&mut self, error: SqlError) {
        self.door.metrics().connections_refused.inc();
        tracing::warn!(client = self.name, user = self.user, reason = %error, "client refused");
        self.say_fatal(error);
    }

    fn say_fatal(&self, error: SqlError) {
        self.connection.append(|out| pgwire::encode(&ClientReply::Fatal(error), out));
        self.connection.flush();
    }
}
