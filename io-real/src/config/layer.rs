//! One source of configuration: a file or the environment, checked against the schema where it
//! stands, so that every complaint names its place.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use config::{ConfigError, Map, Source, Value, ValueKind};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::schema::{KEYS, Key, Kind, find, nearest};

/// Bytes of a configuration file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What is wrong, and where.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct Complaint {
    /// `file:line:key`, or as much of it as there is.
    pub place: String,
    /// One sentence, without a full stop.
    pub problem: String,
}

impl Complaint {
    /// What is wrong at a place.
    pub fn new(place: impl fmt::Display, problem: impl Into<String>) -> Self {
        Self { place: place.to_string(), problem: problem.into() }
    }
}

/// A checked source: values by the schema's names, each with its place.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    values: BTreeMap<&'static str, Value>,
    /// Keys that do nothing yet, with their places.
    pub inactive: Vec<String>,
}

impl Layer {
    /// Reads a file; `Ok(None)` if there is none.
    ///
    /// # Errors
    ///
    /// If it cannot be read, others may write it, or something in it is wrong.
    pub fn from_file(path: &Path) -> Result<Option<Self>, Complaint> {
        let text = match read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(Complaint::new(path.display(), format!("cannot be read: {error}")));
            }
        };
        Self::from_text(&path.display().to_string(), &text).map(Some)
    }

    /// Reads a file's text.
    ///
    /// # Errors
    ///
    /// If something in it is wrong.
    pub fn from_text(name: &str, text: &str) -> Result<Self, Complaint> {
        let document = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            Complaint::new(format!("{name}:{}", line_of(text, at)), error.message())
        })?;
        let mut layer = Self::default();
        let walk = Walk { name, text };
        walk.table("", document.get_ref(), &mut layer)?;
        Ok(layer)
    }

    /// Reads variables such as `SHARDFORGE_RAFT_ELECTION_TIMEOUT_MS`, or with `__` after the
    /// section.
    ///
    /// # Errors
    ///
    /// If a value is wrong, or a variable with a section's prefix is no key.
    pub fn from_environment(
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Complaint> {
        let names = variable_names();
        let mut layer = Self::default();
        for (variable, text) in variables {
            let Some(rest) = variable.strip_prefix("SHARDFORGE_") else { continue };
            let Some(path) = names.get(rest) else {
                // Other programs of ours may have variables: only a section's name makes it ours.
                let section = rest.split('_').next().unwrap_or_default().to_lowercase();
                if KEYS.iter().any(|key| key.path.starts_with(&format!("{section}."))) {
                    let guess = rest.to_lowercase().replacen('_', ".", 1);
                    return Err(unknown(&variable, &guess));
                }
                continue;
            };
            layer.set(&variable, path, &Raw::Text(text))?;
        }
        Ok(layer)
    }

    /// Sets a key from a flag.
    ///
    /// # Errors
    ///
    /// If the value is wrong.
    pub fn set_flag(&mut self, flag: &str, path: &str, text: &str) -> Result<(), Complaint> {
        self.set(flag, path, &Raw::Text(text.to_owned()))
    }

    /// Sets a list from a flag.
    pub fn set_list(&mut self, flag: &str, path: &str, items: &[String]) -> Result<(), Complaint> {
        let items = items.iter().cloned().map(Raw::Text).collect();
        self.set(flag, path, &Raw::List(items))
    }

    fn set(&mut self, place: &str, path: &str, raw: &Raw) -> Result<(), Complaint> {
        let Some((key, in_mib)) = find(path) else { return Err(unknown(place, path)) };
        let kind = check(key, in_mib, raw).map_err(|problem| Complaint::new(place, problem))?;
        let value = Value::new(Some(&place.to_owned()), kind);
        if self.values.insert(key.path, value).is_some() {
            let problem = format!("{} is set twice, under both of its names", key.path);
            return Err(Complaint::new(place, problem));
        }
        if !key.active {
            self.inactive.push(place.to_owned());
        }
        Ok(())
    }
}

