//! The network between machines and to clients: late, lost, doubled, reordered, cut.

use std::collections::BTreeSet;
use std::time::Duration;

use shardforge_core::base::id::NodeId;
use shardforge_core::base::rng::Rng;

/// How the network misbehaves now.
#[derive(Clone, Debug)]
pub struct Weather {
    /// Mean one-way latency, microseconds.
    pub latency_us: u64,
    /// Probability that a frame is lost.
    pub loss: f64,
    /// Probability that a frame comes twice, the second time later.
    pub duplication: f64,
    /// Probability that a frame takes a hundred times as long.
    pub tail: f64,
}

impl Default for Weather {
    fn default() -> Self {
        Self { latency_us: 200, loss: 0.0, duplication: 0.0, tail: 0.0 }
    }
}

/// Who cannot reach whom, and how slow the rest is.
#[derive(Clone, Debug, Default)]
pub struct Net {
    /// The weather.
    pub weather: Weather,
    cut: BTreeSet<(NodeId, NodeId)>,
    clients_cut: BTreeSet<NodeId>,
    /// Frames given to the network, and frames that it lost.
    pub sent: u64,
    /// See `sent`.
    pub lost: u64,
}

impl Net {
    /// After how long a frame arrives; none: never; two: twice.
    pub fn send(&mut self, rng: &mut Rng, from: NodeId, to: NodeId) -> Vec<Duration> {
        self.sent += 1;
        if self.cut.contains(&(from, to)) || rng.chance(self.weather.loss) {
            self.lost += 1;
            return Vec::new();
        }
        let mut arrivals = vec![self.latency(rng)];
        if rng.chance(self.weather.duplication) {
            let late = if rng.chance(0.1) { rng.between(1, 20_000) } else { rng.between(1, 50) };
            arrivals.push(self.latency(rng) + Duration::from_millis(late));
        }
        arrivals
    }

    /// One latency: exponential about the mean, sometimes a hundred times as much.
    pub fn latency(&self, rng: &mut Rng) -> Duration {
        // -ln(u) with a table-free approximation would differ between platforms' libms; a sum of
        // uniforms is exact and has the same mean.
        let units = rng.below(1_000) + rng.below(1_000);
        let mut us = self.weather.latency_us * units / 1_000;
        if rng.chance(self.weather.tail) {
            us *= 100;
        }
        Duration::from_micros(us.max(1))
    }

    /// Cuts one direction.
    pub fn cut(&mut self, from: NodeId, to: NodeId) {
        self.cut.insert((from, to));
    }

    /// Cuts `side` off from all others among `all`, both ways.
    pub fn partition(&mut self, all: &[NodeId], side: &[NodeId]) {
        for a in all {
            for b in all {
                if side.contains(a) != side.contains(b) {
                    self.cut.insert((*a, *b));
                }
            }
        }
    }

    /// Ends the cuts between two nodes.
    pub fn join(&mut self, a: NodeId, b: NodeId) {
        self.cut.remove(&(a, b));
        self.cut.remove(&(b, a));
    }

    /// Cuts clients off from a node.
    pub fn cut_clients(&mut self, node: NodeId) {
        self.clients_cut.insert(node);
    }

    /// Whether clients reach a node.
    pub fn clients_reach(&self, node: NodeId) -> bool {
        !self.clients_cut.contains(&node)
    }

    /// Ends all cuts.
    pub fn heal(&mut self) {
        self.cut.clear();
        self.clients_cut.clear();
    }
}
