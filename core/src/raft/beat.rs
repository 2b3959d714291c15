//! Heartbeats of many groups: one stream a pair of nodes.
//!
//! Every group of a node beats at the same moments, the multiples of the interval on the boot clock. A
//! node's messages of one moment to one peer travel as one frame, so however many groups a node leads,
//! a peer gets one frame an interval from it and gives one back.

use std::rc::Rc;
use std::time::Duration;

use super::group::RaftGroup;
use crate::base::time::Mono;

impl RaftGroup {
    /// Lets the followers hear this node at every beat while it leads.
    pub(super) fn beat(&self) {
        let weak = Rc::downgrade(&self.0);
        let step = self.inner().step.clone();
        let every = Duration::from_millis(self.config().heartbeat_ms);
        self.inner().step.spawn_detached(async move {
            loop {
                step.sleep_until(next_beat(step.now(), every)).await;
                let Some(group) = weak.upgrade().map(Self) else { return };
                if group.leads().is_some() && group.raft().trigger().heartbeat().await.is_err() {
                    // The group has stopped.
                    return;
                }
            }
        });
    }
}

/// The first beat after `now`.
fn next_beat(now: Mono, every: Duration) -> Mono {
    let every = u64::try_from(every.as_nanos()).unwrap_or(u64::MAX);
    Mono((now.0 / every + 1).saturating_mul(every))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beats_do_not_depend_on_who_counts_them() {
        let every = Duration::from_millis(50);
        let at = |ms| Mono::ZERO + Duration::from_millis(ms);
        assert_eq!(next_beat(at(0), every), at(50));
        assert_eq!(next_beat(at(49), every), at(50));
        assert_eq!(next_beat(at(50), every), at(100));
        assert_eq!(next_beat(at(50) + Duration::from_nanos(1), every), at(100));
    }
}
