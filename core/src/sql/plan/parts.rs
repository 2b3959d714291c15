//! Pieces that logical and physical plans share.

use crate::row::aggregate::AggregateKind;
use crate::row::eval::{CompareOp, Expr};
use crate::row::types::DataType;

/// Which rows a join keeps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum JoinType {
    /// Pairs.
    Inner,
    /// Pairs, and left rows without a partner.
    Left,
    /// Pairs, and right rows without a partner.
    Right,
    /// Pairs, and rows of both sides without a partner.
    Full,
    /// Left rows that have a partner; the right row is not part of the result.
    Semi,
    /// Left rows that have none; the right row is not part of the result.
    Anti,
}

/// One key of an order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SortKey {
    /// The value.
    pub expr: Expr,
    /// Largest first.
    pub descending: bool,
    /// Where nulls go.
    pub nulls_first: bool,
}

/// One aggregate of a grouping.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Aggregate {
    /// Which.
    pub kind: AggregateKind,
    /// What it was called.
    pub name: String,
    /// Its arguments over the input row; none for `count(*)`.
    pub args: Vec<Expr>,
    /// Types of the arguments.
    pub arg_types: Vec<DataType>,
    /// Equal arguments count once.
    pub distinct: bool,
    /// Only rows for which this is true.
    pub filter: Option<Expr>,
    /// In this order.
    pub order_by: Vec<SortKey>,
    /// The type of the result.
    pub ty: DataType,
}

/// What a subquery in an expression gives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SubqueryKind {
    /// Its one value; null without a row, 21000 with two.
    Scalar,
    /// Whether it has a row.
    Exists,
    /// `left op ANY (subquery)`, or ALL; null as SQL wants it. IN is `= ANY`.
    Compare {
        /// Over the outer row.
        left: Expr,
        /// The comparison.
        op: CompareOp,
        /// ALL instead of ANY.
        all: bool,
    },
    /// All its values as an array.
    Array(DataType),
}

/// A subquery whose value becomes a further column of a row.
#[derive(Clone, Debug)]
pub struct Subquery<P> {
    /// What it gives.
    pub kind: SubqueryKind,
    /// Its rows.
    pub plan: P,
    /// Values of the outer row that it reads, as parameters: (parameter, value). Without any it gives
    /// the same for every row and runs once.
    pub outer: Vec<(usize, Expr)>,
}
