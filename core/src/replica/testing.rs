//! A tiny world for the tests of this floor and the one above: tasks in random order, virtual time, a
//! store in memory and a raft group that delays and loses.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;

use super::machine::{Entry, EntryAnswer, Machine, Payload, Place};
use super::ports::{Clock, Consensus, ProposeError, StoreHandle};
use super::replica::Replica;
use super::wait::{Resolver, promise};
use crate::base::buggify::Faults;
use crate::base::id::NodeId;
use crate::base::rng::Rng;
use crate::base::time::{Mono, Now, Wall};
use crate::storage::memory::MemoryStore;
use crate::storage::port::{ReadReply, ReadRequest, StorageError, WriteBatch};
use crate::storage::versioned::answer;

/// The node on which everything runs.
pub(crate) const NODE: NodeId = NodeId::machine(1);

type Ready = Arc<Mutex<Vec<usize>>>;
type Task = LocalBoxFuture<'static, ()>;

struct WakeTask(usize, Ready);

impl Wake for WakeTask {
    fn wake(self: Arc<Self>) {
        let mut ready = self.1.lock().unwrap();
        if !ready.contains(&self.0) {
            ready.push(self.0);
        }
    }
}

/// Tasks and time.
pub(crate) struct Sim {
    now: Cell<Mono>,
    tasks: RefCell<BTreeMap<usize, Option<Task>>>,
    next: Cell<usize>,
    ready: Ready,
    timers: RefCell<BTreeMap<(Mono, u64), Waker>>,
    timer: Cell<u64>,
    pub(crate) rng: RefCell<Rng>,
}

struct Sleep {
    sim: Rc<Sim>,
    at: Mono,
    id: Option<u64>,
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.at <= self.sim.now.get() {
            return Poll::Ready(());
        }
        let id = match self.id {
            Some(id) => id,
            None => self.sim.timer.replace(self.sim.timer.get() + 1),
        };
        self.id = Some(id);
        self.sim.timers.borrow_mut().insert((self.at, id), cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.sim.timers.borrow_mut().remove(&(self.at, id));
        }
    }
}

impl Sim {
    pub(crate) fn new(seed: u64) -> Rc<Self> {
        Rc::new(Self {
            now: Cell::new(Mono(1_000_000_000)),
            tasks: RefCell::default(),
            next: Cell::new(0),
            ready: Ready::default(),
            timers: RefCell::default(),
            timer: Cell::new(0),
            rng: RefCell::new(Rng::new(seed)),
        })
    }

    pub(crate) fn clock(self: &Rc<Self>) -> Rc<dyn Clock> {
        Rc::new(SimClock(Rc::clone(self)))
    }

    pub(crate) fn start(&self, task: impl Future<Output = ()> + 'static) -> usize {
        let id = self.next.replace(self.next.get() + 1);
        self.tasks.borrow_mut().insert(id, Some(Box::pin(task)));
        self.ready.lock().unwrap().push(id);
        id
    }

