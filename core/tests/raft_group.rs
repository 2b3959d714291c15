//! Three replicas of a group on a hostile network and forgetful disks, watched by raft's own laws.
//!
//! Seeds are fixed; `RAFT_SEEDS` and `RAFT_BASE` choose others. A failure prints its seed.

#[path = "raft_group/disk.rs"]
mod disk;
#[path = "raft_group/machine.rs"]
mod machine;
#[path = "raft_group/oracle.rs"]
mod oracle;
#[path = "raft_group/plan.rs"]
mod plan;
#[path = "raft_group/world.rs"]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use plan::{Plan, Summary};
use world::World;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Runs one seed to its end; gives the hash of its trace and what it did.
fn run(plan: Plan) -> Summary {
    let mut world = World::new(plan);
    world.run();
    world.summary()
}

/// Safety under faults, then liveness after they end, over many seeds.
#[test]
fn laws_of_raft_hold_under_faults() {
    let (base, seeds) = (number("RAFT_BASE", 1), number("RAFT_SEEDS", 12));
    let mut total = Summary::default();
    for seed in base..base + seeds {
        let ran = catch_unwind(AssertUnwindSafe(|| run(Plan::faulty(seed))));
        let Ok(summary) = ran else {
            panic!("seed {seed} broke a law: RAFT_BASE={seed} RAFT_SEEDS=1");
        };
        total.add(&summary);
    }
    println!("{seeds} seeds: {total:?}");
    assert!(50 * seeds < total.acknowledged, "too few writes to prove anything: {total:?}");
    assert!(seeds < total.crashes, "too few crashes to prove anything: {total:?}");
    assert!(seeds < total.elections, "too few elections to prove anything: {total:?}");
    assert!(100 * seeds < total.lease_reads, "too few lease reads: {total:?}");
}

/// The same seed gives the same trace, also within one process.
#[test]
fn same_seed_same_trace() {
    let first = run(Plan::faulty(7));
    let second = run(Plan::faulty(7));
    println!("trace of seed 7: {:016x}", first.trace);
    assert_eq!(first, second);
    assert_ne!(first.trace, run(Plan::faulty(8)).trace, "the trace does not depend on the seed");
}

/// Without faults one node serves alone, and three serve with one leader throughout.
#[test]
fn quiet_group_keeps_its_leader() {
    for nodes in [1, 3] {
        let summary = run(Plan::quiet(3, nodes));
        assert_eq!(summary.elections, 1, "a leader was lost without a fault");
        assert!(200 < summary.acknowledged, "{summary:?}");
        assert_eq!(summary.unknown, 0, "{summary:?}");
    }
}

/// Every planted bug of this room is found by a law, within a bounded number of seeds.
#[cfg(feature = "planted")]
#[test]
fn planted_bugs_are_found() {
    let seeds = number("RAFT_SEEDS", 60);
    let base = number("RAFT_BASE", 1);
    let only = number("RAFT_BUG", 0);
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let mut missed = Vec::new();
    for bug in [1_u16, 2, 7, 10, 12, 16, 42, 44] {
        if only != 0 && only != u64::from(bug) {
            continue;
        }
        let found = (base..base + seeds).find_map(|seed| {
            let ran = catch_unwind(AssertUnwindSafe(|| run(Plan::planted(seed, bug))));
            let law = ran.err()?;
            let law = law
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| law.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_default();
            Some((seed, law))
        });
        match found {
            Some((seed, law)) => println!("B{bug:02} found by seed {seed}: {law}"),
            None => missed.push(bug),
        }
    }
    std::panic::set_hook(quiet);
    assert!(missed.is_empty(), "not found within {seeds} seeds: {missed:?}");
}
