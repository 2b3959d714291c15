//! What the world does with a node's effects.

use std::collections::VecDeque;
use std::time::Duration;

use shardforge_core::base::id::NodeId;
use shardforge_core::node::effect::Effect;
use shardforge_core::node::input::{Input, PeerFrame};
use shardforge_core::storage::port::StorageEffect;

use crate::world::{Event, World};

/// Probability that a read misses the cache and is answered later.
const READ_LATER: f64 = 0.02;

impl World {
    /// Performs one effect of `id`; answers that are there at once go into `ready`.
    pub(crate) fn perform(&mut self, id: NodeId, effect: Effect, ready: &mut VecDeque<Input>) {
        match effect {
            Effect::SendPeerMessage { to, frame } => self.send_frame(id, to, frame),
            Effect::ProbePeer { address, frame } => {
                if let Some(to) = self.node_at(&address) {
                    self.send_frame(id, to, frame);
                }
            }
            Effect::PeersChanged(_) => {} // addresses never change here
            Effect::AppendLog { ticket, writes } => {
                let Some(host) = self.hosts.get_mut(&id) else { return };
                if host.disk.append(ticket, writes) {
                    let (after, life) = (host.sync_time, host.life);
                    self.after(after, Event::Synced(id, life));
                }
            }
            Effect::RetireSegments(segments) => {
                if let Some(host) = self.hosts.get_mut(&id) {
                    host.disk.retire(segments);
                }
            }
            Effect::Storage(effect) => self.perform_storage(id, effect, ready),
            Effect::AnswerClient { session, replies } => {
                let latency = self.net.latency(&mut self.net_rng);
                self.crash_after_ack(id, &replies, latency);
                self.after(latency, Event::Replies(id, session, replies));
                ready.push_back(Input::ClientDrained { session, unsent_bytes: 0 });
            }
            Effect::CloseClient { session } => {
                let latency = self.net.latency(&mut self.net_rng) + Duration::from_micros(1);
                self.after(latency, Event::Closed(id, session));
            }
            Effect::AnswerOperator { token, answer } => {
                self.note(format_args!("{id} answers operator {token}"));
                if let Some(host) = self.hosts.get_mut(&id) {
                    host.answers.insert(token, answer);
                }
            }
            Effect::ServiceChanged(serving) => {
                self.note(format_args!("{id} serving={serving}"));
                if let Some(host) = self.hosts.get_mut(&id) {
                    host.serving = serving;
                }
            }
            Effect::Log { level, message } => self.note(format_args!("{id} {level:?} {message}")),
            Effect::Halt(reason) => {
                self.note(format_args!("{id} halts: {reason:?}"));
                if let Some(host) = self.hosts.get_mut(&id) {
                    host.halted = Some(reason);
                }
            }
        }
    }

    fn send_frame(&mut self, from: NodeId, to: NodeId, frame: PeerFrame) {
        if let Some(host) = self.hosts.get_mut(&from) {
            host.note_grants(&frame);
            host.frames_sent += 1;
        }
        for latency in self.net.send(&mut self.net_rng, from, to) {
            self.after(latency, Event::Frame(to, frame.clone()));
        }
    }

    fn perform_storage(&mut self, id: NodeId, effect: StorageEffect, ready: &mut VecDeque<Input>) {
        let slow = match &effect {
            StorageEffect::Flush(..) => Duration::from_millis(self.disk_rng.between(1, 50)),
            StorageEffect::Read(..) if self.disk_rng.chance(READ_LATER) => {
                Duration::from_micros(self.disk_rng.between(50, 5_000))
            }
            StorageEffect::ReadSnapshotChunk { .. }
            | StorageEffect::Stage { .. }
            | StorageEffect::Install { .. } => {
                Duration::from_micros(self.disk_rng.between(100, 2_000))
            }
            _ => Duration::ZERO,
        };
        let Some(host) = self.hosts.get_mut(&id) else { return };
        let life = host.life;
        if matches!(effect, StorageEffect::Flush(..)) {
            return self.after(slow, Event::Flush(id, life, effect));
        }
        let Some(event) = host.stores.perform(effect) else { return };
        if slow.is_zero() {
            ready.push_back(Input::StorageCompleted(event));
        } else {
            self.after(slow, Event::Storage(id, life, event));
        }
    }
}
