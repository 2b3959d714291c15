//! A state machine that remembers a chain of hashes, and on disk only what it flushed.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use serde::{Deserialize, Serialize};
use shardforge_core::base::map::stable_hash;
use shardforge_core::raft::ports::OpenSnapshot;
use shardforge_core::raft::{
    AppliedState, ApplyAnswer, ApplyEntry, ApplyPayload, LogPosition, SnapshotError, SnapshotMeta,
    SnapshotSink, SnapshotSource, StateMachine, StoredMembership,
};

#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct State {
    pub position: Option<LogPosition>,
    pub membership: StoredMembership,
    /// A hash over all commands applied, in order.
    pub chain: u64,
    /// Makes the snapshot several chunks long.
    pub padding: Vec<u8>,
}

impl State {
    fn applied(&self) -> AppliedState {
        AppliedState { position: self.position, membership: self.membership.clone() }
    }
}

/// One entry as it was applied, for the oracle.
pub(crate) struct Applied {
    pub position: LogPosition,
    pub payload: u64,
    pub chain: u64,
}

#[derive(Default)]
pub(crate) struct Machine {
    pub state: RefCell<State>,
    pub flushed: RefCell<State>,
    pub news: RefCell<Vec<Applied>>,
    pub installed: RefCell<Vec<(Option<LogPosition>, u64)>>,
}

impl Machine {
    pub(crate) fn flush(&self, persisted: Option<LogPosition>) {
        let state = self.state.borrow();
        if state.position.map(|at| at.index) <= persisted.map(|at| at.index) {
            *self.flushed.borrow_mut() = state.clone();
        }
    }

    pub(crate) fn crash(&self) {
        *self.state.borrow_mut() = self.flushed.borrow().clone();
        self.news.borrow_mut().clear();
        self.installed.borrow_mut().clear();
    }
}

pub(crate) fn payload_hash(payload: &ApplyPayload) -> u64 {
    match payload {
        ApplyPayload::Blank => 0,
        ApplyPayload::Command(bytes) => stable_hash(bytes),
        ApplyPayload::Membership(membership) => stable_hash(&membership.to_bytes()),
    }
}

/// The machine as a node holds it.
pub(crate) struct MachineHandle(pub Rc<Machine>);

impl StateMachine for MachineHandle {
    fn applied(&self) -> AppliedState {
        self.0.state.borrow().applied()
    }

    fn flushed(&self) -> AppliedState {
        self.0.flushed.borrow().applied()
    }

    fn apply(&self, entries: &[ApplyEntry]) -> Vec<ApplyAnswer> {
        let mut state = self.0.state.borrow_mut();
        let mut answers = Vec::new();
        for entry in entries {
            let payload = payload_hash(&entry.payload);
            if let ApplyPayload::Membership(membership) = &entry.payload {
                state.membership = StoredMembership {
                    position: Some(entry.position),
                    membership: membership.clone(),
                };
            }
            let mut link = state.chain.to_le_bytes().to_vec();
            link.extend(payload.to_le_bytes());
            state.chain = stable_hash(&link);
            state.position = Some(entry.position);
            let applied = Applied { position: entry.position, payload, chain: state.chain };
            self.0.news.borrow_mut().push(applied);
            answers.push(ApplyAnswer { code: 0, value: payload, body: Bytes::new() });
        }
        answers
    }

    fn open_snapshot(&self) -> LocalBoxFuture<'_, Result<OpenSnapshot, SnapshotError>> {
        let mut state = self.0.state.borrow().clone();
        state.padding = vec![7; 250];
        let applied = state.applied();
        let bytes = postcard::to_stdvec(&state).expect("state serialises");
        let chunks = bytes.chunks(100).rev().map(Bytes::copy_from_slice).collect();
        let meta = SnapshotMeta { last: applied.position, membership: applied.membership };
        let source = Box::new(Source { chunks });
        async move { Ok(OpenSnapshot { meta, source }) }.boxed_local()
    }

    fn begin_install(&self, meta: &SnapshotMeta) -> Result<Box<dyn SnapshotSink>, SnapshotError> {
        let sink = Sink { machine: self.0.clone(), meta: meta.clone(), bytes: Vec::new() };
        Ok(Box::new(sink))
    }
}

struct Source {
    chunks: Vec<Bytes>,
}

impl SnapshotSource for Source {
    fn next_chunk(&mut self) -> LocalBoxFuture<'_, Result<Option<Bytes>, SnapshotError>> {
        let next = self.chunks.pop();
        async move { Ok(next) }.boxed_local()
    }
}

struct Sink {
    machine: Rc<Machine>,
    meta: SnapshotMeta,
    bytes: Vec<u8>,
}

impl SnapshotSink for Sink {
    fn chunk(&mut self, bytes: Bytes) -> LocalBoxFuture<'_, Result<(), SnapshotError>> {
        self.bytes.extend(&bytes);
        async { Ok(()) }.boxed_local()
    }

    fn finish(self: Box<Self>) -> LocalBoxFuture<'static, Result<(), SnapshotError>> {
        async move {
            let mut state: State =
                postcard::from_bytes(&self.bytes).map_err(|e| SnapshotError(e.to_string()))?;
            state.padding.clear();
            assert_eq!(state.position, self.meta.last, "snapshot is not what was announced");
            self.machine.installed.borrow_mut().push((state.position, state.chain));
            *self.machine.flushed.borrow_mut() = state.clone();
            *self.machine.state.borrow_mut() = state;
            Ok(())
        }
        .boxed_local()
    }
}
