//! SELECT.

use super::binder::{Binder, BoundQuery, Clause, Typed};
use super::naming;
use super::query::{check_width, ordinal, sort_key};
use super::scope::ScopeColumn;
use super::series;
use crate::base::error::{SqlError, sqlstate};
use crate::row::eval::Expr;
use crate::row::types::DataType;
use crate::sql::parse::ast::{
    self, Distinct, ExprKind, LockingClause, ObjectName, OrderItem, Query, Select, SelectItem,
};
use crate::sql::plan::{Field, LogicalPlan, RowLock, SortKey};

/// Items of a select list, bound: values and what they are called.
pub(super) struct Items {
    pub(super) values: Vec<Typed>,
    pub(super) fields: Vec<Field>,
    /// What each was written as, if it was not part of a star.
    sources: Vec<Option<ast::Expr>>,
}

impl Binder<'_> {
    /// A SELECT and the clauses of `query` around it.
    pub(super) fn select(
        &mut self,
        select: &Select,
        query: &Query,
        targets: Option<&[DataType]>,
    ) -> Result<BoundQuery, SqlError> {
        self.check_locking(select, query)?;
        let moved = series::from_list(select);
        let select = moved.as_ref().map_or(select, |moved| &moved.select);
        let locking = &query.locking;
        let plan = self.bind_from_items(&select.from, &|table| lock_of(locking, table))?;
        let mut plan = self.filter(plan, select.filter.as_ref())?;
        if let Some(moved) = &moved {
            // After WHERE, which is asked once for each row.
            plan = self.join_items(Some(plan), std::slice::from_ref(&moved.function), &|_| None)?;
        }
        let mut items = self.items(&select.items, Clause::Select)?;
        check_width(items.values.len())?;
        for (at, value) in items.values.iter_mut().enumerate() {
            let target = targets.and_then(|targets| targets.get(at));
            if value.ty == DataType::Unknown {
                let ty = target.map_or(DataType::Text, DataType::without_modifier);
                *value = self.coerce(value.clone(), &ty)?;
                items.fields[at].ty = ty;
            }
        }
        let keys = self.group_keys(&select.group_by, &items)?;
        let having = match &select.having {
            Some(having) => {
                Some(self.within(Clause::Having, |binder| binder.condition(having, "HAVING"))?)
            }
            None => None,
        };
        let order = self.order_values(&query.order_by, &items)?;
        let distinct_on = match &select.distinct {
            Distinct::On(keys) => Some(self.distinct_keys(keys, &items)?),
            Distinct::No | Distinct::All => None,
        };
        let mut parts = Parts { items, having, order, distinct_on };
        let groups = self.level().groups() || !select.group_by.is_empty() || parts.having.is_some();
        if let Some(moved) = moved.as_ref().filter(|_| groups) {
            let what = "a set-returning function beside an aggregate or GROUP BY";
            return Err(SqlError::unsupported(what).at(moved.position));
        }
        if groups && !locking.is_empty() {
            let message = "FOR UPDATE is not allowed with GROUP BY clause";
            return Err(SqlError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
        }
        let plan = if groups {
            let mut exprs = parts.all();
            self.group(plan, keys, &mut exprs)?
        } else {
            plan
        };
        let plan = match &mut parts.having {
            Some(having) => {
                let width = plan.width();
                let input = Box::new(self.apply_subqueries(plan, &mut [having]));
                let predicate = having.clone();
                LogicalPlan::Filter { input, predicate }.trimmed(width)
            }
            None => plan,
        };
        parts.having = None;
        let plan = self.apply_subqueries(plan, &mut parts.all());
        self.output(plan, parts, select, query)
    }

    fn filter(
        &mut self,
        plan: LogicalPlan,
        filter: Option<&ast::Expr>,
    ) -> Result<LogicalPlan, SqlError> {
        let Some(filter) = filter else { return Ok(plan) };
        let mut predicate =
            self.within(Clause::Where, |binder| binder.condition(filter, "WHERE"))?;
        let width = plan.width();
        let input = Box::new(self.apply_subqueries(plan, &mut [&mut predicate]));
        Ok(LogicalPlan::Filter { input, predicate }.trimmed(width))
    }

    /// The select list, DISTINCT, ORDER BY and LIMIT, over what the rest gave.
    fn output(
        &mut self,
        plan: LogicalPlan,
        parts: Parts,
        select: &Select,
        query: &Query,
    ) -> Result<BoundQuery, SqlError> {
        let fields = parts.items.fields;
        let width = fields.len();
        let mut exprs: Vec<Expr> = parts.items.values.into_iter().map(|v| v.expr).collect();
        // An ORDER BY key that is an item is that item's column; others follow the items.
        let mut place = |expr: Expr| {
            let at = exprs.iter().position(|known| *known == expr).unwrap_or_else(|| {
                exprs.push(expr);
                exprs.len() - 1
            });
            Expr::Column(at)
        };
        let mut order = Vec::with_capacity(parts.order.len());
        for key in parts.order {
            order.push(SortKey { expr: place(key.expr), ..key });
        }
        let on: Option<Vec<Expr>> =
            parts.distinct_on.map(|keys| keys.into_iter().map(&mut place).collect());
        if select.distinct == Distinct::All && width < exprs.len() {
            let message = "for SELECT DISTINCT, ORDER BY expressions must appear in select list";
            let position = query.order_by.first().map_or(0, |item| item.expr.position);
            let state = sqlstate::INVALID_COLUMN_REFERENCE;
            return Err(SqlError::new(state, message).at(position));
        }
        let mut plan = LogicalPlan::Project { input: Box::new(plan), exprs };
        if select.distinct == Distinct::All {
            plan = LogicalPlan::Distinct { input: Box::new(plan), on: None };
        }
        if let Some(on) = on {
            check_distinct_on(&on, &order, query)?;
            let mut keys = order.clone();
            for expr in &on {
                if !keys.iter().any(|key| key.expr == *expr) {
                    let expr = expr.clone();
                    keys.push(SortKey { expr, descending: false, nulls_first: false });
                }
            }
            plan = LogicalPlan::Sort { input: Box::new(plan), keys };
            plan = LogicalPlan::Distinct { input: Box::new(plan), on: Some(on) };
        } else if !order.is_empty() {
            plan = LogicalPlan::Sort { input: Box::new(plan), keys: order };
        }
        let plan = self.limit(plan, query)?.trimmed(width);
        Ok(BoundQuery { plan, fields })
    }

    /// The items of a select list or of RETURNING.
    pub(super) fn items(
        &mut self,
        items: &[SelectItem],
        clause: Clause,
    ) -> Result<Items, SqlError> {
        let mut out = Items { values: Vec::new(), fields: Vec::new(), sources: Vec::new() };
        for item in items {
            match item {
                SelectItem::Star { table, position } => {
                    for column in self.star(table.as_ref(), *position)? {
                        out.fields.push(column_field(&column));
                        let index = column.index;
                        let level = self.level();
                        if !level.named.iter().any(|(named, _)| *named == index) {
                            level.named.push((index, *position));
                        }
                        out.values.push(Typed {
                            expr: Expr::Column(index),
                            ty: column.ty,
                            position: *position,
                        });
                        out.sources.push(None);
                    }
                }
                SelectItem::Expr { expr, alias } => {
                    let value = self.within(clause, |binder| binder.expr(expr))?;
                    let name = match alias {
                        Some(alias) => alias.text.clone(),
                        None => naming::column_name(expr),
                    };
                    out.fields.push(self.field(name, &value));
                    out.values.push(value);
                    out.sources.push(Some(expr.clone()));
                }
            }
        }
        Ok(out)
    }

    fn field(&mut self, name: String, value: &Typed) -> Field {
        let column = match &value.expr {
            Expr::Column(index) => {
                self.level().scope.columns.iter().find(|column| column.index == *index)
            }
            _ => None,
        };
        let (table_oid, column) = column.map_or((0, 0), |column| (column.table_oid, column.attnum));
        Field { name, ty: value.ty.clone(), table_oid, column }
    }

    fn star(
        &mut self,
        table: Option<&ObjectName>,
        position: u32,
    ) -> Result<Vec<ScopeColumn>, SqlError> {
        let scope = &self.level().scope;
        let Some(table) = table else {
            if scope.columns.is_empty() {
                let message = "SELECT * with no tables specified is not valid";
                return Err(SqlError::new(sqlstate::SYNTAX_ERROR, message).at(position));
            }
            return Ok(scope.columns.iter().filter(|c| !c.merged).cloned().collect());
        };
        let schema = table.schema().map(|schema| schema.text.as_str());
        let name = &table.name().text;
        let columns: Vec<_> = scope.of_table(schema, name).cloned().collect();
        if columns.is_empty() {
            let message = format!("missing FROM-clause entry for table \"{name}\"");
            return Err(SqlError::new(sqlstate::UNDEFINED_TABLE, message).at(position));
        }
        Ok(columns)
    }

    fn group_keys(&mut self, group_by: &[ast::Expr], items: &Items) -> Result<Vec<Expr>, SqlError> {
        let mut keys: Vec<Expr> = Vec::with_capacity(group_by.len());
        for expr in group_by {
            let key = if let ExprKind::Literal(_) = &expr.kind
                && let Some(at) = ordinal(expr, items.values.len(), "GROUP BY")?
            {
                items.values[at].expr.clone()
            } else {
                self.group_key(expr, items)?
            };
            let mut aggregated = false;
            key.walk(&mut |part| {
                aggregated |= matches!(part, Expr::Column(at)
                    if super::binder::AGGREGATE_BASE <= *at);
            });
            if aggregated {
                let message = "aggregate functions are not allowed in GROUP BY";
                return Err(SqlError::new(sqlstate::GROUPING_ERROR, message).at(expr.position));
            }
            if let Expr::Subquery(_) = key {
                return Err(SqlError::unsupported("a subquery in GROUP BY").at(expr.position));
            }
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        Ok(keys)
    }

    /// A column of FROM first, an output name second: PostgreSQL's order for GROUP BY.
    fn group_key(&mut self, expr: &ast::Expr, items: &Items) -> Result<Expr, SqlError> {
        let bound = self.within(Clause::GroupBy, |binder| binder.value(expr));
        match (&bound, &expr.kind) {
            (Err(error), ExprKind::Column(names))
                if error.state == sqlstate::UNDEFINED_COLUMN && names.len() == 1 =>
            {
                match items.fields.iter().position(|field| field.name == names[0].text) {
                    Some(at) => Ok(items.values[at].expr.clone()),
                    None => Ok(bound?.expr),
                }
            }
            _ => Ok(bound?.expr),
        }
    }

    /// An output name or ordinal first, an expression second: PostgreSQL's order for ORDER BY.
    fn order_values(
        &mut self,
        order_by: &[OrderItem],
        items: &Items,
    ) -> Result<Vec<SortKey>, SqlError> {
        let mut keys: Vec<SortKey> = Vec::with_capacity(order_by.len());
        for item in order_by {
            let expr = self.output_value(&item.expr, items, "ORDER BY")?;
            if !keys.iter().any(|key| key.expr == expr) {
                keys.push(sort_key(expr, item));
            }
        }
        Ok(keys)
    }

    fn output_value(
        &mut self,
        expr: &ast::Expr,
        items: &Items,
        clause: &str,
    ) -> Result<Expr, SqlError> {
        if let ExprKind::Literal(_) = &expr.kind
            && let Some(at) = ordinal(expr, items.values.len(), clause)?
        {
            return Ok(items.values[at].expr.clone());
        }
        if let ExprKind::Column(names) = &expr.kind
            && let [name] = names.as_slice()
        {
            let mut found =
                (0..items.fields.len()).filter(|at| items.fields[*at].name == name.text);
            if let Some(first) = found.next() {
                let value = &items.values[first].expr;
                if found.any(|other| items.values[other].expr != *value) {
                    let message = format!("{clause} \"{name}\" is ambiguous");
                    let state = sqlstate::AMBIGUOUS_COLUMN;
                    return Err(SqlError::new(state, message).at(expr.position));
                }
                return Ok(value.clone());
            }
        }
        if let Some(at) = items.sources.iter().position(|source| source.as_ref() == Some(expr)) {
            return Ok(items.values[at].expr.clone());
        }
        Ok(self.within(Clause::OrderBy, |binder| binder.value(expr))?.expr)
    }

    fn distinct_keys(&mut self, keys: &[ast::Expr], items: &Items) -> Result<Vec<Expr>, SqlError> {
        keys.iter().map(|key| self.output_value(key, items, "SELECT DISTINCT ON")).collect()
    }

    fn check_locking(&mut self, select: &Select, query: &Query) -> Result<(), SqlError> {
        if query.locking.is_empty() {
            return Ok(());
        }
        let refused = match () {
            () if select.distinct != Distinct::No => Some("DISTINCT clause"),
            () if !select.group_by.is_empty() => Some("GROUP BY clause"),
            () if select.having.is_some() => Some("HAVING clause"),
            () => None,
        };
        match refused {
            None => Ok(()),
            Some(what) => {
                let message = format!("FOR UPDATE is not allowed with {what}");
                Err(SqlError::new(sqlstate::FEATURE_NOT_SUPPORTED, message))
            }
        }
    }
}

/// The bound clauses of a SELECT.
struct Parts {
    items: Items,
    having: Option<Expr>,
    order: Vec<SortKey>,
    distinct_on: Option<Vec<Expr>>,
}

impl Parts {
    fn all(&mut self) -> Vec<&mut Expr> {
        self.items
            .values
            .iter_mut()
            .map(|value| &mut value.expr)
            .chain(self.having.as_mut())
            .chain(self.order.iter_mut().map(|key| &mut key.expr))
            .chain(self.distinct_on.iter_mut().flatten())
            .collect()
    }
}

fn lock_of(locking: &[LockingClause], table: &str) -> Option<RowLock> {
    let applies = |clause: &&LockingClause| {
        clause.of.is_empty() || clause.of.iter().any(|name| name.text == table)
    };
    let strongest = locking.iter().filter(applies).max_by_key(|clause| clause.strength)?;
    Some(RowLock { strength: strongest.strength, wait: strongest.wait })
}

fn column_field(column: &ScopeColumn) -> Field {
    Field {
        name: column.name.clone(),
        ty: column.ty.clone(),
        table_oid: column.table_oid,
        column: column.attnum,
    }
}

fn check_distinct_on(on: &[Expr], order: &[SortKey], query: &Query) -> Result<(), SqlError> {
    let leading = order.iter().take(on.len()).all(|key| on.contains(&key.expr));
    if leading {
        return Ok(());
    }
    let message = "SELECT DISTINCT ON expressions must match initial ORDER BY expressions";
    let position = query.order_by.first().map_or(0, |item| item.expr.position);
    Err(SqlError::new(sqlstate::INVALID_COLUMN_REFERENCE, message).at(position))
}
