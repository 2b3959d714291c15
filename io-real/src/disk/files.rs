//! The log's files: names, preallocation, recycling, reading.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use shardforge_core::base::limit;
use shardforge_core::storage::log::{LogFile, LogWrite};

use super::directory::sync_directory;

/// Blocks are allocated by writing zeros so far ahead of the end: overwriting allocated blocks
/// makes `fdatasync` two to three times faster than extending a file.
const AHEAD_BYTES: u64 = 1 << 20;
/// Segments kept for later use.
const SPARES_MAX: usize = 2;
/// Blocks of direct reads.
const BLOCK_BYTES: usize = 4_096;

/// What is on disk at start.
#[derive(Clone, Debug, Default)]
pub struct LogImage {
    /// Segments by number.
    pub segments: BTreeMap<u64, Bytes>,
    /// Copies of the vote file that exist.
    pub vote_files: Vec<Bytes>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Bytes that have blocks.
    allocated: u64,
    dirty: bool,
}

/// The log directory, open for writing.
#[derive(Debug)]
pub struct LogFiles {
    directory: PathBuf,
    open: BTreeMap<LogFile, Open>,
    segments: BTreeSet<u64>,
    spares: Vec<PathBuf>,
    spare_number: u64,
    names_changed: bool,
}

fn name_of(file: LogFile) -> String {
    match file {
        LogFile::Segment(number) => format!("segment-{number:016x}.log"),
        LogFile::Votes(copy) => format!("votes-{copy}"),
    }
}

impl LogFiles {
    /// Opens the log directory: makes what is in it durable, then reads it. What the returned image
    /// holds is on disk, also where an earlier process died between a write and its sync.
    ///
    /// # Errors
    ///
    /// Any I/O error; the log then cannot be served.
    pub fn open(directory: &Path) -> io::Result<(Self, LogImage)> {
        let mut files = Self {
            directory: directory.to_owned(),
            open: BTreeMap::new(),
            segments: BTreeSet::new(),
            spares: Vec::new(),
            spare_number: 0,
            names_changed: false,
        };
        let mut image = LogImage::default();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|n| n.to_str()) else { continue };
            if let Some(number) = segment_number(name) {
                image.segments.insert(number, read_synced(&path)?);
                files.segments.insert(number);
            } else if name.starts_with("votes-") {
                image.vote_files.push(read_synced(&path)?);
            } else if name.starts_with("spare-") {
                // Spares of an earlier life: one name series a life keeps them apart.
                fs::remove_file(&path)?;
            }
        }
        sync_directory(directory)?;
        Ok((files, image))
    }

    /// Writes, not durably yet.
    ///
    /// # Errors
    ///
    /// Any I/O error; the caller fences.
    pub fn write(&mut self, write: &LogWrite) -> io::Result<()> {
        if !self.open.contains_key(&write.file) {
            let opened = self.open_file(write.file)?;
            self.open.insert(write.file, opened);
        }
        let Some(open) = self.open.get_mut(&write.file) else { return Ok(()) };
        let end = write.offset + write.bytes.len() as u64;
        if matches!(write.file, LogFile::Segment(_)) && open.allocated < end {
            open.allocate(end + AHEAD_BYTES)?;
        }
        open.file.write_all_at(&write.bytes, write.offset)?;
        open.dirty = true;
        Ok(())
    }

    /// Makes everything written durable. Returns the number of `fdatasync` calls.
    ///
    /// # Errors
    ///
    /// Any I/O error; it is final, see the room's invariants.
    pub fn sync(&mut self) -> io::Result<u64> {
        let mut calls = 0;
        for open in self.open.values_mut().filter(|o| o.dirty) {
            open.file.sync_data()?;
            open.dirty = false;
            calls += 1;
        }
        if self.names_changed {
            sync_directory(&self.directory)?;
            self.names_changed = false;
        }
        Ok(calls)
    }

    /// Keeps a few of these segments' files for later segments and removes the others.
    ///
    /// # Errors
    ///
    /// Any I/O error but a missing file.
    pub fn retire(&mut self, segments: &[u64]) -> io::Result<()> {
        for number in segments {
            self.open.remove(&LogFile::Segment(*number));
            self.segments.remove(number);
            let path = self.directory.join(name_of(LogFile::Segment(*number)));
            let done = if self.spares.len() < SPARES_MAX {
                self.spare_number += 1;
                let spare = self.directory.join(format!("spare-{}", self.spare_number));
                fs::rename(&path, &spare).map(|()| self.spares.push(spare))
            } else {
                fs::remove_file(&path)
            };
            match done {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                done => done?,
            }
        }
        Ok(())
    }

    fn open_file(&mut self, file: LogFile) -> io::Result<Open> {
        let path = self.directory.join(name_of(file));
        let is_new_segment = match file {
            LogFile::Segment(number) => self.segments.insert(number),
            LogFile::Votes(_) => false,
        };
        if is_new_segment {
            // Older segments take no writes any more; those of this sync are still dirty.
            self.open.retain(|file, open| open.dirty || matches!(file, LogFile::Votes(_)));
            if let Some(spare) = self.spares.pop() {
                fs::rename(spare, &path)?;
            }
        }
        self.names_changed = true;
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let handle = opened.open(&path)?;
        let allocated = handle.metadata()?.len();
        Ok(Open { file: handle, allocated, dirty: false })
    }
}

