//! COPY's formats as bytes: a stream of pieces becomes records, records become fields.
//!
//! # Source
//!
//! PostgreSQL 15, `copyfromparse.c` and `copyto.c`.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use crate::base::error::{SqlError, sqlstate};
use crate::base::limit;
use crate::sql::parse::ast::{CopyFormat, CopyOptions};

/// One record's fields; `None` is NULL.
pub(crate) type Fields<'a> = Vec<Option<Cow<'a, str>>>;

/// Cuts a stream into records.
#[derive(Debug)]
pub(crate) struct Splitter {
    options: CopyOptions,
    held: BytesMut,
    /// Bytes of `held` that were looked at without finding an end.
    seen: usize,
    in_quotes: bool,
    finished: bool,
    /// Number of the last record given, from one.
    line: u64,
}

impl Splitter {
    pub(crate) fn new(options: CopyOptions) -> Self {
        let held = BytesMut::new();
        Self { options, held, seen: 0, in_quotes: false, finished: false, line: 0 }
    }

    /// Another piece of the stream.
    ///
    /// # Errors
    ///
    /// 54000 if one record grows past the bound of a row.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), SqlError> {
        if self.finished {
            return Ok(()); // after the end-of-data marker
        }
        if 2 * limit::CLIENT_MESSAGE_BYTES_MAX < self.held.len() + piece.len() {
            let message = "a record of COPY is too long";
            return Err(SqlError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message));
        }
        self.held.extend_from_slice(piece);
        Ok(())
    }

    /// The number of the last record that was given.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// The next whole record; at the stream's end also what has no line end.
    pub(crate) fn next(&mut self, at_end: bool) -> Option<Bytes> {
        if self.finished {
            return None;
        }
        let (end, skip) = match self.find_end(at_end) {
            Some(found) => found,
            None if at_end && !self.held.is_empty() => (self.held.len(), 0),
            None => return None,
        };
        let mut record = self.held.split_to(end + skip);
        record.truncate(end);
        self.seen = 0;
        self.in_quotes = false;
        if *record == *b"\\." {
            self.finished = true;
            return None;
        }
        self.line += 1;
        Some(record.freeze())
    }

    /// Where the record ends, and the length of its line end.
    fn find_end(&mut self, at_end: bool) -> Option<(usize, usize)> {
        let is_csv = self.options.format == CopyFormat::Csv;
        let mut at = self.seen;
        loop {
            if !is_csv {
                let rest = self.held.get(at..).unwrap_or_default();
                at += memchr::memchr3(b'\\', b'\n', b'\r', rest).unwrap_or(rest.len());
            }
            let Some(byte) = self.held.get(at) else { break };
            match *byte {
                b'\\' if !is_csv => {
                    if self.held.len() <= at + 1 && !at_end {
                        break; // what it escapes has not come yet
                    }
                    at += 2;
                    continue;
                }
                quote if is_csv && quote == self.options.quote => {
                    self.in_quotes = !self.in_quotes;
                }
                escape if is_csv && self.in_quotes && escape == self.options.escape => {
                    if self.held.len() <= at + 1 && !at_end {
                        break;
                    }
                    at += 2;
                    continue;
                }
                b'\n' if !self.in_quotes => return Some((at, 1)),
                b'\r' if !self.in_quotes => match self.held.get(at + 1) {
                    Some(b'\n') => return Some((at, 2)),
                    Some(_) => return Some((at, 1)),
                    None if at_end => return Some((at, 1)),
                    None => break, // a line feed may follow
                },
                _ => {} // of a field
            }
            at += 1;
        }
        self.seen = at.min(self.held.len());
        None
    }
}

/// A record's fields.
///
/// # Errors
///
/// 22021 for bytes that are not UTF-8, 22P04 for a quote that does not end.
pub(crate) fn fields<'a>(record: &'a [u8], options: &CopyOptions) -> Result<Fields<'a>, SqlError> {
    match options.format {
        CopyFormat::Text => text_fields(record, options),
        CopyFormat::Csv => csv_fields(record, options),
    }
}

