//! The replicated half of a shard: committed commands become store batches, alike on every replica.
//!
//! It keeps in memory what leaders and followers must know at once (fences, the oracle's limit) and
//! mirrors it in the store's `Meta` family, in the same batch as the data and the applied place.
//!
//! # Invariants
//!
//! * What is in memory is what a restart would load after the batches given out so far.
//! * The applied place never moves back.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::command::{Command, Part, VersionWrite};
use super::newest::Newest;
use crate::base::buggify::Faults;
use crate::base::codec::{CodecError, from_versioned, to_versioned};
use crate::base::id::{Epoch, Incarnation, NodeId, ShardId, TableId, TxnId};
use crate::base::timestamp::Timestamp;
use crate::bug;
use crate::mvcc::load;
use crate::mvcc::write::put_version;
use crate::storage::port::{Family, WriteBatch, WriteOp};

const META_VERSION: u8 = 1;
const APPLIED: &[u8] = b"applied";
const MEMBERSHIP: &[u8] = b"membership";
const ORACLE_LIMIT: &[u8] = b"oracle/limit";
const FENCE: &[u8] = b"fence/";
const DEAD: &[u8] = b"dead/";

/// A place in the raft log.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Serialize, Deserialize)]
pub struct Place {
    /// Term.
    pub term: u64,
    /// Index.
    pub index: u64,
}

/// What a committed entry holds.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// Nothing.
    Blank,
    /// A [`Command`].
    Command(&'a [u8]),
    /// Members; the bytes are raft's.
    Membership(&'a [u8]),
}

/// A committed entry.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Where.
    pub place: Place,
    /// What.
    pub payload: Payload<'a>,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EntryAnswer {
    /// It was applied.
    Applied,
    /// It was decided under another term or epoch: nothing happened.
    NotApplied,
}

/// Descriptor versions below `version` are refused.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Fence {
    /// The least version served.
    pub version: u32,
    /// Who placed it, while it may be lifted.
    pub owner: Option<TxnId>,
    /// What it was before, in case it is lifted.
    pub before: u32,
}

#[derive(Debug, Default)]
struct Replicated {
    applied: Option<Place>,
    membership: Option<Bytes>,
    limit: Timestamp,
    fences: BTreeMap<TableId, Fence>,
    dead: BTreeMap<NodeId, Incarnation>,
}

/// Called with each verdict as it is applied.
pub type OnVerdict = Rc<dyn Fn(NodeId, Incarnation)>;

/// The state machine of one replica.
pub struct Machine {
    shard: ShardId,
    epoch: Cell<Epoch>,
    faults: Faults,
    state: RefCell<Replicated>,
    newest: RefCell<Newest>,
    commits: Cell<u64>,
    on_verdict: RefCell<Option<OnVerdict>>,
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine").field("shard", &self.shard).field("state", &self.state).finish()
    }
}

impl Machine {
    /// A machine from the `Meta` pairs of its store; none for a new replica.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if a pair is not ours: the replica must be rebuilt.
    pub fn load(
        shard: ShardId,
        epoch: Epoch,
        pairs: &[(Bytes, Bytes)],
        faults: Faults,
    ) -> Result<Rc<Self>, CodecError> {
        Ok(Rc::new(Self {
            shard,
            epoch: Cell::new(epoch),
            faults,
            state: RefCell::new(Replicated::load(pairs)?),
            newest: RefCell::default(),
            commits: Cell::new(0),
            on_verdict: RefCell::default(),
        }))
    }

    /// Takes in the `Meta` pairs of an installed snapshot.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if a pair is not ours; nothing has changed then.
    pub fn reload(&self, pairs: &[(Bytes, Bytes)]) -> Result<(), CodecError> {
        let state = Replicated::load(pairs)?;
        *self.state.borrow_mut() = state;
        self.newest.borrow_mut().stop();
        Ok(())
    }

    /// What pairs of a store's `Meta` family say of the applied place and the members, without a
    /// machine: for what was flushed, and for snapshots.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if a pair is not ours.
    pub fn applied_of(
        pairs: &[(Bytes, Bytes)],
    ) -> Result<(Option<Place>, Option<Bytes>), CodecError> {
        let state = Replicated::load(pairs)?;
        Ok((state.applied, state.membership))
    }

    /// Tells `hear` of every verdict from now on.
    pub fn on_verdict(&self, hear: OnVerdict) {
        *self.on_verdict.borrow_mut() = Some(hear);
    }

