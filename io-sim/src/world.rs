//! The world: a discrete-event loop over `Node::handle`.
//!
//! # Invariants
//!
//! * All chance comes from the seed, one named stream for each room of the world.
//! * Events of one moment happen in the order in which they were caused.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use shardforge_core::base::buggify::Faults;
use shardforge_core::base::id::{NodeId, SessionId, ShardId, Token};
use shardforge_core::base::rng::Rng;
use shardforge_core::base::time::Mono;
use shardforge_core::node::input::{Input, OperatorAnswer, OperatorRequest, PeerFrame};
use shardforge_core::node::{CoreConfig, Node, Seed};
use shardforge_core::sql::protocol::{ClientReply, ClientRequest};
use shardforge_core::storage::port::{StorageEffect, StorageEvent};

use crate::client::{Client, ClientScript, Link, Outcome};
use crate::clock::SkewedClock;
use crate::fault::{Fault, FaultPlan};
use crate::host::Host;
use crate::net::Net;
use crate::strike::AckCrash;
use crate::trace::Trace;

/// A query that takes longer is given up, and its connection with it.
pub(crate) const QUERY_PATIENCE: Duration = Duration::from_secs(15);
pub(crate) const RECONNECT_AFTER: Duration = Duration::from_millis(50);

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// How many nodes.
    pub nodes: u32,
    /// What each is told; addresses are filled in.
    pub config: CoreConfig,
    /// Planted bugs.
    pub faults: Faults,
}

impl Cluster {
    /// A cluster of `nodes` nodes with the defaults.
    pub fn of(nodes: u32) -> Self {
        let config = CoreConfig { segment_bytes: 1 << 20, ..CoreConfig::default() };
        Self { nodes, config, faults: Faults::default() }
    }
}

/// Something that will happen.
pub(crate) enum Event {
    Frame(NodeId, PeerFrame),
    Synced(NodeId, u64),
    Storage(NodeId, u64, StorageEvent),
    Flush(NodeId, u64, StorageEffect),
    Wake(NodeId, u64),
    Resume(NodeId, u64),
    Restart(NodeId),
    Fault(Fault),
    Request(NodeId, u64, SessionId, ClientRequest),
    Replies(NodeId, SessionId, Vec<ClientReply>),
    Closed(NodeId, SessionId),
    Connect(usize),
    Patience(usize, u64),
    ClientWakes(usize, u64),
}

/// Called after every input that a node handled.
pub type Observer = Box<dyn FnMut(&BTreeMap<NodeId, Host>, NodeId)>;

/// See the module.
pub struct World {
    seed: u64,
    now: Mono,
    sequence: u64,
    /// Boxed: the tree moves its values about.
    queue: BTreeMap<(Mono, u64), Box<Event>>,
    pub(crate) hosts: BTreeMap<NodeId, Host>,
    pub(crate) clients: Vec<Client>,
    pub(crate) next_session: u64,
    next_token: u64,
    /// The network.
    pub net: Net,
    pub(crate) net_rng: Rng,
    pub(crate) disk_rng: Rng,
    trace: Trace,
    observers: Vec<Observer>,
    /// What dies with the next acknowledgement of a change.
    pub(crate) ack_crash: Option<AckCrash>,
    /// Inputs that nodes handled.
    pub handled: u64,
    /// Faults that struck.
    pub fault_count: u64,
}

impl World {
    /// A world with its machines, none running yet.
    pub fn new(seed: u64, cluster: &Cluster, plan: &FaultPlan, trace: Trace) -> Self {
        let mut clock_rng = Rng::stream(seed, "clock");
        let address = |machine: u32| format!("n{machine}:7432");
        let join: Vec<String> = (1..=cluster.nodes).map(address).collect();
        let mut hosts = BTreeMap::new();
        for machine in 1..=cluster.nodes {
            let mut config = cluster.config.clone();
            config.peer_addr = address(machine);
            config.sql_addr = format!("n{machine}:5432");
            config.single_node = cluster.nodes == 1;
            config.join = if cluster.nodes == 1 { Vec::new() } else { join.clone() };
            config.faults = cluster.faults.clone();
            let drift = clock_rng.below(2 * plan.drift_ppm + 1) as i64 - plan.drift_ppm as i64;
            let clock = SkewedClock {
                offset_ns: clock_rng.below(1 << 40),
                drift_ppm: drift,
                wall_offset_us: clock_rng.below(2_000_000) as i64 - 1_000_000,
            };
            let id = NodeId::machine(machine);
            hosts.insert(id, Host::new(id, config, clock, cluster.faults.clone()));
        }
        let mut world = Self {
            seed,
            now: Mono::ZERO,
            sequence: 0,
            queue: BTreeMap::new(),
            hosts,
            clients: Vec::new(),
            next_session: 0,
            next_token: 0,
            net: Net::default(),
            net_rng: Rng::stream(seed, "net"),
            disk_rng: Rng::stream(seed, "disk"),
            trace,
            observers: Vec::new(),
            ack_crash: None,
            handled: 0,
            fault_count: 0,
        };
        for id in world.ids() {
            world.restart(id);
        }
        world
    }

