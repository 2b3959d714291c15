//! Aggregate functions: what they take, how they add up, and how partial results merge.
//!
//! DISTINCT, FILTER and ORDER BY are the executor's business. Partial states travel between nodes.
//!
//! # Source
//!
//! PostgreSQL 15: `pg_aggregate`, `numeric.c`, `float.c` (Youngs and Cramer's sums).

use serde::{Deserialize, Serialize};

use super::datum::Datum;
use super::eval::CompareOp;
use super::interval::Interval;
use super::numeric::Numeric;
use super::types::DataType;
use crate::base::error::{SqlError, sqlstate};
use crate::base::limit;

/// Which aggregate, once the types of its arguments are known.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash, Serialize, Deserialize)]
pub enum AggregateKind {
    /// `count(*)`.
    CountStar,
    /// `count(x)`.
    Count,
    /// `sum` of `smallint` or `integer`, a `bigint`.
    SumInt,
    /// `sum` of `bigint`, a `numeric`.
    SumBigint,
    /// `sum` of `numeric`.
    SumNumeric,
    /// `sum` of `real`.
    SumFloat4,
    /// `sum` of `double precision`.
    SumFloat8,
    /// `sum` of `interval`.
    SumInterval,
    /// `avg` of integers and numerics, a `numeric`.
    AvgNumeric,
    /// `avg` of floats.
    AvgFloat,
    /// `min`.
    Min,
    /// `max`.
    Max,
    /// `bool_and`, `every`.
    BoolAnd,
    /// `bool_or`.
    BoolOr,
    /// `bit_and`.
    BitAnd,
    /// `bit_or`.
    BitOr,
    /// `string_agg(value, separator)`.
    StringAgg,
    /// `array_agg`.
    ArrayAgg,
    /// Variances and standard deviations of integers and numerics.
    SpreadNumeric {
        /// Of the population, not of a sample.
        population: bool,
        /// The standard deviation.
        root: bool,
    },
    /// Variances and standard deviations of floats.
    SpreadFloat {
        /// Of the population, not of a sample.
        population: bool,
        /// The standard deviation.
        root: bool,
    },
}

/// An aggregate that fits a call: its kind, the types its arguments are cast to, its result.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AggregateCall {
    /// Which.
    pub kind: AggregateKind,
    /// What the arguments are cast to.
    pub args: Vec<DataType>,
    /// What it returns.
    pub returns: DataType,
}

const NAMES: &[&str] = &[
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bool_and",
    "bool_or",
    "count",
    "every",
    "max",
    "min",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var_pop",
    "var_samp",
    "variance",
];

/// Whether a function name is that of an aggregate.
pub fn is_aggregate(name: &str) -> bool {
    NAMES.binary_search(&name).is_ok()
}

/// The aggregate for a name and the types of its arguments (none for `count(*)`); `None` if there
/// is no such aggregate for these types.
pub fn resolve(name: &str, args: &[DataType]) -> Option<AggregateCall> {
    use AggregateKind as Kind;
    let call = |kind, args: Vec<DataType>, returns| Some(AggregateCall { kind, args, returns });
    let first = match args {
        [] => {
            return if name == "count" {
                call(Kind::CountStar, Vec::new(), DataType::Int8)
            } else {
                None
            };
        }
        [first] => first.clone(),
        [value, separator] if name == "string_agg" => {
            if *value == DataType::Bytea {
                return None;
            }
            let text = |ty: &DataType| ty.is_string() || *ty == DataType::Unknown;
            let types = vec![DataType::Text, DataType::Text];
            return if text(value) && text(separator) {
                call(Kind::StringAgg, types, DataType::Text)
            } else {
                None
            };
        }
        _ => return None, // no aggregate takes more
    };
    let same = |kind, returns| call(kind, vec![first.clone()], returns);
    match name {
        "count" => same(Kind::Count, DataType::Int8),
        "array_agg" if !matches!(first, DataType::Array(_)) => {
            let element = plain(&first);
            call(Kind::ArrayAgg, vec![element.clone()], DataType::array_of(element))
        }
        "min" | "max" => {
            let kind = if name == "min" { Kind::Min } else { Kind::Max };
            let ordered = !matches!(
                first,
                DataType::Bool | DataType::Uuid | DataType::Json | DataType::Bytea
            );
            let ty = plain(&first);
            if ordered { call(kind, vec![ty.clone()], ty) } else { None }
        }
        "bool_and" | "every" | "bool_or" if matches!(first, DataType::Bool | DataType::Unknown) => {
            let kind = if name == "bool_or" { Kind::BoolOr } else { Kind::BoolAnd };
            call(kind, vec![DataType::Bool], DataType::Bool)
        }
        "bit_and" | "bit_or" if is_integer(&first) => {
            let kind = if name == "bit_or" { Kind::BitOr } else { Kind::BitAnd };
            same(kind, first.clone())
        }
        "sum" | "avg" => resolve_sum(name == "sum", &first),
        _ => resolve_spread(name, &first),
    }
}

