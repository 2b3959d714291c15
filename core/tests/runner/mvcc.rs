//! Versions of keys in a store.
//!
//! ```text
//! put k@10 = row        delete k@20        crash (back to the last flush)        flush
//! get k@15              scan a..c@15 [reverse] [max=2]        changed a..c in 5..12
//! ```

use bytes::Bytes;
use shardforge_core::base::buggify::Faults;
use shardforge_core::base::key::{Key, Span};
use shardforge_core::base::timestamp::Timestamp;
use shardforge_core::mvcc::{read, version, write};
use shardforge_core::storage::memory::MemoryStore;
use shardforge_core::storage::port::{Family, ReadReply, ReadRequest, Version, WriteBatch};
use shardforge_core::storage::versioned::answer;

use crate::Runner;

#[derive(Default)]
pub struct Store(MemoryStore);

/// Keys are prefix-free, as all keys of the house are: the name and an end.
fn key(name: &str) -> Key {
    let mut bytes = name.as_bytes().to_vec();
    bytes.push(b'!');
    bytes.into()
}

fn name(key: &[u8]) -> String {
    String::from_utf8_lossy(key).trim_end_matches('!').to_owned()
}

fn stamp(text: &str) -> Timestamp {
    Timestamp(text.parse().unwrap_or_else(|_| panic!("{text} is no timestamp")))
}

fn show(key: &str, found: Option<&Version>) -> String {
    let Some(Version { timestamp, value }) = found else { return format!("{key}: nothing") };
    let value = version::decode(value).expect("a version that was just written");
    let row = String::from_utf8_lossy(&value.row);
    let at = timestamp.0;
    if value.header.tombstone {
        format!("{key}@{at} deleted")
    } else {
        format!("{key}@{at} = {row}")
    }
}

impl Store {
    fn write(&mut self, place: &str, tombstone: bool, row: &str) -> String {
        let (name, at) = place.split_once('@').expect("key@timestamp");
        let header = version::VersionHeader { tombstone, schema: 1, hash: 0 };
        let value = version::encode(header, row.as_bytes());
        let mut batch = WriteBatch::default();
        write::put_version(&mut batch, Family::Data, &key(name).0, stamp(at), value);
        self.0.write(&batch, &Faults::default());
        String::new()
    }

    fn ask(&self, request: &ReadRequest) -> ReadReply {
        answer(&self.0, request).expect("a store in memory answers")
    }

    fn get(&self, place: &str) -> String {
        let (name, at) = place.split_once('@').expect("key@timestamp");
        let reply = self.ask(&read::versions_at(Family::Data, &[key(name)], stamp(at)));
        show(name, read::expect_versions(reply, 1)[0].as_ref())
    }

    fn scan(&self, words: &[&str]) -> String {
        let (span, at) = words[0].split_once('@').expect("span@timestamp");
        let reverse = words.contains(&"reverse");
        let max = words.iter().find_map(|word| word.strip_prefix("max="));
        let rows_max = max.map_or(100, |max| max.parse().expect("a number"));
        let request = read::scan_at(Family::Data, parse_span(span), stamp(at), reverse, rows_max);
        let (rows, resume) = read::expect_rows(self.ask(&request));
        let mut lines: Vec<String> =
            rows.iter().map(|(key, found)| show(&name(key), Some(found))).collect();
        let left = |span: Span| format!("left: {}..{}", show_end(&span.start), show_end(&span.end));
        lines.push(resume.map_or("nothing left".to_owned(), left));
        lines.join("\n")
    }

    fn changed(&self, span: &str, times: &str) -> String {
        let (after, up_to) = times.split_once("..").expect("after..up to");
        let request = ReadRequest::ChangedIn {
            family: Family::Data,
            span: parse_span(span),
            after: stamp(after),
            up_to: stamp(up_to),
        };
        match read::expect_changed(self.ask(&request)) {
            Some((key, at)) => format!("{} at {}", name(&key), at.0),
            None => "unchanged".to_owned(),
        }
    }
}

fn parse_span(text: &str) -> Span {
    let (start, end) = text.split_once("..").expect("start..end");
    Span { start: key(start), end: key(end) }
}

/// A place between keys: the successor of a key is told by a `+`.
fn show_end(key: &Key) -> String {
    let bytes: &Bytes = &key.0;
    match bytes.strip_suffix(&[0]) {
        Some(before) => format!("{}+", name(before)),
        None => name(bytes),
    }
}

impl Runner for Store {
    fn block(&mut self, commands: &[&str]) -> String {
        let mut out = String::new();
        for command in commands {
            let words: Vec<&str> = command.split_whitespace().collect();
            let said = match words.as_slice() {
                ["put", place, "=", row] => self.write(place, false, row),
                ["delete", place] => self.write(place, true, ""),
                ["get", place] => self.get(place),
                ["scan", rest @ ..] => self.scan(rest),
                ["changed", span, "in", times] => self.changed(span, times),
                ["flush"] => {
                    self.0.flush();
                    String::new()
                }
                ["crash"] => {
                    self.0.rewind(0);
                    String::new()
                }
                other => panic!("no such command: {other:?}"),
            };
            if !said.is_empty() {
                out.push_str(&said);
                out.push('\n');
            }
        }
        if out.is_empty() { "done".to_owned() } else { out }
    }
}
