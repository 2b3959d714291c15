//! PREPARE, EXECUTE and DEALLOCATE.

use sqlparser::tokenizer::Token;

use crate::base::error::SqlError;
use crate::sql::parse::ast::{Prepare, Statement};
use crate::sql::parse::cursor::Cursor;
use crate::sql::parse::script;

/// One of the three.
pub(super) fn statement(cursor: &mut Cursor<'_>, word: &str) -> Result<Statement, SqlError> {
    cursor.index += 1;
    match word {
        "prepare" => {
            if cursor.at_word("transaction") {
                return Err(cursor.unsupported("PREPARE TRANSACTION"));
            }
            let name = cursor.name()?;
            let types =
                if cursor.peek_is_open() { cursor.parens(Cursor::type_name)? } else { Vec::new() };
            cursor.expect("as")?;
            match cursor.peek_word().as_deref() {
                Some("select" | "with" | "values" | "table" | "insert" | "update" | "delete") => {}
                None if cursor.peek_is_open() => {}
                _ => return Err(cursor.unexpected()),
            }
            let statement = script::statement(cursor)?;
            Ok(Statement::Prepare(Box::new(Prepare { name, types, statement })))
        }
        "execute" => {
            let name = cursor.name()?;
            let mut args = Vec::new();
            if cursor.eat_token(&Token::LParen) && !cursor.eat_token(&Token::RParen) {
                args = cursor.list(Cursor::expr)?;
                cursor.expect_token(&Token::RParen)?;
            }
            Ok(Statement::Execute { name, args })
        }
        _ => {
            cursor.eat("prepare");
            if cursor.eat("all") {
                return Ok(Statement::Deallocate(None));
            }
            Ok(Statement::Deallocate(Some(cursor.name()?)))
        }
    }
}