fn is_integer(ty: &DataType) -> bool {
    matches!(ty, DataType::Int2 | DataType::Int4 | DataType::Int8)
}

/// The type of results that do not keep the modifier; strings become text.
fn plain(ty: &DataType) -> DataType {
    match ty {
        DataType::Varchar(_) | DataType::Unknown | DataType::Name => DataType::Text,
        _ => ty.without_modifier(),
    }
}

fn resolve_sum(sum: bool, first: &DataType) -> Option<AggregateCall> {
    use AggregateKind as Kind;
    let (kind, returns) = match (first, sum) {
        (DataType::Int2 | DataType::Int4, true) => (Kind::SumInt, DataType::Int8),
        (DataType::Int8, true) => (Kind::SumBigint, DataType::NUMERIC),
        (DataType::Numeric { .. }, true) => (Kind::SumNumeric, DataType::NUMERIC),
        (DataType::Float4, true) => (Kind::SumFloat4, DataType::Float4),
        (DataType::Float8, true) => (Kind::SumFloat8, DataType::Float8),
        (DataType::Interval, true) => (Kind::SumInterval, DataType::Interval),
        (DataType::Int2 | DataType::Int4 | DataType::Int8 | DataType::Numeric { .. }, false) => {
            (Kind::AvgNumeric, DataType::NUMERIC)
        }
        (DataType::Float4 | DataType::Float8, false) => (Kind::AvgFloat, DataType::Float8),
        _ => return None, // nothing to add
    };
    Some(AggregateCall { kind, args: vec![first.without_modifier()], returns })
}

fn resolve_spread(name: &str, first: &DataType) -> Option<AggregateCall> {
    let (population, root) = match name {
        "variance" | "var_samp" => (false, false),
        "var_pop" => (true, false),
        "stddev" | "stddev_samp" => (false, true),
        "stddev_pop" => (true, true),
        _ => return None, // no aggregate
    };
    let (kind, returns) = match first {
        DataType::Float4 | DataType::Float8 => {
            (AggregateKind::SpreadFloat { population, root }, DataType::Float8)
        }
        _ if is_integer(first) || matches!(first, DataType::Numeric { .. }) => {
            (AggregateKind::SpreadNumeric { population, root }, DataType::NUMERIC)
        }
        _ => return None, // no numbers
    };
    Some(AggregateCall { kind, args: vec![first.without_modifier()], returns })
}

/// What has been added up so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum State {
    Count(i64),
    /// Sums of integers are exact in 128 bits for any number of rows.
    Int {
        count: i64,
        sum: i128,
    },
    Numeric {
        count: i64,
        sum: Numeric,
        squares: Numeric,
    },
    Float {
        count: i64,
        sum: f64,
        spread: f64,
    },
    Float4(Option<f32>),
    /// The best, the conjunction, the bits, the interval: a datum that is null before the first.
    Datum(Datum),
    Text {
        text: Option<String>,
    },
    Items {
        items: Vec<Datum>,
        bytes: usize,
    },
}

