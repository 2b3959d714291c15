//! The fuzzer's corpora, replayed: bodies are in `fuzz`, inputs under `fuzz/corpus/<target>/`.

#[path = "../../fuzz/replay.rs"]
mod replay;

use bytes::Bytes;
use prost::Message;
use shardforge_core::base::id::{ClusterId, Incarnation, NodeId, ShardId};
use shardforge_core::node::identity::Member;
use shardforge_core::node::input::PeerFrame;
use shardforge_core::node::message::{Hello, PeerMessage};
use shardforge_core::raft::message::{
    Ballot, EntryKind, LogEnd, LogEntry, LogPosition, RaftMessage, RaftReply, RaftRequest,
    RequestId, VoteAsk,
};
use shardforge_core::replica::error::ReplicaError;
use shardforge_proto::fuzz::{peer_frame, pgwire_frame};
use shardforge_proto::peer;

use crate::replay::{hold, replay};

#[test]
fn pgwire_frame_corpus() {
    assert!(15 < replay("pgwire_frame", pgwire_frame));
}

#[test]
fn peer_frame_corpus() {
    assert!(4 < replay("peer_frame", peer_frame));
}

fn frame(messages: &[PeerMessage]) -> Vec<u8> {
    let frame = PeerFrame {
        protocol: 1,
        cluster: ClusterId(7),
        from: NodeId::machine(1),
        incarnation: Incarnation(2),
        to: NodeId::machine(2),
        number: 0,
        messages: messages.iter().map(PeerMessage::encode).collect(),
    };
    peer::to_wire(frame).encode_to_vec()
}

fn raft(request: RaftRequest) -> PeerMessage {
    let id = RequestId { incarnation: 1, number: 2 };
    PeerMessage::Raft(ShardId(1), RaftMessage::Request { id, request })
}

/// The first seeds of the corpus are frames of today's nodes: if one differs, so does the protocol
/// (`UPDATE=1` writes them anew).
#[test]
fn seeds_are_frames_of_this_version() {
    let ballot = Ballot { term: 3, node: NodeId::machine(1), committed: true };
    let position = LogPosition { term: 3, index: 9 };
    let entry =
        LogEntry { position, kind: EntryKind::Command, payload: Bytes::from_static(b"command") };
    let append = RaftRequest::Append {
        ballot,
        previous: Some(LogPosition { term: 2, index: 8 }),
        entries: vec![entry],
        committed: Some(position),
    };
    let transfer = RequestId { incarnation: 1, number: 1 };
    let chunk =
        RaftRequest::SnapshotChunk { transfer, number: 0, bytes: Bytes::from_static(b"chunk") };
    let member = Member { peer_addr: "n1:7432".into(), sql_addr: "n1:5432".into(), insecure: true };
    let hello = Hello { member, cluster: ClusterId(0), empty: true, answer_wanted: true };
    let reply = RaftMessage::Reply { id: transfer, reply: RaftReply::HigherVote(ballot) };
    let ask = VoteAsk { ballot, last_log: Some(position), transfer: false, longest_since: Some(4) };
    let end = LogEnd { incarnation: 4, term: 3, leads: true, last_log: Some(position) };
    let end = RaftMessage::Reply { id: transfer, reply: RaftReply::LogEnd(end) };
    let asked = [RaftRequest::LogEnd, RaftRequest::Vote(ask)].map(raft);
    let refused = Err(ReplicaError::NotLeader { hint: None });
    let seeds = [
        ("hello", frame(&[PeerMessage::Hello(hello)])),
        ("append", frame(&[raft(append)])),
        ("snapshot", frame(&[raft(chunk), PeerMessage::Raft(ShardId(1), reply)])),
        ("calls", frame(&[PeerMessage::Beat, PeerMessage::Response { id: 4, result: refused }])),
        ("status", frame(&[PeerMessage::StatusWanted { id: 5 }, PeerMessage::Forget { id: 6 }])),
        ("votes", frame(&[asked.as_slice(), &[PeerMessage::Raft(ShardId(1), end)]].concat())),
        ("empty_frame", frame(&[])),
    ];
    for (name, bytes) in seeds {
        hold("peer_frame", name, &bytes, peer_frame);
    }
}
