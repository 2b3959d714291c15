//! Rows on their way between operators and nodes.

use serde::{Deserialize, Serialize};

use super::datum::Datum;

/// Rows of one width, one after the other.
///
/// # Invariants
///
/// * The number of datums is the number of rows times the width.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct RowBatch {
    width: usize,
    rows: usize,
    datums: Vec<Datum>,
}

#[derive(Serialize, Deserialize)]
struct Parts(usize, usize, Vec<Datum>);

impl From<RowBatch> for Parts {
    fn from(batch: RowBatch) -> Self {
        Self(batch.width, batch.rows, batch.datums)
    }
}

impl TryFrom<Parts> for RowBatch {
    type Error = &'static str;
    fn try_from(parts: Parts) -> Result<Self, Self::Error> {
        let Parts(width, rows, datums) = parts;
        if width.checked_mul(rows) != Some(datums.len()) {
            return Err("a batch whose rows do not fill it");
        }
        Ok(Self { width, rows, datums })
    }
}

impl RowBatch {
    /// An empty batch for rows of a width.
    pub fn new(width: usize) -> Self {
        Self { width, rows: 0, datums: Vec::new() }
    }

    /// Columns of each row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Appends a row.
    ///
    /// # Panics
    ///
    /// If the row has another width.
    pub fn push_row(&mut self, row: impl IntoIterator<Item = Datum>) {
        self.datums.extend(row);
        self.rows += 1;
        assert_eq!(self.datums.len(), self.rows * self.width, "a row of another width");
    }

    /// Row number `index`.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn row(&self, index: usize) -> &[Datum] {
        assert!(index < self.rows, "row {index} of {}", self.rows);
        &self.datums[index * self.width..(index + 1) * self.width]
    }

    /// All rows, in order.
    pub fn rows(&self) -> impl Iterator<Item = &[Datum]> {
        (0..self.rows).map(|index| self.row(index))
    }

    /// Appends the rows of another batch of the same width.
    ///
    /// # Panics
    ///
    /// If the widths differ.
    pub fn append(&mut self, other: &mut Self) {
        assert_eq!(self.width, other.width, "batches of different widths");
        self.datums.append(&mut other.datums);
        self.rows += std::mem::take(&mut other.rows);
    }

    /// Takes the rows out one by one.
    pub fn into_rows(self) -> impl Iterator<Item = Vec<Datum>> {
        let width = self.width;
        let mut datums = self.datums.into_iter();
        (0..self.rows).map(move |_| datums.by_ref().take(width).collect())
    }

    /// Bytes of memory that the rows take, roughly: for budgets.
    pub fn size_bytes(&self) -> usize {
        self.datums.iter().map(Datum::size_bytes).sum()
    }
}
