//! A row of a view, filled by column names.

use super::views::View;
use crate::row::datum::Datum;
use crate::row::types::DataType;
use crate::sql::execute::run::Row;

/// A row in the making. Columns that nobody sets are false, zero or NULL by their type.
pub(super) struct Line {
    view: &'static View,
    row: Row,
}

impl Line {
    pub(super) fn new(view: &'static View) -> Self {
        let row = view.columns.iter().map(|(_, ty)| nothing(ty)).collect();
        Self { view, row }
    }

    /// Sets a column; a name that the view does not have is a mistake of ours.
    pub(super) fn set(mut self, column: &str, value: Datum) -> Self {
        let at = self.view.columns.iter().position(|(name, _)| *name == column);
        assert!(at.is_some(), "view {} has no column {column}", self.view.name);
        if let Some(at) = at {
            self.row[at] = value;
        }
        self
    }

    pub(super) fn text(self, column: &str, value: &str) -> Self {
        self.set(column, Datum::text(value))
    }

    pub(super) fn oid(self, column: &str, value: u32) -> Self {
        self.set(column, Datum::Oid(value))
    }

    pub(super) fn bool(self, column: &str, value: bool) -> Self {
        self.set(column, Datum::Bool(value))
    }

    pub(super) fn int4(self, column: &str, value: i32) -> Self {
        self.set(column, Datum::Int4(value))
    }

    pub(super) fn int2(self, column: &str, value: usize) -> Self {
        self.set(column, Datum::Int2(i16::try_from(value).unwrap_or(i16::MAX)))
    }

    pub(super) fn int8(self, column: &str, value: i64) -> Self {
        self.set(column, Datum::Int8(value))
    }

    pub(super) fn done(self) -> Row {
        self.row
    }
}

fn nothing(ty: &DataType) -> Datum {
    match ty {
        DataType::Bool => Datum::Bool(false),
        DataType::Int2 => Datum::Int2(0),
        DataType::Int4 => Datum::Int4(0),
        DataType::Int8 => Datum::Int8(0),
        DataType::Float4 => Datum::Float4(0.0),
        DataType::Oid | DataType::Regproc | DataType::Xid => Datum::Oid(0),
        DataType::InternalChar => Datum::text(""),
        _ => Datum::Null, // names, texts and arrays
    }
}
