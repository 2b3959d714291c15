//! Queries: WITH, set operations, VALUES, and ORDER BY and LIMIT over them.

use super::binder::{Binder, BoundQuery, Clause, CteEntry, Level, Typed, rename};
use super::scope::{Scope, ScopeColumn};
use super::types;
use crate::base::error::{SqlError, sqlstate};
use crate::base::limit;
use crate::row::datum::Datum;
use crate::row::eval::Expr;
use crate::row::types::{CastContext, DataType};
use crate::sql::parse::ast::{
    self, ExprKind, Literal, OrderItem, Query, SetBody, SetOperation, SetOperator,
};
use crate::sql::parse::with_stack;
use crate::sql::plan::{Field, LogicalPlan, SortKey};

impl Binder<'_> {
    /// A query in the innermost level. `targets` are the types that values of undecided type take (the
    /// columns of an INSERT); without, they become text.
    pub(super) fn query(
        &mut self,
        query: &Query,
        targets: Option<&[DataType]>,
    ) -> Result<BoundQuery, SqlError> {
        with_stack(|| self.query_level(query, targets))
    }

    fn query_level(
        &mut self,
        query: &Query,
        targets: Option<&[DataType]>,
    ) -> Result<BoundQuery, SqlError> {
        let visible = self.visible_ctes.len();
        self.with(query)?;
        let bound = match &query.body {
            SetBody::Select(select) => self.select(select, query, targets),
            body => {
                if !query.locking.is_empty() {
                    let message = "FOR UPDATE is not allowed with UNION/INTERSECT/EXCEPT or VALUES";
                    return Err(SqlError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
                }
                let bound = self.set_body(body, targets)?;
                self.order_and_limit(bound, query)
            }
        };
        self.visible_ctes.truncate(visible);
        bound
    }

    fn with(&mut self, query: &Query) -> Result<(), SqlError> {
        for (at, cte) in query.with.iter().enumerate() {
            if query.with[..at].iter().any(|other| other.name.text == cte.name.text) {
                let message = format!("WITH query name \"{}\" specified more than once", cte.name);
                let state = sqlstate::DUPLICATE_ALIAS;
                return Err(SqlError::new(state, message).at(cte.name.position));
            }
            let (mut bound, captures) = self.nested(|binder| binder.query(&cte.query, None))?;
            if !captures.is_empty() {
                let what = "a WITH query that refers to a query around it";
                return Err(SqlError::unsupported(what).at(cte.name.position));
            }
            rename(&mut bound.fields, &cte.columns, &cte.name.text)?;
            self.ctes.push(bound.plan);
            let (name, number) = (cte.name.text.clone(), self.ctes.len() - 1);
            self.visible_ctes.push(CteEntry { name, number, fields: bound.fields });
        }
        Ok(())
    }

    fn set_body(
        &mut self,
        body: &SetBody,
        targets: Option<&[DataType]>,
    ) -> Result<BoundQuery, SqlError> {
        match body {
            SetBody::Select(select) => {
                let (bound, _) = self.side(|binder| {
                    let bare = bare_query();
                    binder.select(select, &bare, targets)
                })?;
                Ok(bound)
            }
            SetBody::Values(rows) => self.values(rows, targets),
            SetBody::Query(query) => {
                let (bound, _) = self.side(|binder| binder.query(query, targets))?;
                Ok(bound)
            }
            SetBody::Operation(operation) => self.set_operation(operation),
        }
    }

    /// One side of a set operation: names of the other side are not in sight, but it is no deeper.
    fn side<R>(
        &mut self,
        bind: impl FnOnce(&mut Self) -> Result<R, SqlError>,
    ) -> Result<(R, ()), SqlError> {
        let level = self.level();
        let scope = std::mem::take(&mut level.scope);
        let named = std::mem::take(&mut level.named);
        let result = bind(self);
        let level = self.level();
        (level.scope, level.named) = (scope, named);
        Ok((result?, ()))
    }

    fn set_operation(&mut self, operation: &SetOperation) -> Result<BoundQuery, SqlError> {
        // The left spine is walked: a chain of UNIONs is as deep as it is long.
        let mut spine = vec![operation];
        let mut leftmost = &operation.left;
        while let SetBody::Operation(inner) = leftmost {
            spine.push(inner);
            leftmost = &inner.left;
        }
        let mut left = self.set_body(leftmost, None)?;
        while let Some(operation) = spine.pop() {
            let right = self.set_body(&operation.right, None)?;
            left = self.combine(operation, left, right)?;
        }
        Ok(left)
    }

    fn combine(
        &mut self,
        operation: &SetOperation,
        left: BoundQuery,
        right: BoundQuery,
    ) -> Result<BoundQuery, SqlError> {
        let word = match operation.op {
            SetOperator::Union => "UNION",
            SetOperator::Intersect => "INTERSECT",
            SetOperator::Except => "EXCEPT",
        };
        if left.fields.len() != right.fields.len() {
            let message = format!("each {word} query must have the same number of columns");
            return Err(SqlError::new(sqlstate::SYNTAX_ERROR, message));
        }
        let mut fields = Vec::with_capacity(left.fields.len());
        for (l, r) in left.fields.iter().zip(&right.fields) {
            let ty = types::common([&l.ty, &r.ty].into_iter())
                .map_err(|(one, other)| super::special::no_common_type(word, &one, &other, 0))?;
            fields.push(Field { name: l.name.clone(), ty, table_oid: 0, column: 0 });
        }
        let left = self.retype(left, &fields)?;
        let right = self.retype(right, &fields)?;
        let intersect = match operation.op {
            SetOperator::Union => {
                let mut inputs = match left {
                    LogicalPlan::Append { inputs } => inputs,
                    other => vec![other],
                };
                inputs.push(right);
                let append = LogicalPlan::Append { inputs };
                let plan = if operation.all {
                    append
                } else {
                    LogicalPlan::Distinct { input: Box::new(append), on: None }
                };
                return Ok(BoundQuery { plan, fields });
            }
            SetOperator::Intersect => true,
            SetOperator::Except => false,
        };
        let (left, right, all) = (Box::new(left), Box::new(right), operation.all);
        let plan = LogicalPlan::SetOperation { intersect, all, left, right };
        Ok(BoundQuery { plan, fields })
    }

    fn retype(&mut self, bound: BoundQuery, fields: &[Field]) -> Result<LogicalPlan, SqlError> {
        if bound.fields.iter().zip(fields).all(|(from, to)| from.ty == to.ty) {
            return Ok(bound.plan);
        }
        let mut exprs = Vec::with_capacity(fields.len());
        for (index, (from, to)) in bound.fields.iter().zip(fields).enumerate() {
            let column = Typed { expr: Expr::Column(index), ty: from.ty.clone(), position: 0 };
            exprs.push(self.coerce(column, &to.ty)?.expr);
        }
        Ok(LogicalPlan::Project { input: Box::new(bound.plan), exprs })
    }

    /// VALUES as a query.
    pub(super) fn values(
        &mut self,
        rows: &[Vec<ast::Expr>],
        targets: Option<&[DataType]>,
    ) -> Result<BoundQuery, SqlError> {
        let width = rows.first().map_or(0, Vec::len);
        let mut columns: Vec<Vec<Typed>> = vec![Vec::with_capacity(rows.len()); width];
        for row in rows {
            if row.len() != width {
                let message = "VALUES lists must all be the same length";
                let position = row.first().map_or(0, |value| value.position);
                return Err(SqlError::new(sqlstate::SYNTAX_ERROR, message).at(position));
            }
            for (value, column) in row.iter().zip(&mut columns) {
                let value = self.within(Clause::Values, |binder| binder.expr(value))?;
                if matches!(value.expr, Expr::Subquery(_)) {
                    let what = "a subquery in VALUES";
                    return Err(SqlError::unsupported(what).at(value.position));
                }
                column.push(value);
            }
        }
        let mut fields = Vec::with_capacity(width);
        let mut out: Vec<Vec<Expr>> = vec![Vec::with_capacity(width); rows.len()];
        for (at, mut column) in columns.into_iter().enumerate() {
            if let Some(target) = targets.and_then(|targets| targets.get(at))
                && column.iter().all(|value| value.ty == DataType::Unknown)
            {
                let target = target.without_modifier();
                column = column
                    .into_iter()
                    .map(|value| self.coerce(value, &target))
                    .collect::<Result<_, _>>()?;
            }
            let (exprs, ty) = self.unify("VALUES", column)?;
            for (row, expr) in out.iter_mut().zip(exprs) {
                row.push(expr);
            }
            let name = format!("column{}", at + 1);
            fields.push(Field { name, ty, table_oid: 0, column: 0 });
        }
        Ok(BoundQuery { plan: LogicalPlan::Values { rows: out, width }, fields })
    }

    /// ORDER BY and LIMIT over a result whose columns are all that can be named.
    fn order_and_limit(
        &mut self,
        bound: BoundQuery,
        query: &Query,
    ) -> Result<BoundQuery, SqlError> {
        let BoundQuery { mut plan, fields } = bound;
        if !query.order_by.is_empty() {
            let columns = fields.iter().enumerate().map(|(index, field)| ScopeColumn {
                table: None,
                schema: None,
                name: field.name.clone(),
                ty: field.ty.clone(),
                table_oid: 0,
                attnum: 0,
                index,
                primary: false,
                merged: false,
            });
            let scope = Scope { columns: columns.collect() };
            let before = std::mem::replace(&mut self.level().scope, scope);
            let keys = query.order_by.iter().map(|item| self.output_key(item, &fields));
            let keys = keys.collect::<Result<Vec<_>, _>>();
            self.level().scope = before;
            plan = LogicalPlan::Sort { input: Box::new(plan), keys: keys? };
        }
        let plan = self.limit(plan, query)?;
        Ok(BoundQuery { plan, fields })
    }

    fn output_key(&mut self, item: &OrderItem, fields: &[Field]) -> Result<SortKey, SqlError> {
        let expr = match ordinal(&item.expr, fields.len(), "ORDER BY")? {
            Some(index) => Expr::Column(index),
            None => {
                match self.within(Clause::OrderBy, |binder| binder.value(&item.expr)) {
                    Ok(Typed { expr: Expr::Column(index), .. }) => Expr::Column(index),
                    Err(error) => return Err(error),
                    Ok(_) => {
                        let message = "invalid UNION/INTERSECT/EXCEPT ORDER BY clause";
                        return Err(SqlError::new(sqlstate::FEATURE_NOT_SUPPORTED, message)
                        .detail("Only result column names can be used, not expressions or functions.")
                        .at(item.expr.position));
                    }
                }
            }
        };
        Ok(sort_key(expr, item))
    }

    /// LIMIT and OFFSET.
    pub(super) fn limit(
        &mut self,
        plan: LogicalPlan,
        query: &Query,
    ) -> Result<LogicalPlan, SqlError> {
        if query.limit.is_none() && query.offset.is_none() {
            return Ok(plan);
        }
        let limit = self.row_count(query.limit.as_ref(), "LIMIT")?;
        let offset = self.row_count(query.offset.as_ref(), "OFFSET")?;
        Ok(LogicalPlan::Limit { input: Box::new(plan), limit, offset })
    }

    fn row_count(
        &mut self,
        count: Option<&ast::Expr>,
        what: &str,
    ) -> Result<Option<Expr>, SqlError> {
        let Some(count) = count else { return Ok(None) };
        // Nothing of the query is in sight here.
        let scope = std::mem::take(&mut self.level().scope);
        let value = self.within(Clause::Limit, |binder| binder.expr(count));
        self.level().scope = scope;
        let value = value.map_err(|error| match error.state {
            sqlstate::UNDEFINED_COLUMN => {
                let message = format!("argument of {what} must not contain variables");
                SqlError::new(sqlstate::INVALID_COLUMN_REFERENCE, message).at(count.position)
            }
            _ => error,
        })?;
        if matches!(value.expr, Expr::Subquery(_)) {
            return Err(SqlError::unsupported(format!("a subquery in {what}")).at(count.position));
        }
        let from = value.ty.base_name().into_owned();
        match self.try_coerce(value, &DataType::Int8, CastContext::Assignment)? {
            Some(value) if matches!(value.expr, Expr::Const(Datum::Null, _)) => Ok(None),
            Some(value) => Ok(Some(value.expr)),
            None => {
                let message = format!("argument of {what} must be type bigint, not type {from}");
                Err(SqlError::new(sqlstate::DATATYPE_MISMATCH, message).at(count.position))
            }
        }
    }
}

