//! Functions and operators over dates, times and intervals.

use super::{Args, Outcome, beyond};
use crate::base::error::{SqlError, SqlState, sqlstate};
use crate::row::datetime::{
    Zone, civil_from_days, date_in_range, date_part, date_trunc, date_trunc_interval,
    days_from_civil, days_in_month, interval_part, timestamp_in_range,
};
use crate::row::datum::{DAY_MICROS, Datum, date_to_timestamp};
use crate::row::eval::EvalContext;
use crate::row::interval::Interval;
use crate::row::numeric::Numeric;

fn overflow(what: &str) -> SqlError {
    SqlError::new(sqlstate::DATETIME_FIELD_OVERFLOW, format!("{what} out of range"))
}

fn is_infinite(micros: i64) -> bool {
    micros == i64::MIN || micros == i64::MAX
}

pub(super) fn transaction_time(_: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    Ok(Datum::Timestamptz(context.transaction_time))
}

pub(super) fn statement_time(_: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    Ok(Datum::Timestamptz(context.statement_time))
}

pub(super) fn clock_time(_: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    Ok(Datum::Timestamptz(context.clock_time))
}

fn date(days: Option<i64>) -> Outcome {
    days.and_then(date_in_range).map(Datum::Date).ok_or_else(|| overflow("date"))
}

fn days_plus(args: Args<'_>, date_at: usize, days: i64) -> Outcome {
    match args.date(date_at)? {
        infinite @ (i32::MIN | i32::MAX) => Ok(Datum::Date(infinite)),
        start => date(i64::from(start).checked_add(days)),
    }
}

pub(super) fn date_plus(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    days_plus(args, 0, args.i64(1)?)
}

pub(super) fn plus_date(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    days_plus(args, 1, args.i64(0)?)
}

pub(super) fn date_minus(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    days_plus(args, 0, -args.i64(1)?)
}

pub(super) fn date_difference(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (left, right) = (args.date(0)?, args.date(1)?);
    if [left, right].iter().any(|days| matches!(*days, i32::MIN | i32::MAX)) {
        let message = "cannot subtract infinite dates";
        return Err(SqlError::new(sqlstate::DATETIME_FIELD_OVERFLOW, message));
    }
    left.checked_sub(right).map(Datum::Int4).ok_or_else(|| beyond("integer out of range"))
}

/// `timestamp - timestamp`: days and time, no months.
pub(super) fn difference(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (left, right) = (args.micros(0)?, args.micros(1)?);
    if is_infinite(left) || is_infinite(right) {
        let message = "cannot subtract infinite timestamps";
        return Err(SqlError::new(sqlstate::DATETIME_FIELD_OVERFLOW, message));
    }
    let micros = left.checked_sub(right).ok_or_else(|| overflow("interval"))?;
    let days = i32::try_from(micros / DAY_MICROS).map_err(|_| overflow("interval"))?;
    Ok(Datum::Interval(Interval { months: 0, days, micros: micros % DAY_MICROS }))
}

/// Adds months (to the last day of a shorter month), days, then time, in local time.
fn add(local: i64, interval: &Interval) -> Result<i64, SqlError> {
    let fail = || overflow("timestamp");
    let mut days = local.div_euclid(DAY_MICROS);
    if interval.months != 0 {
        let (year, month, day) = civil_from_days(days);
        let months = year * 12 + month - 1 + i64::from(interval.months);
        let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
        days = days_from_civil(year, month, day.min(days_in_month(year, month)));
    }
    days += i64::from(interval.days);
    let exact = i128::from(days) * i128::from(DAY_MICROS)
        + i128::from(local.rem_euclid(DAY_MICROS))
        + i128::from(interval.micros);
    timestamp_in_range(exact).ok_or_else(fail)
}

fn negated(interval: Interval) -> Result<Interval, SqlError> {
    let fail = || overflow("interval");
    Ok(Interval {
        months: interval.months.checked_neg().ok_or_else(fail)?,
        days: interval.days.checked_neg().ok_or_else(fail)?,
        micros: interval.micros.checked_neg().ok_or_else(fail)?,
    })
}

