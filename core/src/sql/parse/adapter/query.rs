//! Queries around SELECT: WITH, set operations, ORDER BY, LIMIT, locking.

use sqlparser::ast as sp;

use super::lower::{Lower, refuse, start};
use super::place::start_of;
use crate::base::error::SqlError;
use crate::sql::parse::ast::{
    Cte, Expr, ExprKind, Literal, LockStrength, LockWait, LockingClause, OrderItem, Query, SetBody,
    SetOperation, SetOperator,
};
use crate::sql::parse::stack::with_stack;
use crate::sql::parse::syntax::unsupported;

impl Lower<'_> {
    /// A query.
    pub(super) fn query(self, query: sp::Query) -> Result<Query, SqlError> {
        with_stack(|| self.query_level(query))
    }

    fn query_level(self, query: sp::Query) -> Result<Query, SqlError> {
        let sp::Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        refuse!(0;
            for_clause.is_some() => "FOR XML or JSON",
            settings.is_some() => "SETTINGS",
            format_clause.is_some() => "FORMAT",
            !pipe_operators.is_empty() => "|>",
        );
        let with = match with {
            Some(with) => self.with(with)?,
            None => Vec::new(),
        };
        let body = self.set_body(*body)?;
        let order_by = match order_by {
            Some(order_by) => self.order_by(order_by)?,
            None => Vec::new(),
        };
        let (mut limit, offset) = self.limit(limit_clause)?;
        if let Some(fetch) = fetch {
            limit = Some(self.fetch(fetch)?);
        }
        let locking = locks.into_iter().map(|lock| self.locking(lock)).collect::<Result<_, _>>()?;
        Ok(Query { with, body, order_by, limit, offset, locking })
    }

    fn with(self, with: sp::With) -> Result<Vec<Cte>, SqlError> {
        let sp::With { with_token, recursive, cte_tables } = with;
        let position = start(with_token.0.span);
        refuse!(position; recursive => "WITH RECURSIVE");
        let mut ctes = Vec::with_capacity(cte_tables.len());
        for table in cte_tables {
            let sp::Cte { alias, query, from, materialized: _, closing_paren_token: _ } = table;
            refuse!(position; from.is_some() => "WITH … FROM");
            let alias = self.alias(alias)?;
            let query = self.query(*query)?;
            ctes.push(Cte { name: alias.name, columns: alias.columns, query });
        }
        Ok(ctes)
    }

    fn set_body(self, body: sp::SetExpr) -> Result<SetBody, SqlError> {
        // The left spine of `a UNION b UNION c …` is walked, not recursed into.
        let mut spine = Vec::new();
        let mut leftmost = body;
        while let sp::SetExpr::SetOperation { op, set_quantifier, left, right } = leftmost {
            spine.push((op, set_quantifier, *right));
            leftmost = *left;
        }
        let mut left = self.set_leaf(leftmost)?;
        while let Some((op, quantifier, right)) = spine.pop() {
            let op = match op {
                sp::SetOperator::Union => SetOperator::Union,
                sp::SetOperator::Intersect => SetOperator::Intersect,
                sp::SetOperator::Except => SetOperator::Except,
                sp::SetOperator::Minus => return Err(unsupported("MINUS", 0)),
            };
            let all = match quantifier {
                sp::SetQuantifier::All => true,
                sp::SetQuantifier::Distinct | sp::SetQuantifier::None => false,
                sp::SetQuantifier::ByName
                | sp::SetQuantifier::AllByName
                | sp::SetQuantifier::DistinctByName => {
                    return Err(unsupported("UNION BY NAME", 0));
                }
            };
            let right = self.set_body(right)?;
            left = SetBody::Operation(Box::new(SetOperation { op, all, left, right }));
        }
        Ok(left)
    }

    fn set_leaf(self, body: sp::SetExpr) -> Result<SetBody, SqlError> {
        match body {
            sp::SetExpr::Select(select) => Ok(SetBody::Select(Box::new(self.select(*select)?))),
            sp::SetExpr::Query(query) => Ok(SetBody::Query(Box::new(self.query(*query)?))),
            sp::SetExpr::Values(values) => Ok(SetBody::Values(self.values(values)?)),
            sp::SetExpr::Insert(_)
            | sp::SetExpr::Update(_)
            | sp::SetExpr::Delete(_)
            | sp::SetExpr::Merge(_) => Err(unsupported("a data-modifying statement in WITH", 0)),
            sp::SetExpr::Table(_) => Err(unsupported("TABLE", 0)),
            // Taken apart by the caller.
            sp::SetExpr::SetOperation { .. } => self.set_body(body),
        }
    }

    /// `VALUES (…), (…)`
    pub(super) fn values(self, values: sp::Values) -> Result<Vec<Vec<Expr>>, SqlError> {
        let sp::Values { explicit_row, value_keyword, rows } = values;
        refuse!(0; explicit_row => "VALUES ROW", value_keyword => "VALUE");
        rows.into_iter()
            .map(|row| row.content.into_iter().map(|value| self.expr(value)).collect())
            .collect()
    }

    fn order_by(self, order_by: sp::OrderBy) -> Result<Vec<OrderItem>, SqlError> {
        let position = 0;
        let sp::OrderBy { kind, interpolate } = order_by;
        refuse!(position; interpolate.is_some() => "INTERPOLATE");
        match kind {
            sp::OrderByKind::Expressions(items) => self.order_items(items),
            sp::OrderByKind::All(_) => Err(unsupported("ORDER BY ALL", position)),
        }
    }

    /// Items of an ORDER BY.
    pub(super) fn order_items(
        self,
        items: Vec<sp::OrderByExpr>,
    ) -> Result<Vec<OrderItem>, SqlError> {
        items
            .into_iter()
            .map(|item| {
                let sp::OrderByExpr { expr, options, with_fill } = item;
                let expr = self.expr(expr)?;
                let sp::OrderByOptions { sort, nulls_first } = options;
                refuse!(expr.position; with_fill.is_some() => "WITH FILL");
                let descending = match sort {
                    None | Some(sp::OrderBySort::Asc) => false,
                    Some(sp::OrderBySort::Desc) => true,
                    Some(sp::OrderBySort::Using(_)) => {
                        return Err(unsupported("ORDER BY USING", expr.position));
                    }
                };
                Ok(OrderItem { expr, descending, nulls_first })
            })
            .collect()
    }

    fn limit(
        self,
        clause: Option<sp::LimitClause>,
    ) -> Result<(Option<Expr>, Option<Expr>), SqlError> {
        let (limit, offset) = match clause {
            None => (None, None),
            Some(sp::LimitClause::LimitOffset { limit, offset, limit_by }) => {
                refuse!(0; !limit_by.is_empty() => "LIMIT BY");
                (limit, offset)
            }
            Some(sp::LimitClause::OffsetCommaLimit { offset, limit: _ }) => {
                return Err(unsupported("LIMIT #,#", start_of(&offset))
                    .hint("Use separate LIMIT and OFFSET clauses."));
            }
        };
        let limit = limit.map(|limit| self.expr(limit)).transpose()?;
        let offset = offset.map(|offset| self.expr(offset.value)).transpose()?;
        Ok((limit, offset))
    }

    fn fetch(self, fetch: sp::Fetch) -> Result<Expr, SqlError> {
        let sp::Fetch { with_ties, percent, quantity } = fetch;
        refuse!(0; with_ties => "FETCH … WITH TIES", percent => "FETCH … PERCENT");
        match quantity {
            Some(quantity) => self.expr(quantity),
            None => {
                let one = Literal::Number("1".to_owned());
                Ok(Expr { kind: ExprKind::Literal(one), position: 0 })
            }
        }
    }

    fn locking(self, lock: sp::LockClause) -> Result<LockingClause, SqlError> {
        let sp::LockClause { lock_type, of, nonblock } = lock;
        let strength = match lock_type {
            sp::LockType::Share => LockStrength::Share,
            sp::LockType::Update => LockStrength::Update,
        };
        let of = match of {
            Some(table) => vec![self.single_name(&table)?],
            None => Vec::new(),
        };
        let wait = match nonblock {
            None => LockWait::Wait,
            Some(sp::NonBlock::Nowait) => LockWait::NoWait,
            Some(sp::NonBlock::SkipLocked) => LockWait::SkipLocked,
        };
        Ok(LockingClause { strength, of, wait })
    }
}
