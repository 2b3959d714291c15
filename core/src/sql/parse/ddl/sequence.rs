//! CREATE SEQUENCE.

use crate::base::error::SqlError;
use crate::sql::parse::ast::{CreateSequence, SequenceOptions, Statement};
use crate::sql::parse::cursor::Cursor;

/// Behind `CREATE SEQUENCE`.
pub(super) fn create_sequence(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let if_not_exists = cursor.if_not_exists();
    let name = cursor.object_name()?;
    let mut options = SequenceOptions::default();
    while !cursor.at_end() {
        option(cursor, &mut options)?;
    }
    Ok(Statement::CreateSequence(Box::new(CreateSequence { name, if_not_exists, options })))
}

fn option(cursor: &mut Cursor<'_>, options: &mut SequenceOptions) -> Result<(), SqlError> {
    if cursor.eat("as") {
        options.ty = Some(cursor.type_name()?);
    } else if cursor.eat("increment") {
        cursor.eat("by");
        options.increment = Some(cursor.integer()?);
    } else if cursor.eat("minvalue") {
        options.min = Some(cursor.integer()?);
    } else if cursor.eat("maxvalue") {
        options.max = Some(cursor.integer()?);
    } else if cursor.eat("start") {
        cursor.eat("with");
        options.start = Some(cursor.integer()?);
    } else if cursor.eat("cache") {
        options.cache = Some(cursor.integer()?);
    } else if cursor.eat("cycle") {
        options.cycle = true;
    } else if cursor.eat_all(&["no", "cycle"]) {
        options.cycle = false;
    } else if cursor.eat_all(&["no", "minvalue"]) {
        options.min = None;
    } else if cursor.eat_all(&["no", "maxvalue"]) {
        options.max = None;
    } else if cursor.eat_all(&["owned", "by"]) {
        options.owned_by = if cursor.eat("none") { None } else { Some(cursor.object_name()?) };
    } else {
        return Err(cursor.unexpected());
    }
    Ok(())
}
