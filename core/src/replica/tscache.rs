//! The timestamp cache: up to when keys and spans were read, so that no write slips in below.
//!
//! Volatile. What is forgotten raises `low_water`, below which nobody may write anything: a smaller
//! cache pushes more writers, it never lets one through. Whoever read keeps its own reads apart: a
//! transaction may write what it alone has read.
//!
//! # Source
//!
//! CockroachDB's timestamp cache; theirs is a skiplist of intervals, ours is points by hash and a few
//! spans per table, because nearly all reads are of points.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::base::id::TxnId;
use crate::base::key::{Key, Span};
use crate::base::map::FixedMap;
use crate::base::timestamp::Timestamp;

/// Points per generation; there are two.
const POINTS_MAX: usize = 1 << 15;
/// Spans per table or index before they are joined.
const SPANS_MAX: usize = 64;
/// Tables and indexes with spans before the oldest are forgotten.
const PLACES_MAX: usize = 1_024;
const PLACE_BYTES: usize = 8;

/// Who read something, and when.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Reads {
    newest: Timestamp,
    /// Who read at `newest`; `None`: several, or somebody who must stop even himself.
    reader: Option<TxnId>,
    /// An upper bound of the reads by others than `reader`.
    others: Timestamp,
}

impl Reads {
    fn raise(&mut self, at: Timestamp, reader: Option<TxnId>) {
        if reader.is_some() && self.reader == reader {
            self.newest = self.newest.max(at);
        } else if self.newest < at {
            self.others = self.newest;
            self.newest = at;
            self.reader = reader;
        } else {
            self.others = self.others.max(at);
        }
    }

    fn by_others_than(&self, writer: TxnId) -> Timestamp {
        if self.reader == Some(writer) { self.others } else { self.newest }
    }
}

#[derive(Debug, Default)]
struct Generation {
    points: FixedMap<u64, Reads>,
    newest: Timestamp,
}

#[derive(Clone, Debug)]
struct SpanReads {
    number: u64,
    span: Span,
    reads: Reads,
}

/// A raised span, to be shrunk once it is known how far the reader came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SpanMark {
    place: u64,
    number: u64,
}

/// The cache.
#[derive(Debug, Default)]
pub struct TsCache {
    low_water: Timestamp,
    young: Generation,
    old: Generation,
    spans: BTreeMap<u64, Vec<SpanReads>>,
    next: u64,
}

/// Bucket of spans that are not within one table or index; always looked at.
const WIDE: u64 = u64::MAX;

impl TsCache {
    /// An empty cache of a leader that knows of no read above `low_water`.
    pub fn new(low_water: Timestamp) -> Self {
        Self { low_water, ..Self::default() }
    }

    /// Nobody may write below this.
    pub fn low_water(&self) -> Timestamp {
        self.low_water
    }

    /// A key was, or is about to be, read at `at`. Without a reader it stops everybody.
    pub fn raise(&mut self, key: &Key, at: Timestamp, reader: Option<TxnId>) {
        if at < self.low_water {
            return;
        }
        let hash = xxh3_64(key.as_ref());
        self.young.newest = self.young.newest.max(at);
        self.young.points.entry(hash).or_default().raise(at, reader);
        if POINTS_MAX <= self.young.points.len() {
            std::mem::swap(&mut self.young, &mut self.old);
            self.low_water = self.low_water.max(self.young.newest);
            self.young.points.clear();
            self.young.newest = Timestamp::ZERO;
        }
    }

    /// A span was, or is about to be, read at `at`.
    pub fn raise_span(&mut self, span: &Span, at: Timestamp, reader: Option<TxnId>) -> SpanMark {
        let place = place_of(span);
        self.next += 1;
        let mark = SpanMark { place, number: self.next };
        if at < self.low_water || span.is_empty() {
            return mark;
        }
        let mut reads = Reads::default();
        reads.raise(at, reader);
        let list = self.spans.entry(place).or_default();
        list.push(SpanReads { number: mark.number, span: span.clone(), reads });
        if SPANS_MAX <= list.len() {
            join(list, self.low_water);
        }
        if PLACES_MAX < self.spans.len() {
            self.forget_places();
        }
        mark
    }

