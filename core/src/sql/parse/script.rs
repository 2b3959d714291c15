//! The door of the room: a query string becomes statements.

use std::ops::Range;

use super::ast::Statement;
use super::cursor::Cursor;
use super::limits;
use super::scan::Scan;
use super::{adapter, ddl, utility};
use crate::base::error::{SqlError, sqlstate};

/// A statement and where its text lies.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The statement; positions in it count from the beginning of the whole query string.
    pub statement: Statement,
    /// Its text within the query string, bytes, without the semicolon.
    pub range: Range<usize>,
}

/// The statements of a query string; none for an empty one.
///
/// # Errors
///
/// 42601 with a position for what does not parse, 0A000 with a position for what PostgreSQL has and we
/// do not, 54000 and 54001 for what is too long or too deep.
pub fn parse(text: &str) -> Result<Vec<Parsed>, SqlError> {
    limits::check_bytes(text)?;
    let scan = Scan::new(text)?;
    limits::check_depth(&scan.tokens)?;
    let mut parsed = Vec::new();
    for tokens in scan.statements() {
        let (first, last) = (&scan.bytes[tokens.start], &scan.bytes[tokens.end - 1]);
        let range = first.start..last.end;
        let mut cursor = Cursor::new(&scan, tokens);
        let statement = statement(&mut cursor)?;
        cursor.expect_end()?;
        parsed.push(Parsed { statement, range });
    }
    Ok(parsed)
}

/// The one statement of a text, as the extended protocol and PREPARE want it; `None` if it is empty.
///
/// # Errors
///
/// As [`parse`]; 42601 if there are several.
pub fn parse_one(text: &str) -> Result<Option<Parsed>, SqlError> {
    let mut parsed = parse(text)?;
    if 1 < parsed.len() {
        return Err(SqlError::new(
            sqlstate::SYNTAX_ERROR,
            "cannot insert multiple commands into a prepared statement",
        ));
    }
    Ok(parsed.pop())
}

/// One statement; what is left on the cursor is the caller's to judge.
pub(super) fn statement(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let Some(word) = cursor.peek_word() else {
        // "(SELECT …)" is the only statement that does not begin with a word.
        return if cursor.peek_is_open() {
            adapter::statement(cursor)
        } else {
            Err(cursor.unexpected())
        };
    };
    match word.as_str() {
        "select" | "with" | "values" | "table" | "insert" | "update" | "delete" => {
            adapter::statement(cursor)
        }
        "create" | "drop" | "alter" | "truncate" => ddl::statement(cursor),
        _ => utility::statement(cursor, &word),
    }
}
