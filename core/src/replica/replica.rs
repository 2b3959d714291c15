//! A replica of one shard: its leader's half, and the door for requests.
//!
//! Everything the leader knows beyond the replicated state is volatile: a new leader replaces it by one
//! timestamp, `low_water`, taken after it has won and applied its own term's no-op, and before it
//! serves anything. Every evaluation names the term it happened in, and is checked again after every
//! wait.
//!
//! # Invariants
//!
//! * Nothing is served before `low_water` is known.
//! * A read is answered only by who was certainly the leader when the timestamp cache was raised.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use super::error::ReplicaError;
use super::latch::Latches;
use super::liveness::Liveness;
use super::lock::LockTable;
use super::machine::Machine;
use super::oracle::Oracle;
use super::ports::{Clock, Consensus, StoreHandle, TimestampSource};
use super::proposer::Proposer;
use super::request::{RequestBody, ShardRequest, ShardResponse};
use super::tscache::TsCache;
use super::wait::{Gate, within};
use crate::base::buggify::Faults;
use crate::base::id::{Epoch, Incarnation, NodeId, SYSTEM_SHARD, ShardId, TableId};
use crate::base::time::Mono;
use crate::base::timestamp::Timestamp;
use crate::bug;
use crate::shard::routing::Place;

/// How long a request waits for a leader that takes office.
const OFFICE_WAIT: Duration = Duration::from_millis(500);
/// Before a failed attempt to take office is repeated.
const OFFICE_PAUSE: Duration = Duration::from_millis(20);

/// What a replica stands on.
#[derive(Clone)]
pub struct ReplicaPorts {
    /// The replicated half.
    pub machine: Rc<Machine>,
    /// The raft group.
    pub consensus: Rc<dyn Consensus>,
    /// The store.
    pub store: Rc<dyn StoreHandle>,
    /// Clocks and tasks.
    pub clock: Rc<dyn Clock>,
    /// The oracle, for `low_water`; the system shard does not ask it.
    pub timestamps: Rc<dyn TimestampSource>,
}

/// What may be configured.
#[derive(Clone, Debug)]
pub struct ReplicaConfig {
    /// Whether reads may rely on the lease; else each takes a round.
    pub lease: bool,
    /// For hot rows in memory; zero: each read asks the store.
    pub row_cache_bytes: usize,
    /// Planted bugs.
    pub faults: Faults,
}

impl Default for ReplicaConfig {
    fn default() -> Self {
        Self { lease: true, row_cache_bytes: 16 << 20, faults: Faults::default() }
    }
}

/// What only the leader knows.
#[derive(Default)]
pub(super) struct Leader {
    pub(super) term: u64,
    pub(super) serving: bool,
    taking: Option<Gate>,
    pub(super) tscache: TsCache,
    pub(super) closed: Timestamp,
    pub(super) locks: LockTable,
    /// Fences that are proposed, until they are applied.
    pub(super) fences: BTreeMap<TableId, u32>,
    pub(super) oracle: Option<Oracle>,
    pub(super) extending: Option<Gate>,
    pub(super) hold_over: Option<Gate>,
    pub(super) catalog_changes: u64,
    pub(super) liveness: Liveness,
}

/// A replica of one shard.
pub struct Replica {
    me: Weak<Self>,
    pub(super) ports: ReplicaPorts,
    pub(super) config: ReplicaConfig,
    pub(super) leader: RefCell<Leader>,
    pub(super) latches: Latches,
    pub(super) proposer: RefCell<Proposer>,
    /// The newest life heard of each node, by leaders and others: whoever leads next needs it.
    pub(super) lives: RefCell<BTreeMap<NodeId, (Incarnation, Mono)>>,
}

impl Replica {
    /// A replica over its ports. It serves once its group says that it leads.
    pub fn new(ports: ReplicaPorts, config: ReplicaConfig) -> Rc<Self> {
        Rc::new_cyclic(|me| Self {
            me: me.clone(),
            ports,
            config,
            leader: RefCell::default(),
            latches: Latches::default(),
            proposer: RefCell::default(),
            lives: RefCell::default(),
        })
    }

    pub(super) fn me(&self) -> Option<Rc<Self>> {
        self.me.upgrade()
    }

    /// Which shard.
    pub fn shard(&self) -> ShardId {
        self.ports.machine.shard()
    }

    /// The replicated half.
    pub fn machine(&self) -> &Rc<Machine> {
        &self.ports.machine
    }

