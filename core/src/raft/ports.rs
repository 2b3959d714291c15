//! What a group needs of the world: a log, peers, a state machine. `node` plugs them.

use std::rc::Rc;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use openraft::storage::IOFlushed;
use serde::{Deserialize, Serialize};

use super::log::LogHandle;
use super::message::{
    Ballot, LogEntry, LogPosition, Membership, RaftMessage, SnapshotMeta, StoredMembership,
};
use super::types::TypeConfig;
use crate::base::id::{NodeId, ShardId};
use crate::step::channel::oneshot;

/// The three ports of a group.
#[derive(Clone)]
pub struct Ports {
    /// Makes records durable.
    pub log: Rc<dyn LogSink>,
    /// Reaches the peers.
    pub transport: Rc<dyn Transport>,
    /// Applies what was agreed.
    pub machine: Rc<dyn StateMachine>,
}

/// One change of a group's durable state, in the order in which it must become durable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LogRecord {
    /// An entry, next after the last one.
    Entry(LogEntry),
    /// Entries from this index on are void.
    Truncate {
        /// The first void index.
        from: u64,
    },
    /// Entries up to here are no longer needed; if the log ends before, it goes on after this
    /// place.
    Purge {
        /// The last entry not needed.
        up_to: LogPosition,
    },
    /// The vote.
    Vote(Ballot),
    /// What the disk had lost is made good.
    Trusted,
}

/// The log could not make something durable. Final: the process stops.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the log failed: {0}")]
pub struct LogError(pub String);

/// Makes a group's records durable.
pub trait LogSink {
    /// Takes records in; `durable` is told when they, and all records taken before, are durable.
    ///
    /// Records of one group become durable in the order of the calls.
    fn append(&self, group: ShardId, records: Vec<LogRecord>, durable: Durable);
}

pub(super) enum Waiting {
    Nobody,
    Raft(IOFlushed<TypeConfig>, LogHandle, LogPosition),
    Task(oneshot::Sender<Result<(), LogError>>),
}

/// Waits for records to be durable. Dropping it untold stops the group.
pub struct Durable {
    waiting: Waiting,
}

impl Durable {
    pub(super) fn new(waiting: Waiting) -> Self {
        Self { waiting }
    }

    /// For records that nobody waits for.
    pub fn nobody() -> Self {
        Self { waiting: Waiting::Nobody }
    }

    /// For code that waits itself (and for tests of sinks).
    pub fn channel() -> (Self, oneshot::Receiver<Result<(), LogError>>) {
        let (sender, receiver) = oneshot::channel();
        (Self { waiting: Waiting::Task(sender) }, receiver)
    }

    /// Whether nobody waits: the records may ride with the next batch that somebody waits for.
    pub fn is_nobody(&self) -> bool {
        matches!(self.waiting, Waiting::Nobody)
    }

    /// The records are durable, or never will be. May be called outside the stepper: it only wakes.
    pub fn complete(self, result: Result<(), LogError>) {
        match self.waiting {
            Waiting::Nobody => {}
            Waiting::Raft(flushed, log, last) => {
                if result.is_ok() {
                    log.note_persisted(last);
                }
                flushed.io_completed(result.map_err(std::io::Error::other));
            }
            Waiting::Task(sender) => {
                // A waiter that went away has nothing to learn.
                let _ = sender.send(result);
            }
        }
    }
}

/// What the log recovered of a group.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RecoveredLog {
    /// The last vote; `None` if the group is new here.
    pub vote: Option<Ballot>,
    /// Entries up to here are gone.
    pub purged: Option<LogPosition>,
    /// The entries after `purged`, without a hole.
    pub entries: Vec<LogEntry>,
    /// Whether the disk may have lost something that this node acknowledged: it then listens and
    /// does not vote until it certainly has that again.
    pub suspect: bool,
}

impl RecoveredLog {
    /// Takes one durable record into account, as replay of the log does.
    pub fn replay(&mut self, record: LogRecord) {
        match record {
            LogRecord::Entry(entry) => {
                self.truncate(entry.position.index);
                self.entries.push(entry);
            }
            LogRecord::Truncate { from } => self.truncate(from),
            LogRecord::Purge { up_to } => {
                self.entries.retain(|entry| up_to.index < entry.position.index);
                self.purged = self.purged.max(Some(up_to));
            }
            LogRecord::Vote(ballot) => self.vote = Some(ballot),
            LogRecord::Trusted => self.suspect = false,
        }
    }

