//! Queries: SELECT, VALUES, set operations, FROM.

use super::{Expr, Name, ObjectName};

/// `[WITH …] body [ORDER BY …] [LIMIT …] [OFFSET …] [FOR UPDATE …]`
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// Common table expressions.
    pub with: Vec<Cte>,
    /// The query proper.
    pub body: SetBody,
    /// The order of the result.
    pub order_by: Vec<OrderItem>,
    /// At most so many rows.
    pub limit: Option<Expr>,
    /// After so many rows.
    pub offset: Option<Expr>,
    /// `FOR UPDATE` and its kin.
    pub locking: Vec<LockingClause>,
}

/// `name [(columns)] AS [[NOT] MATERIALIZED] (query)`
#[derive(Clone, Debug, PartialEq)]
pub struct Cte {
    /// Its name.
    pub name: Name,
    /// Names of its columns, if given.
    pub columns: Vec<Name>,
    /// The query.
    pub query: Query,
}

/// What stands between WITH and ORDER BY.
#[derive(Clone, Debug, PartialEq)]
pub enum SetBody {
    /// `SELECT …`
    Select(Box<Select>),
    /// `VALUES (…), (…)`
    Values(Vec<Vec<Expr>>),
    /// `(query)`
    Query(Box<Query>),
    /// `left UNION [ALL] right`
    Operation(Box<SetOperation>),
}

/// `left UNION [ALL] right`
#[derive(Clone, Debug, PartialEq)]
pub struct SetOperation {
    /// Which.
    pub op: SetOperator,
    /// With ALL: duplicates stay.
    pub all: bool,
    /// Left query.
    pub left: SetBody,
    /// Right query.
    pub right: SetBody,
}

/// A set operator.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SetOperator {
    /// `UNION`
    Union,
    /// `INTERSECT`
    Intersect,
    /// `EXCEPT`
    Except,
}

/// `SELECT [DISTINCT] items FROM … WHERE … GROUP BY … HAVING …`
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    /// `DISTINCT`
    pub distinct: Distinct,
    /// The result's columns; may be none.
    pub items: Vec<SelectItem>,
    /// Comma-separated FROM items.
    pub from: Vec<TableRef>,
    /// `WHERE`
    pub filter: Option<Expr>,
    /// `GROUP BY`
    pub group_by: Vec<Expr>,
    /// `HAVING`
    pub having: Option<Expr>,
}

/// How duplicates go.
#[derive(Clone, Debug, PartialEq)]
pub enum Distinct {
    /// They stay.
    No,
    /// `DISTINCT`
    All,
    /// `DISTINCT ON (…)`
    On(Vec<Expr>),
}

/// A column of the result, or a star.
#[derive(Clone, Debug, PartialEq)]
pub enum SelectItem {
    /// `expr [AS alias]`
    Expr {
        /// The value.
        expr: Expr,
        /// Its name, if given.
        alias: Option<Name>,
    },
    /// `*`, `table.*`
    Star {
        /// The table, if given.
        table: Option<ObjectName>,
        /// Where it stands.
        position: u32,
    },
}

/// `expr [ASC | DESC] [NULLS FIRST | LAST]`
#[derive(Clone, Debug, PartialEq)]
pub struct OrderItem {
    /// The key; an unsigned integer is an ordinal.
    pub expr: Expr,
    /// Largest first.
    pub descending: bool,
    /// As written; without it nulls are larger than everything.
    pub nulls_first: Option<bool>,
}

/// `[AS] name [(columns)]`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TableAlias {
    /// The name.
    pub name: Name,
    /// Names of the first columns, if given.
    pub columns: Vec<Name>,
}

/// An item of FROM.
#[derive(Clone, Debug, PartialEq)]
pub enum TableRef {
    /// A table, view or common table expression.
    Table {
        /// Its name.
        name: ObjectName,
        /// Its alias.
        alias: Option<TableAlias>,
    },
    /// `[LATERAL] (query) [AS] alias`
    Query {
        /// May it see the items to its left.
        lateral: bool,
        /// The subquery.
        query: Box<Query>,
        /// Its alias.
        alias: Option<TableAlias>,
        /// Where it begins.
        position: u32,
    },
    /// `[LATERAL] function(args) [WITH ORDINALITY]`
    Function(FunctionTable),
    /// `left JOIN right`
    Join(Box<Join>),
}

/// A set-returning function in FROM.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionTable {
    /// The function.
    pub name: ObjectName,
    /// Its arguments.
    pub args: Vec<Expr>,
    /// With a column that counts.
    pub ordinality: bool,
    /// Its alias.
    pub alias: Option<TableAlias>,
}

/// `left JOIN right ON …`
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// Which join.
    pub kind: JoinKind,
    /// Left side.
    pub left: TableRef,
    /// Right side.
    pub right: TableRef,
    /// What pairs rows.
    pub constraint: JoinConstraint,
}

/// Which rows without a partner stay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum JoinKind {
    /// None.
    Inner,
    /// Those of the left side.
    Left,
    /// Those of the right side.
    Right,
    /// Those of both sides.
    Full,
    /// Every pair.
    Cross,
}

/// What pairs rows.
#[derive(Clone, Debug, PartialEq)]
pub enum JoinConstraint {
    /// `ON …`
    On(Expr),
    /// `USING (columns)`
    Using(Vec<Name>),
    /// `NATURAL`
    Natural,
    /// Nothing: a cross join.
    None,
}

/// `FOR UPDATE [OF tables] [NOWAIT | SKIP LOCKED]`
#[derive(Clone, Debug, PartialEq)]
pub struct LockingClause {
    /// How strong.
    pub strength: LockStrength,
    /// Only these tables of FROM, if any are named.
    pub of: Vec<Name>,
    /// What to do if a row is held.
    pub wait: LockWait,
}

/// The strength of a row lock.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum LockStrength {
    /// `FOR SHARE`
    Share,
    /// `FOR UPDATE`
    Update,
}

/// What to do if a row is held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LockWait {
    /// Wait for it.
    Wait,
    /// Fail with 55P03.
    NoWait,
    /// Leave it out.
    SkipLocked,
}
