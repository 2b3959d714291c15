//! Expressions.

use super::{Name, ObjectName, OrderItem, Query, TypeName};

/// An expression, with the position that an error about it points at: an operator's own place for an
/// operator, the beginning for everything else.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// One-based, in characters.
    pub position: u32,
}

/// A constant as written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Literal {
    /// `NULL`
    Null,
    /// `TRUE`, `FALSE`
    Bool(bool),
    /// An unsigned number: its text, from which the binder takes int4, int8 or numeric.
    Number(String),
    /// A string of unknown type.
    String(String),
}

/// Which pattern language.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LikeKind {
    /// `LIKE`
    Like,
    /// `ILIKE`
    ILike,
    /// `SIMILAR TO`
    SimilarTo,
}

/// `WHEN condition THEN result`
#[derive(Clone, Debug, PartialEq)]
pub struct CaseBranch {
    /// The condition, or the value to compare the operand with.
    pub when: Expr,
    /// The result.
    pub then: Expr,
}

/// `name([DISTINCT] args [ORDER BY …]) [FILTER (WHERE …)]`
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionCall {
    /// The function's name; `coalesce`, `nullif`, `greatest`, `least`, `extract`, `position`,
    /// `substring`, `btrim`, … are functions here too.
    pub name: ObjectName,
    /// The arguments.
    pub args: Vec<Expr>,
    /// `name(*)`
    pub star: bool,
    /// `name(DISTINCT …)`
    pub distinct: bool,
    /// `name(… ORDER BY …)`
    pub order_by: Vec<OrderItem>,
    /// `FILTER (WHERE …)`
    pub filter: Option<Box<Expr>>,
    /// Written without parentheses: `current_date`, `current_user`.
    pub bare: bool,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A constant.
    Literal(Literal),
    /// `$1` is `Param(1)`.
    Param(u32),
    /// `column`, `table.column`, `schema.table.column`: outermost first.
    Column(Vec<Name>),
    /// A prefix operator: `-`, `+`, `~`, `@`, `|/`, …
    Unary {
        /// The operator.
        op: String,
        /// Its operand.
        operand: Box<Expr>,
    },
    /// An operator between two operands; comparison too. `<>` is the only spelling of "not equal".
    Binary {
        /// The operator.
        op: String,
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
    },
    /// Two or more conditions, all of which must hold. Flat, so that long chains are not deep.
    And(Vec<Expr>),
    /// Two or more conditions, one of which must hold.
    Or(Vec<Expr>),
    /// `NOT …`
    Not(Box<Expr>),
    /// `IS [NOT] NULL`
    IsNull {
        /// The operand.
        operand: Box<Expr>,
        /// With NOT.
        negated: bool,
    },
    /// `IS [NOT] TRUE | FALSE | UNKNOWN`
    IsBool {
        /// The operand.
        operand: Box<Expr>,
        /// The truth value; `None` is UNKNOWN.
        value: Option<bool>,
        /// With NOT.
        negated: bool,
    },
    /// `IS [NOT] DISTINCT FROM`
    IsDistinct {
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
        /// With NOT.
        negated: bool,
    },
    /// `[NOT] IN (a, b, …)`
    InList {
        /// The operand.
        operand: Box<Expr>,
        /// The list.
        list: Vec<Expr>,
        /// With NOT.
        negated: bool,
    },
    /// `[NOT] IN (SELECT …)`
    InQuery {
        /// The operand.
        operand: Box<Expr>,
        /// The subquery.
        query: Box<Query>,
        /// With NOT.
        negated: bool,
    },
    /// `[NOT] BETWEEN low AND high`
    Between {
        /// The operand.
        operand: Box<Expr>,
        /// Lower bound, included.
        low: Box<Expr>,
        /// Upper bound, included.
        high: Box<Expr>,
        /// With NOT.
        negated: bool,
    },
    /// `[NOT] LIKE | ILIKE | SIMILAR TO`
    Like {
        /// Which of the three.
        kind: LikeKind,
        /// The text.
        operand: Box<Expr>,
        /// The pattern.
        pattern: Box<Expr>,
        /// `ESCAPE …`
        escape: Option<Box<Expr>>,
        /// With NOT.
        negated: bool,
    },
    /// `left op ANY | ALL (array)`
    AnyAll {
        /// The operator.
        op: String,
        /// Whether it is ALL.
        all: bool,
        /// Left operand.
        left: Box<Expr>,
        /// The array.
        right: Box<Expr>,
    },
    /// `left op ANY | ALL (SELECT …)`
    AnyAllQuery {
        /// The operator.
        op: String,
        /// Whether it is ALL.
        all: bool,
        /// Left operand.
        left: Box<Expr>,
        /// The subquery.
        query: Box<Query>,
    },
    /// `expr::type`, `CAST(expr AS type)`, `type 'text'`
    Cast {
        /// The operand.
        operand: Box<Expr>,
        /// The target type.
        ty: TypeName,
    },
    /// A function or aggregate call.
    Function(FunctionCall),
    /// `CASE [operand] WHEN … THEN … [ELSE …] END`
    Case {
        /// The operand, if the branches are values.
        operand: Option<Box<Expr>>,
        /// The branches.
        branches: Vec<CaseBranch>,
        /// `ELSE …`
        otherwise: Option<Box<Expr>>,
    },
    /// `EXISTS (SELECT …)`
    Exists(Box<Query>),
    /// `(SELECT …)` as one value.
    ScalarQuery(Box<Query>),
    /// `ARRAY(SELECT …)`
    ArrayQuery(Box<Query>),
    /// `ARRAY[…]`
    Array(Vec<Expr>),
    /// `(a, b)`, `ROW(a, b)`
    Row(Vec<Expr>),
    /// `expr[index]`
    Subscript {
        /// The array.
        operand: Box<Expr>,
        /// The index.
        index: Box<Expr>,
    },
    /// `expr COLLATE name`
    Collate {
        /// The operand.
        operand: Box<Expr>,
        /// The collation.
        collation: ObjectName,
    },
    /// `DEFAULT`, only as a value of INSERT or UPDATE.
    Default,
}
