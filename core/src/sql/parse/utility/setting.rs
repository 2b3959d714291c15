//! SET, RESET and SHOW.

use sqlparser::tokenizer::Token;

use super::transaction;
use crate::base::error::SqlError;
use crate::sql::parse::ast::{Setting, SettingScope, Statement};
use crate::sql::parse::cursor::Cursor;

/// `SET …`
pub(super) fn set(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    cursor.expect("set")?;
    if cursor.eat("transaction") {
        if cursor.at_word("snapshot") {
            return Err(cursor.unsupported("SET TRANSACTION SNAPSHOT"));
        }
        return Ok(Statement::SetTransaction(transaction::modes(cursor, false)?));
    }
    if cursor.eat_all(&["session", "characteristics", "as", "transaction"]) {
        return Ok(Statement::SetSessionTransaction(transaction::modes(cursor, false)?));
    }
    if cursor.at_word("constraints") {
        return Err(cursor.unsupported("SET CONSTRAINTS"));
    }
    let scope = if cursor.eat("local") {
        SettingScope::Local
    } else {
        if cursor.peek_word_at(1).is_some() {
            cursor.eat("session");
        }
        SettingScope::Session
    };
    if cursor.eat_all(&["time", "zone"]) {
        if cursor.at_word("interval") {
            return Err(cursor.unsupported("SET TIME ZONE INTERVAL"));
        }
        let value = if cursor.eat("local") || cursor.eat("default") {
            None
        } else {
            Some(cursor.option_value()?)
        };
        return Ok(Statement::Set(Setting { name: "timezone".to_owned(), value, scope }));
    }
    for (word, name) in [("names", "client_encoding"), ("schema", "search_path")] {
        let quoted = matches!(
            cursor.rest().get(1).map(|t| &t.token),
            Some(Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_))
        );
        if cursor.at_word(word) && (quoted || (word == "names" && 1 == cursor.rest().len())) {
            cursor.index += 1;
            let value = if cursor.at_end() { None } else { Some(cursor.string()?) };
            return Ok(Statement::Set(Setting { name: name.to_owned(), value, scope }));
        }
    }
    if cursor.eat_all(&["session", "authorization"]) || cursor.at_word("authorization") {
        return Err(cursor.unsupported("SET SESSION AUTHORIZATION"));
    }
    if cursor.at_word("role") && cursor.rest().len() == 2 {
        cursor.index += 1;
        let value = Some(cursor.option_value()?);
        return Ok(Statement::Set(Setting { name: "role".to_owned(), value, scope }));
    }
    let name = parameter(cursor)?;
    if !cursor.eat_token(&Token::Eq) {
        cursor.expect("to")?;
    }
    let value = if cursor.eat("default") {
        None
    } else {
        Some(cursor.list(Cursor::option_value)?.join(", "))
    };
    Ok(Statement::Set(Setting { name, value, scope }))
}

/// A parameter's name, perhaps with a prefix: `myapp.user`.
fn parameter(cursor: &mut Cursor<'_>) -> Result<String, SqlError> {
    Ok(cursor.object_name()?.to_string().to_ascii_lowercase())
}

/// `RESET name`, `RESET ALL`
pub(super) fn reset(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    cursor.expect("reset")?;
    if cursor.eat("all") {
        return Ok(Statement::Reset(None));
    }
    Ok(Statement::Reset(Some(named(cursor)?)))
}

/// `SHOW name`, `SHOW ALL`
pub(super) fn show(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    cursor.expect("show")?;
    if cursor.eat("all") {
        return Ok(Statement::Show("all".to_owned()));
    }
    Ok(Statement::Show(named(cursor)?))
}

/// A parameter, also by the phrases that stand for one.
fn named(cursor: &mut Cursor<'_>) -> Result<String, SqlError> {
    if cursor.eat_all(&["time", "zone"]) {
        return Ok("timezone".to_owned());
    }
    if cursor.eat_all(&["transaction", "isolation", "level"]) {
        return Ok("transaction_isolation".to_owned());
    }
    if cursor.eat_all(&["session", "authorization"]) {
        return Ok("session_authorization".to_owned());
    }
    let name = parameter(cursor)?;
    Ok(name)
}
