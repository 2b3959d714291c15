//! The binder's state: parameters, levels of queries, common table expressions.

use crate::base::error::{SqlError, sqlstate};
use crate::base::limit;
use crate::row::eval::Expr;
use crate::row::types::DataType;
use crate::sql::bind::names::Names;
use crate::sql::bind::scope::Scope;
use crate::sql::parse::ast::Name;
use crate::sql::plan::{Aggregate, Field, LogicalPlan, Subquery};

/// Parameters from here on are values of enclosing rows; the optimiser moves them behind the client's.
pub(in crate::sql) const SLOT_BASE: usize = 1 << 24;
/// Columns from here on stand for the results of aggregates until the grouping is built.
pub(super) const AGGREGATE_BASE: usize = 1 << 28;

/// A bound expression and its type.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub(super) expr: Expr,
    pub(super) ty: DataType,
    pub(super) position: u32,
}

/// Where an expression stands, as far as it decides what may stand in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Clause {
    Select,
    Where,
    JoinOn,
    GroupBy,
    Having,
    OrderBy,
    Limit,
    Values,
    Returning,
    Default,
    From,
    Update,
}

impl Clause {
    /// Where aggregates may not stand: PostgreSQL's words for it.
    pub(super) fn refuses_aggregates(self) -> Option<&'static str> {
        match self {
            Self::Select | Self::Having | Self::OrderBy => None,
            Self::Where => Some("WHERE"),
            Self::JoinOn => Some("JOIN conditions"),
            Self::GroupBy => Some("GROUP BY"),
            Self::Limit => Some("LIMIT"),
            Self::Values => Some("VALUES"),
            Self::Returning => Some("RETURNING"),
            Self::Default => Some("DEFAULT expressions"),
            Self::From => Some("functions in FROM"),
            Self::Update => Some("UPDATE"),
        }
    }
}

/// One level of queries within queries.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) scope: Scope,
    pub(super) clause: Clause,
    /// Values of rows around this level that it reads: (slot, value over the next outer row).
    pub(super) captures: Vec<(usize, Expr)>,
    /// Subqueries that this level's expressions refer to by number.
    pub(super) subqueries: Vec<Option<Subquery<LogicalPlan>>>,
    /// Aggregates that this level's expressions refer to by number.
    pub(super) aggregates: Vec<Aggregate>,
    /// Inside an aggregate's arguments.
    pub(super) in_aggregate: bool,
    /// Where each column was first named outside of an aggregate.
    pub(super) named: Vec<(usize, u32)>,
}

impl Level {
    pub(super) fn new() -> Self {
        Self {
            scope: Scope::default(),
            clause: Clause::Select,
            captures: Vec::new(),
            subqueries: Vec::new(),
            aggregates: Vec::new(),
            in_aggregate: false,
            named: Vec::new(),
        }
    }
}

/// A common table expression in sight.
#[derive(Clone, Debug)]
pub(super) struct CteEntry {
    pub(super) name: String,
    pub(super) number: usize,
    pub(super) fields: Vec<Field>,
}

/// The binder of one statement.
pub(super) struct Binder<'a> {
    pub(super) names: &'a dyn Names,
    /// Types of `$1`, `$2`, …; `None` while nothing has decided it.
    pub(super) parameters: Vec<Option<DataType>>,
    pub(super) levels: Vec<Level>,
    pub(super) ctes: Vec<LogicalPlan>,
    pub(super) visible_ctes: Vec<CteEntry>,
    /// Types of the values that slots give.
    pub(super) slot_types: Vec<DataType>,
}

/// A query's plan with the columns of its result.
#[derive(Debug)]
pub(super) struct BoundQuery {
    pub(super) plan: LogicalPlan,
    pub(super) fields: Vec<Field>,
}

impl<'a> Binder<'a> {
    pub(super) fn new(names: &'a dyn Names, hints: &[Option<DataType>]) -> Self {
        Self {
            names,
            parameters: hints.to_vec(),
            levels: Vec::new(),
            ctes: Vec::new(),
            visible_ctes: Vec::new(),
            slot_types: Vec::new(),
        }
    }

