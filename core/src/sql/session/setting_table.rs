//! The run-time parameters we know, as PostgreSQL 15 names, types and documents them. Pure data.
//!
//! A parameter that PostgreSQL has and that would change what we do is listed only if we do it:
//! an unknown name gives 42704, never a silent no-op. What is fixed here can be set to its value only.

/// How a parameter's text is read and shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// `on` or `off`.
    Bool,
    /// A whole number in a unit, with bounds.
    Int { unit: Unit, min: i64, max: i64 },
    /// One of these, in lower case.
    Enum(&'static [&'static str]),
    /// Free text.
    Text,
}

/// The unit that a bare number is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unit {
    /// A plain number.
    None,
    /// Milliseconds.
    Ms,
    /// Kibibytes.
    Kb,
}

/// Who may change a parameter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Access {
    /// Anyone, at any time.
    User,
    /// Nobody: it says what the server is.
    Internal,
    /// Only together with a restart.
    Restart,
    /// Anyone, but only to the value that it has: we have no other behaviour.
    Fixed,
}

/// One parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) default: &'static str,
    pub(super) access: Access,
    /// Whether clients are told of changes (ParameterStatus).
    pub(super) report: bool,
    pub(super) about: &'static str,
}

const fn row(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    access: Access,
    about: &'static str,
) -> Row {
    Row { name, kind, default, access, report: false, about }
}

const fn told(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    access: Access,
    about: &'static str,
) -> Row {
    Row { name, kind, default, access, report: true, about }
}

const TIMEOUT: Kind = Kind::Int { unit: Unit::Ms, min: 0, max: 2_147_483_647 };
const LEVELS: Kind =
    Kind::Enum(&["serializable", "repeatable read", "read committed", "read uncommitted"]);
const MESSAGES: Kind = Kind::Enum(&[
    "debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error",
]);
const INTERVALS: Kind = Kind::Enum(&["postgres", "postgres_verbose", "sql_standard", "iso_8601"]);
const COMMITS: Kind = Kind::Enum(&["local", "remote_write", "remote_apply", "on", "off"]);

const fn int(unit: Unit, min: i64, max: i64) -> Kind {
    Kind::Int { unit, min, max }
}

/// The version that clients see: the PostgreSQL release that we behave as.
pub const SERVER_VERSION: &str = "15.18 (ShardForge 0.1)";

use Access::{Fixed, Internal, Restart, User};
use Kind::{Bool, Enum, Text};

