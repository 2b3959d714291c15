//! Numbers that are never given twice: objects' numbers and sequences' values.
//!
//! A node takes a block in a transaction of its own and deals from it. Nothing is rolled back: an
//! aborted statement, a dropped session or a crash leaves a gap, as in PostgreSQL.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::VecDeque;

use super::bootstrap::OBJECT_COUNTER;
use super::descriptor::SequenceDescriptor;
use super::store::{self, SystemTable};
use crate::base::error::SqlError;
use crate::base::limit;
use crate::sql::error::{SEQUENCE_LIMIT_EXCEEDED, from_failure};
use crate::sql::ports::{LockWait, TxnFailure, TxnOptions, TxnSource};

/// Objects' numbers that a node takes at once.
const OBJECT_BLOCK: u64 = 32;
/// Sequence values that a node takes at once, beyond the sequence's own CACHE.
const SEQUENCE_BLOCK: i64 = 64;
/// Sequences whose blocks one node keeps.
const SEQUENCES_MAX: usize = 10_000;
const WAIT: LockWait = LockWait::Timeout(std::time::Duration::from_secs(10));

/// A node's blocks.
#[derive(Debug, Default)]
pub struct Numbers {
    objects: RefCell<VecDeque<u32>>,
    sequences: RefCell<BTreeMap<u32, Block>>,
}

/// Values `next`, `next + increment`, … : `left` of them.
#[derive(Clone, Copy, Debug)]
struct Block {
    next: i64,
    increment: i64,
    left: i64,
}

impl Numbers {
    /// A fresh number for an object.
    ///
    /// # Errors
    ///
    /// Those of the transaction that takes a block.
    pub async fn object(&self, source: &dyn TxnSource) -> Result<u32, SqlError> {
        loop {
            if let Some(number) = self.objects.borrow_mut().pop_front() {
                return Ok(number);
            }
            let first = retried(|| take_objects(source)).await?;
            let block = first..first + OBJECT_BLOCK;
            self.objects.borrow_mut().extend(block.filter_map(|n| u32::try_from(n).ok()));
        }
    }

    /// A sequence's next value, if a value of its block is left.
    pub fn try_sequence(&self, sequence: &SequenceDescriptor) -> Option<i64> {
        let mut sequences = self.sequences.borrow_mut();
        let block = sequences.get_mut(&sequence.oid).filter(|block| 0 < block.left)?;
        let value = block.next;
        block.left -= 1;
        block.next = value.saturating_add(block.increment);
        Some(value)
    }

    /// Takes a sequence's next block.
    ///
    /// # Errors
    ///
    /// 2200H at its end; those of the transaction that takes the block.
    pub async fn refill(
        &self,
        source: &dyn TxnSource,
        sequence: &SequenceDescriptor,
    ) -> Result<(), SqlError> {
        let block = retried(|| take_values(source, sequence)).await?;
        let Some(block) = block else {
            return Err(exhausted(sequence));
        };
        let mut sequences = self.sequences.borrow_mut();
        if SEQUENCES_MAX <= sequences.len() {
            sequences.pop_first(); // its values become a gap
        }
        sequences.insert(sequence.oid, block);
        Ok(())
    }

    /// Forgets the block of a sequence that was set or dropped.
    pub fn forget(&self, oid: u32) {
        self.sequences.borrow_mut().remove(&oid);
    }

    /// Makes a sequence go on after `value` (or at it, if `called` is false).
    ///
    /// # Errors
    ///
    /// Those of the transaction.
    pub async fn set_sequence(
        &self,
        source: &dyn TxnSource,
        sequence: &SequenceDescriptor,
        value: i64,
        called: bool,
    ) -> Result<(), SqlError> {
        let next = if called { value.checked_add(sequence.increment) } else { Some(value) };
        retried(|| async move {
            let txn = source.begin(TxnOptions::default());
            txn.begin_statement().await?;
            let key = SystemTable::SequenceValues.key(&sequence.oid.to_be_bytes());
            let row = encode_next(next);
            store::put(&*txn, SystemTable::SequenceValues, key, row, WAIT).await?;
            txn.commit().await
        })
        .await?;
        self.forget(sequence.oid);
        Ok(())
    }
}

