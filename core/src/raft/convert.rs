//! Between openraft's types and ours.

use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};

use super::message::{
    Ballot, EntryKind, LogEntry, LogPosition, Membership, RaftReply, RaftRequest, SnapshotMeta,
    StoredMembership, VoteAsk,
};
use super::ports::ApplyPayload;
use super::types::{
    Command, CommittedLeader, Entry, LeaderId, LogId, Payload, RaftMembership, RaftSnapshotMeta,
    RaftStoredMembership, TypeConfig, Vote,
};
use crate::base::codec::CodecError;
use crate::base::limit;
use bytes::Bytes;

pub(super) fn position(id: &LogId) -> LogPosition {
    LogPosition { term: id.leader_id.term, index: id.index }
}

pub(super) fn log_id(position: LogPosition) -> LogId {
    LogId { leader_id: CommittedLeader::new(position.term), index: position.index }
}

pub(super) fn positions(id: Option<&LogId>) -> Option<LogPosition> {
    id.map(position)
}

pub(super) fn log_ids(position: Option<LogPosition>) -> Option<LogId> {
    position.map(log_id)
}

pub(super) fn ballot(vote: &Vote) -> Ballot {
    Ballot { term: vote.leader_id.term, node: vote.leader_id.voted_for, committed: vote.committed }
}

pub(super) fn vote(ballot: Ballot) -> Vote {
    Vote {
        leader_id: LeaderId { term: ballot.term, voted_for: ballot.node },
        committed: ballot.committed,
    }
}

pub(super) fn membership(raft: &RaftMembership) -> Membership {
    Membership {
        voters: raft.get_joint_config().clone(),
        members: raft.nodes().map(|(id, member)| (*id, member.clone())).collect(),
    }
}

pub(super) fn raft_membership(ours: &Membership) -> Result<RaftMembership, CodecError> {
    if ours.voters.is_empty() {
        return Ok(RaftMembership::default());
    }
    RaftMembership::new(ours.voters.clone(), ours.members.clone())
        .map_err(|_| CodecError::Malformed("membership is not valid"))
}

pub(super) fn stored_membership(raft: &RaftStoredMembership) -> StoredMembership {
    StoredMembership {
        position: positions(raft.log_id().as_ref()),
        membership: membership(raft.membership()),
    }
}

pub(super) fn raft_stored(ours: &StoredMembership) -> Result<RaftStoredMembership, CodecError> {
    Ok(RaftStoredMembership::new(log_ids(ours.position), raft_membership(&ours.membership)?))
}

pub(super) fn raft_snapshot_meta(ours: &SnapshotMeta) -> Result<RaftSnapshotMeta, CodecError> {
    Ok(RaftSnapshotMeta {
        last_log_id: log_ids(ours.last),
        last_membership: raft_stored(&ours.membership)?,
    })
}

pub(super) fn log_entry(entry: &Entry) -> LogEntry {
    let (kind, payload) = match &entry.payload {
        Payload::Blank => (EntryKind::Blank, Bytes::new()),
        Payload::Normal(command) => (EntryKind::Command, command.bytes.clone()),
        Payload::Membership(raft) => (EntryKind::Membership, membership(raft).to_bytes()),
    };
    LogEntry { position: position(&entry.log_id), kind, payload }
}

pub(super) fn raft_entry(entry: LogEntry) -> Result<Entry, CodecError> {
    let payload = match entry.kind {
        EntryKind::Blank => Payload::Blank,
        EntryKind::Command => Payload::Normal(Command { bytes: entry.payload, place: None }),
        EntryKind::Membership => {
            Payload::Membership(raft_membership(&Membership::from_bytes(&entry.payload)?)?)
        }
    };
    Ok(Entry { log_id: log_id(entry.position), payload })
}

/// What an entry costs in memory, roughly.
pub(super) fn entry_bytes(entry: &Entry) -> usize {
    const OVERHEAD: usize = 128;
    match &entry.payload {
        Payload::Blank => OVERHEAD,
        Payload::Normal(command) => OVERHEAD + command.bytes.len(),
        Payload::Membership(raft) => OVERHEAD + 64 * raft.nodes().count(),
    }
}

pub(super) fn apply_payload(payload: Payload) -> ApplyPayload {
    match payload {
        Payload::Blank => ApplyPayload::Blank,
        Payload::Normal(command) => ApplyPayload::Command(command.bytes),
        Payload::Membership(raft) => ApplyPayload::Membership(membership(&raft)),
    }
}

