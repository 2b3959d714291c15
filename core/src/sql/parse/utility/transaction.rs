//! BEGIN, COMMIT, ROLLBACK and their modes.

use sqlparser::tokenizer::Token;

use crate::base::error::SqlError;
use crate::sql::parse::ast::{IsolationLevel, Statement, TransactionModes};
use crate::sql::parse::cursor::Cursor;

/// A statement that begins or ends a transaction.
pub(super) fn statement(cursor: &mut Cursor<'_>, word: &str) -> Result<Statement, SqlError> {
    cursor.index += 1;
    match word {
        "start" => {
            cursor.expect("transaction")?;
            Ok(Statement::Begin { modes: modes(cursor, true)?, start: true })
        }
        "begin" => {
            block_word(cursor);
            Ok(Statement::Begin { modes: modes(cursor, true)?, start: false })
        }
        "commit" | "end" => {
            if cursor.at_word("prepared") {
                return Err(cursor.unsupported("COMMIT PREPARED"));
            }
            block_word(cursor);
            Ok(Statement::Commit { chain: chain(cursor)? })
        }
        _ => {
            if cursor.at_word("prepared") {
                return Err(cursor.unsupported("ROLLBACK PREPARED"));
            }
            block_word(cursor);
            if cursor.at_word("to") {
                return Err(cursor.unsupported("ROLLBACK TO SAVEPOINT"));
            }
            Ok(Statement::Rollback { chain: chain(cursor)? })
        }
    }
}

fn block_word(cursor: &mut Cursor<'_>) {
    if !cursor.eat("work") {
        cursor.eat("transaction");
    }
}

/// `[AND [NO] CHAIN]`
fn chain(cursor: &mut Cursor<'_>) -> Result<bool, SqlError> {
    if !cursor.eat("and") {
        return Ok(false);
    }
    let chain = !cursor.eat("no");
    cursor.expect("chain")?;
    Ok(chain)
}

/// `ISOLATION LEVEL …, READ ONLY, DEFERRABLE`; the commas are optional. At least one unless `optional`.
pub(super) fn modes(cursor: &mut Cursor<'_>, optional: bool) -> Result<TransactionModes, SqlError> {
    let mut modes = TransactionModes::default();
    if optional && cursor.at_end() {
        return Ok(modes);
    }
    loop {
        if cursor.eat_all(&["isolation", "level"]) {
            modes.isolation = Some(level(cursor)?);
        } else if cursor.eat_all(&["read", "only"]) {
            modes.read_only = Some(true);
        } else if cursor.eat_all(&["read", "write"]) {
            modes.read_only = Some(false);
        } else if cursor.eat("deferrable") {
            modes.deferrable = Some(true);
        } else if cursor.eat_all(&["not", "deferrable"]) {
            modes.deferrable = Some(false);
        } else {
            return Err(cursor.unexpected());
        }
        if !cursor.eat_token(&Token::Comma) && cursor.at_end() {
            return Ok(modes);
        }
    }
}

fn level(cursor: &mut Cursor<'_>) -> Result<IsolationLevel, SqlError> {
    if cursor.eat("serializable") {
        Ok(IsolationLevel::Serializable)
    } else if cursor.eat_all(&["repeatable", "read"]) {
        Ok(IsolationLevel::RepeatableRead)
    } else if cursor.eat_all(&["read", "committed"]) {
        Ok(IsolationLevel::ReadCommitted)
    } else if cursor.eat_all(&["read", "uncommitted"]) {
        Ok(IsolationLevel::ReadUncommitted)
    } else {
        Err(cursor.unexpected())
    }
}
