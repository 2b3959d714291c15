//! What a transaction remembers of the rows it wrote: which constraint a tag names, and the keys
//! of the bulk path.
//!
//! The bulk path writes final versions that nobody checks. Uniqueness is ours to see to: a key that
//! is larger than all before it in its index is new; any other is looked up.

use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;

use super::table::TableAccess;
use super::wire::text_of;
use crate::base::error::{SqlError, sqlstate};
use crate::base::id::{IndexId, TableId};
use crate::base::key::Key;

/// Constraints that one transaction can name in its writes.
const CONSTRAINTS_MAX: usize = 100_000;

/// Constraints by tag, and the largest bulk key of each index.
#[derive(Debug, Default)]
pub(crate) struct BulkKeys {
    constraints: Vec<(Rc<TableAccess>, usize)>,
    largest: BTreeMap<(TableId, IndexId), Key>,
}

impl BulkKeys {
    /// The tag of a table's index (its place in `indexes`).
    pub(crate) fn tag(&mut self, access: &Rc<TableAccess>, index: usize) -> u32 {
        let same = |(held, at): &(Rc<TableAccess>, usize)| {
            *at == index && held.descriptor.id == access.descriptor.id
        };
        let known = self.constraints.iter().rposition(same);
        let at = known.unwrap_or_else(|| {
            if self.constraints.len() < CONSTRAINTS_MAX {
                self.constraints.push((Rc::clone(access), index));
            }
            self.constraints.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    /// Whether these keys of an index, which ascend, are larger than every key that came before them;
    /// if so they count from now on, and nobody need ask for each.
    pub(crate) fn are_larger(
        &mut self,
        table: TableId,
        index: IndexId,
        keys: (&Key, &Key),
    ) -> bool {
        let (first, last) = keys;
        let larger = self.largest.get(&(table, index)).is_none_or(|largest| largest < first);
        if larger {
            self.largest.insert((table, index), last.clone());
        }
        larger
    }

    /// Whether the key is larger than every key that came before it; it counts from now on.
    pub(crate) fn is_larger(&mut self, table: TableId, index: IndexId, key: &Key) -> bool {
        match self.largest.get_mut(&(table, index)) {
            Some(largest) if *key <= *largest => false,
            Some(largest) => {
                *largest = key.clone();
                true
            }
            None => {
                self.largest.insert((table, index), key.clone());
                true
            }
        }
    }

    /// The error for a duplicate found by the floor below.
    pub(crate) fn duplicate(&self, tag: u32, key: &Key) -> SqlError {
        let constraint = usize::try_from(tag).ok().and_then(|tag| self.constraints.get(tag));
        match constraint {
            Some((access, index)) => duplicate_key(access, *index, key),
            None => SqlError::new(
                sqlstate::UNIQUE_VIOLATION,
                "duplicate key value violates unique constraint",
            ),
        }
    }
}

/// Rows of one index that wait for the bulk path, each key once.
#[derive(Debug, Default)]
pub(crate) struct BulkBatch {
    /// Those that came in ascending order, as most loads do.
    ascending: Vec<BulkEntry>,
    /// Those that came since the first that did not.
    others: BTreeMap<Key, (u16, Bytes)>,
}

/// A key, its routing hash, its row.
pub(crate) type BulkEntry = (Key, u16, Bytes);

impl BulkBatch {
    /// Takes a row, unless its key is there.
    pub(crate) fn put(&mut self, key: Key, hash: u16, row: Bytes) -> Result<(), Key> {
        if self.others.is_empty() && self.ascending.last().is_none_or(|(last, ..)| *last < key) {
            self.ascending.push((key, hash, row));
            return Ok(());
        }
        let known = self.ascending.binary_search_by(|(held, ..)| held.cmp(&key)).is_ok();
        if known || self.others.contains_key(&key) {
            return Err(key);
        }
        self.others.insert(key, (hash, row));
        Ok(())
    }

    /// All rows, their keys ascending.
    pub(crate) fn into_sorted(self) -> Vec<BulkEntry> {
        let mut rows = self.ascending;
        if !self.others.is_empty() {
            rows.extend(self.others.into_iter().map(|(key, (hash, row))| (key, hash, row)));
            rows.sort_unstable_by(|(a, ..), (b, ..)| a.cmp(b));
        }
        rows
    }
}

/// 23505 in PostgreSQL's words.
pub(crate) fn duplicate_key(access: &TableAccess, index: usize, key: &Key) -> SqlError {
    let table = &access.descriptor;
    let Some(index) = table.indexes.get(index) else {
        let message = format!("duplicate row key in table \"{}\"", table.name);
        return SqlError::new(sqlstate::UNIQUE_VIOLATION, message);
    };
    let message = format!("duplicate key value violates unique constraint \"{}\"", index.name);
    let error =
        SqlError::new(sqlstate::UNIQUE_VIOLATION, message).constraint(&table.name, &index.name);
    match key_detail(access, index, key) {
        Some(pair) => error.detail(format!("Key {pair} already exists.")),
        None => error,
    }
}

/// `(a, b)=(1, 2)`
pub(crate) fn key_detail(
    access: &TableAccess,
    index: &crate::sql::catalog::descriptor::IndexDescriptor,
    key: &Key,
) -> Option<String> {
    let values = access.key_values(index, key).ok()?;
    let columns = &access.descriptor.columns;
    let column = |at: usize| &columns[usize::from(index.columns[at].column)];
    let names: Vec<_> = (0..values.len()).map(|at| column(at).name.clone()).collect();
    let texts: Vec<_> =
        values.iter().enumerate().map(|(at, value)| text_of(value, &column(at).ty)).collect();
    Some(format!("({})=({})", names.join(", "), texts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> Key {
        Key(Bytes::copy_from_slice(&[number]))
    }

    fn entry(number: u8) -> BulkEntry {
        (key(number), u16::from(number), Bytes::new())
    }

    #[test]
    fn rows_in_any_order_come_out_sorted_and_once() {
        for order in [[1, 2, 3, 4], [4, 3, 2, 1], [1, 3, 2, 4], [2, 4, 1, 3]] {
            let mut batch = BulkBatch::default();
            for (at, number) in order.into_iter().enumerate() {
                let (key, hash, row) = entry(number);
                assert_eq!(batch.put(key, hash, row.clone()), Ok(()));
                for again in &order[..=at] {
                    assert_eq!(batch.put(entry(*again).0, 9, row.clone()), Err(entry(*again).0));
                }
            }
            assert_eq!(batch.into_sorted(), (1..=4).map(entry).collect::<Vec<_>>());
        }
    }

    #[test]
    fn only_keys_above_all_before_are_new_without_a_question() {
        let mut keys = BulkKeys::default();
        let (table, index) = (TableId(1), IndexId(0));
        assert!(keys.are_larger(table, index, (&key(3), &key(5))));
        assert!(!keys.are_larger(table, index, (&key(5), &key(7))), "five was there");
        assert!(!keys.is_larger(table, index, &key(4)));
        assert!(keys.are_larger(table, index, (&key(6), &key(7))));
        assert!(keys.are_larger(table, IndexId(1), (&key(1), &key(1))), "another index");
    }
}
