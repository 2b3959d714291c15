//! What operators, jobs and oracles ask of a group: members, transfer, snapshots, status, shutdown.

use std::collections::{BTreeMap, BTreeSet};

use openraft::ServerState;
use openraft::errors::{ClientWriteError, InitializeError, RaftError as OpenraftError};

use super::convert;
use super::error::{ChangeError, RaftError};
use super::group::RaftGroup;
use super::message::{LogEntry, LogPosition, Member};
use super::status::{RaftStatus, Role};
use super::types::TypeConfig;
use crate::base::id::NodeId;

type WriteResult<T> = Result<T, OpenraftError<TypeConfig, ClientWriteError<TypeConfig>>>;

impl RaftGroup {
    /// Founds the group: its first entry names the members. Only for a group without any state;
    /// every founder may call it with the same members.
    ///
    /// # Errors
    ///
    /// [`RaftError::NotAllowed`] if the group has state here or this node is not among the members.
    pub async fn initialize(&self, members: BTreeMap<NodeId, Member>) -> Result<(), RaftError> {
        self.raft().initialize(members).await.map_err(|e| match e {
            OpenraftError::APIError(InitializeError::NotAllowed(e)) => {
                RaftError::NotAllowed(e.to_string())
            }
            OpenraftError::APIError(InitializeError::NotInMembers(e)) => {
                RaftError::NotAllowed(e.to_string())
            }
            OpenraftError::Fatal(_) => RaftError::Stopped,
        })
    }

    fn changed<T>(&self, result: WriteResult<T>) -> Result<(), ChangeError> {
        match result {
            Ok(_) => Ok(()),
            Err(OpenraftError::APIError(ClientWriteError::ForwardToLeader(forward))) => {
                Err(ChangeError::NotLeader { hint: forward.leader_id })
            }
            Err(OpenraftError::APIError(
                e @ (ClientWriteError::ChangeMembershipError(_)
                | ClientWriteError::PreconditionFailed(_)),
            )) => Err(ChangeError::Refused(e.to_string())),
            Err(OpenraftError::APIError(ClientWriteError::LogEntryDiscarded(_)))
            | Err(OpenraftError::Fatal(_)) => Err(ChangeError::Unknown),
        }
    }

    /// Adds a member that listens and does not vote. Returns when the entry is applied, which is
    /// before the member has caught up: see [`RaftStatus::matching`].
    ///
    /// # Errors
    ///
    /// [`ChangeError`].
    pub async fn add_learner(&self, node: NodeId, member: Member) -> Result<(), ChangeError> {
        let result = self.raft().add_learner(node, member, false).await;
        self.changed(result)
    }

    /// Makes `voters` (members already) the voters, through a joint membership. Voters that are
    /// left out leave the group.
    ///
    /// # Errors
    ///
    /// [`ChangeError`].
    pub async fn change_voters(&self, voters: BTreeSet<NodeId>) -> Result<(), ChangeError> {
        let term = self.leads();
        let removed = !voters.contains(&self.config().node);
        if removed {
            // From here on another majority may choose a leader that owes us nothing.
            self.inner().void_term.set(term);
        }
        let result = self.raft().change_membership(voters, false).await;
        let changed = self.changed(result);
        if removed && changed.is_ok() {
            // The group must not be led by a node that is not in it.
            let raft = self.raft().clone();
            self.start(async move {
                let _ = raft.trigger().refresh_server_state(None, None).await;
            });
        }
        changed
    }

    /// Removes learners.
    ///
    /// # Errors
    ///
    /// [`ChangeError`].
    pub async fn remove_learners(&self, nodes: BTreeSet<NodeId>) -> Result<(), ChangeError> {
        let change = openraft::ChangeMembers::RemoveNodes(nodes);
        let result = self.raft().change_membership(change, false).await;
        self.changed(result)
    }

    /// Hands leadership to `to`. The lease is void from now on, for the rest of this term; whether
    /// it worked shows in [`Self::watch_leader`]. A transfer that fails ends in an election.
    pub fn transfer_leader(&self, to: NodeId) {
        self.inner().void_term.set(self.leads());
        let raft = self.raft().clone();
        self.start(async move {
            // It fails only if the group has stopped.
            let _ = raft.trigger().transfer_leader(to).await;
        });
    }

    /// Stands for election now, if this node has promised nobody anything: for the preferred
    /// successor of a leader whose node is dead. The term moves only if a majority would grant it.
    pub fn trigger_elect(&self) {
        let life = self.config().incarnation.0;
        if !self.inner().gate.allows(self.inner().step.now(), life, None) {
            return;
        }
        let raft = self.raft().clone();
        self.start(async move {
            let _ = raft.trigger().elect(true).await;
        });
    }

