//! TRUNCATE: a table gets a new, empty key space.

use super::{alter, names};
use crate::base::error::SqlError;
use crate::base::id::TableId;
use crate::sql::catalog::snapshot::Relation;
use crate::sql::execute::context::ExecContext;
use crate::sql::parse::ast::ObjectName;

pub(super) async fn truncate(
    tables: &[ObjectName],
    restart_identity: bool,
    context: &ExecContext,
) -> Result<(), SqlError> {
    for name in tables {
        let catalog = context.open.catalog().await?;
        let table = names::table(context, &catalog, name)?;
        alter::lock(context, &table).await?;
        let mut new = (*table).clone();
        new.id = TableId(context.new_number().await?);
        new.version += 1;
        context.open.made_table(new.id);
        alter::replace(context, &new).await?;
        if !restart_identity {
            continue;
        }
        for relation in catalog.relations(table.database) {
            if let Relation::Sequence(sequence) = relation
                && sequence.owned_by.is_some_and(|(owner, _)| owner == table.oid)
            {
                let (instance, start) = (&context.instance, sequence.start);
                let source = &*instance.source;
                instance.numbers.set_sequence(source, sequence, start, false).await?;
            }
        }
    }
    Ok(())
}