    /// Whether the log reaches back to a store that has applied up to `applied`.
    pub fn goes_on_after(&self, applied: Option<u64>) -> bool {
        self.purged.map(|purged| purged.index) <= applied
    }

    fn truncate(&mut self, from: u64) {
        let keep = self.entries.partition_point(|entry| entry.position.index < from);
        self.entries.truncate(keep);
    }
}

/// Reaches the peers of all groups. Loss, delay, reordering and duplication are all allowed.
pub trait Transport {
    /// Sends a message, or loses it.
    fn send(&self, group: ShardId, to: NodeId, message: RaftMessage);
}

/// What an applied command answers to whoever proposed it. The meaning is the replica's.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ApplyAnswer {
    /// What happened.
    pub code: u32,
    /// A number that belongs to it.
    pub value: u64,
    /// More, if that is not enough.
    pub body: Bytes,
}

/// What an entry means to the state machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ApplyPayload {
    /// Nothing; only the place moves.
    Blank,
    /// A command.
    Command(Bytes),
    /// The group's members from here on.
    Membership(Membership),
}

/// A committed entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApplyEntry {
    /// Its place.
    pub position: LogPosition,
    /// What it means.
    pub payload: ApplyPayload,
    /// Whether somebody on this node waits for the answer.
    pub awaited: bool,
}

/// How far the state machine is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AppliedState {
    /// The last entry applied.
    pub position: Option<LogPosition>,
    /// The members as of that entry.
    pub membership: StoredMembership,
}

/// Why a snapshot could not be made or taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("snapshot failed: {0}")]
pub struct SnapshotError(pub String);

/// Applies what was agreed.
pub trait StateMachine {
    /// How far it is, counting what is not flushed yet. At opening: what was recovered.
    fn applied(&self) -> AppliedState;

    /// How far it is on disk: what a restart would find. The log may be purged up to here.
    ///
    /// Never past [`super::RaftGroup::persisted`]: a flush of entries that this node's own log may
    /// still lose would leave a hole.
    fn flushed(&self) -> AppliedState;

    /// Applies committed entries in order, and answers each. Positions and memberships are
    /// persisted in one batch with the data.
    fn apply(&self, entries: &[ApplyEntry]) -> Vec<ApplyAnswer>;

    /// If the store cannot take more now, fires when it can: applying waits for it.
    fn busy(&self) -> Option<oneshot::Receiver<()>> {
        None
    }

    /// A snapshot of what is applied now, to be sent to a follower.
    fn open_snapshot(&self) -> LocalBoxFuture<'_, Result<OpenSnapshot, SnapshotError>>;

    /// Prepares to take a snapshot in; nothing changes before [`SnapshotSink::finish`].
    fn begin_install(&self, meta: &SnapshotMeta) -> Result<Box<dyn SnapshotSink>, SnapshotError>;
}

/// A snapshot and what it holds.
pub struct OpenSnapshot {
    /// What it holds.
    pub meta: SnapshotMeta,
    /// Its bytes.
    pub source: Box<dyn SnapshotSource>,
}

/// The bytes of a snapshot, in chunks of at most [`crate::base::limit::SNAPSHOT_CHUNK_BYTES`].
/// Dropping it releases what it pinned.
pub trait SnapshotSource {
    /// The next chunk; `None` after the last.
    fn next_chunk(&mut self) -> LocalBoxFuture<'_, Result<Option<Bytes>, SnapshotError>>;
}

/// Takes a snapshot in. Dropping it unfinished leaves the state as it was.
pub trait SnapshotSink {
    /// Takes the next chunk.
    fn chunk(&mut self, bytes: Bytes) -> LocalBoxFuture<'_, Result<(), SnapshotError>>;

    /// Verifies all of it and makes it the state, durably, with its position and membership.
    fn finish(self: Box<Self>) -> LocalBoxFuture<'static, Result<(), SnapshotError>>;
}
