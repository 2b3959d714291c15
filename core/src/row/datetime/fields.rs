//! Fields of moments: `extract`, `date_part` and `date_trunc`.

use super::calendar::{civil_from_days, day_of_week, day_of_year, days_from_civil, iso_week};
use crate::base::error::{SqlError, sqlstate};
use crate::row::interval::Interval;
use crate::row::numeric::Numeric;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
const EPOCH_SECONDS: i64 = 10_957 * 86_400;

/// Units that exist, for one type or another.
const UNITS: &[&str] = &[
    "century",
    "day",
    "decade",
    "dow",
    "doy",
    "epoch",
    "hour",
    "isodow",
    "isoyear",
    "julian",
    "microseconds",
    "millennium",
    "milliseconds",
    "minute",
    "month",
    "quarter",
    "second",
    "timezone",
    "timezone_hour",
    "timezone_minute",
    "week",
    "year",
];

fn unknown(field: &str, type_name: &str) -> SqlError {
    if UNITS.contains(&canonical(field).as_str()) {
        let message = format!("unit \"{field}\" not supported for type {type_name}");
        return SqlError::new(sqlstate::FEATURE_NOT_SUPPORTED, message);
    }
    SqlError::new(
        sqlstate::INVALID_PARAMETER_VALUE,
        format!("unit \"{field}\" not recognized for type {type_name}"),
    )
}

/// The singular name of a unit in lower case.
fn canonical(field: &str) -> String {
    let lower = field.to_ascii_lowercase();
    let name = match lower.as_str() {
        "years" | "yr" | "y" => "year",
        "months" | "mon" | "mons" => "month",
        "days" | "d" => "day",
        "hours" | "h" | "hr" => "hour",
        "minutes" | "min" | "mins" | "m" => "minute",
        "seconds" | "sec" | "secs" | "s" => "second",
        "millisecond" | "msec" | "ms" => "milliseconds",
        "microsecond" | "usec" | "us" => "microseconds",
        "weeks" | "w" => "week",
        "quarters" | "qtr" => "quarter",
        "decades" | "dec" => "decade",
        "centuries" | "c" => "century",
        "millenniums" | "millennia" | "mil" => "millennium",
        other => other,
    };
    name.to_owned()
}

/// A field of a moment given in local time, as `extract` returns it. `offset` is that of the time
/// zone, for timestamps that have one; `has_date` and `has_time` are what the type has.
///
/// # Errors
///
/// 22023 for a field that the type does not have.
pub fn date_part(
    field: &str,
    local: i64,
    offset: Option<i32>,
    type_name: &str,
) -> Result<Numeric, SqlError> {
    let name = canonical(field);
    let (has_date, has_time) = match type_name {
        "date" => (true, false),
        "time without time zone" => (false, true),
        _ => (true, true), // timestamps
    };
    let days = local.div_euclid(DAY);
    let micros = local.rem_euclid(DAY);
    let (year, month, day) = civil_from_days(days);
    if has_time {
        match name.as_str() {
            "hour" => return Ok(Numeric::from(micros / (3_600 * SECOND))),
            "minute" => return Ok(Numeric::from(micros / (60 * SECOND) % 60)),
            "second" => return Ok(Numeric::from_scaled(i128::from(micros % (60 * SECOND)), 6)),
            "milliseconds" => {
                return Ok(Numeric::from_scaled(i128::from(micros % (60 * SECOND)), 3));
            }
            "microseconds" => return Ok(Numeric::from(micros % (60 * SECOND))),
            _ => {} // a field of the date, tried below
        }
    }
    if name == "epoch" {
        let utc = i128::from(local) - i128::from(offset.unwrap_or(0)) * i128::from(SECOND);
        if !has_date {
            return Ok(Numeric::from_scaled(utc, 6));
        }
        let unix = utc + i128::from(EPOCH_SECONDS) * i128::from(SECOND);
        return Ok(if has_time {
            Numeric::from_scaled(unix, 6)
        } else {
            Numeric::from(unix / i128::from(SECOND))
        });
    }
    if !has_date {
        return Err(unknown(field, type_name));
    }
    // There is no year 0: 1 BC is -1.
    let shown_year = if year <= 0 { year - 1 } else { year };
    let value = match (name.as_str(), offset) {
        ("year", _) => shown_year,
        ("month", _) => month,
        ("day", _) => day,
        ("quarter", _) => (month - 1) / 3 + 1,
        ("week", _) => iso_week(days).1,
        ("isoyear", _) => {
            let iso = iso_week(days).0;
            if iso <= 0 { iso - 1 } else { iso }
        }
        ("dow", _) => day_of_week(days),
        ("isodow", _) => (day_of_week(days) + 6) % 7 + 1,
        ("doy", _) => day_of_year(days),
        ("decade", _) => year.div_euclid(10),
        ("century", _) => period(year, 100),
        ("millennium", _) => period(year, 1_000),
        ("julian", _) if !has_time => days + 2_451_545,
        ("julian", _) => return julian(days, micros),
        ("timezone", Some(offset)) => i64::from(offset),
        ("timezone_hour", Some(offset)) => i64::from(offset / 3_600),
        ("timezone_minute", Some(offset)) => i64::from(offset / 60 % 60),
        _ => return Err(unknown(field, type_name)),
    };
    Ok(Numeric::from(value))
}

