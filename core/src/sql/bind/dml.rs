//! UPDATE, DELETE, and what RETURNING gives.

use std::rc::Rc;

use super::binder::{Binder, Clause};
use super::from::relation_scope;
use super::names::Relation;
use super::statement::{BoundModify, BoundRoot, bind_default};
use crate::base::error::{SqlError, sqlstate};
use crate::row::datum::Datum;
use crate::row::eval::Expr;
use crate::row::types::DataType;
use crate::sql::catalog::descriptor::TableDescriptor;
use crate::sql::parse::ast::{
    self, Delete, ExprKind, Name, ObjectName, SelectItem, TableAlias, Update,
};
use crate::sql::plan::{Field, LogicalPlan};

impl Binder<'_> {
    /// An UPDATE.
    pub(super) fn update(&mut self, update: &Update) -> Result<(BoundRoot, Vec<Field>), SqlError> {
        if let Some(item) = update.from.first() {
            return Err(unsupported_from("UPDATE … FROM", item));
        }
        let table = self.target_table(&update.table)?;
        self.modify_scope(&table, update.alias.as_ref())?;
        let mut assignments: Vec<(usize, Expr)> = Vec::with_capacity(update.assignments.len());
        for assignment in &update.assignments {
            let name = &assignment.column;
            let Some(ordinal) = table.ordinal(&name.text) else {
                let message =
                    format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
                let state = sqlstate::UNDEFINED_COLUMN;
                return Err(SqlError::new(state, message).at(name.position));
            };
            if assignments.iter().any(|(known, _)| *known == ordinal) {
                let message = format!("multiple assignments to same column \"{name}\"");
                return Err(SqlError::new(sqlstate::SYNTAX_ERROR, message).at(name.position));
            }
            let column = &table.columns[ordinal];
            let value = match (&assignment.value.kind, &column.default) {
                (ExprKind::Default, Some(text)) => {
                    bind_default(text, &column.ty, &column.name, self.names)?
                }
                (ExprKind::Default, None) => Expr::Const(Datum::Null, column.ty.clone()),
                _ => {
                    let value =
                        self.within(Clause::Update, |binder| binder.expr(&assignment.value))?;
                    self.assign(value, &column.ty, &column.name)?
                }
            };
            assignments.push((ordinal, value));
        }
        let mut filter = self.where_clause(update.filter.as_ref())?;
        let mut exprs: Vec<&mut Expr> =
            assignments.iter_mut().map(|(_, value)| value).chain(filter.as_mut()).collect();
        let source = self.modify_source(&table, &mut exprs);
        let source = BoundModify { filter, ..source };
        let alias = update.alias.as_ref().map(|alias| &alias.name);
        let (returning, fields) = self.returning(&table, alias, &update.returning)?;
        Ok((BoundRoot::Update { source, assignments, returning }, fields))
    }

    /// A DELETE.
    pub(super) fn delete(&mut self, delete: &Delete) -> Result<(BoundRoot, Vec<Field>), SqlError> {
        if let Some(item) = delete.using.first() {
            return Err(unsupported_from("DELETE … USING", item));
        }
        let table = self.target_table(&delete.table)?;
        self.modify_scope(&table, delete.alias.as_ref())?;
        let mut filter = self.where_clause(delete.filter.as_ref())?;
        let mut exprs: Vec<&mut Expr> = filter.as_mut().into_iter().collect();
        let source = self.modify_source(&table, &mut exprs);
        let source = BoundModify { filter, ..source };
        let alias = delete.alias.as_ref().map(|alias| &alias.name);
        let (returning, fields) = self.returning(&table, alias, &delete.returning)?;
        Ok((BoundRoot::Delete { source, returning }, fields))
    }

    fn where_clause(&mut self, filter: Option<&ast::Expr>) -> Result<Option<Expr>, SqlError> {
        match filter {
            Some(filter) => {
                Ok(Some(self.within(Clause::Where, |binder| binder.condition(filter, "WHERE"))?))
            }
            None => Ok(None),
        }
    }

    fn modify_source(
        &mut self,
        table: &Rc<TableDescriptor>,
        exprs: &mut [&mut Expr],
    ) -> BoundModify {
        let width = table.columns.len();
        // Only its width matters: the subqueries' values follow the row.
        let rows = LogicalPlan::Values { rows: Vec::new(), width };
        let subqueries = match self.apply_subqueries(rows, exprs) {
            LogicalPlan::Apply { subqueries, .. } => subqueries,
            _ => Vec::new(), // there were none
        };
        BoundModify { table: Rc::clone(table), subqueries, filter: None }
    }

    /// The table that a statement changes.
    pub(super) fn target_table(
        &mut self,
        name: &ObjectName,
    ) -> Result<Rc<TableDescriptor>, SqlError> {
        match self.relation(name)? {
            Relation::Table(table) => Ok(table),
            Relation::View { name: view, .. } => {
                let message = format!("permission denied: \"{view}\" is a system catalog");
                let state = sqlstate::INSUFFICIENT_PRIVILEGE;
                Err(SqlError::new(state, message).at(name.position()))
            }
            Relation::Other(what) => {
                let message = format!("\"{}\" is {what}", name.name());
                let state = sqlstate::WRONG_OBJECT_TYPE;
                Err(SqlError::new(state, message).at(name.position()))
            }
        }
    }

    fn modify_scope(
        &mut self,
        table: &Rc<TableDescriptor>,
        alias: Option<&TableAlias>,
    ) -> Result<(), SqlError> {
        if let Some(column) = alias.and_then(|alias| alias.columns.first()) {
            return Err(SqlError::unsupported("column aliases here").at(column.position));
        }
        let name = alias.map_or(&table.name, |alias| &alias.name.text);
        let relation = Relation::Table(Rc::clone(table));
        self.level().scope = relation_scope(&relation, name, alias.is_none());
        Ok(())
    }

    /// RETURNING over a row of the table.
    pub(super) fn returning(
        &mut self,
        table: &Rc<TableDescriptor>,
        alias: Option<&Name>,
        items: &[SelectItem],
    ) -> Result<(Option<Vec<Expr>>, Vec<Field>), SqlError> {
        if items.is_empty() {
            return Ok((None, Vec::new()));
        }
        let name = alias.map_or(&table.name, |alias| &alias.text);
        let relation = Relation::Table(Rc::clone(table));
        self.level().scope = relation_scope(&relation, name, alias.is_none());
        let items = self.items(items, Clause::Returning)?;
        let (mut exprs, mut fields) = (Vec::new(), items.fields);
        for (value, field) in items.values.into_iter().zip(&mut fields) {
            let position = value.position;
            let value = self.decided(value)?;
            field.ty = value.ty.clone();
            let mut reads = false;
            value.expr.walk(&mut |part| reads |= matches!(part, Expr::Subquery(_)));
            if reads {
                return Err(SqlError::unsupported("a subquery in RETURNING").at(position));
            }
            exprs.push(value.expr);
        }
        debug_assert!(fields.iter().all(|field| field.ty != DataType::Unknown));
        Ok((Some(exprs), fields))
    }
}

fn unsupported_from(what: &str, item: &ast::TableRef) -> SqlError {
    let position = match item {
        ast::TableRef::Table { name, .. } => name.position(),
        ast::TableRef::Query { position, .. } => *position,
        ast::TableRef::Function(function) => function.name.position(),
        ast::TableRef::Join(_) => 0,
    };
    let error = SqlError::unsupported(what);
    if position == 0 { error } else { error.at(position) }
}
