//! INSERT, UPDATE and DELETE.
//!
//! UPDATE and DELETE first find and lock all their rows, then write: a statement never meets its own
//! writes, and one that must be run again has written nothing.

use std::rc::Rc;

use super::operators::{build, collect};
use super::planned::Planned;
use super::point;
use super::run::{Row, Run, row_bytes};
use super::subquery::Subqueries;
use super::table::TableAccess;
use super::write::{OldRow, TableWriter};
use crate::base::error::SqlError;
use crate::base::id::TableId;
use crate::row::datum::Datum;
use crate::row::eval::Expr;
use crate::sql::plan::{DeletePlan, InsertPlan, ModifySource, PhysicalPlan, UpdatePlan};

/// What a statement did.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub(super) count: u64,
    /// Of RETURNING.
    pub(super) rows: Vec<Row>,
}

impl Changed {
    async fn add(
        &mut self,
        returning: Option<&[Expr]>,
        row: &[Datum],
        run: &Run,
    ) -> Result<(), SqlError> {
        self.count += 1;
        if let Some(exprs) = returning {
            let values = run.values(exprs, row).await?;
            run.context.charge(row_bytes(&values))?;
            self.rows.push(values);
        }
        Ok(())
    }
}

fn access_of(
    planned: &Planned,
    table: &Rc<crate::sql::catalog::descriptor::TableDescriptor>,
) -> Rc<TableAccess> {
    match &planned.access {
        Some(access) => Rc::clone(access),
        None => Rc::new(TableAccess::new(Rc::clone(table))),
    }
}

pub(super) async fn insert(
    plan: &InsertPlan,
    planned: &Planned,
    run: &Run,
) -> Result<Changed, SqlError> {
    run.context.open.check_writable("INSERT")?;
    let access = access_of(planned, &plan.table);
    let mut writer = TableWriter::new(&run.context, access)?;
    let mut changed = Changed::default();
    let returning = plan.returning.as_deref();
    if let PhysicalPlan::Values { rows, .. } = &plan.source {
        for exprs in rows {
            let row = run.values(exprs, &[]).await?;
            writer.insert(&row).await?;
            changed.add(returning, &row, run).await?;
        }
        writer.finish().await?;
        return Ok(changed);
    }
    let mut source = build(&plan.source);
    if reads(&plan.source, plan.table.id) || !run.plan.ctes.is_empty() {
        // Rows that it writes must not become rows that it reads.
        let rows = collect(&mut source, run).await?;
        for row in &rows {
            writer.insert(row).await?;
            changed.add(returning, row, run).await?;
        }
    } else {
        while let Some(rows) = source.next(run).await? {
            for row in &rows {
                writer.insert(row).await?;
                changed.add(returning, row, run).await?;
            }
        }
    }
    writer.finish().await?;
    Ok(changed)
}

/// Whether a plan reads a table anywhere.
fn reads(plan: &PhysicalPlan, table: TableId) -> bool {
    match plan {
        PhysicalPlan::Values { .. }
        | PhysicalPlan::ViewScan { .. }
        | PhysicalPlan::FunctionScan { .. } => false,
        PhysicalPlan::CteScan { .. } => true, // its plan is elsewhere: better safe
        PhysicalPlan::Scan(scan) => scan.table.id == table,
        PhysicalPlan::LookupJoin { left, right, .. } => {
            right.table.id == table || reads(left, table)
        }
        PhysicalPlan::Filter { input, .. }
        | PhysicalPlan::Project { input, .. }
        | PhysicalPlan::Aggregate { input, .. }
        | PhysicalPlan::Sort { input, .. }
        | PhysicalPlan::TopK { input, .. }
        | PhysicalPlan::Limit { input, .. }
        | PhysicalPlan::Distinct { input, .. } => reads(input, table),
        PhysicalPlan::Apply { input, subqueries } => {
            reads(input, table) || subqueries.iter().any(|query| reads(&query.plan, table))
        }
        PhysicalPlan::NestedLoop { left, right, .. }
        | PhysicalPlan::HashJoin { left, right, .. }
        | PhysicalPlan::SetOperation { left, right, .. } => {
            reads(left, table) || reads(right, table)
        }
        PhysicalPlan::Append { inputs } => inputs.iter().any(|input| reads(input, table)),
    }
}

/// Locked rows with the values of the statement's subqueries behind them.
async fn found(
    source: &ModifySource,
    access: &Rc<TableAccess>,
    run: &Run,
) -> Result<Vec<(OldRow, Row)>, SqlError> {
    let rows = point::locked(&source.scan, access, run).await?;
    let mut subqueries = Subqueries::new(&source.subqueries);
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        let mut wide = row.values.clone();
        subqueries.append(&mut wide, run).await?;
        if run.passes(source.filter.as_ref(), &wide).await? {
            out.push((row, wide));
        }
    }
    Ok(out)
}

pub(super) async fn update(
    plan: &UpdatePlan,
    planned: &Planned,
    run: &Run,
) -> Result<Changed, SqlError> {
    run.context.open.check_writable("UPDATE")?;
    let access = access_of(planned, &plan.source.scan.table);
    let rows = found(&plan.source, &access, run).await?;
    let mut changed = Changed::default();
    if rows.is_empty() {
        return Ok(changed);
    }
    let mut writer = TableWriter::new(&run.context, access)?;
    for (old, wide) in rows {
        let mut new = old.values.clone();
        for (ordinal, expr) in &plan.assignments {
            let value = run.values(std::slice::from_ref(expr), &wide).await?;
            new[*ordinal] = value.into_iter().next().unwrap_or(Datum::Null);
        }
        writer.update(&old, &new).await?;
        changed.add(plan.returning.as_deref(), &new, run).await?;
    }
    writer.finish().await?;
    Ok(changed)
}

pub(super) async fn delete(
    plan: &DeletePlan,
    planned: &Planned,
    run: &Run,
) -> Result<Changed, SqlError> {
    run.context.open.check_writable("DELETE")?;
    let access = access_of(planned, &plan.source.scan.table);
    let rows = found(&plan.source, &access, run).await?;
    let mut changed = Changed::default();
    if rows.is_empty() {
        return Ok(changed);
    }
    let mut writer = TableWriter::new(&run.context, access)?;
    for (old, _) in rows {
        writer.delete(&old).await?;
        changed.add(plan.returning.as_deref(), &old.values, run).await?;
    }
    writer.finish().await?;
    Ok(changed)
}
