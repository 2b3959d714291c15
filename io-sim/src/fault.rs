//! What breaks, and when: drawn from the seed, or said by a scenario.

use std::time::Duration;

use shardforge_core::base::id::NodeId;
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
}

impl FaultPlan {
    /// Nothing breaks.
    pub fn none() -> Self {
        Self { events: Vec::new(), weather: Weather::default(), drift_ppm: 0 }
    }

    /// Draws which classes are on, then when they strike, within a safety phase of `length`.
    pub fn draw(rng: &mut Rng, nodes: &[NodeId], length: Duration) -> Self {
        let mut weather = Weather { latency_us: 100 << rng.below(6), ..Weather::default() };
        if rng.chance(0.5) {
            weather.loss = [0.001, 0.01, 0.05, 0.2][rng.below(4) as usize];
        }
        if rng.chance(0.4) {
            weather.duplication = [0.01, 0.1, 0.4][rng.below(3) as usize];
        }
        if rng.chance(0.3) {
            weather.tail = [0.001, 0.01][rng.below(2) as usize];
        }
        let classes: Vec<u64> = (0..8).filter(|_| rng.chance(0.5)).collect();
        let classes = if classes.is_empty() { vec![0] } else { classes };
        let mut events = Vec::new();
        let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        let mut at_ms = rng.between(500, 2_000);
        while at_ms < length_ms {
            let class = rng.pick(&classes).copied().unwrap_or(0);
            let at = Duration::from_millis(at_ms);
            let fault = draw_one(rng, nodes, class);
            if matches!(fault, Fault::Partition(_) | Fault::OneWay(..) | Fault::CutClients(_)) {
                let lasts = Duration::from_millis(rng.between(100, 4_000));
                events.push((at + lasts, Fault::Heal));
            }
            events.push((at, fault));
            at_ms += rng.between(300, 5_000);
        }
        events.sort_by_key(|(at, _)| *at);
        let drift_ppm = if rng.chance(0.5) { rng.below(50_000) } else { 0 };
        Self { events, weather, drift_ppm }
    }
}

fn draw_one(rng: &mut Rng, nodes: &[NodeId], class: u64) -> Fault {
    let one = rng.pick(nodes).copied().unwrap_or_default();
    let other = rng.pick(nodes).copied().unwrap_or_default();
    let down = Duration::from_millis(rng.between(10, 3_000));
    match class {
        0 => Fault::Crash(one, down),
        1 => Fault::CrashAll(down),
        2 => Fault::Pause(one, Duration::from_millis(rng.between(50, 3_000))),
        3 => {
            let mut side = nodes.to_vec();
            rng.shuffle(&mut side);
            side.truncate(usize::try_from(rng.between(1, nodes.len() as u64 / 2)).unwrap_or(1));
            Fault::Partition(side)
        }
        4 if one != other => Fault::OneWay(one, other),
        5 => Fault::CutClients(one),
        6 => Fault::SlowDisk(one, Duration::from_millis(1 << rng.below(8))),
        7 => Fault::Compact(one),
        _ => Fault::Crash(other, down),
    }
}
