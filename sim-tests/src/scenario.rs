//! The standard seed: a cluster, workloads, faults, a heal, and every oracle.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use shardforge_core::base::buggify::Faults;
use shardforge_core::base::id::NodeId;
use shardforge_core::base::rng::Rng;
use shardforge_core::base::time::Mono;
use shardforge_io_sim::trace::Trace;
use shardforge_io_sim::{ClientScript, Cluster, FaultClass, FaultPlan, Next, Outcome, Rows, World};

use crate::checker::watch::Watch;
use crate::checker::{bank, converged, predicate, serial};
use crate::finding::{Judge, Oracle, Violation};
use crate::history::History;
use crate::workload::bank::Teller;
use crate::workload::driver::{Driver, Work};
use crate::workload::list_append::Appender;
use crate::workload::slots::Booker;
use crate::workload::{bank as bank_work, list_append, slots};

/// Clients of a standard seed.
pub const CLIENTS: usize = 8;
/// Of them, those that pay and audit, and those that count and insert.
const TELLERS: usize = 2;
const BOOKERS: usize = 2;
const SAFETY_PHASE: Duration = Duration::from_secs(20);
/// The workload goes on for so long after the heal.
const AFTER_HEAL: Duration = Duration::from_secs(5);
/// Every client is answered, and replicas converge, within so long.
const LIVENESS_BOUND: Duration = Duration::from_secs(20);

/// What a run is.
#[derive(Clone, Debug)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// A planted bug.
    pub bug: Option<u16>,
    /// Whether the trace's lines are kept.
    pub record: bool,
    /// Which oracles speak.
    pub depth: Depth,
    /// Oracles that are only noted.
    pub muted: BTreeSet<Oracle>,
}

impl Run {
    /// A run of the clean tree.
    pub fn of(seed: u64, depth: Depth) -> Self {
        Self { seed, bug: None, record: false, depth, muted: BTreeSet::new() }
    }
}

/// What a seed did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Trace hash and event count.
    pub trace: (u64, u64),
    /// Acknowledged transactions.
    pub committed: usize,
    /// Faults that struck.
    pub faults: u64,
    /// Classes of faults that were on.
    pub classes: Vec<FaultClass>,
    /// Simulated seconds.
    pub simulated_s: f64,
    /// Inputs that nodes handled.
    pub inputs: u64,
    /// Errors by SQLSTATE.
    pub errors: BTreeMap<String, u64>,
    /// Muted oracles that would have spoken.
    pub heard: BTreeSet<Oracle>,
    /// The trace's lines, if they were asked for.
    pub lines: Vec<String>,
}

/// Which oracles speak.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Depth {
    /// Those of consensus and disks, and replicas equal after the heal.
    Consensus,
    /// Those, what clients saw, and liveness of every client.
    Everything,
}

/// What an oracle found, and what the run was like.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Who found what.
    pub violation: Violation,
    /// Classes of faults that were on.
    pub classes: Vec<FaultClass>,
    /// Muted oracles that spoke before.
    pub heard: BTreeSet<Oracle>,
    /// When, simulated.
    pub at: Mono,
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

fn insist(world: &mut World, queries: &[String]) -> Result<Rows, Violation> {
    let rows = Rc::new(RefCell::new(None));
    let script = Insistent { queries: queries.to_vec(), at: 0, rows: Rc::clone(&rows) };
    world.add_client(Box::new(script));
    wait(world, |_| rows.borrow().is_some());
    rows.take().ok_or_else(|| {
        Violation::new(Oracle::Liveness, format!("not answered: {}", queries.join("; ")))
    })
}

/// Runs until something is so, or the bound of liveness has passed; whether it is.
fn wait(world: &mut World, so: impl Fn(&World) -> bool) -> bool {
    let until = world.now() + LIVENESS_BOUND;
    while !so(world) {
        if until <= world.now() {
            return false;
        }
        world.run_for(Duration::from_millis(50));
    }
    true
}

/// Runs one seed; an error is an oracle's finding.
///
/// # Errors
///
/// What an oracle found.
pub fn run(run: &Run) -> Result<Report, Box<Finding>> {
    let judge = Judge::muting(run.muted.clone());
    let (world, plan) = make(run);
    let mut world = world;
    let attacked = AssertUnwindSafe(|| attack(run, &judge, &mut world, &plan));
    let verdict = catch_unwind(attacked).unwrap_or_else(|thrown| Err(violation(thrown.as_ref())));
    let lines = world.trace().lines().to_vec();
    match verdict {
        Ok(report) => Ok(Report { lines, heard: judge.heard(), classes: plan.classes, ..report }),
        Err(violation) => Err(Box::new(Finding {
            violation,
            classes: plan.classes,
            heard: judge.heard(),
            at: world.now(),
            lines,
        })),
    }
}

/// What unwound: an oracle's word, or a panic of the core.
fn violation(thrown: &(dyn Any + Send)) -> Violation {
    if let Some(violation) = thrown.downcast_ref::<Violation>() {
        return violation.clone();
    }
    let text = thrown.downcast_ref::<String>().cloned();
    let text = text.or_else(|| thrown.downcast_ref::<&str>().map(|s| (*s).to_owned()));
    Violation::new(Oracle::NoPanic, text.unwrap_or_else(|| "a panic without words".to_owned()))
}

