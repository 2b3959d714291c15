//! What breaks, and when: drawn from the seed, or said by a scenario.

use std::time::Duration;

use shardforge_core::base::id::{NodeId, ShardId};
use shardforge_core::base::rng::Rng;

use crate::net::Weather;

/// One thing that breaks or is mended.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The process dies and its machine loses power; it restarts after a while.
    Crash(NodeId, Duration),
    /// All processes die at once, and restart after a while.
    CrashAll(Duration),
    /// The process stops running for a while (SIGSTOP).
    Pause(NodeId, Duration),
    /// These nodes are cut off from the others.
    Partition(Vec<NodeId>),
    /// One direction is cut.
    OneWay(NodeId, NodeId),
    /// Clients cannot reach a node.
    CutClients(NodeId),
    /// Syncs of this node take so long from now on.
    SlowDisk(NodeId, Duration),
    /// The next sync of this node fails, and drops what it should have made durable.
    FailSync(NodeId),
    /// All cuts end.
    Heal,
    /// A node flushes its store and purges its log of every shard.
    Compact(NodeId),
    /// The process dies, the machine and its page cache live on.
    Kill(NodeId, Duration),
    /// The shard's leader crashes.
    CrashLeader(ShardId, Duration),
    /// All but the shard's leader are killed, and are back at once.
    KillFollowers(ShardId, Duration),
    /// One follower is cut off from the shard's leader, and all nodes from their clients. A while later,
    /// when it stands for election, [`Fault::CutAndKill`] strikes: a switch fails port by port, and takes
    /// a rack with it. If the follower has missed an entry by then, nobody would vote for it: so often it
    /// is all tried again.
    CutAndKillFollowers(ShardId, Duration, u32),
    /// A node is cut off from all others, and all but it and one more are killed, and are back at once:
    /// who has forgotten whom it heard is asked for its vote by the one that was spared.
    CutAndKill {
        /// Whose leader.
        shard: ShardId,
        /// Who is cut off.
        leader: NodeId,
        /// Who goes on.
        spared: NodeId,
        /// How long the others are down.
        down: Duration,
        /// Tries that are left.
        tries: u32,
    },
    /// The shard's leader stops running for a while.
    PauseLeader(ShardId, Duration),
    /// The shard's leader is cut off from all other nodes; clients still reach it.
    IsolateLeader(ShardId),
    /// With the next acknowledged change the node that acknowledged it crashes, or all do.
    CrashAtAck {
        /// Whether all nodes crash.
        all: bool,
        /// How long they stay down.
        down: Duration,
    },
    /// The node crashes and a bit of its durable log flips.
    Flip(NodeId, Duration),
    /// The wall clock is set, by so many microseconds.
    StepWall(NodeId, i64),
}

/// A class of faults: each seed draws which are on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum FaultClass {
    /// [`Fault::Crash`].
    Crash,
    /// [`Fault::CrashAll`].
    CrashAll,
    /// [`Fault::Kill`].
    Kill,
    /// [`Fault::Pause`].
    Pause,
    /// [`Fault::Partition`].
    Partition,
    /// [`Fault::OneWay`].
    OneWay,
    /// [`Fault::CutClients`].
    CutClients,
    /// [`Fault::SlowDisk`].
    SlowDisk,
    /// [`Fault::Compact`].
    Compact,
    /// [`Fault::CrashLeader`].
    CrashLeader,
    /// [`Fault::KillFollowers`].
    KillFollowers,
    /// [`Fault::CutAndKillFollowers`].
    CutAndKillFollowers,
    /// [`Fault::PauseLeader`].
    PauseLeader,
    /// [`Fault::IsolateLeader`].
    IsolateLeader,
    /// [`Fault::CrashAtAck`].
    CrashAtAck,
    /// [`Fault::FailSync`].
    FailSync,
    /// [`Fault::Flip`].
    Flip,
    /// [`Fault::StepWall`].
    StepWall,
    /// Frames are lost.
    Loss,
    /// Frames come twice.
    Duplication,
    /// Some frames take a hundred times as long.
    Tail,
    /// Clocks run at different rates.
    Drift,
}

impl FaultClass {
    /// Those that strike at moments.
    pub const EVENTS: [Self; 18] = [
        Self::Crash,
        Self::CrashAll,
        Self::Kill,
        Self::Pause,
        Self::Partition,
        Self::OneWay,
        Self::CutClients,
        Self::SlowDisk,
        Self::Compact,
        Self::CrashLeader,
        Self::KillFollowers,
        Self::CutAndKillFollowers,
        Self::PauseLeader,
        Self::IsolateLeader,
        Self::CrashAtAck,
        Self::FailSync,
        Self::Flip,
        Self::StepWall,
    ];
    /// Those that last.
    pub const WEATHER: [Self; 4] = [Self::Loss, Self::Duplication, Self::Tail, Self::Drift];
}

/// Classes of faults of a seed, and how often they strike.
#[derive(Clone, Debug)]
pub struct FaultPlan {
    /// Faults and their moments, in order.
    pub events: Vec<(Duration, Fault)>,
    /// The weather while the safety phase lasts.
    pub weather: Weather,
    /// The largest difference of clock rates, parts per million.
    pub drift_ppm: u64,
    /// The classes that are on.
    pub classes: Vec<FaultClass>,
}

/// Tries of [`Fault::CutAndKillFollowers`].
const STALE_TRIES: u32 = 3;