    /// Drops a task, as a crash or a vanished client does.
    pub(crate) fn kill(&self, id: usize) {
        let task = self.tasks.borrow_mut().remove(&id);
        drop(task);
    }

    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.rng.borrow_mut().below(bound)
    }

    pub(crate) fn chance(&self, p: f64) -> bool {
        self.rng.borrow_mut().chance(p)
    }

    pub(crate) fn sleep(self: &Rc<Self>, duration: Duration) -> impl Future<Output = ()> + use<> {
        Sleep { sim: Rc::clone(self), at: self.now.get() + duration, id: None }
    }

    /// A short time, sometimes none, sometimes long.
    pub(crate) fn lag(self: &Rc<Self>) -> impl Future<Output = ()> + use<> {
        let micros = match self.below(10) {
            0..4 => 0,
            4..9 => self.below(500),
            _ => self.below(30_000),
        };
        self.sleep(Duration::from_micros(micros))
    }

    /// Polls one ready task, or moves time to the next timer; `false` if there is nothing to do.
    fn step(&self) -> bool {
        let id = {
            let mut ready = self.ready.lock().unwrap();
            let len = ready.len() as u64;
            if len == 0 { None } else { Some(ready.swap_remove(self.below(len) as usize)) }
        };
        let Some(id) = id else {
            let Some(((at, _), waker)) = self.timers.borrow_mut().pop_first() else { return false };
            self.now.set(self.now.get().max(at));
            waker.wake();
            return true;
        };
        let Some(mut task) = self.tasks.borrow_mut().get_mut(&id).and_then(Option::take) else {
            return true;
        };
        let waker = Waker::from(Arc::new(WakeTask(id, Arc::clone(&self.ready))));
        let done = task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        if done {
            self.tasks.borrow_mut().remove(&id);
        } else if let Some(slot) = self.tasks.borrow_mut().get_mut(&id) {
            *slot = Some(task);
        }
        true
    }

    /// Runs until `done`, or panics: nothing may hang.
    pub(crate) fn run_until(&self, done: impl Fn() -> bool) {
        for _ in 0..2_000_000 {
            if done() {
                return;
            }
            assert!(self.step(), "nothing left to do, and not done");
        }
        panic!("no end in sight at {}", self.now.get());
    }

    /// Runs one future to its end.
    pub(crate) fn block_on<T: 'static>(
        self: &Rc<Self>,
        future: impl Future<Output = T> + 'static,
    ) -> T {
        let result = Rc::new(RefCell::new(None));
        let slot = Rc::clone(&result);
        self.start(async move {
            let value = future.await;
            *slot.borrow_mut() = Some(value);
        });
        self.run_until(|| result.borrow().is_some());
        let value = result.borrow_mut().take();
        value.unwrap()
    }

    /// Drops all tasks: they and the replicas hold each other.
    pub(crate) fn finish(&self) {
        while let Some((_, task)) = { self.tasks.borrow_mut().pop_first() } {
            drop(task);
        }
    }
}

struct SimClock(Rc<Sim>);

impl Clock for SimClock {
    fn now(&self) -> Now {
        let mono = self.0.now.get();
        Now { mono, wall: Wall(1_700_000_000_000_000 + (mono.0 / 1_000) as i64) }
    }
    fn sleep_until(&self, at: Mono) -> LocalBoxFuture<'static, ()> {
        Box::pin(Sleep { sim: Rc::clone(&self.0), at, id: None })
    }
    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        self.0.start(task);
    }
}

/// A store that answers late what it pinned at once.
pub(crate) struct SimStore {
    sim: Rc<Sim>,
    pub(crate) store: RefCell<MemoryStore>,
}

impl SimStore {
    pub(crate) fn new(sim: &Rc<Sim>) -> Rc<Self> {
        Rc::new(Self { sim: Rc::clone(sim), store: RefCell::default() })
    }
}

impl StoreHandle for SimStore {
    fn read(
        &self,
        request: ReadRequest,
    ) -> LocalBoxFuture<'static, Result<ReadReply, StorageError>> {
        let reply = answer(&*self.store.borrow(), &request);
        let lag = self.sim.lag();
        Box::pin(async move {
            lag.await;
            reply
        })
    }
    fn write(&self, batch: WriteBatch) {
        self.store.borrow_mut().write(&batch, &Faults::default());
    }
}

struct InFlight {
    number: u64,
    term: u64,
    command: Bytes,
    resolver: Resolver<Result<EntryAnswer, ProposeError>>,
}

/// A raft group of one replica that changes its leader (to itself, in a later term), loses what was in
/// flight then or not, and sometimes has no lease.
pub(crate) struct SimGroup {
    me: Weak<Self>,
    sim: Rc<Sim>,
    machine: Rc<Machine>,
    store: Rc<SimStore>,
    term: Cell<u64>,
    serving: Cell<bool>,
    lease: Cell<bool>,
    index: Cell<u64>,
    next: Cell<u64>,
    log: RefCell<VecDeque<InFlight>>,
    replica: RefCell<Option<Weak<Replica>>>,
}

impl SimGroup {
    pub(crate) fn new(sim: &Rc<Sim>, machine: &Rc<Machine>, store: &Rc<SimStore>) -> Rc<Self> {
        let lease = sim.chance(0.5);
        Rc::new_cyclic(|me| Self {
            me: me.clone(),
            sim: Rc::clone(sim),
            machine: Rc::clone(machine),
            store: Rc::clone(store),
            term: Cell::new(1),
            serving: Cell::new(true),
            lease: Cell::new(lease),
            index: Cell::new(0),
            next: Cell::new(0),
            log: RefCell::default(),
            replica: RefCell::default(),
        })
    }

