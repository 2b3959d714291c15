//! JSON from text (RFC 8259).

use super::value::Json;
use crate::base::error::{SqlError, SqlState, sqlstate};
use crate::row::numeric::Numeric;

/// Nesting of arrays and objects.
const DEPTH_MAX: usize = 128;

enum Fault {
    Syntax,
    Depth,
    /// `\u0000` and lone surrogates: syntax of JSON, but no characters of ours.
    Character,
    Number,
}

/// Reads a value; `type_name` is for the message.
///
/// # Errors
///
/// 22P02 if it is not JSON, 54001 if it nests too deeply, 22P05 for characters that text cannot
/// hold.
pub fn parse(text: &str, type_name: &str) -> Result<Json, SqlError> {
    let mut parser = Parser { text, at: 0 };
    let whole = parser.value(0).and_then(|value| {
        parser.blanks();
        if parser.at == text.len() { Ok(value) } else { Err(Fault::Syntax) }
    });
    whole.map_err(|fault| match fault {
        Fault::Syntax => SqlError::new(
            sqlstate::INVALID_TEXT_REPRESENTATION,
            format!("invalid input syntax for type {type_name}"),
        ),
        Fault::Depth => {
            SqlError::new(sqlstate::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
        }
        Fault::Character => {
            SqlError::new(SqlState::new("22P05"), "unsupported Unicode escape sequence")
        }
        Fault::Number => {
            SqlError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
        }
    })
}

/// Checks the syntax only, as `json` does.
///
/// # Errors
///
/// As [`parse`], but escapes are not looked into.
pub fn check(text: &str) -> Result<(), SqlError> {
    match parse(text, "json") {
        Err(error) if error.state == SqlState::new("22P05") => Ok(()),
        Err(error) if error.state == sqlstate::NUMERIC_VALUE_OUT_OF_RANGE => Ok(()),
        other => other.map(|_| ()),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, Fault> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(Fault::Syntax)
        }
    }

    fn value(&mut self, depth: usize) -> Result<Json, Fault> {
        if DEPTH_MAX < depth {
            return Err(Fault::Depth);
        }
        self.blanks();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Json::String),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(Fault::Syntax), // nothing else begins a value
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, Fault> {
        self.at += 1;
        let mut items = Vec::new();
        self.blanks();
        if self.eat(b']') {
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.blanks();
            if self.eat(b']') {
                return Ok(Json::Array(items));
            }
            if !self.eat(b',') {
                return Err(Fault::Syntax);
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, Fault> {
        self.at += 1;
        let mut members = Vec::new();
        self.blanks();
        if self.eat(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            self.blanks();
            let key = self.string()?;
            self.blanks();
            if !self.eat(b':') {
                return Err(Fault::Syntax);
            }
            members.push((key, self.value(depth + 1)?));
            self.blanks();
            if self.eat(b'}') {
                return Ok(Json::Object(members));
            }
            if !self.eat(b',') {
                return Err(Fault::Syntax);
            }
        }
    }

    fn string(&mut self) -> Result<String, Fault> {
        if !self.eat(b'"') {
            return Err(Fault::Syntax);
        }
        let mut out = String::new();
        let mut unsupported = false;
        loop {
            let rest = &self.text[self.at..];
            let c = rest.chars().next().ok_or(Fault::Syntax)?;
            self.at += c.len_utf8();
            match c {
                '"' if unsupported => return Err(Fault::Character),
                '"' => return Ok(out),
                c if c < ' ' => return Err(Fault::Syntax),
                '\\' => match self.escape()? {
                    Some(c) => out.push(c),
                    None => unsupported = true,
                },
                c => out.push(c),
            }
        }
    }

    /// The character of an escape; `None` if text cannot hold it.
    fn escape(&mut self) -> Result<Option<char>, Fault> {
        let escape = self.peek().ok_or(Fault::Syntax)?;
        self.at += 1;
        Ok(Some(match escape {
            b'"' | b'\\' | b'/' => char::from(escape),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex()?;
                let code = if (0xd800..0xdc00).contains(&first)
                    && self.text[self.at..].starts_with("\\u")
                {
                    self.at += 2;
                    let second = self.hex()?;
                    if !(0xdc00..0xe000).contains(&second) {
                        return Ok(None);
                    }
                    0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                } else {
                    first
                };
                return Ok(char::from_u32(code).filter(|c| *c != '\0'));
            }
            _ => return Err(Fault::Syntax), // no such escape
        }))
    }

    fn hex(&mut self) -> Result<u32, Fault> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(Fault::Syntax)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Fault::Syntax);
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_| Fault::Syntax)
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if start < self.at { Ok(()) } else { Err(Fault::Syntax) }
    }

    fn number(&mut self) -> Result<Json, Fault> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Numeric::parse(&self.text[start..self.at]).map(Json::Number).map_err(|_| Fault::Number)
    }
}

/// The text of what a path leads to, as it was written. A step is an index where it meets an array
/// and a key where it meets an object; `by_index` limits it to one of both.
pub fn raw_at<'a>(text: &'a str, path: &[&str], by_index: Option<bool>) -> Option<&'a str> {
    let mut here = text.trim();
    for step in path {
        here = raw_step(here, step, by_index)?;
    }
    Some(here)
}

fn raw_step<'a>(text: &'a str, step: &str, by_index: Option<bool>) -> Option<&'a str> {
    let mut parser = Parser { text, at: 0 };
    parser.blanks();
    let is_array = match parser.peek()? {
        b'[' if by_index != Some(false) => true,
        b'{' if by_index != Some(true) => false,
        _ => return None, // a scalar, or the other kind of container
    };
    parser.at += 1;
    let mut spans: Vec<&'a str> = Vec::new();
    let mut found = None;
    loop {
        parser.blanks();
        if parser.eat(b']') || parser.eat(b'}') {
            break;
        }
        let mut key = None;
        if !is_array {
            key = Some(parser.string().ok()?);
            parser.blanks();
            parser.eat(b':');
            parser.blanks();
        }
        let start = parser.at;
        parser.value(0).ok()?;
        let span = &text[start..parser.at];
        if is_array {
            spans.push(span);
        } else if key.as_deref() == Some(step) {
            found = Some(span);
        }
        parser.blanks();
        if !parser.eat(b',') {
            break;
        }
    }
    if !is_array {
        return found;
    }
    let index: i64 = step.parse().ok()?;
    let at = if index < 0 { index + spans.len() as i64 } else { index };
    usize::try_from(at).ok().and_then(|at| spans.get(at).copied())
}
