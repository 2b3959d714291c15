//! Takes back what a killed program had written and not synced, by the journal of the preload shim
//! (`shim/drop_unsynced.c` describes it).
//!
//! The harshest loss that a file system may inflict: everything that no sync covers, names too.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;

const MAGIC: u64 = 0x5346_4a4c;
const HEAD_BYTES: usize = 56;

const SHIM: &str = include_str!("../shim/drop_unsynced.c");

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Write,
    Sync,
    Truncate,
    Create,
    Rename,
    Unlink,
    MakeDirectory,
}

#[derive(Clone, Debug)]
struct Record {
    kind: Kind,
    number: u64,
    inode: u64,
    a: u64,
    b: u64,
    bytes: Vec<u8>,
}

/// What was taken back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Undone {
    /// Changes in the journal.
    pub changes: usize,
    /// Syncs in the journal.
    pub syncs: usize,
    /// Changes of contents taken back, and their bytes.
    pub writes: usize,
    /// See `writes`.
    pub bytes: usize,
    /// Changes of names taken back.
    pub names: usize,
}

impl fmt::Display for Undone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { changes, syncs, writes, bytes, names } = self;
        write!(
            f,
            "{changes} changes, {syncs} syncs; taken back: {writes} writes ({bytes} bytes), "
        )?;
        write!(f, "{names} names")
    }
}

/// Where a data directory's journal lies: beside it, on the same file system.
pub fn journal_of(data: &Path) -> PathBuf {
    data.with_extension("journal")
}

/// Compiles the shim into a directory.
///
/// # Errors
///
/// What gcc said.
pub fn compile(directory: &Path) -> io::Result<PathBuf> {
    let (source, library) = (directory.join("shim.c"), directory.join("shim.so"));
    fs::write(&source, SHIM)?;
    let mut gcc = Command::new("gcc");
    gcc.args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(&source).args(["-ldl"]);
    let output = gcc.output()?;
    if output.status.success() {
        return Ok(library);
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// Begins a journal: what is there now counts as durable.
///
/// # Errors
///
/// Files.
pub fn begin(journal: &Path) -> io::Result<()> {
    if journal.exists() {
        fs::remove_dir_all(journal)?;
    }
    fs::create_dir_all(journal.join("kept"))
}

/// Takes back everything unsynced under `data` and begins a new journal.
///
/// # Errors
///
/// Files, and a journal that makes no sense.
pub fn restore(data: &Path, journal: &Path) -> io::Result<Undone> {
    let records = read(&journal.join("journal"))?;
    let mut synced: BTreeMap<u64, u64> = BTreeMap::new();
    let mut undone = Undone::default();
    for record in &records {
        if record.kind == Kind::Sync {
            undone.syncs += 1;
            let covered = synced.entry(record.inode).or_default();
            *covered = record.a.max(*covered);
        } else {
            undone.changes += 1;
        }
    }
    let covered =
        |inode: u64, number: u64| synced.get(&inode).is_some_and(|up_to| number <= *up_to);
    let mut files = BTreeMap::new();
    walk(data, &mut files)?;
    walk(&journal.join("kept"), &mut files)?;
    for record in records.iter().rev() {
        let content = matches!(record.kind, Kind::Write | Kind::Truncate);
        if content
            && !covered(record.inode, record.number)
            && let Some(path) = files.get(&record.inode)
        {
            undo_content(path, record)?;
            undone.writes += 1;
            undone.bytes += record.bytes.len();
        }
    }
    for record in records.iter().rev() {
        let name =
            matches!(record.kind, Kind::Create | Kind::Rename | Kind::Unlink | Kind::MakeDirectory);
        if name && !covered(record.a, record.number) && undo_name(record, journal)? {
            undone.names += 1;
        }
    }
    begin(journal)?;
    Ok(undone)
}

fn undo_content(path: &Path, record: &Record) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.write_all_at(&record.bytes, record.a)?;
    file.set_len(record.b)
}

/// Whether there was something to take back: the program may have died before it did it.
fn undo_name(record: &Record, journal: &Path) -> io::Result<bool> {
    let path = |bytes: &[u8]| PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
    let inode = |path: &Path| fs::symlink_metadata(path).map_or(0, |meta| meta.ino());
    let kept = journal.join("kept").join(record.b.to_string());
    match record.kind {
        Kind::Create => {
            let path = path(&record.bytes);
            let there = inode(&path) == record.inode;
            if there {
                fs::remove_file(path)?;
            }
            Ok(there)
        }
        Kind::MakeDirectory => {
            let path = path(&record.bytes);
            let there = inode(&path) == record.inode;
            if there {
                fs::remove_dir_all(path)?;
            }
            Ok(there)
        }
        Kind::Rename => {
            let mut names = record.bytes.splitn(2, |byte| *byte == 0).map(path);
            let (Some(from), Some(to)) = (names.next(), names.next()) else {
                return Err(io::Error::other("a rename without names"));
            };
            let there = inode(&to) == record.inode;
            if there {
                fs::rename(&to, from)?;
                if record.b != 0 {
                    fs::rename(kept, to)?;
                }
            }
            Ok(there)
        }
        Kind::Unlink => {
            let path = path(&record.bytes);
            let gone = inode(&path) == 0 && kept.exists();
            if gone {
                fs::rename(kept, path)?;
            }
            Ok(gone)
        }
        Kind::Write | Kind::Sync | Kind::Truncate => Ok(false),
    }
}

fn walk(directory: &Path, files: &mut BTreeMap<u64, PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&entry.path(), files)?;
        } else if kind.is_file() {
            files.insert(entry.metadata()?.ino(), entry.path());
        }
    }
    Ok(())
}

