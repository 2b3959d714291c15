//! Where transactions come from: one source per node and life.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::error::TxnError;
use super::oracle::OracleClient;
use super::router::{Repeat, Router, SendError};
use super::transaction::Transaction;
use super::types::TxnOptions;
use crate::base::buggify::Faults;
use crate::base::id::{Incarnation, NodeId, ShardId, TxnId};
use crate::base::time::Mono;
use crate::replica::request::{RequestBody, ShardResponse};

/// How often shards are told whose locks they shall keep.
const KEEP_EVERY: Duration = Duration::from_millis(1_000);

/// What may be configured.
#[derive(Clone, Debug)]
pub struct TxnConfig {
    /// A read, a lock or a timestamp that nobody serves for so long is given up.
    pub patience: Duration,
    /// A commit whose fate is not known after so long is answered as unknown.
    pub commit_patience: Duration,
    /// Planted bugs.
    pub faults: Faults,
}

impl Default for TxnConfig {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(10),
            commit_patience: Duration::from_secs(10),
            faults: Faults::default(),
        }
    }
}

/// Begins transactions.
pub struct TxnSource {
    node: NodeId,
    incarnation: Cell<Incarnation>,
    next: Cell<u64>,
    me: Weak<Self>,
    live: RefCell<BTreeMap<TxnId, BTreeSet<ShardId>>>,
    keeping: Cell<bool>,
    pub(super) router: Rc<Router>,
    pub(super) oracle: Rc<OracleClient>,
    pub(super) config: TxnConfig,
}

impl TxnSource {
    /// The source of a node in one life.
    pub fn new(
        node: NodeId,
        incarnation: Incarnation,
        router: Rc<Router>,
        oracle: Rc<OracleClient>,
        config: TxnConfig,
    ) -> Rc<Self> {
        let incarnation = Cell::new(incarnation);
        Rc::new_cyclic(|me| Self {
            node,
            incarnation,
            next: Cell::new(1),
            me: me.clone(),
            live: RefCell::default(),
            keeping: Cell::new(false),
            router,
            oracle,
            config,
        })
    }

    /// This node's life was declared over while it lasted: new transactions belong to another one.
    pub fn begin_life(&self, incarnation: Incarnation) {
        self.incarnation.set(incarnation);
    }

    /// A transaction that has not asked anything yet.
    pub fn begin(self: &Rc<Self>, options: TxnOptions) -> Transaction {
        Transaction::new(self.clone(), self.fresh_id(), options)
    }

    pub(super) fn fresh_id(&self) -> TxnId {
        let number = self.next.replace(self.next.get() + 1);
        TxnId { node: self.node, incarnation: self.incarnation.get(), number }
    }

    /// The oracle's client.
    pub fn oracle(&self) -> &Rc<OracleClient> {
        &self.oracle
    }

    /// The way to the shards.
    pub fn router(&self) -> &Rc<Router> {
        &self.router
    }

    /// A transaction may hold locks in a shard from now on.
    pub(super) fn keep(&self, txn: TxnId, shard: ShardId) {
        self.live.borrow_mut().entry(txn).or_default().insert(shard);
        if !self.keeping.replace(true)
            && let Some(me) = self.me.upgrade()
        {
            self.router.clock().spawn(Box::pin(me.keep_locks()));
        }
    }

    /// A transaction has ended.
    pub(super) fn forget(&self, txn: TxnId) {
        self.live.borrow_mut().remove(&txn);
    }

    /// Tells the shards who lives, as long as anybody does.
    async fn keep_locks(self: Rc<Self>) {
        loop {
            let until = self.router.clock().now().mono + KEEP_EVERY;
            self.router.clock().sleep_until(until).await;
            let mut shards: BTreeMap<ShardId, Vec<TxnId>> = BTreeMap::new();
            for (txn, locked) in &*self.live.borrow() {
                for shard in locked {
                    shards.entry(*shard).or_default().push(*txn);
                }
            }
            if shards.is_empty() {
                self.keeping.set(false);
                return;
            }
            for (shard, txns) in shards {
                let body = RequestBody::Keep { txns };
                let deadline = self.router.clock().now().mono + KEEP_EVERY;
                // The next one makes good for one that is lost.
                let _ = self.router.send(shard, body, Repeat::Freely, deadline).await;
            }
        }
    }

    pub(super) fn deadline(&self) -> Mono {
        self.router.clock().now().mono + self.config.patience
    }

    /// Asks a shard something that may be asked twice.
    pub(super) async fn ask(
        &self,
        shard: ShardId,
        body: RequestBody,
    ) -> Result<ShardResponse, TxnError> {
        let deadline = self.deadline();
        match self.router.send(shard, body, Repeat::Freely, deadline).await {
            Ok(response) => Ok(response),
            Err(SendError::Refused(error)) => Err(TxnError::from_refusal(error)),
            Err(SendError::Unavailable | SendError::Lost) => {
                Err(TxnError::Unavailable(format!("{shard} has no leader that answers")))
            }
        }
    }
}
