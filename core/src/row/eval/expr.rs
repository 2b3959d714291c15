//! The tree.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::row::datum::Datum;
use crate::row::functions::{FunctionDef, FunctionId, Implementation};
use crate::row::types::DataType;

/// Nesting of an expression that is evaluated or read from bytes; deeper ones are 54001.
pub const EXPR_DEPTH_MAX: usize = 256;

/// A comparison.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, Serialize, Deserialize)]
pub enum CompareOp {
    /// `=`
    Eq,
    /// `<>`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

impl CompareOp {
    /// Whether the comparison holds for operands in this order.
    pub fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::Ne => order.is_ne(),
            Self::Lt => order.is_lt(),
            Self::Le => order.is_le(),
            Self::Gt => order.is_gt(),
            Self::Ge => order.is_ge(),
        }
    }

    /// The comparison with its operands exchanged.
    #[must_use]
    pub fn flipped(self) -> Self {
        match self {
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
            Self::Eq | Self::Ne => self,
        }
    }

    /// The comparison that holds for equal operands too.
    #[must_use]
    pub fn or_equal(self) -> Self {
        match self {
            Self::Lt => Self::Le,
            Self::Gt => Self::Ge,
            Self::Le | Self::Ge | Self::Eq | Self::Ne => self,
        }
    }

    /// The opposite comparison, for operands that are not null.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Lt => Self::Ge,
            Self::Le => Self::Gt,
            Self::Gt => Self::Le,
            Self::Ge => Self::Lt,
        }
    }

    /// The operator's sign.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "<>",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }
}

/// A bound scalar expression.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Expr {
    /// A value of a type.
    Const(Datum, DataType),
    /// A column of the input row.
    Column(usize),
    /// A parameter of the statement, from 0.
    Param(usize),
    /// The result of subquery number n for this row, by [`super::Subqueries`].
    Subquery(usize),
    /// A function or operator of the registry. Null arguments of strict functions give null.
    Call {
        /// Which.
        function: FunctionId,
        /// Its arguments, cast to the parameters' types.
        args: Vec<Expr>,
        /// The type of the result.
        ty: DataType,
    },
    /// A comparison of two values of one type (or of integers of any width).
    Compare {
        /// Which.
        op: CompareOp,
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
    },
    /// True unless one is false; null if one is null and none false.
    And(Vec<Expr>),
    /// False unless one is true; null if one is null and none true.
    Or(Vec<Expr>),
    /// Null stays null.
    Not(Box<Expr>),
    /// `CASE`: the first branch that is true, or whose value equals the operand.
    Case {
        /// `CASE x WHEN …`.
        operand: Option<Box<Expr>>,
        /// (when, then).
        branches: Vec<(Expr, Expr)>,
        /// `ELSE`; null without.
        otherwise: Option<Box<Expr>>,
    },
    /// The first that is not null.
    Coalesce(Vec<Expr>),
    /// Null if both are equal, else the first.
    NullIf(Box<Expr>, Box<Expr>),
    /// `GREATEST` or `LEAST`; nulls do not count.
    MinMax {
        /// Which of both.
        greatest: bool,
        /// The candidates.
        args: Vec<Expr>,
    },
    /// Another type.
    Cast {
        /// What is cast.
        expr: Box<Expr>,
        /// Its type.
        from: DataType,
        /// The type wanted, with modifier.
        to: DataType,
        /// Written by the user, so that strings are cut instead of refused.
        explicit: bool,
    },
    /// `x IN (a, b, …)`.
    InList {
        /// What is looked for.
        expr: Box<Expr>,
        /// Where.
        list: Vec<Expr>,
        /// `NOT IN`.
        negated: bool,
    },
    /// `LIKE` and `ILIKE`.
    Like {
        /// The string.
        expr: Box<Expr>,
        /// The pattern.
        pattern: Box<Expr>,
        /// `ESCAPE`; a backslash without.
        escape: Option<Box<Expr>>,
        /// `NOT`.
        negated: bool,
        /// `ILIKE`.
        case_insensitive: bool,
    },
    /// `~` and its kin.
    Regex {
        /// The string.
        expr: Box<Expr>,
        /// The regular expression.
        pattern: Box<Expr>,
        /// `!~`.
        negated: bool,
        /// `~*`.
        case_insensitive: bool,
    },
    /// `IS [NOT] NULL`.
    IsNull {
        /// What is tested.
        expr: Box<Expr>,
        /// `NOT`.
        negated: bool,
    },
    /// `IS [NOT] TRUE`, `FALSE` or `UNKNOWN` (`None`).
    IsBool {
        /// What is tested.
        expr: Box<Expr>,
        /// For what.
        value: Option<bool>,
        /// `NOT`.
        negated: bool,
    },
    /// `IS [NOT] DISTINCT FROM`: comparison in which nulls are equal.
    IsDistinct {
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
        /// `NOT`.
        negated: bool,
    },
    /// `x op ANY (array)` or `ALL`.
    AnyAll {
        /// The comparison.
        op: CompareOp,
        /// Left operand.
        left: Box<Expr>,
        /// The array.
        array: Box<Expr>,
        /// `ALL`.
        all: bool,
    },
    /// `ARRAY[…]`.
    Array {
        /// The type of its elements.
        element: DataType,
        /// The elements.
        items: Vec<Expr>,
    },
    /// `array[i]`, from 1 (from 0 for the vectors of the catalogs); null outside.
    Subscript {
        /// The array.
        array: Box<Expr>,
        /// Which element.
        index: Box<Expr>,
        /// The index of the first element.
        base: i32,
    },
    /// `array[low:high]`.
    Slice {
        /// The array.
        array: Box<Expr>,
        /// First index; from the beginning without.
        low: Option<Box<Expr>>,
        /// Last index; to the end without.
        high: Option<Box<Expr>>,
    },
}

