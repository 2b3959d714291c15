//! What a transaction has read, and until when each piece is known to hold.
//!
//! A commit at `c` needs every piece to hold until `c`. A piece that does not yet is refreshed: its
//! shard looks for changes in between and keeps later ones out.

use std::collections::BTreeMap;

use crate::base::id::ShardId;
use crate::base::key::Span;
use crate::base::timestamp::Timestamp;
use crate::replica::request::RefreshSpan;
use crate::shard::routing::Place;

/// Pieces remembered one by one; more are joined per table.
const PIECES_MAX: usize = 8_192;

#[derive(Clone, Debug, Eq, PartialEq)]
struct Piece {
    shard: ShardId,
    place: Place,
    span: Span,
    valid_to: Timestamp,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Reads {
    pieces: Vec<Piece>,
}

impl Reads {
    pub(super) fn clear(&mut self) {
        self.pieces.clear();
    }

    /// Remembers a piece that holds until `valid_to`.
    pub(super) fn note(&mut self, shard: ShardId, place: Place, span: Span, valid_to: Timestamp) {
        if let Some(last) = self.pieces.last_mut()
            && last.shard == shard
            && last.place == place
            && last.valid_to == valid_to
        {
            // The batches of one scan are one piece.
            if last.span.end == span.start && !span.is_point() {
                last.span.end = span.end;
                return;
            }
            if last.span.start == span.end && !span.is_point() {
                last.span.start = span.start;
                return;
            }
            if last.span == span {
                return;
            }
        }
        self.pieces.push(Piece { shard, place, span, valid_to });
        if PIECES_MAX < self.pieces.len() {
            self.join();
        }
    }

    /// One piece per table, at the price of conflicts that are none.
    fn join(&mut self) {
        let mut joined: BTreeMap<(ShardId, u32, u32), Piece> = BTreeMap::new();
        for piece in self.pieces.drain(..) {
            let id = (piece.shard, piece.place.table.0, piece.place.index.0);
            match joined.get_mut(&id) {
                Some(all) => {
                    all.span.start = all.span.start.clone().min(piece.span.start);
                    all.span.end = all.span.end.clone().max(piece.span.end);
                    all.valid_to = all.valid_to.min(piece.valid_to);
                }
                None => {
                    joined.insert(id, piece);
                }
            }
        }
        self.pieces = joined.into_values().collect();
    }

    /// Whether every piece holds until `to` as it was read.
    pub(super) fn all_hold_until(&self, to: Timestamp) -> bool {
        self.pieces.iter().all(|piece| to <= piece.valid_to)
    }

    /// What must be refreshed to hold until `to`, by shard; `covered` pieces are checked otherwise.
    pub(super) fn stale(
        &self,
        to: Timestamp,
        covered: impl Fn(&Span, Timestamp) -> bool,
    ) -> BTreeMap<ShardId, Vec<RefreshSpan>> {
        let mut stale: BTreeMap<ShardId, Vec<RefreshSpan>> = BTreeMap::new();
        for piece in &self.pieces {
            if piece.valid_to < to && !covered(&piece.span, piece.valid_to) {
                let (place, span, from) = (piece.place, piece.span.clone(), piece.valid_to);
                stale.entry(piece.shard).or_default().push(RefreshSpan { place, span, from });
            }
        }
        stale
    }

    /// All of a shard's pieces but the covered ones were refreshed.
    pub(super) fn refreshed(
        &mut self,
        shard: ShardId,
        to: Timestamp,
        covered: impl Fn(&Span, Timestamp) -> bool,
    ) {
        for piece in self.pieces.iter_mut().filter(|piece| piece.shard == shard) {
            if piece.valid_to < to && !covered(&piece.span, piece.valid_to) {
                piece.valid_to = to;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::key::Key;

    fn span(from: u16, to: u16) -> Span {
        let key = |n: u16| Key(n.to_be_bytes().to_vec().into());
        Span { start: key(from), end: key(to) }
    }

    #[test]
    fn pieces_are_refreshed_from_where_each_holds() {
        let mut reads = Reads::default();
        let place = Place::default();
        reads.note(ShardId(1), place, span(0, 5), Timestamp(10));
        reads.note(ShardId(1), place, span(5, 9), Timestamp(10));
        reads.note(ShardId(1), place, span(20, 30), Timestamp(15));
        reads.note(ShardId(2), place, span(0, 1), Timestamp(20));
        let nothing = |_: &Span, _| false;
        let stale = reads.stale(Timestamp(20), nothing);
        let expected = [
            RefreshSpan { place, span: span(0, 9), from: Timestamp(10) },
            RefreshSpan { place, span: span(20, 30), from: Timestamp(15) },
        ];
        assert_eq!(stale[&ShardId(1)], expected);
        assert!(!stale.contains_key(&ShardId(2)));
        reads.refreshed(ShardId(1), Timestamp(20), nothing);
        assert!(reads.stale(Timestamp(20), nothing).is_empty());
        assert!(reads.stale(Timestamp(21), |_, _| true).is_empty());
    }

    #[test]
    fn too_many_pieces_are_joined_and_none_is_lost() {
        let mut reads = Reads::default();
        for n in 0..2 * PIECES_MAX as u16 {
            let at = Timestamp(10 + u64::from(n % 7));
            reads.note(ShardId(1), Place::default(), span(2 * n, 2 * n + 1), at);
            assert!(reads.pieces.len() <= PIECES_MAX);
        }
        let stale = reads.stale(Timestamp(11), |_, _| false);
        let first = &stale[&ShardId(1)][0];
        assert_eq!((&first.span.start, first.from), (&span(0, 1).start, Timestamp(10)));
    }
}
