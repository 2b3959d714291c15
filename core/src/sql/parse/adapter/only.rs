//! `ONLY name` is `name`, because no table has children; sqlparser takes the word for a name.

use std::ops::Range;

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// Follows the tokens of a statement as far as it takes to know where a table is named next.
pub(super) struct TablePlaces {
    /// One a bracket that is open, and one for what is outside all.
    levels: Vec<Level>,
}

/// What is known of the text between two brackets.
#[derive(Clone, Copy, Default)]
struct Level {
    /// A query or a statement began here, so its FROM is not a function's.
    query: bool,
    /// A list of tables goes on, so a comma is followed by a table.
    list: bool,
    /// A table comes next.
    next: bool,
}

impl TablePlaces {
    /// Before the first token.
    pub(super) fn new() -> Self {
        Self { levels: vec![Level::default()] }
    }

    /// Whether a table is named next.
    pub(super) fn next(&self) -> bool {
        self.levels.last().is_some_and(|level| level.next)
    }

    /// Goes on over a token; `last` is the one before it.
    pub(super) fn pass(&mut self, token: &TokenWithSpan, last: Option<Keyword>) {
        match token.token {
            Token::LParen => return self.levels.push(Level::default()),
            Token::RParen if 1 < self.levels.len() => self.levels.truncate(self.levels.len() - 1),
            _ => {}
        }
        let Some(level) = self.levels.last_mut() else { return };
        level.next = false;
        match keyword(token) {
            None => level.next = token.token == Token::Comma && level.list,
            Some(Keyword::FROM | Keyword::USING)
                if level.query && last != Some(Keyword::DISTINCT) =>
            {
                (level.list, level.next) = (true, true);
            }
            Some(Keyword::UPDATE) if last != Some(Keyword::FOR) && last != Some(Keyword::KEY) => {
                *level = Level { query: true, list: false, next: true };
            }
            Some(Keyword::JOIN) => level.next = true,
            Some(Keyword::SELECT | Keyword::DELETE) => {
                *level = Level { query: true, ..Level::default() };
            }
            Some(
                Keyword::WHERE
                | Keyword::GROUP
                | Keyword::HAVING
                | Keyword::WINDOW
                | Keyword::ORDER
                | Keyword::LIMIT
                | Keyword::OFFSET
                | Keyword::FETCH
                | Keyword::FOR
                | Keyword::SET
                | Keyword::RETURNING
                | Keyword::UNION
                | Keyword::INTERSECT
                | Keyword::EXCEPT,
            ) => level.list = false,
            Some(_) => {}
        }
    }
}

/// The name that the word ONLY stands before, and where what follows it begins, if these tokens begin
/// with that word: `ONLY t`, `ONLY (s.t)`. `Err` is the place of what is no name.
pub(super) fn only(tokens: &[TokenWithSpan]) -> Result<Option<(Range<usize>, usize)>, usize> {
    if tokens.first().and_then(keyword) != Some(Keyword::ONLY) {
        return Ok(None);
    }
    let is = |at: usize, wanted: Token| tokens.get(at).is_some_and(|token| token.token == wanted);
    if !is(1, Token::LParen) {
        let end = name_end(tokens, 1)?;
        return Ok(Some((1..end, end)));
    }
    let end = name_end(tokens, 2)?;
    if is(end, Token::RParen) { Ok(Some((2..end, end + 1))) } else { Err(end) }
}

/// Where the name that begins at `at` ends; `Err` is where a part of it is missing.
pub(super) fn name_end(tokens: &[TokenWithSpan], mut at: usize) -> Result<usize, usize> {
    let is =
        |at: usize, wanted: fn(&Token) -> bool| tokens.get(at).is_some_and(|t| wanted(&t.token));
    loop {
        if !is(at, |token| matches!(token, Token::Word(_))) {
            return Err(at);
        }
        at += 1;
        if !is(at, |token| *token == Token::Period) {
            return Ok(at);
        }
        at += 1;
    }
}

/// The word that a token is, unless it is quoted.
pub(super) fn keyword(token: &TokenWithSpan) -> Option<Keyword> {
    match &token.token {
        Token::Word(Word { keyword, quote_style: None, .. }) => Some(*keyword),
        _ => None,
    }
}
