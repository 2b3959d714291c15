//! The tree of a JSON value.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use crate::row::numeric::Numeric;

/// A JSON value.
#[derive(Clone, Debug)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, exact.
    Number(Numeric),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object; members in the order of their text until made canonical.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Members ordered by length and bytes of their keys; of equal keys the last one stays.
    #[must_use]
    pub fn canonical(self) -> Self {
        match self {
            Self::Array(items) => Self::Array(items.into_iter().map(Self::canonical).collect()),
            Self::Object(members) => {
                let mut sorted: Vec<(String, Self)> =
                    members.into_iter().map(|(key, value)| (key, value.canonical())).collect();
                // Stable, so that the last of equal keys is the last written.
                sorted.sort_by(|(left, _), (right, _)| key_order(left, right));
                let mut kept: Vec<(String, Self)> = Vec::with_capacity(sorted.len());
                for member in sorted {
                    match kept.last_mut() {
                        Some(last) if last.0 == member.0 => *last = member,
                        _ => kept.push(member),
                    }
                }
                Self::Object(kept)
            }
            scalar => scalar,
        }
    }

    /// The member of an object.
    pub fn member(&self, key: &str) -> Option<&Self> {
        match self {
            // The last of equal keys counts, as in `json`.
            Self::Object(members) => {
                members.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
            }
            _ => None, // no members
        }
    }

    /// The element of an array; negative indexes count from the end.
    pub fn element(&self, index: i64) -> Option<&Self> {
        let Self::Array(items) = self else { return None };
        let at = if index < 0 { index + items.len() as i64 } else { index };
        usize::try_from(at).ok().and_then(|at| items.get(at))
    }

    /// What a path of keys and indexes leads to.
    pub fn at_path<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Option<&Self> {
        let mut here = self;
        for step in path {
            here = match here {
                Self::Array(_) => here.element(step.parse().ok()?)?,
                _ => here.member(step)?, // a scalar has no members
            };
        }
        Some(here)
    }

    /// `jsonb_typeof`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// The value as text without quotes: what `->>` gives; `None` for null.
    pub fn to_plain_text(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::String(text) => Some(text.clone()),
            _ => Some(self.to_string()),
        }
    }

    /// Whether `other` is contained in this value by the rules of `@>`.
    pub fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Object(_), Self::Object(members)) => members.iter().all(|(key, value)| {
                self.member(key).is_some_and(|mine| mine.contains_inner(value))
            }),
            (Self::Array(mine), Self::Array(theirs)) => {
                theirs.iter().all(|item| mine.iter().any(|own| own.contains_inner(item)))
            }
            // An array contains a bare scalar, but only at the top.
            (Self::Array(mine), scalar) if !scalar.is_container() => {
                mine.iter().any(|own| own == scalar)
            }
            _ => self == other,
        }
    }

    fn contains_inner(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Array(_), scalar) if !scalar.is_container() => false,
            _ => self.contains(other),
        }
    }

    fn is_container(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Object(_))
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::String(_) => 1,
            Self::Number(_) => 2,
            Self::Bool(_) => 3,
            Self::Array(_) => 4,
            Self::Object(_) => 5,
        }
    }
}

/// By length, then by bytes.
pub(super) fn key_order(left: &str, right: &str) -> Ordering {
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

/// Of canonical values.
/// By the parts that the order compares.
impl Hash for Json {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::Null => {}
            Self::Bool(value) => value.hash(state),
            Self::Number(number) => number.hash(state),
            Self::String(text) => text.hash(state),
            Self::Array(items) => items.hash(state),
            Self::Object(members) => members.hash(state),
        }
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Json {}

impl PartialOrd for Json {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// PostgreSQL's btree order of `jsonb`, for canonical values: objects above arrays above booleans,
/// numbers, strings and null; larger containers above smaller ones.
impl Ord for Json {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            (Self::Number(left), Self::Number(right)) => left.cmp(right),
            (Self::String(left), Self::String(right)) => left.cmp(right),
            (Self::Array(left), Self::Array(right)) => {
                left.len().cmp(&right.len()).then_with(|| left.cmp(right))
            }
            (Self::Object(left), Self::Object(right)) => {
                left.len().cmp(&right.len()).then_with(|| left.cmp(right))
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

/// Appends a string in quotes.
pub fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// As `jsonb` is shown.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::String(text) => {
                let mut quoted = String::with_capacity(text.len() + 2);
                quote(&mut quoted, text);
                f.write_str(&quoted)
            }
            Self::Array(items) => {
                f.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if at == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Object(members) => {
                f.write_str("{")?;
                for (at, (key, value)) in members.iter().enumerate() {
                    let mut quoted = String::with_capacity(key.len() + 2);
                    quote(&mut quoted, key);
                    write!(f, "{}{quoted}: {value}", if at == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
        }
    }
}
