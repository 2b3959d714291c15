//! What rows are wanted.

use std::rc::Rc;

use super::{Aggregate, JoinType, RowLock, SortKey, Subquery};
use crate::row::eval::Expr;
use crate::sql::catalog::descriptor::TableDescriptor;
use crate::sql::plan::FunctionKind;

/// Where rows of a relation come from.
#[derive(Clone, Debug)]
pub enum ScanSource {
    /// A stored table; its columns in the order of their ordinals.
    Table(Rc<TableDescriptor>),
    /// A view of the system, by schema and name.
    View {
        /// `pg_catalog` or `information_schema`.
        schema: String,
        /// Its name.
        name: String,
        /// How many columns it has.
        width: usize,
    },
}

/// A tree of relational operators.
#[derive(Clone, Debug)]
pub enum LogicalPlan {
    /// Rows that are written out; one empty row for a SELECT without FROM.
    Values {
        /// The rows.
        rows: Vec<Vec<Expr>>,
        /// Columns of each.
        width: usize,
    },
    /// All rows of a relation.
    Scan {
        /// Which.
        source: ScanSource,
        /// Lock what is found.
        lock: Option<RowLock>,
    },
    /// A set-returning function.
    Function {
        /// Which.
        kind: FunctionKind,
        /// Its arguments; they read no column.
        args: Vec<Expr>,
        /// A counter as last column.
        ordinality: bool,
    },
    /// The rows of a common table expression, by its number in [`super::Plan::ctes`].
    Cte {
        /// Its number.
        number: usize,
        /// Its columns.
        width: usize,
    },
    /// Rows for which a condition is true.
    Filter {
        /// From.
        input: Box<LogicalPlan>,
        /// The condition.
        predicate: Expr,
    },
    /// Other columns.
    Project {
        /// From.
        input: Box<LogicalPlan>,
        /// The columns.
        exprs: Vec<Expr>,
    },
    /// The input's columns and one more for each subquery.
    Apply {
        /// From.
        input: Box<LogicalPlan>,
        /// The subqueries.
        subqueries: Vec<Subquery<LogicalPlan>>,
    },
    /// Pairs of rows.
    Join {
        /// Which rows stay.
        kind: JoinType,
        /// Left side.
        left: Box<LogicalPlan>,
        /// Right side.
        right: Box<LogicalPlan>,
        /// The condition over both rows; `None` is true.
        on: Option<Expr>,
        /// Values of the left row that the right side reads, as parameters (LATERAL).
        lateral: Vec<(usize, Expr)>,
    },
    /// One row a group: the keys, then the aggregates. Without keys there is one group, even of no row.
    Aggregate {
        /// From.
        input: Box<LogicalPlan>,
        /// What makes a group.
        keys: Vec<Expr>,
        /// What is counted.
        aggregates: Vec<Aggregate>,
    },
    /// In an order.
    Sort {
        /// From.
        input: Box<LogicalPlan>,
        /// The order.
        keys: Vec<SortKey>,
    },
    /// Some of the rows.
    Limit {
        /// From.
        input: Box<LogicalPlan>,
        /// At most so many; null is no bound. Reads no column.
        limit: Option<Expr>,
        /// After so many.
        offset: Option<Expr>,
    },
    /// Each row once; with keys, the first row of each.
    Distinct {
        /// From.
        input: Box<LogicalPlan>,
        /// DISTINCT ON.
        on: Option<Vec<Expr>>,
    },
    /// All rows of all inputs.
    Append {
        /// From.
        inputs: Vec<LogicalPlan>,
    },
    /// INTERSECT or EXCEPT, by whole rows.
    SetOperation {
        /// Keep what is in both (else: what is only in the left).
        intersect: bool,
        /// Duplicates count.
        all: bool,
        /// Left side.
        left: Box<LogicalPlan>,
        /// Right side.
        right: Box<LogicalPlan>,
    },
}

impl LogicalPlan {
    /// One row without columns.
    pub fn one_row() -> Self {
        Self::Values { rows: vec![Vec::new()], width: 0 }
    }

    /// Columns of its rows.
    pub fn width(&self) -> usize {
        match self {
            Self::Values { width, .. } | Self::Cte { width, .. } => *width,
            Self::Scan { source, .. } => match source {
                ScanSource::Table(table) => table.columns.len(),
                ScanSource::View { width, .. } => *width,
            },
            Self::Function { ordinality, .. } => 1 + usize::from(*ordinality),
            Self::Filter { input, .. }
            | Self::Sort { input, .. }
            | Self::Limit { input, .. }
            | Self::Distinct { input, .. } => input.width(),
            Self::Project { exprs, .. } => exprs.len(),
            Self::Apply { input, subqueries } => input.width() + subqueries.len(),
            Self::Join { kind: JoinType::Semi | JoinType::Anti, left, .. } => left.width(),
            Self::Join { left, right, .. } => left.width() + right.width(),
            Self::Aggregate { keys, aggregates, .. } => keys.len() + aggregates.len(),
            Self::Append { inputs } => inputs.first().map_or(0, Self::width),
            Self::SetOperation { left, .. } => left.width(),
        }
    }

    /// The first columns only.
    #[must_use]
    pub fn trimmed(self, width: usize) -> Self {
        if self.width() == width {
            return self;
        }
        let exprs = (0..width).map(Expr::Column).collect();
        Self::Project { input: Box::new(self), exprs }
    }
}
