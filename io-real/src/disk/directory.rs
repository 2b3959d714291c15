//! The data directory: its layout, its lock, its format version.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use shardforge_core::base::id::{NodeId, ShardId};

/// The version of everything below the data directory. Any other is refused: nothing is converted
/// before the first release.
pub const FORMAT_VERSION: u32 = 2;

const DIRECTORIES: [&str; 14] = [
    "cluster/config/nodes",
    "cluster/config/schemas",
    "cluster/metadata/raft",
    "cluster/security/certificates",
    "cluster/security/keys",
    "shards",
    "system/audit",
    "system/backups/full",
    "system/backups/incremental",
    "system/temp",
    "logs/nodes",
    "metrics/prometheus",
    "metrics/custom",
    "cluster/metadata",
];

/// Why a data directory cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Another process serves it.
    #[error("data directory {path} is in use by {holder}")]
    Locked {
        /// Which.
        path: PathBuf,
        /// What its LOCK file says.
        holder: String,
    },
    /// It was written by a newer program, or by one from before the first release.
    #[error("data directory {path} has format {found}, this program reads {FORMAT_VERSION} alone")]
    OtherFormat {
        /// Which.
        path: PathBuf,
        /// What its VERSION file says.
        found: u32,
    },
    /// Its VERSION file is not a number.
    #[error("data directory {path} has an illegible format version")]
    Illegible {
        /// Which.
        path: PathBuf,
    },
    /// It belongs to another node.
    #[error("data directory {path} belongs to node {found}, not {asked}")]
    OtherNode {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        found: u32,
        /// Who asked.
        asked: u32,
    },
    /// The disk is full.
    #[error("no space left for data directory {path}")]
    DiskFull {
        /// Which.
        path: PathBuf,
    },
    /// It cannot be made, read or written.
    #[error("data directory {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DirectoryError {
    /// The process's exit code: 74 if the disk is full, else 73.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::DiskFull { .. } => 74,
            Self::Locked { .. }
            | Self::OtherFormat { .. }
            | Self::Illegible { .. }
            | Self::OtherNode { .. }
            | Self::Io { .. } => 73,
        }
    }
}

/// An open data directory. The lock goes with it.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    _lock: File,
}