    /// The simulated time.
    pub fn now(&self) -> Mono {
        self.now
    }

    /// All nodes' ids.
    pub fn ids(&self) -> Vec<NodeId> {
        self.hosts.keys().copied().collect()
    }

    /// All machines.
    pub fn hosts(&self) -> &BTreeMap<NodeId, Host> {
        &self.hosts
    }

    /// What happened so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Is called after every input that a node handled.
    pub fn observe(&mut self, observer: Observer) {
        self.observers.push(observer);
    }

    /// A machine, to do to it what no fault does.
    pub fn host_mut(&mut self, id: NodeId) -> Option<&mut Host> {
        self.hosts.get_mut(&id)
    }

    /// Adds a client that connects soon, first to the node of its number.
    pub fn add_client(&mut self, script: Box<dyn ClientScript>) {
        let mut targets: VecDeque<NodeId> = self.ids().into();
        let number = self.clients.len();
        let turns = number % targets.len().max(1);
        targets.rotate_left(turns);
        self.clients.push(Client::new(script, targets));
        self.after(Duration::from_micros(number as u64 + 1), Event::Connect(number));
    }

    /// Whether every client has done all it wanted.
    pub fn clients_done(&self) -> bool {
        self.clients.iter().all(|client| client.link == Link::Done)
    }

    /// Lets the planned faults happen, counted from now.
    pub fn schedule(&mut self, plan: &FaultPlan) {
        self.net.weather = plan.weather.clone();
        for (at, fault) in &plan.events {
            self.after(*at, Event::Fault(fault.clone()));
        }
    }

    /// Asks a node something as an operator; the answer appears in `Host::answers`.
    pub fn operate(&mut self, node: NodeId, request: OperatorRequest) -> Token {
        self.next_token += 1;
        let token = Token(1 << 40 | self.next_token);
        self.input(node, Input::OperatorRequested { token, request });
        token
    }

    /// Makes a cluster of all nodes and waits until they all serve.
    ///
    /// # Panics
    ///
    /// If they do not within a simulated minute.
    pub fn init(&mut self) {
        let first = self.ids()[0];
        let several = 1 < self.hosts.len();
        let mut entropy = [0; 32];
        entropy[..8].copy_from_slice(&self.seed.to_be_bytes());
        entropy[15] = 1;
        let request = OperatorRequest::Init { entropy, superuser: None };
        let token = several.then(|| self.operate(first, request));
        let until = self.now + Duration::from_secs(60);
        while !self.hosts.values().all(|host| host.serving) {
            assert!(self.now < until, "the cluster does not serve: {:#?}", self.trace.lines());
            self.run_for(Duration::from_millis(10));
        }
        if let Some(token) = token {
            while !self.hosts[&first].answers.contains_key(&token) {
                assert!(self.now < until, "init was not answered");
                self.run_for(Duration::from_millis(10));
            }
            let answer = &self.hosts[&first].answers[&token];
            assert!(matches!(answer, OperatorAnswer::Initialised(_)), "{answer:?}");
        }
    }

