//! Which utility statement it is.

use super::{copy, explain, prepared, setting, transaction, vacuum};
use crate::base::error::SqlError;
use crate::sql::parse::ast::Statement;
use crate::sql::parse::cursor::Cursor;

/// The statement that begins with `word`.
pub(in crate::sql::parse) fn statement(
    cursor: &mut Cursor<'_>,
    word: &str,
) -> Result<Statement, SqlError> {
    match word {
        "begin" | "start" | "commit" | "end" | "rollback" | "abort" => {
            transaction::statement(cursor, word)
        }
        "set" => setting::set(cursor),
        "reset" => setting::reset(cursor),
        "show" => setting::show(cursor),
        "copy" => copy::copy(cursor),
        "explain" => explain::explain(cursor),
        "vacuum" => vacuum::vacuum(cursor),
        "analyze" | "analyse" => vacuum::analyze(cursor),
        "prepare" | "execute" | "deallocate" => prepared::statement(cursor, word),
        "discard" => {
            cursor.index += 1;
            if cursor.eat("all") {
                Ok(Statement::DiscardAll)
            } else {
                Err(match cursor.peek_word().as_deref() {
                    Some("plans" | "sequences" | "temp" | "temporary") => {
                        cursor.unsupported("DISCARD other than ALL")
                    }
                    _ => cursor.unexpected(),
                })
            }
        }
        "checkpoint" => {
            cursor.index += 1;
            Ok(Statement::Checkpoint)
        }
        "alter" | "call" | "close" | "cluster" | "comment" | "declare" | "do" | "fetch"
        | "grant" | "import" | "listen" | "load" | "lock" | "merge" | "move" | "notify"
        | "reassign" | "refresh" | "reindex" | "release" | "revoke" | "savepoint" | "security"
        | "unlisten" => Err(cursor.unsupported(&word.to_ascii_uppercase())),
        _ => Err(cursor.unexpected()),
    }
}