impl Expr {
    /// A constant of its natural type.
    pub fn constant(datum: Datum) -> Self {
        let ty = datum.natural_type();
        Self::Const(datum, ty)
    }

    /// A call; comparisons become [`Expr::Compare`].
    pub fn call(function: &FunctionDef, args: Vec<Self>, ty: DataType) -> Self {
        let args = match (function.implementation, <[Self; 2]>::try_from(args)) {
            (Implementation::Compare(op), Ok([left, right])) => {
                return Self::compare(op, left, right);
            }
            (_, Ok(pair)) => Vec::from(pair),
            (_, Err(args)) => args,
        };
        Self::Call { function: FunctionId(function.oid), args, ty }
    }

    /// A comparison.
    pub fn compare(op: CompareOp, left: Self, right: Self) -> Self {
        Self::Compare { op, left: Box::new(left), right: Box::new(right) }
    }

    /// Whether it is the constant true.
    pub fn is_true(&self) -> bool {
        matches!(self, Self::Const(Datum::Bool(true), _))
    }

    /// Every direct operand, in the order of evaluation.
    pub fn children(&self) -> Vec<&Self> {
        match self {
            Self::Const(..) | Self::Column(_) | Self::Param(_) | Self::Subquery(_) => Vec::new(),
            Self::Call { args, .. }
            | Self::And(args)
            | Self::Or(args)
            | Self::Coalesce(args)
            | Self::MinMax { args, .. }
            | Self::Array { items: args, .. } => args.iter().collect(),
            Self::Compare { left, right, .. }
            | Self::NullIf(left, right)
            | Self::IsDistinct { left, right, .. }
            | Self::AnyAll { left, array: right, .. }
            | Self::Subscript { array: left, index: right, .. }
            | Self::Regex { expr: left, pattern: right, .. } => vec![left, right],
            Self::Not(expr)
            | Self::Cast { expr, .. }
            | Self::IsNull { expr, .. }
            | Self::IsBool { expr, .. } => vec![expr],
            Self::Case { operand, branches, otherwise } => operand
                .as_deref()
                .into_iter()
                .chain(branches.iter().flat_map(|(when, then)| [when, then]))
                .chain(otherwise.as_deref())
                .collect(),
            Self::InList { expr, list, .. } => {
                std::iter::once(&**expr).chain(list.iter()).collect()
            }
            Self::Like { expr, pattern, escape, .. } => {
                [&**expr, &**pattern].into_iter().chain(escape.as_deref()).collect()
            }
            Self::Slice { array, low, high } => {
                std::iter::once(&**array).chain(low.as_deref()).chain(high.as_deref()).collect()
            }
        }
    }

    /// Every direct operand, in the order of evaluation, to be changed in place.
    pub fn children_mut(&mut self) -> Vec<&mut Self> {
        match self {
            Self::Const(..) | Self::Column(_) | Self::Param(_) | Self::Subquery(_) => Vec::new(),
            Self::Call { args, .. }
            | Self::And(args)
            | Self::Or(args)
            | Self::Coalesce(args)
            | Self::MinMax { args, .. }
            | Self::Array { items: args, .. } => args.iter_mut().collect(),
            Self::Compare { left, right, .. }
            | Self::NullIf(left, right)
            | Self::IsDistinct { left, right, .. }
            | Self::AnyAll { left, array: right, .. }
            | Self::Subscript { array: left, index: right, .. }
            | Self::Regex { expr: left, pattern: right, .. } => vec![left, right],
            Self::Not(expr)
            | Self::Cast { expr, .. }
            | Self::IsNull { expr, .. }
            | Self::IsBool { expr, .. } => vec![expr],
            Self::Case { operand, branches, otherwise } => operand
                .as_deref_mut()
                .into_iter()
                .chain(branches.iter_mut().flat_map(|(when, then)| [when, then]))
                .chain(otherwise.as_deref_mut())
                .collect(),
            Self::InList { expr, list, .. } => {
                std::iter::once(&mut **expr).chain(list.iter_mut()).collect()
            }
            Self::Like { expr, pattern, escape, .. } => {
                [&mut **expr, &mut **pattern].into_iter().chain(escape.as_deref_mut()).collect()
            }
            Self::Slice { array, low, high } => std::iter::once(&mut **array)
                .chain(low.as_deref_mut())
                .chain(high.as_deref_mut())
                .collect(),
        }
    }

    /// Calls `visit` for this expression and everything below it, parents first.
    pub fn walk(&self, visit: &mut impl FnMut(&Self)) {
        visit(self);
        for child in self.children() {
            child.walk(visit);
        }
    }

    /// The columns that it reads, ascending, each once.
    pub fn columns(&self) -> Vec<usize> {
        let mut columns = Vec::new();
        self.walk(&mut |expr| {
            if let Self::Column(index) = expr {
                columns.push(*index);
            }
        });
        columns.sort_unstable();
        columns.dedup();
        columns
    }
}
