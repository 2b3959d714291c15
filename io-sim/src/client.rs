//! A simulated SQL client: one connection at a time, one query at a time.

use std::collections::VecDeque;
use std::time::Duration;

use shardforge_core::base::error::SqlError;
use shardforge_core::base::id::{NodeId, SessionId};
use shardforge_core::base::time::Mono;
use shardforge_core::sql::protocol::{ClientReply, DataRows, TransactionStatus};

/// Rows of text values.
pub type Rows = Vec<Vec<Option<String>>>;

/// What became of what the client did last.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It has just connected (again).
    Connected,
    /// It has slept.
    Awake,
    /// The query ran: its rows and command tags.
    Done {
        /// Rows of all statements.
        rows: Rows,
        /// Command tags.
        tags: Vec<String>,
    },
    /// The server refused: what it said, and whether the session is still in a (failed) block.
    Failed {
        /// The error.
        error: SqlError,
        /// Whether ROLLBACK is due.
        in_block: bool,
    },
    /// The connection was lost, or no answer came in time: nobody knows.
    Lost,
}

/// What a client does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// A simple query.
    Query(String),
    /// Nothing for a while.
    Sleep(Duration),
    /// Closes the connection and opens one to the next node.
    Reconnect,
    /// Nothing any more.
    Done,
}

/// What a client wants: called whenever it is free to do something.
pub trait ClientScript {
    /// The next step, given what became of the last one.
    fn next(&mut self, now: Mono, outcome: Outcome) -> Next;
}

/// A client's connection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Link {
    /// None; it will connect at some moment.
    Down,
    /// Waiting for the first ReadyForQuery.
    Greeting(NodeId, SessionId),
    /// Free, or asleep.
    Idle(NodeId, SessionId),
    /// Waiting for ReadyForQuery.
    Busy(NodeId, SessionId),
    /// It has done all it wanted.
    Done,
}

/// One client of the world.
pub(crate) struct Client {
    pub(crate) script: Box<dyn ClientScript>,
    pub(crate) link: Link,
    pub(crate) targets: VecDeque<NodeId>,
    /// Counts queries and connections: a timeout of an older one means nothing.
    pub(crate) turn: u64,
    /// Whether the last query's fate is unknown.
    pub(crate) lost: bool,
    pub(crate) rows: Rows,
    pub(crate) tags: Vec<String>,
    pub(crate) error: Option<SqlError>,
}

impl Client {
    pub(crate) fn new(script: Box<dyn ClientScript>, targets: VecDeque<NodeId>) -> Self {
        Self {
            script,
            link: Link::Down,
            targets,
            turn: 0,
            lost: false,
            rows: Rows::new(),
            tags: Vec::new(),
            error: None,
        }
    }

    pub(crate) fn session(&self) -> Option<(NodeId, SessionId)> {
        match self.link {
            Link::Greeting(node, session)
            | Link::Idle(node, session)
            | Link::Busy(node, session) => Some((node, session)),
            Link::Down | Link::Done => None,
        }
    }

    /// Takes a reply in; an outcome if the client is free now.
    pub(crate) fn reply(&mut self, reply: ClientReply) -> Option<Outcome> {
        match reply {
            ClientReply::DataRows(rows) => self.rows.extend(decode(&rows)),
            ClientReply::CommandComplete(tag) => self.tags.push(tag),
            ClientReply::Error(error) | ClientReply::Fatal(error) => self.error = Some(error),
            ClientReply::ReadyForQuery(status) => return Some(self.ready(status)),
            _ => {} // descriptions, settings and notices tell a simulated client nothing
        }
        None
    }

    fn ready(&mut self, status: TransactionStatus) -> Outcome {
        let (rows, tags) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.tags));
        let error = self.error.take();
        let greeting = matches!(self.link, Link::Greeting(..));
        if let Some((node, session)) = self.session() {
            self.link = Link::Idle(node, session);
        }
        self.turn += 1;
        match error {
            _ if greeting && std::mem::take(&mut self.lost) => Outcome::Lost,
            _ if greeting => Outcome::Connected,
            Some(error) => Outcome::Failed { error, in_block: status != TransactionStatus::Idle },
            None => Outcome::Done { rows, tags },
        }
    }
}

fn decode(rows: &DataRows) -> Rows {
    let mut start = 0;
    let mut decoded = Rows::new();
    for end in &rows.ends {
        let end = *end as usize;
        decoded.push(decode_row(&rows.bytes[start..end]));
        start = end;
    }
    decoded
}

fn decode_row(mut body: &[u8]) -> Vec<Option<String>> {
    let mut take = |n: usize| {
        let (head, tail) = body.split_at(n);
        body = tail;
        head
    };
    let columns = usize::from(u16::from_be_bytes([take(1)[0], take(1)[0]]));
    let mut row = Vec::with_capacity(columns);
    for _ in 0..columns {
        let mut len = [0; 4];
        len.copy_from_slice(take(4));
        row.push(match i32::from_be_bytes(len) {
            -1 => None,
            len => {
                let len = usize::try_from(len).unwrap_or(0);
                Some(String::from_utf8_lossy(take(len)).into_owned())
            }
        });
    }
    row
}
