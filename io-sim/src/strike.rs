//! Faults that aim: at a leader, at an acknowledgement, at a disk, at a clock.

use std::time::Duration;

use shardforge_core::base::id::{NodeId, ShardId};
use shardforge_core::raft::LogPosition;
use shardforge_core::sql::protocol::ClientReply;

use crate::fault::Fault;
use crate::world::{Event, World};

/// Between the restarts of followers that were killed together.
const STAGGER: Duration = Duration::from_millis(20);

/// So long a follower that hears no leader does not stand for election, but not much longer: openraft
/// waits for its own lease, then for 200 to 300 ms.
const SILENCE: Duration = Duration::from_millis(450);

/// Until a follower has what it missed.
const CATCH_UP: Duration = Duration::from_millis(50);

/// A crash that waits for the next acknowledgement of a change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AckCrash {
    all: bool,
    down: Duration,
}

impl World {
    /// The faults that [`World::strike`] leaves to this file.
    pub(crate) fn strike_more(&mut self, fault: Fault) {
        match fault {
            Fault::Kill(id, down) => self.kill(id, down),
            Fault::KillFollowers(shard, down) => {
                if let Some(leader) = self.leader_of(shard) {
                    self.kill_others(leader, down);
                }
            }
            Fault::CutAndKillFollowers(shard, down, tries) => {
                let Some(leader) = self.leader_of(shard) else { return };
                let spared = self.ids().into_iter().find(|id| *id != leader);
                let Some(spared) = spared else { return };
                self.net.partition(&[leader, spared], &[leader]);
                // Or there are new entries all the time.
                for id in self.ids() {
                    self.net.cut_clients(id);
                }
                let then = Fault::CutAndKill { shard, leader, spared, down, tries };
                self.after(SILENCE, Event::Fault(then));
            }
            Fault::CutAndKill { shard, leader, spared, down, tries } => {
                if 0 < tries && self.log_end(shard, leader) != self.log_end(shard, spared) {
                    self.net.join(leader, spared);
                    let again = Fault::CutAndKillFollowers(shard, down, tries - 1);
                    self.after(CATCH_UP, Event::Fault(again));
                    return;
                }
                let all = self.ids();
                self.net.partition(&all, &[leader]);
                for id in all.into_iter().filter(|id| *id != leader && *id != spared) {
                    self.kill(id, down);
                }
            }
            Fault::CrashLeader(shard, down) => {
                if let Some(id) = self.leader_of(shard) {
                    self.crash(id);
                    self.after(down, Event::Restart(id));
                }
            }
            Fault::PauseLeader(shard, time) => {
                if let Some(id) = self.leader_of(shard) {
                    self.strike(Fault::Pause(id, time));
                }
            }
            Fault::IsolateLeader(shard) => {
                if let Some(id) = self.leader_of(shard) {
                    let all = self.ids();
                    self.net.partition(&all, &[id]);
                }
            }
            Fault::CrashAtAck { all, down } => self.ack_crash = Some(AckCrash { all, down }),
            Fault::Flip(id, down) => {
                self.crash(id);
                if let Some(host) = self.hosts.get_mut(&id) {
                    host.disk.flip(&mut self.disk_rng);
                }
                self.after(down, Event::Restart(id));
            }
            Fault::StepWall(id, us) => {
                if let Some(host) = self.hosts.get_mut(&id) {
                    host.clock.wall_offset_us += us;
                }
            }
            other => unreachable!("{other:?} is struck by the world"),
        }
    }

    fn log_end(&self, shard: ShardId, id: NodeId) -> Option<LogPosition> {
        let status = self.hosts.get(&id)?.node.as_ref()?.raft_status();
        status.into_iter().find(|(group, _)| *group == shard)?.1.last_log
    }

    fn kill_others(&mut self, leader: NodeId, down: Duration) {
        let others = self.ids().into_iter().filter(|id| *id != leader);
        // One after the other, so that they do not all stand for election at once.
        for (number, id) in (0u32..).zip(others) {
            self.kill(id, down + number * STAGGER);
        }
    }

    fn kill(&mut self, id: NodeId, down: Duration) {
        let Some(host) = self.hosts.get_mut(&id).filter(|host| host.is_up()) else { return };
        host.disk.kill();
        host.stores.crash(&mut self.disk_rng);
        host.sync_fails = false;
        self.stopped(id);
        self.after(down, Event::Restart(id));
    }

    /// If a crash waits for an acknowledgement and this is one, it comes when the client has it.
    pub(crate) fn crash_after_ack(&mut self, id: NodeId, replies: &[ClientReply], by: Duration) {
        let Some(waiting) = self.ack_crash else { return };
        if !replies.iter().any(changes) {
            return;
        }
        self.ack_crash = None;
        let fault = match waiting.all {
            true => Fault::CrashAll(waiting.down),
            false => Fault::Crash(id, waiting.down),
        };
        self.after(by, Event::Fault(fault));
    }
}

fn changes(reply: &ClientReply) -> bool {
    let ClientReply::CommandComplete(tag) = reply else { return false };
    ["COMMIT", "UPDATE", "INSERT", "DELETE"].iter().any(|verb| tag.starts_with(verb))
}
