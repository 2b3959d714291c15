//! What every part of the lowering needs: names, places, refusals.

use sqlparser::ast as sp;
use sqlparser::tokenizer::{Span, Token};

use crate::base::error::{SqlError, sqlstate};
use crate::sql::parse::ast::{Name, ObjectName};
use crate::sql::parse::cursor::is_reserved;
use crate::sql::parse::scan::Scan;
use crate::sql::parse::syntax::{error_near, unsupported};

/// Lowers trees whose spans are positions in `scan`'s text.
#[derive(Clone, Copy)]
pub(super) struct Lower<'a> {
    pub(super) scan: &'a Scan<'a>,
}

/// 0A000 for each condition that holds.
macro_rules! refuse {
    ($position:expr; $($present:expr => $what:expr),* $(,)?) => {
        $(if $present {
            return Err($crate::sql::parse::syntax::unsupported($what, $position));
        })*
    };
}
pub(super) use refuse;

/// Where a span begins; 0 if it is empty.
pub(super) fn start(span: Span) -> u32 {
    u32::try_from(span.start.column).unwrap_or(0)
}

/// Where a span ends; 0 if it is empty.
pub(super) fn end(span: Span) -> u32 {
    u32::try_from(span.end.column).unwrap_or(0)
}

/// "improper qualified name (too many dotted names)"
pub(in crate::sql::parse) fn too_many_dots(parts: &[Name]) -> SqlError {
    let text: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
    let message = format!("improper qualified name (too many dotted names): {}", text.join("."));
    SqlError::new(sqlstate::SYNTAX_ERROR, message).at(parts.first().map_or(0, |p| p.position))
}

impl Lower<'_> {
    /// An identifier where any name may stand.
    pub(super) fn name(self, ident: &sp::Ident) -> Result<Name, SqlError> {
        let sp::Ident { value, quote_style, span } = ident;
        let position = start(*span);
        match quote_style {
            // A name that sqlparser put together itself: Snowflake's `FROM @stage`.
            None if position == 0 => {
                let sign = self.scan.tokens.iter().position(|token| token.token == Token::AtSign);
                let position = sign.map_or(0, |index| self.scan.position(index));
                Err(error_near(&self.raw_at(position, value), position))
            }
            None => Ok(Name::new(value, false, position)),
            Some('"') if !value.is_empty() => Ok(Name::new(value, true, position)),
            // sqlparser takes strings for names in places where PostgreSQL does not.
            Some(_) => {
                let string = Token::SingleQuotedString(value.clone());
                let index = self.scan.tokens.iter().position(|token| token.token == string);
                let position = index.map_or(position, |index| self.scan.position(index));
                Err(error_near(&self.raw_at(position, value), position))
            }
        }
    }

    /// An identifier where a reserved word is a syntax error.
    pub(super) fn plain_name(self, ident: &sp::Ident) -> Result<Name, SqlError> {
        let name = self.name(ident)?;
        if ident.quote_style.is_none() && is_reserved(&name.text) {
            return Err(error_near(&self.raw_at(name.position, &ident.value), name.position));
        }
        Ok(name)
    }

    /// Names between commas.
    pub(super) fn names(self, idents: &[sp::Ident]) -> Result<Vec<Name>, SqlError> {
        idents.iter().map(|ident| self.name(ident)).collect()
    }

    /// `a`, `a.b` or `a.b.c`.
    pub(super) fn object_name(self, name: &sp::ObjectName) -> Result<ObjectName, SqlError> {
        let mut parts = Vec::with_capacity(name.0.len());
        for part in &name.0 {
            match part {
                sp::ObjectNamePart::Identifier(ident) => parts.push(self.name(ident)?),
                sp::ObjectNamePart::Function(_) => {
                    return Err(unsupported("a name that is a function call", 0));
                }
            }
        }
        if 3 < parts.len() {
            return Err(too_many_dots(&parts));
        }
        Ok(ObjectName { parts })
    }

    /// A name that must have one part.
    pub(super) fn single_name(self, name: &sp::ObjectName) -> Result<Name, SqlError> {
        let mut name = self.object_name(name)?;
        match (name.parts.len(), name.parts.pop()) {
            (1, Some(part)) => Ok(part),
            _ => Err(unsupported("a qualified name here", name.position())),
        }
    }

    /// The text of the token at `position`, or `fallback`.
    pub(super) fn raw_at(self, position: u32, fallback: &str) -> String {
        match self.scan.index_at(position) {
            Some(index) => self.scan.raw(index).to_owned(),
            None => fallback.to_owned(),
        }
    }

    /// Where the token `text` (lower case for words) stands before `position`; `position` if nowhere.
    pub(super) fn find_before(self, position: u32, text: &str) -> u32 {
        let Some(index) = self.scan.index_at(position) else { return position };
        (0..index)
            .rev()
            .take(SEARCH_TOKENS_MAX)
            .find(|at| self.scan.raw(*at).eq_ignore_ascii_case(text))
            .map_or(position, |at| self.scan.position(at))
    }

    /// Where the token `text` stands at or behind `position`; `position` if nowhere.
    pub(super) fn find_after(self, position: u32, text: &str) -> u32 {
        let tokens = &self.scan.tokens;
        let from = tokens.partition_point(|t| t.span.start.column < u64::from(position));
        (from..tokens.len())
            .take(SEARCH_TOKENS_MAX)
            .find(|at| self.scan.raw(*at) == text)
            .map_or(position, |at| self.scan.position(at))
    }
}

/// How far an operator is looked for: brackets and the words of one operand lie between.
const SEARCH_TOKENS_MAX: usize = 64;
