//! What the binder asks of the catalog.

use std::rc::Rc;

use crate::row::types::DataType;
use crate::sql::catalog::descriptor::TableDescriptor;

/// A column of a view of the system.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ViewColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: DataType,
}

/// What a name in FROM may mean.
#[derive(Clone, Debug)]
pub enum Relation {
    /// A stored table.
    Table(Rc<TableDescriptor>),
    /// A view of the system.
    View {
        /// Its schema.
        schema: String,
        /// Its name.
        name: String,
        /// Its number, 0 if it has none.
        oid: u32,
        /// Its columns.
        columns: Vec<ViewColumn>,
    },
    /// Something that has a name but no rows: an index or a sequence, say `"t_pkey" is an index`.
    Other(&'static str),
}

/// The catalog as the binder sees it: one database, one version, one search path.
pub trait Names {
    /// The relation of that name: in `schema`, or in the first schema of the search path that has it.
    fn relation(&self, schema: Option<&str>, name: &str) -> Option<Relation>;
    /// Whether the schema exists.
    fn has_schema(&self, schema: &str) -> bool;
    /// The database's name.
    fn database(&self) -> &str;
}
