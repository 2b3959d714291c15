//! What the targets `madsim` and `turmoil` share: PostgreSQL's simple protocol as a client speaks it,
//! and the rows of the workload.

use shardforge_core::base::buggify::Faults;
use shardforge_core::base::error::{SqlError, SqlState};
use shardforge_io_sim::{Outcome, Rows};

/// `SIM_BUG` plants a bug in every node, to see a test fail.
pub(crate) fn planted() -> Faults {
    let bug = std::env::var("SIM_BUG").ok().and_then(|bug| bug.parse().ok());
    Faults { bug, buggify_seed: None }
}

/// The start-up packet.
pub(crate) fn startup() -> Vec<u8> {
    let body = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";
    let mut bytes = (body.len() as u32 + 4).to_be_bytes().to_vec();
    bytes.extend(body);
    bytes
}

/// A simple query.
pub(crate) fn query(sql: &str) -> Vec<u8> {
    let mut bytes = vec![b'Q'];
    bytes.extend((sql.len() as u32 + 5).to_be_bytes());
    bytes.extend(sql.as_bytes());
    bytes.push(0);
    bytes
}

/// What came back for a query, or for the start-up packet.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) rows: Rows,
    pub(crate) tags: Vec<String>,
    pub(crate) error: Option<SqlError>,
    in_block: bool,
}

impl Answer {
    /// In the words of scripts.
    pub(crate) fn outcome(self) -> Outcome {
        let Self { rows, tags, error, in_block } = self;
        match error {
            Some(error) => Outcome::Failed { error, in_block },
            None => Outcome::Done { rows, tags },
        }
    }
}

/// Collects bytes until an answer is whole.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    unread: Vec<u8>,
    answer: Answer,
}

impl Answers {
    /// Takes bytes in; an answer if ReadyForQuery was among them.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Option<Answer> {
        self.unread.extend(bytes);
        while let Some((kind, body)) = self.message() {
            match kind {
                b'D' => self.answer.rows.push(row(&body)),
                b'C' => self.answer.tags.push(texts(&body).swap_remove(0)),
                b'E' => self.answer.error = Some(error(&body)),
                b'Z' => {
                    self.answer.in_block = body != b"I";
                    return Some(std::mem::take(&mut self.answer));
                }
                _ => {} // settings, descriptions and notices tell a script nothing
            }
        }
        None
    }

    fn message(&mut self) -> Option<(u8, Vec<u8>)> {
        let (kind, rest) = self.unread.split_first()?;
        let len = u32::from_be_bytes(*rest.first_chunk()?) as usize;
        let body = rest.get(4..len)?.to_vec();
        let kind = *kind;
        self.unread.drain(..=len);
        Some((kind, body))
    }
}

fn texts(body: &[u8]) -> Vec<String> {
    body.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

fn error(body: &[u8]) -> SqlError {
    let fields = texts(body);
    let field = |kind| fields.iter().find_map(|field| field.strip_prefix(kind)).unwrap_or_default();
    let state = field('C').as_bytes().try_into().unwrap_or(*b"XX000");
    SqlError::new(SqlState(state), field('M'))
}

fn row(body: &[u8]) -> Vec<Option<String>> {
    let mut rest = &body[2..];
    let mut values = Vec::new();
    while let Some((len, tail)) = rest.split_first_chunk::<4>() {
        let len = usize::try_from(i32::from_be_bytes(*len)).ok();
        let (value, tail) = tail.split_at(len.unwrap_or(0));
        values.push(len.map(|_| String::from_utf8_lossy(value).into_owned()));
        rest = tail;
    }
    values
}

/// The lists of the list-append workload, from `SELECT k, v`.
///
/// # Panics
///
/// If the rows are not such lists.
pub(crate) fn lists(rows: &Rows) -> std::collections::BTreeMap<u32, Vec<u64>> {
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("{text} is no number"));
    let list = |row: &Vec<Option<String>>| {
        let [Some(key), Some(list)] = row.as_slice() else { panic!("{row:?} is no list") };
        let list = list.split(',').filter(|text| !text.is_empty()).map(number);
        (number(key) as u32, list.collect())
    };
    rows.iter().map(list).collect()
}
