//! A group of replicas over a network and disks that take a millisecond each.
//!
//! ```text
//! cluster 3             founds a group                pass 500ms        lets time go by
//! propose n1 text       asks a node to log it         read n2           asks for a barrier
//! crash n1              loses what is not synced      restart n1
//! cut n1 [n2]           one node, or one link
//! heal                  ends all cuts                 transfer n2       hands over
//! flush n1              flush and purge
//! show                  every node that is up
//! ```
//!
//! `leader` stands for the node that led last, `other` for the first of the others that is up, `down`
//! for the first that is down, and `flush all` flushes all that are up. What becomes of a proposal or a read is told in the block in which it happens; so is who leads.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use shardforge_core::base::id::{Incarnation, NodeId, ShardId};
use shardforge_core::base::limit;
use shardforge_core::base::rng::Rng;
use shardforge_core::base::time::Mono;
use shardforge_core::raft::{
    GroupConfig, LogPosition, Member, Ports, RaftGroup, RaftMessage, Transport,
};
use shardforge_core::step::Stepper;

use crate::Runner;
use crate::disk::Disk;
use crate::machine::{Machine, MachineHandle};

const GROUP: ShardId = ShardId(1);
const MOMENT: Duration = Duration::from_millis(1);

enum Event {
    Deliver { from: usize, to: usize, message: RaftMessage },
    Sync { node: usize, life: u64 },
}

#[derive(Default)]
struct Outbox(RefCell<Vec<(NodeId, RaftMessage)>>);

impl Transport for Outbox {
    fn send(&self, _: ShardId, to: NodeId, message: RaftMessage) {
        self.0.borrow_mut().push((to, message));
    }
}

#[derive(Default)]
struct Node {
    life: u64,
    alive: Option<(Stepper, RaftGroup)>,
    disk: Rc<Disk>,
    machine: Rc<Machine>,
    outbox: Rc<Outbox>,
}

/// See the module.
#[derive(Default)]
pub struct Group {
    now: Mono,
    nodes: Vec<Node>,
    events: BTreeMap<(Mono, u64), Event>,
    scheduled: u64,
    cut: BTreeSet<(usize, usize)>,
    leads: Option<(usize, u64)>,
    told: Rc<RefCell<String>>,
}

fn name(node: usize) -> String {
    format!("n{}", node + 1)
}

fn place(at: Option<LogPosition>) -> String {
    at.map_or("-".to_owned(), |at| at.to_string())
}

impl Group {
    fn cluster(&mut self, count: usize) {
        self.now = Mono::ZERO + Duration::from_secs(1);
        self.nodes = (0..count).map(|_| Node::default()).collect();
        for node in 0..count {
            self.start(node);
        }
        let ids = (1..=count as u32).map(NodeId::machine);
        let members: BTreeMap<_, _> = ids.map(|id| (id, Member::default())).collect();
        let (stepper, group) = self.nodes[0].alive.as_ref().expect("it has just started");
        let group = group.clone();
        stepper.handle().spawn_detached(async move {
            group.initialize(members).await.expect("a new group may be founded");
        });
        self.turn(0);
    }

    fn start(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.life += 1;
        let id = NodeId::machine(at as u32 + 1);
        let mut stepper = Stepper::new(Rng::stream(u64::from(id.0) << 8 | node.life, "golden"));
        stepper.advance(self.now);
        let mut config = GroupConfig::new(GROUP, id, Incarnation(node.life));
        config.log_keep_entries = 1;
        let ports = Ports {
            log: node.disk.clone(),
            transport: node.outbox.clone(),
            machine: Rc::new(MachineHandle(node.machine.clone())),
        };
        let recovered = node.disk.durable.borrow().clone();
        let group = RaftGroup::open(config, stepper.handle(), recovered, ports);
        node.alive = Some((stepper, group.expect("group opens")));
        self.turn(at);
    }

