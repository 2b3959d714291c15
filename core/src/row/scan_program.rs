//! What a shard does with rows before it sends them: filter, project, stop.

use serde::{Deserialize, Serialize};

use super::batch::RowBatch;
use super::codec::RowDecoder;
use super::datum::Datum;
use super::eval::{EvalContext, Expr, eval_filter};
use crate::base::error::{SqlError, sqlstate};

/// A program over the encoded rows of one table. It sees only the row: no parameters, no volatile
/// functions, no catalog; the gateway puts constants in their place before it sends the program.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ScanProgram {
    /// Rows for which it is not true are dropped. Its columns are those of the table.
    pub filter: Option<Expr>,
    /// Columns to send, in this order.
    pub projection: Vec<usize>,
    /// Rows to send at most.
    pub limit: Option<u64>,
}

/// A [`ScanProgram`] ready to run over the rows of a table.
#[derive(Clone, Debug)]
pub struct ScanRun<'a> {
    program: &'a ScanProgram,
    decoder: &'a RowDecoder,
    /// Columns that the filter reads, ascending.
    filtered: Vec<usize>,
    /// Columns that anything reads, ascending.
    wanted: Vec<usize>,
    left: u64,
    row: Vec<Datum>,
}

impl<'a> ScanRun<'a> {
    /// Prepares a run.
    ///
    /// # Errors
    ///
    /// XX000 if the program reads columns that the table does not have.
    pub fn new(program: &'a ScanProgram, decoder: &'a RowDecoder) -> Result<Self, SqlError> {
        let filtered = program.filter.as_ref().map_or_else(Vec::new, Expr::columns);
        let mut wanted: Vec<usize> = filtered.iter().chain(&program.projection).copied().collect();
        wanted.sort_unstable();
        wanted.dedup();
        if wanted.last().is_some_and(|last| decoder.width() <= *last) {
            let message = "a scan program reads columns beyond its table";
            return Err(SqlError::new(sqlstate::INTERNAL_ERROR, message));
        }
        let left = program.limit.unwrap_or(u64::MAX);
        Ok(Self { program, decoder, filtered, wanted, left, row: Vec::new() })
    }

    /// Whether no further row will be taken.
    pub fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Takes one stored value; appends the projected row to `out` if it passes.
    ///
    /// # Errors
    ///
    /// XX001 if the value is damaged, and what the filter raises.
    pub fn push(
        &mut self,
        value: &[u8],
        context: &EvalContext<'_>,
        out: &mut RowBatch,
    ) -> Result<(), SqlError> {
        if self.left == 0 {
            return Ok(());
        }
        let damaged = |error: crate::base::codec::CodecError| {
            SqlError::new(sqlstate::DATA_CORRUPTED, format!("a stored row is damaged: {error}"))
        };
        if let Some(filter) = &self.program.filter {
            self.row.clear();
            self.decoder.decode_sparse(value, &self.filtered, &mut self.row).map_err(damaged)?;
            if !eval_filter(filter, &self.row, context)? {
                return Ok(());
            }
        }
        // Rows that pass are decoded once more, for the columns that the filter did not need.
        if self.program.filter.is_none() || self.wanted != self.filtered {
            self.row.clear();
            self.decoder.decode_sparse(value, &self.wanted, &mut self.row).map_err(damaged)?;
        }
        let row = &self.row;
        out.push_row(self.program.projection.iter().map(|column| row[*column].clone()));
        self.left -= 1;
        Ok(())
    }
}
