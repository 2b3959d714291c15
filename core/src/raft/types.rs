//! openraft's types, as this house uses them.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use openraft::RaftTypeConfig;
use openraft::impls::{BoxedErrorSource, InlineBatch, OneshotResponder};
use openraft::vote::leader_id_std;
use serde::{Deserialize, Serialize};

use super::message::{LogPosition, Member};
use super::ports::ApplyAnswer;
use super::runtime::StepRuntime;
use crate::base::id::NodeId;

/// One leader a term, so that raft's classical properties hold as written.
pub(super) type LeaderId = leader_id_std::LeaderId<u64, NodeId>;
pub(super) type CommittedLeader = leader_id_std::CommittedLeaderId<u64>;
pub(super) type LogId = openraft::LogId<CommittedLeader>;
pub(super) type Vote = openraft::Vote<LeaderId>;
pub(super) type Payload = openraft::EntryPayload<Command, NodeId, Member>;
pub(super) type Entry = openraft::Entry<CommittedLeader, Payload>;
pub(super) type RaftMembership = openraft::Membership<NodeId, Member>;
pub(super) type RaftStoredMembership = openraft::StoredMembership<CommittedLeader, NodeId, Member>;
pub(super) type RaftSnapshotMeta = openraft::SnapshotMeta<CommittedLeader, NodeId, Member>;

/// Ends the wait for a proposal.
pub(super) type Closer =
    crate::step::channel::oneshot::Closer<openraft::raft::ClientWriteResult<TypeConfig>>;

/// Where the log put an entry that was proposed here, for whoever waits for it.
pub(super) type Place = Rc<Cell<Option<LogPosition>>>;

/// A replicated command: bytes that only the replica understands.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Command {
    pub(super) bytes: Bytes,
    #[serde(skip)]
    pub(super) place: Option<Place>,
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd)]
pub(super) struct TypeConfig;

impl RaftTypeConfig for TypeConfig {
    type D = Command;
    type R = ApplyAnswer;
    type NodeId = NodeId;
    type Node = Member;
    type Term = u64;
    type LeaderId = LeaderId;
    type Vote = Vote;
    type Payload = Payload;
    type Entry = Entry;
    type AsyncRuntime = StepRuntime;
    type Responder<T>
        = OneshotResponder<Self, T>
    where
        T: openraft::OptionalSend + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: openraft::OptionalSend + 'static;
    type ErrorSource = BoxedErrorSource;
}
