//! RocksDB against the reference store: the same random scripts, with crashes.
//!
//! A crash copies the files of the open database, as a killed process leaves them, and opens the
//! copy: what is found must be the reference's state after some batch at or after the last flush.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use bytes::Bytes;
use shardforge_core::base::buggify::Faults;
use shardforge_core::base::id::{ShardId, Token};
use shardforge_core::base::key::{Key, Span};
use shardforge_core::base::rng::Rng;
use shardforge_core::base::timestamp::Timestamp;
use shardforge_core::storage::chunk::encode_chunk;
use shardforge_core::storage::memory::MemoryStore;
use shardforge_core::storage::packed::Packer;
use shardforge_core::storage::port::{
    Family, ReadReply, ReadRequest, SnapshotPairs, StorageEffect, StorageEvent, WriteBatch, WriteOp,
};
use shardforge_core::storage::versioned::{answer, physical_key};

use super::{RocksConfig, RocksStores};
use crate::disk::tests::TempDir;

const SHARD: ShardId = ShardId(7);

/// A RocksDB store and where its answers come.
struct Real {
    stores: RocksStores,
    late: mpsc::Receiver<StorageEvent>,
    token: u64,
}

impl Real {
    fn open(directory: &Path) -> Self {
        fs::create_dir_all(directory).unwrap();
        let (sender, late) = mpsc::channel();
        let report = move |event| drop(sender.send(event));
        let stores = RocksStores::open(directory, RocksConfig::default(), report).unwrap();
        let mut real = Self { stores, late, token: 0 };
        let opened = real.ask(|token| StorageEffect::Open(token, SHARD));
        assert!(matches!(opened, StorageEvent::Opened(_, Ok(_))), "{opened:?}");
        real
    }

    /// Performs an effect and waits for its answer.
    fn ask(&mut self, effect: impl FnOnce(Token) -> StorageEffect) -> StorageEvent {
        self.token += 1;
        let mut ready = VecDeque::new();
        self.stores.perform(effect(Token(self.token)), &mut ready);
        ready.pop_front().unwrap_or_else(|| self.late.recv().unwrap())
    }

    fn write(&mut self, batch: &WriteBatch) {
        let mut ready = VecDeque::new();
        self.stores.perform(StorageEffect::Write(SHARD, batch.clone()), &mut ready);
        assert!(ready.is_empty(), "{ready:?}");
    }

    fn flush(&mut self) {
        let flushed = self.ask(|token| StorageEffect::Flush(token, SHARD));
        assert!(matches!(flushed, StorageEvent::Flushed(_, Ok(()))), "{flushed:?}");
    }

    fn read(&mut self, request: &ReadRequest) -> ReadReply {
        match self.ask(|token| StorageEffect::Read(token, SHARD, request.clone())) {
            StorageEvent::Read(_, Ok(reply)) => reply,
            other => panic!("{other:?}"),
        }
    }

    fn everything(&mut self) -> Vec<ReadReply> {
        Family::ALL.map(|family| self.read(&all_of(family))).into()
    }
}

fn all_of(family: Family) -> ReadRequest {
    let span = Span { start: Key::MIN, end: Key::from(vec![0xff; 9_000]) };
    ReadRequest::Scan { family, span, rows_max: usize::MAX, bytes_max: usize::MAX }
}

fn everything(store: &MemoryStore) -> Vec<ReadReply> {
    Family::ALL.map(|family| answer(store, &all_of(family)).unwrap()).into()
}

/// Prefix-free keys.
fn key(rng: &mut Rng) -> Vec<u8> {
    let mut key = vec![b'k'; rng.below(3) as usize];
    key.extend([b'a' + rng.below(6) as u8, b'!']);
    key
}

