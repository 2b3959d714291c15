//! The log of a node stays short, whoever writes seldom.

use std::time::Duration;

use shardforge_io_sim::trace::Trace;
use shardforge_io_sim::{Cluster, FaultPlan, World};

use crate::filler::fill;

/// The log's own bound is 8; the newest ones are in use, or wait for the flush that frees them.
const SEGMENTS_MAX: usize = 12;

/// A group that holds much of the oldest segment, all of it flushed and kept for slow peers, does not
/// keep that segment and all that came after.
#[test]
fn an_idle_group_keeps_no_segments() {
    let mut cluster = Cluster::of(3);
    cluster.config.segment_bytes = 128 << 10;
    cluster.config.log_keep_entries = 50;
    cluster.config.log_flush_bytes = 64 << 10;
    let mut world = World::new(1, &cluster, &FaultPlan::none(), Trace::default());
    world.init();
    fill(&mut world, 120, 1_500);
    world.run_for(Duration::from_secs(10));
    for (id, host) in world.hosts() {
        let kept = host.disk.image().segments.len();
        let filled = host.disk.written_bytes / cluster.config.segment_bytes;
        assert!(2 * SEGMENTS_MAX as u64 <= filled, "{id} wrote too little to show anything");
        assert!(kept <= SEGMENTS_MAX, "{id} keeps {kept} segments of {filled}");
    }
}
