//! All stores of a node: performs storage effects.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use rocksdb::{DB, Options};
use shardforge_core::base::id::{ShardId, Token};
use shardforge_core::storage::port::{StorageEffect, StorageError, StorageEvent};
use shardforge_core::storage::versioned::answer;

use super::arrival;
use super::options::{RocksConfig, Shared};
use super::snapshot::Pinned;
use super::store::RocksStore;
use crate::disk::{make_directory, sync_directory, write_durably};

/// Takes answers that other threads give.
pub(super) type Report = Arc<dyn Fn(StorageEvent) + Send + Sync>;

/// A store that was dropped, or never came to life, is removed at the next start.
const DROPPED: &str = "DROPPED";

enum Job {
    Flush(Token, RocksStore),
    Stage { token: Token, path: PathBuf, chunk: Bytes },
    Install { token: Token, store: RocksStore, path: PathBuf },
    Unstage(PathBuf),
    Drop(RocksStore),
}

/// See the module.
pub struct RocksStores {
    directory: PathBuf,
    shared: Shared,
    stores: BTreeMap<ShardId, RocksStore>,
    snapshots: BTreeMap<Token, Pinned>,
    report: Report,
    jobs: Option<Sender<Job>>,
    worker: Option<JoinHandle<()>>,
}

impl RocksStores {
    /// Stores below `directory` (`shard_0001/data` and so on). Answers that are not ready at
    /// once go to `report`, from other threads.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read, or the system gives no thread.
    pub fn open(
        directory: &Path,
        config: RocksConfig,
        report: impl Fn(StorageEvent) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        remove_dropped(directory)?;
        let report: Report = Arc::new(report);
        let (jobs, inbox) = channel();
        let to = Arc::clone(&report);
        let run = move || work(&inbox, &to);
        let worker = thread::Builder::new().name("stores".into()).spawn(run)?;
        Ok(Self {
            directory: directory.to_owned(),
            shared: Shared::new(config),
            stores: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            report,
            jobs: Some(jobs),
            worker: Some(worker),
        })
    }

    /// Performs an effect. Answers that are ready go to `ready`, in order.
    pub fn perform(&mut self, effect: StorageEffect, ready: &mut VecDeque<StorageEvent>) {
        match effect {
            StorageEffect::Open(token, id) => {
                ready.push_back(StorageEvent::Opened(token, self.open_store(id)));
            }
            StorageEffect::Drop(id) => {
                if let Some(store) = self.stores.remove(&id) {
                    self.hand_over(Job::Drop(store));
                }
            }
            StorageEffect::Write(id, batch) => {
                if let Err(error) = self.store(id).and_then(|store| store.write(&batch)) {
                    ready.push_back(StorageEvent::WriteFailed(id, error));
                }
            }
            StorageEffect::Read(token, id, request) => {
                let reply = self.store(id).and_then(|store| answer(store, &request));
                ready.push_back(StorageEvent::Read(token, reply));
            }
            StorageEffect::Flush(token, id) => match self.store(id).cloned() {
                Ok(store) => self.hand_over(Job::Flush(token, store)),
                Err(error) => ready.push_back(StorageEvent::Flushed(token, Err(error))),
            },
            StorageEffect::OpenSnapshot(token, id) => {
                let store = self.store(id).cloned();
                let opened = store.and_then(|s| Pinned::open(s, Arc::clone(&self.report)));
                let opened = opened.map(|pinned| drop(self.snapshots.insert(token, pinned)));
                ready.push_back(StorageEvent::SnapshotOpened(token, opened));
            }
            StorageEffect::ReadSnapshotChunk { token, snapshot, bytes_max } => {
                let pinned = self.snapshots.get(&snapshot).ok_or(StorageError::Missing);
                if let Err(error) = pinned.and_then(|p| p.read(token, bytes_max)) {
                    ready.push_back(StorageEvent::SnapshotChunk(token, Err(error)));
                }
            }
            StorageEffect::ReleaseSnapshot(token) => {
                self.snapshots.remove(&token);
            }
            StorageEffect::Stage { token, store, arrival, chunk } => match self.store(store) {
                Ok(store) => {
                    let path = arrival::file_of(store, arrival);
                    self.hand_over(Job::Stage { token, path, chunk });
                }
                Err(error) => ready.push_back(StorageEvent::Staged(token, Err(error))),
            },
            StorageEffect::Install { token, store, arrival } => match self.store(store).cloned() {
                Ok(store) => {
                    let path = arrival::file_of(&store, arrival);
                    self.hand_over(Job::Install { token, store, path });
                }
                Err(error) => ready.push_back(StorageEvent::Installed(token, Err(error))),
            },
            StorageEffect::Unstage { store, arrival } => {
                if let Ok(store) = self.store(store) {
                    self.hand_over(Job::Unstage(arrival::file_of(store, arrival)));
                }
            }
        }
    }

