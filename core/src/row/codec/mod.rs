//! Bytes of rows: ordered keys, and compact values.

mod field;
mod key;
mod value;

#[cfg(test)]
mod tests;

pub use field::{decode_field, encode_field};
pub(super) use field::{decode_items, encode_items};
pub use key::{KeyReader, decode_key_column, encode_key_column, encode_key_prefix, hash16};
pub use value::{RowDecoder, RowEncoder, ValueHeader, flag};