fn shift(datum: &Datum, interval: Interval, context: &EvalContext<'_>) -> Outcome {
    Ok(match datum {
        Datum::Date(days) => {
            let micros = date_to_timestamp(*days);
            Datum::Timestamp(if is_infinite(micros) { micros } else { add(micros, &interval)? })
        }
        Datum::Timestamp(micros) if is_infinite(*micros) => datum.clone(),
        Datum::Timestamp(micros) => Datum::Timestamp(add(*micros, &interval)?),
        Datum::Timestamptz(micros) if is_infinite(*micros) => datum.clone(),
        Datum::Timestamptz(micros) => {
            // Months and days are of the local calendar; hours are hours.
            let zone = context.zone;
            let calendar = Interval { micros: 0, ..interval };
            let moved = if calendar.months == 0 && calendar.days == 0 {
                *micros
            } else {
                zone.to_utc(add(zone.to_local(*micros), &calendar)?)
            };
            let exact = i128::from(moved) + i128::from(interval.micros);
            Datum::Timestamptz(timestamp_in_range(exact).ok_or_else(|| overflow("timestamp"))?)
        }
        Datum::Time(micros) => {
            Datum::Time(micros.wrapping_add(interval.micros).rem_euclid(DAY_MICROS))
        }
        _ => return Ok(Datum::Null), // no other type has this operator
    })
}

pub(super) fn later(args: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    shift(args.datum(0), args.interval(1)?, context)
}

pub(super) fn after(args: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    shift(args.datum(1), args.interval(0)?, context)
}

pub(super) fn earlier(args: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    shift(args.datum(0), negated(args.interval(1)?)?, context)
}

/// `date + time`.
pub(super) fn date_plus_time(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (days, time) = match args.datum(0) {
        Datum::Date(days) => (*days, args.micros(1)?),
        _ => (args.date(1)?, args.micros(0)?), // the operands exchanged
    };
    let micros = date_to_timestamp(days);
    if is_infinite(micros) {
        return Ok(Datum::Timestamp(micros));
    }
    let exact = i128::from(micros) + i128::from(time);
    timestamp_in_range(exact).map(Datum::Timestamp).ok_or_else(|| overflow("timestamp"))
}

pub(super) fn time_difference(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let micros = args.micros(0)? - args.micros(1)?;
    Ok(Datum::Interval(Interval { micros, ..Interval::default() }))
}

fn sum(left: Interval, right: Interval) -> Outcome {
    let fail = || overflow("interval");
    Ok(Datum::Interval(Interval {
        months: left.months.checked_add(right.months).ok_or_else(fail)?,
        days: left.days.checked_add(right.days).ok_or_else(fail)?,
        micros: left.micros.checked_add(right.micros).ok_or_else(fail)?,
    }))
}

pub(super) fn interval_sum(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    sum(args.interval(0)?, args.interval(1)?)
}

pub(super) fn interval_difference(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    sum(args.interval(0)?, negated(args.interval(1)?)?)
}

pub(super) fn interval_minus(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    negated(args.interval(0)?).map(Datum::Interval)
}

/// Fractions of months go to days, fractions of days to time.
fn scale(interval: Interval, factor: f64) -> Outcome {
    let fail = || overflow("interval");
    let months = f64::from(interval.months) * factor;
    let days = f64::from(interval.days) * factor;
    if !months.is_finite() || i32::MAX as f64 <= months.abs() || i32::MAX as f64 <= days.abs() {
        return Err(fail());
    }
    // Rounded to microseconds of a day, so that 0.1 stays 0.1.
    let settle = |value: f64| (value * 1e6).round_ties_even() / 1e6;
    let month_days = settle((months - months.trunc()) * 30.0);
    let mut whole_days = days.trunc() + month_days.trunc();
    let mut seconds = settle((days - days.trunc() + month_days - month_days.trunc()) * 86_400.0);
    if 86_400.0 <= seconds.abs() {
        whole_days += (seconds / 86_400.0).trunc();
        seconds -= (seconds / 86_400.0).trunc() * 86_400.0;
    }
    let micros = (interval.micros as f64 * factor + seconds * 1e6).round_ties_even();
    if 9.2e18 < micros.abs() || i32::MAX as f64 <= whole_days.abs() {
        return Err(fail());
    }
    Ok(Datum::Interval(Interval {
        months: months as i32,
        days: whole_days as i32,
        micros: micros as i64,
    }))
}

