//! The door of the room.

use std::rc::Rc;

use super::binder::{Binder, Clause};
use super::names::Names;
use crate::base::error::SqlError;
use crate::row::eval::Expr;
use crate::row::types::DataType;
use crate::sql::catalog::descriptor::TableDescriptor;
use crate::sql::parse;
use crate::sql::parse::ast::{SelectItem, SetBody, Statement};
use crate::sql::plan::{Field, LogicalPlan, Subquery};

/// A bound statement.
#[derive(Debug)]
pub struct BoundStatement {
    /// What it does.
    pub root: BoundRoot,
    /// Columns of its result; none without RETURNING.
    pub fields: Vec<Field>,
    /// Types of the client's parameters.
    pub parameters: Vec<DataType>,
    /// Types of the parameters that subqueries read from rows around them: from `SLOT_BASE` on.
    pub slot_types: Vec<DataType>,
    /// Common table expressions.
    pub ctes: Vec<LogicalPlan>,
}

/// What a bound statement does.
#[derive(Debug)]
pub enum BoundRoot {
    /// Gives rows.
    Query(LogicalPlan),
    /// Inserts whole rows.
    Insert {
        /// The table.
        table: Rc<TableDescriptor>,
        /// Its rows.
        source: LogicalPlan,
        /// RETURNING over the new row.
        returning: Option<Vec<Expr>>,
    },
    /// Updates.
    Update {
        /// The rows.
        source: BoundModify,
        /// (ordinal, value) over the row and the subqueries' values.
        assignments: Vec<(usize, Expr)>,
        /// RETURNING over the new row.
        returning: Option<Vec<Expr>>,
    },
    /// Deletes.
    Delete {
        /// The rows.
        source: BoundModify,
        /// RETURNING over the old row.
        returning: Option<Vec<Expr>>,
    },
}

/// Rows of a table that a statement changes.
#[derive(Debug)]
pub struct BoundModify {
    /// The table.
    pub table: Rc<TableDescriptor>,
    /// Their values follow the row's columns.
    pub subqueries: Vec<Subquery<LogicalPlan>>,
    /// Which rows.
    pub filter: Option<Expr>,
}

/// Binds a query, INSERT, UPDATE or DELETE. `hints` are the types of parameters as far as the client
/// said.
///
/// # Errors
///
/// The user's: unknown names, types that do not fit, what we do not have, with positions.
pub fn bind(
    statement: &Statement,
    hints: &[Option<DataType>],
    names: &dyn Names,
) -> Result<BoundStatement, SqlError> {
    let mut binder = Binder::new(names, hints);
    let ((root, fields), _) = binder.nested(|binder| match statement {
        Statement::Query(query) => {
            let bound = binder.query(query, None)?;
            Ok((BoundRoot::Query(bound.plan), bound.fields))
        }
        Statement::Insert(insert) => binder.insert(insert),
        Statement::Update(update) => binder.update(update),
        Statement::Delete(delete) => binder.delete(delete),
        _ => Err(SqlError::unsupported("binding this statement")), // the caller sorts them out
    })?;
    // A parameter that nothing has given a type is text, as an untyped literal is.
    let parameters = binder.parameters.into_iter().map(|ty| ty.unwrap_or(DataType::Text)).collect();
    let (slot_types, ctes) = (binder.slot_types, binder.ctes);
    Ok(BoundStatement { root, fields, parameters, slot_types, ctes })
}

/// The default of a column as an expression of its type, from the text that the catalog keeps.
///
/// # Errors
///
/// As [`bind`]; 42804 if the column cannot take it.
pub fn bind_default(
    text: &str,
    ty: &DataType,
    column: &str,
    names: &dyn Names,
) -> Result<Expr, SqlError> {
    let query = format!("SELECT {text}");
    let parsed = parse::parse_one(&query)?;
    let select = match parsed.as_ref().map(|parsed| &parsed.statement) {
        Some(Statement::Query(query)) => match &query.body {
            SetBody::Select(select) => Some(select),
            _ => None, // not a plain expression
        },
        _ => None, // not a query
    };
    let item = select.and_then(|select| match select.items.as_slice() {
        [SelectItem::Expr { expr, alias: None }] if select.from.is_empty() => Some(expr),
        _ => None, // several items
    });
    let Some(expr) = item else {
        return Err(SqlError::unsupported("this default"));
    };
    let mut binder = Binder::new(names, &[]);
    let (value, _) = binder.nested(|binder| {
        let value = binder.within(Clause::Default, |binder| binder.expr(expr))?;
        binder.assign(value, ty, column)
    })?;
    if let Expr::Subquery(_) = value {
        return Err(SqlError::unsupported("a subquery in DEFAULT"));
    }
    Ok(value)
}
