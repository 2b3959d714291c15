//! SELECT itself.

use sqlparser::ast as sp;

use super::lower::{Lower, refuse, start};
use crate::base::error::SqlError;
use crate::sql::parse::ast::{Distinct, Expr, Select, SelectItem};
use crate::sql::parse::syntax::unsupported;

impl Lower<'_> {
    /// A SELECT.
    pub(super) fn select(self, select: sp::Select) -> Result<Select, SqlError> {
        let sp::Select {
            select_token,
            optimizer_hints: _, // a comment in PostgreSQL
            distinct,
            select_modifiers,
            top,
            top_before_distinct: _, // says where `top` stood
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _, // says where `named_window` stood
            value_table_mode,
            flavor,
        } = select;
        let position = start(select_token.0.span);
        refuse!(position;
            select_modifiers.is_some() => "a modifier of SELECT",
            top.is_some() => "TOP",
            exclude.is_some() => "EXCLUDE",
            into.is_some() => "SELECT INTO",
            !lateral_views.is_empty() => "LATERAL VIEW",
            prewhere.is_some() => "PREWHERE",
            !connect_by.is_empty() => "CONNECT BY",
            !cluster_by.is_empty() => "CLUSTER BY",
            !distribute_by.is_empty() => "DISTRIBUTE BY",
            !sort_by.is_empty() => "SORT BY",
            !named_window.is_empty() => "WINDOW",
            qualify.is_some() => "QUALIFY",
            value_table_mode.is_some() => "SELECT AS",
            flavor != sp::SelectFlavor::Standard => "FROM before SELECT",
        );
        Ok(Select {
            distinct: self.distinct(distinct)?,
            items: self.select_items(projection)?,
            from: self.from(from)?,
            filter: selection.map(|filter| self.expr(filter)).transpose()?,
            group_by: self.group_by(group_by, position)?,
            having: having.map(|having| self.expr(having)).transpose()?,
        })
    }

    fn distinct(self, distinct: Option<sp::Distinct>) -> Result<Distinct, SqlError> {
        match distinct {
            None | Some(sp::Distinct::All) => Ok(Distinct::No),
            Some(sp::Distinct::Distinct) => Ok(Distinct::All),
            Some(sp::Distinct::On(keys)) => {
                let keys = keys.into_iter().map(|key| self.expr(key)).collect::<Result<_, _>>()?;
                Ok(Distinct::On(keys))
            }
        }
    }

    fn group_by(self, group_by: sp::GroupByExpr, position: u32) -> Result<Vec<Expr>, SqlError> {
        match group_by {
            sp::GroupByExpr::All(_) => Err(unsupported("GROUP BY ALL", position)),
            sp::GroupByExpr::Expressions(keys, modifiers) => {
                refuse!(position; !modifiers.is_empty() => "a modifier of GROUP BY");
                keys.into_iter().map(|key| self.expr(key)).collect()
            }
        }
    }

    /// The items of a SELECT or a RETURNING.
    pub(super) fn select_items(
        self,
        items: Vec<sp::SelectItem>,
    ) -> Result<Vec<SelectItem>, SqlError> {
        items.into_iter().map(|item| self.select_item(item)).collect()
    }

    fn select_item(self, item: sp::SelectItem) -> Result<SelectItem, SqlError> {
        match item {
            sp::SelectItem::UnnamedExpr(expr) => {
                Ok(SelectItem::Expr { expr: self.expr(expr)?, alias: None })
            }
            sp::SelectItem::ExprWithAlias { expr, alias } => {
                let expr = self.expr(expr)?;
                Ok(SelectItem::Expr { expr, alias: Some(self.name(&alias)?) })
            }
            sp::SelectItem::ExprWithAliases { expr: _, aliases } => {
                let position = aliases.first().map_or(0, |alias| start(alias.span));
                Err(unsupported("several aliases of one item", position))
            }
            sp::SelectItem::QualifiedWildcard(kind, options) => {
                let position = self.star(options)?;
                match kind {
                    sp::SelectItemQualifiedWildcardKind::ObjectName(name) => {
                        let table = self.object_name(&name)?;
                        let position = table.position();
                        Ok(SelectItem::Star { table: Some(table), position })
                    }
                    sp::SelectItemQualifiedWildcardKind::Expr(_) => {
                        Err(unsupported("the columns of a composite value", position))
                    }
                }
            }
            sp::SelectItem::Wildcard(options) => {
                Ok(SelectItem::Star { table: None, position: self.star(options)? })
            }
        }
    }

    /// Where a star stands; nothing may follow it.
    pub(super) fn star(self, options: sp::WildcardAdditionalOptions) -> Result<u32, SqlError> {
        let sp::WildcardAdditionalOptions {
            wildcard_token,
            opt_ilike,
            opt_exclude,
            opt_except,
            opt_replace,
            opt_rename,
            opt_alias,
        } = options;
        let position = start(wildcard_token.0.span);
        refuse!(position;
            opt_ilike.is_some() => "* ILIKE",
            opt_exclude.is_some() => "* EXCLUDE",
            opt_except.is_some() => "* EXCEPT",
            opt_replace.is_some() => "* REPLACE",
            opt_rename.is_some() => "* RENAME",
            opt_alias.is_some() => "an alias of *",
        );
        Ok(position)
    }
}
