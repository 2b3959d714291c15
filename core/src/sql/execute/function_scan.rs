//! Set-returning functions in FROM.

use super::operators::Operator;
use super::run::{BATCH_ROWS, Pending, Row, Run};
use crate::base::error::{SqlError, sqlstate};
use crate::row::datum::Datum;
use crate::row::eval::Expr;
use crate::row::numeric::Numeric;
use crate::sql::plan::FunctionKind;

/// Rows of a function.
pub(super) struct FunctionRows {
    kind: FunctionKind,
    args: Vec<Expr>,
    ordinality: bool,
    state: State,
    count: i64,
}

enum State {
    Fresh,
    /// Next, last, step.
    Integers(Option<i64>, i64, i64),
    Numbers(Numeric, Numeric, Numeric),
    Listed(std::vec::IntoIter<Datum>),
    Done,
}

impl FunctionRows {
    pub(super) fn new(kind: FunctionKind, args: Vec<Expr>, ordinality: bool) -> Self {
        Self { kind, args, ordinality, state: State::Fresh, count: 0 }
    }

    async fn begin(&self, run: &Run) -> Result<State, SqlError> {
        let values = run.values(&self.args, &[]).await?;
        if self.kind == FunctionKind::Scalar {
            return Ok(State::Listed(values.into_iter().take(1).collect::<Vec<_>>().into_iter()));
        }
        if values.iter().any(Datum::is_null) {
            return Ok(State::Done);
        }
        match (self.kind, values.as_slice()) {
            (FunctionKind::SeriesInt4 | FunctionKind::SeriesInt8, [start, stop, step @ ..]) => {
                let step = step.first().map_or(Some(1), Datum::as_i64);
                match (start.as_i64(), stop.as_i64(), step) {
                    (Some(_), Some(_), Some(0)) => Err(zero_step()),
                    (Some(start), Some(stop), Some(step)) => {
                        Ok(State::Integers(Some(start), stop, step))
                    }
                    _ => Err(mismatch()),
                }
            }
            (FunctionKind::SeriesNumeric, [start, stop, step @ ..]) => {
                let one = Datum::Numeric(Numeric::from(1i64));
                match (start, stop, step.first().unwrap_or(&one)) {
                    (Datum::Numeric(start), Datum::Numeric(stop), Datum::Numeric(step)) => {
                        if Datum::Numeric(step.clone()) == Datum::Numeric(Numeric::zero()) {
                            return Err(zero_step());
                        }
                        Ok(State::Numbers(start.clone(), stop.clone(), step.clone()))
                    }
                    _ => Err(mismatch()),
                }
            }
            (FunctionKind::Unnest, [Datum::Array(array)]) => {
                Ok(State::Listed(array.items.clone().into_iter()))
            }
            (FunctionKind::SeriesTimestamp | FunctionKind::SeriesTimestamptz, _) => {
                Err(SqlError::unsupported("generate_series over timestamps"))
            }
            _ => Err(mismatch()),
        }
    }

    fn one(&mut self) -> Option<Datum> {
        match &mut self.state {
            State::Fresh | State::Done => None,
            State::Listed(items) => items.next(),
            State::Integers(next, stop, step) => {
                let value = (*next)?;
                let is_past = if 0 < *step { *stop < value } else { value < *stop };
                if is_past {
                    return None;
                }
                *next = value.checked_add(*step);
                Some(match self.kind {
                    FunctionKind::SeriesInt4 => {
                        Datum::Int4(i32::try_from(value).unwrap_or(i32::MAX))
                    }
                    _ => Datum::Int8(value), // the only other series of integers
                })
            }
            State::Numbers(next, stop, step) => {
                let zero = Datum::Numeric(Numeric::zero());
                let up = Datum::Numeric(step.clone()).compare(&zero).is_gt();
                let order = Datum::Numeric(next.clone()).compare(&Datum::Numeric(stop.clone()));
                if (up && order.is_gt()) || (!up && order.is_lt()) {
                    return None;
                }
                let value = next.clone();
                *next = next.add(step).ok()?;
                Some(Datum::Numeric(value))
            }
        }
    }
}

impl Operator for FunctionRows {
    fn next<'a>(&'a mut self, run: &'a Run) -> Pending<'a, Option<Vec<Row>>> {
        Box::pin(async move {
            if matches!(self.state, State::Fresh) {
                self.state = self.begin(run).await?;
            }
            let mut rows = Vec::new();
            while rows.len() < BATCH_ROWS
                && let Some(value) = self.one()
            {
                self.count += 1;
                let mut row = vec![value];
                if self.ordinality {
                    row.push(Datum::Int8(self.count));
                }
                rows.push(row);
            }
            run.context.tick(rows.len()).await;
            Ok((!rows.is_empty()).then_some(rows))
        })
    }
}

fn zero_step() -> SqlError {
    SqlError::new(sqlstate::INVALID_PARAMETER_VALUE, "step size cannot equal zero")
}

fn mismatch() -> SqlError {
    SqlError::new(sqlstate::INTERNAL_ERROR, "a series over values of another type")
}
