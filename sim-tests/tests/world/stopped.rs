//! A leader that is stopped, not dead: nobody hears that it is gone.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use shardforge_core::base::id::{SYSTEM_SHARD, ShardId};
use shardforge_core::base::time::Mono;
use shardforge_io_sim::trace::Trace;
use shardforge_io_sim::{ClientScript, Cluster, Fault, FaultPlan, Next, Outcome, World};

use crate::filler::fill;

/// An election takes half a second; a question to the stopped node is waited for for one and a half.
const SILENCE_MAX: Duration = Duration::from_millis(1_000);

/// In four of these a gateway asked the new leader between its election and its first entry, took its
/// answer for a denial, and went on to the stopped one: two seconds.
const SEEDS: [u64; 6] = [1, 2, 12, 15, 19, 24];

/// Inserts rows for ever and notes when each was acknowledged.
struct Writer {
    first: u32,
    written: u32,
    acknowledged: Rc<RefCell<Vec<Mono>>>,
}

impl ClientScript for Writer {
    fn next(&mut self, now: Mono, outcome: Outcome) -> Next {
        if let Outcome::Done { .. } = outcome {
            self.acknowledged.borrow_mut().push(now);
        }
        self.written += 1;
        Next::Query(format!("INSERT INTO t0 VALUES ({}, 'x')", self.first + self.written))
    }
}

/// The longest time without an acknowledgement after both shards' leaders have stopped.
fn silence(seed: u64) -> Duration {
    let mut world = World::new(seed, &Cluster::of(3), &FaultPlan::none(), Trace::default());
    world.init();
    fill(&mut world, 1, 1);
    let acknowledged = Rc::new(RefCell::new(Vec::new()));
    for client in 0..6 {
        let acknowledged = Rc::clone(&acknowledged);
        let first = 1_000_000 * (client + 1);
        world.add_client(Box::new(Writer { first, written: 0, acknowledged }));
    }
    world.run_for(Duration::from_secs(1));
    let stopped_at = world.now();
    let mut plan = FaultPlan::none();
    for shard in [SYSTEM_SHARD, ShardId(1)] {
        plan.events.push((Duration::ZERO, Fault::PauseLeader(shard, Duration::from_secs(4))));
    }
    world.schedule(&plan);
    world.run_for(Duration::from_secs(4));
    let times = acknowledged.borrow();
    let after = times.iter().filter(|at| stopped_at <= **at);
    let mut last = stopped_at;
    let mut longest = Duration::ZERO;
    for at in after.chain([&world.now()]) {
        longest = longest.max(at.since(last));
        last = *at;
    }
    longest
}

#[test]
fn a_stopped_leader_is_not_waited_for() {
    for seed in SEEDS {
        let silence = silence(seed);
        assert!(silence <= SILENCE_MAX, "seed {seed}: nothing was acknowledged for {silence:?}");
    }
}