    /// The shard.
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// The shard's epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch.get()
    }

    /// The last entry applied.
    pub fn applied(&self) -> Option<Place> {
        self.state.borrow().applied
    }

    /// The members as last applied; the bytes are raft's.
    pub fn membership(&self) -> Option<Bytes> {
        self.state.borrow().membership.clone()
    }

    /// The oracle's limit.
    pub fn oracle_limit(&self) -> Timestamp {
        self.state.borrow().limit
    }

    /// The least descriptor version served.
    pub fn fence(&self, table: TableId) -> u32 {
        self.state.borrow().fences.get(&table).map_or(0, |fence| fence.version)
    }

    /// The newest life of a node that was judged dead.
    pub fn dead(&self, node: NodeId) -> Option<Incarnation> {
        self.state.borrow().dead.get(&node).copied()
    }

    /// Counts applied commits and ingests: equal counts, equal data.
    pub fn commits(&self) -> u64 {
        self.commits.get()
    }

    /// What is known of the newest versions of keys.
    pub(super) fn newest(&self) -> &RefCell<Newest> {
        &self.newest
    }

    /// Applies committed entries in order: batches to write, in order, and an answer each.
    ///
    /// # Panics
    ///
    /// If an entry is not one of ours, or comes out of order: a stopped replica is better than a
    /// divergent one.
    pub fn apply(&self, entries: &[Entry<'_>]) -> (Vec<WriteBatch>, Vec<EntryAnswer>) {
        let mut batch = WriteBatch::default();
        let mut answers = Vec::with_capacity(entries.len());
        for entry in entries {
            answers.push(self.apply_one(entry, &mut batch));
        }
        let Some(last) = entries.last() else { return (Vec::new(), answers) };
        let mut place = WriteBatch::default();
        place.put(Family::Meta, APPLIED, meta(&last.place));
        // B13: the applied place goes in a batch of its own, ahead of the data.
        let batches = bug!(self.faults, 13, vec![place, batch], {
            batch.ops.append(&mut place.ops);
            vec![batch]
        });
        (batches, answers)
    }

    fn apply_one(&self, entry: &Entry<'_>, batch: &mut WriteBatch) -> EntryAnswer {
        {
            let mut state = self.state.borrow_mut();
            let next = state.applied.is_none_or(|place| place.index < entry.place.index);
            assert!(next, "{} applied {:?} twice", self.shard, entry.place);
            state.applied = Some(entry.place);
            if let Payload::Membership(bytes) = entry.payload {
                let bytes = Bytes::copy_from_slice(bytes);
                batch.put(Family::Meta, MEMBERSHIP, bytes.clone());
                state.membership = Some(bytes);
            }
        }
        let Payload::Command(bytes) = entry.payload else { return EntryAnswer::Applied };
        let command = match Command::decode(bytes) {
            Ok(command) => command,
            Err(error) => panic!("{} cannot apply {:?}: {error}", self.shard, entry.place),
        };
        if command.term != entry.place.term || command.epoch != self.epoch.get() {
            return EntryAnswer::NotApplied;
        }
        for part in command.parts {
            self.apply_part(part, batch);
        }
        EntryAnswer::Applied
    }

    fn apply_part(&self, part: Part, batch: &mut WriteBatch) {
        match part {
            Part::Commit { at, writes, .. } => {
                self.commits.set(self.commits.get() + 1);
                self.note_newest(at, &writes);
                apply_versions(at, writes, batch);
            }
            Part::Ingest { at, index, remember, rows, .. } => {
                self.commits.set(self.commits.get() + 1);
                self.newest.borrow_mut().loaded(load::rows(&rows), at, remember);
                batch.ops.push(WriteOp::PutPacked(family_of(index), rows));
            }
            Part::OracleLimit(limit) => {
                let mut state = self.state.borrow_mut();
                state.limit = state.limit.max(limit);
                batch.put(Family::Meta, ORACLE_LIMIT, meta(&state.limit));
            }
            Part::PlaceFence { table, version, txn } => {
                let mut state = self.state.borrow_mut();
                let fence = state.fences.entry(table).or_default();
                if fence.version < version {
                    *fence = Fence { version, owner: Some(txn), before: fence.version };
                }
                batch.put(Family::Meta, keyed(FENCE, table.0), meta(fence));
            }
            Part::LiftFence { table, txn } => {
                let mut state = self.state.borrow_mut();
                let Some(fence) = state.fences.get_mut(&table) else { return };
                if fence.owner == Some(txn) {
                    *fence = Fence { version: fence.before, owner: None, before: fence.before };
                    batch.put(Family::Meta, keyed(FENCE, table.0), meta(fence));
                }
            }
            Part::NodeDead { node, incarnation } => {
                self.state.borrow_mut().dead.insert(node, incarnation);
                batch.put(Family::Meta, keyed(DEAD, node.0), meta(&incarnation));
                let hear = self.on_verdict.borrow().clone();
                if let Some(hear) = hear {
                    hear(node, incarnation);
                }
            }
        }
    }

    fn note_newest(&self, at: Timestamp, writes: &[VersionWrite]) {
        let mut newest = self.newest.borrow_mut();
        for write in writes {
            newest.applied(&write.key, at, &write.value);
        }
    }
}

fn apply_versions(at: Timestamp, writes: Vec<VersionWrite>, batch: &mut WriteBatch) {
    batch.ops.reserve(writes.len() + 1); // and the applied place
    for write in writes {
        put_version(batch, family_of(write.index), write.key.as_ref(), at, write.value);
    }
}