    pub(crate) fn serve_with(&self, replica: &Rc<Replica>) {
        *self.replica.borrow_mut() = Some(Rc::downgrade(replica));
    }

    fn apply(&self, term: u64, payload: Payload<'_>) -> EntryAnswer {
        let index = self.index.replace(self.index.get() + 1);
        let entry = Entry { place: Place { term, index }, payload };
        let (batches, answers) = self.machine.apply(&[entry]);
        for batch in batches {
            self.store.write(batch);
        }
        answers[0]
    }

    /// Commits everything up to a number, in order.
    fn commit(&self, number: u64) {
        while let Some(entry) = {
            let mut log = self.log.borrow_mut();
            if log.front().is_some_and(|entry| entry.number <= number) {
                log.pop_front()
            } else {
                None
            }
        } {
            let answer = self.apply(entry.term, Payload::Command(&entry.command));
            entry.resolver.resolve(Ok(answer));
        }
    }

    /// Elected for another term, of which nothing is applied yet.
    pub(crate) fn elect(&self) {
        self.serving.set(false);
        self.term.set(self.term.get() + 1);
    }

    /// Ends the term. A prefix of what is in flight survives, and nobody is told.
    pub(crate) async fn change_leader(self: Rc<Self>) {
        if !self.serving.get() {
            return;
        }
        self.elect();
        let mut survivors: Vec<InFlight> = self.log.borrow_mut().drain(..).collect();
        let kept = self.sim.below(survivors.len() as u64 + 1) as usize;
        for lost in survivors.drain(kept..) {
            let error =
                if self.sim.chance(0.5) { ProposeError::Lost } else { ProposeError::Unknown };
            lost.resolver.resolve(Err(error));
        }
        let mut commands = Vec::new();
        for survivor in survivors {
            commands.push((survivor.term, survivor.command));
            survivor.resolver.resolve(Err(ProposeError::Unknown));
        }
        self.tell();
        self.sim.lag().await;
        for (term, command) in commands {
            self.apply(term, Payload::Command(&command));
        }
        self.apply(self.term.get(), Payload::Blank);
        self.serving.set(true);
        self.lease.set(self.sim.chance(0.5));
        self.tell();
    }

    fn tell(&self) {
        let replica = self.replica.borrow().as_ref().and_then(Weak::upgrade);
        // Sometimes the news is late, and the next request brings it.
        if let Some(replica) = replica
            && self.sim.chance(0.7)
        {
            replica.leadership_changed();
        }
    }
}

impl Consensus for SimGroup {
    fn propose(
        &self,
        term: u64,
        command: Bytes,
    ) -> LocalBoxFuture<'static, Result<EntryAnswer, ProposeError>> {
        if !self.serving.get() {
            return Box::pin(async { Err(ProposeError::NotLeader { hint: None }) });
        }
        if term != self.term.get() {
            return Box::pin(async { Err(ProposeError::TermChanged) });
        }
        let number = self.next.replace(self.next.get() + 1);
        let (resolver, answer) = promise();
        self.log.borrow_mut().push_back(InFlight { number, term, command, resolver });
        let (me, lag) = (self.me.clone(), self.sim.lag());
        self.sim.start(async move {
            lag.await;
            if let Some(me) = me.upgrade() {
                me.commit(number);
            }
        });
        Box::pin(async { answer.await.unwrap_or(Err(ProposeError::Unknown)) })
    }

    fn read_index(&self) -> LocalBoxFuture<'static, Result<(), ProposeError>> {
        let (term, lag, me) = (self.term.get(), self.sim.lag(), self.me.clone());
        Box::pin(async move {
            lag.await;
            match me.upgrade() {
                Some(me) if me.serving.get() && me.term.get() == term => Ok(()),
                _ => Err(ProposeError::NotLeader { hint: None }),
            }
        })
    }

    fn lease_valid(&self, _: Now) -> bool {
        self.serving.get() && self.lease.get()
    }
    fn term(&self) -> u64 {
        self.term.get()
    }
    fn leads(&self) -> bool {
        true
    }
    fn is_serving_leader(&self) -> bool {
        self.serving.get()
    }
    fn leader(&self) -> Option<NodeId> {
        Some(NODE)
    }
}
