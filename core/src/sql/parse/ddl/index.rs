//! CREATE INDEX.

use sqlparser::tokenizer::Token;

use crate::base::error::SqlError;
use crate::sql::parse::ast::{CreateIndex, Expr, ExprKind, OrderItem, Statement};
use crate::sql::parse::cursor::Cursor;
use crate::sql::parse::syntax::unsupported;

/// Behind `CREATE [UNIQUE] INDEX`.
pub(super) fn create_index(cursor: &mut Cursor<'_>, unique: bool) -> Result<Statement, SqlError> {
    let concurrently = cursor.eat("concurrently");
    let if_not_exists = cursor.if_not_exists();
    let name = if cursor.at_word("on") { None } else { Some(cursor.name()?) };
    cursor.expect("on")?;
    cursor.eat("only");
    let table = cursor.object_name()?;
    if cursor.eat("using") && !cursor.eat("btree") {
        return Err(cursor.unsupported("an index method other than btree"));
    }
    let columns = cursor.parens(column)?;
    let mut index = CreateIndex {
        name,
        table,
        if_not_exists,
        unique,
        concurrently,
        columns,
        options: Vec::new(),
        tablespace: None,
    };
    while !cursor.at_end() {
        if cursor.eat("with") {
            index.options = cursor.storage_options()?;
        } else if cursor.eat("tablespace") {
            index.tablespace = Some(cursor.name()?);
        } else {
            return match cursor.peek_word().as_deref() {
                Some(word @ ("include" | "where" | "nulls")) => {
                    let what = format!("CREATE INDEX … {}", word.to_ascii_uppercase());
                    Err(cursor.unsupported(&what))
                }
                _ => Err(cursor.unexpected()),
            };
        }
    }
    Ok(Statement::CreateIndex(Box::new(index)))
}

fn column(cursor: &mut Cursor<'_>) -> Result<OrderItem, SqlError> {
    let position = cursor.position();
    if cursor.peek_is_open() {
        return Err(cursor.unsupported("an index on an expression"));
    }
    let name = cursor.name()?;
    if cursor.peek_is_open() {
        return Err(unsupported("an index on an expression", position));
    }
    if cursor.at_word("collate") {
        return Err(cursor.unsupported("COLLATE"));
    }
    let descending = cursor.eat("desc");
    if !descending {
        cursor.eat("asc");
    }
    let nulls_first = if cursor.eat_all(&["nulls", "first"]) {
        Some(true)
    } else if cursor.eat_all(&["nulls", "last"]) {
        Some(false)
    } else {
        None
    };
    if !matches!(cursor.peek(), Some(Token::Comma | Token::RParen)) {
        return match cursor.peek() {
            Some(Token::Word(_)) => Err(cursor.unsupported("an operator class")),
            _ => Err(cursor.unexpected()),
        };
    }
    let expr = Expr { kind: ExprKind::Column(vec![name]), position };
    Ok(OrderItem { expr, descending, nulls_first })
}
