//! Names as the user wrote them, folded to lower case unless quoted.

use std::fmt;

/// Bytes of a name that count: PostgreSQL's `NAMEDATALEN` - 1. Longer names are cut.
pub(super) const NAME_BYTES_MAX: usize = 63;

/// One identifier.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Name {
    /// Folded to lower case unless quoted; at most [`NAME_BYTES_MAX`] bytes.
    pub text: String,
    /// Where it stands.
    pub position: u32,
}

impl Name {
    /// A name as it is compared: folded unless `quoted`, cut to [`NAME_BYTES_MAX`] bytes.
    pub fn new(text: &str, quoted: bool, position: u32) -> Self {
        let mut text = if quoted { text.to_owned() } else { text.to_ascii_lowercase() };
        if NAME_BYTES_MAX < text.len() {
            let end = (0..=NAME_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at));
            text.truncate(end.unwrap_or(0));
        }
        Self { text, position }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A possibly qualified name: `table`, `schema.table`, `database.schema.table`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ObjectName {
    /// One to three parts, outermost first.
    pub parts: Vec<Name>,
}

impl ObjectName {
    /// The last part: the object's own name.
    ///
    /// # Panics
    ///
    /// If there is no part; the parser makes none.
    pub fn name(&self) -> &Name {
        assert!(!self.parts.is_empty(), "a name without a part");
        &self.parts[self.parts.len() - 1]
    }

    /// The schema, if it was given.
    pub fn schema(&self) -> Option<&Name> {
        self.parts.len().checked_sub(2).and_then(|at| self.parts.get(at))
    }

    /// The database, if it was given.
    pub fn database(&self) -> Option<&Name> {
        self.parts.len().checked_sub(3).and_then(|at| self.parts.get(at))
    }

    /// Where it begins.
    pub fn position(&self) -> u32 {
        self.parts.first().map_or(0, |part| part.position)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.parts.iter().enumerate() {
            if 0 < at {
                f.write_str(".")?;
            }
            f.write_str(&part.text)?;
        }
        Ok(())
    }
}

/// A type as written: `numeric(10,2)`, `timestamp with time zone`, `int[]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TypeName {
    /// The SQL spellings are already PostgreSQL's internal names: `int4`, `float8`, `bpchar`,
    /// `timestamptz`. `serial`, `bigserial` and `smallserial` stay as they are.
    pub name: ObjectName,
    /// What stood in parentheses: length, or precision and scale.
    pub modifiers: Vec<i64>,
    /// Whether it is an array of that type.
    pub array: bool,
    /// Where it begins.
    pub position: u32,
}
