//! FROM: tables, subqueries, functions, joins.

use sqlparser::ast as sp;

use super::lower::{Lower, refuse, start};
use super::place::start_of_table;
use crate::base::error::SqlError;
use crate::sql::parse::ast::{
    FunctionTable, Join, JoinConstraint, JoinKind, Name, ObjectName, TableAlias, TableRef,
};
use crate::sql::parse::syntax::{error_near, unsupported};

impl Lower<'_> {
    /// The items of a FROM.
    pub(super) fn from(self, items: Vec<sp::TableWithJoins>) -> Result<Vec<TableRef>, SqlError> {
        items.into_iter().map(|item| self.table_with_joins(item)).collect()
    }

    /// A table and what is joined to it.
    pub(super) fn table_with_joins(self, item: sp::TableWithJoins) -> Result<TableRef, SqlError> {
        let sp::TableWithJoins { relation, joins } = item;
        let mut left = self.table_factor(relation)?;
        for join in joins {
            let sp::Join { relation, global, join_operator } = join;
            refuse!(0; global => "GLOBAL JOIN");
            let position = start_of_table(&relation);
            let right = self.table_factor(relation)?;
            let (kind, constraint) = self.join_operator(join_operator, position)?;
            left = TableRef::Join(Box::new(Join { kind, left, right, constraint }));
        }
        Ok(left)
    }

    fn join_operator(
        self,
        operator: sp::JoinOperator,
        position: u32,
    ) -> Result<(JoinKind, JoinConstraint), SqlError> {
        use sp::JoinOperator as Op;
        let (kind, constraint) = match operator {
            Op::Join(constraint) | Op::Inner(constraint) => (JoinKind::Inner, constraint),
            Op::Left(constraint) | Op::LeftOuter(constraint) => (JoinKind::Left, constraint),
            Op::Right(constraint) | Op::RightOuter(constraint) => (JoinKind::Right, constraint),
            Op::FullOuter(constraint) => (JoinKind::Full, constraint),
            Op::CrossJoin(constraint) => (JoinKind::Cross, constraint),
            Op::Semi(_)
            | Op::LeftSemi(_)
            | Op::RightSemi(_)
            | Op::Anti(_)
            | Op::LeftAnti(_)
            | Op::RightAnti(_)
            | Op::CrossApply
            | Op::OuterApply
            | Op::AsOf { .. }
            | Op::StraightJoin(_)
            | Op::ArrayJoin
            | Op::LeftArrayJoin
            | Op::InnerArrayJoin => return Err(unsupported("this kind of join", position)),
        };
        let constraint = match constraint {
            sp::JoinConstraint::On(condition) => JoinConstraint::On(self.expr(condition)?),
            sp::JoinConstraint::Using(columns) => JoinConstraint::Using(
                columns.iter().map(|column| self.single_name(column)).collect::<Result<_, _>>()?,
            ),
            sp::JoinConstraint::Natural => JoinConstraint::Natural,
            sp::JoinConstraint::None => JoinConstraint::None,
        };
        let bare = constraint == JoinConstraint::None;
        if bare != (kind == JoinKind::Cross) {
            // PostgreSQL's grammar wants a condition for every join but CROSS.
            let what = if bare { "a join without a condition" } else { "CROSS JOIN with one" };
            return Err(SqlError {
                state: crate::base::error::sqlstate::SYNTAX_ERROR,
                ..unsupported(what, position)
            });
        }
        Ok((kind, constraint))
    }

    fn table_factor(self, factor: sp::TableFactor) -> Result<TableRef, SqlError> {
        let position = start_of_table(&factor);
        match factor {
            sp::TableFactor::Table { .. } => self.table(factor),
            sp::TableFactor::Derived { lateral, subquery, alias, sample } => {
                refuse!(position; sample.is_some() => "TABLESAMPLE");
                let query = Box::new(self.query(*subquery)?);
                let alias = alias.map(|alias| self.alias(alias)).transpose()?;
                let position = self.find_before(position, "(");
                Ok(TableRef::Query { lateral, query, alias, position })
            }
            sp::TableFactor::Function { lateral, name, args, with_ordinality, alias } => {
                // Whether it may look to its left is decided by what it names, as in PostgreSQL.
                let _ = lateral;
                self.function_table(self.object_name(&name)?, args, with_ordinality, alias)
            }
            sp::TableFactor::UNNEST {
                alias,
                array_exprs,
                with_offset,
                with_offset_alias,
                with_ordinality,
            } => {
                refuse!(position;
                    with_offset => "WITH OFFSET",
                    with_offset_alias.is_some() => "WITH OFFSET",
                );
                let name = Name::new("unnest", false, self.find_before(position, "unnest"));
                let args = array_exprs.into_iter().map(unnamed).collect();
                let name = ObjectName { parts: vec![name] };
                self.function_table(name, args, with_ordinality, alias)
            }
            sp::TableFactor::NestedJoin { table_with_joins, alias } => {
                refuse!(position; alias.is_some() => "an alias of a join");
                self.table_with_joins(*table_with_joins)
            }
            sp::TableFactor::TableFunction { .. }
            | sp::TableFactor::JsonTable { .. }
            | sp::TableFactor::OpenJsonTable { .. }
            | sp::TableFactor::Pivot { .. }
            | sp::TableFactor::Unpivot { .. }
            | sp::TableFactor::UnpivotExpr { .. }
            | sp::TableFactor::MatchRecognize { .. }
            | sp::TableFactor::XmlTable { .. }
            | sp::TableFactor::SemanticView { .. } => {
                Err(unsupported("this item of FROM", position))
            }
        }
    }

    fn table(self, factor: sp::TableFactor) -> Result<TableRef, SqlError> {
        let sp::TableFactor::Table {
            name,
            alias,
            args,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } = factor
        else {
            return Err(unsupported("this item of FROM", 0));
        };
        if let [sp::ObjectNamePart::Identifier(ident)] = name.0.as_slice() {
            self.plain_name(ident)?;
        }
        let name = self.object_name(&name)?;
        let position = name.position();
        refuse!(position;
            !with_hints.is_empty() => "a table hint",
            version.is_some() => "AS OF",
            !partitions.is_empty() => "PARTITION",
            json_path.is_some() => "a JSON path",
            sample.is_some() => "TABLESAMPLE",
            !index_hints.is_empty() => "an index hint",
            with_ordinality && args.is_none() => "WITH ORDINALITY of a table",
        );
        match args {
            Some(sp::TableFunctionArgs { args, settings }) => {
                refuse!(position; settings.is_some() => "SETTINGS");
                self.function_table(name, args, with_ordinality, alias)
            }
            None => {
                let alias = alias.map(|alias| self.alias(alias)).transpose()?;
                Ok(TableRef::Table { name, alias })
            }
        }
    }

    fn function_table(
        self,
        name: ObjectName,
        args: Vec<sp::FunctionArg>,
        ordinality: bool,
        alias: Option<sp::TableAlias>,
    ) -> Result<TableRef, SqlError> {
        let args = self.args(args, name.position())?;
        let alias = alias.map(|alias| self.alias(alias)).transpose()?;
        Ok(TableRef::Function(FunctionTable { name, args, ordinality, alias }))
    }

    /// `[AS] name [(columns)]`
    pub(super) fn alias(self, alias: sp::TableAlias) -> Result<TableAlias, SqlError> {
        let sp::TableAlias { explicit: _, name, columns, at } = alias;
        let name = self.plain_name(&name)?;
        if let Some(at) = at {
            return Err(error_near(&at.value, start(at.span)));
        }
        let columns = columns
            .into_iter()
            .map(|column| {
                let sp::TableAliasColumnDef { name, data_type } = column;
                let name = self.name(&name)?;
                refuse!(name.position; data_type.is_some() => "a column definition list");
                Ok(name)
            })
            .collect::<Result<_, SqlError>>()?;
        Ok(TableAlias { name, columns })
    }
}

fn unnamed(expr: sp::Expr) -> sp::FunctionArg {
    sp::FunctionArg::Unnamed(sp::FunctionArgExpr::Expr(expr))
}