fn family_of(index: bool) -> Family {
    if index { Family::Index } else { Family::Data }
}

impl Replicated {
    fn load(pairs: &[(Bytes, Bytes)]) -> Result<Self, CodecError> {
        let mut state = Self::default();
        for (key, value) in pairs {
            let key = key.as_ref();
            if key == APPLIED {
                state.applied = Some(read_meta(value)?);
            } else if key == MEMBERSHIP {
                state.membership = Some(value.clone());
            } else if key == ORACLE_LIMIT {
                state.limit = read_meta(value)?;
            } else if let Some(id) = key.strip_prefix(FENCE) {
                state.fences.insert(TableId(number(id)?), read_meta(value)?);
            } else if let Some(id) = key.strip_prefix(DEAD) {
                state.dead.insert(NodeId(number(id)?), read_meta(value)?);
            } else {
                return Err(CodecError::Malformed("unknown name in the meta family"));
            }
        }
        Ok(state)
    }
}

fn meta<T: Serialize>(value: &T) -> Bytes {
    to_versioned(META_VERSION, value)
}

fn read_meta<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    from_versioned(META_VERSION, bytes)
}

fn keyed(prefix: &[u8], id: u32) -> Bytes {
    [prefix, &id.to_be_bytes()].concat().into()
}

fn number(bytes: &[u8]) -> Result<u32, CodecError> {
    let bytes = bytes.try_into().map_err(|_| CodecError::Malformed("an id of four bytes"))?;
    Ok(u32::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mvcc::load::LoadPacker;

    fn machine() -> Rc<Machine> {
        Machine::load(ShardId(1), Epoch(1), &[], Faults::default()).unwrap()
    }

    fn apply(machine: &Machine, index: u64, term: u64, parts: Vec<Part>) -> EntryAnswer {
        let command = Command { term: 2, epoch: Epoch(1), parts }.encode();
        let entry = Entry { place: Place { term, index }, payload: Payload::Command(&command) };
        let (batches, answers) = machine.apply(&[entry]);
        let mut meta = META.take();
        for op in batches.into_iter().flat_map(|batch| batch.ops) {
            if let WriteOp::Put(Family::Meta, key, value) = op {
                meta.insert(key, value);
            }
        }
        META.set(meta);
        answers[0]
    }

    thread_local! {
        static META: Cell<BTreeMap<Bytes, Bytes>> = Cell::default();
    }

    #[test]
    fn a_restart_loads_what_was_applied() {
        let first = machine();
        let (txn, other) = (TxnId { number: 1, ..TxnId::default() }, TxnId::default());
        let table = TableId(100);
        let place = |version, txn| Part::PlaceFence { table, version, txn };
        let mut packer = LoadPacker::new(Timestamp(1));
        packer.put(b"k", 1, 1, b"row");
        let load = Part::Ingest {
            txn,
            at: Timestamp(1),
            index: false,
            remember: true,
            rows: packer.take(),
        };
        apply(&first, 1, 2, vec![place(3, other), place(5, txn), place(4, other)]);
        apply(&first, 2, 2, vec![Part::OracleLimit(Timestamp(9)), Part::OracleLimit(Timestamp(7))]);
        apply(&first, 3, 2, vec![load]);
        assert_eq!((first.fence(table), first.commits()), (5, 1));
        let pairs: Vec<_> = META.take().into_iter().collect();
        let second = Machine::load(ShardId(1), Epoch(1), &pairs, Faults::default()).unwrap();
        assert_eq!(second.applied(), Some(Place { term: 2, index: 3 }));
        assert_eq!((second.fence(table), second.oracle_limit()), (5, Timestamp(9)));
        apply(&second, 4, 2, vec![Part::LiftFence { table, txn: other }]);
        assert_eq!(second.fence(table), 5, "lifted by a stranger");
        apply(&second, 5, 2, vec![Part::LiftFence { table, txn }]);
        assert_eq!(second.fence(table), 3);
    }

    #[test]
    fn a_command_of_another_term_does_nothing() {
        let machine = machine();
        let limit = vec![Part::OracleLimit(Timestamp(9))];
        assert_eq!(apply(&machine, 1, 3, limit), EntryAnswer::NotApplied);
        assert_eq!(machine.oracle_limit(), Timestamp::ZERO);
        assert_eq!(machine.applied(), Some(Place { term: 3, index: 1 }));
    }

    #[test]
    fn foreign_meta_is_refused() {
        let load = |key: &'static str, value: &'static str| {
            let pairs = [(Bytes::from(key), Bytes::from(value))];
            Machine::load(ShardId(1), Epoch(1), &pairs, Faults::default()).is_err()
        };
        assert!(load("nonsense", ""));
        assert!(load("applied", "nonsense"));
        assert!(load("fence/ab", "\u{1}\0"));
    }
}
