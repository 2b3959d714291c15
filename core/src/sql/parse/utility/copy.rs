//! COPY, with both syntaxes of its options.

use sqlparser::tokenizer::Token;

use crate::base::error::{SqlError, sqlstate};
use crate::sql::parse::adapter;
use crate::sql::parse::ast::{Copy, CopyFormat, CopyOptions, CopySource, Statement};
use crate::sql::parse::cursor::Cursor;

/// Options as written, before the format decides what they mean.
#[derive(Default)]
struct Written {
    format: Option<CopyFormat>,
    delimiter: Option<String>,
    null: Option<String>,
    header: bool,
    quote: Option<String>,
    escape: Option<String>,
    freeze: bool,
    position: u32,
}

/// `COPY …`
pub(super) fn copy(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    cursor.expect("copy")?;
    if cursor.at_word("binary") && cursor.peek_word_at(1).is_some() {
        return Err(cursor.unsupported("COPY BINARY"));
    }
    let source = source(cursor)?;
    let from_stdin = if cursor.eat("from") {
        if let CopySource::Query(_) = source {
            return Err(cursor.unexpected());
        }
        endpoint(cursor, "stdin")?;
        true
    } else {
        cursor.expect("to")?;
        endpoint(cursor, "stdout")?;
        false
    };
    let mut written = Written { position: cursor.position(), ..Written::default() };
    if let Some(first) = cursor.peek() {
        let old_delimiters = matches!(first, Token::Word(word)
            if word.value.eq_ignore_ascii_case("using"));
        if old_delimiters {
            cursor.index += 1;
            cursor.expect("delimiters")?;
            written.delimiter = Some(cursor.string()?);
        }
        cursor.eat("with");
        if cursor.peek_is_open() {
            cursor.parens(|cursor| new_option(cursor, &mut written))?;
        } else {
            while !cursor.at_end() && !cursor.at_word("where") {
                old_option(cursor, &mut written)?;
            }
        }
    }
    if cursor.at_word("where") {
        return Err(cursor.unsupported("COPY … WHERE"));
    }
    let options = settle(written, from_stdin)?;
    Ok(Statement::Copy(Box::new(Copy { source, from_stdin, options })))
}

fn source(cursor: &mut Cursor<'_>) -> Result<CopySource, SqlError> {
    if cursor.eat_token(&Token::LParen) {
        let query = adapter::query(cursor)?;
        cursor.expect_token(&Token::RParen)?;
        return Ok(CopySource::Query(Box::new(query)));
    }
    let name = cursor.object_name()?;
    let columns = if cursor.peek_is_open() { cursor.parens(Cursor::name)? } else { Vec::new() };
    Ok(CopySource::Table { name, columns })
}

fn endpoint(cursor: &mut Cursor<'_>, wanted: &str) -> Result<(), SqlError> {
    if cursor.eat("stdin") || cursor.eat("stdout") {
        return Ok(());
    }
    match cursor.peek() {
        Some(Token::SingleQuotedString(_)) => Err(cursor.unsupported("COPY with a server's file")),
        Some(Token::Word(word)) if word.value.eq_ignore_ascii_case("program") => {
            Err(cursor.unsupported("COPY PROGRAM"))
        }
        _ => {
            debug_assert!(wanted == "stdin" || wanted == "stdout", "unknown endpoint {wanted}");
            Err(cursor.unexpected())
        }
    }
}

/// An option inside `WITH (…)`.
fn new_option(cursor: &mut Cursor<'_>, written: &mut Written) -> Result<(), SqlError> {
    let position = cursor.position();
    let name = cursor.peek_word().ok_or_else(|| cursor.unexpected())?;
    cursor.index += 1;
    match name.as_str() {
        "format" => {
            let format = cursor.option_value()?;
            written.format = Some(match format.to_ascii_lowercase().as_str() {
                "text" => CopyFormat::Text,
                "csv" => CopyFormat::Csv,
                "binary" => {
                    return Err(SqlError::unsupported("COPY format binary").at(position));
                }
                _ => {
                    let message = format!("COPY format \"{format}\" not recognized");
                    return Err(
                        SqlError::new(sqlstate::INVALID_PARAMETER_VALUE, message).at(position)
                    );
                }
            });
        }
        "freeze" => written.freeze = boolean(cursor, "freeze")?,
        "header" => {
            if cursor.at_word("match") {
                return Err(cursor.unsupported("HEADER MATCH"));
            }
            written.header = boolean(cursor, "header")?;
        }
        "delimiter" => written.delimiter = Some(cursor.string()?),
        "null" => written.null = Some(cursor.string()?),
        "quote" => written.quote = Some(cursor.string()?),
        "escape" => written.escape = Some(cursor.string()?),
        "encoding" => encoding(cursor)?,
        "force_quote" | "force_not_null" | "force_null" | "default" | "on_error" => {
            return Err(SqlError::unsupported(format!(
                "COPY option {}",
                name.to_ascii_uppercase()
            ))
            .at(position));
        }
        _ => {
            let message = format!("option \"{name}\" not recognized");
            return Err(SqlError::new(sqlstate::SYNTAX_ERROR, message).at(position));
        }
    }
    Ok(())
}

