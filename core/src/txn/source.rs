//! Where transactions come from: one source per node and life.

use std::cell::Cell;
use std::rc::Rc;
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
        Rc::new(Self { node, incarnation, next: Cell::new(1), router, oracle, config })
    }

    /// A transaction that has not asked anything yet.
    pub fn begin(self: &Rc<Self>, options: TxnOptions) -> Transaction {
        let number = self.next.replace(self.next.get() + 1);
        let id = TxnId { node: self.node, incarnation: self.incarnation.get(), number };
        Transaction::new(self.clone(), id, options)
    }

    /// The oracle's client.
    pub fn oracle(&self) -> &Rc<OracleClient> {
        &self.oracle
    }

    /// The way to the shards.
    pub fn router(&self) -> &Rc<Router> {
        &self.router
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
