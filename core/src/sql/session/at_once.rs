//! Statements that are done before anything could be waited for: a row by its key, in a transaction of
//! its own, that is in this node's memory.
//!
//! They go the same way to the same shard as all others, but none of what a longer statement needs is
//! made for them. Whatever is not as simple takes the long way, from the beginning.

use std::collections::VecDeque;
use std::rc::Rc;

use super::prepared::{Prepared, Work};
use super::run::{Completion, Request, describe};
use super::session::Session;
use super::transaction::Block;
use crate::base::error::SqlError;
use crate::row::datum::Datum;
use crate::sql::execute::planned::Planned;
use crate::sql::execute::wire::{Encoder, Formats};
use crate::sql::plan::Field;
use crate::sql::ports::Found;
use crate::sql::protocol::{ClientReply, ClientRequest};

/// Messages of a batch that is answered as a whole.
const BATCH: usize = 4;

/// Such a batch, with its row.
struct Batch {
    prepared: Rc<Prepared>,
    planned: Rc<Planned>,
    formats: Formats,
    found: Option<Found>,
}

impl Session {
    /// Runs a statement that is alone in its transaction, if it can be done at once. `None`: nothing
    /// has happened.
    pub(super) fn run_at_once(
        &mut self,
        request: &Request,
    ) -> Option<Result<Completion, SqlError>> {
        let planned = self.plan_at_hand(&request.prepared)?;
        let found = self.row_at_hand(&planned, &request.parameters)?;
        let fields = planned.fields.as_deref()?;
        if request.formats.is_none() {
            let describe = || describe(fields, &Formats::All(0));
            let described = Rc::clone(planned.described.get_or_init(describe));
            self.replies.push(ClientReply::RowDescription(described));
        }
        Some(self.send_found(&planned, fields, found, request.formats.as_ref()))
    }

    /// Answers what libpq sends for a prepared statement (Bind, Describe, Execute and Sync, all of
    /// them there and nothing else open) if it can be done at once. `false`: nothing has happened.
    pub(super) fn run_batch_at_once(&mut self) -> bool {
        let over = self.inbox.is_disconnected() || self.inbox.is_overflown();
        if over || self.skip_to_sync || self.transactions.block != Block::Idle {
            return false;
        }
        let Some(done) = self.inbox.look(|queue| self.batch_at_hand(queue)) else { return false };
        for _ in 0..BATCH {
            // They were looked at.
            let _ = self.inbox.try_next();
        }
        self.portals.remove("");
        self.replies.push(ClientReply::BindComplete);
        if let Some(described) = done.prepared.described(&done.formats) {
            self.replies.push(ClientReply::RowDescription(described));
        }
        let fields = done.planned.fields.as_deref().unwrap_or_default();
        match self.send_found(&done.planned, fields, done.found, Some(&done.formats)) {
            Ok(completion) => self.complete(completion),
            Err(error) => self.replies.push(ClientReply::Error(error)),
        }
        self.ready();
        true
    }

    fn batch_at_hand(&self, queue: &VecDeque<ClientRequest>) -> Option<Batch> {
        let (Some(bind), Some(describe), Some(execute), Some(ClientRequest::Sync)) =
            (queue.front(), queue.get(1), queue.get(2), queue.get(3))
        else {
            return None;
        };
        let ClientRequest::Bind {
            portal,
            statement,
            parameter_formats,
            parameters,
            result_formats,
        } = bind
        else {
            return None;
        };
        let (
            ClientRequest::DescribePortal(described),
            ClientRequest::Execute { portal: run, rows_max: 0 },
        ) = (describe, execute)
        else {
            return None;
        };
        if !portal.is_empty() || !described.is_empty() || !run.is_empty() {
            return None;
        }
        let prepared = self.statements.get(statement)?;
        let planned = self.plan_at_hand(prepared)?;
        let formats = Formats::given(result_formats, planned.fields.as_ref()?.len())?;
        // What is wrong with them is said by those whose business it is.
        let values = self.decode_parameters(statement, prepared, parameters, parameter_formats);
        let found = self.row_at_hand(&planned, &values.ok()?)?;
        Some(Batch { prepared: Rc::clone(prepared), planned, formats, found })
    }

    /// The statement's plan, if it was planned under this search path. Its catalog is looked at
    /// together with its timestamp.
    fn plan_at_hand(&self, prepared: &Prepared) -> Option<Rc<Planned>> {
        let Work::Planned(slot) = &prepared.work else { return None };
        let slot = slot.borrow();
        let planned = slot.as_ref().filter(|planned| planned.row_query.is_some())?;
        (planned.search_path == self.search_path()).then(|| Rc::clone(planned))
    }

    /// The row of a query of one row, if it is at hand.
    fn row_at_hand(&self, planned: &Planned, parameters: &[Datum]) -> Option<Option<Found>> {
        let (query, access) = (planned.row_query.as_ref()?, planned.access.as_ref()?);
        if self.transactions.open.is_some() || parameters.len() < planned.parameters.len() {
            return None;
        }
        let (place, route, key) = query.place(access, parameters)?;
        self.instance.source.read_now(planned.catalog_version, place, route, &key)
    }

    /// Sends the row, if there is one; the statement's end.
    fn send_found(
        &mut self,
        planned: &Planned,
        fields: &[Field],
        found: Option<Found>,
        formats: Option<&Formats>,
    ) -> Result<Completion, SqlError> {
        let rows = match found {
            None => Ok(0),
            Some(found) => self.send_row(planned, fields, &found.row, formats).map(|()| 1),
        };
        self.settings.transaction_ended(rows.is_ok());
        rows.map(|rows| Completion::Tag(format!("SELECT {rows}")))
    }

    fn send_row(
        &mut self,
        planned: &Planned,
        fields: &[Field],
        row: &[u8],
        formats: Option<&Formats>,
    ) -> Result<(), SqlError> {
        let (Some(query), Some(access)) = (&planned.row_query, &planned.access) else {
            return Ok(());
        };
        let (values, columns) = query.values(access, row)?;
        let zone = Rc::clone(&self.settings.hot().zone);
        let encoder = Encoder::new(formats, zone, None);
        let result = columns.iter().map(|at| &values[*at]);
        self.replies.row(fields.len(), |out| encoder.encode(fields, result, out))
    }
}
