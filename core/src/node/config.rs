//! What a node is told at birth. The shells translate files, flags and environment into this.

use std::time::Duration;

use crate::base::buggify::Faults;
use crate::sql::protocol::ScramVerifier;

/// A node's configuration. All durations are on the boot clock.
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// Where peers reach this node, as they are told; empty without peers.
    pub peer_addr: String,
    /// Where clients reach it, for `status`.
    pub sql_addr: String,
    /// Addresses of the initial peers, itself too. Ignored once the cluster exists.
    pub join: Vec<String>,
    /// Founds a cluster of one on an empty directory.
    pub single_node: bool,
    /// Clients need no password.
    pub insecure: bool,
    /// The superuser's verifier if this node founds the cluster by itself.
    pub superuser: Option<ScramVerifier>,
    /// The shortest election timeout; see `design/raft` for what follows from it.
    pub election_timeout_ms: u64,
    /// Between heartbeats of a leader.
    pub heartbeat_interval_ms: u64,
    /// Voters of a shard.
    pub replication_factor: usize,
    /// Data shards made at `init`.
    pub initial_shard_count: u32,
    /// Reads under the leader's lease; without it each asks a quorum.
    pub lease_reads: bool,
    /// For hot rows in memory, all shards together; zero: each read asks the store.
    pub row_cache_bytes: usize,
    /// Un-purged bytes of one group's log before its store is flushed and the log purged.
    pub log_flush_bytes: usize,
    /// Un-purged entries of one group's log before the same.
    pub log_flush_entries: u64,
    /// Purged entries kept for slow followers; one that needs more is sent a snapshot.
    pub log_keep_entries: u64,
    /// How long a statement may take; zero: for ever.
    pub statement_timeout: Duration,
    /// A node not heard of for so long is declared dead.
    pub liveness_timeout: Duration,
    /// Client sessions at once.
    pub sessions_max: usize,
    /// Bytes of one log segment.
    pub segment_bytes: u64,
    /// Planted bugs and forced rare paths; empty in production.
    pub faults: Faults,
}

impl Default for CoreConfig {
    fn default() -> Self {
        Self {
            peer_addr: String::new(),
            sql_addr: String::new(),
            join: Vec::new(),
            single_node: false,
            insecure: true,
            superuser: None,
            election_timeout_ms: 200,
            heartbeat_interval_ms: 50,
            replication_factor: 3,
            initial_shard_count: 1,
            lease_reads: true,
            row_cache_bytes: 256 << 20,
            log_flush_bytes: 32 << 20,
            log_flush_entries: 100_000,
            log_keep_entries: 1_000,
            statement_timeout: Duration::ZERO,
            liveness_timeout: Duration::from_secs(1),
            sessions_max: crate::base::limit::SESSIONS_MAX,
            segment_bytes: crate::base::limit::SEGMENT_BYTES,
            faults: Faults::default(),
        }
    }
}

/// The seed of a node's randomness; the shell draws it, the simulator chooses it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Seed(pub u64);
