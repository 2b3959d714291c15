//! Nodes killed and restarted while transactions run.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use madsim::time::sleep;
use shardforge_core::base::rng::Rng;
use shardforge_core::node::CoreConfig;
use shardforge_io_sim_madsim::{Ran, World};
use sim_tests::checker::serial;
use sim_tests::history::History;
use sim_tests::workload::driver::Driver;
use sim_tests::workload::list_append::{Appender, schema};

use crate::backend::{lists, planted};
use crate::client::{drive, insist};

const CLIENTS: usize = 4;
const LIMIT: Duration = Duration::from_secs(180);

/// What a run of the workload did.
#[derive(Debug, PartialEq)]
struct Outcome {
    trace: (u64, u64),
    committed: usize,
    torn: u64,
    errors: BTreeMap<String, u64>,
}

/// Runs a seed in a thread of its own: std draws the keys of a thread's hash maps once.
fn run(seed: u64, kills: u32) -> Outcome {
    let ran = std::thread::spawn(move || {
        let folder = std::env::var_os("SIM_TRACE");
        let scenario = async |world: Rc<World>| appends_under_kills(world, kills).await;
        let config =
            CoreConfig { segment_bytes: 1 << 20, faults: planted(), ..CoreConfig::default() };
        let keep_lines = folder.is_some();
        let attempt =
            || shardforge_io_sim_madsim::run(seed, 3, &config, LIMIT, keep_lines, scenario);
        let (history, ran) = catch_unwind(AssertUnwindSafe(attempt)).unwrap_or_else(|panic| {
            eprintln!("replay: SIM_SEED={seed} cargo test -p sim-tests --test madsim appends");
            std::panic::resume_unwind(panic)
        });
        let Ran { hash, count, lines, torn } = ran;
        if let Some(folder) = folder {
            let path = Path::new(&folder).join(format!("appends_under_kills-{seed}.trace"));
            std::fs::write(path, lines.join("\n")).expect("SIM_TRACE is a folder");
        }
        let errors = history.errors.clone();
        Outcome { trace: (hash, count), committed: history.committed_count(), torn, errors }
    });
    match ran.join() {
        Ok(outcome) => outcome,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// List-append transactions over all nodes while nodes are killed at random awaits, alone, in pairs or
/// all at once, and restarted.
///
/// # Panics
///
/// If what the clients saw is not strictly serializable, or replicas differ in the end.
async fn appends_under_kills(world: Rc<World>, kills: u32) -> History {
    world.init().await;
    insist(&world, 0, &schema()).await;
    let history = Rc::new(RefCell::new(History::default()));
    let stop = Rc::new(RefCell::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (history, stop) = (Rc::clone(&history), Rc::clone(&stop));
            let work = Appender::new(world.seed(), number);
            let script = Driver::new(world.seed(), number, work, history, stop);
            madsim::task::spawn_local(drive(Rc::clone(&world), script, number))
        })
        .collect();
    kill_and_restart(&world, kills).await;
    sleep(Duration::from_secs(3)).await;
    *stop.borrow_mut() = true;
    for client in clients {
        client.await.expect("a client has run to its end");
    }
    let rows = insist(&world, 1, "SELECT k, v FROM lists ORDER BY k").await;
    let history = history.take();
    if let Err(what) = serial::check(&history, &lists(&rows)) {
        panic!("serializability: {what}");
    }
    // Followers apply what the last transactions left behind.
    sleep(Duration::from_secs(3)).await;
    let diverged = world.diverged();
    assert!(diverged.is_empty(), "convergence: replicas of {diverged:?} differ");
    history
}

async fn kill_and_restart(world: &Rc<World>, kills: u32) {
    let mut rng = Rng::stream(world.seed(), "kills");
    for _ in 0..kills {
        sleep(Duration::from_micros(rng.between(200_000, 1_500_000))).await;
        let mut victims = world.ids();
        rng.shuffle(&mut victims);
        victims.truncate([1, 1, 1, 2, 3][rng.below(5) as usize]);
        victims.iter().for_each(|id| world.kill(*id));
        for id in victims {
            sleep(Duration::from_micros(rng.below(600_000))).await;
            world.restart(id);
        }
    }
}

fn seed_or(otherwise: u64) -> u64 {
    std::env::var("SIM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(otherwise)
}

/// What clients saw while nodes died is strictly serializable; nothing acknowledged is lost.
#[test]
fn appends_are_serializable_under_kills() {
    let outcome = run(seed_or(1), 30);
    println!("{outcome:?}");
    assert!(
        100 < outcome.committed,
        "the workload was starved, so this proves little: {outcome:?}"
    );
    assert!(0 < outcome.torn, "no kill found unsynced bytes: {outcome:?}");
}

/// The same tasks, the same bytes, at the same moments.
#[test]
fn same_seed_same_trace() {
    let (first, second) = (run(2, 3), run(2, 3));
    assert_eq!(first, second);
    assert!(1_000 < first.trace.1, "the trace is empty");
    assert_ne!(first.trace, run(3, 1).trace, "the trace does not depend on the seed");
}
