//! The COPY sub-protocol.
//!
//! COPY IN takes the client's messages one after the other while the statement runs, so memory is
//! bounded by a batch of writes; COPY OUT waits for its client as any result does.

use std::rc::Rc;

use super::session::{End, Session};
use super::transaction::OpenTransaction;
use crate::base::error::{SqlError, sqlstate};
use crate::row::datum::Datum;
use crate::sql::execute::context::ExecContext;
use crate::sql::execute::copy::read::{self, CopyIn};
use crate::sql::execute::copy::write::CopyOut;
use crate::sql::execute::cursor::{Cursor, Started};
use crate::sql::execute::ddl;
use crate::sql::execute::planned::Planned;
use crate::sql::parse::ast::{
    Copy, CopySource, Distinct, Expr, ExprKind, Name, ObjectName, Query, Select, SelectItem,
    SetBody, Statement, TableRef,
};
use crate::sql::protocol::{ClientReply, ClientRequest};

impl Session {
    pub(super) async fn copy(
        &mut self,
        copy: &Copy,
        open: &Rc<OpenTransaction>,
    ) -> Result<String, SqlError> {
        let context = self.context(open, &Rc::from([]));
        let rows = match (&copy.source, copy.from_stdin) {
            (CopySource::Table { name, columns }, true) => {
                self.copy_in(copy, name, columns, &context).await?
            }
            (CopySource::Query(_), true) => {
                let message = "COPY (query) FROM is not possible";
                return Err(SqlError::new(sqlstate::SYNTAX_ERROR, message));
            }
            (CopySource::Table { name, columns }, false) => {
                let catalog = open.catalog().await?;
                let table = ddl::table(&context, &catalog, name)?;
                let ordinals = read::columns(&table, columns)?;
                let names = ordinals.iter().map(|at| table.columns[*at].name.as_str());
                let statement = select_columns(name, names);
                let plan = self.plan(&statement, &[], catalog)?;
                self.copy_out(copy, &plan, &context).await?
            }
            (CopySource::Query(query), false) => {
                let statement = Statement::Query(query.clone());
                let plan = self.plan(&statement, &[], open.catalog().await?)?;
                self.copy_out(copy, &plan, &context).await?
            }
        };
        self.take_notices(&context);
        Ok(format!("COPY {rows}"))
    }

    async fn copy_in(
        &mut self,
        copy: &Copy,
        name: &ObjectName,
        columns: &[Name],
        context: &Rc<ExecContext>,
    ) -> Result<u64, SqlError> {
        let catalog = context.open.catalog().await?;
        let table = ddl::table(context, &catalog, name)?;
        let mut sink = CopyIn::new(context, table, columns, &copy.options).await?;
        let width = u16::try_from(sink.width()).unwrap_or(u16::MAX);
        self.replies.push(ClientReply::CopyInResponse(0, width));
        self.replies.flush();
        loop {
            let request = match self.next_request().await {
                Ok(request) => request,
                Err(End::Quietly) => {
                    let message = "unexpected EOF on client connection with an open transaction";
                    return Err(SqlError::new(sqlstate::CONNECTION_FAILURE, message));
                }
                Err(End::Fatal(error)) => return Err(error),
            };
            match request {
                ClientRequest::CopyData(bytes) => sink.piece(&bytes).await?,
                ClientRequest::CopyDone => return sink.finish().await,
                ClientRequest::CopyFail(why) => {
                    let message = format!("COPY from stdin failed: {why}");
                    return Err(SqlError::new(sqlstate::QUERY_CANCELED, message));
                }
                // The protocol lets these pass, because a client may send them ahead.
                ClientRequest::Flush | ClientRequest::Sync => {}
                other => {
                    self.inbox.put_back(other);
                    let message = "unexpected message during COPY from stdin";
                    return Err(SqlError::new(sqlstate::PROTOCOL_VIOLATION, message));
                }
            }
        }
    }

    async fn copy_out(
        &mut self,
        copy: &Copy,
        plan: &Rc<Planned>,
        context: &Rc<ExecContext>,
    ) -> Result<u64, SqlError> {
        let Some(fields) = &plan.fields else {
            return Err(SqlError::unsupported("COPY of a statement without a result"));
        };
        let zone = Rc::clone(&context.facts.zone);
        let out = CopyOut::new(Rc::clone(fields), copy.options.clone(), zone);
        let width = u16::try_from(fields.len()).unwrap_or(u16::MAX);
        self.replies.push(ClientReply::CopyOutResponse(0, width));
        self.replies.copy_data(out.header().into_iter().collect());
        let mut cursor = Cursor::start(plan, context).await?;
        let mut count = 0u64;
        while let Started::Rows(rows) = cursor.next(u64::MAX).await? {
            count += rows.len() as u64;
            let lines = rows.iter().map(|row: &Vec<Datum>| out.row(row)).collect();
            self.replies.copy_data(lines);
            self.replies.flow().await;
        }
        self.replies.push(ClientReply::CopyDone);
        Ok(count)
    }
}

/// `SELECT columns FROM table`
fn select_columns<'a>(table: &ObjectName, names: impl Iterator<Item = &'a str>) -> Statement {
    let item = |name: &str| {
        let kind = ExprKind::Column(vec![Name::new(name, true, 0)]);
        SelectItem::Expr { expr: Expr { kind, position: 0 }, alias: None }
    };
    let select = Select {
        distinct: Distinct::No,
        items: names.map(item).collect(),
        from: vec![TableRef::Table { name: table.clone(), alias: None }],
        filter: None,
        group_by: Vec::new(),
        having: None,
    };
    Statement::Query(Box::new(Query {
        with: Vec::new(),
        body: SetBody::Select(Box::new(select)),
        order_by: Vec::new(),
        limit: None,
        offset: None,
        locking: Vec::new(),
    }))
}
