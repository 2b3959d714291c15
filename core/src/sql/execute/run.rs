//! A plan at work: parameters, subqueries' parameters, common table expressions, and what
//! expressions may ask.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use super::context::ExecContext;
use super::wire::moment_micros;
use crate::base::error::SqlError;
use crate::row::datum::Datum;
use crate::row::eval::{EvalContext, Expr, eval, eval_filter};
use crate::sql::plan::{PhysicalPlan, Plan, PlanRoot};

/// A row between operators.
pub(crate) type Row = Vec<Datum>;
/// A pending answer of an operator.
pub(crate) type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, SqlError>> + 'a>>;

/// Rows that a batch holds, as far as the operator chooses.
pub(crate) const BATCH_ROWS: usize = 1_024;

/// The execution of one plan.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) context: Rc<ExecContext>,
    pub(crate) plan: Rc<Plan>,
    /// The client's parameters, then those that subqueries read from rows around them.
    params: RefCell<Vec<Datum>>,
    /// Rows of common table expressions, once they are known.
    pub(crate) ctes: RefCell<Vec<Option<Rc<Vec<Row>>>>>,
}

impl Run {
    pub(crate) fn new(plan: &Rc<Plan>, context: &Rc<ExecContext>) -> Self {
        let mut params = context.parameters.to_vec();
        params.resize(params.len().max(plan.parameter_slots), Datum::Null);
        let ctes = RefCell::new(vec![None; plan.ctes.len()]);
        let (context, plan) = (Rc::clone(context), Rc::clone(plan));
        Self { context, plan, params: RefCell::new(params), ctes }
    }

    /// For expressions outside of any plan.
    pub(crate) fn bare(context: &Rc<ExecContext>) -> Self {
        let rows = vec![Vec::new()];
        let root = PlanRoot::Query(PhysicalPlan::Values { rows, width: 0 });
        let (fields, parameters, ctes) = (Vec::new(), Vec::new(), Vec::new());
        let plan = Plan { root, fields, parameters, parameter_slots: 0, ctes };
        Self::new(&Rc::new(plan), context)
    }

    /// Sets a parameter that a subquery reads.
    pub(crate) fn set_param(&self, slot: usize, value: Datum) {
        if let Some(held) = self.params.borrow_mut().get_mut(slot) {
            *held = value;
        }
    }

    /// Runs something that evaluates.
    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&EvalContext<'_>) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        let params = self.params.borrow();
        let context = &self.context;
        let now = moment_micros(context.open.began);
        let clock = moment_micros(context.instance.clock.now().wall);
        work(&EvalContext {
            params: &params,
            transaction_time: now,
            statement_time: moment_micros(context.began),
            clock_time: clock,
            zone: &context.facts.zone,
            extra_float_digits: 1,
            rng: Some(&context.instance.rng),
            session: Some(&context.facts.info),
            catalog: Some(&**context),
            subqueries: None,
        })
    }

    /// As [`Run::with`], again after the catalog fetched what it lacked (a sequence's next block).
    pub(crate) async fn with_catalog<T>(
        &self,
        work: impl Fn(&EvalContext<'_>) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        loop {
            self.context.begin_pass();
            let result = self.with(&work);
            if result.is_err()
                && let Some(need) = self.context.take_need()
            {
                self.context.fetch(need).await?;
                continue;
            }
            self.context.end_evaluation();
            return result;
        }
    }

    /// The values of some expressions over a row.
    pub(crate) async fn values(&self, exprs: &[Expr], row: &[Datum]) -> Result<Row, SqlError> {
        self.with_catalog(|context| exprs.iter().map(|expr| eval(expr, row, context)).collect())
            .await
    }

    /// The value of an expression that reads no column.
    pub(crate) async fn value(&self, expr: &Expr) -> Result<Datum, SqlError> {
        self.with_catalog(|context| eval(expr, &[], context)).await
    }

    /// Whether a row passes. What the filter lacks is fetched, as in [`Run::with_catalog`].
    pub(crate) async fn passes(
        &self,
        filter: Option<&Expr>,
        row: &[Datum],
    ) -> Result<bool, SqlError> {
        let Some(filter) = filter else { return Ok(true) };
        let passes = |context: &EvalContext<'_>| eval_filter(filter, row, context);
        let result = self.with(passes);
        if result.is_err()
            && let Some(need) = self.context.take_need()
        {
            let fetched = async {
                self.context.fetch(need).await?;
                self.with_catalog(passes).await
            };
            // Rare: not a part of the future of every scan.
            return Box::pin(fetched).await;
        }
        result
    }

    /// Keeps the rows that pass a filter without effects.
    pub(crate) fn retain(&self, filter: &Expr, rows: &mut Vec<Row>) -> Result<(), SqlError> {
        self.with(|context| {
            let mut failed = None;
            rows.retain(|row| match eval_filter(filter, row, context) {
                Ok(passes) => passes,
                Err(error) => {
                    failed.get_or_insert(error);
                    false
                }
            });
            failed.map_or(Ok(()), Err)
        })
    }
}

/// Bytes that a row takes, roughly.
pub(crate) fn row_bytes(row: &[Datum]) -> usize {
    24 + row.iter().map(Datum::size_bytes).sum::<usize>()
}
