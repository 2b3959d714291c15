//! What happened, and whether it may have.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::world::World;
use crate::base::key::{Key, Span};
use crate::base::timestamp::Timestamp;
use crate::mvcc::version;
use crate::storage::port::{Family, ReadReply, ReadRequest};
use crate::storage::versioned::answer;

/// How a transaction ended, as its client was told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    Committed(Timestamp),
    Failed(String),
    Unknown,
}

/// One transaction as its client saw it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) number: u32,
    pub(super) began: u64,
    pub(super) ended: u64,
    pub(super) outcome: Outcome,
    pub(super) reads: Vec<(Key, Option<Bytes>)>,
    pub(super) writes: BTreeMap<Key, Option<Bytes>>,
    pub(super) first: (Timestamp, u64),
    pub(super) catalog: bool,
}

/// All versions of a key: when, by whom, what.
pub(super) type Versions = BTreeMap<Key, BTreeMap<Timestamp, (u32, Option<Bytes>)>>;

/// Everything in the stores. The schema version of a header names the writer.
pub(super) fn versions(world: &World) -> Versions {
    let mut all = Versions::new();
    for host in &world.hosts {
        let request = ReadRequest::Scan {
            family: Family::Data,
            span: Span { start: Key::MIN, end: Key(Bytes::from_static(&[0xff; 16])) },
            rows_max: usize::MAX,
            bytes_max: usize::MAX,
        };
        let Ok(ReadReply::Pairs { pairs, .. }) = answer(&*host.store.store.borrow(), &request)
        else {
            panic!("no pairs")
        };
        for (stored, value) in pairs {
            let (key, at) = version::split_store_key(&stored).unwrap();
            let value = version::decode(&value).unwrap();
            let row = (!value.header.tombstone).then_some(value.row);
            let key = Key(Bytes::copy_from_slice(key));
            let twice = all.entry(key).or_default().insert(at, (value.header.schema, row));
            assert!(twice.is_none());
        }
    }
    all
}

/// Every transaction in the order of timestamps explains what everybody saw; or why not.
pub(super) fn check(history: &[Seen], versions: &Versions) -> Result<(), String> {
    let mut commits: BTreeMap<u32, BTreeMap<Timestamp, Vec<&Key>>> = BTreeMap::new();
    for (key, list) in versions {
        for (at, (writer, _)) in list {
            commits.entry(*writer).or_default().entry(*at).or_default().push(key);
        }
    }
    for seen in history {
        check_effects(seen, commits.get(&seen.number), versions)?;
        if let Outcome::Committed(at) = seen.outcome {
            check_reads(seen, at, versions)?;
        }
    }
    for a in history {
        for b in history {
            check_order(a, b)?;
        }
    }
    Ok(())
}

fn check_effects(
    seen: &Seen,
    commits: Option<&BTreeMap<Timestamp, Vec<&Key>>>,
    versions: &Versions,
) -> Result<(), String> {
    let number = seen.number;
    let none = BTreeMap::new();
    let commits = commits.unwrap_or(&none);
    if 1 < commits.len() {
        return Err(format!("T{number} committed at {:?}", commits.keys()));
    }
    let found = commits.first_key_value();
    match (&seen.outcome, found) {
        (Outcome::Failed(why), Some((at, _))) => {
            return Err(format!("T{number} failed ({why}) and is there at {at}"));
        }
        (Outcome::Committed(at), None) if !seen.writes.is_empty() => {
            return Err(format!("T{number} committed at {at} and is lost"));
        }
        (Outcome::Committed(said), Some((at, _))) if said != at => {
            return Err(format!("T{number} committed at {at}, and its client heard {said}"));
        }
        _ => {}
    }
    if let Some((at, keys)) = found {
        let torn = keys.len() != seen.writes.len();
        let other = seen.writes.iter().any(|(key, row)| {
            versions.get(key).and_then(|list| list.get(at)).map(|(_, row)| row) != Some(row)
        });
        if torn || other {
            return Err(format!("T{number} is torn at {at}"));
        }
    }
    Ok(())
}

fn check_reads(seen: &Seen, at: Timestamp, versions: &Versions) -> Result<(), String> {
    for (key, read) in &seen.reads {
        let list = versions.get(key);
        let before =
            list.and_then(|list| list.range(..=at).rev().find(|(_, v)| v.0 != seen.number));
        let expected = before.and_then(|(_, (_, row))| row.clone());
        if expected != *read {
            let number = seen.number;
            return Err(format!("T{number}@{at} read {key} = {read:?}, state was {expected:?}"));
        }
    }
    Ok(())
}

fn check_order(a: &Seen, b: &Seen) -> Result<(), String> {
    if let (Outcome::Committed(first), Outcome::Committed(second)) = (&a.outcome, &b.outcome)
        && a.ended < b.began
        && second <= first
    {
        return Err(format!("T{}@{first} ended before T{}@{second} began", a.number, b.number));
    }
    Ok(())
}

/// Two grants with one catalog version have no change of the catalog between them.
pub(super) fn check_catalog(history: &[Seen]) -> Result<(), String> {
    let changes =
        history.iter().filter(|seen| seen.catalog && !seen.writes.is_empty()).filter_map(|seen| {
            match seen.outcome {
                Outcome::Committed(at) => Some(at),
                Outcome::Failed(_) | Outcome::Unknown => None,
            }
        });
    for change in changes {
        for a in history.iter().filter(|seen| seen.first.0 < change) {
            for b in history.iter().filter(|seen| change < seen.first.0) {
                if a.first.0 != Timestamp::ZERO && b.first.1 <= a.first.1 {
                    return Err(format!(
                        "catalog version {} at {} and {} at {}, changed at {change}",
                        a.first.1, a.first.0, b.first.1, b.first.0
                    ));
                }
            }
        }
    }
    Ok(())
}
