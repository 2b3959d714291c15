//! What travels between the replicas of a group and what the log keeps: plain types of our own, so
//! that neither the wire nor the disk depends on openraft's layout.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::base::codec::{CodecError, from_versioned, to_versioned};
use crate::base::id::NodeId;

/// A place in a group's log. Orders by term, then index.
#[derive(
    Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize,
)]
pub struct LogPosition {
    /// The term in which the entry was proposed.
    pub term: u64,
    /// Counts entries from 0.
    pub index: u64,
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.term, self.index)
    }
}

/// A vote: for whom in which term, and whether a quorum granted it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, Serialize, Deserialize)]
pub struct Ballot {
    /// The term.
    pub term: u64,
    /// The candidate or leader.
    pub node: NodeId,
    /// Whether the node is known to lead the term.
    pub committed: bool,
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.committed { "!" } else { "?" };
        write!(f, "{}:{}{mark}", self.term, self.node)
    }
}

impl Ballot {
    /// The form in which the log keeps it.
    pub fn to_bytes(&self) -> Bytes {
        to_versioned(BALLOT_VERSION, self)
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    ///
    /// [`CodecError`] for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        from_versioned(BALLOT_VERSION, bytes)
    }
}

const BALLOT_VERSION: u8 = 1;

/// What an entry carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, Serialize, Deserialize)]
pub enum EntryKind {
    /// Nothing: a leader's first entry.
    Blank,
    /// A command for the state machine.
    Command,
    /// A [`Membership`], encoded by [`Membership::to_bytes`].
    Membership,
}

/// An entry as the log keeps it and as it travels.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Its place.
    pub position: LogPosition,
    /// What the payload is.
    pub kind: EntryKind,
    /// The payload.
    pub payload: Bytes,
}

impl LogEntry {
    /// Kind and payload in one, as the log keeps them beside the position.
    pub fn to_record(&self) -> Bytes {
        let kind = match self.kind {
            EntryKind::Blank => 0,
            EntryKind::Command => 1,
            EntryKind::Membership => 2,
        };
        let mut record = BytesMut::with_capacity(1 + self.payload.len());
        record.put_u8(kind);
        record.put_slice(&self.payload);
        record.freeze()
    }

    /// Reads what [`Self::to_record`] wrote; the payload shares the record's memory.
    ///
    /// # Errors
    ///
    /// [`CodecError`] for anything else.
    pub fn from_record(position: LogPosition, record: &Bytes) -> Result<Self, CodecError> {
        let kind = match record.first() {
            Some(0) => EntryKind::Blank,
            Some(1) => EntryKind::Command,
            Some(2) => EntryKind::Membership,
            Some(_) => return Err(CodecError::Malformed("unknown kind of entry")),
            None => return Err(CodecError::Short { wanted: 1, left: 0 }),
        };
        Ok(Self { position, kind, payload: record.slice(1..) })
    }
}

/// A member of a group, as the group remembers it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Where peers reach it, so that a node that joins by a message learns the others; may be
    /// empty.
    pub address: String,
}

/// Who votes and who listens.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Membership {
    /// One set of voters, or two while a change is joint: each must have its own majority.
    pub voters: Vec<BTreeSet<NodeId>>,
    /// Voters and learners.
    pub members: BTreeMap<NodeId, Member>,
}

impl Membership {
    /// All voters of all sets.
    pub fn voter_ids(&self) -> BTreeSet<NodeId> {
        self.voters.iter().flatten().copied().collect()
    }

    /// Whether `node` alone is a majority.
    pub fn is_sole_voter(&self, node: NodeId) -> bool {
        !self.voters.is_empty()
            && self.voters.iter().all(|set| set.len() == 1 && set.contains(&node))
    }

    /// Whether `acked` holds a majority of every set of voters.
    pub fn is_quorum(&self, acked: &BTreeSet<NodeId>) -> bool {
        !self.voters.is_empty()
            && self.voters.iter().all(|set| set.len() / 2 < set.intersection(acked).count())
    }

    /// The form in which an entry carries it.
    pub fn to_bytes(&self) -> Bytes {
        to_versioned(MEMBERSHIP_VERSION, self)
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    ///
    /// [`CodecError`] for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let read: Self = from_versioned(MEMBERSHIP_VERSION, bytes)?;
        read.check()?;
        Ok(read)
    }

    fn check(&self) -> Result<(), CodecError> {
        let empty = self.voters.is_empty() || self.voters.iter().any(BTreeSet::is_empty);
        if empty || 2 < self.voters.len() {
            return Err(CodecError::Malformed("membership without voters"));
        }
        if !self.voters.iter().flatten().all(|voter| self.members.contains_key(voter)) {
            return Err(CodecError::Malformed("voter without a member"));
        }
        Ok(())
    }
}

const MEMBERSHIP_VERSION: u8 = 1;

/// A membership and the entry that set it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct StoredMembership {
    /// The entry that set it; `None` before the first.
    pub position: Option<LogPosition>,
    /// Who.
    pub membership: Membership,
}

impl StoredMembership {
    /// The form in which the state machine keeps it.
    pub fn to_bytes(&self) -> Bytes {
        to_versioned(MEMBERSHIP_VERSION, self)
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    ///
    /// [`CodecError`] for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let read: Self = from_versioned(MEMBERSHIP_VERSION, bytes)?;
        if read.position.is_some() {
            read.membership.check()?;
        }
        Ok(read)
    }
}

/// What a snapshot holds.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct SnapshotMeta {
    /// The last entry applied to it.
    pub last: Option<LogPosition>,
    /// The membership at that entry.
    pub membership: StoredMembership,
}

/// One question of one life of a node: an answer to an earlier life's question matches nothing.
#[derive(
    Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash, Serialize, Deserialize,
)]
pub struct RequestId {
    /// The asking node's incarnation.
    pub incarnation: u64,
    /// Counts its questions.
    pub number: u64,
}