    /// The innermost level.
    ///
    /// # Panics
    ///
    /// If there is none; expressions are only bound inside a level.
    pub(super) fn level(&mut self) -> &mut Level {
        let level = self.levels.last_mut();
        assert!(level.is_some(), "an expression outside of a query level");
        level.unwrap_or_else(|| unreachable!("checked above"))
    }

    /// Runs `bind` with another clause for its surroundings.
    pub(super) fn within<R>(&mut self, clause: Clause, bind: impl FnOnce(&mut Self) -> R) -> R {
        let before = std::mem::replace(&mut self.level().clause, clause);
        let result = bind(self);
        self.level().clause = before;
        result
    }

    /// Runs `bind` in a level of its own; gives what the level captured too.
    pub(super) fn nested<R>(
        &mut self,
        bind: impl FnOnce(&mut Self) -> Result<R, SqlError>,
    ) -> Result<(R, Vec<(usize, Expr)>), SqlError> {
        if limit::NESTING_MAX < self.levels.len() {
            let message = "stack depth limit exceeded";
            return Err(SqlError::new(sqlstate::STATEMENT_TOO_COMPLEX, message));
        }
        self.levels.push(Level::new());
        let ctes = self.visible_ctes.len();
        let result = bind(self);
        self.visible_ctes.truncate(ctes);
        let level = self.levels.pop();
        let captures = level.map(|level| level.captures).unwrap_or_default();
        Ok((result?, captures))
    }

    /// The value of column `index` of level `depth`, as seen from the innermost level.
    pub(super) fn capture(&mut self, depth: usize, index: usize, ty: &DataType) -> Expr {
        let column = Expr::Column(index);
        let boundary = depth + 1;
        let known =
            self.levels[boundary].captures.iter().find(|(_, e)| *e == column).map(|(s, _)| *s);
        let slot = known.unwrap_or_else(|| {
            self.slot_types.push(ty.clone());
            SLOT_BASE + self.slot_types.len() - 1
        });
        for at in boundary..self.levels.len() {
            let value = if at == boundary { column.clone() } else { Expr::Param(slot) };
            let captures = &mut self.levels[at].captures;
            if !captures.iter().any(|(s, _)| *s == slot) {
                captures.push((slot, value));
            }
        }
        Expr::Param(slot)
    }

    /// Remembers a subquery; the expression that stands for its value.
    pub(super) fn add_subquery(&mut self, subquery: Subquery<LogicalPlan>) -> Expr {
        let subqueries = &mut self.level().subqueries;
        subqueries.push(Some(subquery));
        Expr::Subquery(subqueries.len() - 1)
    }

    /// Puts an operator under expressions that gives them the values of their subqueries.
    pub(super) fn apply_subqueries(
        &mut self,
        input: LogicalPlan,
        exprs: &mut [&mut Expr],
    ) -> LogicalPlan {
        let width = input.width();
        let mut order = Vec::new();
        for expr in exprs.iter_mut() {
            number_subqueries(expr, width, &mut order);
        }
        if order.is_empty() {
            return input;
        }
        let level = self.level();
        let subqueries =
            order.iter().filter_map(|number| level.subqueries[*number].take()).collect();
        LogicalPlan::Apply { input: Box::new(input), subqueries }
    }
}

fn number_subqueries(expr: &mut Expr, width: usize, order: &mut Vec<usize>) {
    if let Expr::Subquery(number) = expr {
        let at = order.iter().position(|known| known == number).unwrap_or_else(|| {
            order.push(*number);
            order.len() - 1
        });
        *expr = Expr::Column(width + at);
        return;
    }
    for child in expr.children_mut() {
        number_subqueries(child, width, order);
    }
}

/// The table's own name part of an alias list: renames the first columns.
pub(super) fn rename(fields: &mut [Field], columns: &[Name], table: &str) -> Result<(), SqlError> {
    if fields.len() < columns.len() {
        let message = format!(
            "table \"{table}\" has {} columns available but {} columns specified",
            fields.len(),
            columns.len()
        );
        return Err(
            SqlError::new(sqlstate::INVALID_COLUMN_REFERENCE, message).at(columns[0].position)
        );
    }
    for (field, name) in fields.iter_mut().zip(columns) {
        field.name.clone_from(&name.text);
    }
    Ok(())
}
