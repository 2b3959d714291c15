//! Every bound of the house in one place. A queue, loop, retry or message without a bound is a defect.

/// A statement's text, bytes.
pub const STATEMENT_BYTES_MAX: usize = 1 << 20;
/// Nesting of expressions and subqueries.
pub const NESTING_MAX: usize = 128;
/// Operators in one chain (`1+1+…`): a tree of that depth is dropped and walked recursively.
pub const OPERATOR_CHAIN_MAX: usize = 4_096;
/// Parameters of a prepared statement.
pub const PARAMETERS_MAX: usize = 65_535;
/// Columns of a table or a result.
pub const COLUMNS_MAX: usize = 1_600;
/// A message of the PostgreSQL protocol, bytes.
pub const CLIENT_MESSAGE_BYTES_MAX: usize = 16 << 20;
/// A start-up packet, bytes.
pub const STARTUP_BYTES_MAX: usize = 8 << 10;
/// A frame between nodes, bytes.
pub const PEER_FRAME_BYTES_MAX: usize = 32 << 20;
/// One raft log entry's payload, bytes.
pub const ENTRY_BYTES_MAX: usize = 16 << 20;
/// Entries in one AppendEntries message.
pub const APPEND_ENTRIES_MAX: usize = 256;
/// Bytes of entries in one AppendEntries message (at least one entry travels).
pub const APPEND_BYTES_MAX: usize = 4 << 20;
/// A key, bytes.
pub const KEY_BYTES_MAX: usize = 8 << 10;
/// A row, bytes.
pub const ROW_BYTES_MAX: usize = 8 << 20;
/// A transaction's buffered writes, bytes: its commit must fit one log entry.
pub const TXN_BYTES_MAX: usize = 15 << 20;
/// A transaction's buffered writes.
pub const TXN_WRITES_MAX: usize = 1_000_000;
/// Shards that one transaction may touch.
pub const TXN_SHARD_COUNT_MAX: usize = 256;
/// Rows in one batch of a scan's answer.
pub const SCAN_ROWS_MAX: usize = 4_096;
/// Bytes in one batch of a scan's answer.
pub const SCAN_BYTES_MAX: usize = 4 << 20;
/// Bytes of one chunk of a snapshot.
pub const SNAPSHOT_CHUNK_BYTES: usize = 1 << 20;
/// Bytes of one ingested batch of the bulk path.
pub const BULK_BATCH_BYTES: usize = 2 << 20;
/// Polls of tasks within one `handle`.
pub const STEP_POLLS_MAX: usize = 100_000;
/// A log segment, bytes.
pub const SEGMENT_BYTES: u64 = 64 << 20;
/// Un-purged log kept in memory per group, bytes, before a flush and a purge are forced.
pub const LOG_MEMORY_BYTES_MAX: usize = 64 << 20;
/// Client sessions.
pub const SESSIONS_MAX: usize = 1_000;
/// Prepared statements and portals of one session, each.
pub const PREPARED_MAX: usize = 4_096;
/// A query's memory at the gateway, bytes (53200 past it, until spilling exists).
pub const QUERY_MEMORY_MAX: usize = 256 << 20;
/// Waiters of one lock.
pub const LOCK_WAITERS_MAX: usize = 10_000;
/// Transparent replays of one transaction.
pub const REPLAYS_MAX: usize = 3;

// A batch must fit in one message, or a follower could never catch up.
const _: () = assert!(APPEND_BYTES_MAX + ENTRY_BYTES_MAX < PEER_FRAME_BYTES_MAX);
const _: () = assert!(TXN_BYTES_MAX < ENTRY_BYTES_MAX);
