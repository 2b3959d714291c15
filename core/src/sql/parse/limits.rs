//! Bounds that hold before a parser sees the text.
//!
//! sqlparser, and every walk over a tree, recurses as deep as the tree is, and so does dropping it. A
//! depth that the stack cannot carry must therefore never become a tree: this scan over the tokens
//! counts open brackets and the operators of each chain.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::syntax::too_complex;
use crate::base::error::{SqlError, sqlstate};
use crate::base::limit;

/// Operators in one chain other than AND and OR: each is one level of the tree. AND and OR may be
/// [`limit::OPERATOR_CHAIN_MAX`], because our tree holds them flat.
pub(super) const OPERATOR_DEPTH_MAX: usize = limit::OPERATOR_CHAIN_MAX / 16;

/// Refuses a text that is too long.
pub(super) fn check_bytes(text: &str) -> Result<(), SqlError> {
    if limit::STATEMENT_BYTES_MAX < text.len() {
        return Err(SqlError::new(
            sqlstate::PROGRAM_LIMIT_EXCEEDED,
            format!("statement is longer than {} bytes", limit::STATEMENT_BYTES_MAX),
        ));
    }
    Ok(())
}

/// What one bracket, or the statement itself, holds so far.
#[derive(Clone, Copy, Default)]
struct Level {
    operators: usize,
    logical: usize,
}

/// Refuses tokens that nest too deeply or chain too many operators.
pub(super) fn check_depth(tokens: &[TokenWithSpan]) -> Result<(), SqlError> {
    let mut stack = Vec::with_capacity(16);
    let mut level = Level::default();
    for token in tokens {
        let position = u32::try_from(token.span.start.column).unwrap_or(u32::MAX);
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                // `a[1][2]…` is a chain as well as nesting.
                level.operators += usize::from(token.token == Token::LBracket);
                stack.push(level);
                level = Level::default();
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                level = stack.pop().unwrap_or_default();
            }
            Token::Comma | Token::SemiColon => level = Level::default(),
            Token::Word(word) if word.quote_style.is_none() => match word.keyword {
                Keyword::CASE => {
                    stack.push(level);
                    level = Level::default();
                }
                Keyword::END => level = stack.pop().unwrap_or_default(),
                Keyword::AND | Keyword::OR => {
                    level.logical += 1;
                    level.operators = 0;
                }
                Keyword::WHEN | Keyword::THEN | Keyword::ELSE => level = Level::default(),
                keyword if is_chaining(keyword) => level.operators += 1,
                _ => {}
            },
            Token::Word(_)
            | Token::Number(..)
            | Token::Placeholder(_)
            | Token::SingleQuotedString(_)
            | Token::EscapedStringLiteral(_)
            | Token::DollarQuotedString(_)
            | Token::Period => {}
            _ => level.operators += 1,
        }
        if limit::NESTING_MAX < stack.len()
            || OPERATOR_DEPTH_MAX < level.operators
            || limit::OPERATOR_CHAIN_MAX < level.logical
        {
            return Err(too_complex(position));
        }
    }
    Ok(())
}

/// Words that add a level to the tree as an operator does.
fn is_chaining(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::NOT
            | Keyword::LIKE
            | Keyword::ILIKE
            | Keyword::SIMILAR
            | Keyword::IS
            | Keyword::IN
            | Keyword::BETWEEN
            | Keyword::COLLATE
            | Keyword::AT
            | Keyword::OPERATOR
            | Keyword::UNION
            | Keyword::INTERSECT
            | Keyword::EXCEPT
            | Keyword::JOIN
    )
}
