//! CREATE TABLE and the constraints of tables.

use sqlparser::tokenizer::Token;

use crate::base::error::SqlError;
use crate::sql::parse::ast::{
    ColumnConstraint, ColumnConstraintKind, ColumnDefinition, CreateTable, Statement,
    TableConstraint, TableConstraintKind,
};
use crate::sql::parse::cursor::Cursor;

/// Behind `CREATE TABLE`.
pub(super) fn create_table(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let if_not_exists = cursor.if_not_exists();
    let name = cursor.object_name()?;
    if !cursor.peek_is_open() {
        return match cursor.peek_word().as_deref() {
            Some("as" | "with" | "using") => Err(cursor.unsupported("CREATE TABLE AS")),
            Some("partition" | "of") => Err(cursor.unsupported("CREATE TABLE OF")),
            _ => Err(cursor.unexpected()),
        };
    }
    cursor.expect_token(&Token::LParen)?;
    let mut table = CreateTable {
        name,
        if_not_exists,
        columns: Vec::new(),
        constraints: Vec::new(),
        options: Vec::new(),
        tablespace: None,
    };
    if !cursor.eat_token(&Token::RParen) {
        loop {
            element(cursor, &mut table)?;
            if !cursor.eat_token(&Token::Comma) {
                break;
            }
        }
        cursor.expect_token(&Token::RParen)?;
    }
    while !cursor.at_end() {
        table_suffix(cursor, &mut table)?;
    }
    Ok(Statement::CreateTable(Box::new(table)))
}

fn table_suffix(cursor: &mut Cursor<'_>, table: &mut CreateTable) -> Result<(), SqlError> {
    if cursor.eat("with") {
        table.options = cursor.storage_options()?;
    } else if cursor.eat("tablespace") {
        table.tablespace = Some(cursor.name()?);
    } else if cursor.eat_all(&["without", "oids"]) {
        // Every table of ours is: PostgreSQL accepts the phrase too.
    } else {
        return match cursor.peek_word().as_deref() {
            Some(word @ ("inherits" | "partition" | "using" | "on" | "as")) => {
                let what = format!("CREATE TABLE … {}", word.to_ascii_uppercase());
                Err(cursor.unsupported(&what))
            }
            _ => Err(cursor.unexpected()),
        };
    }
    Ok(())
}

fn element(cursor: &mut Cursor<'_>, table: &mut CreateTable) -> Result<(), SqlError> {
    match cursor.peek_word().as_deref() {
        Some("constraint" | "primary" | "unique" | "foreign" | "check") => {
            table.constraints.push(table_constraint(cursor)?);
        }
        // `exclude` and `like` could be columns; as constraints a bracket or a name follows.
        Some("like") => return Err(cursor.unsupported("LIKE in CREATE TABLE")),
        _ => table.columns.push(column(cursor)?),
    }
    Ok(())
}

/// `[CONSTRAINT name] PRIMARY KEY | UNIQUE (columns)`
pub(super) fn table_constraint(cursor: &mut Cursor<'_>) -> Result<TableConstraint, SqlError> {
    let position = cursor.position();
    let name = if cursor.eat("constraint") { Some(cursor.name()?) } else { None };
    let kind = if cursor.eat_all(&["primary", "key"]) {
        TableConstraintKind::PrimaryKey
    } else if cursor.eat("unique") {
        if cursor.at_word("nulls") {
            return Err(cursor.unexpected());
        }
        TableConstraintKind::Unique
    } else {
        return match cursor.peek_word().as_deref() {
            Some("foreign") => Err(cursor.unsupported("FOREIGN KEY")),
            Some("check") => Err(cursor.unsupported("CHECK")),
            Some("exclude") => Err(cursor.unsupported("EXCLUDE")),
            _ => Err(cursor.unexpected()),
        };
    };
    if cursor.eat_all(&["using", "index"]) {
        if !cursor.at_word("tablespace") {
            return Err(cursor.unsupported("USING INDEX"));
        }
        return Err(cursor.unsupported("USING INDEX TABLESPACE"));
    }
    let columns = cursor.parens(Cursor::name)?;
    if cursor.eat("include") {
        return Err(cursor.unsupported("INCLUDE"));
    }
    index_parameters(cursor)?;
    Ok(TableConstraint { name, kind, columns, position })
}

/// `WITH (fillfactor = …) USING INDEX TABLESPACE name [NOT DEFERRABLE]`, behind a key.
fn index_parameters(cursor: &mut Cursor<'_>) -> Result<(), SqlError> {
    if cursor.at_word("with") && cursor.peek_word_at(1).is_none() {
        cursor.index += 1;
        // Storage parameters of an index: ours has none that they could set.
        cursor.storage_options()?;
    }
    if cursor.eat_all(&["using", "index", "tablespace"]) {
        cursor.name()?;
    }
    if cursor.at_word("deferrable") || cursor.at_word("initially") {
        return Err(cursor.unsupported("a deferrable constraint"));
    }
    cursor.eat_all(&["not", "deferrable"]);
    Ok(())
}

fn column(cursor: &mut Cursor<'_>) -> Result<ColumnDefinition, SqlError> {
    let name = cursor.name()?;
    let ty = cursor.type_name()?;
    let mut constraints = Vec::new();
    loop {
        let position = cursor.position();
        let label = if cursor.eat("constraint") { Some(cursor.name()?) } else { None };
        match column_constraint(cursor)? {
            Some(kind) => constraints.push(ColumnConstraint { name: label, kind, position }),
            None if label.is_some() => return Err(cursor.unexpected()),
            None => break,
        }
    }
    Ok(ColumnDefinition { name, ty, constraints })
}

fn column_constraint(cursor: &mut Cursor<'_>) -> Result<Option<ColumnConstraintKind>, SqlError> {
    if cursor.eat_all(&["not", "null"]) {
        return Ok(Some(ColumnConstraintKind::NotNull));
    }
    if cursor.eat("null") {
        return Ok(Some(ColumnConstraintKind::Null));
    }
    if cursor.eat("default") {
        return Ok(Some(ColumnConstraintKind::Default(cursor.default_expr()?)));
    }
    if cursor.eat_all(&["primary", "key"]) {
        index_parameters(cursor)?;
        return Ok(Some(ColumnConstraintKind::PrimaryKey));
    }
    if cursor.eat("unique") {
        index_parameters(cursor)?;
        return Ok(Some(ColumnConstraintKind::Unique));
    }
    match cursor.peek_word().as_deref() {
        Some("references") => Err(cursor.unsupported("REFERENCES")),
        Some("check") => Err(cursor.unsupported("CHECK")),
        Some("generated") => Err(cursor.unsupported("GENERATED")),
        Some("collate") => Err(cursor.unsupported("COLLATE")),
        Some("storage") => Err(cursor.unsupported("STORAGE")),
        Some("compression") => Err(cursor.unsupported("COMPRESSION")),
        Some("deferrable" | "initially") => Err(cursor.unsupported("a deferrable constraint")),
        _ => Ok(None),
    }
}
