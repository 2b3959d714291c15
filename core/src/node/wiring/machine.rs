//! Raft's state machine over the replica's: committed entries become store batches.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;

use super::super::effect::Effect;
use super::super::outbox::Outbox;
use super::snapshot;
use super::store::OutboxStore;
use crate::base::codec::{CodecError, from_versioned, to_versioned};
use crate::base::id::ShardId;
use crate::raft::ports::OpenSnapshot;
use crate::raft::{
    AppliedState, ApplyAnswer, ApplyEntry, ApplyPayload, LogPosition, SnapshotError, SnapshotMeta,
    SnapshotSink, StateMachine, StoredMembership,
};
use crate::replica::machine::{Entry, EntryAnswer, Machine, Payload, Place};
use crate::storage::port::StorageEffect;

const MEMBERSHIP_VERSION: u8 = 1;
const APPLIED: u32 = 1;
const NOT_APPLIED: u32 = 2;

/// One shard's state machine.
pub(in super::super) struct ShardMachine {
    pub(in super::super) shard: ShardId,
    pub(in super::super) machine: Rc<Machine>,
    pub(in super::super) outbox: Outbox,
    /// How far the store is flushed.
    pub(in super::super) flushed: Rc<RefCell<AppliedState>>,
}

/// What the machine has applied, in raft's words.
pub(in super::super) fn applied_state(
    applied: Option<Place>,
    membership: Option<&Bytes>,
) -> Result<AppliedState, CodecError> {
    let position = applied.map(|place| LogPosition { term: place.term, index: place.index });
    let membership: StoredMembership = match membership {
        Some(bytes) => from_versioned(MEMBERSHIP_VERSION, bytes)?,
        None => StoredMembership::default(),
    };
    Ok(AppliedState { position, membership })
}

/// What the replica's machine answered, as it travelled through raft.
pub(in super::super) fn answer_of(answer: &ApplyAnswer) -> EntryAnswer {
    if answer.code == APPLIED { EntryAnswer::Applied } else { EntryAnswer::NotApplied }
}

impl ShardMachine {
    /// What the machine has applied now.
    ///
    /// # Panics
    ///
    /// If the membership that it holds is not one that we gave it.
    pub(in super::super) fn state(&self) -> AppliedState {
        let membership = self.machine.membership();
        let state = applied_state(self.machine.applied(), membership.as_ref());
        assert!(state.is_ok(), "{} holds a foreign membership", self.shard);
        state.unwrap_or_default()
    }
}

impl StateMachine for ShardMachine {
    fn applied(&self) -> AppliedState {
        self.state()
    }

    fn flushed(&self) -> AppliedState {
        self.flushed.borrow().clone()
    }

    fn apply(&self, entries: &[ApplyEntry]) -> Vec<ApplyAnswer> {
        let memberships: Vec<Option<Bytes>> = entries.iter().map(stored_membership).collect();
        let entries: Vec<Entry<'_>> = entries
            .iter()
            .zip(&memberships)
            .map(|(entry, membership)| Entry {
                place: Place { term: entry.position.term, index: entry.position.index },
                payload: match (&entry.payload, membership) {
                    (_, Some(bytes)) => Payload::Membership(bytes),
                    (ApplyPayload::Command(bytes), None) => Payload::Command(bytes),
                    (ApplyPayload::Blank | ApplyPayload::Membership(_), None) => Payload::Blank,
                },
            })
            .collect();
        let (batches, answers) = self.machine.apply(&entries);
        for batch in batches {
            if !batch.is_empty() {
                self.outbox.push(Effect::Storage(StorageEffect::Write(self.shard, batch)));
            }
        }
        answers
            .into_iter()
            .map(|answer| ApplyAnswer {
                code: match answer {
                    EntryAnswer::Applied => APPLIED,
                    EntryAnswer::NotApplied => NOT_APPLIED,
                },
                ..ApplyAnswer::default()
            })
            .collect()
    }

    fn open_snapshot(&self) -> LocalBoxFuture<'_, Result<OpenSnapshot, SnapshotError>> {
        let state = self.state();
        let meta = SnapshotMeta { last: state.position, membership: state.membership };
        Box::pin(snapshot::open(self.outbox.clone(), self.shard, meta))
    }

    fn begin_install(&self, meta: &SnapshotMeta) -> Result<Box<dyn SnapshotSink>, SnapshotError> {
        let store = OutboxStore { outbox: self.outbox.clone(), shard: self.shard };
        let (machine, flushed) = (self.machine.clone(), self.flushed.clone());
        Ok(Box::new(snapshot::Sink::new(store, machine, flushed, meta.clone())))
    }
}

fn stored_membership(entry: &ApplyEntry) -> Option<Bytes> {
    match &entry.payload {
        ApplyPayload::Membership(membership) => {
            let stored =
                StoredMembership { position: Some(entry.position), membership: membership.clone() };
            Some(to_versioned(MEMBERSHIP_VERSION, &stored))
        }
        ApplyPayload::Blank | ApplyPayload::Command(_) => None,
    }
}