    /// Runs for a simulated time.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some((at, _)) = self.queue.first_key_value().map(|(key, _)| *key)
            && at <= until
        {
            self.step();
        }
        self.now = until;
    }

    /// Ends all faults: cuts heal, the weather clears, the dead and the paused come back.
    pub fn heal(&mut self) {
        self.queue.retain(|_, event| !matches!(**event, Event::Fault(_)));
        self.net.heal();
        self.ack_crash = None;
        self.net.weather = crate::net::Weather::default();
        for id in self.ids() {
            let Some(host) = self.hosts.get_mut(&id) else { continue };
            host.sync_time = Duration::from_micros(500);
            host.sync_fails = false;
            if host.paused_until.is_some() {
                let life = host.life;
                self.after(Duration::ZERO, Event::Resume(id, life));
            }
            if !self.hosts[&id].is_up() {
                self.restart(id);
            }
        }
    }

    /// The leader of a shard that most nodes believe in and that believes in itself.
    pub fn leader_of(&self, shard: ShardId) -> Option<NodeId> {
        self.hosts.values().find_map(|host| {
            let status = host.node.as_ref()?.raft_status();
            let (_, raft) = status.into_iter().find(|(id, _)| *id == shard)?;
            (raft.leader == Some(host.id)).then_some(host.id)
        })
    }

    pub(crate) fn after(&mut self, delay: Duration, event: Event) {
        self.sequence += 1;
        self.queue.insert((self.now + delay, self.sequence), Box::new(event));
    }

    pub(crate) fn note(&mut self, event: std::fmt::Arguments<'_>) {
        self.trace.note(self.now, event);
    }

    pub(crate) fn node_at(&self, address: &str) -> Option<NodeId> {
        let found = self.hosts.values().find(|host| host.config.peer_addr == address);
        found.map(|host| host.id)
    }

    fn step(&mut self) {
        let Some(((at, _), event)) = self.queue.pop_first() else { return };
        self.now = self.now.max(at);
        match *event {
            Event::Frame(to, frame) => {
                let (from, count) = (frame.from, frame.messages.len());
                self.note(format_args!("{from} -> {to} {count} messages"));
                self.input(to, Input::PeerMessageReceived(frame));
            }
            Event::Synced(id, life) => self.synced(id, life),
            Event::Storage(id, life, event) if self.lives(id, life) => {
                self.input(id, Input::StorageCompleted(event));
            }
            Event::Flush(id, life, effect) if self.lives(id, life) => {
                let Some(host) = self.hosts.get_mut(&id) else { return };
                if let Some(event) = host.stores.perform(effect) {
                    self.input(id, Input::StorageCompleted(event));
                }
            }
            Event::Wake(id, life) if self.lives(id, life) => {
                let due = self.hosts[&id].wake_at == Some(self.now);
                if due {
                    self.input(id, Input::DeadlineReached);
                }
            }
            Event::Resume(id, life) if self.lives(id, life) => self.resume(id),
            Event::Restart(id) => self.restart(id),
            Event::Fault(fault) => self.strike(fault),
            Event::Request(id, life, session, request) if self.lives(id, life) => {
                self.input(id, Input::ClientRequested { session, request });
            }
            Event::Replies(id, session, replies) => self.replies(id, session, replies),
            Event::Closed(id, session) => self.closed(id, session),
            Event::Connect(client) => self.connect(client),
            Event::Patience(client, turn) => self.out_of_patience(client, turn),
            Event::ClientWakes(client, turn) => {
                if self.clients[client].turn == turn {
                    self.advance(client, Outcome::Awake);
                }
            }
            // Events of an earlier life.
            Event::Storage(..)
            | Event::Flush(..)
            | Event::Wake(..)
            | Event::Resume(..)
            | Event::Request(..) => {}
        }
    }

    fn lives(&self, id: NodeId, life: u64) -> bool {
        self.hosts.get(&id).is_some_and(|host| host.is_up() && host.life == life)
    }

    fn synced(&mut self, id: NodeId, life: u64) {
        if !self.lives(id, life) {
            return;
        }
        let Some(host) = self.hosts.get_mut(&id) else { return };
        if std::mem::take(&mut host.sync_fails) {
            let reason = "input/output error".to_owned();
            // The kernel drops what it could not write.
            host.disk.crash(&mut self.disk_rng);
            return self.input(id, Input::LogFailed { reason, disk_full: false });
        }
        let Some((ticket, again)) = host.disk.synced() else { return };
        let sync_time = host.sync_time;
        if again {
            self.after(sync_time, Event::Synced(id, life));
        }
        self.input(id, Input::LogPersisted { ticket });
    }

    /// Gives a node an input and performs what it wishes, until nothing is ready at once.
    pub(crate) fn input(&mut self, id: NodeId, input: Input) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        if !host.is_up() {
            return;
        }
        if host.paused_until.is_some() {
            host.backlog.push_back(input);
            return;
        }
        let mut ready = VecDeque::from([input]);
        while let Some(input) = ready.pop_front() {
            let Some(host) = self.hosts.get_mut(&id) else { return };
            let now = host.clock.now(self.now);
            host.truth = self.now;
            let Some(node) = &mut host.node else { return };
            self.handled += 1;
            let effects: Vec<_> = node.handle(now, input).collect();
            for effect in effects {
                self.perform(id, effect, &mut ready);
            }
            if let Some(host) = self.hosts.get_mut(&id).filter(|host| host.halted.is_some()) {
                host.stores.crash(&mut self.disk_rng);
                return self.stopped(id);
            }
            for observer in &mut self.observers {
                observer(&self.hosts, id);
            }
        }
        self.plan_wake(id);
    }

    fn plan_wake(&mut self, id: NodeId) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        let Some(deadline) = host.node.as_ref().and_then(Node::deadline) else { return };
        let at = host.clock.truth_of(deadline.at).max(self.now);
        if host.wake_at != Some(at) || at == self.now {
            host.wake_at = Some(at);
            let (life, delay) = (host.life, at.since(self.now));
            self.after(delay, Event::Wake(id, life));
        }
    }

    /// Starts a node's process, if it is not running.
    pub fn restart(&mut self, id: NodeId) {
        let seed = Rng::stream(self.seed, "nodes").next_u64() ^ u64::from(id.0);
        let Some(host) = self.hosts.get_mut(&id) else { return };
        if host.is_up() {
            return;
        }
        host.life += 1;
        host.halted = None;
        host.serving = false;
        host.granted.clear();
        let now = host.clock.now(self.now);
        let seed = Seed(seed.wrapping_add(host.life));
        host.node = Some(Node::new(id, host.config.clone(), seed, now));
        let mut image = host.disk.image();
        image.stores = host.stores.ids().collect();
        let life = host.life;
        self.note(format_args!("{id} starts, life {life}"));
        self.input(id, Input::Booted(image));
    }

    /// The process is gone: its sessions' clients notice.
    pub(crate) fn stopped(&mut self, id: NodeId) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        host.node = None;
        host.serving = false;
        host.paused_until = None;
        host.backlog.clear();
        host.wake_at = None;
        let sessions: Vec<SessionId> = std::mem::take(&mut host.sessions).into_keys().collect();
        for session in sessions {
            self.after(Duration::from_micros(200), Event::Closed(id, session));
        }
        self.after(Duration::from_secs(1), Event::Restart(id));
    }

    /// Kills a node's process and takes its machine's power.
    pub fn crash(&mut self, id: NodeId) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        if !host.is_up() {
            return;
        }
        let torn = host.disk.crash(&mut self.disk_rng);
        host.stores.crash(&mut self.disk_rng);
        host.sync_fails = false;
        self.note(format_args!("{id} crashes, unsynced bytes: {torn}"));
        self.stopped(id);
    }

    pub(crate) fn strike(&mut self, fault: Fault) {
        self.fault_count += u64::from(!matches!(fault, Fault::Heal));
        self.note(format_args!("fault {fault:?}"));
        match fault {
            Fault::Crash(id, down) => {
                self.crash(id);
                self.after(down, Event::Restart(id));
            }
            Fault::CrashAll(down) => {
                for id in self.ids() {
                    self.crash(id);
                    self.after(down, Event::Restart(id));
                }
            }
            Fault::Pause(id, time) => {
                let until = self.now + time;
                let Some(host) = self.hosts.get_mut(&id).filter(|host| host.is_up()) else {
                    return;
                };
                host.paused_until = Some(until);
                let life = host.life;
                self.after(time, Event::Resume(id, life));
            }
            Fault::Partition(side) => {
                let all = self.ids();
                self.net.partition(&all, &side);
            }
            Fault::OneWay(from, to) => self.net.cut(from, to),
            Fault::CutClients(id) => self.net.cut_clients(id),
            Fault::SlowDisk(id, time) => {
                if let Some(host) = self.hosts.get_mut(&id) {
                    host.sync_time = time;
                }
            }
            Fault::FailSync(id) => {
                if let Some(host) = self.hosts.get_mut(&id) {
                    host.sync_fails = true;
                }
            }
            Fault::Heal => self.net.heal(),
            Fault::Compact(id) => self.compact(id),
            other => self.strike_more(other),
        }
    }

    fn compact(&mut self, id: NodeId) {
        let Some(node) = self.hosts.get(&id).and_then(|host| host.node.as_ref()) else { return };
        let shards: Vec<ShardId> = node.raft_status().into_iter().map(|(shard, _)| shard).collect();
        for shard in shards {
            self.operate(id, OperatorRequest::Compact(shard));
        }
    }

    fn resume(&mut self, id: NodeId) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        host.paused_until = None;
        for input in std::mem::take(&mut host.backlog) {
            self.input(id, input);
        }
        self.input(id, Input::DeadlineReached);
    }
}
