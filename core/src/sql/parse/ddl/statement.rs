//! Which CREATE, DROP or ALTER it is.

use sqlparser::tokenizer::Token;

use super::{create_table, index, role, sequence};
use crate::base::error::SqlError;
use crate::sql::parse::ast::{
    AlterTable, AlterTableAction, CreateDatabase, Drop, ObjectKind, ObjectName, Statement,
    StorageOption,
};
use crate::sql::parse::cursor::Cursor;

/// A statement that begins with CREATE, DROP, ALTER or TRUNCATE.
pub(in crate::sql::parse) fn statement(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    if cursor.eat("create") {
        create(cursor)
    } else if cursor.eat("drop") {
        drop_object(cursor)
    } else if cursor.eat("alter") {
        alter(cursor)
    } else {
        cursor.expect("truncate")?;
        truncate(cursor)
    }
}

fn create(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let position = cursor.position();
    if cursor.eat("table") {
        return create_table::create_table(cursor);
    }
    if cursor.eat_all(&["unique", "index"]) {
        return index::create_index(cursor, true);
    }
    if cursor.eat("index") {
        return index::create_index(cursor, false);
    }
    if cursor.eat("database") {
        return create_database(cursor);
    }
    if cursor.eat("sequence") {
        return sequence::create_sequence(cursor);
    }
    if cursor.eat("user") {
        return role::create_role(cursor, Some(true), position);
    }
    if cursor.eat("role") {
        return role::create_role(cursor, Some(false), position);
    }
    Err(unknown_object(cursor, "CREATE"))
}

/// What PostgreSQL can make and we cannot is 0A000; any other word is a syntax error.
fn unknown_object(cursor: &Cursor<'_>, verb: &str) -> SqlError {
    const KNOWN: &[&str] = &[
        "access",
        "aggregate",
        "cast",
        "collation",
        "conversion",
        "default",
        "domain",
        "event",
        "extension",
        "foreign",
        "function",
        "global",
        "group",
        "language",
        "large",
        "local",
        "materialized",
        "operator",
        "or",
        "owned",
        "policy",
        "procedure",
        "publication",
        "recursive",
        "routine",
        "rule",
        "schema",
        "server",
        "statistics",
        "subscription",
        "system",
        "tablespace",
        "temp",
        "temporary",
        "text",
        "transform",
        "trigger",
        "trusted",
        "type",
        "unlogged",
        "view",
    ];
    match cursor.peek_word() {
        Some(word) if KNOWN.contains(&word.as_str()) => {
            cursor.unsupported(&format!("{verb} {}", word.to_ascii_uppercase()))
        }
        _ => cursor.unexpected(),
    }
}

fn create_database(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let if_not_exists = cursor.if_not_exists();
    let name = cursor.name()?;
    cursor.eat("with");
    let mut options = Vec::new();
    while !cursor.at_end() {
        let option = cursor.name()?;
        cursor.eat_token(&Token::Eq);
        let value = Some(cursor.option_value()?);
        options.push(StorageOption { name: option, value });
    }
    Ok(Statement::CreateDatabase(CreateDatabase { name, if_not_exists, options }))
}

fn drop_object(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let kind = match cursor.peek_word().as_deref() {
        Some("table") => ObjectKind::Table,
        Some("index") => ObjectKind::Index,
        Some("sequence") => ObjectKind::Sequence,
        Some("database") => ObjectKind::Database,
        Some("user" | "role") => ObjectKind::Role,
        _ => return Err(unknown_object(cursor, "DROP")),
    };
    cursor.index += 1;
    if kind == ObjectKind::Index && cursor.at_word("concurrently") {
        return Err(cursor.unsupported("DROP INDEX CONCURRENTLY"));
    }
    let if_exists = cursor.if_exists();
    let (names, cascade) = match kind {
        ObjectKind::Database => {
            let names = vec![ObjectName { parts: vec![cursor.name()?] }];
            if cursor.at_word("with") || cursor.peek_is_open() {
                return Err(cursor.unsupported("DROP DATABASE WITH"));
            }
            (names, false)
        }
        ObjectKind::Role => (cursor.list(|c| Ok(ObjectName { parts: vec![c.name()?] }))?, false),
        ObjectKind::Table | ObjectKind::Index | ObjectKind::Sequence => {
            let names = cursor.list(Cursor::object_name)?;
            (names, cursor.cascade())
        }
    };
    Ok(Statement::Drop(Drop { kind, names, if_exists, cascade }))
}

fn alter(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let position = cursor.position();
    if cursor.eat("user") || cursor.eat("role") {
        return role::create_role(cursor, None, position);
    }
    if !cursor.eat("table") {
        return match cursor.peek_word().as_deref() {
            Some(word @ ("database" | "index" | "sequence")) => {
                Err(cursor.unsupported(&format!("ALTER {}", word.to_ascii_uppercase())))
            }
            _ => Err(unknown_object(cursor, "ALTER")),
        };
    }
    let if_exists = cursor.if_exists();
    cursor.eat("only");
    let name = cursor.object_name()?;
    cursor.eat_token(&Token::Mul);
    let actions = cursor.list(|cursor| {
        if cursor.at_word("add") {
            let next = cursor.peek_word_at(1).unwrap_or_default();
            if ["constraint", "primary", "unique", "foreign", "check", "exclude"]
                .contains(&next.as_str())
            {
                cursor.index += 1;
                let constraint = create_table::table_constraint(cursor)?;
                return Ok(AlterTableAction::AddConstraint(constraint));
            }
        }
        match cursor.peek_word() {
            Some(word) => {
                let what = format!("ALTER TABLE … {}", word.to_ascii_uppercase());
                Err(cursor.unsupported(&what))
            }
            None => Err(cursor.unexpected()),
        }
    })?;
    Ok(Statement::AlterTable(Box::new(AlterTable { name, if_exists, actions })))
}

fn truncate(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    cursor.eat("table");
    let tables = cursor.list(|cursor| {
        cursor.eat("only");
        let name = cursor.object_name()?;
        cursor.eat_token(&Token::Mul);
        Ok(name)
    })?;
    let restart_identity = cursor.eat_all(&["restart", "identity"]);
    if !restart_identity {
        cursor.eat_all(&["continue", "identity"]);
    }
    let cascade = cursor.cascade();
    Ok(Statement::Truncate { tables, restart_identity, cascade })
}