/// UTF-8 is what we speak.
fn encoding(cursor: &mut Cursor<'_>) -> Result<(), SqlError> {
    let position = cursor.position();
    let name = cursor.string()?;
    if ["utf8", "utf-8", "unicode"].contains(&name.to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    Err(SqlError::unsupported(format!("encoding {name}")).at(position))
}

/// `[true | false | on | off | 1 | 0]`; nothing is true.
fn boolean(cursor: &mut Cursor<'_>, option: &str) -> Result<bool, SqlError> {
    if matches!(cursor.peek(), Some(Token::Comma | Token::RParen) | None) {
        return Ok(true);
    }
    let position = cursor.position();
    let value = cursor.option_value()?.to_ascii_lowercase();
    match value.as_str() {
        "true" | "on" | "1" => Ok(true),
        "false" | "off" | "0" => Ok(false),
        _ => {
            Err(SqlError::new(sqlstate::SYNTAX_ERROR, format!("{option} requires a Boolean value"))
                .at(position))
        }
    }
}

/// An option of the syntax before 9.0.
fn old_option(cursor: &mut Cursor<'_>, written: &mut Written) -> Result<(), SqlError> {
    let name = cursor.peek_word().ok_or_else(|| cursor.unexpected())?;
    match name.as_str() {
        "csv" => written.format = Some(CopyFormat::Csv),
        "freeze" => written.freeze = true,
        "header" => written.header = true,
        "delimiter" | "null" | "quote" | "escape" => {
            cursor.index += 1;
            cursor.eat("as");
            let value = Some(cursor.string()?);
            match name.as_str() {
                "delimiter" => written.delimiter = value,
                "null" => written.null = value,
                "quote" => written.quote = value,
                _ => written.escape = value,
            }
            return Ok(());
        }
        "encoding" => {
            cursor.index += 1;
            return encoding(cursor);
        }
        "binary" => return Err(cursor.unsupported("COPY BINARY")),
        "force" => return Err(cursor.unsupported("COPY … FORCE")),
        _ => return Err(cursor.unexpected()),
    }
    cursor.index += 1;
    Ok(())
}

/// Fills in the format's defaults and refuses what contradicts itself.
fn settle(written: Written, from_stdin: bool) -> Result<CopyOptions, SqlError> {
    let position = written.position;
    let invalid = |message: &str| {
        SqlError::new(sqlstate::INVALID_PARAMETER_VALUE, message.to_owned()).at(position)
    };
    let format = written.format.unwrap_or(CopyFormat::Text);
    let csv = format == CopyFormat::Csv;
    let one = |text: Option<String>, default: u8, name: &str| match text {
        None => Ok(default),
        Some(text) if text.len() == 1 => Ok(text.as_bytes()[0]),
        Some(_) => {
            Err(SqlError::unsupported(format!("COPY {name} of more than one byte")).at(position))
        }
    };
    let unsupported = |what: &str| SqlError::unsupported(what).at(position);
    if !csv && (written.quote.is_some() || written.escape.is_some()) {
        return Err(unsupported("COPY quote or escape without CSV mode"));
    }
    if written.freeze && !from_stdin {
        return Err(unsupported("COPY freeze TO"));
    }
    let delimiter = one(written.delimiter, if csv { b',' } else { b'\t' }, "delimiter")?;
    if delimiter == b'\n' || delimiter == b'\r' {
        return Err(invalid("COPY delimiter cannot be newline or carriage return"));
    }
    if !csv && b"\\.abcdefghijklmnopqrstuvwxyz0123456789".contains(&delimiter) {
        let shown = char::from(delimiter);
        return Err(invalid(&format!("COPY delimiter cannot be \"{shown}\"")));
    }
    let null = written.null.unwrap_or_else(|| if csv { String::new() } else { "\\N".to_owned() });
    if null.contains(['\n', '\r']) {
        return Err(invalid("COPY null representation cannot use newline or carriage return"));
    }
    if null.as_bytes().contains(&delimiter) {
        return Err(unsupported("COPY delimiter in the NULL specification"));
    }
    let quote = one(written.quote, b'"', "quote")?;
    if csv && quote == delimiter {
        return Err(invalid("COPY delimiter and quote must be different"));
    }
    let escape = one(written.escape, quote, "escape")?;
    Ok(CopyOptions {
        format,
        delimiter,
        null,
        header: written.header,
        quote,
        escape,
        freeze: written.freeze,
    })
}