/// Runs a transaction again while it loses to others.
async fn retried<T, F>(mut run: impl FnMut() -> F) -> Result<T, SqlError>
where
    F: Future<Output = Result<T, TxnFailure>>,
{
    let mut replays = 0;
    loop {
        match run().await {
            Ok(value) => return Ok(value),
            Err(TxnFailure::Serialization(_) | TxnFailure::Changed | TxnFailure::Deadlock(_))
                if replays < limit::REPLAYS_MAX * 4 =>
            {
                replays += 1
            }
            // A block whose taking is unknown is a gap at worst.
            Err(TxnFailure::Unknown) if replays < limit::REPLAYS_MAX => replays += 1,
            Err(failure) => return Err(from_failure(&failure)),
        }
    }
}

async fn take_objects(source: &dyn TxnSource) -> Result<u64, TxnFailure> {
    let txn = source.begin(TxnOptions::default());
    txn.begin_statement().await?;
    let key = SystemTable::Counters.key(OBJECT_COUNTER);
    let found = store::get(&*txn, SystemTable::Counters, key.clone(), Some(WAIT)).await?;
    let bytes = found.as_ref().and_then(|found| <[u8; 8]>::try_from(&found.row[..]).ok());
    let Some(bytes) = bytes else {
        return Err(TxnFailure::Corrupted("counter of objects".to_owned()));
    };
    let first = u64::from_be_bytes(bytes);
    let next = (first + OBJECT_BLOCK).to_be_bytes().to_vec().into();
    store::put(&*txn, SystemTable::Counters, key, next, WAIT).await?;
    txn.commit().await?;
    Ok(first)
}

async fn take_values(
    source: &dyn TxnSource,
    sequence: &SequenceDescriptor,
) -> Result<Option<Block>, TxnFailure> {
    let txn = source.begin(TxnOptions::default());
    txn.begin_statement().await?;
    let key = SystemTable::SequenceValues.key(&sequence.oid.to_be_bytes());
    let table = SystemTable::SequenceValues;
    let found = store::get(&*txn, table, key.clone(), Some(WAIT)).await?;
    let Some(first) = found.map_or(Some(Some(sequence.start)), |row| decode_next(&row.row)) else {
        return Err(TxnFailure::Corrupted("value of a sequence".to_owned()));
    };
    let Some((block, after)) = block_from(sequence, first) else {
        txn.rollback().await?;
        return Ok(None);
    };
    store::put(&*txn, table, key, encode_next(after), WAIT).await?;
    txn.commit().await?;
    Ok(Some(block))
}

/// The block that begins at `next`, and what follows it; `None` if the sequence is at its end.
fn block_from(sequence: &SequenceDescriptor, next: Option<i64>) -> Option<(Block, Option<i64>)> {
    let increment = sequence.increment;
    let inside = |value: &i64| (sequence.min..=sequence.max).contains(value);
    let begin = if 0 < increment { sequence.min } else { sequence.max };
    let first = match next.filter(inside) {
        Some(first) => first,
        None if sequence.cycle => begin,
        None => return None,
    };
    let room = if 0 < increment {
        sequence.max.abs_diff(first) / increment.unsigned_abs()
    } else {
        sequence.min.abs_diff(first) / increment.unsigned_abs()
    };
    let wanted = sequence.cache.max(SEQUENCE_BLOCK).max(1);
    let left = i64::try_from(room).unwrap_or(i64::MAX).saturating_add(1).min(wanted);
    let after = increment.checked_mul(left).and_then(|step| first.checked_add(step));
    Some((Block { next: first, increment, left }, after))
}

/// `None`: past the end of int8.
fn encode_next(next: Option<i64>) -> bytes::Bytes {
    next.map(|next| next.to_be_bytes().to_vec()).unwrap_or_default().into()
}

fn decode_next(row: &[u8]) -> Option<Option<i64>> {
    match row {
        [] => Some(None),
        bytes => <[u8; 8]>::try_from(bytes).ok().map(|bytes| Some(i64::from_be_bytes(bytes))),
    }
}

fn exhausted(sequence: &SequenceDescriptor) -> SqlError {
    let (word, bound) =
        if 0 < sequence.increment { ("maximum", sequence.max) } else { ("minimum", sequence.min) };
    let message =
        format!("nextval: reached {word} value of sequence \"{}\" ({bound})", sequence.name);
    SqlError::new(SEQUENCE_LIMIT_EXCEEDED, message)
}