/// One group's running aggregate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Accumulator {
    kind: AggregateKind,
    element: DataType,
    state: State,
}

impl Accumulator {
    /// An accumulator that has seen nothing.
    pub fn new(call: &AggregateCall) -> Self {
        use AggregateKind as Kind;
        let zero = Numeric::zero;
        let state = match call.kind {
            Kind::CountStar | Kind::Count => State::Count(0),
            Kind::SumInt | Kind::SumBigint => State::Int { count: 0, sum: 0 },
            Kind::AvgNumeric if call.args.first().is_some_and(is_integer) => {
                State::Int { count: 0, sum: 0 }
            }
            Kind::SumNumeric | Kind::AvgNumeric | Kind::SpreadNumeric { .. } => {
                State::Numeric { count: 0, sum: zero(), squares: zero() }
            }
            Kind::SumFloat8 | Kind::AvgFloat | Kind::SpreadFloat { .. } => {
                State::Float { count: 0, sum: 0.0, spread: 0.0 }
            }
            Kind::SumFloat4 => State::Float4(None),
            Kind::SumInterval
            | Kind::Min
            | Kind::Max
            | Kind::BoolAnd
            | Kind::BoolOr
            | Kind::BitAnd
            | Kind::BitOr => State::Datum(Datum::Null),
            Kind::StringAgg => State::Text { text: None },
            Kind::ArrayAgg => State::Items { items: Vec::new(), bytes: 0 },
        };
        let element = call.args.first().cloned().unwrap_or(DataType::Unknown);
        Self { kind: call.kind, element, state }
    }

    /// Adds one row's arguments.
    ///
    /// # Errors
    ///
    /// 22003 if a sum overflows, 54000 if a string or array grows too large.
    pub fn update(&mut self, args: &[Datum]) -> Result<(), SqlError> {
        let value = args.first().unwrap_or(&Datum::Null);
        let counts_null = matches!(self.kind, AggregateKind::CountStar | AggregateKind::ArrayAgg);
        if value.is_null() && !counts_null {
            return Ok(());
        }
        let kind = self.kind;
        match &mut self.state {
            State::Count(count) => *count += 1,
            State::Int { count, sum } => {
                *count += 1;
                *sum += i128::from(value.as_i64().unwrap_or(0));
            }
            State::Numeric { count, sum, squares } => {
                let number = match value {
                    Datum::Numeric(number) => number.clone(),
                    _ => Numeric::from(value.as_i64().unwrap_or(0)), // variances of integers
                };
                *count += 1;
                *sum = sum.add(&number)?;
                if matches!(kind, AggregateKind::SpreadNumeric { .. }) {
                    *squares = squares.add(&number.mul(&number)?)?;
                }
            }
            State::Float { count, sum, spread } => {
                let number = float(value);
                let (old_count, old_sum) = (*count as f64, *sum);
                *count += 1;
                *sum += number;
                check_sum(*sum, [old_sum, number])?;
                if !number.is_finite() {
                    *spread = f64::NAN;
                } else if 0.0 < old_count {
                    // Youngs and Cramer: the spread without a large difference of squares.
                    let step = number * *count as f64 - *sum;
                    *spread += step * step / (*count as f64 * old_count);
                }
            }
            State::Float4(sum) => {
                let number = float(value) as f32;
                let total = sum.unwrap_or(0.0) + number;
                check_sum(f64::from(total), [f64::from(sum.unwrap_or(0.0)), f64::from(number)])?;
                *sum = Some(total);
            }
            State::Datum(best) => combine(kind, best, value)?,
            State::Text { text } => {
                let part = value.as_str().unwrap_or("");
                match text {
                    None => *text = Some(part.to_owned()),
                    Some(text) => {
                        text.push_str(args.get(1).and_then(Datum::as_str).unwrap_or(""));
                        text.push_str(part);
                    }
                }
                check_bytes(text.as_ref().map_or(0, String::len))?;
            }
            State::Items { items, bytes } => {
                *bytes += value.size_bytes();
                check_bytes(*bytes)?;
                items.push(value.clone());
            }
        }
        Ok(())
    }

