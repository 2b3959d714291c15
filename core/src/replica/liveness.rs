//! Who is dead: the system shard's leader listens to the nodes' beats.
//!
//! Beats are volatile; only the verdict is replicated. It ends what the node's present life holds, and
//! nothing else: a node that beats again is simply alive again.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::id::{Incarnation, NodeId};
use crate::base::time::Mono;

/// Nodes send beats this often.
pub const BEAT_EVERY: Duration = Duration::from_millis(250);
/// A node not heard of for so long is dead.
pub const SILENCE_MAX: Duration = Duration::from_millis(1_000);
/// Nodes listened to.
const NODES_MAX: usize = 1_024;

#[derive(Clone, Copy, Debug)]
struct Beat {
    incarnation: Incarnation,
    at: Mono,
    judged: bool,
}

/// Beats, as a leader has heard them.
#[derive(Debug, Default)]
pub struct Liveness {
    beats: BTreeMap<NodeId, Beat>,
}

impl Liveness {
    /// A node was heard.
    pub fn hear(&mut self, node: NodeId, incarnation: Incarnation, now: Mono) {
        if NODES_MAX <= self.beats.len() && !self.beats.contains_key(&node) {
            return;
        }
        let beat = self.beats.entry(node).or_insert(Beat { incarnation, at: now, judged: false });
        // A frame of an earlier life that comes late says nothing.
        if beat.incarnation <= incarnation {
            *beat = Beat { incarnation, at: now.max(beat.at), judged: false };
        }
    }

    /// A new leader counts the silence of a node from when it was last heard on this one, but gives it
    /// half of the time to be heard by whoever leads now.
    pub fn expect(&mut self, node: NodeId, incarnation: Incarnation, heard: Mono, now: Mono) {
        let grace_ns = u64::try_from(SILENCE_MAX.as_nanos() / 2).unwrap_or(u64::MAX);
        let at = heard.max(Mono(now.0.saturating_sub(grace_ns)));
        if self.beats.len() < NODES_MAX {
            self.beats.entry(node).or_insert(Beat { incarnation, at, judged: false });
        }
    }

    /// Nodes that have fallen silent since the last call. Whoever judges lives: a node that was held
    /// up looks before it hears its own beats.
    pub fn judge(&mut self, now: Mono, judge: Option<NodeId>) -> Vec<(NodeId, Incarnation)> {
        let mut dead = Vec::new();
        for (node, beat) in &mut self.beats {
            if Some(*node) != judge && !beat.judged && SILENCE_MAX <= now.since(beat.at) {
                beat.judged = true;
                dead.push((*node, beat.incarnation));
            }
        }
        dead
    }

    /// When each node was last heard of.
    pub fn last_heard(&self) -> impl Iterator<Item = (NodeId, Mono)> {
        self.beats.iter().map(|(node, beat)| (*node, beat.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_judged_once_and_a_new_life_begins_anew() {
        let (node, second) = (NodeId::machine(1), 1_000_000_000);
        let mut liveness = Liveness::default();
        liveness.hear(node, Incarnation(2), Mono(0));
        assert!(liveness.judge(Mono(second - 1), None).is_empty());
        assert!(liveness.judge(Mono(second), Some(node)).is_empty(), "it judged itself");
        assert_eq!(liveness.judge(Mono(second), None), [(node, Incarnation(2))]);
        assert!(liveness.judge(Mono(2 * second), None).is_empty());
        liveness.hear(node, Incarnation(1), Mono(2 * second));
        assert!(liveness.judge(Mono(9 * second), None).is_empty(), "an old frame is no life");
        liveness.hear(node, Incarnation(3), Mono(9 * second));
        assert_eq!(liveness.judge(Mono(10 * second), None), [(node, Incarnation(3))]);
    }

    #[test]
    fn who_is_expected_and_not_heard_is_judged_too() {
        let (silent, heard) = (NodeId::machine(1), NodeId::machine(2));
        let mut liveness = Liveness::default();
        liveness.hear(heard, Incarnation(9), Mono(5));
        liveness.expect(silent, Incarnation(4), Mono(10), Mono(10));
        liveness.expect(heard, Incarnation(8), Mono(10), Mono(10));
        liveness.hear(heard, Incarnation(9), Mono(1_000_000_000));
        assert_eq!(liveness.judge(Mono(1_000_000_010), None), [(silent, Incarnation(4))]);
    }

    #[test]
    fn silence_before_an_election_counts_for_half() {
        let (stopped, fresh, ms) = (NodeId::machine(1), NodeId::machine(2), 1_000_000);
        let mut liveness = Liveness::default();
        liveness.expect(stopped, Incarnation(1), Mono(0), Mono(9_000 * ms));
        liveness.expect(fresh, Incarnation(1), Mono(8_900 * ms), Mono(9_000 * ms));
        assert!(liveness.judge(Mono(9_499 * ms), None).is_empty());
        assert_eq!(liveness.judge(Mono(9_500 * ms), None), [(stopped, Incarnation(1))]);
        assert!(liveness.judge(Mono(9_899 * ms), None).is_empty());
        assert_eq!(liveness.judge(Mono(9_900 * ms), None), [(fresh, Incarnation(1))]);
    }
}
