//! INSERT.

use std::rc::Rc;

use super::binder::{Binder, Clause, Typed};
use super::statement::{BoundRoot, bind_default};
use crate::base::error::{SqlError, sqlstate};
use crate::row::datum::Datum;
use crate::row::eval::Expr;
use crate::row::types::DataType;
use crate::sql::catalog::descriptor::TableDescriptor;
use crate::sql::parse::ast::{self, ExprKind, Insert, InsertSource, Name, SetBody};
use crate::sql::plan::{Field, LogicalPlan};

impl Binder<'_> {
    /// An INSERT.
    pub(super) fn insert(&mut self, insert: &Insert) -> Result<(BoundRoot, Vec<Field>), SqlError> {
        let table = self.target_table(&insert.table)?;
        let targets = target_columns(&table, &insert.columns)?;
        let source = match &insert.source {
            InsertSource::Defaults => {
                let row = self.defaults_row(&table)?;
                LogicalPlan::Values { rows: vec![row], width: table.columns.len() }
            }
            InsertSource::Query(query) => match &query.body {
                SetBody::Values(rows)
                    if query.with.is_empty()
                        && query.order_by.is_empty()
                        && query.limit.is_none()
                        && query.offset.is_none() =>
                {
                    self.insert_values(&table, &targets, insert, rows)?
                }
                _ => self.insert_query(&table, &targets, insert, query)?,
            },
        };
        let (returning, fields) =
            self.returning(&table, insert.alias.as_ref(), &insert.returning)?;
        Ok((BoundRoot::Insert { table, source, returning }, fields))
    }

    fn insert_values(
        &mut self,
        table: &Rc<TableDescriptor>,
        targets: &[usize],
        insert: &Insert,
        rows: &[Vec<ast::Expr>],
    ) -> Result<LogicalPlan, SqlError> {
        let defaults = self.defaults_row(table)?;
        let width = rows.first().map_or(0, Vec::len);
        let mut out = Vec::with_capacity(rows.len());
        for row in rows {
            if row.len() != width {
                let message = "VALUES lists must all be the same length";
                let position = row.first().map_or(0, |value| value.position);
                return Err(SqlError::new(sqlstate::SYNTAX_ERROR, message).at(position));
            }
            let position = row.get(targets.len()).map_or(0, |value| value.position);
            check_count(targets.len(), row.len(), insert, position)?;
            let mut whole = defaults.clone();
            for (value, ordinal) in row.iter().zip(targets) {
                if value.kind == ExprKind::Default {
                    continue;
                }
                let column = &table.columns[*ordinal];
                let value = self.within(Clause::Values, |binder| binder.expr(value))?;
                whole[*ordinal] = self.assign(value, &column.ty, &column.name)?;
            }
            out.push(whole);
        }
        let width = table.columns.len();
        let mut subqueries = false;
        for value in out.iter().flatten() {
            value.walk(&mut |part| subqueries |= matches!(part, Expr::Subquery(_)));
        }
        if !subqueries {
            return Ok(LogicalPlan::Values { rows: out, width });
        }
        let inputs = out
            .into_iter()
            .map(|mut exprs| {
                let mut refs: Vec<&mut Expr> = exprs.iter_mut().collect();
                let input = Box::new(self.apply_subqueries(LogicalPlan::one_row(), &mut refs));
                LogicalPlan::Project { input, exprs }
            })
            .collect();
        Ok(LogicalPlan::Append { inputs })
    }

    fn insert_query(
        &mut self,
        table: &Rc<TableDescriptor>,
        targets: &[usize],
        insert: &Insert,
        query: &ast::Query,
    ) -> Result<LogicalPlan, SqlError> {
        let types: Vec<DataType> =
            targets.iter().map(|ordinal| table.columns[*ordinal].ty.clone()).collect();
        let (bound, _) = self.nested(|binder| binder.query(query, Some(&types)))?;
        check_count(targets.len(), bound.fields.len(), insert, 0)?;
        let mut exprs = self.defaults_row(table)?;
        for (index, (field, ordinal)) in bound.fields.iter().zip(targets).enumerate() {
            let column = &table.columns[*ordinal];
            let value = Typed { expr: Expr::Column(index), ty: field.ty.clone(), position: 0 };
            exprs[*ordinal] = self.assign(value, &column.ty, &column.name)?;
        }
        Ok(LogicalPlan::Project { input: Box::new(bound.plan), exprs })
    }

    /// The defaults of all columns.
    fn defaults_row(&mut self, table: &TableDescriptor) -> Result<Vec<Expr>, SqlError> {
        table
            .columns
            .iter()
            .map(|column| match &column.default {
                Some(text) => bind_default(text, &column.ty, &column.name, self.names),
                None => Ok(Expr::Const(Datum::Null, column.ty.clone())),
            })
            .collect()
    }
}

fn target_columns(table: &TableDescriptor, names: &[Name]) -> Result<Vec<usize>, SqlError> {
    if names.is_empty() {
        return Ok((0..table.columns.len()).collect());
    }
    let mut targets = Vec::with_capacity(names.len());
    for name in names {
        let Some(ordinal) = table.ordinal(&name.text) else {
            let message =
                format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
            return Err(SqlError::new(sqlstate::UNDEFINED_COLUMN, message).at(name.position));
        };
        if targets.contains(&ordinal) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(SqlError::new(sqlstate::DUPLICATE_COLUMN, message).at(name.position));
        }
        targets.push(ordinal);
    }
    Ok(targets)
}

fn check_count(
    targets: usize,
    values: usize,
    insert: &Insert,
    position: u32,
) -> Result<(), SqlError> {
    let message = if targets < values {
        "INSERT has more expressions than target columns"
    } else if values < targets && !insert.columns.is_empty() {
        "INSERT has more target columns than expressions"
    } else {
        return Ok(());
    };
    let error = SqlError::new(sqlstate::SYNTAX_ERROR, message);
    let at = match insert.columns.get(values) {
        Some(column) => column.position,
        None => position,
    };
    Err(if at == 0 { error } else { error.at(at) })
}
