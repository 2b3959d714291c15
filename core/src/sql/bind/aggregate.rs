//! Aggregates and grouping.

use super::binder::{AGGREGATE_BASE, Binder, SLOT_BASE, Typed};
use crate::base::error::{SqlError, sqlstate};
use crate::row::aggregate::{AggregateCall, resolve};
use crate::row::eval::Expr;
use crate::row::types::DataType;
use crate::sql::parse::ast::FunctionCall;
use crate::sql::plan::{Aggregate, LogicalPlan, SortKey};

impl Binder<'_> {
    /// A call of an aggregate: what it gives is a column of the grouping to come.
    pub(super) fn aggregate(
        &mut self,
        call: &FunctionCall,
        position: u32,
    ) -> Result<Typed, SqlError> {
        self.check_aggregate_place(position)?;
        self.level().in_aggregate = true;
        let parts = self.aggregate_parts(call);
        self.level().in_aggregate = false;
        let (args, filter, order_by) = parts?;
        let types: Vec<DataType> = args.iter().map(|arg| arg.ty.clone()).collect();
        let name = call.name.name().text.clone();
        let Some(AggregateCall { kind, args: arg_types, returns: ty }) = resolve(&name, &types)
        else {
            return Err(super::call::no_function(&name, &types, position));
        };
        let args = args
            .into_iter()
            .zip(&arg_types)
            .map(|(arg, ty)| Ok(self.coerce(arg, ty)?.expr))
            .collect::<Result<Vec<_>, SqlError>>()?;
        let reads_subquery = args.iter().chain(&filter).any(reads_subquery);
        if reads_subquery {
            return Err(SqlError::unsupported("a subquery in an aggregate").at(position));
        }
        // An aggregate over columns of an outer query alone belongs to that query.
        let reads = |wanted: fn(&Expr) -> bool| {
            let mut found = false;
            args.iter().for_each(|arg| arg.walk(&mut |part| found |= wanted(part)));
            found
        };
        if reads(|part| matches!(part, Expr::Param(slot) if SLOT_BASE <= *slot))
            && !reads(|part| matches!(part, Expr::Column(_)))
        {
            return Err(SqlError::unsupported("an aggregate of an outer query").at(position));
        }
        let distinct = call.distinct;
        let aggregate =
            Aggregate { kind, name, args, arg_types, distinct, filter, order_by, ty: ty.clone() };
        let aggregates = &mut self.level().aggregates;
        let at = aggregates.iter().position(|known| *known == aggregate).unwrap_or_else(|| {
            aggregates.push(aggregate);
            aggregates.len() - 1
        });
        Ok(Typed { expr: Expr::Column(AGGREGATE_BASE + at), ty, position })
    }

    #[allow(clippy::type_complexity)]
    fn aggregate_parts(
        &mut self,
        call: &FunctionCall,
    ) -> Result<(Vec<Typed>, Option<Expr>, Vec<SortKey>), SqlError> {
        let args = call.args.iter().map(|arg| self.expr(arg)).collect::<Result<Vec<_>, _>>()?;
        let filter = match &call.filter {
            Some(filter) => Some(self.condition(filter, "FILTER")?),
            None => None,
        };
        let mut order_by = Vec::with_capacity(call.order_by.len());
        for item in &call.order_by {
            let key = self.value(&item.expr)?;
            order_by.push(SortKey {
                expr: key.expr,
                descending: item.descending,
                nulls_first: item.nulls_first.unwrap_or(item.descending),
            });
        }
        Ok((args, filter, order_by))
    }

    /// Builds the grouping and makes expressions over its input expressions over its result.
    pub(super) fn group(
        &mut self,
        input: LogicalPlan,
        mut keys: Vec<Expr>,
        exprs: &mut [&mut Expr],
    ) -> Result<LogicalPlan, SqlError> {
        let aggregates = std::mem::take(&mut self.level().aggregates);
        self.add_dependent_columns(&mut keys, exprs);
        for expr in exprs.iter_mut() {
            self.regroup(expr, &keys)?;
        }
        let level = self.level();
        let mut captures = Vec::new();
        for subquery in level.subqueries.iter_mut().flatten() {
            for (_, value) in &mut subquery.outer {
                captures.push(std::mem::replace(value, Expr::Column(0)));
            }
        }
        for value in &mut captures {
            self.regroup(value, &keys)?;
        }
        let mut captures = captures.into_iter();
        for subquery in self.level().subqueries.iter_mut().flatten() {
            for ((_, slot), value) in subquery.outer.iter_mut().zip(&mut captures) {
                *slot = value;
            }
        }
        Ok(LogicalPlan::Aggregate { input: Box::new(input), keys, aggregates })
    }

    /// Columns of a table whose whole primary key is grouped by depend on it: they become keys too.
    fn add_dependent_columns(&mut self, keys: &mut Vec<Expr>, exprs: &[&mut Expr]) {
        let mut used = Vec::new();
        for expr in exprs {
            used.extend(expr.columns().into_iter().filter(|column| *column < AGGREGATE_BASE));
        }
        let level = self.level();
        for (table, primary) in primary_keys(&level.scope) {
            let covered = primary.iter().all(|column| keys.contains(&Expr::Column(*column)));
            if !covered || primary.is_empty() {
                continue;
            }
            for column in level.scope.columns.iter().filter(|c| c.table.as_deref() == Some(&table))
            {
                let key = Expr::Column(column.index);
                if used.contains(&column.index) && !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
    }

    fn regroup(&mut self, expr: &mut Expr, keys: &[Expr]) -> Result<(), SqlError> {
        if let Some(at) = keys.iter().position(|key| key == expr) {
            *expr = Expr::Column(at);
            return Ok(());
        }
        if let Expr::Column(index) = expr {
            if AGGREGATE_BASE <= *index {
                *expr = Expr::Column(keys.len() + *index - AGGREGATE_BASE);
                return Ok(());
            }
            return Err(self.ungrouped(*index));
        }
        for child in expr.children_mut() {
            self.regroup(child, keys)?;
        }
        Ok(())
    }

    fn ungrouped(&mut self, index: usize) -> SqlError {
        let level = self.level();
        let column = level.scope.columns.iter().find(|column| column.index == index);
        let name = column.map_or_else(String::new, |column| match &column.table {
            Some(table) => format!("{table}.{}", column.name),
            None => column.name.clone(),
        });
        let message = format!(
            "column \"{name}\" must appear in the GROUP BY clause or be used in an aggregate function"
        );
        let error = SqlError::new(sqlstate::GROUPING_ERROR, message);
        match level.named.iter().find(|(named, _)| *named == index) {
            Some((_, position)) => error.at(*position),
            None => error,
        }
    }
}

fn reads_subquery(expr: &Expr) -> bool {
    let mut found = false;
    expr.walk(&mut |part| found |= matches!(part, Expr::Subquery(_)));
    found
}

/// The primary key columns of each table in a scope.
fn primary_keys(scope: &super::scope::Scope) -> Vec<(String, Vec<usize>)> {
    let mut tables: Vec<(String, Vec<usize>)> = Vec::new();
    for column in &scope.columns {
        let Some(table) = &column.table else { continue };
        if !tables.iter().any(|(name, _)| name == table) {
            tables.push((table.clone(), Vec::new()));
        }
        if column.primary
            && let Some((_, keys)) = tables.iter_mut().find(|(name, _)| name == table)
        {
            keys.push(column.index);
        }
    }
    tables
}
