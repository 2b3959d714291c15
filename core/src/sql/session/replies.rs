//! Replies on their way to a client: gathered into one write per burst, held back while the client
//! does not read.

use std::rc::Rc;

use bytes::{BufMut, Bytes};

use super::ports::{ReplySink, UNSENT_BYTES_MAX};
use crate::base::error::SqlError;
use crate::sql::protocol::{ClientReply, DataRows, NoticeSeverity, TransactionStatus};

/// Gathered rows are handed to the sink at this size even within a burst.
const BURST_BYTES_MAX: usize = 64 << 10;

/// Room made at first for the replies of a burst, and for its rows: most are short.
const PENDING: usize = 6;
const ROWS: usize = 4;
const ROW_BYTES: usize = 120;

pub(super) struct Replies {
    sink: Rc<dyn ReplySink>,
    pending: Vec<ClientReply>,
    pending_bytes: usize,
    rows: Vec<u8>,
    row_ends: Vec<u32>,
    /// Times that something was handed over.
    sent: u64,
}

impl Replies {
    pub(super) fn new(sink: Rc<dyn ReplySink>) -> Self {
        Self {
            sink,
            pending: Vec::new(),
            pending_bytes: 0,
            rows: Vec::new(),
            row_ends: Vec::new(),
            sent: 0,
        }
    }

    pub(super) fn push(&mut self, reply: ClientReply) {
        self.close_rows();
        if self.pending.is_empty() {
            self.pending.reserve(PENDING);
        }
        self.pending_bytes += 32;
        self.pending.push(reply);
    }

    pub(super) fn notice(&mut self, severity: NoticeSeverity, notice: SqlError) {
        self.push(ClientReply::Notice(severity, notice));
    }

    pub(super) fn ready(&mut self, status: TransactionStatus) {
        self.push(ClientReply::ReadyForQuery(status));
    }

    /// Appends a row that `encode` writes: a DataRow's body.
    pub(super) fn row<E>(
        &mut self,
        columns: usize,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.row_ends.is_empty() {
            self.rows.reserve(ROW_BYTES);
            self.row_ends.reserve(ROWS);
        }
        let start = self.rows.len();
        // A result has at most 1,600 columns.
        self.rows.put_u16(u16::try_from(columns).unwrap_or(u16::MAX));
        if let Err(error) = encode(&mut self.rows) {
            self.rows.truncate(start);
            return Err(error);
        }
        self.pending_bytes += self.rows.len() - start;
        self.row_ends.push(u32::try_from(self.rows.len()).unwrap_or(u32::MAX));
        Ok(())
    }

    /// COPY rows, one message each.
    pub(super) fn copy_data(&mut self, rows: Vec<Bytes>) {
        self.pending_bytes += rows.iter().map(|row| row.len() + 5).sum::<usize>();
        self.pending.push(ClientReply::CopyData(rows));
    }

    /// Whether enough has gathered that it should go now.
    pub(super) fn is_burst(&self) -> bool {
        BURST_BYTES_MAX <= self.pending_bytes
    }

    /// Hands everything to the sink.
    pub(super) fn flush(&mut self) {
        self.close_rows();
        if !self.pending.is_empty() {
            self.pending_bytes = 0;
            self.sent += 1;
            self.sink.send(std::mem::take(&mut self.pending));
        }
    }

    /// Hands over what has gathered, and waits while the client is far behind.
    pub(super) async fn flow(&mut self) {
        if self.is_burst() {
            self.flush();
            if UNSENT_BYTES_MAX < self.sink.unsent_bytes() {
                self.sink.drained().await;
            }
        }
    }

    pub(super) fn close(&mut self) {
        self.flush();
        self.sink.close();
    }

    fn close_rows(&mut self) {
        if !self.row_ends.is_empty() {
            let rows = DataRows {
                bytes: std::mem::take(&mut self.rows).into(),
                ends: std::mem::take(&mut self.row_ends),
            };
            self.pending.push(ClientReply::DataRows(rows));
        }
    }
}

/// A place in what has gathered, to go back to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Mark {
    sent: u64,
    pending: usize,
}

impl Replies {
    /// The place after what has gathered so far.
    pub(super) fn mark(&mut self) -> Mark {
        self.close_rows();
        Mark { sent: self.sent, pending: self.pending.len() }
    }

    /// Forgets what was said since the mark; false if some of it is on its way already.
    pub(super) fn rewind(&mut self, mark: Mark) -> bool {
        if self.sent != mark.sent {
            return false;
        }
        self.close_rows();
        self.pending.truncate(mark.pending);
        true
    }
}
