//! The breaking itself, on a thread of its own beside the load.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::plan::{Mode, Plan};
use super::undo;
use crate::cluster::Cluster;

/// How long a node that came back by snapshot may take.
const CATCH_UP: Duration = Duration::from_secs(60);
/// Entries that a follower may lag by under load and count as caught up.
const LAG_MAX: u64 = 500;
/// Entries that a node must lack for the others to have purged some: a flush comes every 300, and
/// 1,000 are kept for those who were away for a moment.
const PURGED_AFTER: u64 = 1_800;
/// Until those entries are flushed and purged: a fast machine writes more than a thousand in the time
/// between two flushes.
const PURGED_WITHIN: Duration = Duration::from_secs(3);
/// Times that a node which comes back is killed while its snapshot comes in, each time a little later.
const INTERRUPTIONS: u32 = 8;
const INTERRUPT_AFTER: Duration = Duration::from_millis(60);
/// Before each fault.
const CALM_MIN: Duration = Duration::from_secs(2);

/// Breaks the cluster until the load's time is over; leaves every node running.
///
/// # Errors
///
/// A node that ended by itself or did not come back.
pub fn inflict(cluster: &mut Cluster, plan: &Plan, began: Instant) -> io::Result<()> {
    let until = began + plan.duration;
    let mut turn = 0;
    while Instant::now() + plan.down < until {
        let next = Instant::now() + plan.every;
        let calm = plan.every.saturating_sub(plan.down).min(plan.every / 2).max(CALM_MIN);
        sleep_watching(cluster, calm, until)?;
        if until <= Instant::now() {
            break;
        }
        let number = turn % cluster.nodes.len();
        let at = began.elapsed().as_secs_f64();
        match plan.mode {
            Mode::None => {}
            Mode::Kill => {
                println!("{at:.1} s: kill -9 of n{}", number + 1);
                kill(cluster, plan, number)?;
                sleep(plan.down);
                cluster.start(number)?;
            }
            Mode::Stop => {
                println!("{at:.1} s: n{} stopped", number + 1);
                cluster.signal(number, "-STOP")?;
                sleep(plan.down);
                cluster.signal(number, "-CONT")?;
            }
            Mode::All => {
                println!("{at:.1} s: kill -9 of all");
                cluster.kill_all()?;
                for number in 0..cluster.nodes.len() {
                    drop_unsynced(cluster, plan, number)?;
                }
                sleep(plan.down);
                for number in 0..cluster.nodes.len() {
                    cluster.start(number)?;
                }
            }
            Mode::Snapshot => {
                let number = cluster.nodes.len() - 1;
                return fall_behind(cluster, plan, number, began);
            }
        }
        turn += 1;
        sleep_watching(cluster, next.saturating_duration_since(Instant::now()), until)?;
    }
    cluster.check_alive()
}

fn kill(cluster: &mut Cluster, plan: &Plan, number: usize) -> io::Result<()> {
    cluster.kill(number)?;
    drop_unsynced(cluster, plan, number)
}

fn drop_unsynced(cluster: &Cluster, plan: &Plan, number: usize) -> io::Result<()> {
    if plan.shim.is_some() {
        let node = &cluster.nodes[number];
        let undone = undo::restore(&node.data, &undo::journal_of(&node.data))?;
        println!("  n{}: {undone}", node.id);
    }
    Ok(())
}

fn sleep_watching(cluster: &mut Cluster, time: Duration, until: Instant) -> io::Result<()> {
    let end = until.min(Instant::now() + time);
    while Instant::now() < end {
        cluster.check_alive()?;
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Keeps a node down for `plan.down`, then watches it catch up.
fn fall_behind(
    cluster: &mut Cluster,
    plan: &Plan,
    number: usize,
    began: Instant,
) -> io::Result<()> {
    println!("{:.1} s: kill -9 of n{}", began.elapsed().as_secs_f64(), number + 1);
    let had = cluster.last_index(0).unwrap_or(0);
    kill(cluster, plan, number)?;
    sleep_watching(cluster, plan.down, began + plan.duration)?;
    while cluster.last_index(0).is_none_or(|last| last < had + PURGED_AFTER) {
        if began + plan.duration < Instant::now() {
            return Err(io::Error::other("the load was too slow for a log to be purged"));
        }
        sleep_watching(cluster, Duration::from_millis(500), began + plan.duration)?;
    }
    sleep_watching(cluster, PURGED_WITHIN, began + plan.duration)?;
    println!("{:.1} s: n{} is back", began.elapsed().as_secs_f64(), number + 1);
    for interruption in 1..=INTERRUPTIONS {
        cluster.start(number)?;
        cluster.wait_listening(number)?;
        sleep(INTERRUPT_AFTER * interruption);
        cluster.check_alive()?;
        kill(cluster, plan, number)?;
    }
    cluster.start(number)?;
    let took = cluster.wait_caught_up(LAG_MAX, CATCH_UP)?;
    println!("caught up after {} ms", took.as_millis());
    let installed = cluster.log_lines(number, "by a snapshot");
    println!("n{}'s log on snapshots: {installed:#?}", number + 1);
    if installed.is_empty() {
        return Err(io::Error::other("no snapshot was installed: the logs were not purged"));
    }
    // From here on the majority needs it.
    let other = (number + 1) % cluster.nodes.len();
    println!("{:.1} s: kill -9 of n{}", began.elapsed().as_secs_f64(), other + 1);
    kill(cluster, plan, other)?;
    sleep_watching(cluster, Duration::from_secs(5), began + plan.duration)?;
    cluster.start(other)
}
