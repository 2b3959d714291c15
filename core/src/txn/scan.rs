//! Scans of a transaction: batches of several shards merged, own writes laid over them.

use super::buffer::overlay;
use super::error::TxnError;
use super::statement::{MOVES_MAX, live_row};
use super::transaction::{Locked, Transaction, unexpected};
use super::types::{Found, ScanBatch, ScanRequest};
use crate::base::id::ShardId;
use crate::base::key::Span;
use crate::base::limit;
use crate::replica::request::{RequestBody, ScanBody, ShardResponse};

/// The part of a span that was scanned, given what is left of it.
fn scanned(span: &Span, resume: Option<&Span>, reverse: bool) -> Span {
    match resume {
        None => span.clone(),
        Some(rest) if reverse => Span { start: rest.end.clone(), end: span.end.clone() },
        Some(rest) => Span { start: span.start.clone(), end: rest.start.clone() },
    }
}

/// Of two rests of one span the one that begins earlier in scan order.
fn longer(a: Option<Span>, b: Option<Span>, reverse: bool) -> Option<Span> {
    match (a, b) {
        (Some(a), Some(b)) if reverse => Some(if a.end < b.end { b } else { a }),
        (Some(a), Some(b)) => Some(if a.start < b.start { a } else { b }),
        (a, b) => a.or(b),
    }
}

impl Transaction {
    /// Reads a piece of a span.
    ///
    /// # Errors
    ///
    /// [`TxnError`].
    pub async fn scan(&self, request: ScanRequest) -> Result<ScanBatch, TxnError> {
        self.timestamp().await?;
        if request.span.is_empty() {
            return Ok(ScanBatch::default());
        }
        let rows_max = request.rows_max.clamp(1, limit::SCAN_ROWS_MAX);
        let shards = self.source.router.cache().map().route(request.place, request.route);
        let mut pieces = Vec::with_capacity(shards.len());
        let mut resume = None;
        for shard in shards {
            let (rows, rest) = self.scan_shard(shard, &request, rows_max).await?;
            resume = longer(resume, rest, request.reverse);
            pieces.push(rows);
        }
        let covered = scanned(&request.span, resume.as_ref(), request.reverse);
        let several = 1 < pieces.len();
        let mut rows = merge(pieces, request.reverse);
        if several {
            // Beyond the shortest piece the others' rows are asked for again.
            rows.retain(|row| covered.contains(row.key.as_ref()));
        }
        let own = self.state.borrow().buffer.within(&covered);
        let mut rows = overlay(rows, own, request.reverse);
        if rows_max < rows.len() {
            rows.truncate(rows_max);
            if let Some(last) = rows.last() {
                let Span { start, end } = request.span;
                resume = Some(if request.reverse {
                    Span { start, end: last.key.clone() }
                } else {
                    Span { start: last.key.successor(), end }
                });
            }
        }
        Ok(ScanBatch { rows, resume: resume.filter(|rest| !rest.is_empty()) })
    }

    async fn scan_shard(
        &self,
        shard: ShardId,
        request: &ScanRequest,
        rows_max: usize,
    ) -> Result<(Vec<Found>, Option<Span>), TxnError> {
        let ScanRequest { place, reverse, lock, wait, .. } = *request;
        for _ in 0..MOVES_MAX {
            let at = self.timestamp().await?;
            let txn = self.as_ref();
            let rows_max = u32::try_from(rows_max).unwrap_or(u32::MAX);
            let body = |wait| {
                let span = request.span.clone();
                RequestBody::Scan(ScanBody { txn, place, span, at, reverse, rows_max, lock, wait })
            };
            let (stored, tokens, resume) = match self.ask_waiting(shard, lock, wait, body).await? {
                ShardResponse::Rows { rows, tokens, resume } => (rows, tokens, resume),
                ShardResponse::Newer(newer) => {
                    self.advance(newer).await?;
                    continue;
                }
                other => return Err(unexpected(&other)),
            };
            let mut state = self.state.borrow_mut();
            if !self.options.read_only {
                let covered = scanned(&request.span, resume.as_ref(), reverse);
                state.reads.note(shard, place, covered, at);
            }
            let mut rows = Vec::with_capacity(stored.len());
            for (number, (key, version)) in stored.into_iter().enumerate() {
                let seen = Some(version.at);
                if let Some(token) = tokens.get(number).copied() {
                    state.locked.insert(key.clone(), Locked { shard, place, token, seen });
                }
                if let Some(row) = live_row(version)? {
                    rows.push(Found { key, row, version: seen });
                }
            }
            return Ok((rows, resume));
        }
        Err(TxnError::Serialization("rows kept changing under a locking scan"))
    }
}

/// Merges rows of several shards, each in scan order; no key is in two of them.
fn merge(mut pieces: Vec<Vec<Found>>, reverse: bool) -> Vec<Found> {
    if pieces.len() == 1 {
        return pieces.pop().unwrap_or_default();
    }
    let mut all: Vec<Found> = pieces.into_iter().flatten().collect();
    all.sort_by(|a, b| if reverse { b.key.cmp(&a.key) } else { a.key.cmp(&b.key) });
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::key::Key;

    fn span(from: u8, to: u8) -> Span {
        Span { start: Key(vec![from].into()), end: Key(vec![to].into()) }
    }

    #[test]
    fn the_shard_that_came_least_far_decides() {
        let rest = longer(Some(span(5, 9)), Some(span(3, 9)), false);
        assert_eq!(rest, Some(span(3, 9)));
        assert_eq!(scanned(&span(0, 9), rest.as_ref(), false), span(0, 3));
        let rest = longer(Some(span(0, 5)), longer(None, Some(span(0, 7)), true), true);
        assert_eq!(rest, Some(span(0, 7)));
        assert_eq!(scanned(&span(0, 9), rest.as_ref(), true), span(7, 9));
        assert_eq!(scanned(&span(0, 9), None, true), span(0, 9));
    }
}
