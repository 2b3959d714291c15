//! From query text to our own syntax tree.
//!
//! [`parse`] is the door: text in, statements out. sqlparser does the grammar of queries, of INSERT,
//! UPDATE and DELETE and of expressions; [`adapter`](self) lowers its trees at once and its types stop
//! there. Statements whose grammar is flat (transactions, settings, COPY, VACUUM, DDL) are read by a
//! small cursor over the same tokens, because sqlparser reads many of PostgreSQL's forms differently
//! or not at all. [`normalize`] is the way around all of it: the plan cache's key for a simple
//! statement.
//!
//! - A clause that we do not support is 0A000 with a position, never dropped.
//! - Length, nesting and operator chains are bounded before any parser runs ([`limits`](self)).

mod adapter;
pub mod ast;
mod cursor;
mod ddl;
mod limits;
mod normalize;
mod scan;
mod script;
mod stack;
mod syntax;
mod type_name;
mod utility;

#[cfg(test)]
mod tests;

pub use normalize::{NormalizedText, TextLiteral, TextLiteralKind, normalize};
pub use script::{Parsed, parse, parse_one};
pub use stack::with_stack;