/// A question between replicas of a group, or the answer to one.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum RaftMessage {
    /// A question.
    Request {
        /// Names it.
        id: RequestId,
        /// What is asked.
        request: RaftRequest,
    },
    /// An answer.
    Reply {
        /// The question's name.
        id: RequestId,
        /// The answer.
        reply: RaftReply,
    },
}

/// What a replica asks of another.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum RaftRequest {
    /// AppendEntries; without entries a heartbeat.
    Append {
        /// The leader's vote.
        ballot: Ballot,
        /// The entry before the first one sent.
        previous: Option<LogPosition>,
        /// Consecutive entries.
        entries: Vec<LogEntry>,
        /// What the leader knows to be committed.
        committed: Option<LogPosition>,
    },
    /// RequestVote.
    Vote(VoteAsk),
    /// The same, without binding anyone.
    PreVote(VoteAsk),
    /// The leader hands its leadership to `to`.
    Transfer {
        /// The leader's vote.
        ballot: Ballot,
        /// The successor.
        to: NodeId,
        /// The successor must have at least this.
        last_log: Option<LogPosition>,
    },
    /// The first part of a snapshot: what it holds.
    SnapshotBegin {
        /// The leader's vote.
        ballot: Ballot,
        /// What is coming.
        meta: SnapshotMeta,
    },
    /// A part of a snapshot.
    SnapshotChunk {
        /// The question that began the transfer.
        transfer: RequestId,
        /// Counts chunks from 0.
        number: u32,
        /// The bytes.
        bytes: Bytes,
    },
    /// All parts were sent: install it.
    SnapshotEnd {
        /// The question that began the transfer.
        transfer: RequestId,
        /// How many chunks there were.
        chunks: u32,
    },
    /// Where does your log end?
    LogEnd,
}

/// A candidate's question.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct VoteAsk {
    /// The vote that the candidate gave itself.
    pub ballot: Ballot,
    /// The candidate's last entry.
    pub last_log: Option<LogPosition>,
    /// The leader asked for this election, so leases do not speak against it.
    pub transfer: bool,
    /// The candidate has heard from every voter, from the one that is asked in this incarnation, and
    /// nobody's log is longer than its own.
    pub longest_since: Option<u64>,
}

/// Where a replica's log ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LogEnd {
    /// The replica's incarnation.
    pub incarnation: u64,
    /// The term of its vote.
    pub term: u64,
    /// Whether it leads that term.
    pub leads: bool,
    /// Its last entry.
    pub last_log: Option<LogPosition>,
}

/// What a replica answers.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum RaftReply {
    /// All entries are durable here.
    Appended,
    /// Entries up to here are durable.
    AppendedUpTo(Option<LogPosition>),
    /// The previous entry is not here.
    Conflict,
    /// There is a higher vote.
    HigherVote(Ballot),
    /// Answer to a vote or pre-vote.
    Voted {
        /// The voter's vote now.
        ballot: Ballot,
        /// Whether it was given.
        granted: bool,
        /// The voter's last entry.
        last_log: Option<LogPosition>,
    },
    /// A transfer was accepted, or not.
    Transferred(bool),
    /// A part of a snapshot was taken.
    SnapshotTaken,
    /// The snapshot is installed; the follower's vote.
    SnapshotInstalled(Ballot),
    /// Not now; ask again later.
    Refused,
    /// The answer to [`RaftRequest::LogEnd`].
    LogEnd(LogEnd),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(machines: &[u32]) -> BTreeSet<NodeId> {
        machines.iter().map(|machine| NodeId::machine(*machine)).collect()
    }

    fn membership(voters: Vec<BTreeSet<NodeId>>) -> Membership {
        let members = voters.iter().flatten().map(|node| (*node, Member::default())).collect();
        Membership { voters, members }
    }

    #[test]
    fn a_joint_quorum_is_a_majority_of_each_set() {
        let joint = membership(vec![nodes(&[1, 2, 3]), nodes(&[3, 4, 5])]);
        assert!(joint.is_quorum(&nodes(&[1, 3, 4])));
        assert!(!joint.is_quorum(&nodes(&[1, 2, 3])));
        assert!(!Membership::default().is_quorum(&nodes(&[1])));
    }

    #[test]
    fn what_is_kept_is_read_back_and_nothing_else() {
        let whole = membership(vec![nodes(&[1, 2, 3])]);
        assert_eq!(Membership::from_bytes(&whole.to_bytes()), Ok(whole.clone()));
        let mut stranger = whole.clone();
        stranger.members.remove(&NodeId::machine(2));
        assert!(Membership::from_bytes(&stranger.to_bytes()).is_err());
        assert!(Membership::from_bytes(&Membership::default().to_bytes()).is_err());

        let stored = StoredMembership {
            position: Some(LogPosition { term: 1, index: 0 }),
            membership: whole,
        };
        assert_eq!(StoredMembership::from_bytes(&stored.to_bytes()), Ok(stored));

        let ballot = Ballot { term: 3, node: NodeId::machine(2), committed: true };
        assert_eq!(Ballot::from_bytes(&ballot.to_bytes()), Ok(ballot));

        let position = LogPosition { term: 2, index: 7 };
        for kind in [EntryKind::Blank, EntryKind::Command, EntryKind::Membership] {
            let entry = LogEntry { position, kind, payload: Bytes::from_static(b"xy") };
            assert_eq!(LogEntry::from_record(position, &entry.to_record()), Ok(entry));
        }
        assert!(LogEntry::from_record(position, &Bytes::from_static(&[9, 1])).is_err());
        assert!(LogEntry::from_record(position, &Bytes::new()).is_err());
    }
}