/// Probability that a class of events is on in a seed.
const CLASS_ON: f64 = 0.35;

impl FaultPlan {
    /// Nothing breaks.
    pub fn none() -> Self {
        Self { events: Vec::new(), weather: Weather::default(), drift_ppm: 0, classes: Vec::new() }
    }

    /// Draws which classes are on, then when they strike, within a safety phase of `length`.
    pub fn draw(rng: &mut Rng, nodes: &[NodeId], length: Duration) -> Self {
        let mut plan = Self::none();
        plan.draw_weather(rng);
        let strikes: Vec<FaultClass> =
            FaultClass::EVENTS.into_iter().filter(|_| rng.chance(CLASS_ON)).collect();
        let strikes = if strikes.is_empty() { vec![FaultClass::Crash] } else { strikes };
        plan.classes.extend(&strikes);
        // One machine's bits flip, so that a good copy of everything stays somewhere.
        let victim = rng.pick(nodes).copied().unwrap_or_default();
        let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        let mut at_ms = rng.between(500, 2_000);
        while at_ms < length_ms {
            let class = rng.pick(&strikes).copied().unwrap_or(FaultClass::Crash);
            let at = Duration::from_millis(at_ms);
            let fault = draw_one(rng, nodes, victim, class);
            if cuts(&fault) {
                let lasts = Duration::from_millis(rng.between(100, 4_000)).max(least(&fault));
                plan.events.push((at + lasts, Fault::Heal));
            }
            plan.events.push((at, fault));
            at_ms += rng.between(300, 4_000);
        }
        plan.events.sort_by_key(|(at, _)| *at);
        plan
    }

    fn draw_weather(&mut self, rng: &mut Rng) {
        self.weather.latency_us = 100 << rng.below(6);
        if rng.chance(0.4) {
            self.weather.loss = [0.001, 0.01, 0.05, 0.2][rng.below(4) as usize];
            self.classes.push(FaultClass::Loss);
        }
        if rng.chance(0.4) {
            self.weather.duplication = [0.01, 0.1, 0.4][rng.below(3) as usize];
            self.classes.push(FaultClass::Duplication);
        }
        if rng.chance(0.3) {
            self.weather.tail = [0.001, 0.01][rng.below(2) as usize];
            self.classes.push(FaultClass::Tail);
        }
        if rng.chance(0.5) {
            self.drift_ppm = rng.between(1, 50_000);
            self.classes.push(FaultClass::Drift);
        }
    }
}

/// What takes its time must not be healed before.
fn least(fault: &Fault) -> Duration {
    match fault {
        Fault::CutAndKillFollowers(..) => Duration::from_millis(3_000),
        _ => Duration::ZERO,
    }
}

fn cuts(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Partition(_)
            | Fault::OneWay(..)
            | Fault::CutClients(_)
            | Fault::IsolateLeader(_)
            | Fault::CutAndKillFollowers(..)
            | Fault::CutAndKill { .. }
    )
}

fn draw_one(rng: &mut Rng, nodes: &[NodeId], victim: NodeId, class: FaultClass) -> Fault {
    let one = rng.pick(nodes).copied().unwrap_or_default();
    let other = rng.pick(nodes).copied().unwrap_or_default();
    let down = Duration::from_millis(rng.between(10, 3_000));
    // Mostly the shard that holds the data.
    let shard = ShardId(u32::from(rng.chance(0.8)));
    match class {
        FaultClass::Crash => Fault::Crash(one, down),
        FaultClass::CrashAll => Fault::CrashAll(down),
        FaultClass::Kill => Fault::Kill(one, down),
        FaultClass::Pause => Fault::Pause(one, Duration::from_millis(rng.between(50, 3_000))),
        FaultClass::Partition => {
            let mut side = nodes.to_vec();
            rng.shuffle(&mut side);
            side.truncate(usize::try_from(rng.between(1, nodes.len() as u64 / 2)).unwrap_or(1));
            Fault::Partition(side)
        }
        FaultClass::OneWay if one != other => Fault::OneWay(one, other),
        FaultClass::OneWay => Fault::IsolateLeader(shard),
        FaultClass::CutClients => Fault::CutClients(one),
        FaultClass::SlowDisk => Fault::SlowDisk(one, Duration::from_millis(1 << rng.below(8))),
        FaultClass::Compact => Fault::Compact(one),
        FaultClass::CrashLeader => Fault::CrashLeader(shard, down),
        FaultClass::KillFollowers => Fault::KillFollowers(shard, down / 100),
        FaultClass::CutAndKillFollowers => {
            let shard = ShardId(u32::from(rng.chance(0.5)));
            Fault::CutAndKillFollowers(shard, down / 1_000, STALE_TRIES)
        }
        FaultClass::PauseLeader => Fault::PauseLeader(shard, down),
        FaultClass::IsolateLeader => Fault::IsolateLeader(shard),
        FaultClass::CrashAtAck => Fault::CrashAtAck { all: rng.chance(0.5), down },
        FaultClass::FailSync => Fault::FailSync(one),
        FaultClass::Flip => Fault::Flip(victim, down),
        FaultClass::StepWall => {
            let hour_us = 3_600_000_000;
            Fault::StepWall(one, rng.below(2 * hour_us) as i64 - hour_us as i64)
        }
        FaultClass::Loss | FaultClass::Duplication | FaultClass::Tail | FaultClass::Drift => {
            Fault::Heal // these are weather
        }
    }
}
