//! Nodes behind partitions, under the real byte streams.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use shardforge_core::base::rng::Rng;
use shardforge_io_sim::Rows;
use sim_tests::checker::serial;
use sim_tests::history::History;
use sim_tests::workload::driver::Driver;
use sim_tests::workload::list_append::{Appender, schema};
use tokio::time::{sleep, timeout};

use crate::backend::lists;
use crate::client::{Client, drive, insist};
use crate::cluster::{HOSTS, init, run, simulation};
use crate::network::{self, Traced};

const PATIENCE: Duration = Duration::from_secs(20);
const CLIENTS: usize = 4;

/// Runs a simulation in a thread of its own, with the C library's clock and randomness from the seed.
fn in_own_thread<T: Send + 'static>(scenario: impl FnOnce() -> T + Send + 'static) -> T {
    match std::thread::spawn(scenario).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn seed_or(otherwise: u64) -> u64 {
    std::env::var("SIM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(otherwise)
}

/// The majority goes on without the node that is cut off, the minority acknowledges nothing, and
/// after the cut all three know the same.
///
/// Method: write through every node; cut one off, which also breaks its HTTP/2 connections half-way;
/// write through the others and try the one; heal; read everywhere.
#[test]
fn partition_of_one_node_loses_nothing_and_heals() {
    let seed = seed_or(11);
    in_own_thread(move || {
        let mut sim = simulation(seed);
        sim.0.client("operator", cut_one_off());
        run(seed, "partition_of_one_node_loses_nothing_and_heals", sim);
    });
}

async fn cut_one_off() -> turmoil::Result {
    init().await;
    insist("n1", "CREATE TABLE t (id int PRIMARY KEY)", PATIENCE).await;
    for (id, host) in HOSTS.into_iter().enumerate() {
        insist(host, &format!("INSERT INTO t VALUES ({id})"), PATIENCE).await;
    }
    for other in ["n2", "n3"] {
        turmoil::partition("n1", other);
    }
    insist("n2", "INSERT INTO t VALUES (10)", PATIENCE).await;
    insist("n3", "INSERT INTO t VALUES (11)", PATIENCE).await;
    let alone = async {
        let mut client = Client::connect("n1").await?;
        client.query("SET statement_timeout = '3s'").await?;
        client.query("INSERT INTO t VALUES (12)").await
    };
    let alone = timeout(Duration::from_secs(10), alone).await;
    let acknowledged = matches!(&alone, Ok(Ok(answer)) if answer.error.is_none());
    assert!(!acknowledged, "acknowledged without a majority: {alone:?}");
    for other in ["n2", "n3"] {
        turmoil::repair("n1", other);
    }
    insist("n1", "INSERT INTO t VALUES (13)", PATIENCE).await;
    for host in HOSTS {
        // 12 may or may not have happened: its client was never told.
        let rows = insist(host, "SELECT id FROM t WHERE id <> 12 ORDER BY id", PATIENCE).await;
        let ids: Vec<_> = rows.iter().map(|row| row[0].as_deref().unwrap_or_default()).collect();
        assert_eq!(ids, ["0", "1", "2", "10", "11", "13"], "{host}");
    }
    Ok(())
}

/// What a run of the workload did.
#[derive(Debug, PartialEq)]
struct Outcome {
    trace: Traced,
    committed: usize,
    errors: BTreeMap<String, u64>,
}

/// List-append transactions over all nodes while links between them are cut, one-way too, and held.
fn appends_under_cuts(seed: u64, cuts: u32) -> Outcome {
    in_own_thread(move || {
        let history = Rc::new(RefCell::new(History::default()));
        let stop = Rc::new(RefCell::new(false));
        let started = Rc::new(Cell::new(false));
        let busy = Rc::new(Cell::new(CLIENTS));
        let last = Rc::new(RefCell::new(Rows::new()));
        let mut sim = simulation(seed);
        for number in 0..CLIENTS {
            let work = Appender::new(seed, number);
            let script = Driver::new(seed, number, work, Rc::clone(&history), Rc::clone(&stop));
            let (started, busy) = (Rc::clone(&started), Rc::clone(&busy));
            sim.0.client(format!("c{number}"), async move {
                while !started.get() {
                    sleep(Duration::from_millis(20)).await;
                }
                drive(script, number).await;
                busy.set(busy.get() - 1);
                Ok(())
            });
        }
        let (ended, read) = (Rc::clone(&stop), Rc::clone(&last));
        sim.0.client("operator", async move {
            init().await;
            insist("n1", &schema(), PATIENCE).await;
            started.set(true);
            weather(seed, cuts).await;
            sleep(Duration::from_secs(2)).await;
            *ended.borrow_mut() = true;
            while 0 < busy.get() {
                sleep(Duration::from_millis(20)).await;
            }
            let lists = insist("n2", "SELECT k, v FROM lists ORDER BY k", PATIENCE).await;
            *read.borrow_mut() = lists;
            Ok(())
        });
        let trace = run(seed, "appends_are_serializable_under_cuts", sim);
        let history = history.borrow();
        if let Err(what) = serial::check(&history, &lists(&last.borrow())) {
            panic!(
                "{}serializability: {what}",
                network::replay(seed, "appends_are_serializable_under_cuts")
            );
        }
        Outcome { trace, committed: history.committed_count(), errors: history.errors.clone() }
    })
}

/// Cuts of a few hundred milliseconds to seconds, drawn from the seed.
async fn weather(seed: u64, cuts: u32) {
    let mut rng = Rng::stream(seed, "weather");
    for _ in 0..cuts {
        sleep(Duration::from_millis(rng.between(200, 1_500))).await;
        let (one, other) = (rng.below(3) as usize, rng.between(1, 2) as usize);
        let (one, other) = (HOSTS[one], HOSTS[(one + other) % 3]);
        let length = Duration::from_millis(rng.between(300, 3_000));
        match rng.below(4) {
            0 => turmoil::partition(one, other),
            1 => turmoil::partition_oneway(one, other),
            2 => turmoil::hold(one, other),
            _ => HOSTS.into_iter().filter(|h| *h != one).for_each(|h| turmoil::partition(one, h)),
        }
        sleep(length).await;
        for (at, one) in HOSTS.into_iter().enumerate() {
            for other in &HOSTS[at + 1..] {
                turmoil::repair(one, *other);
                turmoil::release(one, *other);
            }
        }
    }
}

/// What clients saw while links were cut is strictly serializable, and nothing acknowledged is lost.
#[test]
fn appends_are_serializable_under_cuts() {
    let outcome = appends_under_cuts(seed_or(3), 6);
    println!("{outcome:?}");
    assert!(
        100 < outcome.committed,
        "the workload was starved, so this proves little: {outcome:?}"
    );
}

/// Every byte on every connection comes again, at the same moment.
#[test]
fn same_seed_same_bytes() {
    let (first, second) = (appends_under_cuts(5, 2), appends_under_cuts(5, 2));
    assert_eq!(first, second);
    assert!(1_000 < first.trace.count, "the trace is empty");
    assert_ne!(
        first.trace,
        appends_under_cuts(6, 1).trace,
        "the trace does not depend on the seed"
    );
}
