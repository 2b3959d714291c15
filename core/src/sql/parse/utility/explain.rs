//! EXPLAIN.

use crate::base::error::{SqlError, sqlstate};
use crate::sql::parse::ast::{Explain, Statement};
use crate::sql::parse::cursor::Cursor;
use crate::sql::parse::script;

/// `EXPLAIN [ANALYZE] [VERBOSE] | (options) statement`
pub(super) fn explain(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    cursor.expect("explain")?;
    let mut explain = Explain {
        analyze: false,
        verbose: false,
        costs: true,
        timing: true,
        summary: None,
        json: false,
        statement: Statement::Checkpoint,
    };
    let options =
        cursor.peek_is_open() && cursor.peek_word_at(1).is_some_and(|word| !is_query_word(&word));
    if options {
        cursor.parens(|cursor| option(cursor, &mut explain))?;
    } else {
        explain.analyze = cursor.eat("analyze") || cursor.eat("analyse");
        explain.verbose = cursor.eat("verbose");
    }
    match cursor.peek_word().as_deref() {
        Some("select" | "with" | "values" | "table" | "insert" | "update" | "delete") => {}
        None if cursor.peek_is_open() => {}
        Some(word @ ("execute" | "create" | "declare" | "merge" | "refresh")) => {
            return Err(cursor.unsupported(&format!("EXPLAIN {}", word.to_ascii_uppercase())));
        }
        _ => return Err(cursor.unexpected()),
    }
    explain.statement = script::statement(cursor)?;
    Ok(Statement::Explain(Box::new(explain)))
}

fn is_query_word(word: &str) -> bool {
    matches!(word, "select" | "with" | "values" | "table")
}

fn option(cursor: &mut Cursor<'_>, explain: &mut Explain) -> Result<(), SqlError> {
    let position = cursor.position();
    let name = cursor.peek_word().ok_or_else(|| cursor.unexpected())?;
    cursor.index += 1;
    let value = match cursor.peek() {
        Some(sqlparser::tokenizer::Token::Comma | sqlparser::tokenizer::Token::RParen) | None => {
            String::new()
        }
        Some(_) => cursor.option_value()?.to_ascii_lowercase(),
    };
    if name == "format" {
        return match value.as_str() {
            "text" => Ok(()),
            "json" => {
                explain.json = true;
                Ok(())
            }
            _ => Err(SqlError::unsupported(format!("EXPLAIN format {value}")).at(position)),
        };
    }
    let on = match value.as_str() {
        "" | "true" | "on" | "1" => true,
        "false" | "off" | "0" => false,
        _ => {
            let message = format!("{name} requires a Boolean value");
            return Err(SqlError::new(sqlstate::SYNTAX_ERROR, message).at(position));
        }
    };
    match name.as_str() {
        "analyze" => explain.analyze = on,
        "verbose" => explain.verbose = on,
        "costs" => explain.costs = on,
        "timing" => explain.timing = on,
        "summary" => explain.summary = Some(on),
        // What they would add is not counted yet; PostgreSQL's default is off.
        "buffers" | "settings" | "wal" if !on => {}
        "buffers" | "settings" | "wal" => {
            let what = format!("EXPLAIN option {}", name.to_ascii_uppercase());
            return Err(SqlError::unsupported(what).at(position));
        }
        _ => {
            let message = format!("unrecognized EXPLAIN option \"{name}\"");
            return Err(SqlError::new(sqlstate::SYNTAX_ERROR, message).at(position));
        }
    }
    Ok(())
}
