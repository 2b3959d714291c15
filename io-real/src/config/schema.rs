//! Every key that a configuration may hold, what it takes, and whether it does anything yet.
//!
//! Environment variables, the unknown-key check, suggestions and the documentation come from this
//! table; there is no second list.

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Text; one of these, unless there are none.
    Text(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A whole number between these.
    Integer(i64, i64),
    /// A number between these.
    Number(f64, f64),
    /// A size of at least and at most so many bytes: `"256MB"`, or a number of MiB under the name
    /// with `_mb`.
    Bytes(i64, i64),
    /// A whole number between these, or `"auto"`.
    IntegerOrAuto(i64, i64),
    /// `3` or `"node-3"`.
    Node,
    /// A list of texts.
    List,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Dotted name.
    pub path: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Whether it has an effect in this version.
    pub active: bool,
}

const fn active(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, active: true }
}

const fn later(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, active: false }
}

const ANY: Kind = Kind::Text(&[]);
const MIB: i64 = 1 << 20;
const TIB: i64 = 1 << 40;
/// No number above makes sense anywhere.
const MANY: i64 = 1 << 40;

/// All keys, by name.
pub const KEYS: &[Key] = &[
    later("cluster.name", ANY),
    active("cluster.node_id", Kind::Node),
    active("cluster.data_directory", ANY),
    active("cluster.bind_address", ANY),
    active("cluster.advertise_address", ANY),
    active("cluster.cluster_members", Kind::List),
    active("network.peer_address", ANY),
    active("network.max_connections", Kind::Integer(1, 1_000)),
    later("network.connection_timeout_sec", Kind::Integer(1, MANY)),
    later("network.keep_alive_interval_sec", Kind::Integer(0, MANY)),
    later("network.max_message_size", Kind::Bytes(MIB, 64 * MIB)),
    later("network.enable_compression", Kind::Flag),
    later("network.compression_level", Kind::Integer(0, 22)),
    active("raft.election_timeout_ms", Kind::Integer(50, 600_000)),
    active("raft.heartbeat_interval_ms", Kind::Integer(5, 200_000)),
    active("raft.max_log_entries", Kind::Integer(100, MANY)),
    later("raft.snapshot_interval_entries", Kind::Integer(1, MANY)),
    later("raft.max_snapshot_interval_sec", Kind::Integer(1, MANY)),
    later("raft.pre_vote", Kind::Flag),
    later("raft.check_quorum", Kind::Flag),
    active("storage.engine", Kind::Text(&["rocksdb"])),
    active("storage.block_cache_size", Kind::Bytes(MIB, TIB)),
    active("storage.row_cache_size", Kind::Bytes(MIB, TIB)),
    active("storage.write_buffer_size", Kind::Bytes(MIB, 16 << 30)),
    later("storage.max_write_buffer_number", Kind::Integer(2, 64)),
    active("storage.compression", Kind::Text(&["lz4", "none"])),
    later("storage.compaction_style", Kind::Text(&["level", "universal"])),
    later("storage.enable_statistics", Kind::Flag),
    later("storage.stats_dump_period_sec", Kind::Integer(0, MANY)),
    active("replication.factor", Kind::Integer(1, 9)),
    later("replication.consistency_level", Kind::Text(&["strong", "bounded_staleness"])),
    active("replication.async_replication", Kind::Flag),
    later("sharding.strategy", Kind::Text(&["hash"])),
    active("sharding.initial_shard_count", Kind::IntegerOrAuto(1, 1_024)),
    later("sharding.max_shard_size", Kind::Bytes(MIB, TIB)),
    later("sharding.rebalance_threshold", Kind::Number(0.0, 1.0)),
    active("sql.query_timeout_sec", Kind::Integer(0, 86_400)),
    active("sql.max_connections", Kind::Integer(1, 1_000)),
    later("sql.statement_cache_size", Kind::Integer(0, 1_000_000)),
    later("security.tls_enabled", Kind::Flag),
    later("security.certificate_path", ANY),
    later("security.private_key_path", ANY),
    later("security.ca_certificate_path", ANY),
    later("security.client_auth_required", Kind::Flag),
    later("security.cipher_suites", Kind::List),
    active("monitoring.http_address", ANY),
    active("monitoring.metrics_enabled", Kind::Flag),
    active("monitoring.metrics_port", Kind::Integer(0, 65_535)),
    active("monitoring.log_level", ANY),
    active("monitoring.structured_logging", Kind::Flag),
    later("monitoring.tracing_enabled", Kind::Flag),
    later("monitoring.enable_tracing", Kind::Flag),
    later("monitoring.opentelemetry_endpoint", ANY),
];

/// A key as somebody wrote it: its entry, and whether the value is a number of MiB.
pub fn find(path: &str) -> Option<(&'static Key, bool)> {
    if let Some(key) = KEYS.iter().find(|key| key.path == path) {
        return Some((key, false));
    }
    let sized = path.strip_suffix("_mb")?;
    let key = KEYS.iter().find(|key| key.path == sized)?;
    matches!(key.kind, Kind::Bytes(..)).then_some((key, true))
}

/// The key that was probably meant.
pub fn nearest(path: &str) -> Option<&'static str> {
    let (_, leaf) = path.rsplit_once('.').unwrap_or(("", path));
    let measured = KEYS.iter().map(|key| {
        let (_, key_leaf) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        // The right name in the wrong section is nearer than a typing mistake.
        let distance = if key_leaf == leaf { 1 } else { distance(path, key.path) };
        (distance, key.path)
    });
    let (distance, nearest) = measured.min()?;
    (distance <= path.len() / 3 + 1).then_some(nearest)
}

/// Insertions, deletions and substitutions from one text to the other (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_mistakes_find_their_key() {
        assert_eq!(nearest("raft.election_timeot_ms"), Some("raft.election_timeout_ms"));
        assert_eq!(nearest("storage.election_timeout_ms"), Some("raft.election_timeout_ms"));
        assert_eq!(nearest("sql.max_conections"), Some("sql.max_connections"));
        assert_eq!(nearest("weather.is_nice"), None);
    }

    #[test]
    fn sizes_have_two_names_and_nothing_else_has() {
        assert!(matches!(find("storage.block_cache_size"), Some((_, false))));
        assert!(matches!(find("storage.block_cache_size_mb"), Some((_, true))));
        assert!(find("sql.max_connections_mb").is_none());
    }

    #[test]
    fn distances_are_edits() {
        for (left, right, edits) in [("", "abc", 3), ("kitten", "sitting", 3), ("ab", "ab", 0)] {
            assert_eq!(distance(left, right), edits, "{left} {right}");
            assert_eq!(distance(right, left), edits, "{right} {left}");
        }
    }
}
