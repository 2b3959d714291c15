//! A cursor over tokens, for the statements whose grammar is flat.

use std::ops::Range;

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::adapter;
use super::ast::{Expr, Name, ObjectName, StorageOption, TypeName};
use super::scan::Scan;
use super::syntax::unsupported;
use crate::base::error::SqlError;

/// Reads the tokens of one statement from left to right.
pub(super) struct Cursor<'a> {
    pub(super) scan: &'a Scan<'a>,
    pub(super) index: usize,
    pub(super) end: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(scan: &'a Scan<'a>, tokens: Range<usize>) -> Self {
        Self { scan, index: tokens.start, end: tokens.end }
    }

    /// The tokens that are not read yet.
    pub(super) fn rest(&self) -> &'a [TokenWithSpan] {
        self.scan.tokens.get(self.index..self.end).unwrap_or_default()
    }

    fn peek_at(&self, ahead: usize) -> Option<&'a Token> {
        self.rest().get(ahead).map(|token| &token.token)
    }

    /// The next token.
    pub(super) fn peek(&self) -> Option<&'a Token> {
        self.peek_at(0)
    }

    /// The next token if it is an unquoted word, in lower case.
    pub(super) fn peek_word(&self) -> Option<String> {
        self.peek_word_at(0)
    }

    /// The same, `ahead` tokens further.
    pub(super) fn peek_word_at(&self, ahead: usize) -> Option<String> {
        match self.peek_at(ahead)? {
            Token::Word(word) if word.quote_style.is_none() => {
                Some(word.value.to_ascii_lowercase())
            }
            _ => None,
        }
    }

    /// Whether the next token is `(`.
    pub(super) fn peek_is_open(&self) -> bool {
        self.peek() == Some(&Token::LParen)
    }

    /// Whether all is read.
    pub(super) fn at_end(&self) -> bool {
        self.end <= self.index
    }

    /// The position of the next token.
    pub(super) fn position(&self) -> u32 {
        self.scan.position(self.index)
    }

    /// The syntax error at the next token.
    pub(super) fn unexpected(&self) -> SqlError {
        self.scan.unexpected(self.index)
    }

    /// "what is not supported" at the next token.
    pub(super) fn unsupported(&self, what: &str) -> SqlError {
        unsupported(what, self.position())
    }

    /// Whether the next token is the unquoted word `word` (lower case).
    pub(super) fn at_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(w))
            if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
    }

    /// Reads `word` if it is next.
    pub(super) fn eat(&mut self, word: &str) -> bool {
        let there = self.at_word(word);
        self.index += usize::from(there);
        there
    }

    /// Reads all of `words` if they are next, or nothing.
    pub(super) fn eat_all(&mut self, words: &[&str]) -> bool {
        let there = words
            .iter()
            .enumerate()
            .all(|(ahead, word)| self.peek_word_at(ahead).is_some_and(|next| next == *word));
        self.index += if there { words.len() } else { 0 };
        there
    }

    /// Reads `word`, which must be next.
    pub(super) fn expect(&mut self, word: &str) -> Result<(), SqlError> {
        if self.eat(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// Reads the token if it is next.
    pub(super) fn eat_token(&mut self, token: &Token) -> bool {
        let there = self.peek() == Some(token);
        self.index += usize::from(there);
        there
    }

    /// Reads the token, which must be next.
    pub(super) fn expect_token(&mut self, token: &Token) -> Result<(), SqlError> {
        if self.eat_token(token) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// All must be read.
    pub(super) fn expect_end(&self) -> Result<(), SqlError> {
        if self.at_end() { Ok(()) } else { Err(self.unexpected()) }
    }

    /// An identifier. Any unquoted word will do here: the flat grammars have no place where a reserved
    /// word and a name could both stand, but for the few that `RESERVED` lists.
    pub(super) fn name(&mut self) -> Result<Name, SqlError> {
        let position = self.position();
        match self.peek() {
            Some(Token::Word(word)) => {
                let quoted = word.quote_style.is_some();
                let name = Name::new(&word.value, quoted, position);
                if (!quoted && RESERVED.contains(&name.text.as_str())) || name.text.is_empty() {
                    return Err(self.unexpected());
                }
                self.index += 1;
                Ok(name)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// `a`, `a.b` or `a.b.c`.
    pub(super) fn object_name(&mut self) -> Result<ObjectName, SqlError> {
        let mut parts = vec![self.name()?];
        while self.eat_token(&Token::Period) {
            parts.push(self.name()?);
        }
        if 3 < parts.len() {
            return Err(adapter::too_many_dots(&parts));
        }
        Ok(ObjectName { parts })
    }

    /// Items between commas.
    pub(super) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, SqlError>,
    ) -> Result<Vec<T>, SqlError> {
        let mut items = vec![item(self)?];
        while self.eat_token(&Token::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Items between commas, in parentheses.
    pub(super) fn parens<T>(
        &mut self,
        item: impl FnMut(&mut Self) -> Result<T, SqlError>,
    ) -> Result<Vec<T>, SqlError> {
        self.expect_token(&Token::LParen)?;
        let items = self.list(item)?;
        self.expect_token(&Token::RParen)?;
        Ok(items)
    }

    /// A string literal of any spelling.
    pub(super) fn string(&mut self) -> Result<String, SqlError> {
        let text = match self.peek() {
            Some(Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)) => {
                text.clone()
            }
            Some(Token::DollarQuotedString(text)) => text.value.clone(),
            _ => return Err(self.unexpected()),
        };
        self.index += 1;
        Ok(text)
    }

    /// A whole number with an optional sign.
    pub(super) fn integer(&mut self) -> Result<i64, SqlError> {
        let start = self.index;
        let negative = self.eat_token(&Token::Minus) || {
            self.eat_token(&Token::Plus);
            false
        };
        let value = match self.peek() {
            Some(Token::Number(digits, false)) => {
                let sign = if negative { "-" } else { "" };
                format!("{sign}{digits}").parse::<i64>().ok()
            }
            _ => None,
        };
        let Some(value) = value else {
            let error = self.unexpected();
            self.index = start;
            return Err(error);
        };
        self.index += 1;
        Ok(value)
    }

    /// `CASCADE` or `RESTRICT`, if written: whether it is CASCADE.
    pub(super) fn cascade(&mut self) -> bool {
        self.eat("cascade") || {
            self.eat("restrict");
            false
        }
    }

    /// `IF EXISTS`
    pub(super) fn if_exists(&mut self) -> bool {
        self.eat_all(&["if", "exists"])
    }

    /// `IF NOT EXISTS`
    pub(super) fn if_not_exists(&mut self) -> bool {
        self.eat_all(&["if", "not", "exists"])
    }

    /// `(name [= value], …)`
    pub(super) fn storage_options(&mut self) -> Result<Vec<StorageOption>, SqlError> {
        self.parens(|cursor| {
            let name = cursor.object_name()?;
            let name = Name { text: name.to_string(), position: name.position() };
            let value =
                if cursor.eat_token(&Token::Eq) { Some(cursor.option_value()?) } else { None };
            Ok(StorageOption { name, value })
        })
    }

    /// A word, a string or a number as text.
    pub(super) fn option_value(&mut self) -> Result<String, SqlError> {
        match self.peek() {
            Some(Token::Word(word)) => {
                let text = word.value.clone();
                self.index += 1;
                Ok(text)
            }
            Some(Token::Number(..) | Token::Minus | Token::Plus) => {
                let sign = if self.eat_token(&Token::Minus) { "-" } else { "" };
                self.eat_token(&Token::Plus);
                match self.peek() {
                    Some(Token::Number(digits, _)) => {
                        self.index += 1;
                        Ok(format!("{sign}{digits}"))
                    }
                    _ => Err(self.unexpected()),
                }
            }
            _ => self.string(),
        }
    }

    /// An expression, which sqlparser reads.
    pub(super) fn expr(&mut self) -> Result<Expr, SqlError> {
        adapter::expression(self)
    }

    /// What follows DEFAULT.
    pub(super) fn default_expr(&mut self) -> Result<Expr, SqlError> {
        adapter::default_expression(self)
    }

    /// A type.
    pub(super) fn type_name(&mut self) -> Result<TypeName, SqlError> {
        super::type_name::parse(self)
    }
}

/// Words that no table, column or option is called without quotes (PostgreSQL, appendix C), as far as
/// the flat grammars could mistake them for a name.
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "constraint",
    "create",
    "current_catalog",
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "from",
    "grant",
    "group",
    "having",
    "in",
    "initially",
    "intersect",
    "into",
    "lateral",
    "leading",
    "limit",
    "localtime",
    "localtimestamp",
    "not",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "placing",
    "primary",
    "references",
    "returning",
    "select",
    "session_user",
    "some",
    "symmetric",
    "table",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "variadic",
    "when",
    "where",
    "window",
    "with",
];

/// Whether an unquoted word cannot be a name.
pub(super) fn is_reserved(word: &str) -> bool {
    RESERVED.binary_search(&word).is_ok()
}
