//! One simulated machine: a process that may run, be paused or be dead, over a disk that outlives it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use shardforge_core::base::buggify::Faults;
use shardforge_core::base::id::{NodeId, SessionId, ShardId, Token};
use shardforge_core::base::time::Mono;
use shardforge_core::node::effect::HaltReason;
use shardforge_core::node::input::{Input, OperatorAnswer, PeerFrame};
use shardforge_core::node::message::PeerMessage;
use shardforge_core::node::{CoreConfig, Node};
use shardforge_core::raft::Ballot;
use shardforge_core::raft::message::{RaftMessage, RaftReply};
use shardforge_core::storage::memory::MemoryStores;

use crate::clock::SkewedClock;
use crate::disk::Disk;

const GRANT_BYTES_MAX: usize = 96;

/// One machine.
pub struct Host {
    /// Its node's id.
    pub id: NodeId,
    /// The process, while it runs.
    pub node: Option<Node>,
    /// Counts processes: events for an earlier one are void.
    pub life: u64,
    /// Its log disk.
    pub disk: Disk,
    /// Its stores.
    pub stores: MemoryStores,
    /// Its clocks.
    pub clock: SkewedClock,
    /// Whether it serves SQL.
    pub serving: bool,
    /// Why it stopped itself.
    pub halted: Option<HaltReason>,
    /// The true time at which it last handled an input.
    pub truth: Mono,
    /// Frames that it sent to other nodes, in all lives.
    pub frames_sent: u64,
    /// Votes that it granted in this life.
    pub granted: Vec<(ShardId, Ballot)>,
    /// Answers to operators.
    pub answers: BTreeMap<Token, OperatorAnswer>,
    pub(crate) config: CoreConfig,
    pub(crate) paused_until: Option<Mono>,
    pub(crate) backlog: VecDeque<Input>,
    pub(crate) wake_at: Option<Mono>,
    pub(crate) sync_time: Duration,
    pub(crate) sync_fails: bool,
    pub(crate) sessions: BTreeMap<SessionId, usize>,
}

impl Host {
    pub(crate) fn new(id: NodeId, config: CoreConfig, clock: SkewedClock, faults: Faults) -> Self {
        Self {
            id,
            node: None,
            life: 0,
            disk: Disk::default(),
            stores: MemoryStores::new(faults),
            clock,
            serving: false,
            halted: None,
            truth: Mono::ZERO,
            frames_sent: 0,
            granted: Vec::new(),
            answers: BTreeMap::new(),
            config,
            paused_until: None,
            backlog: VecDeque::new(),
            wake_at: None,
            sync_time: Duration::from_micros(500),
            sync_fails: false,
            sessions: BTreeMap::new(),
        }
    }

    /// Notes the votes that a frame grants.
    pub(crate) fn note_grants(&mut self, frame: &PeerFrame) {
        // A granted vote is short: longer messages need not be read.
        for message in frame.messages.iter().filter(|bytes| bytes.len() <= GRANT_BYTES_MAX) {
            if let Ok(PeerMessage::Raft(shard, RaftMessage::Reply { reply, .. })) =
                PeerMessage::decode(message)
                && let RaftReply::Voted { ballot, granted: true, .. } = reply
            {
                self.granted.push((shard, ballot));
            }
        }
    }

    /// Whether its process runs (perhaps paused).
    pub fn is_up(&self) -> bool {
        self.node.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shardforge_core::base::id::{ClusterId, Incarnation};
    use shardforge_core::raft::message::{LogPosition, RequestId};

    #[test]
    fn a_granted_vote_is_noted_however_large_its_numbers() {
        let id = NodeId::machine(3);
        let clock = SkewedClock { offset_ns: 0, drift_ppm: 0, wall_offset_us: 0 };
        let mut host = Host::new(id, CoreConfig::default(), clock, Faults::default());
        let large = u64::MAX >> 1;
        let ballot = Ballot { term: large, node: id, committed: true };
        let message = |granted| {
            let last_log = Some(LogPosition { term: large, index: large });
            let reply = RaftReply::Voted { ballot, granted, last_log };
            let request = RequestId { incarnation: large, number: large };
            PeerMessage::Raft(ShardId(u32::MAX), RaftMessage::Reply { id: request, reply }).encode()
        };
        let frame = PeerFrame {
            protocol: 1,
            cluster: ClusterId::default(),
            from: id,
            incarnation: Incarnation(1),
            to: id,
            number: 1,
            messages: vec![message(false), message(true)],
        };
        host.note_grants(&frame);
        assert_eq!(host.granted, [(ShardId(u32::MAX), ballot)]);
    }
}
