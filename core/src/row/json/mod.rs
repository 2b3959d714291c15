//! JSON values: `json` keeps its text, `jsonb` is kept as the text that PostgreSQL would show.
//!
//! A `jsonb` datum is [`crate::row::datum::Datum::Json`] in canonical form: objects without
//! duplicate keys, keys ordered by length and then by bytes, one blank after colons and commas.
//! Equal values have equal text, apart from trailing zeros of numbers.

mod canon;
mod parse;
mod value;

#[cfg(test)]
mod tests;

pub use canon::{canonical, compare, hash};
pub use parse::{check, parse, raw_at};
pub use value::{Json, quote};
