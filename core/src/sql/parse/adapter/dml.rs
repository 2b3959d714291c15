//! INSERT, UPDATE, DELETE.

use sqlparser::ast as sp;

use super::lower::{Lower, refuse};
use crate::base::error::SqlError;
use crate::sql::parse::ast::{
    Assignment, Delete, Insert, InsertSource, ObjectName, SelectItem, Statement, TableAlias,
    TableRef, Update,
};
use crate::sql::parse::syntax::unsupported;

impl Lower<'_> {
    /// An INSERT that begins at `position`.
    pub(super) fn insert(self, insert: sp::Insert, position: u32) -> Result<Statement, SqlError> {
        let sp::Insert {
            insert_token: _,
            optimizer_hints: _, // a comment in PostgreSQL
            or,
            ignore,
            into,
            table,
            table_alias,
            columns,
            overwrite,
            source,
            assignments,
            partitioned,
            after_columns,
            has_table_keyword,
            on,
            returning,
            output,
            replace_into,
            priority,
            insert_alias,
            settings,
            format_clause,
            multi_table_insert_type,
            multi_table_into_clauses,
            multi_table_when_clauses,
            multi_table_else_clause,
        } = insert;
        refuse!(position;
            or.is_some() => "INSERT OR",
            ignore => "INSERT IGNORE",
            !into => "INSERT without INTO",
            overwrite => "INSERT OVERWRITE",
            !assignments.is_empty() => "INSERT … SET",
            partitioned.is_some() => "PARTITION",
            !after_columns.is_empty() => "PARTITION",
            has_table_keyword => "INSERT INTO TABLE",
            on.is_some() => "ON CONFLICT",
            output.is_some() => "OUTPUT",
            replace_into => "REPLACE INTO",
            priority.is_some() => "a priority",
            insert_alias.is_some() => "an alias of the new rows",
            settings.is_some() => "SETTINGS",
            format_clause.is_some() => "FORMAT",
            multi_table_insert_type.is_some() => "INSERT ALL",
            !multi_table_into_clauses.is_empty() => "INSERT ALL",
            !multi_table_when_clauses.is_empty() => "INSERT ALL",
            multi_table_else_clause.is_some() => "INSERT ALL",
        );
        let sp::TableObject::TableName(table) = table else {
            return Err(unsupported("INSERT INTO a function or query", position));
        };
        let alias = match table_alias {
            Some(sp::TableAliasWithoutColumns { explicit: _, alias }) => Some(self.name(&alias)?),
            None => None,
        };
        let columns =
            columns.iter().map(|column| self.single_name(column)).collect::<Result<_, _>>()?;
        let source = match source {
            Some(query) => InsertSource::Query(self.query(*query)?),
            None => InsertSource::Defaults,
        };
        let table = self.object_name(&table)?;
        let returning = self.returning(returning)?;
        Ok(Statement::Insert(Box::new(Insert { table, alias, columns, source, returning })))
    }

    /// An UPDATE that begins at `position`.
    pub(super) fn update(self, update: sp::Update, position: u32) -> Result<Statement, SqlError> {
        let sp::Update {
            update_token: _,
            optimizer_hints: _, // a comment in PostgreSQL
            table,
            assignments,
            from,
            selection,
            returning,
            output,
            or,
            order_by,
            limit,
        } = update;
        refuse!(position;
            output.is_some() => "OUTPUT",
            or.is_some() => "UPDATE OR",
            !order_by.is_empty() => "UPDATE … ORDER BY",
            limit.is_some() => "UPDATE … LIMIT",
        );
        let (table, alias) = self.target(table, position)?;
        let assignments = assignments
            .into_iter()
            .map(|assignment| {
                let sp::Assignment { target, value } = assignment;
                let column = match target {
                    sp::AssignmentTarget::ColumnName(name) => self.single_name(&name)?,
                    sp::AssignmentTarget::Tuple(_) => {
                        return Err(unsupported("an assignment to several columns", position));
                    }
                };
                Ok(Assignment { column, value: self.expr(value)? })
            })
            .collect::<Result<_, _>>()?;
        let from = match from {
            None => Vec::new(),
            Some(sp::UpdateTableFromKind::AfterSet(items)) => self.from(items)?,
            Some(sp::UpdateTableFromKind::BeforeSet(_)) => {
                return Err(unsupported("FROM before SET", position));
            }
        };
        let filter = selection.map(|filter| self.expr(filter)).transpose()?;
        let returning = self.returning(returning)?;
        Ok(Statement::Update(Box::new(Update {
            table,
            alias,
            assignments,
            from,
            filter,
            returning,
        })))
    }

    /// A DELETE that begins at `position`.
    pub(super) fn delete(self, delete: sp::Delete, position: u32) -> Result<Statement, SqlError> {
        let sp::Delete {
            delete_token: _,
            optimizer_hints: _, // a comment in PostgreSQL
            tables,
            from,
            using,
            selection,
            returning,
            output,
            order_by,
            limit,
        } = delete;
        refuse!(position;
            !tables.is_empty() => "DELETE of several tables",
            output.is_some() => "OUTPUT",
            !order_by.is_empty() => "DELETE … ORDER BY",
            limit.is_some() => "DELETE … LIMIT",
        );
        let sp::FromTable::WithFromKeyword(mut from) = from else {
            return Err(unsupported("DELETE without FROM", position));
        };
        let (Some(table), true) = (from.pop(), from.is_empty()) else {
            return Err(unsupported("DELETE of several tables", position));
        };
        let (table, alias) = self.target(table, position)?;
        let using = self.from(using.unwrap_or_default())?;
        let filter = selection.map(|filter| self.expr(filter)).transpose()?;
        let returning = self.returning(returning)?;
        Ok(Statement::Delete(Box::new(Delete { table, alias, using, filter, returning })))
    }

    /// The table that a statement changes.
    fn target(
        self,
        table: sp::TableWithJoins,
        position: u32,
    ) -> Result<(ObjectName, Option<TableAlias>), SqlError> {
        match self.table_with_joins(table)? {
            TableRef::Table { name, alias } => Ok((name, alias)),
            TableRef::Query { .. } | TableRef::Function(_) | TableRef::Join(_) => {
                Err(unsupported("changing anything but a table", position))
            }
        }
    }

    fn returning(self, items: Option<Vec<sp::SelectItem>>) -> Result<Vec<SelectItem>, SqlError> {
        self.select_items(items.unwrap_or_default())
    }
}
