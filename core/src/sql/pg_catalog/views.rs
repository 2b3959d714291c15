//! The views: their names, numbers and columns.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::row::types::DataType;

/// A view.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) schema: &'static str,
    pub(crate) name: &'static str,
    pub(crate) oid: u32,
    pub(crate) columns: Vec<(&'static str, DataType)>,
}

static VIEWS: LazyLock<BTreeMap<(&'static str, &'static str), View>> = LazyLock::new(|| {
    let lines = include_str!("views.txt").lines();
    lines.filter_map(parse).map(|view| ((view.schema, view.name), view)).collect()
});

fn parse(line: &'static str) -> Option<View> {
    let mut parts = line.split('|');
    let (name, oid, schema) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
    let columns = parts.next()?.split(' ').filter_map(|column| {
        let (name, ty) = column.split_once(':')?;
        Some((name, data_type(ty)?))
    });
    Some(View { schema, name, oid, columns: columns.collect() })
}

fn data_type(name: &str) -> Option<DataType> {
    match name.strip_prefix('_') {
        Some(element) => data_type(element).map(DataType::array_of),
        None if name == "char" => Some(DataType::InternalChar),
        None => DataType::from_sql_name(name, &[]).ok(),
    }
}

/// A view by name.
pub(crate) fn view(schema: &str, name: &str) -> Option<&'static View> {
    VIEWS.values().find(|view| view.schema == schema && view.name == name)
}

/// A view by number.
pub(crate) fn by_oid(oid: u32) -> Option<&'static View> {
    VIEWS.values().find(|view| view.oid == oid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_view_with_all_its_columns() {
        let lines: Vec<_> = include_str!("views.txt").lines().collect();
        assert_eq!(VIEWS.len(), lines.len());
        for line in lines {
            let view = parse(line).unwrap();
            let columns = line.rsplit('|').next().unwrap().split(' ').count();
            assert_eq!(view.columns.len(), columns, "{}", view.name);
        }
        assert!(view("pg_catalog", "pg_class").is_some());
    }
}
