//! How the program ends.

use std::process::ExitCode;

/// Exit codes; scripts rely on them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// It did not work.
    Error = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// `status`: a shard has no leader.
    Unhealthy = 3,
    /// The data directory cannot be served: locked, of another node, of another format, not
    /// writable.
    DataDirectory = 73,
    /// An I/O error: the node fenced itself, or the disk is full.
    Io = 74,
    /// The configuration is wrong.
    Configuration = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Says one sentence on stderr.
pub(super) fn fail(exit: Exit, sentence: impl std::fmt::Display) -> Exit {
    eprintln!("shardforge: {sentence}");
    exit
}