impl Layer {
    /// The keys that this source sets, and where.
    pub fn places(&self) -> impl Iterator<Item = (&'static str, String)> {
        let place = |value: &Value| value.origin().unwrap_or_default().to_owned();
        self.values.iter().map(move |(key, value)| (*key, place(value)))
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.values.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
    }
}

/// Environment names without the prefix, in both spellings, to keys.
fn variable_names() -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for key in KEYS {
        let mut add = |path: String| {
            let upper = path.to_uppercase();
            names.insert(upper.replace('.', "_"), path.clone());
            names.insert(upper.replace('.', "__"), path);
        };
        add(key.path.to_owned());
        if matches!(key.kind, Kind::Bytes(..)) {
            add(format!("{}_mb", key.path));
        }
    }
    names
}

fn read(path: &Path) -> std::io::Result<String> {
    use std::io::{Error, ErrorKind};
    use std::os::unix::fs::PermissionsExt;
    let metadata = std::fs::metadata(path)?;
    if metadata.permissions().mode() & 0o022 != 0 && metadata.is_file() {
        return Err(Error::new(
            ErrorKind::PermissionDenied,
            "others may write it; chmod go-w makes it acceptable",
        ));
    }
    if FILE_BYTES_MAX < metadata.len() {
        return Err(Error::new(ErrorKind::InvalidData, "it is larger than 1 MiB"));
    }
    std::fs::read_to_string(path)
}

fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

fn unknown(place: &str, path: &str) -> Complaint {
    let problem = match nearest(path) {
        Some(nearest) => format!("unknown key; did you mean {nearest}?"),
        None => "unknown key".to_owned(),
    };
    Complaint::new(place, problem)
}

/// A value before it is checked.
#[derive(Clone, Debug)]
enum Raw {
    Text(String),
    Integer(i64),
    Float(f64),
    Flag(bool),
    List(Vec<Raw>),
    Other,
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::List(_) => f.write_str("a list"),
            Self::Other => f.write_str("a value of another type"),
        }
    }
}

struct Walk<'a> {
    name: &'a str,
    text: &'a str,
}

impl Walk<'_> {
    fn table(&self, prefix: &str, table: &DeTable<'_>, layer: &mut Layer) -> Result<(), Complaint> {
        for (key, value) in table {
            let path = match prefix {
                "" => key.get_ref().to_string(),
                _ => format!("{prefix}.{}", key.get_ref()),
            };
            let line = line_of(self.text, key.span().start);
            let place = format!("{}:{line}:{path}", self.name);
            let section = KEYS.iter().any(|key| key.path.starts_with(&format!("{path}.")));
            match value.get_ref() {
                DeValue::Table(inner) if section => self.table(&path, inner, layer)?,
                _ if section => {
                    return Err(Complaint::new(place, "this is a section, not a value"));
                }
                other => layer.set(&place, &path, &raw(other))?,
            }
        }
        Ok(())
    }
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Raw::Other, Raw::Integer)
        }
        DeValue::Float(number) => number.as_str().parse().map_or(Raw::Other, Raw::Float),
        DeValue::Boolean(flag) => Raw::Flag(*flag),
        DeValue::Array(items) => Raw::List(raw_items(items)),
        DeValue::Datetime(_) | DeValue::Table(_) => Raw::Other,
    }
}

