//! The standard seed: a cluster, a workload, faults, a heal, and every oracle.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use shardforge_core::base::buggify::Faults;
use shardforge_core::base::id::NodeId;
use shardforge_core::base::rng::Rng;
use shardforge_core::base::time::Mono;
use shardforge_io_sim::trace::Trace;
use shardforge_io_sim::{ClientScript, Cluster, FaultPlan, Next, Outcome, Rows, World};

use crate::checker::raft::RaftOracle;
use crate::checker::{converged, serial};
use crate::history::History;
use crate::workload::list_append::{Appender, schema};

/// Clients of a standard seed.
pub const CLIENTS: usize = 8;
const SAFETY_PHASE: Duration = Duration::from_secs(20);
const LIVENESS_PHASE: Duration = Duration::from_secs(20);

/// What a seed did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Trace hash and event count.
    pub trace: (u64, u64),
    /// Acknowledged transactions.
    pub committed: usize,
    /// Faults that struck.
    pub faults: u64,
    /// Simulated seconds.
    pub simulated_s: f64,
    /// Errors by SQLSTATE.
    pub errors: BTreeMap<String, u64>,
    /// The trace's lines, if they were asked for.
    pub lines: Vec<String>,
}

/// Which oracles speak.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Depth {
    /// Raft's invariants, replicas equal after the heal, equal traces.
    Consensus,
    /// Those, strict serializability and liveness of every client.
    Everything,
}

/// What an oracle found, and the trace if it was recorded.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The oracle's name, a colon and what it found.
    pub what: String,
    /// The trace's lines.
    pub lines: Vec<String>,
}

/// Runs queries one after the other, each until it succeeds, and keeps the last rows.
struct Insistent {
    queries: Vec<String>,
    at: usize,
    rows: Rc<RefCell<Option<Rows>>>,
}

impl ClientScript for Insistent {
    fn next(&mut self, _: Mono, outcome: Outcome) -> Next {
        match outcome {
            Outcome::Done { rows, .. } => {
                self.at += 1;
                if self.at == self.queries.len() {
                    *self.rows.borrow_mut() = Some(rows);
                    return Next::Done;
                }
            }
            Outcome::Failed { .. } => return Next::Sleep(Duration::from_millis(100)),
            Outcome::Connected | Outcome::Awake | Outcome::Lost => {}
        }
        Next::Query(self.queries[self.at].clone())
    }
}

fn insist(world: &mut World, queries: &[String], patience: Duration) -> Option<Rows> {
    let rows = Rc::new(RefCell::new(None));
    let script = Insistent { queries: queries.to_vec(), at: 0, rows: Rc::clone(&rows) };
    world.add_client(Box::new(script));
    let until = world.now() + patience;
    while rows.borrow().is_none() && world.now() < until {
        world.run_for(Duration::from_millis(20));
    }
    rows.take()
}

/// Runs one seed; an error is an oracle's finding.
///
/// # Errors
///
/// What an oracle found, its name first.
pub fn run(seed: u64, bug: Option<u16>, record: bool, depth: Depth) -> Result<Report, Finding> {
    let mut world = None;
    let result = catch_unwind(AssertUnwindSafe(|| {
        let (made, plan) = make(seed, bug, record);
        attack(seed, world.insert(made), &plan, depth)
    }));
    let lines = world.map(|world: World| world.trace().lines().to_vec()).unwrap_or_default();
    let verdict = match result {
        Ok(result) => result,
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(format!("invariant: {}", text.unwrap_or_else(|| "a panic without words".into())))
        }
    };
    match verdict {
        Ok(report) => Ok(Report { lines, ..report }),
        Err(what) => Err(Finding { what, lines }),
    }
}

fn make(seed: u64, bug: Option<u16>, record: bool) -> (World, FaultPlan) {
    let mut rng = Rng::stream(seed, "scenario");
    let nodes = 3 + 2 * u32::from(rng.chance(0.15));
    let faults = Faults { bug, buggify_seed: None };
    let mut cluster = Cluster { faults, ..Cluster::of(nodes) };
    cluster.config.lease_reads = rng.chance(0.8);
    // Planted bugs live in the pause of a read that asks the store.
    if bug.is_some() || Rng::stream(seed, "row cache").chance(0.5) {
        cluster.config.row_cache_bytes = 0;
    }
    let ids: Vec<NodeId> = (1..=nodes).map(NodeId::machine).collect();
    let plan = FaultPlan::draw(&mut rng, &ids, SAFETY_PHASE);
    let trace = if record { Trace::recording() } else { Trace::default() };
    (World::new(seed, &cluster, &plan, trace), plan)
}

fn attack(seed: u64, world: &mut World, plan: &FaultPlan, depth: Depth) -> Result<Report, String> {
    let oracle = Rc::new(RefCell::new(RaftOracle::default()));
    let watching = Rc::clone(&oracle);
    world.observe(Box::new(move |hosts, id| watching.borrow_mut().check(hosts, id)));
    world.init();
    let made = insist(world, &[schema()], Duration::from_secs(30));
    if made.is_none() {
        return Err("liveness: the schema was not made".to_owned());
    }
    let history = Rc::new(RefCell::new(History::default()));
    let stop = Rc::new(RefCell::new(false));
    for client in 0..CLIENTS {
        let script = Appender::new(seed, client, Rc::clone(&history), Rc::clone(&stop));
        world.add_client(Box::new(script));
    }
    world.schedule(plan);
    world.run_for(SAFETY_PHASE);
    world.heal();
    world.run_for(LIVENESS_PHASE / 2);
    *stop.borrow_mut() = true;
    world.run_for(LIVENESS_PHASE / 2);
    if depth == Depth::Consensus {
        world.run_for(LIVENESS_PHASE);
        converged::check(world).map_err(|what| format!("convergence: {what}"))?;
        return Ok(report(world, &history.borrow()));
    }
    if !world.clients_done() {
        return Err("liveness: a client got no answer after the heal".to_owned());
    }
    let query = "SELECT k, v FROM lists ORDER BY k".to_owned();
    let rows = insist(world, &[query], Duration::from_secs(20))
        .ok_or("liveness: the final read was not answered")?;
    let last = lists(&rows)?;
    serial::check(&history.borrow(), &last).map_err(|what| format!("serializability: {what}"))?;
    world.run_for(Duration::from_secs(5));
    converged::check(world).map_err(|what| format!("convergence: {what}"))?;
    Ok(report(world, &history.borrow()))
}

fn report(world: &World, history: &History) -> Report {
    Report {
        trace: (world.trace().hash(), world.trace().count()),
        committed: history.committed_count(),
        faults: world.fault_count,
        simulated_s: world.now().0 as f64 / 1e9,
        errors: history.errors.clone(),
        lines: Vec::new(),
    }
}

fn lists(rows: &Rows) -> Result<BTreeMap<u32, Vec<u64>>, String> {
    let bad = || format!("serializability: the final read gave {rows:?}");
    let mut lists = BTreeMap::new();
    for row in rows {
        let [Some(key), Some(list)] = row.as_slice() else { return Err(bad()) };
        let key: u32 = key.parse().map_err(|_| bad())?;
        let list: Result<Vec<u64>, _> =
            list.split(',').filter(|s| !s.is_empty()).map(str::parse).collect();
        lists.insert(key, list.map_err(|_| bad())?);
    }
    Ok(lists)
}
