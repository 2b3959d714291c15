//! How rows are got.

use std::rc::Rc;

use super::{Aggregate, JoinType, RowLock, SortKey, Subquery};
use crate::row::eval::Expr;
use crate::sql::catalog::descriptor::TableDescriptor;

/// A set-returning function of FROM.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FunctionKind {
    /// `generate_series` over int4.
    SeriesInt4,
    /// `generate_series` over int8.
    SeriesInt8,
    /// `generate_series` over numeric.
    SeriesNumeric,
    /// `generate_series(timestamp, timestamp, interval)`.
    SeriesTimestamp,
    /// `generate_series(timestamptz, timestamptz, interval)`.
    SeriesTimestamptz,
    /// `unnest` of one array.
    Unnest,
    /// Any other function in FROM: one row, its value.
    Scalar,
}

/// An end of a range of keys.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RangeBound {
    /// The value, of the column's type; reads no column. Null makes the range empty.
    pub value: Expr,
    /// Whether the value itself is in the range.
    pub inclusive: bool,
}

/// How a table's rows are found. Values read no column: they are known before the scan begins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Access {
    /// All rows.
    Full,
    /// The rows with these keys, each a whole key of a unique index; a key with a null finds nothing.
    /// A key that is asked for twice finds its row once.
    Points {
        /// Its place in the table's `indexes`.
        index: usize,
        /// The keys, of the columns' types.
        keys: Vec<Vec<Expr>>,
    },
    /// Rows whose index key begins with one of these; a prefix with a null finds nothing, and one that
    /// is asked for twice finds its rows once.
    Prefixes {
        /// Its place in the table's `indexes`.
        index: usize,
        /// Values of the first key columns, of the columns' types; equally many in each.
        prefixes: Vec<Vec<Expr>>,
    },
    /// Rows whose index key begins with `prefix` and whose next key column lies between the bounds.
    Range {
        /// Its place in the table's `indexes`.
        index: usize,
        /// Values of the first key columns.
        prefix: Vec<Expr>,
        /// Lower bound of the next key column, by value.
        low: Option<RangeBound>,
        /// Upper bound of the next key column, by value.
        high: Option<RangeBound>,
    },
}

/// A scan of a stored table.
#[derive(Clone, Debug)]
pub struct TableScan {
    /// The table; its columns in the order of their ordinals.
    pub table: Rc<TableDescriptor>,
    /// How.
    pub access: Access,
    /// Only rows for which this is true. Contains what the access already decides, unless that is exact.
    pub filter: Option<Expr>,
    /// Which columns anybody reads; the others may be null.
    pub needed: Vec<bool>,
    /// Backwards.
    pub reverse: bool,
    /// Nobody wants more rows than this (with the filter counted); reads no column.
    pub limit: Option<Expr>,
    /// Lock what is found.
    pub lock: Option<RowLock>,
}

