//! A cluster of one in memory, and clients that speak to it in messages.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use shardforge_core::base::error::SqlError;
use shardforge_core::base::id::{Incarnation, NodeId, SessionId};
use shardforge_core::base::rng::Rng;
use shardforge_core::base::time::{Mono, Now, Wall};
use shardforge_core::sql::catalog::bootstrap::bootstrap;
use shardforge_core::sql::protocol::{ClientReply, ClientRequest, DataRows, TransactionStatus};
use shardforge_core::sql::session::SessionHandle;
use shardforge_core::sql::session::instance::{Instance, InstanceConfig};
use shardforge_core::sql::session::ports::{Clock, Event, ReplySink};
use shardforge_core::step::{StepHandle, Stepper};

use crate::memory::Memory;

/// 2024-03-01 12:00:00 UTC.
const WALL: i64 = 1_709_294_400_000_000;

struct StepClock(StepHandle);

impl Clock for StepClock {
    fn now(&self) -> Now {
        let mono = self.0.now();
        let wall = Wall(WALL + i64::try_from(mono.0 / 1_000).unwrap_or(i64::MAX));
        Now { mono, wall }
    }
    fn sleep_until(&self, at: Mono) -> Event {
        Box::pin(self.0.sleep_until(at))
    }
    fn yield_now(&self) -> Event {
        Box::pin(self.0.yield_now())
    }
}

#[derive(Default)]
pub struct Outbox {
    pub replies: RefCell<Vec<ClientReply>>,
    pub writes: Cell<usize>,
    pub closed: Cell<bool>,
}

impl ReplySink for Outbox {
    fn send(&self, replies: Vec<ClientReply>) {
        self.writes.set(self.writes.get() + 1);
        self.replies.borrow_mut().extend(replies);
    }
    fn close(&self) {
        self.closed.set(true);
    }
    fn unsent_bytes(&self) -> usize {
        0
    }
    fn drained(&self) -> Event {
        Box::pin(std::future::ready(()))
    }
}

/// One node's SQL over memory.
pub struct World {
    pub instance: Rc<Instance>,
    stepper: Stepper,
    now: Mono,
    next_session: u64,
}

impl World {
    pub fn new() -> Self {
        Self::with(true)
    }

    pub fn with(insecure: bool) -> Self {
        let mut stepper = Stepper::new(Rng::new(7));
        let memory = Memory::default();
        let config = InstanceConfig {
            node: NodeId::machine(1),
            incarnation: Incarnation(1),
            insecure,
            seed: 7,
        };
        let clock = Rc::new(StepClock(stepper.handle().clone()));
        let instance = Instance::new(config, Rc::new(memory.clone()), clock);
        let (source, ready) = (memory, Rc::new(Cell::new(false)));
        let done = Rc::clone(&ready);
        stepper.handle().spawn_detached(async move {
            bootstrap(&source, None).await.unwrap();
            done.set(true);
        });
        stepper.run_until_stalled(Mono::ZERO, 1_000_000);
        assert!(ready.get(), "bootstrap stalled");
        instance.accept();
        Self { instance, stepper, now: Mono::ZERO, next_session: 1 }
    }

    pub fn run(&mut self) {
        self.stepper.run_until_stalled(self.now, 100_000_000);
    }

    pub fn advance(&mut self, by: Duration) {
        self.now += by;
        self.stepper.advance(self.now);
        self.run();
    }

    /// A client that has not said anything.
    pub fn silent_client(&mut self) -> Client {
        let sink = Rc::new(Outbox::default());
        let id = SessionId(self.next_session);
        self.next_session += 1;
        let (handle, task) = self.instance.connect(id, Rc::clone(&sink) as Rc<dyn ReplySink>);
        self.stepper.handle().spawn_detached(task);
        self.run();
        Client { handle, sink }
    }

    /// A client past its start-up.
    pub fn client(&mut self) -> Client {
        self.client_with(&[])
    }