    /// The reader came only this far. Does nothing if the span was joined with others since.
    pub fn shrink(&mut self, mark: SpanMark, covered: Span) {
        let Some(list) = self.spans.get_mut(&mark.place) else { return };
        let Some(at) = list.iter().position(|entry| entry.number == mark.number) else { return };
        let entry = &mut list[at];
        assert!(
            entry.span.start <= covered.start && covered.end <= entry.span.end,
            "a span was shrunk to more than it was"
        );
        entry.span = covered;
        // A reader goes on where it stopped: one entry for the whole of its way.
        let joined = at.checked_sub(1).is_some_and(|before| {
            let (left, right) = list.split_at_mut(at);
            let (left, right) = (&mut left[before], &right[0]);
            left.reads == right.reads && left.span.end == right.span.start && {
                left.span.end = right.span.end.clone();
                true
            }
        });
        if joined || list[at].span.is_empty() {
            list.remove(at);
        }
    }

    /// The newest read of a key by others than `writer`; at least `low_water`.
    pub fn newest_read(&self, key: &Key, writer: TxnId) -> Timestamp {
        let hash = xxh3_64(key.as_ref());
        let mut newest = self.low_water;
        for generation in [&self.young, &self.old] {
            if let Some(reads) = generation.points.get(&hash) {
                newest = newest.max(reads.by_others_than(writer));
            }
        }
        if self.spans.is_empty() {
            return newest;
        }
        for place in [place_bytes(key.as_ref()), WIDE] {
            for entry in self.spans.get(&place).into_iter().flatten() {
                if entry.span.contains(key.as_ref()) {
                    newest = newest.max(entry.reads.by_others_than(writer));
                }
            }
        }
        newest
    }

    fn forget_places(&mut self) {
        let newest = |list: &Vec<SpanReads>| list.iter().map(|e| e.reads.newest).max();
        let oldest = self.spans.iter().map(|(place, list)| (newest(list), *place)).min();
        if let Some((newest, place)) = oldest {
            self.spans.remove(&place);
            self.low_water = self.low_water.max(newest.unwrap_or_default());
        }
    }
}

/// Joins a full list: what `low_water` covers goes, the rest becomes one span.
fn join(list: &mut Vec<SpanReads>, low_water: Timestamp) {
    list.retain(|entry| low_water < entry.reads.newest);
    if list.len() < SPANS_MAX / 2 {
        return;
    }
    let Some(mut all) = list.pop() else { return };
    all.number = 0; // nobody's mark: it must not be shrunk any more
    for entry in list.drain(..) {
        all.span.start = all.span.start.min(entry.span.start);
        all.span.end = all.span.end.max(entry.span.end);
        if all.reads.reader == entry.reads.reader {
            all.reads.newest = all.reads.newest.max(entry.reads.newest);
            all.reads.others = all.reads.others.max(entry.reads.others);
        } else {
            all.reads.newest = all.reads.newest.max(entry.reads.newest);
            all.reads.reader = None;
        }
    }
    list.push(all);
}

/// Table and index at the head of a physical key.
fn place_bytes(key: &[u8]) -> u64 {
    let mut head = [0; PLACE_BYTES];
    let len = key.len().min(PLACE_BYTES);
    head[..len].copy_from_slice(&key[..len]);
    u64::from_be_bytes(head)
}