pub(super) fn interval_times(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    scale(args.interval(0)?, args.f64(1)?)
}

pub(super) fn times_interval(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    scale(args.interval(1)?, args.f64(0)?)
}

pub(super) fn interval_over(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let divisor = args.f64(1)?;
    if divisor == 0.0 {
        return Err(SqlError::new(sqlstate::DIVISION_BY_ZERO, "division by zero"));
    }
    scale(args.interval(0)?, 1.0 / divisor)
}

/// A field; `None` for fields of infinity that have no value.
fn part(args: Args<'_>, context: &EvalContext<'_>) -> Result<Option<Numeric>, SqlError> {
    let field = args.str(0)?;
    let (local, offset, type_name) = match args.datum(1) {
        Datum::Interval(interval) => return interval_part(field, interval).map(Some),
        Datum::Date(days) => (date_to_timestamp(*days), None, "date"),
        Datum::Time(micros) => (*micros, None, "time without time zone"),
        Datum::Timestamp(micros) => (*micros, None, "timestamp without time zone"),
        _ => {
            let micros = args.micros(1)?;
            if is_infinite(micros) {
                (micros, None, "timestamp with time zone")
            } else {
                let offset = context.zone.offset_at(micros);
                (context.zone.to_local(micros), Some(offset), "timestamp with time zone")
            }
        }
    };
    if is_infinite(local) {
        let grows = matches!(
            field.to_ascii_lowercase().as_str(),
            "year" | "decade" | "century" | "millennium" | "julian" | "isoyear" | "epoch"
        );
        return Ok(grows.then(|| Numeric::infinity(local < 0)));
    }
    date_part(field, local, offset, type_name).map(Some)
}

pub(super) fn extract(args: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    Ok(part(args, context)?.map_or(Datum::Null, Datum::Numeric))
}

pub(super) fn date_part_fn(args: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    Ok(part(args, context)?.map_or(Datum::Null, |value| Datum::Float8(value.to_f64())))
}

pub(super) fn trunc(args: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    let field = args.str(0)?;
    match args.datum(1) {
        Datum::Interval(interval) => date_trunc_interval(field, interval).map(Datum::Interval),
        Datum::Timestamp(micros) if is_infinite(*micros) => Ok(args.datum(1).clone()),
        Datum::Timestamp(micros) => {
            date_trunc(field, *micros, "timestamp without time zone").map(Datum::Timestamp)
        }
        _ => {
            let micros = args.micros(1)?;
            if is_infinite(micros) {
                return Ok(args.datum(1).clone());
            }
            let named;
            let zone = if args.len() < 3 {
                context.zone
            } else {
                named = named_zone(args.str(2)?)?;
                &named
            };
            let local = date_trunc(field, zone.to_local(micros), "timestamp with time zone")?;
            // Hours and less keep the offset that the moment has.
            let short = date_trunc("hour", local, "")? != local || {
                let lower = field.to_ascii_lowercase();
                ["hour", "minute", "second", "milli", "micro"].iter().any(|u| lower.starts_with(u))
            };
            Ok(Datum::Timestamptz(if short {
                local - i64::from(zone.offset_at(micros)) * 1_000_000
            } else {
                zone.to_utc(local)
            }))
        }
    }
}

/// A zone by name; a bare number is read as POSIX does, hours west of Greenwich.
fn named_zone(name: &str) -> Result<Zone, SqlError> {
    match name.trim().parse::<f64>() {
        Ok(hours) if hours.abs() <= 15.99 => Ok(Zone::fixed((-hours * 3_600.0).round() as i32)),
        _ => Zone::parse(name),
    }
}

/// `AT TIME ZONE`.
pub(super) fn at_zone(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let zone = match args.datum(0) {
        Datum::Interval(interval) => Zone::fixed((interval.micros / 1_000_000) as i32),
        _ => named_zone(args.str(0)?)?, // the usual signature
    };
    Ok(match args.datum(1) {
        Datum::Timestamp(micros) if is_infinite(*micros) => Datum::Timestamptz(*micros),
        Datum::Timestamp(micros) => Datum::Timestamptz(zone.to_utc(*micros)),
        _ => {
            let micros = args.micros(1)?;
            Datum::Timestamp(if is_infinite(micros) { micros } else { zone.to_local(micros) })
        }
    })
}