fn text_fields<'a>(record: &'a [u8], options: &CopyOptions) -> Result<Fields<'a>, SqlError> {
    let mut fields = Vec::with_capacity(8);
    let mut at = 0;
    loop {
        let start = at;
        let mut plain = true;
        loop {
            let rest = record.get(at..).unwrap_or_default();
            let Some(found) = memchr::memchr2(b'\\', options.delimiter, rest) else {
                at = at.max(record.len());
                break;
            };
            at += found;
            if record[at] != b'\\' {
                break; // the delimiter
            }
            plain = false;
            at += 2;
        }
        let end = at.min(record.len());
        let raw = &record[start..end];
        if raw == options.null.as_bytes() {
            fields.push(None);
        } else if plain {
            fields.push(Some(Cow::Borrowed(utf8(raw)?)));
        } else {
            fields.push(Some(text(Cow::Owned(unescaped(raw)))?));
        }
        if record.len() <= at {
            return Ok(fields);
        }
        at += 1; // the delimiter
    }
}

fn unescaped(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'b') => out.push(8),
            Some(b'f') => out.push(12),
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b't') => out.push(b'\t'),
            Some(b'v') => out.push(11),
            Some(digit @ b'0'..=b'7') => {
                let mut value = u32::from(digit - b'0');
                for _ in 0..2 {
                    let Some(next) = bytes.next_if(|b| (b'0'..=b'7').contains(b)) else { break };
                    value = value * 8 + u32::from(next - b'0');
                }
                out.push((value & 0xff) as u8);
            }
            Some(b'x') => match bytes.next_if(u8::is_ascii_hexdigit) {
                None => out.push(b'x'),
                Some(first) => {
                    let mut value = hex(first);
                    if let Some(second) = bytes.next_if(u8::is_ascii_hexdigit) {
                        value = value * 16 + hex(second);
                    }
                    out.push(value);
                }
            },
            Some(other) => out.push(other),
            None => out.push(b'\\'),
        }
    }
    out
}

fn hex(digit: u8) -> u8 {
    (digit as char).to_digit(16).map_or(0, |value| value as u8)
}

fn csv_fields<'a>(record: &'a [u8], options: &CopyOptions) -> Result<Fields<'a>, SqlError> {
    let mut fields = Vec::with_capacity(8);
    let mut at = 0;
    loop {
        let rest = record.get(at..).unwrap_or_default();
        let stop = memchr::memchr2(options.delimiter, options.quote, rest).unwrap_or(rest.len());
        let (field, quoted) = if rest.get(stop) == Some(&options.quote) {
            let (field, quoted, end) = csv_field(record, at, options)?;
            at = end;
            (Cow::Owned(field), quoted)
        } else {
            at += stop;
            (Cow::Borrowed(&rest[..stop]), false)
        };
        let is_null = !quoted && *field == *options.null.as_bytes();
        fields.push(if is_null { None } else { Some(text(field)?) });
        if record.len() <= at {
            return Ok(fields);
        }
        at += 1; // the delimiter
    }
}

/// A field that starts at `at`: its bytes, whether it was quoted, and where it ends.
fn csv_field(
    record: &[u8],
    mut at: usize,
    options: &CopyOptions,
) -> Result<(Vec<u8>, bool, usize), SqlError> {
    let (quote, escape) = (options.quote, options.escape);
    let (mut field, mut quoted, mut in_quotes) = (Vec::new(), false, false);
    while let Some(byte) = record.get(at).copied() {
        let next = record.get(at + 1).copied();
        if in_quotes {
            let escapes = byte == escape && (next == Some(quote) || next == Some(escape));
            match next {
                Some(next) if escapes => {
                    field.push(next);
                    at += 1;
                }
                _ if byte == quote => in_quotes = false,
                _ => field.push(byte), // as it is
            }
        } else if byte == options.delimiter {
            break;
        } else if byte == quote {
            (quoted, in_quotes) = (true, true);
        } else {
            field.push(byte);
        }
        at += 1;
    }
    if in_quotes {
        let message = "unterminated CSV quoted field";
        return Err(SqlError::new(sqlstate::BAD_COPY_FILE_FORMAT, message));
    }
    Ok((field, quoted, at))
}

fn text(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, SqlError> {
    match bytes {
        Cow::Borrowed(bytes) => utf8(bytes).map(Cow::Borrowed),
        Cow::Owned(bytes) => utf8(&bytes).map(|text| Cow::Owned(text.to_owned())),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, SqlError> {
    let bad = |at: usize, bytes: &[u8]| {
        let shown: Vec<_> =
            bytes[at..].iter().take(4).map(|byte| format!("0x{byte:02x}")).collect();
        let message = format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" "));
        SqlError::new(sqlstate::CHARACTER_NOT_IN_REPERTOIRE, message)
    };
    if let Some(at) = memchr::memchr(0, bytes) {
        return Err(bad(at, &bytes[..=at]));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let len = error.error_len().unwrap_or(4);
        bad(at, &bytes[..bytes.len().min(at + len)])
    })
}

