//! What transactions need of the world: a way to the nodes.

use std::rc::Rc;

use futures_util::future::LocalBoxFuture;

use crate::base::id::NodeId;
use crate::replica::error::ReplicaError;
use crate::replica::request::{KeyRead, ShardRequest, ShardResponse, StoredVersion};

/// Why a call brought no answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CallError {
    /// The node answered: no.
    #[error(transparent)]
    Refused(#[from] ReplicaError),
    /// The request certainly reached nobody.
    #[error("not sent")]
    NotSent,
    /// The request may or may not have been executed.
    #[error("no answer")]
    Lost,
}

/// Carries requests to nodes; this node itself is one of them.
pub trait ShardCalls {
    /// Asks a node. The caller limits its patience by dropping the future; the carrier says `Lost` as
    /// soon as it knows that no answer will come.
    fn call(
        &self,
        to: NodeId,
        request: Rc<ShardRequest>,
    ) -> LocalBoxFuture<'static, Result<ShardResponse, CallError>>;

    /// The answer of this very node, if it has one without waiting for anything: most reads and
    /// timestamps of a node that leads. `None` says nothing but that [`Self::call`] is to be asked.
    fn call_now(&self, _request: &ShardRequest) -> Option<Result<ShardResponse, ReplicaError>> {
        None
    }

    /// As [`Self::call_now`], of a read of one key without a lock.
    fn read_now(&self, _read: &KeyRead<'_>) -> Option<Option<StoredVersion>> {
        None
    }
}