    fn crash(&mut self, at: usize, kept: usize) {
        let node = &mut self.nodes[at];
        let Some((stepper, group)) = node.alive.take() else { panic!("{} is down", name(at)) };
        stepper.enter(|| node.disk.crash(kept));
        drop(group);
        drop(stepper);
        node.machine.crash();
        node.outbox.0.borrow_mut().clear();
    }

    fn after(&mut self, event: Event) {
        self.scheduled += 1;
        self.events.insert((self.now + MOMENT, self.scheduled), event);
    }

    /// Lets a node work until it waits.
    fn turn(&mut self, at: usize) {
        loop {
            let node = &mut self.nodes[at];
            let Some((stepper, _)) = &mut node.alive else { return };
            stepper.run_until_stalled(self.now, limit::STEP_POLLS_MAX);
            let batches = std::mem::take(&mut *node.disk.taken.borrow_mut());
            let messages = std::mem::take(&mut *node.outbox.0.borrow_mut());
            let life = node.life;
            if batches.is_empty() && messages.is_empty() {
                break;
            }
            for batch in batches {
                self.nodes[at].disk.syncing.borrow_mut().push_back(batch);
                self.after(Event::Sync { node: at, life });
            }
            for (to, message) in messages {
                let to = (to.0 >> 8) as usize - 1;
                self.after(Event::Deliver { from: at, to, message });
            }
        }
        self.watch();
    }

    /// Tells of a new leader.
    fn watch(&mut self) {
        let serving = |(at, node): (usize, &Node)| {
            let (_, group) = node.alive.as_ref()?;
            group.is_serving_leader().then(|| (group.term(), at))
        };
        let newest = self.nodes.iter().enumerate().filter_map(serving).max();
        if let Some((term, at)) = newest
            && self.leads.is_none_or(|(_, known)| known < term)
        {
            self.leads = Some((at, term));
            let _ = writeln!(self.told.borrow_mut(), "{} leads term {term}", name(at));
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let up = self.nodes.iter().enumerate();
            let timer =
                up.filter_map(|(at, n)| Some((n.alive.as_ref()?.0.next_timer()?, at))).min();
            let event = self.events.first_key_value().map(|((due, _), _)| *due);
            match (timer, event) {
                (Some((due, node)), event)
                    if due <= until && event.is_none_or(|event| due < event) =>
                {
                    self.now = self.now.max(due);
                    self.turn(node);
                }
                (_, Some(due)) if due <= until => {
                    self.now = due;
                    let event = self.events.pop_first().map(|(_, event)| event);
                    event.into_iter().for_each(|event| self.happen(event));
                }
                _ => break,
            }
        }
        self.now = until;
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver { from, to, message } => {
                let now = self.now;
                if !self.cut.contains(&(from, to))
                    && let Some((stepper, group)) = &mut self.nodes[to].alive
                {
                    stepper.advance(now);
                    group.receive(NodeId::machine(from as u32 + 1), message);
                    self.turn(to);
                }
            }
            Event::Sync { node: at, life } => {
                let node = &self.nodes[at];
                if node.life == life && node.alive.is_some() {
                    node.disk.sync(1).into_iter().for_each(|durable| durable.complete(Ok(())));
                    self.turn(at);
                }
            }
        }
    }

    /// The node that a word means.
    fn node(&self, word: &str) -> usize {
        let leader = self.leads.map(|(at, _)| at);
        let other = || (0..self.nodes.len()).find(|at| Some(*at) != leader && self.is_up(*at));
        let found = match word {
            "leader" => leader,
            "other" => other(),
            "down" => (0..self.nodes.len()).find(|at| !self.is_up(*at)),
            name => name.strip_prefix('n').and_then(|n| n.parse::<usize>().ok()).map(|n| n - 1),
        };
        found.unwrap_or_else(|| panic!("no node is {word}"))
    }

    fn is_up(&self, at: usize) -> bool {
        self.nodes[at].alive.is_some()
    }

    fn propose(&mut self, at: usize, text: &str) {
        let Some((stepper, group)) = &self.nodes[at].alive else { panic!("{} is down", name(at)) };
        let (group, told, text) = (group.clone(), Rc::clone(&self.told), text.to_owned());
        let term = group.term();
        stepper.handle().spawn_detached(async move {
            let line = match group.propose(term, Bytes::from(text.clone())).await {
                Ok(done) => format!("{text} is durable at {}", done.position),
                Err(error) if error.is_definite() => format!("{text} is refused: {error}"),
                Err(error) => format!("{text} may or may not be: {error}"),
            };
            let _ = writeln!(told.borrow_mut(), "{line}");
        });
        self.turn(at);
    }

    fn read(&mut self, at: usize) {
        let Some((stepper, group)) = &self.nodes[at].alive else { panic!("{} is down", name(at)) };
        let (group, told) = (group.clone(), Rc::clone(&self.told));
        stepper.handle().spawn_detached(async move {
            let line = match group.read_index().await {
                Ok(()) => format!("{} reads at {}", name(at), place(group.applied())),
                Err(error) => format!("{} does not read: {error}", name(at)),
            };
            let _ = writeln!(told.borrow_mut(), "{line}");
        });
        self.turn(at);
    }

    fn flush(&mut self, at: usize) {
        let node = &self.nodes[at];
        let Some((_, group)) = &node.alive else { panic!("{} is down", name(at)) };
        node.machine.flush(group.persisted());
        group.trigger_snapshot();
        self.turn(at);
    }

    fn cut(&mut self, one: usize, others: &[usize]) {
        for other in others {
            self.cut.extend([(one, *other), (*other, one)]);
        }
    }

    fn show(&self) {
        let mut told = self.told.borrow_mut();
        for (at, node) in self.nodes.iter().enumerate() {
            let Some((_, group)) = &node.alive else {
                let _ = writeln!(told, "{} is down", name(at));
                continue;
            };
            let status = group.status();
            let role = format!("{:?}", status.role).to_lowercase();
            let _ = writeln!(
                told,
                "{} {role} of term {}: log {}, committed {}, applied {}, purged {}",
                name(at),
                status.term,
                place(status.last_log),
                place(status.committed),
                place(status.applied),
                place(status.purged)
            );
        }
    }
}

