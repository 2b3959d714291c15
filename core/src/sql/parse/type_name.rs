//! Type names, from SQL's spellings to PostgreSQL's internal ones.

use sqlparser::tokenizer::Token;

use super::ast::{Name, ObjectName, TypeName};
use super::cursor::Cursor;
use super::scan::Scan;
use super::syntax::unsupported;
use crate::base::error::SqlError;
use crate::base::error::sqlstate;

/// Reads a type.
pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<TypeName, SqlError> {
    let position = cursor.position();
    if cursor.at_word("setof") {
        return Err(cursor.unsupported("SETOF"));
    }
    let quoted = matches!(cursor.peek(), Some(Token::Word(word)) if word.quote_style.is_some());
    let word = if quoted { String::new() } else { cursor.peek_word().unwrap_or_default() };
    let (name, modifiers) = match standard(cursor, &word)? {
        Some((text, modifiers)) => {
            let part = Name { text, position };
            (ObjectName { parts: vec![part] }, modifiers)
        }
        None => (cursor.object_name()?, modifiers(cursor)?),
    };
    let mut array = false;
    loop {
        if cursor.eat_token(&Token::LBracket) {
            if let Some(Token::Number(..)) = cursor.peek() {
                cursor.integer()?;
            }
            cursor.expect_token(&Token::RBracket)?;
        } else if !cursor.eat("array") {
            break;
        }
        if array {
            return Err(unsupported("an array of more than one dimension", position));
        }
        array = true;
    }
    Ok(TypeName { name, modifiers, array, position })
}

/// A type in a text of its own, as sqlparser displays its data types.
pub(super) fn parse_text(text: &str, position: u32) -> Result<TypeName, SqlError> {
    let scan = Scan::new(text)?;
    let mut cursor = Cursor::new(&scan, 0..scan.tokens.len());
    let mut ty =
        parse(&mut cursor).map_err(|error| SqlError { position: Some(position), ..error })?;
    if !cursor.at_end() {
        return Err(unsupported(&format!("type {text}"), position));
    }
    ty.position = position;
    for part in &mut ty.name.parts {
        part.position = position;
    }
    Ok(ty)
}

fn modifiers(cursor: &mut Cursor<'_>) -> Result<Vec<i64>, SqlError> {
    if cursor.peek_is_open() { cursor.parens(Cursor::integer) } else { Ok(Vec::new()) }
}

/// The spellings that have a grammar of their own; `None` for any other name, nothing read.
fn standard(cursor: &mut Cursor<'_>, word: &str) -> Result<Option<(String, Vec<i64>)>, SqlError> {
    let plain = |name: &str, modifiers: Vec<i64>| Ok(Some((name.to_owned(), modifiers)));
    let short = match word {
        "int" | "integer" => "int4",
        "smallint" => "int2",
        "bigint" => "int8",
        "real" => "float4",
        "boolean" => "bool",
        _ => "",
    };
    if !short.is_empty() {
        cursor.index += 1;
        return plain(short, Vec::new());
    }
    match word {
        "double" => {
            cursor.index += 1;
            cursor.expect("precision")?;
            plain("float8", Vec::new())
        }
        "float" => {
            cursor.index += 1;
            float(cursor)
        }
        "decimal" | "dec" | "numeric" => {
            cursor.index += 1;
            let modifiers = modifiers(cursor)?;
            plain("numeric", modifiers)
        }
        "varchar" => {
            cursor.index += 1;
            let modifiers = modifiers(cursor)?;
            plain("varchar", modifiers)
        }
        "char" | "character" | "nchar" => {
            cursor.index += 1;
            let name = if cursor.eat("varying") { "varchar" } else { "bpchar" };
            let mut modifiers = modifiers(cursor)?;
            if name == "bpchar" && modifiers.is_empty() {
                modifiers.push(1);
            }
            plain(name, modifiers)
        }
        "timestamp" | "time" => {
            cursor.index += 1;
            let modifiers = modifiers(cursor)?;
            let zoned = cursor.eat_all(&["with", "time", "zone"]);
            if !zoned {
                cursor.eat_all(&["without", "time", "zone"]);
            }
            plain(&format!("{word}{}", if zoned { "tz" } else { "" }), modifiers)
        }
        "serial4" => {
            cursor.index += 1;
            plain("serial", Vec::new())
        }
        "serial8" => {
            cursor.index += 1;
            plain("bigserial", Vec::new())
        }
        "serial2" => {
            cursor.index += 1;
            plain("smallserial", Vec::new())
        }
        _ => Ok(None),
    }
}

/// `float(n)`: four bytes up to 24 bits.
fn float(cursor: &mut Cursor<'_>) -> Result<Option<(String, Vec<i64>)>, SqlError> {
    let position = cursor.position();
    let name = match modifiers(cursor)?.first() {
        None => "float8",
        Some(1..=24) => "float4",
        Some(25..=53) => "float8",
        Some(bits) => {
            let bound = if *bits < 1 { "at least 1 bit" } else { "less than 54 bits" };
            let message = format!("precision for type float must be {bound}");
            return Err(SqlError::new(sqlstate::INVALID_PARAMETER_VALUE, message).at(position));
        }
    };
    Ok(Some((name.to_owned(), Vec::new())))
}