fn any_batch(rng: &mut Rng, number: u64) -> WriteBatch {
    let mut batch = WriteBatch::default();
    for _ in 0..rng.between(1, 6) {
        let family = Family::ALL[rng.below(3) as usize];
        let mut place = key(rng);
        if matches!(family, Family::Data | Family::Index) {
            place = physical_key(&place, Timestamp(rng.between(1, 40)));
        }
        match rng.below(10) {
            0 => batch.delete(family, place),
            1 => {
                let (a, b) = (Key::from(key(rng)), Key::from(key(rng)));
                batch.ops.push(WriteOp::DeleteRange(family, Span { start: a, end: b }));
            }
            2 => {
                let mut packer = Packer::default();
                packer.put([&place, b""], [&[number as u8], b"packed"]);
                // A later pair of a key wins.
                packer.put([&place, b""], [&[number as u8], b"packed again"]);
                batch.ops.push(WriteOp::PutPacked(family, packer.take()));
            }
            _ => batch.put(family, place, vec![number as u8; rng.below(200) as usize]),
        }
    }
    batch.put(Family::Meta, "applied", number.to_be_bytes().to_vec());
    batch
}

fn any_question(rng: &mut Rng) -> ReadRequest {
    let family = if rng.chance(0.5) { Family::Data } else { Family::Index };
    let (a, b) = (Key::from(key(rng)), Key::from(key(rng)));
    let end = if rng.chance(0.5) {
        b.clone().max(a.clone()).successor()
    } else {
        a.clone().max(b.clone())
    };
    let span = Span { start: a.min(b), end };
    let at = Timestamp(rng.between(0, 42));
    let rows_max = rng.between(1, 5) as usize;
    match rng.below(6) {
        0 => ReadRequest::Get { family: Family::Lock, key: key(rng).into() },
        1 => ReadRequest::Scan { family: Family::Lock, span, rows_max, bytes_max: 300 },
        2 => {
            let keys = (0..5).map(|_| Bytes::from(key(rng))).collect();
            ReadRequest::VersionsAt { family, keys, at }
        }
        3 => {
            ReadRequest::ChangedIn { family, span, after: Timestamp(rng.between(0, 42)), up_to: at }
        }
        _ => {
            let reverse = rng.chance(0.5);
            ReadRequest::ScanVersions { family, span, at, reverse, rows_max, bytes_max: 300 }
        }
    }
}

/// A copy of one moment of a directory that RocksDB writes to: tried again while files come and go.
fn copy_directory(from: &Path, to: &Path) {
    for _ in 0..1_000 {
        let before = files(from);
        let copied = before.iter().all(|name| copy(&from.join(name), &to.join(name)));
        if copied && files(from) == before {
            return;
        }
        fs::remove_dir_all(to).unwrap();
    }
    panic!("{from:?} never stands still");
}

/// Whether the file was still there.
fn copy(from: &Path, to: &Path) -> bool {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    match fs::copy(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        copied => {
            copied.unwrap();
            true
        }
    }
}

/// All files below a directory.
fn files(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let name = PathBuf::from(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()).into_iter().map(|below| name.join(below)));
        } else {
            found.insert(name);
        }
    }
    found
}

/// Runs one script.
fn run(seed: u64) {
    let dir = TempDir::new(&format!("conformance-{seed}"));
    let mut rng = Rng::new(seed);
    let mut life = 0;
    let place = |life: u32| -> PathBuf { dir.path().join(life.to_string()) };
    let mut real = Real::open(&place(life));
    let mut model = MemoryStore::default();
    // States that a crash may go back to: after the last flush, and after every batch since.
    let mut allowed = vec![everything(&model)];
    for number in 0..60 {
        match rng.below(12) {
            0..5 => {
                let batch = any_batch(&mut rng, number);
                real.write(&batch);
                model.write(&batch, &Faults::default());
                allowed.push(everything(&model));
            }
            5 => {
                real.flush();
                model.flush();
                allowed = vec![everything(&model)];
            }
            6 if rng.chance(0.5) => {
                copy_directory(&place(life), &place(life + 1));
                life += 1;
                real = Real::open(&place(life));
                let found = real.everything();
                let kept = allowed.iter().rposition(|state| *state == found);
                assert!(kept.is_some(), "seed {seed}: a state from nowhere: {found:?}");
                model.rewind(kept.unwrap());
                allowed = vec![found];
            }
            _ => {
                let question = any_question(&mut rng);
                let expected = answer(&model, &question).unwrap();
                assert_eq!(real.read(&question), expected, "seed {seed}: {question:?}");
            }
        }
    }
    assert_eq!(real.everything(), everything(&model));
}

