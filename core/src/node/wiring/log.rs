//! Raft's log sink over the shared log: a group's records become log records of the node.

use bytes::{BufMut, Bytes, BytesMut};

use super::super::outbox::Outbox;
use crate::base::codec::{CodecError, from_versioned, to_versioned};
use crate::base::id::ShardId;
use crate::raft::{
    Ballot, Durable, EntryKind, LogEntry, LogPosition, LogRecord, LogSink, RecoveredLog,
};
use crate::storage::log::{LogRecord as Stored, RecoveredGroup, Trust};

const VOTE_VERSION: u8 = 1;

/// The log as raft sees it.
pub(in super::super) struct OutboxLog(pub(in super::super) Outbox);

impl LogSink for OutboxLog {
    fn append(&self, group: ShardId, records: Vec<LogRecord>, durable: Durable) {
        let records = records.into_iter().map(to_stored);
        if durable.is_nobody() {
            self.0.append(group, records, None);
        } else {
            let told = Box::new(move || durable.complete(Ok(())));
            self.0.append(group, records, Some(told));
        }
    }
}

/// A group's record as the node's log keeps it.
pub(in super::super) fn to_stored(record: LogRecord) -> Stored {
    match record {
        LogRecord::Entry(entry) => self::entry(entry),
        LogRecord::Truncate { from } => Stored::Truncate { from },
        LogRecord::Purge { up_to } => Stored::Purge { term: up_to.term, index: up_to.index },
        LogRecord::Vote(ballot) => Stored::Vote(to_versioned(VOTE_VERSION, &ballot)),
        LogRecord::Trusted => Stored::Trusted,
    }
}

/// An entry as the node's log keeps it.
pub(in super::super) fn entry(entry: LogEntry) -> Stored {
    Stored::Entry {
        term: entry.position.term,
        index: entry.position.index,
        payload: with_kind(entry.kind, &entry.payload),
    }
}

fn with_kind(kind: EntryKind, payload: &Bytes) -> Bytes {
    let mut bytes = BytesMut::with_capacity(1 + payload.len());
    bytes.put_u8(match kind {
        EntryKind::Blank => 0,
        EntryKind::Command => 1,
        EntryKind::Membership => 2,
    });
    bytes.put_slice(payload);
    bytes.freeze()
}

/// What raft needs of a recovered group.
pub(in super::super) fn recovered(group: &RecoveredGroup) -> Result<RecoveredLog, CodecError> {
    let vote: Option<Ballot> =
        group.vote.as_ref().map(|bytes| from_versioned(VOTE_VERSION, bytes)).transpose()?;
    let purged = group.purged.map(|(term, index)| LogPosition { term, index });
    let mut entries = Vec::with_capacity(group.entries.len());
    for entry in &group.entries {
        let kind = match entry.payload.first() {
            Some(0) => EntryKind::Blank,
            Some(1) => EntryKind::Command,
            Some(2) => EntryKind::Membership,
            _ => return Err(CodecError::Malformed("entry of an unknown kind")),
        };
        entries.push(LogEntry {
            position: LogPosition { term: entry.term, index: entry.index },
            kind,
            payload: entry.payload.slice(1..),
        });
    }
    Ok(RecoveredLog { vote, purged, entries, suspect: group.trust != Trust::Whole })
}
