//! VACUUM and ANALYZE.

use sqlparser::tokenizer::Token;

use crate::base::error::{SqlError, sqlstate};
use crate::sql::parse::ast::{Statement, Vacuum};
use crate::sql::parse::cursor::Cursor;

/// `VACUUM [FULL] [FREEZE] [VERBOSE] [ANALYZE] | (options) [tables]`
pub(super) fn vacuum(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    cursor.expect("vacuum")?;
    let mut vacuum = Vacuum::default();
    if cursor.peek_is_open() {
        cursor.parens(|cursor| option(cursor, &mut vacuum, true))?;
    } else {
        vacuum.full = cursor.eat("full");
        cursor.eat("freeze");
        vacuum.verbose = cursor.eat("verbose");
        vacuum.analyze = cursor.eat("analyze") || cursor.eat("analyse");
    }
    vacuum.tables = tables(cursor)?;
    Ok(Statement::Vacuum(vacuum))
}

/// `ANALYZE [VERBOSE] | (options) [tables]`
pub(super) fn analyze(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    cursor.index += 1;
    let mut vacuum = Vacuum { analyze: true, ..Vacuum::default() };
    if cursor.peek_is_open() {
        cursor.parens(|cursor| option(cursor, &mut vacuum, false))?;
    } else {
        vacuum.verbose = cursor.eat("verbose");
    }
    vacuum.tables = tables(cursor)?;
    Ok(Statement::Analyze(vacuum))
}

fn tables(cursor: &mut Cursor<'_>) -> Result<Vec<crate::sql::parse::ast::ObjectName>, SqlError> {
    if cursor.at_end() {
        return Ok(Vec::new());
    }
    cursor.list(|cursor| {
        let name = cursor.object_name()?;
        if cursor.peek_is_open() {
            // Statistics of single columns: the whole table's include them.
            cursor.parens(Cursor::name)?;
        }
        Ok(name)
    })
}

fn option(cursor: &mut Cursor<'_>, vacuum: &mut Vacuum, full: bool) -> Result<(), SqlError> {
    let position = cursor.position();
    let name = cursor.peek_word().ok_or_else(|| cursor.unexpected())?;
    cursor.index += 1;
    let on = match cursor.peek() {
        Some(Token::Comma | Token::RParen) | None => true,
        Some(_) => {
            !["false", "off", "0"].contains(&cursor.option_value()?.to_ascii_lowercase().as_str())
        }
    };
    match name.as_str() {
        "verbose" => vacuum.verbose = on,
        "skip_locked" => {}
        "full" if full => vacuum.full = on,
        "analyze" if full => vacuum.analyze = on,
        "freeze"
        | "disable_page_skipping"
        | "index_cleanup"
        | "process_toast"
        | "truncate"
        | "parallel"
            if full => {}
        _ => {
            let verb = if full { "VACUUM" } else { "ANALYZE" };
            let message = format!("unrecognized {verb} option \"{name}\"");
            return Err(SqlError::new(sqlstate::SYNTAX_ERROR, message).at(position));
        }
    }
    Ok(())
}