/// Seconds since 1970 as a moment.
pub(super) fn from_unix(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let seconds = args.f64(0)?;
    if seconds.is_nan() {
        return Err(overflow("timestamp"));
    }
    if seconds.is_infinite() {
        return Ok(Datum::Timestamptz(if seconds < 0.0 { i64::MIN } else { i64::MAX }));
    }
    let micros = ((seconds - 946_684_800.0) * 1e6).round_ties_even();
    if 9.3e18 < micros.abs() {
        return Err(overflow("timestamp"));
    }
    timestamp_in_range(micros as i128).map(Datum::Timestamptz).ok_or_else(|| overflow("timestamp"))
}

pub(super) fn make_date(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let (year, month, day) = (args.i64(0)?, args.i64(1)?, args.i64(2)?);
    let civil = if year < 0 { year + 1 } else { year };
    let valid =
        year != 0 && (1..=12).contains(&month) && 1 <= day && day <= days_in_month(civil, month);
    if !valid {
        let message = format!("date field value out of range: {year}-{month:02}-{day:02}");
        return Err(SqlError::new(sqlstate::DATETIME_FIELD_OVERFLOW, message));
    }
    date(Some(days_from_civil(civil, month, day)))
}

pub(super) fn is_finite(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    Ok(Datum::Bool(match args.datum(0) {
        Datum::Date(days) => !matches!(*days, i32::MIN | i32::MAX),
        Datum::Interval(_) => true,
        _ => !is_infinite(args.micros(0)?), // a timestamp
    }))
}

/// `age`: the difference in years, months and days of the calendar.
fn age_between(left: i64, right: i64) -> Outcome {
    if is_infinite(left) || is_infinite(right) {
        let message = "interval out of range";
        return Err(SqlError::new(SqlState::new("22008"), message));
    }
    let (later, earlier) = if left < right { (right, left) } else { (left, right) };
    let ((y1, m1, d1), (y2, m2, d2)) = (
        civil_from_days(later.div_euclid(DAY_MICROS)),
        civil_from_days(earlier.div_euclid(DAY_MICROS)),
    );
    let mut micros = later.rem_euclid(DAY_MICROS) - earlier.rem_euclid(DAY_MICROS);
    let mut days = d1 - d2;
    let mut months = (y1 - y2) * 12 + m1 - m2;
    if micros < 0 {
        micros += DAY_MICROS;
        days -= 1;
    }
    if days < 0 {
        // Days of the month in which the span begins.
        days += days_in_month(y2, m2);
        months -= 1;
    }
    let sign = if left < right { -1 } else { 1 };
    Ok(Datum::Interval(Interval {
        months: i32::try_from(months * sign).map_err(|_| overflow("interval"))?,
        days: i32::try_from(days * sign).map_err(|_| overflow("interval"))?,
        micros: micros * sign,
    }))
}

pub(super) fn age(args: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    let local = |index: usize| -> Result<i64, SqlError> {
        let micros = args.micros(index)?;
        let zoned = matches!(args.datum(index), Datum::Timestamptz(_)) && !is_infinite(micros);
        Ok(if zoned { context.zone.to_local(micros) } else { micros })
    };
    if args.len() == 1 {
        // From midnight of the current date.
        let today = context.zone.to_local(context.transaction_time).div_euclid(DAY_MICROS);
        return age_between(today * DAY_MICROS, local(0)?);
    }
    age_between(local(0)?, local(1)?)
}

/// Thirty days are a month, 24 hours a day.
pub(super) fn justify_interval(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let span = args.interval(0)?;
    let days = i64::from(span.days) + span.micros / DAY_MICROS;
    let mut micros = span.micros % DAY_MICROS;
    let mut months = i64::from(span.months) + days / 30;
    let mut days = days % 30;
    if 0 < months && (days < 0 || days == 0 && micros < 0) {
        days += 30;
        months -= 1;
    } else if months < 0 && (0 < days || days == 0 && 0 < micros) {
        days -= 30;
        months += 1;
    }
    if 0 < days && micros < 0 {
        micros += DAY_MICROS;
        days -= 1;
    } else if days < 0 && 0 < micros {
        micros -= DAY_MICROS;
        days += 1;
    }
    Ok(Datum::Interval(Interval { months: months as i32, days: days as i32, micros }))
}