    /// Adds what another accumulator of the same aggregate has seen, after what this one has.
    ///
    /// # Errors
    ///
    /// As [`Accumulator::update`]; XX000 if the two do not match, and 0A000 for `string_agg`, whose
    /// separators a partial result no longer has.
    pub fn merge(&mut self, other: Self) -> Result<(), SqlError> {
        let kind = self.kind;
        match (&mut self.state, other.state) {
            (State::Count(left), State::Count(right)) => *left += right,
            (State::Int { count, sum }, State::Int { count: more, sum: other }) => {
                *count += more;
                *sum += other;
            }
            (
                State::Numeric { count, sum, squares },
                State::Numeric { count: more, sum: other, squares: other_squares },
            ) => {
                *count += more;
                *sum = sum.add(&other)?;
                *squares = squares.add(&other_squares)?;
            }
            (
                State::Float { count, sum, spread },
                State::Float { count: more, sum: other, spread: other_spread },
            ) => {
                if 0 < more && 0 < *count {
                    let (n1, n2) = (*count as f64, more as f64);
                    let gap = *sum / n1 - other / n2;
                    *spread += other_spread + n1 * n2 * gap * gap / (n1 + n2);
                } else if 0 < more {
                    *spread = other_spread;
                }
                *count += more;
                check_sum(*sum + other, [*sum, other])?;
                *sum += other;
            }
            (State::Float4(left), State::Float4(right)) => {
                if let Some(right) = right {
                    *left = Some(left.unwrap_or(0.0) + right);
                }
            }
            (State::Datum(best), State::Datum(value)) if !value.is_null() => {
                combine(kind, best, &value)?;
            }
            (State::Datum(_), State::Datum(_)) => {}
            (State::Items { items, bytes }, State::Items { items: more, bytes: added }) => {
                *bytes += added;
                check_bytes(*bytes)?;
                items.extend(more);
            }
            (State::Text { .. }, State::Text { .. }) => {
                return Err(SqlError::unsupported("merging partial results of string_agg"));
            }
            _ => {
                let message = "partial results of different aggregates";
                return Err(SqlError::new(sqlstate::INTERNAL_ERROR, message));
            }
        }
        Ok(())
    }

    /// The result.
    ///
    /// # Errors
    ///
    /// 22003 if it is out of range.
    pub fn finish(&self) -> Result<Datum, SqlError> {
        use AggregateKind as Kind;
        Ok(match &self.state {
            State::Count(count) => Datum::Int8(*count),
            State::Int { count: 0, .. }
            | State::Numeric { count: 0, .. }
            | State::Float { count: 0, .. } => Datum::Null,
            State::Int { count, sum } => match self.kind {
                Kind::SumInt => Datum::Int8(i64::try_from(*sum).map_err(|_| {
                    SqlError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, "bigint out of range")
                })?),
                Kind::SumBigint => Datum::Numeric(Numeric::from(*sum)),
                _ => Datum::Numeric(Numeric::from(*sum).div(&Numeric::from(*count))?),
            },
            State::Numeric { count, sum, squares } => match self.kind {
                Kind::SumNumeric => Datum::Numeric(sum.clone()),
                Kind::SpreadNumeric { population, root } => {
                    spread_numeric(*count, sum, squares, population, root)?
                }
                _ => Datum::Numeric(sum.div(&Numeric::from(*count))?),
            },
            State::Float { count, sum, spread } => match self.kind {
                Kind::AvgFloat => Datum::Float8(sum / *count as f64),
                Kind::SpreadFloat { population, root } => {
                    let divisor = if population { *count } else { *count - 1 };
                    if divisor == 0 {
                        return Ok(Datum::Null);
                    }
                    let variance = spread / divisor as f64;
                    Datum::Float8(if root { variance.sqrt() } else { variance })
                }
                _ => Datum::Float8(*sum),
            },
            State::Float4(sum) => sum.map_or(Datum::Null, Datum::Float4),
            State::Datum(datum) => datum.clone(),
            State::Text { text } => text.as_deref().map_or(Datum::Null, Datum::text),
            State::Items { items, .. } if items.is_empty() => Datum::Null,
            State::Items { items, .. } => Datum::array(self.element.clone(), items.clone()),
        })
    }
}

