//! The world of a seed: nodes, a network, disks, clients and what goes wrong.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use shardforge_core::base::id::{Incarnation, NodeId, ShardId};
use shardforge_core::base::limit;
use shardforge_core::base::map::stable_hash;
use shardforge_core::base::rng::Rng;
use shardforge_core::base::time::Mono;
use shardforge_core::raft::{
    GroupConfig, LogPosition, Member, Ports, ProposeError, RaftGroup, RaftMessage, Transport,
};
use shardforge_core::step::Stepper;

use crate::disk::Disk;
use crate::machine::{Machine, MachineHandle};
use crate::oracle::Oracle;
use crate::plan::{Plan, Summary};

const GROUP: ShardId = ShardId(1);

enum Event {
    Deliver { from: usize, to: usize, message: RaftMessage },
    Sync { node: usize, life: u64 },
    Client,
    Flush,
    Nemesis,
    Cut { from: usize, to: usize, cut: bool },
    Crash { node: usize, down: Duration },
    Restart { node: usize },
    Heal,
    End,
}

#[derive(Default)]
struct Outbox(RefCell<Vec<(NodeId, RaftMessage)>>);

impl Transport for Outbox {
    fn send(&self, _group: ShardId, to: NodeId, message: RaftMessage) {
        self.0.borrow_mut().push((to, message));
    }
}

/// What clients' tasks learned since the node's last turn.
enum Learned {
    Proposed { payload: u64, outcome: Result<LogPosition, ProposeError> },
    Barrier { acknowledged: Option<u64>, seen: Option<u64> },
}

struct Node {
    id: NodeId,
    life: u64,
    alive: Option<(Stepper, RaftGroup)>,
    disk: Rc<Disk>,
    machine: Rc<Machine>,
    outbox: Rc<Outbox>,
    learned: Rc<RefCell<Vec<Learned>>>,
}

