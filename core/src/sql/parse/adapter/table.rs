//! `TABLE name` is `SELECT * FROM name`, and so it is read: sqlparser knows the word, but takes three
//! tokens for the name and forgets their places.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// What the word stands for: so many tokens more.
const MORE: usize = 2;

/// Tokens in which every `TABLE name` is written out.
pub(super) struct WrittenOut {
    /// All of them; what was written out lies where the word `TABLE` does.
    pub(super) tokens: Vec<TokenWithSpan>,
    /// Where `SELECT` stands for `TABLE`, ascending.
    written: Vec<usize>,
}

impl WrittenOut {
    /// Of these tokens. `Err` is the place of one that cannot follow the word and a name.
    pub(super) fn new(tokens: &[TokenWithSpan]) -> Result<Self, usize> {
        let mut out = Self { tokens: Vec::with_capacity(tokens.len()), written: Vec::new() };
        for (at, token) in tokens.iter().enumerate() {
            if keyword(token) == Some(Keyword::TABLE) && begins_a_query(&tokens[..at]) {
                check_query(&tokens[at + 1..]).map_err(|wrong| at + 1 + wrong)?;
                out.written.push(out.tokens.len());
                let [select, from] = ["SELECT", "FROM"].map(Token::make_keyword);
                out.tokens
                    .extend([select, Token::Mul, from].map(|t| TokenWithSpan::new(t, token.span)));
            } else {
                out.tokens.push(token.clone());
            }
        }
        Ok(out)
    }

    /// The number of tokens that were there before, of the first so many.
    pub(super) fn before(&self, count: usize) -> usize {
        let more: usize =
            self.written.iter().map(|at| MORE.min(count.saturating_sub(at + 1))).sum();
        count - more
    }
}

fn keyword(token: &TokenWithSpan) -> Option<Keyword> {
    match &token.token {
        Token::Word(Word { keyword, quote_style: None, .. }) => Some(*keyword),
        _ => None,
    }
}

/// Whether a query may begin after these tokens.
fn begins_a_query(before: &[TokenWithSpan]) -> bool {
    let Some(last) = before.last() else { return true };
    match &last.token {
        Token::LParen | Token::RParen => true,
        // `INSERT INTO t TABLE s`
        Token::Word(Word { quote_style: Some(_), .. }) => true,
        Token::Word(Word { keyword, .. }) => matches!(
            keyword,
            Keyword::NoKeyword
                | Keyword::UNION
                | Keyword::INTERSECT
                | Keyword::EXCEPT
                | Keyword::ALL
                | Keyword::DISTINCT
        ),
        _ => false,
    }
}

/// Whether these tokens begin with a table's name, after which nothing is said of that table; else which
/// of them is wrong.
fn check_query(after: &[TokenWithSpan]) -> Result<(), usize> {
    let mut at = usize::from(after.first().and_then(keyword) == Some(Keyword::ONLY));
    loop {
        match after.get(at).map(|token| &token.token) {
            Some(Token::Word(_)) => at += 1,
            _ => return Err(at),
        }
        match after.get(at) {
            Some(dot) if dot.token == Token::Period => at += 1,
            _ => break,
        }
    }
    let Some(next) = after.get(at) else { return Ok(()) };
    let ends = next.token == Token::RParen
        || matches!(
            keyword(next),
            Some(
                Keyword::ORDER
                    | Keyword::LIMIT
                    | Keyword::OFFSET
                    | Keyword::FETCH
                    | Keyword::FOR
                    | Keyword::UNION
                    | Keyword::INTERSECT
                    | Keyword::EXCEPT
                    | Keyword::ON
                    | Keyword::RETURNING
            )
        );
    if ends { Ok(()) } else { Err(at) }
}
