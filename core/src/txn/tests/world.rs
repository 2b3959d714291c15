//! One node with a system shard and data shards, and a bad network to itself.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use crate::base::buggify::Faults;
use crate::base::id::{Epoch, Incarnation, IndexId, NodeId, ShardId, TableId};
use crate::base::key::Key;
use crate::replica::machine::Machine;
use crate::replica::ports::TimestampSource;
use crate::replica::replica::{Replica, ReplicaConfig, ReplicaPorts};
use crate::replica::request::{LockMode, RequestBody, ShardRequest, ShardResponse};
use crate::replica::testing::{NODE, Sim, SimGroup, SimStore};
use crate::shard::cache::ShardCache;
use crate::shard::map::ShardMap;
use crate::shard::routing::{Place, Route};
use crate::txn::error::TxnError;
use crate::txn::oracle::OracleClient;
use crate::txn::ports::{CallError, ShardCalls};
use crate::txn::router::Router;
use crate::txn::source::{TxnConfig, TxnSource};
use crate::txn::transaction::Transaction;
use crate::txn::types::{Found, GetRequest, LockWait};

/// The user table of the tests.
pub(super) const TABLE: TableId = TableId(100);
/// A system table.
pub(super) const SYSTEM_TABLE: TableId = TableId(50);

pub(super) struct Host {
    pub(super) group: Rc<SimGroup>,
    pub(super) store: Rc<SimStore>,
    pub(super) replica: Rc<Replica>,
}

/// How bad the network is.
#[derive(Clone, Copy)]
pub(super) struct Weather {
    pub(super) loss: f64,
    pub(super) repeat: f64,
}

pub(super) struct World {
    pub(super) sim: Rc<Sim>,
    pub(super) hosts: Vec<Host>,
    pub(super) source: Rc<TxnSource>,
    pub(super) calls: Rc<Calls>,
}

/// Carries calls to the node itself, badly.
pub(super) struct Calls {
    sim: Rc<Sim>,
    hosts: RefCell<Vec<Weak<Replica>>>,
    pub(super) weather: Cell<Weather>,
}

impl ShardCalls for Calls {
    fn call(
        &self,
        _: NodeId,
        request: Rc<ShardRequest>,
    ) -> LocalBoxFuture<'static, Result<ShardResponse, CallError>> {
        let host = self.hosts.borrow()[request.shard.0 as usize].upgrade();
        let Some(replica) = host else { return Box::pin(async { Err(CallError::NotSent) }) };
        let (sim, weather) = (Rc::clone(&self.sim), self.weather.get());
        if sim.chance(weather.repeat) {
            let again = replica.clone().serve(request.clone());
            let late = sim.below(60_000);
            let sleep = sim.sleep(Duration::from_micros(late));
            sim.start(async move {
                sleep.await;
                let _ = again.await;
            });
        }
        let timestamp = matches!(request.body, RequestBody::Timestamp(_));
        let loss = if timestamp { 0.0 } else { weather.loss };
        Box::pin(async move {
            sim.lag().await;
            if sim.chance(loss) {
                sim.lag().await;
                return Err(CallError::Lost);
            }
            let answer = replica.serve(request).await;
            sim.lag().await;
            if sim.chance(loss) {
                return Err(CallError::Lost);
            }
            answer.map_err(CallError::Refused)
        })
    }
}

struct NoTimestamps(RefCell<Option<Rc<OracleClient>>>);

impl TimestampSource for NoTimestamps {
    fn timestamp(&self) -> LocalBoxFuture<'static, Result<crate::base::timestamp::Timestamp, ()>> {
        match &*self.0.borrow() {
            Some(oracle) => oracle.timestamp(),
            None => Box::pin(async { Err(()) }),
        }
    }
}

impl World {
    pub(super) fn new(seed: u64, data_shards: u32, faults: &Faults) -> Self {
        let sim = Sim::new(seed);
        let weather = Cell::new(Weather { loss: 0.0, repeat: 0.0 });
        let calls = Rc::new(Calls { sim: Rc::clone(&sim), hosts: RefCell::default(), weather });
        let cache = Rc::new(ShardCache::new(ShardMap::initial(data_shards, &[NODE])));
        let router = Rc::new(Router::new(NODE, calls.clone(), sim.clock(), cache));
        let oracle = OracleClient::new(Rc::clone(&router));
        let timestamps = Rc::new(NoTimestamps(RefCell::new(Some(Rc::clone(&oracle)))));
        let mut hosts = Vec::new();
        for number in 0..=data_shards {
            let store = SimStore::new(&sim);
            let machine = Machine::load(ShardId(number), Epoch(1), &[], faults.clone()).unwrap();
            let group = SimGroup::new(&sim, &machine, &store);
            let ports = ReplicaPorts {
                machine,
                consensus: group.clone(),
                store: store.clone(),
                clock: sim.clock(),
                timestamps: timestamps.clone(),
            };
            let config = ReplicaConfig { faults: faults.clone(), ..ReplicaConfig::default() };
            let replica = Replica::new(ports, config);
            group.serve_with(&replica);
            calls.hosts.borrow_mut().push(Rc::downgrade(&replica));
            hosts.push(Host { group, store, replica });
        }
        let config = TxnConfig { faults: faults.clone(), ..TxnConfig::default() };
        let source = TxnSource::new(NODE, Incarnation(1), router, oracle, config);
        Self { sim, hosts, source, calls }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.sim.finish();
    }
}

/// The hash of a key of the tests: the upper half goes to the second shard, if there is one.
pub(super) fn hash_of(number: u8) -> u16 {
    u16::from(number) << 12
}

pub(super) fn place(table: TableId, version: u32) -> Place {
    Place { table, version, index: IndexId(0) }
}

pub(super) fn key(table: TableId, number: u8) -> Key {
    let mut bytes = table.0.to_be_bytes().to_vec();
    bytes.extend_from_slice(&[0, 0, 0, 0, number]);
    bytes.into()
}

/// Reads a key of [`TABLE`], waiting a while for its lock.
pub(super) async fn get(
    txn: &Transaction,
    number: u8,
    lock: LockMode,
) -> Result<Option<Found>, TxnError> {
    let request = GetRequest {
        place: place(TABLE, 1),
        route: Route::Hash(hash_of(number)),
        keys: vec![key(TABLE, number)],
        lock,
        wait: LockWait::Timeout(Duration::from_secs(3)),
    };
    Ok(txn.get(request).await?.remove(0))
}
