//! A group of one voter over a log that is durable at once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use shardforge_core::base::id::{Incarnation, NodeId, ShardId};
use shardforge_core::base::rng::Rng;
use shardforge_core::base::time::Mono;
use shardforge_core::raft::ports::OpenSnapshot;
use shardforge_core::raft::{
    AppliedState, ApplyAnswer, ApplyEntry, ApplyPayload, Durable, GroupConfig, LogRecord, LogSink,
    Member, Ports, RaftGroup, RaftMessage, RecoveredLog, SnapshotError, SnapshotMeta, SnapshotSink,
    StateMachine, StoredMembership, Transport,
};
use shardforge_core::step::Stepper;

const POLLS_MAX: usize = 100_000;

#[derive(Default)]
struct Sink(RefCell<Vec<Durable>>);

impl LogSink for Sink {
    fn append(&self, _group: ShardId, _records: Vec<LogRecord>, durable: Durable) {
        self.0.borrow_mut().push(durable);
    }
}

struct Nobody;

impl Transport for Nobody {
    fn send(&self, _group: ShardId, _to: NodeId, _message: RaftMessage) {}
}

#[derive(Default)]
struct Counter(RefCell<AppliedState>);

impl StateMachine for Counter {
    fn applied(&self) -> AppliedState {
        self.0.borrow().clone()
    }

    fn flushed(&self) -> AppliedState {
        self.0.borrow().clone()
    }

    fn apply(&self, entries: &[ApplyEntry]) -> Vec<ApplyAnswer> {
        let mut state = self.0.borrow_mut();
        for entry in entries {
            state.position = Some(entry.position);
            if let ApplyPayload::Membership(membership) = &entry.payload {
                let (position, membership) = (Some(entry.position), membership.clone());
                state.membership = StoredMembership { position, membership };
            }
        }
        vec![ApplyAnswer::default(); entries.len()]
    }

    fn open_snapshot(&self) -> LocalBoxFuture<'_, Result<OpenSnapshot, SnapshotError>> {
        Box::pin(async { Err(SnapshotError("there is nobody to send it to".to_owned())) })
    }

    fn begin_install(&self, _: &SnapshotMeta) -> Result<Box<dyn SnapshotSink>, SnapshotError> {
        Err(SnapshotError("there is nobody to send one".to_owned()))
    }
}

/// See the module.
pub(crate) struct SoloGroup {
    stepper: Stepper,
    group: RaftGroup,
    sink: Rc<Sink>,
    term: u64,
    now: Mono,
    written: u64,
}

impl SoloGroup {
    /// Opens it and waits until it leads.
    pub(crate) fn open() -> Self {
        let node = NodeId::machine(1);
        let mut stepper = Stepper::new(Rng::stream(7, "bench"));
        let sink = Rc::new(Sink::default());
        let (log, machine) = (sink.clone(), Rc::new(Counter::default()));
        let ports = Ports { log, machine, transport: Rc::new(Nobody) };
        let config = GroupConfig {
            log_keep_entries: 100,
            ..GroupConfig::new(ShardId(1), node, Incarnation(1))
        };
        let now = Mono(1_000_000_000);
        stepper.advance(now);
        let handle = stepper.handle().clone();
        let group = RaftGroup::open(config, &handle, RecoveredLog::default(), ports)
            .expect("an empty group opens");
        let founding = group.clone();
        stepper.handle().spawn_detached(async move {
            let members = BTreeMap::from([(node, Member::default())]);
            founding.initialize(members).await.expect("a new group may be founded");
        });
        let mut solo = Self { stepper, group, sink, term: 0, now, written: 0 };
        for _ in 0..1_000 {
            solo.turn();
            solo.now = Mono(solo.now.0 + 10_000_000);
            if solo.group.is_serving_leader() {
                solo.term = solo.group.term();
                return solo;
            }
        }
        panic!("nobody leads")
    }

    /// Commits and applies `in_flight` commands that are proposed together.
    pub(crate) fn commit(&mut self, command: &Bytes, in_flight: usize) {
        let done = Rc::new(RefCell::new(0));
        for _ in 0..in_flight {
            let (group, term, done) = (self.group.clone(), self.term, Rc::clone(&done));
            let command = command.clone();
            self.stepper.handle().spawn_detached(async move {
                group.propose(term, command).await.expect("the only voter leads");
                *done.borrow_mut() += 1;
            });
        }
        for _ in 0..1_000 {
            if *done.borrow() == in_flight {
                break;
            }
            self.turn();
            self.now = Mono(self.now.0 + 10_000);
        }
        assert_eq!(*done.borrow(), in_flight, "a command was not applied");
        self.written += in_flight as u64;
        if 10_000 < self.written {
            self.written = 0;
            self.stepper.enter(|| self.group.trigger_snapshot());
        }
    }

    fn turn(&mut self) {
        self.stepper.run_until_stalled(self.now, POLLS_MAX);
        let durable: Vec<Durable> = self.sink.0.borrow_mut().drain(..).collect();
        self.stepper.enter(|| durable.into_iter().for_each(|batch| batch.complete(Ok(()))));
    }
}
