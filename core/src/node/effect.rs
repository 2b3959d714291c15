//! Wishes, imperative: what a node tells its shell to do.

use super::input::{OperatorAnswer, PeerFrame};
use crate::base::id::{NodeId, SessionId, Token};
use crate::sql::protocol::ClientReply;
use crate::storage::log::LogWrite;
use crate::storage::port::StorageEffect;

/// Why a node stopped itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HaltReason {
    /// It drained as asked: exit code 0.
    Drained,
    /// An I/O error fenced it: exit code 74.
    Fenced(String),
    /// The data directory cannot be served by this program: exit code 73.
    DataDirectory(String),
    /// An invariant of our own broke: exit code 1, after saying so.
    Invariant(String),
}

/// One wish. A shell performs effects in the order given; only answers may come back in any order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Sends all messages of this `handle` to one peer as one frame. Loss is reported or not.
    SendPeerMessage {
        /// To whom; the shell knows the address (`Effect::PeersChanged`).
        to: NodeId,
        /// What.
        frame: PeerFrame,
    },
    /// Sends a frame to an address behind which no node is known yet.
    ProbePeer {
        /// Host and port.
        address: String,
        /// What.
        frame: PeerFrame,
    },
    /// The addresses of the other nodes, whole, whenever they change.
    PeersChanged(Vec<(NodeId, String)>),
    /// Writes log bytes and makes them durable with everything before; `LogPersisted` follows.
    /// Appends that arrive while one sync runs share the next one.
    AppendLog {
        /// Counts up.
        ticket: u64,
        /// What, in order.
        writes: Vec<LogWrite>,
    },
    /// These segments are not needed any more (recycle or remove), once all earlier appends are
    /// durable.
    RetireSegments(Vec<u64>),
    /// For a store.
    Storage(StorageEffect),
    /// Messages for a client, one socket write.
    AnswerClient {
        /// Who.
        session: SessionId,
        /// In order.
        replies: Vec<ClientReply>,
    },
    /// Closes a client's connection after what was answered.
    CloseClient {
        /// Who.
        session: SessionId,
    },
    /// Answers an operator.
    AnswerOperator {
        /// From the request.
        token: Token,
        /// What.
        answer: OperatorAnswer,
    },
    /// SQL statements are accepted from now on (`true`), or not any more (`false`).
    ServiceChanged(bool),
    /// A line for the log, with fields already redacted.
    Log {
        /// How severe.
        level: LogLevel,
        /// The sentence.
        message: String,
    },
    /// Stop now; nothing that follows is performed.
    Halt(HaltReason),
}

/// Severity of a log line.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum LogLevel {
    /// Someone must look.
    Error,
    /// Someone may look.
    Warn,
    /// Life's events.
    Info,
    /// For us.
    Debug,
}