impl Runner for Group {
    fn block(&mut self, commands: &[&str]) -> String {
        for command in commands {
            let words: Vec<&str> = command.split_whitespace().collect();
            match words.as_slice() {
                ["cluster", count] => self.cluster(count.parse().expect("a number")),
                ["pass", time] => {
                    let ms = time.strip_suffix("ms").and_then(|ms| ms.parse().ok());
                    self.pass(Duration::from_millis(ms.expect("milliseconds")));
                }
                ["propose", node, text] => self.propose(self.node(node), text),
                ["read", node] => self.read(self.node(node)),
                ["crash", node] => self.crash(self.node(node), 0),
                ["restart", node] => self.start(self.node(node)),
                ["cut", one, other] => self.cut(self.node(one), &[self.node(other)]),
                ["cut", one] => {
                    let one = self.node(one);
                    let others: Vec<_> = (0..self.nodes.len()).filter(|at| *at != one).collect();
                    self.cut(one, &others);
                }
                ["heal"] => self.cut.clear(),
                ["transfer", node] => {
                    let to = NodeId::machine(self.node(node) as u32 + 1);
                    let leader = self.node("leader");
                    if let Some((_, group)) = &self.nodes[leader].alive {
                        group.transfer_leader(to);
                    }
                    self.turn(leader);
                }
                ["flush", "all"] => {
                    let up = (0..self.nodes.len()).filter(|at| self.is_up(*at));
                    up.collect::<Vec<_>>().into_iter().for_each(|at| self.flush(at));
                }
                ["flush", node] => self.flush(self.node(node)),
                ["show"] => self.show(),
                other => panic!("no such command: {other:?}"),
            }
        }
        let told = std::mem::take(&mut *self.told.borrow_mut());
        if told.is_empty() { "nothing is told".to_owned() } else { told }
    }
}
