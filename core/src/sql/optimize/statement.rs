//! The door of the room: a bound statement becomes one that runs.

use super::access;
use super::conjuncts;
use super::lower::{Lowering, fold};
use super::renumber::Renumber;
use crate::base::error::SqlError;
use crate::row::types::DataType;
use crate::sql::bind::{self, BoundRoot, BoundStatement, Names};
use crate::sql::parse::ast::{LockStrength, LockWait, Statement};
use crate::sql::plan::{DeletePlan, InsertPlan, ModifySource, Plan, PlanRoot, RowLock, UpdatePlan};

/// Binds and optimises a query, INSERT, UPDATE or DELETE.
///
/// # Errors
///
/// Those of [`bind::bind`].
pub fn plan(
    statement: &Statement,
    hints: &[Option<DataType>],
    names: &dyn Names,
) -> Result<Plan, SqlError> {
    Ok(optimize(bind::bind(statement, hints, names)?))
}

/// Makes a bound statement runnable.
pub fn optimize(bound: BoundStatement) -> Plan {
    let BoundStatement { root, fields, parameters, slot_types, ctes } = bound;
    let lowering = Lowering { parameters: &parameters, slots: &slot_types };
    let ctes = ctes.into_iter().map(|cte| lowering.whole(cte)).collect();
    let root = match root {
        BoundRoot::Query(plan) => PlanRoot::Query(lowering.whole(plan)),
        BoundRoot::Insert { table, source, returning } => {
            let source = lowering.whole(source);
            PlanRoot::Insert(InsertPlan { table, source, returning })
        }
        BoundRoot::Update { source, assignments, returning } => {
            let source = modify(lowering, source);
            let assignments =
                assignments.into_iter().map(|(at, value)| (at, fold(value))).collect();
            PlanRoot::Update(UpdatePlan { source, assignments, returning })
        }
        BoundRoot::Delete { source, returning } => {
            PlanRoot::Delete(DeletePlan { source: modify(lowering, source), returning })
        }
    };
    let parameter_slots = parameters.len() + slot_types.len();
    let mut plan = Plan { root, fields, parameters, parameter_slots, ctes };
    if !slot_types.is_empty() {
        renumber(&mut plan);
    }
    plan
}

/// The rows that a statement changes: its conditions choose the way into the table.
fn modify(lowering: Lowering<'_>, source: bind::BoundModify) -> ModifySource {
    let bind::BoundModify { table, subqueries, filter } = source;
    let width = table.columns.len();
    let mut all = Vec::new();
    if let Some(filter) = filter {
        conjuncts::split(fold(filter), &mut all);
    }
    let (below, above): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|conjunct| conjuncts::reads_only(conjunct, 0..width));
    let lock = Some(RowLock { strength: LockStrength::Update, wait: LockWait::Wait });
    // The whole row is written again, and every index entry derived from it.
    let needed = vec![true; width];
    let scan = access::scan(table, below, needed, lock, lowering);
    let subqueries = subqueries.into_iter().map(|subquery| lowering.subquery(subquery)).collect();
    ModifySource { scan, subqueries, filter: conjuncts::join(above) }
}

fn renumber(plan: &mut Plan) {
    let renumber = Renumber { client_count: plan.parameters.len() };
    plan.ctes.iter_mut().for_each(|cte| renumber.plan(cte));
    let modify = |source: &mut ModifySource| {
        renumber.scan(&mut source.scan);
        source.subqueries.iter_mut().for_each(|subquery| renumber.subquery(subquery));
        source.filter.iter_mut().for_each(|filter| renumber.expr(filter));
    };
    match &mut plan.root {
        PlanRoot::Query(query) => renumber.plan(query),
        PlanRoot::Insert(insert) => renumber.plan(&mut insert.source),
        PlanRoot::Update(update) => {
            modify(&mut update.source);
            update.assignments.iter_mut().for_each(|(_, value)| renumber.expr(value));
        }
        PlanRoot::Delete(delete) => modify(&mut delete.source),
    }
}