/// Julian days with the part of the day that has passed.
fn julian(days: i64, micros: i64) -> Result<Numeric, SqlError> {
    let part = Numeric::from(micros).div(&Numeric::from(DAY))?;
    Numeric::from(days + 2_451_545).add(&part)
}

/// The century or millennium of a year: they begin with year 1, and there is none 0.
fn period(year: i64, len: i64) -> i64 {
    if 0 < year { (year + len - 1) / len } else { -((len - 1 - (year - 1)) / len) }
}

/// A field of an interval.
///
/// # Errors
///
/// 22023 for a field that intervals do not have.
pub fn interval_part(field: &str, interval: &Interval) -> Result<Numeric, SqlError> {
    let (months, micros) = (i64::from(interval.months), interval.micros);
    let minute = 60 * SECOND;
    Ok(match canonical(field).as_str() {
        "year" => Numeric::from(months / 12),
        "month" => Numeric::from(months % 12),
        "day" => Numeric::from(interval.days),
        "quarter" => Numeric::from(months % 12 / 3 + 1),
        "decade" => Numeric::from(months / 120),
        "century" => Numeric::from(months / 1_200),
        "millennium" => Numeric::from(months / 12_000),
        "hour" => Numeric::from(micros / (60 * minute)),
        "minute" => Numeric::from(micros / minute % 60),
        "second" => Numeric::from_scaled(i128::from(micros % minute), 6),
        "milliseconds" => Numeric::from_scaled(i128::from(micros % minute), 3),
        "microseconds" => Numeric::from(micros % minute),
        "epoch" => {
            // A year is 365.25 days here, as PostgreSQL has it.
            let days = i128::from(months % 12) * 30 + i128::from(interval.days);
            let years = i128::from(months / 12) * 31_557_600;
            let seconds = years + days * 86_400;
            Numeric::from_scaled(seconds * i128::from(SECOND) + i128::from(micros), 6)
        }
        _ => return Err(unknown(field, "interval")),
    })
}

/// A local time cut down to a unit.
///
/// # Errors
///
/// 22023 for an unknown unit.
pub fn date_trunc(field: &str, local: i64, type_name: &str) -> Result<i64, SqlError> {
    let days = local.div_euclid(DAY);
    let micros = local.rem_euclid(DAY);
    let (year, month, _) = civil_from_days(days);
    let cut = |unit: i64| days * DAY + micros / unit * unit;
    let first = |year: i64, month: i64| days_from_civil(year, month, 1) * DAY;
    Ok(match canonical(field).as_str() {
        "microseconds" => local,
        "milliseconds" => cut(1_000),
        "second" => cut(SECOND),
        "minute" => cut(60 * SECOND),
        "hour" => cut(3_600 * SECOND),
        "day" => days * DAY,
        "week" => (days - (day_of_week(days) + 6) % 7) * DAY,
        "month" => first(year, month),
        "quarter" => first(year, (month - 1) / 3 * 3 + 1),
        "year" => first(year, 1),
        "decade" => first(year.div_euclid(10) * 10, 1),
        "century" => first((year - 1).div_euclid(100) * 100 + 1, 1),
        "millennium" => first((year - 1).div_euclid(1_000) * 1_000 + 1, 1),
        _ => return Err(unknown(field, type_name)),
    })
}

/// An interval cut down to a unit.
///
/// # Errors
///
/// 22023 for an unknown unit.
pub fn date_trunc_interval(field: &str, interval: &Interval) -> Result<Interval, SqlError> {
    let months =
        |unit: i32| Interval { months: interval.months / unit * unit, ..Interval::default() };
    let micros = |unit: i64| Interval { micros: interval.micros / unit * unit, ..*interval };
    Ok(match canonical(field).as_str() {
        "millennium" => months(12_000),
        "century" => months(1_200),
        "decade" => months(120),
        "year" => months(12),
        "quarter" => months(3),
        "month" => months(1),
        "day" => Interval { micros: 0, ..*interval },
        "hour" => micros(3_600 * SECOND),
        "minute" => micros(60 * SECOND),
        "second" => micros(SECOND),
        "milliseconds" => micros(1_000),
        "microseconds" => *interval,
        _ => return Err(unknown(field, "interval")),
    })
}