    /// Answers a request. Dropping the future ends its waits; a proposal that is under way goes on.
    pub fn serve(
        self: Rc<Self>,
        request: Rc<ShardRequest>,
    ) -> LocalBoxFuture<'static, Result<ShardResponse, ReplicaError>> {
        Box::pin(async move { self.answer(&request).await })
    }

    /// The answer, if it needs no wait: keys whose rows are in memory, timestamps. `None` says
    /// nothing but that [`Self::serve`] is to be asked.
    pub fn serve_now(&self, request: &ShardRequest) -> Option<Result<ShardResponse, ReplicaError>> {
        let term = self.certain_term(request.shard, request.epoch)?;
        match &request.body {
            RequestBody::Get(body) => self.get_now(term, body),
            RequestBody::Timestamp(body) => self.timestamps_now(term, body).map(Ok),
            // They wait for others, or for the log.
            _ => None,
        }
    }

    /// The term in which this replica certainly leads and serves at this moment.
    pub(super) fn certain_term(&self, shard: ShardId, epoch: Epoch) -> Option<u64> {
        if shard != self.shard() || epoch != self.ports.machine.epoch() {
            return None;
        }
        let term = self.led_term().filter(|term| self.serves(*term))?;
        self.has_lease().then_some(term)
    }

    async fn answer(&self, request: &ShardRequest) -> Result<ShardResponse, ReplicaError> {
        if request.shard != self.shard() {
            return Err(ReplicaError::Refused(format!("{} is not here", request.shard)));
        }
        let current = self.ports.machine.epoch();
        if request.epoch != current {
            return Err(ReplicaError::WrongEpoch { current });
        }
        match &request.body {
            RequestBody::Get(body) => self.get(body).await,
            RequestBody::Scan(body) => self.scan(body).await,
            RequestBody::Commit(body) => self.commit(body).await,
            RequestBody::Resolve(body) => self.resolve(body).await,
            RequestBody::Refresh(body) => self.refresh(body).await,
            RequestBody::Ingest(body) => self.ingest(body).await,
            RequestBody::Timestamp(body) => self.timestamps(body).await,
            RequestBody::PlaceFence(body) => self.place_fence(body).await,
            RequestBody::LiftFence(body) => self.lift_fence(body).await,
            RequestBody::Beat(body) => self.beat(body).await,
            RequestBody::Release { txn } => {
                self.enter().await?;
                self.leader.borrow_mut().locks.release(*txn);
                Ok(ShardResponse::Done)
            }
            RequestBody::Keep { txns } => {
                self.enter().await?;
                let now = self.ports.clock.now().mono;
                self.leader.borrow_mut().locks.keep(txns, now);
                Ok(ShardResponse::Done)
            }
            RequestBody::CoordinatorDead { node, incarnation } => {
                self.enter().await?;
                self.coordinator_dead(*node, *incarnation);
                Ok(ShardResponse::Done)
            }
        }
    }

    /// Frees what a dead life of a node holds here. Nothing to do at a follower.
    pub fn coordinator_dead(&self, node: NodeId, incarnation: Incarnation) {
        self.leader.borrow_mut().locks.coordinator_dead(node, incarnation);
    }

    /// A member of the cluster spoke: whatever its earlier lives hold here is freed at once, and
    /// should this replica lead the system shard next, it knows whom to listen for.
    pub fn life_heard(&self, node: NodeId, incarnation: Incarnation) {
        let before = self.lives.borrow().get(&node).map(|(before, _)| *before);
        let now = self.ports.clock.now().mono;
        if before <= Some(incarnation) {
            self.lives.borrow_mut().insert(node, (incarnation, now));
        }
        if before < Some(incarnation) {
            let earlier = Incarnation(incarnation.0.saturating_sub(1));
            self.coordinator_dead(node, earlier);
        }
    }

    /// To be called when the group's leader or term may have changed: a new leader begins to take
    /// office, and who waits at a former one is told to look elsewhere.
    pub fn leadership_changed(&self) {
        match self.led_term() {
            Some(term) => {
                let known = self.leader.borrow().term == term;
                if !known {
                    self.take_office(term);
                }
            }
            None => self.depose(0),
        }
    }

    /// Whether this replica serves as leader now.
    pub fn is_serving(&self) -> bool {
        let leader = self.leader.borrow();
        leader.serving && self.led_term() == Some(leader.term)
    }

    /// Keys that are locked or waited for here.
    pub fn locks_len(&self) -> usize {
        self.leader.borrow().locks.len()
    }

    /// Keys with a write under way here.
    pub fn latches_len(&self) -> usize {
        self.latches.len()
    }

    /// When the system shard's leader last heard of each node.
    pub fn last_heard(&self) -> Vec<(NodeId, crate::base::time::Mono)> {
        self.leader.borrow().liveness.last_heard().collect()
    }

    fn led_term(&self) -> Option<u64> {
        let consensus = &self.ports.consensus;
        // B16: a new leader serves before its own term's no-op is applied.
        let serving =
            bug!(self.config.faults, 16, consensus.leads(), consensus.is_serving_leader());
        serving.then(|| consensus.term())
    }

    /// The term in which this replica leads and serves.
    ///
    /// # Errors
    ///
    /// [`ReplicaError::NotLeader`], or [`ReplicaError::NotReady`] while it takes office.
    pub(super) async fn enter(&self) -> Result<u64, ReplicaError> {
        let Some(term) = self.led_term() else {
            self.depose(0);
            return Err(self.not_leader());
        };
        if self.serves(term) {
            return Ok(term);
        }
        let gate = self.take_office(term);
        let until = self.ports.clock.now().mono + OFFICE_WAIT;
        within(&*self.ports.clock, until, gate.opened()).await;
        if self.serves(term) { Ok(term) } else { Err(ReplicaError::NotReady) }
    }

    fn serves(&self, term: u64) -> bool {
        let leader = self.leader.borrow();
        leader.term == term && leader.serving
    }

    /// Where to ask instead. Who has just been elected and has not applied its no-op yet is the right
    /// one to ask, a little later.
    pub(super) fn not_leader(&self) -> ReplicaError {
        let consensus = &self.ports.consensus;
        match consensus.leader() {
            Some(_) if consensus.leads() => ReplicaError::NotReady,
            hint => ReplicaError::NotLeader { hint },
        }
    }

    /// Whether what was begun in `term` may go on.
    ///
    /// # Errors
    ///
    /// [`ReplicaError::NotLeader`] if the term is over.
    pub(super) fn still(&self, term: u64) -> Result<(), ReplicaError> {
        let goes_on = self.led_term() == Some(term) && self.serves(term);
        if goes_on { Ok(()) } else { Err(self.not_leader()) }
    }

    /// Makes sure that nobody else can have led when this returns, as of its call.
    ///
    /// # Errors
    ///
    /// [`ReplicaError::NotLeader`] if that cannot be shown.
    pub(super) async fn confirm(&self, term: u64) -> Result<(), ReplicaError> {
        if !self.has_lease() {
            self.ports.consensus.read_index().await?;
        }
        self.still(term)
    }

    pub(super) fn has_lease(&self) -> bool {
        self.config.lease && self.ports.consensus.lease_valid(self.ports.clock.now())
    }

    /// Begins anew for `term`, and tells those who waited in an earlier one.
    fn depose(&self, term: u64) {
        if self.leader.borrow().term == term {
            return;
        }
        let mut old =
            self.leader.replace(Leader { term, locks: LockTable::new(term), ..Leader::default() });
        let gates = [old.taking.take(), old.extending.take(), old.hold_over.take()];
        gates.into_iter().flatten().for_each(|gate| gate.open());
        for resolver in old.locks.abandon() {
            resolver.resolve(Err(self.not_leader()));
        }
        self.ports.machine.newest().borrow_mut().stop();
    }

    fn take_office(&self, term: u64) -> Gate {
        self.depose(term);
        let gate = {
            let mut leader = self.leader.borrow_mut();
            if let Some(gate) = &leader.taking {
                return gate.clone();
            }
            let gate = Gate::default();
            leader.taking = Some(gate.clone());
            gate
        };
        if let Some(me) = self.me() {
            self.ports.clock.spawn(Box::pin(me.office(term)));
        }
        gate
    }

    async fn office(self: Rc<Self>, term: u64) {
        let low_water = if self.shard() == SYSTEM_SHARD {
            self.open_oracle(term).await
        } else {
            // B16: it serves without a timestamp of its own.
            let fresh = bug!(
                self.config.faults,
                16,
                Some(Timestamp::ZERO),
                self.ports.timestamps.timestamp().await.ok()
            );
            // B24: what was read under the last leader is forgotten.
            bug!(self.config.faults, 24, Some(Timestamp::ZERO), fresh)
        };
        if low_water.is_none() {
            let until = self.ports.clock.now().mono + OFFICE_PAUSE;
            self.ports.clock.sleep_until(until).await;
        }
        let gate = {
            let mut leader = self.leader.borrow_mut();
            if leader.term != term {
                return; // whoever came after has opened the gate
            }
            if let Some(low_water) = low_water {
                leader.tscache = TsCache::new(low_water);
                leader.serving = true;
            }
            leader.taking.take()
        };
        self.ports.machine.newest().borrow_mut().start(self.config.row_cache_bytes);
        if let Some(gate) = gate {
            gate.open();
        }
    }

    /// Refuses descriptors that are older than the shard's fences, proposed ones too.
    ///
    /// # Errors
    ///
    /// [`ReplicaError::WrongSchema`].
    pub(super) fn check_fence(&self, place: Place) -> Result<(), ReplicaError> {
        self.check_fence_of(&self.leader.borrow(), place)
    }

    pub(super) fn check_fence_of(&self, leader: &Leader, place: Place) -> Result<(), ReplicaError> {
        let proposed = leader.fences.get(&place.table).copied().unwrap_or(0);
        let fence = proposed.max(self.ports.machine.fence(place.table));
        // B43: the fence is not looked at.
        let fence = bug!(self.config.faults, 43, 0, fence);
        if place.version < fence { Err(ReplicaError::WrongSchema) } else { Ok(()) }
    }
}
