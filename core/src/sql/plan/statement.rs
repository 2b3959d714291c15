//! A planned statement as a whole.

use std::rc::Rc;

use super::{PhysicalPlan, Subquery, TableScan};
use crate::row::eval::Expr;
use crate::row::types::DataType;
use crate::sql::catalog::descriptor::TableDescriptor;
use crate::sql::parse::ast::{LockStrength, LockWait};

/// A column of a result.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: DataType,
    /// `pg_class.oid` of the table that it comes from unchanged, or 0.
    pub table_oid: u32,
    /// `pg_attribute.attnum`, or 0.
    pub column: i16,
}

/// How rows that a scan finds are locked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RowLock {
    /// Shared or exclusive.
    pub strength: LockStrength,
    /// What to do if another holds one.
    pub wait: LockWait,
}

/// A planned statement.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it does.
    pub root: PlanRoot,
    /// Columns of its result; none for a statement without RETURNING.
    pub fields: Vec<Field>,
    /// Types of the client's parameters, `$1` first.
    pub parameters: Vec<DataType>,
    /// Parameters in all: behind the client's are those that subqueries and LATERAL read from rows
    /// around them.
    pub parameter_slots: usize,
    /// Common table expressions, each run at most once; one may read those before it.
    pub ctes: Vec<PhysicalPlan>,
}

/// What a statement does.
#[derive(Clone, Debug)]
pub enum PlanRoot {
    /// Gives rows.
    Query(PhysicalPlan),
    /// Inserts.
    Insert(InsertPlan),
    /// Updates.
    Update(UpdatePlan),
    /// Deletes.
    Delete(DeletePlan),
}

/// Rows into a table.
#[derive(Clone, Debug)]
pub struct InsertPlan {
    /// The table.
    pub table: Rc<TableDescriptor>,
    /// Whole rows: every column of the table in the order of ordinals, defaults filled in, of the
    /// columns' types. NOT NULL is not checked yet.
    pub source: PhysicalPlan,
    /// RETURNING, over the new row.
    pub returning: Option<Vec<Expr>>,
}

/// Rows of one table that a statement changes.
#[derive(Clone, Debug)]
pub struct ModifySource {
    /// The rows, locked exclusively.
    pub scan: TableScan,
    /// Their values follow the row's columns in `filter` and in an update's values.
    pub subqueries: Vec<Subquery<PhysicalPlan>>,
    /// A further condition, over the row and the subqueries' values.
    pub filter: Option<Expr>,
}

/// An UPDATE.
#[derive(Clone, Debug)]
pub struct UpdatePlan {
    /// The rows.
    pub source: ModifySource,
    /// (ordinal, new value of the column's type), over the old row and the subqueries' values.
    pub assignments: Vec<(usize, Expr)>,
    /// RETURNING, over the new row.
    pub returning: Option<Vec<Expr>>,
}

/// A DELETE.
#[derive(Clone, Debug)]
pub struct DeletePlan {
    /// The rows.
    pub source: ModifySource,
    /// RETURNING, over the old row.
    pub returning: Option<Vec<Expr>>,
}