    /// Flushes and closes everything; nothing is performed afterwards.
    pub fn close(&mut self) {
        self.snapshots.clear();
        // Ends the worker once it has done what was handed over.
        self.jobs = None;
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
        for store in std::mem::take(&mut self.stores).into_values() {
            // The log still holds what a failed flush leaves out.
            let _ = store.flush();
        }
    }

    fn store(&self, id: ShardId) -> Result<&RocksStore, StorageError> {
        self.stores.get(&id).ok_or(StorageError::Missing)
    }

    fn open_store(&mut self, id: ShardId) -> Result<bool, StorageError> {
        if !self.stores.contains_key(&id) {
            let shard = self.directory.join(format!("shard_{:04}", id.0));
            let prepared = make_directory(&shard.join("data"))
                .and_then(|()| make_directory(&shard.join("wal/checkpoints")))
                .and_then(|()| make_directory(&shard.join("indexes")))
                .and_then(|()| write_metadata(&shard, id))
                .and_then(|()| arrival::sweep(&shard))
                // What the log purges on the strength of this store is lost with its name.
                .and_then(|()| sync_directory(&shard))
                .and_then(|()| sync_directory(&self.directory));
            prepared.map_err(|e| explain_io(&e))?;
            let store = RocksStore::open(&self.shared, &shard.join("data"), id)?;
            let dropped = shard.join(DROPPED);
            if dropped.exists() {
                // It was given up in this life while someone still held it, and is wanted again.
                store.clear()?;
                store.flush()?;
                std::fs::remove_file(&dropped).map_err(|e| explain_io(&e))?;
            }
            self.stores.insert(id, store);
        }
        Ok(!self.store(id)?.is_empty()?)
    }

    fn hand_over(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // The worker lives as long as this sender.
            let _ = jobs.send(job);
        }
    }
}

impl Drop for RocksStores {
    fn drop(&mut self) {
        self.snapshots.clear();
        self.jobs = None;
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

fn work(inbox: &Receiver<Job>, report: &Report) {
    while let Ok(job) = inbox.recv() {
        match job {
            Job::Flush(token, store) => {
                let done = store.flush();
                drop(store);
                report(StorageEvent::Flushed(token, done));
            }
            Job::Stage { token, path, chunk } => {
                report(StorageEvent::Staged(token, arrival::stage(&path, &chunk)));
            }
            Job::Install { token, store, path } => {
                let done = arrival::install(&store, &path);
                drop(store);
                report(StorageEvent::Installed(token, done));
            }
            Job::Unstage(path) => arrival::unstage(&path),
            Job::Drop(store) => remove(store),
        }
    }
}

pub(super) fn explain_io(error: &io::Error) -> StorageError {
    match error.kind() {
        io::ErrorKind::StorageFull => StorageError::DiskFull,
        _ => StorageError::Io(error.to_string()),
    }
}

fn write_metadata(shard: &Path, id: ShardId) -> io::Result<()> {
    let path = shard.join("metadata.toml");
    if path.exists() {
        return Ok(());
    }
    let text = format!(
        "# Written by ShardForge for people; nothing reads it.\nshard = {}\nengine = \"rocksdb\"\n\
         data = \"data\"\nindexes = \"data\" # column family `index`\n",
        id.0
    );
    write_durably(&path, text.as_bytes())
}

/// Removes a store's files, now if nobody holds it, else at the next start.
fn remove(store: RocksStore) {
    let path = store.path().to_owned();
    let shard = path.parent().map(Path::to_owned).unwrap_or_else(|| path.clone());
    // Best effort: an orphan only takes space, and the next start tries again.
    let _ = write_durably(&shard.join(DROPPED), b"");
    if let Some(db) = store.into_db() {
        drop(db);
        let _ = DB::destroy(&Options::default(), &path);
        let _ = std::fs::remove_dir_all(&shard);
    }
}

fn remove_dropped(directory: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let shard = entry?.path();
        if shard.join(DROPPED).exists() {
            std::fs::remove_dir_all(&shard)?;
        }
    }
    Ok(())
}