fn float(value: &Datum) -> f64 {
    match value {
        Datum::Float8(value) => *value,
        Datum::Float4(value) => f64::from(*value),
        _ => f64::NAN, // binding has made sure of the type
    }
}

fn check_sum(sum: f64, parts: [f64; 2]) -> Result<(), SqlError> {
    if sum.is_infinite() && parts.iter().all(|part| part.is_finite()) {
        let message = "value out of range: overflow";
        return Err(SqlError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, message));
    }
    Ok(())
}

fn check_bytes(bytes: usize) -> Result<(), SqlError> {
    if limit::ROW_BYTES_MAX < bytes {
        let message = "an aggregate's result is too large";
        return Err(SqlError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message));
    }
    Ok(())
}

/// Folds a value that is not null into the best so far.
fn combine(kind: AggregateKind, best: &mut Datum, value: &Datum) -> Result<(), SqlError> {
    use AggregateKind as Kind;
    if best.is_null() {
        *best = value.clone();
        return Ok(());
    }
    let better = |op: CompareOp| op.holds(value.compare(best));
    let bits = |best: &Datum, and: bool| match (best, value) {
        (Datum::Int2(l), Datum::Int2(r)) => Datum::Int2(if and { l & r } else { l | r }),
        (Datum::Int4(l), Datum::Int4(r)) => Datum::Int4(if and { l & r } else { l | r }),
        (Datum::Int8(l), Datum::Int8(r)) => Datum::Int8(if and { l & r } else { l | r }),
        _ => best.clone(), // binding has made sure of the type
    };
    match kind {
        Kind::Min if better(CompareOp::Lt) => *best = value.clone(),
        Kind::Max if better(CompareOp::Gt) => *best = value.clone(),
        Kind::BoolAnd if value.as_bool() == Some(false) => *best = Datum::Bool(false),
        Kind::BoolOr if value.as_bool() == Some(true) => *best = Datum::Bool(true),
        Kind::BitAnd => *best = bits(best, true),
        Kind::BitOr => *best = bits(best, false),
        Kind::SumInterval => {
            if let (Datum::Interval(left), Datum::Interval(right)) = (&*best, value) {
                *best = Datum::Interval(add_intervals(left, right)?);
            }
        }
        _ => {} // nothing better
    }
    Ok(())
}

fn add_intervals(left: &Interval, right: &Interval) -> Result<Interval, SqlError> {
    let fail = || SqlError::new(sqlstate::DATETIME_FIELD_OVERFLOW, "interval out of range");
    Ok(Interval {
        months: left.months.checked_add(right.months).ok_or_else(fail)?,
        days: left.days.checked_add(right.days).ok_or_else(fail)?,
        micros: left.micros.checked_add(right.micros).ok_or_else(fail)?,
    })
}

fn spread_numeric(
    count: i64,
    sum: &Numeric,
    squares: &Numeric,
    population: bool,
    root: bool,
) -> Result<Datum, SqlError> {
    if !sum.is_finite() || !squares.is_finite() {
        return Ok(Datum::Numeric(Numeric::nan()));
    }
    let n = Numeric::from(count);
    let divisor = if population { count } else { count - 1 };
    if divisor == 0 {
        return Ok(Datum::Null);
    }
    let numerator = n.mul(squares)?.sub(&sum.mul(sum)?)?;
    if numerator.is_negative() || numerator.is_zero() {
        return Ok(Datum::Numeric(Numeric::zero()));
    }
    let variance = numerator.div(&n.mul(&Numeric::from(divisor))?)?;
    let result = if root { variance.sqrt_to(i32::from(variance.dscale()))? } else { variance };
    Ok(Datum::Numeric(result))
}

#[cfg(test)]
mod tests;