impl Open {
    fn allocate(&mut self, wanted: u64) -> io::Result<()> {
        static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
        let end = wanted.next_multiple_of(AHEAD_BYTES);
        // A segment's last batch may end beyond its nominal size.
        let end = end.min(limit::SEGMENT_BYTES.max(wanted - AHEAD_BYTES));
        while self.allocated < end {
            let len = ZEROS.len().min(usize::try_from(end - self.allocated).unwrap_or(ZEROS.len()));
            self.file.write_all_at(&ZEROS[..len], self.allocated)?;
            self.allocated += len as u64;
        }
        Ok(())
    }
}

fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("segment-")?.strip_suffix(".log")?;
    u64::from_str_radix(digits, 16).ok()
}

/// Syncs a file and reads it past the page cache: after a failed sync the cache may hold bytes that
/// the disk does not.
fn read_synced(path: &Path) -> io::Result<Bytes> {
    OpenOptions::new().read(true).write(true).open(path)?.sync_all()?;
    match read_direct(path) {
        // Not every file system can.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            fs::read(path).map(Bytes::from)
        }
        read => read,
    }
}

/// `O_DIRECT`, as the standard library takes it.
fn direct_flag() -> i32 {
    rustix::fs::OFlags::DIRECT.bits().cast_signed()
}

fn read_direct(path: &Path) -> io::Result<Bytes> {
    let file = OpenOptions::new().read(true).custom_flags(direct_flag()).open(path)?;
    let len = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let mut buffer = vec![0; len.next_multiple_of(BLOCK_BYTES) + BLOCK_BYTES];
    let start = buffer.as_ptr().align_offset(BLOCK_BYTES);
    let mut done = 0;
    while done < len {
        let end = start + len.next_multiple_of(BLOCK_BYTES);
        match file.read_at(&mut buffer[start + done..end], done as u64) {
            Ok(0) => break,
            Ok(read) if (done + read) % BLOCK_BYTES == 0 || len <= done + read => done += read,
            Ok(_) => return Err(io::ErrorKind::InvalidInput.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Bytes::from(buffer).slice(start..start + len.min(done)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A directory of a test, removed with it.
    pub(crate) struct TempDir(PathBuf);

    impl TempDir {
        pub(crate) fn new(name: &str) -> Self {
            let unique = format!("shardforge-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(unique);
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        pub(crate) fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for TempDir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn write(segment: u64, offset: u64, fill: u8) -> LogWrite {
        let bytes = Bytes::from(vec![fill; BLOCK_BYTES]);
        LogWrite { file: LogFile::Segment(segment), offset, bytes }
    }

    #[test]
    fn what_was_written_is_read_and_blocks_lie_ahead() {
        let dir = TempDir::new("files");
        let (mut files, image) = LogFiles::open(dir.path()).unwrap();
        assert!(image.segments.is_empty());
        files.write(&write(1, 0, 7)).unwrap();
        let votes =
            LogWrite { file: LogFile::Votes(1), offset: 0, bytes: Bytes::from_static(b"votes") };
        files.write(&votes).unwrap();
        assert_eq!(files.sync().unwrap(), 2);
        assert_eq!(files.sync().unwrap(), 0, "nothing is dirty any more");
        drop(files);
        let (_, image) = LogFiles::open(dir.path()).unwrap();
        assert_eq!(image.vote_files, [Bytes::from_static(b"votes")]);
        let segment = &image.segments[&1];
        assert_eq!(segment[..BLOCK_BYTES], [7; BLOCK_BYTES]);
        assert!(AHEAD_BYTES as usize <= segment.len(), "{} allocated", segment.len());
        assert!(segment[BLOCK_BYTES..].iter().all(|b| *b == 0));
    }

    #[test]
    fn a_retired_segment_becomes_a_later_one() {
        let dir = TempDir::new("spares");
        let (mut files, _) = LogFiles::open(dir.path()).unwrap();
        for segment in 1..=5 {
            files.write(&write(segment, 0, segment as u8)).unwrap();
            files.sync().unwrap();
        }
        files.retire(&[1, 2, 3]).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4, "two spares and two segments");
        files.write(&write(6, 4_096, 6)).unwrap();
        files.sync().unwrap();
        drop(files);
        let (_, image) = LogFiles::open(dir.path()).unwrap();
        assert_eq!(image.segments.keys().copied().collect::<Vec<_>>(), [4, 5, 6]);
        assert_eq!(image.segments[&6][0], 2, "the old content is still there: it was recycled");
    }
}