    /// Notes how far the store is flushed and lets the log be purged up to there, less
    /// `log_keep_entries`.
    pub fn trigger_snapshot(&self) {
        let raft = self.raft().clone();
        self.start(async move {
            let _ = raft.trigger().snapshot().await;
        });
    }

    /// Purges the log up to `index`, as far as the noted snapshot covers it.
    pub fn trigger_purge(&self, index: u64) {
        let raft = self.raft().clone();
        self.start(async move {
            let _ = raft.trigger().purge_log(index).await;
        });
    }

    /// Stops the group; proposals under way end unknown.
    pub async fn shutdown(&self) {
        // The join error says that it had stopped already.
        let _ = self.raft().shutdown().await;
    }

    /// Everything about the group on this node.
    pub fn status(&self) -> RaftStatus {
        let inner = self.inner();
        let role = self.role();
        let (server, data, log) = (inner.server.borrow(), inner.data.borrow(), inner.log.borrow());
        let matching = data.replication.as_ref().map(|replication| {
            replication.iter().map(|(id, at)| (*id, convert::positions(at.as_ref()))).collect()
        });
        RaftStatus {
            term: log.vote().map_or(0, |vote| vote.term),
            vote: log.vote(),
            role,
            leader: server.current_leader,
            last_log: log.last(),
            persisted: log.persisted(),
            committed: convert::positions(data.local_committed.as_ref()),
            applied: inner.machine.applied(),
            purged: log.purged(),
            snapshot: inner.machine.snapshot(),
            log_bytes: log.bytes(),
            matching: matching.unwrap_or_default(),
            membership: convert::stored_membership(&server.membership_config),
            trusted: self.is_trusted(),
        }
    }

    /// Whether [`Self::status`] differs from an older answer, without making one: most steps change
    /// nothing. A membership is known by its entry.
    pub fn has_changed(&self, old: &RaftStatus) -> bool {
        let inner = self.inner();
        let role = self.role();
        let (server, data, log) = (inner.server.borrow(), inner.data.borrow(), inner.log.borrow());
        let matching = data.replication.as_ref().into_iter().flatten();
        let matching = matching.map(|(id, at)| (*id, convert::positions(at.as_ref())));
        old.vote != log.vote()
            || old.role != role
            || old.leader != server.current_leader
            || old.last_log != log.last()
            || old.persisted != log.persisted()
            || old.committed != convert::positions(data.local_committed.as_ref())
            || old.applied != inner.machine.applied()
            || old.purged != log.purged()
            || old.snapshot != inner.machine.snapshot()
            || old.log_bytes != log.bytes()
            || old.membership.position
                != convert::positions(server.membership_config.log_id().as_ref())
            || old.trusted != self.is_trusted()
            || !matching.eq(old.matching.iter().map(|(id, at)| (*id, *at)))
    }

    fn role(&self) -> Role {
        let leads = self.leads().is_some();
        match self.inner().server.borrow().state {
            ServerState::Learner => Role::Learner,
            ServerState::Candidate => Role::Candidate,
            ServerState::Leader if leads => Role::Leader,
            ServerState::Follower | ServerState::Leader => Role::Follower,
            ServerState::Shutdown => Role::Shutdown,
        }
    }

    /// The term of the entry at `index`; `None` if it is purged or not there.
    pub fn term_at(&self, index: u64) -> Option<u64> {
        self.inner().log.borrow().term_at(index)
    }

    /// Entries from `first` to `last` that the log still has, as they were written; at most
    /// `bytes_max` of them, but one at least.
    pub fn entries(&self, first: u64, last: u64, bytes_max: usize) -> Vec<LogEntry> {
        let read = self.inner().log.read(first, last.saturating_add(1), bytes_max);
        read.iter().map(convert::log_entry).collect()
    }

    /// The last entry applied, without the cost of a whole status.
    pub fn applied(&self) -> Option<LogPosition> {
        self.inner().machine.applied()
    }

    /// Asserts what must hold of the group at any moment.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn check_invariants(&self) {
        let status = self.status();
        let index = |at: Option<LogPosition>| at.map(|at| at.index);
        assert!(
            index(status.purged) <= index(status.applied),
            "purged {:?} is past applied {:?}",
            status.purged,
            status.applied
        );
        assert!(
            index(status.persisted) <= index(status.last_log),
            "persisted {:?} is past the log's end {:?}",
            status.persisted,
            status.last_log
        );
        assert!(
            index(status.snapshot) <= index(status.applied),
            "snapshot {:?} is past applied {:?}",
            status.snapshot,
            status.applied
        );
    }
}
