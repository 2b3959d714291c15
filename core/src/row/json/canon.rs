//! Equality, order and hash of canonical texts.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use super::parse;
use crate::base::error::SqlError;

/// The order of two canonical texts.
pub fn compare(left: &str, right: &str) -> Ordering {
    if left == right {
        return Ordering::Equal;
    }
    match (parse(left, "json"), parse(right, "json")) {
        (Ok(left), Ok(right)) => left.cmp(&right),
        // Every datum was parsed when it was made; any fixed order will do for what was not.
        _ => left.cmp(right),
    }
}

/// A hash that agrees with [`compare`].
pub fn hash<H: Hasher>(text: &str, state: &mut H) {
    match parse(text, "json") {
        Ok(value) => value.hash(state),
        Err(_) => text.hash(state),
    }
}

/// The canonical text of a `jsonb`.
///
/// # Errors
///
/// 22P02 if the text is not JSON, 54001 if it nests too deeply.
pub fn canonical(text: &str) -> Result<String, SqlError> {
    Ok(parse(text, "json")?.canonical().to_string())
}
