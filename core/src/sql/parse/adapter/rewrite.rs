//! What sqlparser does not read is written in words that it does: `TABLE name`, which it takes for three
//! tokens without places, is `SELECT * FROM name`; `ONLY name` is `name`.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::only::{TablePlaces, keyword, name_end, only};

/// Tokens in sqlparser's words.
pub(super) struct Rewritten {
    /// All of them; what stands for a word lies where that word does.
    pub(super) tokens: Vec<TokenWithSpan>,
    /// For each of them, how many tokens there were up to it.
    ends: Vec<usize>,
}

impl Rewritten {
    /// Of these tokens. `Err` is the place of one that cannot follow the words `TABLE` and `ONLY`.
    pub(super) fn new(tokens: &[TokenWithSpan]) -> Result<Self, usize> {
        let room = tokens.len();
        let mut out = Self { tokens: Vec::with_capacity(room), ends: Vec::with_capacity(room) };
        let mut places = TablePlaces::new();
        let (mut at, mut last) = (0, None);
        while let Some(token) = tokens.get(at) {
            let word = keyword(token);
            if word == Some(Keyword::TABLE) && begins_a_query(&tokens[..at]) {
                check_query(&tokens[at + 1..]).map_err(|wrong| at + 1 + wrong)?;
                for long in [Token::make_keyword("SELECT"), Token::Mul, Token::make_keyword("FROM")]
                {
                    let long = TokenWithSpan::new(long, token.span);
                    places.pass(&long, None);
                    out.push(long, at + 1);
                }
                at += 1;
            } else if places.next()
                && let Some((name, end)) = only(&tokens[at..]).map_err(|wrong| at + wrong)?
            {
                for part in &tokens[at + name.start..at + name.end] {
                    places.pass(part, None);
                    out.push(part.clone(), at + end);
                }
                at += end;
            } else {
                places.pass(token, last);
                out.push(token.clone(), at + 1);
                at += 1;
            }
            last = word;
        }
        Ok(out)
    }

    /// A token in whose place there were as many, with all before it, as `end` says.
    fn push(&mut self, token: TokenWithSpan, end: usize) {
        self.tokens.push(token);
        self.ends.push(end);
    }

    /// The number of tokens that there were, of the first so many of these.
    pub(super) fn before(&self, count: usize) -> usize {
        match count.checked_sub(1) {
            Some(last) => self.ends.get(last).or(self.ends.last()).copied().unwrap_or(0),
            None => 0,
        }
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
    let at = match only(after)? {
        Some((_, end)) => end,
        None => name_end(after, 0)?,
    };
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