#[test]
fn rocksdb_behaves_as_the_reference_store() {
    for seed in 0..12 {
        run(seed);
    }
}

#[test]
fn a_snapshot_is_of_the_moment_it_was_opened_and_replaces_another_store() {
    let dir = TempDir::new("snapshot");
    let mut source = Real::open(&dir.path().join("source"));
    let mut target = Real::open(&dir.path().join("target"));
    let mut rng = Rng::new(1);
    for number in 0..50 {
        source.write(&any_batch(&mut rng, number));
    }
    target.write(&any_batch(&mut rng, 99));
    let expected = source.everything();
    let mut snapshot = Token(0);
    let opened = source.ask(|token| {
        snapshot = token;
        StorageEffect::OpenSnapshot(token, SHARD)
    });
    assert!(matches!(opened, StorageEvent::SnapshotOpened(_, Ok(()))), "{opened:?}");
    source.write(&any_batch(&mut rng, 100));
    let before = target.everything();
    let arrival = Token(1_000);
    let mut chunks = 0;
    loop {
        let chunk = source.ask(|token| StorageEffect::ReadSnapshotChunk {
            token,
            snapshot,
            bytes_max: 700,
        });
        let StorageEvent::SnapshotChunk(_, Ok(pairs)) = chunk else { panic!("{chunk:?}") };
        if pairs.is_empty() {
            break;
        }
        stage(&mut target, arrival, &pairs);
        chunks += 1;
    }
    assert!(1 < chunks, "all in one chunk shows little");
    stage(&mut target, Token(2_000), &vec![(Family::Data, "other".into(), "snapshot".into())]);
    assert_eq!(target.everything(), before, "half a snapshot changes nothing");
    let store = SHARD;
    let done = target.ask(|token| StorageEffect::Install { token, store, arrival });
    assert!(matches!(done, StorageEvent::Installed(_, Ok(()))), "{done:?}");
    target.stores.perform(StorageEffect::Unstage { store, arrival }, &mut VecDeque::new());
    assert_eq!(target.everything(), expected);
    target.flush();
    // It is durable, and what was never installed is swept away.
    let copy = dir.path().join("copy");
    copy_directory(&dir.path().join("target"), &copy);
    assert_eq!(Real::open(&copy).everything(), expected);
    let shard = fs::read_dir(copy.join("shard_0007")).unwrap();
    let names = shard.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.starts_with("incoming")).count(), 0);
    // An arrival of nothing replaces all by nothing.
    let done = target.ask(|token| StorageEffect::Install { token, store, arrival: token });
    assert!(matches!(done, StorageEvent::Installed(_, Ok(()))), "{done:?}");
    assert_eq!(target.everything(), everything(&MemoryStore::default()));
}

fn stage(target: &mut Real, arrival: Token, pairs: &SnapshotPairs) {
    let (store, chunk) = (SHARD, encode_chunk(pairs));
    let done = target.ask(|token| StorageEffect::Stage { token, store, arrival, chunk });
    assert!(matches!(done, StorageEvent::Staged(_, Ok(()))), "{done:?}");
}

#[test]
fn a_dropped_store_comes_back_empty() {
    let dir = TempDir::new("drop");
    let mut real = Real::open(dir.path());
    real.write(&any_batch(&mut Rng::new(1), 1));
    real.flush();
    let mut ready = VecDeque::new();
    real.stores.perform(StorageEffect::Drop(SHARD), &mut ready);
    real.stores.close();
    drop(real);
    let mut real = Real::open(dir.path());
    assert_eq!(real.everything(), everything(&MemoryStore::default()));
}
