//! What a transaction remembers of the rows it wrote: which constraint a tag names, and the keys
//! of the bulk path.
//!
//! The bulk path writes final versions that nobody checks. Uniqueness is ours to see to: a key that
//! is larger than all before it in its index is new; any other is looked up.

use std::collections::BTreeMap;
use std::rc::Rc;

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