pub(crate) struct World {
    plan: Plan,
    rng: Rng,
    now: Mono,
    events: BTreeMap<(Mono, u64), Event>,
    scheduled: u64,
    nodes: Vec<Node>,
    cut: BTreeSet<(usize, usize)>,
    loss: f64,
    duplication: f64,
    delay_us: u64,
    sync_us: u64,
    healed: bool,
    ended: bool,
    commands: u64,
    /// Nobody writes before this.
    silent_until: Mono,
    oracle: Oracle,
    summary: Summary,
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let mut rng = Rng::stream(plan.seed, "world");
        let nodes = (1..=plan.nodes)
            .map(|machine| Node {
                id: NodeId::machine(machine),
                life: 0,
                alive: None,
                disk: Rc::default(),
                machine: Rc::default(),
                outbox: Rc::default(),
                learned: Rc::default(),
            })
            .collect();
        let hostile = plan.faults;
        let mut world = Self {
            loss: if hostile { rng.unit() * 0.1 } else { 0.0 },
            duplication: if hostile { rng.unit() * 0.1 } else { 0.0 },
            delay_us: if hostile { 200 << rng.below(6) } else { 300 },
            sync_us: if hostile { 500 << rng.below(6) } else { 500 },
            plan,
            rng,
            now: Mono(1_000_000_000),
            events: BTreeMap::new(),
            scheduled: 0,
            nodes,
            cut: BTreeSet::new(),
            healed: false,
            ended: false,
            commands: 0,
            silent_until: Mono::ZERO,
            oracle: Oracle::default(),
            summary: Summary::default(),
        };
        for node in 0..world.nodes.len() {
            world.start(node);
        }
        world.found();
        world.after(Duration::from_millis(1), Event::Client);
        world.after(Duration::from_millis(50), Event::Flush);
        if hostile {
            world.after(Duration::from_secs(1), Event::Nemesis);
        }
        let faulty_for = world.plan.faulty_for;
        world.after(faulty_for, Event::Heal);
        world
    }

    pub(crate) fn summary(&self) -> Summary {
        Summary { elections: self.oracle.elections, ..self.summary.clone() }
    }

    fn after(&mut self, delay: Duration, event: Event) {
        self.scheduled += 1;
        self.events.insert((self.now + delay, self.scheduled), event);
    }

    fn trace(&mut self, words: &[u64]) {
        let mut bytes = self.summary.trace.to_le_bytes().to_vec();
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        self.summary.trace = stable_hash(&bytes);
    }

    fn start(&mut self, at: usize) {
        let now = self.now;
        let node = &mut self.nodes[at];
        node.life += 1;
        let seed = self.plan.seed ^ (u64::from(node.id.0) << 32) ^ node.life;
        let mut stepper = Stepper::new(Rng::stream(seed, "stepper"));
        stepper.advance(now);
        let mut config = GroupConfig::new(GROUP, node.id, Incarnation(node.life));
        config.log_keep_entries = 10;
        config.faults = self.plan.planted.clone();
        let ports = Ports {
            log: node.disk.clone(),
            transport: node.outbox.clone(),
            machine: Rc::new(MachineHandle(node.machine.clone())),
        };
        let recovered = node.disk.durable.borrow().clone();
        *node.disk.believed.borrow_mut() = recovered.clone();
        let group = RaftGroup::open(config, stepper.handle(), recovered, ports);
        node.alive = Some((stepper, group.expect("group opens")));
        self.turn(at);
    }

    fn found(&mut self) {
        let members: BTreeMap<NodeId, Member> =
            self.nodes.iter().map(|node| (node.id, Member::default())).collect();
        if let Some((stepper, group)) = &self.nodes[0].alive {
            let group = group.clone();
            stepper.handle().spawn_detached(async move {
                group.initialize(members).await.expect("a new group may be founded");
            });
        }
        self.turn(0);
    }

    fn crash(&mut self, at: usize) {
        let pending = self.nodes[at].disk.syncing.borrow().len();
        let kept = self.rng.below(pending as u64 + 1) as usize;
        let node = &mut self.nodes[at];
        let Some((stepper, group)) = node.alive.take() else { return };
        stepper.enter(|| node.disk.crash(kept));
        drop(group);
        drop(stepper);
        node.machine.crash();
        node.outbox.0.borrow_mut().clear();
        node.learned.borrow_mut().clear();
        self.oracle.crashed(node.id);
        self.summary.crashes += 1;
    }

    /// Runs until liveness is proved or found missing.
    pub(crate) fn run(&mut self) {
        while !self.ended {
            let timer = self
                .nodes
                .iter()
                .enumerate()
                .filter_map(|(at, node)| Some((node.alive.as_ref()?.0.next_timer()?, at)))
                .min();
            let event = self.events.first_key_value().map(|((at, _), _)| *at);
            match (timer, event) {
                (Some((due, node)), event) if event.is_none_or(|event| due < event) => {
                    self.now = self.now.max(due);
                    self.turn(node);
                }
                (_, Some(_)) => {
                    let Some(((due, _), event)) = self.events.pop_first() else { continue };
                    self.now = due;
                    self.happen(event);
                }
                (_, None) => panic!("nothing will ever happen again"),
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver { from, to, message } => self.deliver(from, to, message),
            Event::Sync { node, life } => self.sync(node, life),
            Event::Client => self.client(),
            Event::Flush => self.flush(),
            Event::Nemesis => self.nemesis(),
            Event::Cut { from, to, cut } => {
                if cut {
                    self.cut.insert((from, to));
                } else {
                    self.cut.remove(&(from, to));
                }
            }
            Event::Crash { node, down } => {
                if !self.healed {
                    self.crash(node);
                    self.after(down, Event::Restart { node });
                }
            }
            Event::Restart { node } => {
                if self.nodes[node].alive.is_none() {
                    self.start(node);
                }
            }
            Event::Heal => {
                self.healed = true;
                self.cut.clear();
                self.loss = 0.0;
                self.duplication = 0.0;
                for node in 0..self.nodes.len() {
                    if self.nodes[node].alive.is_none() {
                        self.start(node);
                    }
                }
                self.summary.acknowledged += 1;
                self.oracle.acknowledged = self.oracle.acknowledged.max(Some(0));
                self.after(Duration::from_secs(5), Event::End);
            }
            Event::End => self.end(),
        }
    }

    /// Everything a node does in one turn, and what follows from it.
    fn turn(&mut self, at: usize) {
        loop {
            let node = &mut self.nodes[at];
            let Some((stepper, _)) = &mut node.alive else { return };
            let outcome = stepper.run_until_stalled(self.now, limit::STEP_POLLS_MAX);
            assert!(!outcome.more, "a node never stalls");
            let quiet = self.drain(at);
            if quiet {
                break;
            }
        }
        let node = &self.nodes[at];
        let Some((_, group)) = &node.alive else { return };
        group.check_invariants();
        let status = group.status();
        self.oracle.observe(node.id, &status, |index| group.term_at(index));
        let acknowledged = self.oracle.acknowledged;
        if group.lease_valid(self.now) {
            self.summary.lease_reads += 1;
            let seen = group.applied().map(|at| at.index);
            self.oracle.read(node.id, acknowledged, seen, "lease");
        }
    }

    /// Hands on what a node left behind; whether there was nothing.
    fn drain(&mut self, at: usize) -> bool {
        let node = &self.nodes[at];
        let (id, life) = (node.id, node.life);
        let batches = std::mem::take(&mut *node.disk.taken.borrow_mut());
        let messages = std::mem::take(&mut *node.outbox.0.borrow_mut());
        let learned = std::mem::take(&mut *node.learned.borrow_mut());
        let news = std::mem::take(&mut *node.machine.news.borrow_mut());
        let installed = std::mem::take(&mut *node.machine.installed.borrow_mut());
        let quiet = batches.is_empty() && messages.is_empty() && learned.is_empty();
        let disk = node.disk.clone();
        for batch in batches {
            for record in &batch.records {
                self.oracle.log_written(id, &disk.believed.borrow(), record);
                disk.believed.borrow_mut().replay(record.clone());
            }
            disk.syncing.borrow_mut().push_back(batch);
            let sync_us = self.rng.between(self.sync_us / 2, self.sync_us * 2);
            self.after(Duration::from_micros(sync_us), Event::Sync { node: at, life });
        }
        for (place, chain) in installed {
            self.summary.snapshots += 1;
            self.oracle.installed(id, place, chain);
        }
        let disks: Vec<Rc<Disk>> = self.nodes.iter().map(|node| node.disk.clone()).collect();
        let disks: Vec<&Disk> = disks.iter().map(|disk| &**disk).collect();
        let term = self.nodes[at].alive.as_ref().map_or(0, |(_, group)| group.term());
        for entry in &news {
            self.oracle.applied(id, term, entry, &disks);
        }
        for (to, message) in messages {
            self.oracle.message_sent(id, to, &disk, &message);
            self.send(at, to, message);
        }
        for item in learned {
            self.learn(id, item, &disks);
        }
        quiet
    }

    fn learn(&mut self, node: NodeId, item: Learned, disks: &[&Disk]) {
        match item {
            Learned::Proposed { payload, outcome: Ok(position) } => {
                self.summary.acknowledged += 1;
                self.oracle.acknowledge(position, payload, disks);
            }
            Learned::Proposed { payload, outcome: Err(error) } if error.is_definite() => {
                self.summary.refused += 1;
                self.oracle.refuse(payload);
            }
            Learned::Proposed { .. } => self.summary.unknown += 1,
            Learned::Barrier { acknowledged, seen } => {
                self.summary.barrier_reads += 1;
                self.oracle.read(node, acknowledged, seen, "barrier");
            }
        }
    }

    fn send(&mut self, from: usize, to: NodeId, message: RaftMessage) {
        self.summary.messages += 1;
        let bytes = postcard::to_stdvec(&message).expect("messages serialise");
        self.trace(&[self.now.0, from as u64, u64::from(to.0), stable_hash(&bytes)]);
        let message: RaftMessage = postcard::from_bytes(&bytes).expect("messages deserialise");
        let Some(to) = self.nodes.iter().position(|node| node.id == to) else { return };
        let copies = 1 + u64::from(self.rng.chance(self.duplication));
        for _ in 0..copies {
            if self.rng.chance(self.loss) {
                continue;
            }
            // A tail: one message in fifty is very late, so that order and lives get mixed up.
            let late = if self.plan.faults && self.rng.below(50) == 0 { 50 } else { 1 };
            let delay = self.rng.between(self.delay_us / 2, self.delay_us * 2 * late);
            let message = message.clone();
            self.after(Duration::from_micros(delay), Event::Deliver { from, to, message });
        }
    }

    fn deliver(&mut self, from: usize, to: usize, message: RaftMessage) {
        if self.cut.contains(&(from, to)) {
            return;
        }
        let from = self.nodes[from].id;
        let now = self.now;
        if let Some((stepper, group)) = &mut self.nodes[to].alive {
            stepper.advance(now);
            group.receive(from, message);
            self.turn(to);
        }
    }

    fn sync(&mut self, at: usize, life: u64) {
        let node = &self.nodes[at];
        if node.life != life || node.alive.is_none() {
            return;
        }
        for durable in node.disk.sync(1) {
            durable.complete(Ok(()));
        }
        self.turn(at);
    }

    /// A client somewhere writes or reads.
    fn client(&mut self) {
        let at = self.rng.below(self.nodes.len() as u64) as usize;
        let write = self.rng.below(4) != 0;
        let pause = self.rng.between(500, 8_000);
        self.after(Duration::from_micros(pause), Event::Client);
        let command = self.commands;
        let acknowledged = self.oracle.acknowledged;
        let node = &self.nodes[at];
        let Some((stepper, group)) = &node.alive else { return };
        let learned = node.learned.clone();
        let group = group.clone();
        if write {
            if self.now < self.silent_until || !group.is_serving_leader() {
                return;
            }
            let bytes = Bytes::from(command.to_le_bytes().to_vec());
            let payload = stable_hash(&bytes);
            let term = group.term();
            stepper.handle().spawn_detached(async move {
                let outcome = group.propose(term, bytes).await.map(|done| done.position);
                learned.borrow_mut().push(Learned::Proposed { payload, outcome });
            });
            self.commands += 1;
        } else {
            stepper.handle().spawn_detached(async move {
                if group.read_index().await.is_ok() {
                    let seen = group.applied().map(|at| at.index);
                    learned.borrow_mut().push(Learned::Barrier { acknowledged, seen });
                }
            });
        }
        self.turn(at);
    }

    /// A node's store is flushed and its log purged.
    fn flush(&mut self) {
        let at = self.rng.below(self.nodes.len() as u64) as usize;
        self.after(Duration::from_millis(40), Event::Flush);
        let node = &self.nodes[at];
        let Some((_, group)) = &node.alive else { return };
        node.machine.flush(group.persisted());
        group.trigger_snapshot();
        self.turn(at);
    }

    fn leader(&self) -> Option<usize> {
        self.nodes.iter().position(|node| {
            node.alive.as_ref().is_some_and(|(_, group)| group.is_serving_leader())
        })
    }

    fn cut_for(&mut self, from: usize, to: usize, start: Duration, length: Duration) {
        self.after(start, Event::Cut { from, to, cut: true });
        self.after(start + length, Event::Cut { from, to, cut: false });
    }

    /// Something goes wrong.
    fn nemesis(&mut self) {
        if self.healed {
            return;
        }
        let pause = self.rng.between(100, 900);
        self.after(Duration::from_millis(pause), Event::Nemesis);
        let count = self.nodes.len() as u64;
        let any = self.rng.below(count) as usize;
        let leader = self.leader().unwrap_or(any);
        let others: Vec<usize> = (0..self.nodes.len()).filter(|at| *at != leader).collect();
        let ms = Duration::from_millis;
        let length = ms(self.rng.between(50, 1_500));
        match self.rng.below(9) {
            // A node dies, often the leader.
            0 | 1 => {
                let node = if self.rng.below(2) == 0 { leader } else { any };
                let down = ms(self.rng.between(1, 800));
                self.after(ms(0), Event::Crash { node, down });
            }
            // Power fails everywhere.
            2 => {
                for node in 0..self.nodes.len() {
                    let down = ms(self.rng.between(1, 400));
                    self.after(ms(0), Event::Crash { node, down });
                }
            }
            // The leader is alone, in both directions or only towards it.
            3 => {
                let deaf = self.rng.below(2) == 0;
                for other in others {
                    self.cut_for(other, leader, ms(0), length);
                    if !deaf {
                        self.cut_for(leader, other, ms(0), length);
                    }
                }
            }
            // One link fails, one way.
            4 => {
                let to = self.rng.below(count) as usize;
                self.cut_for(any, to, ms(0), length);
            }
            // A leader hands over.
            5 => {
                if let Some((_, group)) = &self.nodes[leader].alive
                    && let Some(to) = self.rng.pick(&others)
                {
                    group.transfer_leader(self.nodes[*to].id);
                    self.turn(leader);
                }
            }
            _ => self.attack_lease(leader, &others),
        }
    }

    /// One follower loses the leader long enough to stand for election; then the other, which alone
    /// keeps the leader's lease alive, restarts and is cut off from the leader at the same moment.
    fn attack_lease(&mut self, leader: usize, others: &[usize]) {
        let [first, second] = others else { return };
        let (candidate, voter) =
            if self.rng.below(2) == 0 { (*first, *second) } else { (*second, *first) };
        let ms = Duration::from_millis;
        let turn = ms(self.rng.between(600, 1_000));
        // With a log as long as the voter's, the candidate can win.
        self.silent_until = self.now + turn;
        for (from, to) in [(leader, candidate), (candidate, leader)] {
            self.cut_for(from, to, ms(0), turn + ms(800));
        }
        for (from, to) in [(leader, voter), (voter, leader)] {
            self.cut_for(from, to, turn, ms(800));
        }
        self.after(turn, Event::Crash { node: voter, down: ms(1) });
    }

    /// Faults have been over for a while: somebody leads, writes are acknowledged, all agree.
    fn end(&mut self) {
        self.ended = true;
        let Some(leader) = self.leader() else { panic!("liveness: nobody leads after the heal") };
        let now = self.now;
        let group = self.nodes[leader].alive.as_ref().map(|(_, group)| group.clone());
        let applied = group.and_then(|group| {
            assert!(group.lease_valid(now), "liveness: the leader has no lease");
            group.applied()
        });
        assert!(
            self.oracle.acknowledged <= applied.map(|at| at.index),
            "liveness: the leader lacks acknowledged writes"
        );
        for node in &self.nodes {
            let behind = node.machine.state.borrow().position.map(|at| at.index);
            let far = applied.map(|at| at.index).unwrap_or_default();
            assert!(
                Some(far.saturating_sub(200)) <= behind,
                "liveness: {} is at {behind:?}, the leader at {far}",
                node.id
            );
        }
        let (acknowledged, commands) = (self.summary.acknowledged, self.commands);
        self.trace(&[acknowledged, commands]);
    }
}
