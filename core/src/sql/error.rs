//! SQLSTATEs for what the transaction floor could not do.

use crate::base::error::{SqlError, SqlState, sqlstate};
use crate::sql::ports::TxnFailure;

/// The error that a client sees. Duplicates are named better by whoever knows the constraint.
pub fn from_failure(failure: &TxnFailure) -> SqlError {
    match failure {
        TxnFailure::Serialization(why) => {
            let message = "could not serialize access due to concurrent update";
            let error = SqlError::new(sqlstate::SERIALIZATION_FAILURE, message);
            error.detail(capitalised(why)).hint("The transaction might succeed if retried.")
        }
        TxnFailure::Changed => {
            let message = "could not serialize access due to concurrent update";
            SqlError::new(STATEMENT_RETRY, message)
                .hint("The transaction might succeed if retried.")
        }
        TxnFailure::Duplicate { .. } => {
            let message = "duplicate key value violates unique constraint";
            SqlError::new(sqlstate::UNIQUE_VIOLATION, message)
        }
        TxnFailure::LockTimeout => {
            SqlError::new(sqlstate::LOCK_NOT_AVAILABLE, "canceling statement due to lock timeout")
        }
        TxnFailure::Deadlock(cycle) => {
            let error = SqlError::new(sqlstate::DEADLOCK_DETECTED, "deadlock detected");
            if cycle.is_empty() { error } else { error.detail(cycle.clone()) }
        }
        TxnFailure::Unknown => SqlError::new(
            sqlstate::STATEMENT_COMPLETION_UNKNOWN,
            "the outcome of the commit is unknown",
        )
        .hint("Read what the transaction wrote before trying again."),
        TxnFailure::TooLarge => SqlError::new(
            sqlstate::PROGRAM_LIMIT_EXCEEDED,
            "the transaction writes more than one log entry can hold",
        )
        .hint("Commit in smaller batches, or load into a table created in the same transaction."),
        TxnFailure::CrossShard => {
            SqlError::unsupported("a transaction that writes in more than one data shard")
                .hint("Write rows of one shard, or use one data shard.")
        }
        TxnFailure::WrongSchema => SqlError::new(
            sqlstate::SERIALIZATION_FAILURE,
            "the table was changed by another transaction",
        )
        .hint("The transaction might succeed if retried."),
        TxnFailure::Unavailable(why) => {
            SqlError::new(sqlstate::CANNOT_CONNECT_NOW, format!("not available: {why}"))
        }
        TxnFailure::Limit(what) => {
            SqlError::new(sqlstate::CONFIGURATION_LIMIT_EXCEEDED, format!("limit reached: {what}"))
        }
        TxnFailure::Corrupted(what) => {
            SqlError::new(sqlstate::DATA_CORRUPTED, format!("data corrupted: {what}"))
        }
    }
}

impl From<TxnFailure> for SqlError {
    fn from(failure: TxnFailure) -> Self {
        from_failure(&failure)
    }
}

/// A row changed under a statement of READ COMMITTED, which is run again. Clients see 40001.
pub(crate) const STATEMENT_RETRY: SqlState = SqlState::new("40S01");
/// 55P02.
pub const CANT_CHANGE_RUNTIME_PARAM: SqlState = SqlState::new("55P02");
/// 25P03.
pub const IDLE_IN_TRANSACTION_TIMEOUT: SqlState = SqlState::new("25P03");
/// 57P05.
pub const IDLE_SESSION_TIMEOUT: SqlState = SqlState::new("57P05");
/// 2200H.
pub const SEQUENCE_LIMIT_EXCEEDED: SqlState = SqlState::new("2200H");

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

/// 00000, of notices.
pub const SUCCESS: SqlState = SqlState::new("00000");
