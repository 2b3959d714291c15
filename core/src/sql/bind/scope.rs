//! What names mean at one level of a query.

use crate::row::types::DataType;

/// A column that expressions may name.
#[derive(Clone, Debug)]
pub(super) struct ScopeColumn {
    /// The table's alias or name; `None` for columns that only a merged join gives.
    pub(super) table: Option<String>,
    /// The table's schema, if it is reached by its own name.
    pub(super) schema: Option<String>,
    pub(super) name: String,
    pub(super) ty: DataType,
    pub(super) table_oid: u32,
    pub(super) attnum: i16,
    /// Where it is in the row.
    pub(super) index: usize,
    /// Part of its table's primary key.
    pub(super) primary: bool,
    /// Merged away by USING or NATURAL: only `table.column` finds it.
    pub(super) merged: bool,
}

/// The columns of one level, in the order in which `*` shows them.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    pub(super) columns: Vec<ScopeColumn>,
}

/// What a look-up found.
#[derive(Debug)]
pub(super) enum Lookup<'a> {
    Column(&'a ScopeColumn),
    Ambiguous,
    /// The table is there, the column is not.
    NoColumn,
    /// Nothing of that name.
    Nothing,
}

impl Scope {
    /// A column by its name alone.
    pub(super) fn by_name(&self, name: &str) -> Lookup<'_> {
        let mut found = self.columns.iter().filter(|c| !c.merged && c.name == name);
        match (found.next(), found.next()) {
            (Some(column), None) => Lookup::Column(column),
            (Some(_), Some(_)) => Lookup::Ambiguous,
            (None, _) => Lookup::Nothing,
        }
    }

    /// A column by its table's name and its own.
    pub(super) fn by_table(&self, schema: Option<&str>, table: &str, name: &str) -> Lookup<'_> {
        if !self.has_table(schema, table) {
            return Lookup::Nothing;
        }
        let mut found = self.of_table(schema, table).filter(|c| c.name == name);
        match (found.next(), found.next()) {
            (Some(column), None) => Lookup::Column(column),
            (Some(_), Some(_)) => Lookup::Ambiguous,
            (None, _) => Lookup::NoColumn,
        }
    }

    /// The columns of a table.
    pub(super) fn of_table<'a, 'b>(
        &'a self,
        schema: Option<&'b str>,
        table: &'b str,
    ) -> impl Iterator<Item = &'a ScopeColumn> + use<'a, 'b> {
        self.columns.iter().filter(move |c| {
            c.table.as_deref() == Some(table) && (schema.is_none() || c.schema.as_deref() == schema)
        })
    }

    /// Whether there is a table of that name.
    pub(super) fn has_table(&self, schema: Option<&str>, table: &str) -> bool {
        self.of_table(schema, table).next().is_some()
    }
}
