//! Agreement: one raft group per shard, openraft on the stepped runtime.
//!
//! [`RaftGroup`] is what the replica above sees: propose opaque bytes, wait for a linearizable
//! barrier, ask whether the lease holds, hand in messages. Everything that touches the world goes
//! through three ports ([`ports`]): the log, the peers, the state machine.
//!
//! openraft is used with the settings and gates of `docs/decisions` because its defaults are not
//! safe for us: a restarted leader would resume its term and reuse positions of entries that its
//! disk lost, a restarted voter would forget the leader it granted, and its lease has no margin.
//!
//! # Invariants
//!
//! * A vote is durable before it leaves; an entry counts for this node once the sink said durable.
//! * All entries that are not purged are in memory: reading the log never touches the disk.
//! * The read lease ends before any voter of its quorum may grant another candidate.
//! * A replica whose disk lost something votes only when it has all of it again, or for who has.
//! * Nothing of openraft runs or is dropped outside [`crate::step::ambient`].
//!
//! # Source
//!
//! Ongaro, *Consensus: Bridging Theory and Practice*, 2014 (pre-vote, leases, transfer); openraft
//! 0.10.0-alpha.37.

mod beat;
mod convert;
pub mod error;
mod gate;
pub mod group;
mod log;
mod machine;
pub mod message;
mod network;
mod operate;
pub mod ports;
mod receive;
mod runtime;
mod runtime_channel;
pub mod status;
mod survey;
mod types;

pub use error::{ChangeError, ProposeError, RaftError, ReadError};
pub use group::{GroupConfig, RaftGroup};
pub use message::{
    Ballot, EntryKind, LogEntry, LogPosition, Member, Membership, RaftMessage, SnapshotMeta,
    StoredMembership,
};
pub use ports::{
    AppliedState, ApplyAnswer, ApplyEntry, ApplyPayload, Durable, LogError, LogRecord, LogSink,
    Ports, RecoveredLog, SnapshotError, SnapshotSink, SnapshotSource, StateMachine, Transport,
};
pub use status::{LeaderState, RaftStatus, Role};