/// All parameters, by name without regard to case.
#[rustfmt::skip]
pub(super) const SETTINGS: &[Row] = &[
    told("application_name", Text, "", User, "Sets the application name to be reported in statistics and logs."),
    row("array_nulls", Bool, "on", Fixed, "Enable input of NULL elements in arrays."),
    row("block_size", int(Unit::None, 8192, 8192), "8192", Internal, "Shows the size of a disk block."),
    row("bytea_output", Enum(&["escape", "hex"]), "hex", Fixed, "Sets the output format for bytea."),
    row("check_function_bodies", Bool, "on", User, "Check routine bodies during CREATE FUNCTION and CREATE PROCEDURE."),
    told("client_encoding", Text, "UTF8", User, "Sets the client's character set encoding."),
    row("client_min_messages", MESSAGES, "notice", User, "Sets the message levels that are sent to the client."),
    told("DateStyle", Text, "ISO, MDY", User, "Sets the display format for date and time values."),
    row("default_table_access_method", Text, "heap", Fixed, "Sets the default table access method for new tables."),
    row("default_tablespace", Text, "", Fixed, "Sets the default tablespace to create tables and indexes in."),
    row("default_transaction_deferrable", Bool, "off", User, "Sets the default deferrable status of new transactions."),
    row("default_transaction_isolation", LEVELS, "serializable", User, "Sets the transaction isolation level of each new transaction."),
    told("default_transaction_read_only", Bool, "off", User, "Sets the default read-only status of new transactions."),
    row("escape_string_warning", Bool, "on", User, "Warn about backslash escapes in ordinary string literals."),
    row("extra_float_digits", int(Unit::None, -15, 3), "1", User, "Sets the number of digits displayed for floating-point values."),
    row("fsync", Bool, "on", Internal, "Forces synchronization of updates to disk."),
    row("full_page_writes", Bool, "on", Internal, "Writes full pages to WAL when first modified after a checkpoint."),
    row("idle_in_transaction_session_timeout", TIMEOUT, "0", User, "Sets the maximum allowed idle time between queries, when in a transaction."),
    row("idle_session_timeout", TIMEOUT, "0", User, "Sets the maximum allowed idle time between queries, when not in a transaction."),
    told("in_hot_standby", Bool, "off", Internal, "Shows whether hot standby is currently active."),
    told("integer_datetimes", Bool, "on", Internal, "Shows whether datetimes are integer based."),
    told("IntervalStyle", INTERVALS, "postgres", Fixed, "Sets the display format for interval values."),
    told("is_superuser", Bool, "on", Internal, "Shows whether the current user is a superuser."),
    row("jit", Bool, "off", User, "Allow JIT compilation."),
    row("lc_collate", Text, "C.UTF-8", Internal, "Shows the collation order locale."),
    row("lc_ctype", Text, "C.UTF-8", Internal, "Shows the character classification and case conversion locale."),
    row("lc_messages", Text, "C.UTF-8", User, "Sets the language in which messages are displayed."),
    row("lc_monetary", Text, "C.UTF-8", Fixed, "Sets the locale for formatting monetary amounts."),
    row("lc_numeric", Text, "C.UTF-8", Fixed, "Sets the locale for formatting numbers."),
    row("lc_time", Text, "C.UTF-8", Fixed, "Sets the locale for formatting date and time values."),
    row("lock_timeout", TIMEOUT, "0", User, "Sets the maximum allowed duration of any wait for a lock."),
    row("maintenance_work_mem", int(Unit::Kb, 1024, 2_147_483_647), "65536", User, "Sets the maximum memory to be used for maintenance operations."),
    row("max_connections", int(Unit::None, 1, 262_143), "1000", Restart, "Sets the maximum number of concurrent connections."),
    row("max_identifier_length", int(Unit::None, 63, 63), "63", Internal, "Shows the maximum identifier length."),
    row("max_index_keys", int(Unit::None, 32, 32), "32", Internal, "Shows the maximum number of index keys."),
    row("quote_all_identifiers", Bool, "off", Fixed, "When generating SQL fragments, quote all identifiers."),
    row("row_security", Bool, "on", User, "Enable row security."),
    row("search_path", Text, "\"$user\", public", User, "Sets the schema search order for names that are not schema-qualified."),
    told("server_encoding", Text, "UTF8", Internal, "Shows the server (database) character set encoding."),
    told("server_version", Text, SERVER_VERSION, Internal, "Shows the server version."),
    row("server_version_num", int(Unit::None, 150_018, 150_018), "150018", Internal, "Shows the server version as an integer."),
    told("session_authorization", Text, "postgres", Internal, "Sets the current user name."),
    told("standard_conforming_strings", Bool, "on", Fixed, "Causes '...' strings to treat backslashes literally."),
    row("statement_timeout", TIMEOUT, "0", User, "Sets the maximum allowed duration of any statement."),
    row("synchronize_seqscans", Bool, "on", User, "Enable synchronized sequential scans."),
    row("synchronous_commit", COMMITS, "on", Fixed, "Sets the current transaction's synchronization level."),
    told("TimeZone", Text, "UTC", User, "Sets the time zone for displaying and interpreting time stamps."),
    row("transaction_deferrable", Bool, "off", User, "Whether to defer a read-only serializable transaction until it can be executed with no possible serialization failures."),
    row("transaction_isolation", LEVELS, "serializable", User, "Sets the current transaction's isolation level."),
    row("transaction_read_only", Bool, "off", User, "Sets the current transaction's read-only status."),
    row("wal_level", Enum(&["minimal", "replica", "logical"]), "replica", Restart, "Sets the level of information written to the WAL."),
    row("work_mem", int(Unit::Kb, 64, 2_147_483_647), "4096", User, "Sets the maximum memory to be used for query workspaces."),
    row("xmloption", Enum(&["content", "document"]), "content", Fixed, "Sets whether XML data in implicit parsing and serialization operations is to be considered as documents or content fragments."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_for_binary_search() {
        assert!(SETTINGS.is_sorted_by_key(|row| row.name.to_ascii_lowercase()));
    }
}