fn raw_items(items: &DeArray<'_>) -> Vec<Raw> {
    items.iter().map(|item: &Spanned<DeValue<'_>>| raw(item.get_ref())).collect()
}

/// The value in the schema's form, or what is wrong with it.
fn check(key: &Key, in_mib: bool, raw: &Raw) -> Result<ValueKind, String> {
    let within = |number: i64, min: i64, max: i64| {
        if (min..=max).contains(&number) {
            Ok(ValueKind::I64(number))
        } else {
            Err(format!("{number} is not between {min} and {max}"))
        }
    };
    match key.kind {
        Kind::Text(allowed) => match raw {
            Raw::Text(text) if allowed.is_empty() || allowed.contains(&text.as_str()) => {
                Ok(text.as_str().into())
            }
            other if allowed.is_empty() => Err(format!("{other} is not a text")),
            other => Err(format!("{other} is not one of: {}", allowed.join(", "))),
        },
        Kind::Flag => match raw {
            Raw::Flag(flag) => Ok((*flag).into()),
            Raw::Text(text) if text == "true" || text == "false" => Ok((text == "true").into()),
            other => Err(format!("{other} is neither true nor false")),
        },
        Kind::Integer(min, max) => within(integer(raw)?, min, max),
        Kind::IntegerOrAuto(min, max) => match raw {
            Raw::Text(text) if text == "auto" => Ok("auto".into()),
            other => within(integer(other)?, min, max),
        },
        Kind::Number(min, max) => match number(raw) {
            Some(number) if (min..=max).contains(&number) => Ok(number.into()),
            Some(number) => Err(format!("{number} is not between {min} and {max}")),
            None => Err(format!("{raw} is not a number")),
        },
        Kind::Bytes(min, max) => {
            let bytes = if in_mib { mib(raw)? } else { size(raw)? };
            within(bytes, min, max)
        }
        Kind::Node => within(node(raw)?, 1, (1 << 24) - 1),
        Kind::List => match raw {
            Raw::List(items) => list(items),
            Raw::Text(text) => {
                list(&text.split(',').map(|item| Raw::Text(item.trim().into())).collect::<Vec<_>>())
            }
            other => Err(format!("{other} is not a list of texts")),
        },
    }
}

fn integer(raw: &Raw) -> Result<i64, String> {
    let number = match raw {
        Raw::Integer(number) => Some(*number),
        Raw::Text(text) => text.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| format!("{raw} is not a whole number"))
}

fn number(raw: &Raw) -> Option<f64> {
    match raw {
        Raw::Float(number) => Some(*number),
        Raw::Integer(number) => Some(*number as f64),
        Raw::Text(text) => text.parse().ok(),
        Raw::Flag(_) | Raw::List(_) | Raw::Other => None,
    }
}

fn mib(raw: &Raw) -> Result<i64, String> {
    integer(raw)?.checked_mul(1 << 20).ok_or_else(|| format!("{raw} is too large"))
}

/// A size with a unit; units are powers of 1024, as PostgreSQL's are.
fn size(raw: &Raw) -> Result<i64, String> {
    let wrong = || format!("{raw} is not a size such as \"256MB\"");
    let Raw::Text(text) = raw else { return Err(wrong()) };
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: i64 = text[..digits].parse().map_err(|_| wrong())?;
    let shift = match text[digits..].trim() {
        "" | "B" => 0,
        "kB" | "KB" | "KiB" => 10,
        "MB" | "MiB" => 20,
        "GB" | "GiB" => 30,
        "TB" | "TiB" => 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).ok_or_else(|| format!("{raw} is too large"))
}

fn node(raw: &Raw) -> Result<i64, String> {
    match raw {
        Raw::Text(text) => {
            let digits = text.strip_prefix("node-").unwrap_or(text);
            digits.parse().map_err(|_| format!("{raw} is not a node such as 1 or \"node-1\""))
        }
        other => integer(other),
    }
}

fn list(items: &[Raw]) -> Result<ValueKind, String> {
    let mut values = Vec::new();
    for item in items {
        match item {
            Raw::Text(text) => values.push(Value::new(None, text.as_str())),
            other => return Err(format!("{other} is not a text")),
        }
    }
    Ok(ValueKind::Array(values))
}

/// `~` at the beginning of a path is the user's home.
pub fn expand_home(path: &str, home: Option<&str>) -> PathBuf {
    match (path.strip_prefix('~'), home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
            PathBuf::from(format!("{home}{rest}"))
        }
        _ => PathBuf::from(path),
    }
}