    pub fn client_with(&mut self, parameters: &[(&str, &str)]) -> Client {
        let client = self.silent_client();
        let parameters =
            parameters.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        client.send(ClientRequest::Startup {
            user: "postgres".to_owned(),
            database: String::new(),
            parameters,
        });
        self.run();
        let replies = client.take();
        assert!(
            matches!(replies.last(), Some(ClientReply::ReadyForQuery(TransactionStatus::Idle))),
            "start-up failed: {replies:?}"
        );
        client
    }

    /// A simple query, its replies as text.
    pub fn query(&mut self, client: &Client, sql: &str) -> String {
        client.send(ClientRequest::Query(sql.to_owned()));
        self.run();
        render(&client.take())
    }
}

pub struct Client {
    pub handle: SessionHandle,
    pub sink: Rc<Outbox>,
}

impl Client {
    pub fn send(&self, request: ClientRequest) {
        self.handle.request(request);
    }

    pub fn take(&self) -> Vec<ClientReply> {
        self.sink.replies.take()
    }
}

/// Replies as lines: rows with `|` between columns, tags, errors, notices, and the status at the end.
pub fn render(replies: &[ClientReply]) -> String {
    let mut out = String::new();
    for reply in replies {
        match reply {
            ClientReply::DataRows(rows) => out.push_str(&row_texts(rows)),
            ClientReply::CopyData(rows) => {
                for row in rows {
                    out.push_str(&String::from_utf8_lossy(row));
                }
            }
            ClientReply::CommandComplete(tag) => out.push_str(&format!("{tag}\n")),
            ClientReply::Error(error) => out.push_str(&format!("ERROR{}\n", told(error))),
            ClientReply::Fatal(error) => out.push_str(&format!("FATAL{}\n", told(error))),
            ClientReply::Notice(severity, notice) => {
                out.push_str(&format!("{severity:?}{}\n", told(notice)));
            }
            ClientReply::EmptyQueryResponse => out.push_str("(empty)\n"),
            ClientReply::PortalSuspended => out.push_str("(suspended)\n"),
            ClientReply::ReadyForQuery(TransactionStatus::Idle) => {}
            ClientReply::ReadyForQuery(status) => out.push_str(&format!("-- {status:?}\n")),
            _ => {} // the frame around them
        }
    }
    out
}

/// Rows as lines.
pub fn row_texts(rows: &DataRows) -> String {
    let (mut out, mut start) = (String::new(), 0);
    for end in &rows.ends {
        let end = usize::try_from(*end).unwrap();
        out.push_str(&columns(&rows.bytes[start..end]).join("|"));
        out.push('\n');
        start = end;
    }
    out
}

fn told(error: &SqlError) -> String {
    let mut out = format!(" {}: {}", error.state, error.message);
    if let Some(position) = error.position {
        out.push_str(&format!(" @{position}"));
    }
    for (label, text) in [("DETAIL", &error.detail), ("HINT", &error.hint)] {
        if let Some(text) = text {
            out.push_str(&format!("\n{label} {text}"));
        }
    }
    out
}

fn columns(row: &[u8]) -> Vec<String> {
    let count = u16::from_be_bytes([row[0], row[1]]);
    let mut at = 2;
    let mut values = Vec::new();
    for _ in 0..count {
        let len = i32::from_be_bytes(row[at..at + 4].try_into().unwrap());
        at += 4;
        match usize::try_from(len) {
            Err(_) => values.push(String::new()),
            Ok(len) => {
                values.push(String::from_utf8_lossy(&row[at..at + len]).into_owned());
                at += len;
            }
        }
    }
    values
}

/// The reported parameters among replies.
pub fn parameters(replies: &[ClientReply]) -> BTreeMap<String, String> {
    let reported = replies.iter().filter_map(|reply| match reply {
        ClientReply::ParameterStatus(name, value) => Some((name.clone(), value.clone())),
        _ => None,
    });
    reported.collect()
}