impl DataDirectory {
    /// Opens a data directory for a node, making what is missing.
    ///
    /// # Errors
    ///
    /// As [`DirectoryError`] says; nothing in the directory is changed before the lock is held and
    /// the version is known.
    pub fn open(path: &Path, node: NodeId) -> Result<Self, DirectoryError> {
        let io = |source: io::Error| match source.kind() {
            io::ErrorKind::StorageFull => DirectoryError::DiskFull { path: path.to_owned() },
            _ => DirectoryError::Io { path: path.to_owned(), source },
        };
        make_directory(path).map_err(io)?;
        let lock = Self::lock(path, node, io)?;
        Self::check_version(path, io)?;
        for directory in DIRECTORIES {
            make_directory(&path.join(directory)).map_err(io)?;
        }
        let version = path.join("cluster/metadata/VERSION");
        if !version.exists() {
            write_durably(&version, format!("{FORMAT_VERSION}\n").as_bytes()).map_err(io)?;
        }
        sync_names(path).map_err(io)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    fn lock(
        path: &Path,
        node: NodeId,
        io: impl Fn(io::Error) -> DirectoryError,
    ) -> Result<File, DirectoryError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(path.join("LOCK")).map_err(&io)?;
        let held = file.try_lock();
        let mut content = String::new();
        // Bounded: a lock file is one short line.
        Read::take(&mut file, 256).read_to_string(&mut content).map_err(&io)?;
        match held {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = content.trim().to_owned();
                return Err(DirectoryError::Locked { path: path.to_owned(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let found = content.strip_prefix("node ").and_then(|rest| {
            rest.split(' ').next().and_then(|number| number.trim().parse::<u32>().ok())
        });
        let asked = node.machine_number();
        match found {
            Some(found) if found != asked => {
                return Err(DirectoryError::OtherNode { path: path.to_owned(), found, asked });
            }
            _ => {}
        }
        file.set_len(0).map_err(&io)?;
        io::Seek::rewind(&mut file).map_err(&io)?;
        writeln!(file, "node {asked} pid {}", std::process::id()).map_err(&io)?;
        file.sync_data().map_err(&io)?;
        Ok(file)
    }

    fn check_version(
        path: &Path,
        io: impl Fn(io::Error) -> DirectoryError,
    ) -> Result<(), DirectoryError> {
        let text = match fs::read_to_string(path.join("cluster/metadata/VERSION")) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(io(error)),
        };
        match text.trim().parse::<u32>() {
            Ok(FORMAT_VERSION) => Ok(()),
            Ok(found) => Err(DirectoryError::OtherFormat { path: path.to_owned(), found }),
            Err(_) => Err(DirectoryError::Illegible { path: path.to_owned() }),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the log lives.
    pub fn log(&self) -> PathBuf {
        self.path.join("cluster/metadata/raft")
    }

    /// Where secrets live (0600 within 0700).
    pub fn security(&self) -> PathBuf {
        self.path.join("cluster/security")
    }

    /// Where a shard lives.
    pub fn shard(&self, id: ShardId) -> PathBuf {
        self.path.join("shards").join(format!("shard_{:04}", id.0))
    }

    /// Shards that have a store.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read.
    pub fn stores(&self) -> io::Result<Vec<ShardId>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.path.join("shards"))? {
            let entry = entry?;
            let name = entry.file_name();
            let number = name.to_str().and_then(|n| n.strip_prefix("shard_"));
            if let Some(id) = number.and_then(|n| n.parse().ok())
                && entry.path().join("data/CURRENT").exists()
            {
                found.push(ShardId(id));
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}

/// Makes a directory for us alone, with its parents.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes the names of all [`DIRECTORIES`] durable, and the data directory's own: a durable log is
/// lost with the name of any directory above it. At every start, because an earlier process may
/// have died between making them and this.
fn sync_names(path: &Path) -> io::Result<()> {
    let above = path.canonicalize()?.parent().map(Path::to_owned);
    let mut above: BTreeSet<PathBuf> = above.into_iter().collect();
    for directory in DIRECTORIES {
        let ancestors = Path::new(directory).ancestors().skip(1);
        above.extend(ancestors.map(|ancestor| path.join(ancestor)));
    }
    above.iter().try_for_each(|directory| sync_directory(directory))
}

/// Replaces a file atomically and durably.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = path.with_extension("partial");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    path.parent().map_or(Ok(()), sync_directory)
}

#[cfg(test)]
mod tests {
    use super::super::files::tests::TempDir;
    use super::*;

    #[test]
    fn a_second_opener_is_refused_with_the_first_ones_name() {
        let dir = TempDir::new("lock");
        let node = NodeId::machine(3);
        let first = DataDirectory::open(dir.path(), node);
        assert!(first.is_ok(), "{first:?}");
        let second = DataDirectory::open(dir.path(), node);
        let Err(error @ DirectoryError::Locked { .. }) = second else { panic!("{second:?}") };
        assert!(error.to_string().contains("node 3 pid"), "{error}");
        assert_eq!(error.exit_code(), 73);
        drop(first);
        assert!(DataDirectory::open(dir.path(), node).is_ok());
    }

    #[test]
    fn another_format_and_another_nodes_directory_are_refused() {
        let dir = TempDir::new("version");
        drop(DataDirectory::open(dir.path(), NodeId::machine(1)));
        let other = DataDirectory::open(dir.path(), NodeId::machine(2));
        assert!(matches!(other, Err(DirectoryError::OtherNode { found: 1, asked: 2, .. })));
        for found in [1, 999] {
            let version = dir.path().join("cluster/metadata/VERSION");
            fs::write(version, format!("{found}\n")).unwrap();
            let open = DataDirectory::open(dir.path(), NodeId::machine(1));
            let Err(error @ DirectoryError::OtherFormat { .. }) = open else { panic!("{open:?}") };
            let said = format!("has format {found}, this program reads 2 alone");
            assert!(error.to_string().ends_with(&said), "{error}");
        }
    }

    #[test]
    fn directories_are_ours_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = TempDir::new("mode");
        let open = DataDirectory::open(&dir.path().join("deep/data"), NodeId::machine(1)).unwrap();
        let mode = fs::metadata(open.log()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert_eq!(open.stores().unwrap(), []);
    }
}