/// All whole records; the kill may have cut the last one off.
fn read(path: &Path) -> io::Result<Vec<Record>> {
    let bytes = fs::read(path)?;
    let mut records = Vec::new();
    let mut rest = &bytes[..];
    while HEAD_BYTES <= rest.len() {
        let (head, body) = rest.split_at(HEAD_BYTES);
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&head[8 * at..8 * at + 8]);
            u64::from_le_bytes(word)
        };
        if word(0) >> 32 != MAGIC {
            return Err(io::Error::other("the journal makes no sense"));
        }
        let kind = match word(0) & 0xff {
            1 => Kind::Write,
            2 => Kind::Sync,
            3 => Kind::Truncate,
            4 => Kind::Create,
            5 => Kind::Rename,
            6 => Kind::Unlink,
            7 => Kind::MakeDirectory,
            _ => return Err(io::Error::other("a journal record of an unknown kind")),
        };
        let len = usize::try_from(word(6)).map_err(io::Error::other)?;
        if body.len() < len {
            break;
        }
        let (number, inode, a, b) = (word(1), word(2), word(3), word(4));
        records.push(Record { kind, number, inode, a, b, bytes: body[..len].to_vec() });
        rest = &body[len..];
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process (Debian always has perl) under the shim writes, syncs and renames; then what it did
    /// not sync is gone.
    #[test]
    fn what_no_sync_covers_is_taken_back() {
        let root = std::env::temp_dir().join(format!("sf-shim-{}", std::process::id()));
        let data = root.join("data");
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("old"), "before").unwrap();
        fs::write(data.join("gone"), "kept").unwrap();
        let journal = journal_of(&data);
        begin(&journal).unwrap();
        let library = compile(&root).unwrap();
        let script = r#"
            use Fcntl;
            sub put { my ($name, $flags, $text, $sync) = @_;
                sysopen(my $file, "$ENV{D}/$name", $flags) or die "$name: $!";
                syswrite($file, $text) == length $text or die;
                if ($sync) { require IO::Handle; $file->IO::Handle::sync or die "sync: $!" } }
            put("new", O_WRONLY | O_CREAT, "durable", 1);
            system("sync", $ENV{D}) == 0 or die;
            put("new", O_WRONLY | O_APPEND, "lost", 0);
            put("old", O_WRONLY, "AFTER", 0);
            put("unnamed", O_WRONLY | O_CREAT, "nothing", 1);
            rename "$ENV{D}/new", "$ENV{D}/moved" or die;
            unlink "$ENV{D}/gone" or die;"#;
        let status = Command::new("perl")
            .args(["-e", script])
            .env("D", &data)
            .env("LD_PRELOAD", &library)
            .env("SHIM_DATA", &data)
            .env("SHIM_JOURNAL", &journal)
            .status()
            .unwrap();
        assert!(status.success());
        assert_eq!(fs::read_to_string(data.join("moved")).unwrap_or_default(), "durablelost");
        let undone = restore(&data, &journal).unwrap();
        assert_eq!(fs::read_to_string(data.join("new")).unwrap(), "durable", "{undone}");
        assert_eq!(fs::read_to_string(data.join("old")).unwrap(), "before", "{undone}");
        assert_eq!(fs::read_to_string(data.join("gone")).unwrap(), "kept", "{undone}");
        assert!(!data.join("unnamed").exists() && !data.join("moved").exists(), "{undone}");
        fs::remove_dir_all(&root).unwrap();
    }
}
