//! CREATE and ALTER of users and roles.

use crate::base::error::SqlError;
use crate::sql::parse::ast::{CreateRole, Statement};
use crate::sql::parse::cursor::Cursor;

/// Behind `CREATE USER`, `CREATE ROLE` (`login` is its default there) or `ALTER USER | ROLE` (`None`).
pub(super) fn create_role(
    cursor: &mut Cursor<'_>,
    login: Option<bool>,
    position: u32,
) -> Result<Statement, SqlError> {
    if cursor.at_word("mapping") {
        return Err(cursor.unsupported("USER MAPPING"));
    }
    let mut role = CreateRole {
        name: cursor.name()?,
        alter: login.is_none(),
        password: None,
        login,
        superuser: None,
        create_database: None,
        create_role: None,
    };
    cursor.eat("with");
    if role.alter && cursor.at_end() {
        return Err(crate::sql::parse::syntax::unsupported("ALTER ROLE without options", position));
    }
    while !cursor.at_end() {
        option(cursor, &mut role)?;
    }
    Ok(Statement::CreateRole(Box::new(role)))
}

fn option(cursor: &mut Cursor<'_>, role: &mut CreateRole) -> Result<(), SqlError> {
    cursor.eat("encrypted");
    match cursor.peek_word().as_deref() {
        Some("password") => {
            cursor.index += 1;
            role.password = Some(if cursor.eat("null") { None } else { Some(cursor.string()?) });
            return Ok(());
        }
        Some("login") => role.login = Some(true),
        Some("nologin") => role.login = Some(false),
        Some("superuser") => role.superuser = Some(true),
        Some("nosuperuser") => role.superuser = Some(false),
        Some("createdb") => role.create_database = Some(true),
        Some("nocreatedb") => role.create_database = Some(false),
        Some("createrole") => role.create_role = Some(true),
        Some("nocreaterole") => role.create_role = Some(false),
        Some(
            word @ ("inherit" | "noinherit" | "replication" | "noreplication" | "bypassrls"
            | "nobypassrls" | "connection" | "valid" | "in" | "role" | "admin" | "user"
            | "set" | "reset" | "rename"),
        ) => {
            let what = format!("role option {}", word.to_ascii_uppercase());
            return Err(cursor.unsupported(&what));
        }
        _ => return Err(cursor.unexpected()),
    }
    cursor.index += 1;
    Ok(())
}
