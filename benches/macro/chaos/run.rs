//! One run: cluster, tables, load and faults side by side, and the judgement.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use super::counter::{self, Counter};
use super::faults;
use super::plan::{Mode, Plan};
use super::undo;
use crate::cluster::Cluster;
use crate::tpcb::load::{self, Load};
use crate::tpcb::outcome::Tally;
use crate::tpcb::{schema, verify};

/// After the last fault, before the nodes are read: leaders are found and what was in doubt settles.
const SETTLE: Duration = Duration::from_secs(5);

/// Runs it all; the promises that were broken, in words.
///
/// # Errors
///
/// What kept the run from being one: a node that ended, tables that were not made.
pub fn run(
    program: &Path,
    directory: &Path,
    mut plan: Plan,
    mut load: Load,
    gap_max: Duration,
) -> io::Result<Vec<String>> {
    let mut cluster = Cluster::new(program, directory, 3)?;
    if plan.shim.is_some() {
        plan.shim = Some(undo::compile(directory)?);
    }
    if plan.mode == Mode::Snapshot {
        // Small enough to be purged within a run.
        cluster.environment.push(("SHARDFORGE_RAFT_MAX_LOG_ENTRIES".into(), "300".into()));
    }
    prepare_shim(&mut cluster, &plan)?;
    cluster.found()?;
    load.addrs = cluster.addrs();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(schema::create(&load.addrs, load.scale)).map_err(io::Error::other)?;
    runtime.block_on(counter::create(&load.addrs[0])).map_err(io::Error::other)?;
    println!("{} is ready: {}", directory.display(), load.addrs.join(" "));
    let counter = Arc::new(Counter::default());
    let began = Instant::now();
    let loading = {
        let (load, counter) = (load.clone(), Arc::clone(&counter));
        let stops = plan.mode == Mode::Stop;
        thread::spawn(move || under_load(&load, &counter, stops, began))
    };
    let inflicted = faults::inflict(&mut cluster, &plan, began);
    let tally = loading.join().map_err(|_| io::Error::other("the load panicked"))??;
    inflicted?;
    thread::sleep(SETTLE);
    print!("{tally}");
    judge(&runtime, &mut cluster, &plan, &tally, &counter, gap_max)
}

fn prepare_shim(cluster: &mut Cluster, plan: &Plan) -> io::Result<()> {
    let Some(library) = &plan.shim else { return Ok(()) };
    for node in &mut cluster.nodes {
        let journal = undo::journal_of(&node.data);
        undo::begin(&journal)?;
        let environment = [
            ("LD_PRELOAD", library.clone()),
            ("SHIM_DATA", node.data.clone()),
            ("SHIM_JOURNAL", journal),
        ];
        node.environment = environment
            .into_iter()
            .map(|(name, path): (&str, PathBuf)| (name.to_owned(), path.display().to_string()))
            .collect();
    }
    Ok(())
}

fn under_load(
    load: &Load,
    counter: &Arc<Counter>,
    counting: bool,
    began: Instant,
) -> io::Result<Tally> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let until = began + load.duration;
    let mut beside = Vec::new();
    if counting {
        beside.push(runtime.spawn(counter::write(Arc::clone(counter), load.addrs.clone(), until)));
        for address in &load.addrs {
            let reading = counter::read(Arc::clone(counter), address.clone(), until);
            beside.push(runtime.spawn(reading));
        }
    }
    Ok(runtime.block_on(async {
        let tally = load::run(load).await;
        for task in beside {
            // Its counts say what it saw; it ends by its own patience.
            let _ = task.await;
        }
        tally
    }))
}

fn judge(
    runtime: &Runtime,
    cluster: &mut Cluster,
    plan: &Plan,
    tally: &Tally,
    counter: &Counter,
    gap_max: Duration,
) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut pictures = Vec::new();
    for node in &cluster.nodes {
        let picture = runtime.block_on(verify::picture(&node.sql)).map_err(io::Error::other)?;
        println!("n{} shows {} history rows", node.id, picture.history.len());
        for breach in verify::breaches(&picture, tally) {
            found.push(format!("n{}: {breach}", node.id));
        }
        pictures.push(picture);
    }
    cluster.check_alive()?;
    if pictures.windows(2).any(|pair| pair[0].balances != pair[1].balances) {
        found.push("the nodes do not show the same".to_owned());
    }
    if plan.mode.keeps_a_majority() && gap_max < tally.silence.longest {
        found.push(format!("nothing was acknowledged for {:?}", tally.silence.longest));
    }
    if tally.acknowledged.is_empty() {
        found.push("nothing was acknowledged: this proves nothing".to_owned());
    }
    if plan.mode == Mode::Stop {
        let count = |number: &std::sync::atomic::AtomicU64| number.load(Ordering::SeqCst);
        let (fresh, refused) = (count(&counter.fresh), count(&counter.refused));
        let (increments, stale) = (count(&counter.increments), count(&counter.stale));
        println!(
            "counter: {increments} increments; {fresh} fresh, {refused} refused, {stale} stale"
        );
        if 0 < stale {
            found.push(format!("{stale} answers of the counter were stale"));
        }
        if fresh == 0 || increments == 0 {
            found.push("the counter was not asked: this proves nothing".to_owned());
        }
    }
    Ok(found)
}

/// Removes a run's directory.
///
/// # Errors
///
/// Files.
pub fn clean_up(directory: &Path) -> io::Result<()> {
    fs::remove_dir_all(directory)
}
