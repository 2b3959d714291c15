//! The log of all raft groups of a node: bytes to entries and back, and every decision about them.
//!
//! One append-only sequence of batches over fixed-size segments carries entries, votes and
//! truncations of every group, so that one `fdatasync` serves all of them. This room decides which
//! bytes go where and what bytes found after a crash mean; a shell only writes, syncs, reads and
//! removes files. `docs/FORMATS.md` describes every byte.
//!
//! It does not know what an entry means, nor raft's rules: payloads and votes are opaque.
//!
//! # Invariants
//!
//! * **Durable mark**: every batch names the newest batch that was durable when it was written. A
//!   broken batch at or below the newest such mark is damage, never a torn write.
//! * A batch is followed only by a batch that carries its checksum (the chain), or by nothing.
//! * A segment is retired only after a batch that does without it is itself below the mark.
//! * Every segment and every life begin with a checkpoint (votes, purge points, distrust, node
//!   records), so that old segments are kept for entries only.
//!
//! # Source
//!
//! Protocol-aware recovery (Alagappan et al., FAST '18) for the verdicts; TiKV's raft-engine for
//! one shared log. We differ from both: the mark is explicit, and the verdict is per group.

mod format;
mod fuzz;
#[cfg(test)]
mod property;
mod record;
mod recover;
mod replay;
mod usage;
mod votes;
mod witness;
mod writer;

pub use fuzz::{log_segment, log_segment_input};
pub use record::{LogRecord, NODE};
pub use recover::{Recovered, Resume, TornTail, Verdict, recover};
pub use replay::{LogEntry, RecoveredGroup, Trust};
pub use witness::batch_records;
pub use writer::{AppendPlan, LogConfig, LogFile, LogWrite, LogWriter, SEAL_AFTER, Straggler};