fn place_of(span: &Span) -> u64 {
    let place = place_bytes(span.start.as_ref());
    let inside = PLACE_BYTES <= span.start.0.len()
        && place.checked_add(1).is_some_and(|next| span.end.as_ref() <= &next.to_be_bytes()[..]);
    if inside { place } else { WIDE }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn txn(number: u64) -> TxnId {
        TxnId { number, ..TxnId::default() }
    }

    fn key(number: u8) -> Key {
        Key(vec![0, 0, 0, 100, 0, 0, 0, 0, number].into())
    }

    fn span(from: u8, to: u8) -> Span {
        Span { start: key(from), end: key(to) }
    }

    proptest! {
        /// The cache never answers less than a list of everything that was ever read; a writer's own
        /// reads never stop it as long as nobody else's are mixed in.
        #[test]
        fn no_read_is_forgotten(
            reads in prop::collection::vec((0u8..20, 0u8..8, 1u64..50, 0u64..4), 0..200),
            low in 0u64..20,
        ) {
            let mut cache = TsCache::new(Timestamp(low));
            let mut model: Vec<(Span, u64, u64)> = Vec::new();
            for (from, len, at, reader) in reads {
                let (at, reader) = (at, reader + 1);
                if len == 0 {
                    cache.raise(&key(from), Timestamp(at), Some(txn(reader)));
                    model.push((Span::point(key(from)), at, reader));
                } else {
                    let mark =
                        cache.raise_span(&span(from, 255), Timestamp(at), Some(txn(reader)));
                    cache.shrink(mark, span(from, from + len));
                    model.push((span(from, from + len), at, reader));
                }
            }
            for number in 0..40 {
                let found = |mine: &dyn Fn(u64) -> bool| {
                    let hits = model.iter().filter(|(s, _, r)| {
                        s.contains(key(number).as_ref()) && mine(*r)
                    });
                    hits.map(|(_, at, _)| *at).max().unwrap_or(0).max(low)
                };
                for writer in 1..6 {
                    let newest = cache.newest_read(&key(number), txn(writer)).0;
                    prop_assert!(found(&|reader| reader != writer) <= newest);
                }
            }
        }
    }

    #[test]
    fn own_reads_do_not_stop_a_writer() {
        let mut cache = TsCache::new(Timestamp(1));
        cache.raise(&key(1), Timestamp(10), Some(txn(1)));
        cache.raise_span(&span(0, 9), Timestamp(12), Some(txn(1)));
        assert_eq!(cache.newest_read(&key(1), txn(1)), Timestamp(1));
        assert_eq!(cache.newest_read(&key(1), txn(2)), Timestamp(12));
        cache.raise(&key(1), Timestamp(11), Some(txn(2)));
        assert_eq!(cache.newest_read(&key(1), txn(1)), Timestamp(11));
        cache.raise(&key(1), Timestamp(13), None);
        assert_eq!(cache.newest_read(&key(1), txn(1)), Timestamp(13));
    }

    #[test]
    fn a_shrunk_span_lets_writers_pass_behind_it() {
        let mut cache = TsCache::default();
        let mark = cache.raise_span(&span(0, 200), Timestamp(5), Some(txn(1)));
        cache.shrink(mark, span(0, 10));
        let mark = cache.raise_span(&span(10, 200), Timestamp(5), Some(txn(1)));
        cache.shrink(mark, span(10, 20));
        assert_eq!(cache.newest_read(&key(19), txn(2)), Timestamp(5));
        assert_eq!(cache.newest_read(&key(20), txn(2)), Timestamp(0));
        assert_eq!(cache.spans.values().map(Vec::len).sum::<usize>(), 1, "one way, one entry");
    }

    #[test]
    fn what_is_forgotten_raises_the_low_water() {
        let mut cache = TsCache::default();
        for number in 0..3 * POINTS_MAX as u64 {
            let key = Key(number.to_be_bytes().to_vec().into());
            cache.raise(&key, Timestamp(number + 1), Some(txn(1)));
            assert!(cache.young.points.len() + cache.old.points.len() <= 2 * POINTS_MAX);
        }
        let first = Key(0u64.to_be_bytes().to_vec().into());
        assert!(Timestamp(1) <= cache.newest_read(&first, txn(2)));
        for table in 0..2 * PLACES_MAX as u64 {
            let start = Key(table.to_be_bytes().to_vec().into());
            let end = Key([&table.to_be_bytes()[..], &[9]].concat().into());
            cache.raise_span(&Span { start, end }, Timestamp(table + 1), Some(txn(1)));
            assert!(cache.spans.len() <= PLACES_MAX + 1);
        }
        assert!(Timestamp(PLACES_MAX as u64) <= cache.low_water());
    }
}