fn make(run: &Run) -> (World, FaultPlan) {
    let mut rng = Rng::stream(run.seed, "scenario");
    let nodes = 3 + 2 * u32::from(rng.chance(0.15));
    let faults = Faults { bug: run.bug, buggify_seed: None };
    let mut cluster = Cluster { faults, ..Cluster::of(nodes) };
    cluster.config.lease_reads = rng.chance(0.8);
    // Planted bugs live in the pause of a read that asks the store.
    if run.bug.is_some() || Rng::stream(run.seed, "row cache").chance(0.5) {
        cluster.config.row_cache_bytes = 0;
    }
    // A short log sends snapshots to whoever was away.
    let mut log = Rng::stream(run.seed, "log");
    cluster.config.log_keep_entries = [5, 50, 1_000][log.below(3) as usize];
    cluster.config.log_flush_entries = [50, 500, 100_000][log.below(3) as usize];
    let ids: Vec<NodeId> = (1..=nodes).map(NodeId::machine).collect();
    let plan = FaultPlan::draw(&mut rng, &ids, SAFETY_PHASE);
    let trace = if run.record { Trace::recording() } else { Trace::default() };
    (World::new(run.seed, &cluster, &plan, trace), plan)
}

fn attack(
    run: &Run,
    judge: &Judge,
    world: &mut World,
    plan: &FaultPlan,
) -> Result<Report, Violation> {
    let mut watch = Watch::new(judge.clone());
    world.observe(Box::new(move |hosts, id| watch.look(hosts, id)));
    world.init();
    insist(world, &[list_append::schema(), bank_work::schema(), slots::schema()])?;
    let history = Rc::new(RefCell::new(History::default()));
    let stop = Rc::new(RefCell::new(false));
    for client in 0..CLIENTS {
        world.add_client(script(run.seed, client, &history, &stop));
    }
    world.schedule(plan);
    world.run_for(SAFETY_PHASE);
    world.heal();
    world.run_for(AFTER_HEAL);
    *stop.borrow_mut() = true;
    let answered = wait(world, World::clients_done);
    if run.depth == Depth::Everything {
        judge.admit(answered, Oracle::Liveness, || "a client got no answer".to_owned())?;
        check_clients(judge, world, &history.borrow())?;
    }
    let slow = |violation: &Violation| violation.oracle == Oracle::Convergence;
    wait(world, |world| !converged::check(world).is_err_and(|violation| slow(&violation)));
    judge.hear(converged::check(world))?;
    Ok(report(world, &history.borrow()))
}

fn script(
    seed: u64,
    client: usize,
    history: &Rc<RefCell<History>>,
    stop: &Rc<RefCell<bool>>,
) -> Box<dyn ClientScript> {
    fn boxed<W: Work + 'static>(
        seed: u64,
        client: usize,
        work: W,
        history: &Rc<RefCell<History>>,
        stop: &Rc<RefCell<bool>>,
    ) -> Box<dyn ClientScript> {
        Box::new(Driver::new(seed, client, work, Rc::clone(history), Rc::clone(stop)))
    }
    if client < TELLERS {
        boxed(seed, client, Teller::new(client), history, stop)
    } else if client < TELLERS + BOOKERS {
        boxed(seed, client, Booker::new(client), history, stop)
    } else {
        boxed(seed, client, Appender::new(seed, client), history, stop)
    }
}

/// Reads everything once more, and checks what clients saw.
fn check_clients(judge: &Judge, world: &mut World, history: &History) -> Result<(), Violation> {
    let mut read = |query: &str| insist(world, &[query.to_owned()]);
    let last = lists(&read("SELECT k, v FROM lists ORDER BY k")?)?;
    judge.hear(serial::check(history, &last))?;
    let books = bank::Books {
        balances: bank_work::balances(&read("SELECT id, balance FROM accounts ORDER BY id")?),
        transfers: read("SELECT id FROM transfers ORDER BY id")?
            .iter()
            .map(|row| id(row))
            .collect(),
    };
    judge.hear(bank::check(history, &books))?;
    let groups = read("SELECT grp, count(*) FROM slots GROUP BY grp ORDER BY grp")?;
    let groups = bank_work::balances(&groups);
    let groups = groups.into_iter().map(|(group, count)| (group, count.unsigned_abs())).collect();
    judge.hear(predicate::check(history, &groups))?;
    judge.admit(history.odd_errors.is_empty(), Oracle::AllowedErrors, || {
        format!("{:?}", history.odd_errors)
    })
}

fn id(row: &[Option<String>]) -> u64 {
    let cell = row.first().cloned().flatten();
    cell.and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)
}

fn report(world: &World, history: &History) -> Report {
    Report {
        trace: (world.trace().hash(), world.trace().count()),
        committed: history.committed_count(),
        faults: world.fault_count,
        simulated_s: world.now().0 as f64 / 1e9,
        inputs: world.handled,
        errors: history.errors.clone(),
        ..Report::default()
    }
}

fn lists(rows: &Rows) -> Result<BTreeMap<u32, Vec<u64>>, Violation> {
    let bad = || {
        let what = format!("the final read gave {rows:?}");
        Violation::new(Oracle::StrictSerializability, what)
    };
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
