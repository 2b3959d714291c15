//! openraft's state machine, over the replica's.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use futures_util::{Stream, StreamExt};
use openraft::OptionalSend;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine, Snapshot};

use super::convert;
use super::log::LogHandle;
use super::message::LogPosition;
use super::ports::{AppliedState, ApplyEntry, SnapshotSink, StateMachine};
use super::types::{CommittedLeader, LogId, RaftSnapshotMeta, RaftStoredMembership, TypeConfig};
use crate::base::buggify::Faults;
use crate::base::id::NodeId;
use crate::bug;
use crate::step::channel::watch;

/// What openraft hands around as "the snapshot".
pub(super) enum SnapshotHandle {
    /// Ours: its bytes are made when it is sent, with what is applied then.
    Local,
    /// Received in full: becomes the state when it is installed.
    Received(Box<dyn SnapshotSink>),
}

type RaftSnapshot = Snapshot<CommittedLeader, NodeId, super::message::Member, SnapshotHandle>;

/// The state machine as openraft sees it; clones share it.
#[derive(Clone)]
pub(super) struct Machine(Rc<MachineShared>);

struct MachineShared {
    machine: Rc<dyn StateMachine>,
    log: LogHandle,
    faults: Faults,
    applied: watch::Sender<Option<LogPosition>>,
    /// Rings when the term of the last applied entry changes.
    applied_term: watch::Sender<Option<u64>>,
    snapshot: RefCell<Option<RaftSnapshotMeta>>,
}

impl Machine {
    pub(super) fn new(machine: Rc<dyn StateMachine>, log: LogHandle, faults: Faults) -> Self {
        let applied = machine.applied().position;
        Self(Rc::new(MachineShared {
            machine,
            log,
            faults,
            applied: watch::channel(applied).0,
            applied_term: watch::channel(applied.map(|at| at.term)).0,
            snapshot: RefCell::new(None),
        }))
    }

    pub(super) fn applied(&self) -> Option<LogPosition> {
        *self.0.applied.borrow()
    }

    pub(super) fn watch_applied(&self) -> watch::Receiver<Option<LogPosition>> {
        self.0.applied.subscribe()
    }

    pub(super) fn watch_term(&self) -> watch::Receiver<Option<u64>> {
        self.0.applied_term.subscribe()
    }

    pub(super) fn port(&self) -> &Rc<dyn StateMachine> {
        &self.0.machine
    }

    pub(super) fn snapshot(&self) -> Option<LogPosition> {
        self.0
            .snapshot
            .borrow()
            .as_ref()
            .and_then(|meta| convert::positions(meta.last_log_id.as_ref()))
    }

    fn note_applied(&self, position: Option<LogPosition>) {
        self.0.applied.send_if_modified(|applied| {
            let moved = *applied != position;
            *applied = position;
            moved
        });
        self.0.applied_term.send_if_modified(|term| {
            let now = position.map(|at| at.term);
            let moved = *term != now;
            *term = now;
            moved
        });
    }

    fn state(
        &self,
        state: AppliedState,
    ) -> Result<(Option<LogId>, RaftStoredMembership), io::Error> {
        let membership = convert::raft_stored(&state.membership).map_err(io::Error::other)?;
        Ok((convert::log_ids(state.position), membership))
    }

    /// The machine's metadata where a restart would find it.
    fn flushed_meta(&self) -> Result<RaftSnapshotMeta, io::Error> {
        let (last_log_id, last_membership) = self.state(self.0.machine.flushed())?;
        Ok(RaftSnapshotMeta { last_log_id, last_membership })
    }

    /// Entries that the log has after `last` but nobody has called committed (B12 only).
    fn uncommitted(&self, last: Option<LogPosition>) -> Vec<ApplyEntry> {
        let start = last.map_or(0, |last| last.index + 1);
        let read = self.0.log.read(start, u64::MAX, usize::MAX);
        read.into_iter()
            .map(|entry| ApplyEntry {
                position: convert::position(&entry.log_id),
                payload: convert::apply_payload(entry.payload),
                awaited: false,
            })
            .collect()
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = SnapshotHandle;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, RaftStoredMembership), io::Error> {
        self.state(self.0.machine.applied())
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(room) = self.0.machine.busy() {
            // A waker that was dropped says as much as one that fired: ask again.
            let _ = room.await;
        }
        let (low, _) = entries.size_hint();
        let mut batch = Vec::with_capacity(low);
        let mut responders = Vec::with_capacity(low);
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            batch.push(ApplyEntry {
                position: convert::position(&entry.log_id),
                payload: convert::apply_payload(entry.payload),
                awaited: responder.is_some(),
            });
            responders.push(responder);
        }
        // B12: what is not committed yet is applied too.
        if bug!(self.0.faults, 12, true, false) {
            let done = self.applied();
            batch.retain(|entry| done < Some(entry.position));
            let last = batch.last().map(|entry| entry.position).max(done);
            batch.extend(self.uncommitted(last));
        }
        let answers = self.0.machine.apply(&batch);
        assert_eq!(answers.len(), batch.len(), "the state machine answers every entry once");
        if let Some(last) = batch.last() {
            self.note_applied(Some(last.position));
        }
        let mut answers = answers.into_iter();
        for responder in responders {
            let answer = answers.next().unwrap_or_default();
            if let Some(responder) = responder {
                responder.send(answer);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(
        &mut self,
        meta: &RaftSnapshotMeta,
        snapshot: SnapshotHandle,
    ) -> Result<(), io::Error> {
        match snapshot {
            SnapshotHandle::Received(sink) => sink.finish().await.map_err(io::Error::other)?,
            SnapshotHandle::Local => {
                return Err(io::Error::other("a snapshot of this node cannot be installed here"));
            }
        }
        *self.0.snapshot.borrow_mut() = Some(meta.clone());
        self.note_applied(convert::positions(meta.last_log_id.as_ref()));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<RaftSnapshot>, io::Error> {
        let meta = self.0.snapshot.borrow().clone();
        Ok(meta.map(|meta| Snapshot { meta, snapshot: SnapshotHandle::Local }))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for Machine {
    type SnapshotData = SnapshotHandle;

    /// Notes how far the state on disk is, so that the log may be purged up to there. No bytes are
    /// made: a follower that needs them gets those of the moment of its transfer.
    async fn build_snapshot(&mut self) -> Result<RaftSnapshot, io::Error> {
        let meta = self.flushed_meta()?;
        *self.0.snapshot.borrow_mut() = Some(meta.clone());
        Ok(Snapshot { meta, snapshot: SnapshotHandle::Local })
    }
}