/// A tree of operators that run.
#[derive(Clone, Debug)]
pub enum PhysicalPlan {
    /// Rows that are written out.
    Values {
        /// The rows.
        rows: Vec<Vec<Expr>>,
        /// Columns of each.
        width: usize,
    },
    /// A stored table.
    Scan(Box<TableScan>),
    /// A view of the system.
    ViewScan {
        /// Its schema.
        schema: String,
        /// Its name.
        name: String,
        /// Its columns.
        width: usize,
        /// Only rows for which this is true.
        filter: Option<Expr>,
    },
    /// A set-returning function.
    FunctionScan {
        /// Which.
        kind: FunctionKind,
        /// Its arguments.
        args: Vec<Expr>,
        /// A counter as last column.
        ordinality: bool,
    },
    /// A common table expression, by its number in [`super::Plan::ctes`].
    CteScan {
        /// Its number.
        number: usize,
        /// Its columns.
        width: usize,
    },
    /// Rows for which a condition is true.
    Filter {
        /// From.
        input: Box<PhysicalPlan>,
        /// The condition.
        predicate: Expr,
    },
    /// Other columns.
    Project {
        /// From.
        input: Box<PhysicalPlan>,
        /// The columns.
        exprs: Vec<Expr>,
    },
    /// The input's columns and one more for each subquery.
    Apply {
        /// From.
        input: Box<PhysicalPlan>,
        /// The subqueries.
        subqueries: Vec<Subquery<PhysicalPlan>>,
    },
    /// Every pair is looked at. The right side is kept in memory, or run again for each left row if
    /// `lateral` is not empty.
    NestedLoop {
        /// Which rows stay.
        kind: JoinType,
        /// Left side.
        left: Box<PhysicalPlan>,
        /// Right side.
        right: Box<PhysicalPlan>,
        /// The condition over both rows.
        on: Option<Expr>,
        /// Parameters that the right side reads: (parameter, value over the left row).
        lateral: Vec<(usize, Expr)>,
    },
    /// The right side is hashed by its keys.
    HashJoin {
        /// Which rows stay.
        kind: JoinType,
        /// Left side.
        left: Box<PhysicalPlan>,
        /// Right side.
        right: Box<PhysicalPlan>,
        /// Keys over the left row.
        left_keys: Vec<Expr>,
        /// Keys over the right row, of the same types.
        right_keys: Vec<Expr>,
        /// A further condition over both rows.
        residual: Option<Expr>,
    },
    /// For each left row the rows of a table with its key.
    LookupJoin {
        /// Inner, left, semi or anti.
        kind: JoinType,
        /// Left side.
        left: Box<PhysicalPlan>,
        /// The right side; its access is `Full` and its filter reads the right row only.
        right: Box<TableScan>,
        /// The index, in the table's `indexes`.
        index: usize,
        /// Values of its first key columns, over the left row, of the columns' types.
        keys: Vec<Expr>,
        /// A further condition over both rows.
        residual: Option<Expr>,
    },
    /// One row a group: the keys, then the aggregates.
    Aggregate {
        /// From.
        input: Box<PhysicalPlan>,
        /// What makes a group.
        keys: Vec<Expr>,
        /// What is counted.
        aggregates: Vec<Aggregate>,
    },
    /// In an order.
    Sort {
        /// From.
        input: Box<PhysicalPlan>,
        /// The order.
        keys: Vec<SortKey>,
    },
    /// The first rows of an order.
    TopK {
        /// From.
        input: Box<PhysicalPlan>,
        /// The order.
        keys: Vec<SortKey>,
        /// At most so many (after the offset); reads no column, null is no bound.
        limit: Expr,
        /// After so many.
        offset: Option<Expr>,
    },
    /// Some of the rows.
    Limit {
        /// From.
        input: Box<PhysicalPlan>,
        /// At most so many; null is no bound.
        limit: Option<Expr>,
        /// After so many.
        offset: Option<Expr>,
    },
    /// Each row once; with keys, the first row of each.
    Distinct {
        /// From.
        input: Box<PhysicalPlan>,
        /// DISTINCT ON.
        on: Option<Vec<Expr>>,
    },
    /// All rows of all inputs.
    Append {
        /// From.
        inputs: Vec<PhysicalPlan>,
    },
    /// INTERSECT or EXCEPT, by whole rows.
    SetOperation {
        /// Keep what is in both (else: what is only in the left).
        intersect: bool,
        /// Duplicates count.
        all: bool,
        /// Left side.
        left: Box<PhysicalPlan>,
        /// Right side.
        right: Box<PhysicalPlan>,
    },
}

impl PhysicalPlan {
    /// Columns of its rows.
    pub fn width(&self) -> usize {
        match self {
            Self::Values { width, .. }
            | Self::ViewScan { width, .. }
            | Self::CteScan { width, .. } => *width,
            Self::Scan(scan) => scan.table.columns.len(),
            Self::FunctionScan { ordinality, .. } => 1 + usize::from(*ordinality),
            Self::Filter { input, .. }
            | Self::Sort { input, .. }
            | Self::TopK { input, .. }
            | Self::Limit { input, .. }
            | Self::Distinct { input, .. } => input.width(),
            Self::Project { exprs, .. } => exprs.len(),
            Self::Apply { input, subqueries } => input.width() + subqueries.len(),
            Self::NestedLoop { kind: JoinType::Semi | JoinType::Anti, left, .. }
            | Self::HashJoin { kind: JoinType::Semi | JoinType::Anti, left, .. }
            | Self::LookupJoin { kind: JoinType::Semi | JoinType::Anti, left, .. } => left.width(),
            Self::NestedLoop { left, right, .. } | Self::HashJoin { left, right, .. } => {
                left.width() + right.width()
            }
            Self::LookupJoin { left, right, .. } => left.width() + right.table.columns.len(),
            Self::Aggregate { keys, aggregates, .. } => keys.len() + aggregates.len(),
            Self::Append { inputs } => inputs.first().map_or(0, Self::width),
            Self::SetOperation { left, .. } => left.width(),
        }
    }
}
