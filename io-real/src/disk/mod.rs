//! The data directory and the files of the log: opening, reading, writing, syncing.
//!
//! Decides nothing about the log's content (`shardforge_core::storage::log` does): it writes the
//! bytes it is given where it is told, makes them durable, and says so.
//!
//! # Invariants
//!
//! * A ticket is reported only after `fdatasync` of every file it wrote and, where a file is new,
//!   `fsync` of the directory.
//! * After the first failed write or sync nothing is written or reported any more: what the kernel
//!   did with the dirty pages is unknown, and a second `fsync` would lie.

mod directory;
mod files;
mod sync;
#[cfg(test)]
pub(crate) use files::tests;

pub use directory::{DataDirectory, DirectoryError, FORMAT_VERSION};
#[cfg(feature = "rocksdb")]
pub(crate) use directory::{make_directory, sync_directory, write_durably};
pub use files::{LogFiles, LogImage};
pub use sync::{LogReport, LogSync};