impl Level {
    /// Whether the level groups its rows.
    pub(super) fn groups(&self) -> bool {
        !self.aggregates.is_empty()
    }
}

/// A query without clauses around its body.
fn bare_query() -> Query {
    Query {
        with: Vec::new(),
        body: SetBody::Values(Vec::new()),
        order_by: Vec::new(),
        limit: None,
        offset: None,
        locking: Vec::new(),
    }
}

/// The output column that an integer constant in ORDER BY or GROUP BY means.
pub(super) fn ordinal(
    expr: &ast::Expr,
    width: usize,
    clause: &str,
) -> Result<Option<usize>, SqlError> {
    let ExprKind::Literal(literal) = &expr.kind else { return Ok(None) };
    let number = match literal {
        Literal::Number(digits) => digits.parse::<usize>().ok(),
        _ => None,
    };
    let Some(number) = number else {
        let message = format!("non-integer constant in {clause}");
        return Err(SqlError::new(sqlstate::SYNTAX_ERROR, message).at(expr.position));
    };
    if number == 0 || width < number {
        let message = format!("{clause} position {number} is not in select list");
        let state = sqlstate::INVALID_COLUMN_REFERENCE;
        return Err(SqlError::new(state, message).at(expr.position));
    }
    Ok(Some(number - 1))
}

/// A key with the directions that were written; nulls are larger than everything.
pub(super) fn sort_key(expr: Expr, item: &OrderItem) -> SortKey {
    SortKey {
        expr,
        descending: item.descending,
        nulls_first: item.nulls_first.unwrap_or(item.descending),
    }
}

/// Refuses results that are too wide.
pub(super) fn check_width(width: usize) -> Result<(), SqlError> {
    if limit::COLUMNS_MAX < width {
        let message = format!("target lists can have at most {} entries", limit::COLUMNS_MAX);
        return Err(SqlError::new(sqlstate::TOO_MANY_COLUMNS, message));
    }
    Ok(())
}