/// Appends a field, `None` for NULL.
pub(crate) fn put_field(
    out: &mut Vec<u8>,
    field: Option<&str>,
    options: &CopyOptions,
    alone: bool,
) {
    let Some(field) = field else {
        out.extend_from_slice(options.null.as_bytes());
        return;
    };
    match options.format {
        CopyFormat::Text => put_text(out, field, options.delimiter),
        CopyFormat::Csv => put_csv(out, field, options, alone),
    }
}

fn put_text(out: &mut Vec<u8>, field: &str, delimiter: u8) {
    for byte in field.bytes() {
        let letter = match byte {
            8 => b'b',
            12 => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            11 => b'v',
            b'\\' => b'\\',
            byte if byte == delimiter => byte,
            byte => {
                out.push(byte);
                continue;
            }
        };
        out.push(b'\\');
        out.push(letter);
    }
}

fn put_csv(out: &mut Vec<u8>, field: &str, options: &CopyOptions, alone: bool) {
    let special = |byte: u8| {
        byte == options.delimiter || byte == options.quote || matches!(byte, b'\n' | b'\r')
    };
    let must_quote = field.is_empty()
        || field == options.null
        || (alone && field == "\\.")
        || field.bytes().any(special);
    if !must_quote {
        out.extend_from_slice(field.as_bytes());
        return;
    }
    out.push(options.quote);
    for byte in field.bytes() {
        if byte == options.quote || byte == options.escape {
            out.push(options.escape);
        }
        out.push(byte);
    }
    out.push(options.quote);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(format: CopyFormat) -> CopyOptions {
        let (delimiter, null) = match format {
            CopyFormat::Text => (b'\t', "\\N"),
            CopyFormat::Csv => (b',', ""),
        };
        let null = null.to_owned();
        let (quote, escape) = (b'"', b'"');
        CopyOptions { format, delimiter, null, header: false, quote, escape, freeze: false }
    }

    fn read(format: CopyFormat, pieces: &[&str]) -> Vec<Vec<Option<String>>> {
        let owned = |record: Bytes| {
            let fields = fields(&record, &options(format)).unwrap();
            fields.into_iter().map(|field| field.map(Cow::into_owned)).collect()
        };
        let mut splitter = Splitter::new(options(format));
        let mut records = Vec::new();
        for piece in pieces {
            splitter.push(piece.as_bytes()).unwrap();
            while let Some(record) = splitter.next(false) {
                records.push(owned(record));
            }
        }
        while let Some(record) = splitter.next(true) {
            records.push(owned(record));
        }
        records
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn pieces_may_end_anywhere() {
        let whole = "1\ta\\tb\n2\t\\N\r\n\\.\n9\tz\n";
        let expected = vec![vec![some("1"), some("a\tb")], vec![some("2"), None]];
        for cut in 0..whole.len() {
            let (left, right) = whole.split_at(cut);
            assert_eq!(read(CopyFormat::Text, &[left, right]), expected, "cut at {cut}");
        }
    }

    #[test]
    fn escapes_of_the_text_format() {
        let records = read(CopyFormat::Text, &["\\x41\\102\\\\\\q\t\n"]);
        assert_eq!(records, [vec![some("AB\\q"), some("")]]);
    }

    #[test]
    fn quoted_fields_of_csv_span_lines() {
        let whole = "1,\"a \"\"b\"\"\nc\",\n\"\",x\n";
        let expected = vec![vec![some("1"), some("a \"b\"\nc"), None], vec![some(""), some("x")]];
        for cut in 0..whole.len() {
            let (left, right) = whole.split_at(cut);
            assert_eq!(read(CopyFormat::Csv, &[left, right]), expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_quote_may_stand_within_a_field_of_csv() {
        let records = read(CopyFormat::Csv, &["x\"y,\"\"\"z,,a,\n"]);
        assert_eq!(records, [vec![some("xy,\"z"), None, some("a"), None]]);
    }

    #[test]
    fn fields_that_are_written_can_be_read() {
        for format in [CopyFormat::Text, CopyFormat::Csv] {
            let options = options(format);
            let row = [Some("a\\b\t\"c\",\nd"), None, Some(""), Some("plain")];
            let mut out = Vec::new();
            for (at, field) in row.iter().enumerate() {
                if 0 < at {
                    out.push(options.delimiter);
                }
                put_field(&mut out, *field, &options, false);
            }
            let read = fields(&out, &options).unwrap();
            let read: Vec<_> = read.iter().map(Option::as_deref).collect();
            assert_eq!(read, row);
        }
    }
}
