//! Incoming snapshots: a file each beside the store, until they are whole.
//!
//! # Format
//!
//! Chunks as they came, each after its length (4 bytes, little-endian). Nothing is synced: a file ends
//! with the process that wrote it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use shardforge_core::base::id::Token;
use shardforge_core::base::limit;
use shardforge_core::storage::chunk::decode_chunk;
use shardforge_core::storage::port::{Family, StorageError, WriteBatch};

use super::store::RocksStore;
use super::stores::explain_io;

const PREFIX: &str = "incoming-";

/// Where the chunks of an arrival are kept.
pub(super) fn file_of(store: &RocksStore, arrival: Token) -> PathBuf {
    store.path().with_file_name(format!("{PREFIX}{}", arrival.0))
}

/// Adds a chunk.
pub(super) fn stage(path: &Path, chunk: &[u8]) -> Result<(), StorageError> {
    let write = || {
        let length = u32::try_from(chunk.len()).map_err(io::Error::other)?;
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        file.write_all(&length.to_le_bytes())?;
        file.write_all(chunk)
    };
    write().map_err(|e| explain_io(&e))
}

/// Replaces all that is in the store by the chunks, if there are any; not flushed.
pub(super) fn install(store: &RocksStore, path: &Path) -> Result<(), StorageError> {
    store.clear()?;
    let mut file = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(explain_io(&error)),
    };
    let mut meta = WriteBatch::default();
    while let Some(chunk) = next_chunk(&mut file).map_err(|e| explain_io(&e))? {
        let damaged = |what: String| StorageError::Damaged { store: store.id(), what };
        let pairs = decode_chunk(&chunk).map_err(|e| damaged(e.to_string()))?;
        let mut batch = WriteBatch::default();
        for (family, key, value) in pairs {
            let to = if family == Family::Meta { &mut meta } else { &mut batch };
            to.put(family, key, value);
        }
        store.write(&batch)?;
    }
    store.write(&meta)
}

fn next_chunk(file: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match file.read(&mut length[..1])? {
        0 => return Ok(None),
        _ => file.read_exact(&mut length[1..])?,
    }
    let length = u32::from_le_bytes(length) as usize;
    if limit::SNAPSHOT_CHUNK_BYTES < length {
        return Err(io::Error::other("a chunk over its bound"));
    }
    let mut chunk = vec![0; length];
    file.read_exact(&mut chunk)?;
    Ok(Some(chunk))
}

/// Forgets the chunks. Best effort: what is left only takes space until the next start.
pub(super) fn unstage(path: &Path) {
    let _ = fs::remove_file(path);
}

/// Removes what an earlier process left.
pub(super) fn sweep(shard: &Path) -> io::Result<()> {
    for entry in fs::read_dir(shard)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
