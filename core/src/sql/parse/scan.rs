//! From text to tokens whose places are character positions.
//!
//! sqlparser's tokeniser counts lines and columns. PostgreSQL counts characters over the whole query
//! string, so every token is moved to "line 1, column = character position" before anybody parses it:
//! the spans in sqlparser's trees and messages then are positions.

use std::ops::Range;

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

use super::syntax::{error_at_end, error_near, scan_error};
use crate::base::error::SqlError;

/// The tokens of a query string, white space and comments left out.
pub(super) struct Scan<'a> {
    /// The query string.
    pub(super) text: &'a str,
    /// Its tokens; spans are character positions in line 1.
    pub(super) tokens: Vec<TokenWithSpan>,
    /// Where each token lies in `text`, bytes.
    pub(super) bytes: Vec<Range<usize>>,
    /// The position just behind the text.
    pub(super) end: u32,
}

/// Walks the text once, from sqlparser's line and column to characters and bytes.
struct Locator<'a> {
    rest: std::str::Chars<'a>,
    text_len: usize,
    line: u64,
    column: u64,
    character: u64,
}

impl<'a> Locator<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text.chars(), text_len: text.len(), line: 1, column: 1, character: 1 }
    }

    /// Goes on to `target`, which must not lie before the last one.
    fn advance(&mut self, target: Location) -> (u64, usize) {
        while (self.line, self.column) < (target.line, target.column) {
            let Some(next) = self.rest.next() else { break };
            self.character += 1;
            if next == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        (self.character, self.text_len - self.rest.as_str().len())
    }
}

impl<'a> Scan<'a> {
    /// Tokens of `text`.
    ///
    /// # Errors
    ///
    /// 42601 for an unterminated literal, comment or name and for junk behind a number.
    pub(super) fn new(text: &'a str) -> Result<Self, SqlError> {
        let mut raw = Vec::with_capacity(text.len() / 3);
        let outcome =
            Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location_into_buf(&mut raw);
        let mut scan = Self { text, tokens: Vec::with_capacity(raw.len()), bytes: vec![], end: 0 };
        scan.bytes.reserve(raw.len());
        let mut locator = Locator::new(text);
        let mut last_end = Location::new(1, 1);
        for TokenWithSpan { token, span } in raw {
            last_end = span.end;
            if matches!(token, Token::Whitespace(_)) {
                continue;
            }
            let (start, start_byte) = locator.advance(span.start);
            let (end, end_byte) = locator.advance(span.end);
            scan.push(token, Location::new(1, start), Location::new(1, end), start_byte..end_byte)?;
        }
        if let Err(error) = outcome {
            let (position, byte) = locator.advance(last_end);
            return Err(scan.tokenizer_error(&error.message, position, byte));
        }
        let (end, _) = locator.advance(Location::new(u64::MAX, u64::MAX));
        scan.end = u32::try_from(end).unwrap_or(u32::MAX);
        Ok(scan)
    }

    fn push(
        &mut self,
        token: Token,
        start: Location,
        end: Location,
        bytes: Range<usize>,
    ) -> Result<(), SqlError> {
        let glued = self.bytes.last().is_some_and(|last| last.end == bytes.start);
        if glued
            && matches!(token, Token::Word(_))
            && matches!(self.tokens.last(), Some(TokenWithSpan { token: Token::Number(..), .. }))
        {
            let from = self.bytes.last().map_or(0, |last| last.start);
            let position = self.tokens.last().map_or(0, |last| last.span.start.column);
            let junk = self.text.get(from..bytes.end).unwrap_or_default();
            let what = "trailing junk after numeric literal";
            return Err(scan_error(what, junk, u32::try_from(position).unwrap_or(u32::MAX)));
        }
        self.tokens.push(TokenWithSpan { token, span: Span { start, end } });
        self.bytes.push(bytes);
        Ok(())
    }

    fn tokenizer_error(&self, message: &str, position: u64, byte: usize) -> SqlError {
        let position = u32::try_from(position).unwrap_or(u32::MAX);
        let rest = self.text.get(byte..).unwrap_or_default();
        let what = if message.contains("string literal") {
            "unterminated quoted string"
        } else if message.contains("multi-line comment") {
            "unterminated /* comment"
        } else if message.contains("dollar-quoted") {
            "unterminated dollar-quoted string"
        } else if message.contains("close delimiter") {
            "unterminated quoted identifier"
        } else {
            let first = rest.chars().next().map(String::from).unwrap_or_default();
            return error_near(&first, position);
        };
        scan_error(what, rest, position)
    }

    /// The text of token `index` as written.
    pub(super) fn raw(&self, index: usize) -> &'a str {
        self.bytes.get(index).and_then(|range| self.text.get(range.clone())).unwrap_or_default()
    }

    /// The position of token `index`; behind the text if there is none.
    pub(super) fn position(&self, index: usize) -> u32 {
        self.tokens
            .get(index)
            .map_or(self.end, |token| u32::try_from(token.span.start.column).unwrap_or(u32::MAX))
    }

    /// The token that begins at `position`.
    pub(super) fn index_at(&self, position: u32) -> Option<usize> {
        self.tokens.binary_search_by_key(&u64::from(position), |token| token.span.start.column).ok()
    }

    /// The syntax error at token `index`.
    pub(super) fn unexpected(&self, index: usize) -> SqlError {
        if index < self.tokens.len() {
            error_near(self.raw(index), self.position(index))
        } else {
            error_at_end(self.end)
        }
    }

    /// Ranges of tokens between semicolons, empty ones left out.
    pub(super) fn statements(&self) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        let mut start = 0;
        for (at, token) in self.tokens.iter().enumerate() {
            if token.token == Token::SemiColon {
                ranges.push(start..at);
                start = at + 1;
            }
        }
        ranges.push(start..self.tokens.len());
        ranges.retain(|range| !range.is_empty());
        ranges
    }
}
