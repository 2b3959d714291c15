//! A cluster under madsim: machines, the wire between them, and the hand that kills and restarts.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use madsim::Config;
use madsim::runtime::{Handle, NodeHandle, Runtime};
use madsim::time::{TimeHandle, sleep};
use shardforge_core::base::id::{NodeId, SessionId, ShardId, Token};
use shardforge_core::base::rng::Rng;
use shardforge_core::base::time::Mono;
use shardforge_core::node::CoreConfig;
use shardforge_core::node::input::{Input, OperatorAnswer, OperatorRequest};
use shardforge_io_sim::clock::SkewedClock;
use shardforge_io_sim::trace::Trace;

use crate::driver;
use crate::machine::Machine;
use crate::wire::{Connection, Wire};

thread_local! {
    /// The initial tasks of madsim's nodes must be made by functions that may travel to other threads,
    /// though there are none: they find their world here.
    static CURRENT: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// See the module.
pub struct World {
    seed: u64,
    time: TimeHandle,
    machines: BTreeMap<NodeId, Rc<Machine>>,
    processes: RefCell<BTreeMap<NodeId, NodeHandle>>,
    wire: Wire,
    rng: RefCell<Rng>,
    trace: RefCell<Trace>,
    next_session: Cell<u64>,
    next_token: Cell<u64>,
    torn: Cell<u64>,
}

/// What a run did, beside its scenario's own result.
#[derive(Clone, Debug, Default)]
pub struct Ran {
    /// Hash of the trace.
    pub hash: u64,
    /// Lines of the trace.
    pub count: u64,
    /// The lines, if they were kept.
    pub lines: Vec<String>,
    /// Kills that found unsynced bytes.
    pub torn: u64,
}

/// Runs a scenario over so many nodes, in a runtime of its own; wants a fresh thread. Addresses are
/// filled into the configuration.
///
/// # Panics
///
/// If the scenario takes more simulated time than `limit`, or anything in it panics.
pub fn run<T>(
    seed: u64,
    nodes: u32,
    config: &CoreConfig,
    limit: Duration,
    keep_lines: bool,
    scenario: impl AsyncFnOnce(Rc<World>) -> T,
) -> (T, Ran) {
    let _clear = Clear;
    let mut runtime = Runtime::with_seed_and_config(seed, Config::default());
    runtime.set_time_limit(limit);
    runtime.block_on(async {
        let world = Rc::new(World::new(seed, nodes, config, keep_lines));
        CURRENT.set(Some(Rc::clone(&world)));
        let handle = Handle::current();
        for id in world.ids() {
            let name = id.to_string();
            let process = handle.create_node().name(name).init(move || async move {
                driver::run(World::current(), id).await;
            });
            world.processes.borrow_mut().insert(id, process.build());
        }
        madsim::task::spawn_local(Wire::run(Rc::clone(&world)));
        let result = scenario(Rc::clone(&world)).await;
        for id in world.ids() {
            world.kill(id);
        }
        let trace = world.trace.take();
        let lines = trace.lines().to_vec();
        let (hash, count, torn) = (trace.hash(), trace.count(), world.torn.get());
        (result, Ran { hash, count, lines, torn })
    })
}

/// Ends the world with the run, however that ends.
struct Clear;

impl Drop for Clear {
    fn drop(&mut self) {
        CURRENT.set(None);
    }
}

impl World {
    fn new(seed: u64, nodes: u32, config: &CoreConfig, keep_lines: bool) -> Self {
        let join: Vec<String> = (1..=nodes).map(|machine| format!("n{machine}:7432")).collect();
        let mut clocks = Rng::stream(seed, "clocks");
        let mut machines = BTreeMap::new();
        for machine in 1..=nodes {
            let config = CoreConfig {
                peer_addr: format!("n{machine}:7432"),
                sql_addr: format!("n{machine}:5432"),
                join: join.clone(),
                ..config.clone()
            };
            let clock = SkewedClock {
                offset_ns: 3_600_000_000_000 + clocks.below(1 << 40),
                drift_ppm: clocks.below(401) as i64 - 200,
                wall_offset_us: clocks.below(2_000_000) as i64 - 1_000_000,
            };
            let id = NodeId::machine(machine);
            machines.insert(id, Rc::new(Machine::new(id, config, clock)));
        }
        let trace = if keep_lines { Trace::recording() } else { Trace::default() };
        Self {
            seed,
            time: TimeHandle::current(),
            machines,
            processes: RefCell::default(),
            wire: Wire::default(),
            rng: RefCell::new(Rng::stream(seed, "world")),
            trace: RefCell::new(trace),
            next_session: Cell::default(),
            next_token: Cell::default(),
            torn: Cell::default(),
        }
    }

    fn current() -> Rc<Self> {
        let Some(world) = CURRENT.with_borrow(Clone::clone) else {
            panic!("a process without a world")
        };
        world
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// True time.
    pub fn now(&self) -> Mono {
        Mono::ZERO + self.time.elapsed()
    }

    /// All nodes.
    pub fn ids(&self) -> Vec<NodeId> {
        self.machines.keys().copied().collect()
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    pub(crate) fn machine(&self, id: NodeId) -> Rc<Machine> {
        Rc::clone(&self.machines[&id])
    }

    pub(crate) fn node_at(&self, address: &str) -> Option<NodeId> {
        let found = self.machines.values().find(|machine| machine.config.peer_addr == address);
        found.map(|machine| machine.id)
    }

    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.rng.borrow_mut().below(bound)
    }

    pub(crate) fn chance(&self, p: f64) -> bool {
        self.rng.borrow_mut().chance(p)
    }

    /// Adds a line to the trace.
    pub fn note(&self, event: std::fmt::Arguments<'_>) {
        self.trace.borrow_mut().note(self.now(), event);
    }

    /// A place at which a task may be overtaken, and killed.
    pub(crate) async fn perhaps_pause(&self) {
        match self.below(40) {
            0 => sleep(Duration::from_millis(1)).await,
            1..8 => madsim::task::yield_now().await,
            _ => {}
        }
    }

    /// Kills a node's process wherever its tasks wait, and takes its machine's power.
    pub fn kill(&self, id: NodeId) {
        if !self.is_up(id) {
            return;
        }
        if let Some(process) = self.processes.borrow().get(&id) {
            Handle::current().kill(process.id());
        }
        let torn = self.machine(id).lose_power(&mut self.rng.borrow_mut());
        self.torn.set(self.torn.get() + u64::from(torn));
        self.note(format_args!("{id} is killed, unsynced bytes: {torn}"));
    }

    /// Starts a killed node again.
    pub fn restart(&self, id: NodeId) {
        if self.is_up(id) {
            return;
        }
        if let Some(process) = self.processes.borrow().get(&id) {
            Handle::current().restart(process.id());
        }
    }

    /// Whether a node's process runs.
    pub fn is_up(&self, id: NodeId) -> bool {
        self.machines[&id].life.borrow().is_some()
    }

    /// Whether all nodes serve SQL.
    pub fn all_serve(&self) -> bool {
        self.machines.values().all(|machine| machine.serving.get())
    }

    /// Makes a cluster of all nodes.
    pub async fn init(&self) {
        let first = self.ids()[0];
        while !self.is_up(first) {
            sleep(Duration::from_millis(10)).await;
        }
        self.next_token.set(self.next_token.get() + 1);
        let token = Token(1 << 40 | self.next_token.get());
        let mut entropy = [0; 32];
        entropy[..8].copy_from_slice(&self.seed.to_be_bytes());
        entropy[15] = 1;
        let request = OperatorRequest::Init { entropy, superuser: None };
        let machine = self.machine(first);
        machine.tell(Input::OperatorRequested { token, request });
        while !machine.answers.borrow().contains_key(&token) || !self.all_serve() {
            sleep(Duration::from_millis(10)).await;
        }
        let answer = machine.answers.borrow_mut().remove(&token);
        assert!(matches!(answer, Some(OperatorAnswer::Initialised(_))), "{answer:?}");
    }

    /// Connects a client; `None` if nobody listens.
    pub fn connect(&self, node: NodeId) -> Option<Rc<Connection>> {
        if !self.is_up(node) {
            return None;
        }
        let machine = self.machine(node);
        self.next_session.set(self.next_session.get() + 1);
        let session = SessionId(self.next_session.get());
        let connection = Rc::new(Connection::new(node, session, machine.lives.get()));
        machine.connections.borrow_mut().insert(session, Rc::clone(&connection));
        machine.tell(Input::ClientConnected { session });
        Some(connection)
    }

    /// Shards whose replicas hold different data, for a moment in which nothing is written.
    pub fn diverged(&self) -> Vec<ShardId> {
        let mut seen: BTreeMap<ShardId, Vec<u64>> = BTreeMap::new();
        for machine in self.machines.values() {
            for (shard, checksum) in machine.checksums() {
                seen.entry(shard).or_default().push(checksum);
            }
        }
        let differ = |sums: &Vec<u64>| {
            sums.len() < self.machines.len() || sums.windows(2).any(|w| w[0] != w[1])
        };
        seen.into_iter().filter(|(_, sums)| differ(sums)).map(|(shard, _)| shard).collect()
    }
}
