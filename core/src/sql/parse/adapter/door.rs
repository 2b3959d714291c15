//! Runs sqlparser over the rest of a cursor and words its errors as PostgreSQL does.

use sqlparser::ast as sp;
use sqlparser::dialect::{Dialect as _, PostgreSqlDialect, Precedence};
use sqlparser::parser::{Parser, ParserError};

use super::lower::Lower;
use super::rewrite::Rewritten;
use crate::base::error::SqlError;
use crate::base::limit;
use crate::sql::parse::ast::{Expr, Query, Statement};
use crate::sql::parse::cursor::Cursor;
use crate::sql::parse::syntax::{too_complex, unsupported};

/// sqlparser counts a level for each of a query, its body, a table factor and an expression; ours
/// bounds brackets before, so this is only the second fence.
const RECURSION_MAX: usize = 3 * limit::NESTING_MAX;

/// A query or a statement that changes rows.
pub(in crate::sql::parse) fn statement(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let position = cursor.position();
    let parsed = run(cursor, |parser| parser.parse_statement())?;
    let lower = Lower { scan: cursor.scan };
    match parsed {
        sp::Statement::Query(query) => Ok(Statement::Query(Box::new(lower.query(*query)?))),
        sp::Statement::Insert(insert) => lower.insert(insert, position),
        sp::Statement::Update(update) => lower.update(update, position),
        sp::Statement::Delete(delete) => lower.delete(delete, position),
        // The caller looked at the first word; nothing else begins with one of these.
        _ => Err(unsupported("this statement", position)),
    }
}

/// A query up to whatever cannot belong to it.
pub(in crate::sql::parse) fn query(cursor: &mut Cursor<'_>) -> Result<Query, SqlError> {
    let parsed = run(cursor, |parser| parser.parse_query())?;
    Lower { scan: cursor.scan }.query(*parsed)
}

/// An expression up to whatever cannot belong to it.
pub(in crate::sql::parse) fn expression(cursor: &mut Cursor<'_>) -> Result<Expr, SqlError> {
    let parsed = run(cursor, |parser| parser.parse_expr())?;
    Lower { scan: cursor.scan }.expr(parsed)
}

/// A column's default: PostgreSQL's `b_expr`, which `IS`, `NOT NULL`, `AND` and `OR` end unless they
/// stand in parentheses.
pub(in crate::sql::parse) fn default_expression(cursor: &mut Cursor<'_>) -> Result<Expr, SqlError> {
    let least = PostgreSqlDialect {}.prec_value(Precedence::Is);
    let parsed = run(cursor, |parser| parser.parse_subexpr(least))?;
    Lower { scan: cursor.scan }.expr(parsed)
}

fn run<T>(
    cursor: &mut Cursor<'_>,
    parse: impl FnOnce(&mut Parser<'_>) -> Result<T, ParserError>,
) -> Result<T, SqlError> {
    let dialect = PostgreSqlDialect {};
    let mut written = Rewritten::new(cursor.rest())
        .map_err(|wrong| cursor.scan.unexpected((cursor.index + wrong).min(cursor.end)))?;
    let mut parser = Parser::new(&dialect)
        .with_recursion_limit(RECURSION_MAX)
        .with_tokens_with_locations(std::mem::take(&mut written.tokens));
    let parsed = parse(&mut parser);
    let read = written.before(parser.index());
    match parsed {
        Ok(parsed) => {
            cursor.index = (cursor.index + read).min(cursor.end);
            Ok(parsed)
        }
        Err(ParserError::RecursionLimitExceeded) => Err(too_complex(cursor.position())),
        Err(ParserError::ParserError(message) | ParserError::TokenizerError(message)) => {
            let index = match column(&message) {
                Some(0) => cursor.end,
                Some(position) => cursor.scan.index_at(position).unwrap_or(cursor.end),
                None => (cursor.index + read).min(cursor.end),
            };
            Err(cursor.scan.unexpected(index))
        }
    }
}

/// The column that ends sqlparser's message: a position, because our tokens lie in one line. 0 is the
/// end of the tokens.
fn column(message: &str) -> Option<u32> {
    const MARK: &str = ", Column: ";
    let at = message.rfind(MARK)?;
    message[at + MARK.len()..].trim().parse().ok()
}