pub(super) fn append_request(rpc: &AppendEntriesRequest<TypeConfig>) -> RaftRequest {
    RaftRequest::Append {
        ballot: ballot(&rpc.vote),
        previous: positions(rpc.prev_log_id.as_ref()),
        entries: rpc.entries.iter().map(log_entry).collect(),
        committed: positions(rpc.leader_commit.as_ref()),
    }
}

/// Checks a received AppendEntries: openraft trusts its shape.
pub(super) fn append_rpc(
    ballot: Ballot,
    previous: Option<LogPosition>,
    entries: Vec<LogEntry>,
    committed: Option<LogPosition>,
) -> Result<AppendEntriesRequest<TypeConfig>, CodecError> {
    if !ballot.committed {
        return Err(CodecError::Malformed("append without a leader's vote"));
    }
    if limit::APPEND_ENTRIES_MAX < entries.len() {
        return Err(CodecError::Malformed("too many entries in one append"));
    }
    let mut last = previous;
    for entry in &entries {
        let next = last.map_or(0, |last| last.index + 1);
        let term = last.map_or(0, |last| last.term);
        if entry.position.index != next || entry.position.term < term {
            return Err(CodecError::Malformed("entries are not consecutive"));
        }
        last = Some(entry.position);
    }
    if last.is_some_and(|last| ballot.term < last.term) {
        return Err(CodecError::Malformed("entry of a term after the leader's"));
    }
    Ok(AppendEntriesRequest {
        vote: vote(ballot),
        prev_log_id: log_ids(previous),
        entries: entries.into_iter().map(raft_entry).collect::<Result<_, _>>()?,
        leader_commit: log_ids(committed),
    })
}

pub(super) fn append_reply(response: &AppendEntriesResponse<TypeConfig>) -> RaftReply {
    match response {
        AppendEntriesResponse::Success => RaftReply::Appended,
        AppendEntriesResponse::PartialSuccess(id) => {
            RaftReply::AppendedUpTo(positions(id.as_ref()))
        }
        AppendEntriesResponse::Conflict => RaftReply::Conflict,
        AppendEntriesResponse::HigherVote(higher) => RaftReply::HigherVote(ballot(higher)),
    }
}

pub(super) fn append_response(reply: RaftReply) -> Option<AppendEntriesResponse<TypeConfig>> {
    match reply {
        RaftReply::Appended => Some(AppendEntriesResponse::Success),
        RaftReply::AppendedUpTo(at) => Some(AppendEntriesResponse::PartialSuccess(log_ids(at))),
        RaftReply::Conflict => Some(AppendEntriesResponse::Conflict),
        RaftReply::HigherVote(higher) => Some(AppendEntriesResponse::HigherVote(vote(higher))),
        RaftReply::Voted { .. }
        | RaftReply::LogEnd(_)
        | RaftReply::Transferred(_)
        | RaftReply::SnapshotTaken
        | RaftReply::SnapshotInstalled(_)
        | RaftReply::Refused => None,
    }
}

pub(super) fn vote_ask(rpc: &VoteRequest<TypeConfig>) -> VoteAsk {
    VoteAsk {
        ballot: ballot(&rpc.vote),
        last_log: positions(rpc.last_log_id.as_ref()),
        transfer: rpc.leadership_transfer,
        longest_since: None,
    }
}

pub(super) fn vote_rpc(ask: VoteAsk) -> VoteRequest<TypeConfig> {
    VoteRequest {
        vote: vote(ask.ballot),
        last_log_id: log_ids(ask.last_log),
        leadership_transfer: ask.transfer,
    }
}

pub(super) fn vote_reply(response: &VoteResponse<TypeConfig>) -> RaftReply {
    RaftReply::Voted {
        ballot: ballot(&response.vote),
        granted: response.vote_granted,
        last_log: positions(response.last_log_id.as_ref()),
    }
}

pub(super) fn vote_response(reply: &RaftReply) -> Option<VoteResponse<TypeConfig>> {
    let RaftReply::Voted { ballot, granted, last_log } = reply else { return None };
    Some(VoteResponse {
        vote: vote(*ballot),
        vote_granted: *granted,
        last_log_id: log_ids(*last_log),
    })
}
