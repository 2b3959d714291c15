//! A shard's raft group as its replica sees it.

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;

use super::machine::answer_of;
use crate::base::id::NodeId;
use crate::base::time::Now;
use crate::raft::{ProposeError as RaftProposeError, RaftGroup, ReadError};
use crate::replica::machine::EntryAnswer;
use crate::replica::ports::{Consensus, ProposeError};

/// The group.
pub(in super::super) struct GroupConsensus(pub(in super::super) RaftGroup);

impl Consensus for GroupConsensus {
    fn propose(
        &self,
        term: u64,
        command: Bytes,
    ) -> LocalBoxFuture<'static, Result<EntryAnswer, ProposeError>> {
        let group = self.0.clone();
        Box::pin(async move {
            match group.propose(term, command).await {
                Ok(proposed) => Ok(answer_of(&proposed.answer)),
                Err(RaftProposeError::NotLeader { hint }) => Err(ProposeError::NotLeader { hint }),
                Err(RaftProposeError::TermChanged) => Err(ProposeError::TermChanged),
                Err(RaftProposeError::Lost) => Err(ProposeError::Lost),
                // Whoever makes commands bounds them; a larger one never entered the log.
                Err(RaftProposeError::TooLarge { .. }) => Err(ProposeError::Lost),
                Err(RaftProposeError::Unknown) => Err(ProposeError::Unknown),
            }
        })
    }

    fn read_index(&self) -> LocalBoxFuture<'static, Result<(), ProposeError>> {
        let group = self.0.clone();
        Box::pin(async move {
            match group.read_index().await {
                Ok(()) => Ok(()),
                Err(ReadError::NotLeader { hint }) => Err(ProposeError::NotLeader { hint }),
                Err(ReadError::NoQuorum) => Err(ProposeError::NotLeader { hint: None }),
            }
        })
    }

    fn lease_valid(&self, now: Now) -> bool {
        self.0.lease_valid(now.mono)
    }

    fn term(&self) -> u64 {
        self.0.term()
    }

    fn leads(&self) -> bool {
        self.0.leader() == Some(self.0.config().node)
    }

    fn is_serving_leader(&self) -> bool {
        self.0.is_serving_leader()
    }

    fn leader(&self) -> Option<NodeId> {
        self.0.leader()
    }
}
