//! Values of one type as values of another.
//!
//! # Source
//!
//! PostgreSQL 15: the functions named in `pg_cast`; floats round half to even, numerics half away
//! from zero.

use super::context::EvalContext;
use crate::base::error::{SqlError, sqlstate};
use crate::row::datetime::{date_in_range, timestamp_in_range};
use crate::row::datum::{DAY_MICROS, Datum, date_to_timestamp};
use crate::row::interval::Interval;
use crate::row::json::{self, Json};
use crate::row::numeric::Numeric;
use crate::row::text::{fit_string, parse_bool, parse_text};
use crate::row::types::DataType;

fn out_of_range(type_name: &str) -> SqlError {
    let message = format!("{type_name} out of range");
    SqlError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, message)
}

fn datetime_out_of_range(type_name: &str) -> SqlError {
    SqlError::new(sqlstate::DATETIME_FIELD_OVERFLOW, format!("{type_name} out of range"))
}

/// Casts a value. `from` is the type it has, `to` the type wanted, with modifier. An `explicit`
/// cast cuts strings that are too long; others refuse them.
///
/// # Errors
///
/// What the conversion raises; 42846 if there is none.
pub fn cast(
    datum: &Datum,
    from: &DataType,
    to: &DataType,
    explicit: bool,
    context: &EvalContext<'_>,
) -> Result<Datum, SqlError> {
    let converted = match (datum, to) {
        (Datum::Null, _) => return Ok(Datum::Null),
        (Datum::Text(text), _) => Some(cast_text(text, from, to, explicit, context)?),
        (Datum::Array(array), DataType::Array(element)) => {
            let items: Result<Vec<Datum>, SqlError> = array
                .items
                .iter()
                .map(|item| cast(item, &array.element, element, explicit, context))
                .collect();
            Some(Datum::array((**element).clone(), items?))
        }
        (Datum::Int4(code), DataType::InternalChar) => {
            let byte = u8::try_from(*code).ok().filter(u8::is_ascii);
            let byte = byte.ok_or_else(|| out_of_range("\"char\""))?;
            Some(Datum::Text(match byte {
                0 => "".into(),
                _ => char::from(byte).to_string().into(), // one ASCII character
            }))
        }
        (Datum::Json(text), _) if !to.is_string() => cast_json(text, to)?,
        (_, to) if to.is_string() => {
            let text = match datum {
                Datum::Bool(value) => (if *value { "true" } else { "false" }).to_owned(),
                _ => datum.to_text(&from.without_modifier(), &context.render_options()),
            };
            Some(Datum::Text(fit_string(to, &text, explicit)?))
        }
        (Datum::Bool(value), DataType::Int4) => Some(Datum::Int4(i32::from(*value))),
        (Datum::Int2(_) | Datum::Int4(_) | Datum::Int8(_) | Datum::Oid(_), _) => {
            datum.as_i64().map_or(Ok(None), |value| cast_integer(value, to))?
        }
        (Datum::Float4(value), _) => cast_float(f64::from(*value), Some(*value), to)?,
        (Datum::Float8(value), _) => cast_float(*value, None, to)?,
        (Datum::Numeric(value), _) => cast_numeric(value, to)?,
        _ => cast_datetime(datum, to, context)?,
    };
    match converted {
        Some(converted) => Ok(converted),
        None if from.oid() == to.oid() || datum.natural_type() == *to => Ok(datum.clone()),
        None => Err(SqlError::new(
            sqlstate::CANNOT_COERCE,
            format!("cannot cast type {} to {}", from.base_name(), to.base_name()),
        )),
    }
}

fn cast_text(
    text: &str,
    from: &DataType,
    to: &DataType,
    explicit: bool,
    context: &EvalContext<'_>,
) -> Result<Datum, SqlError> {
    match to {
        DataType::Bool => parse_bool(text).map(Datum::Bool),
        DataType::InternalChar if *from != DataType::Unknown => {
            Ok(Datum::Text(fit_string(to, text, true)?))
        }
        DataType::Int4 if *from == DataType::InternalChar => {
            Ok(Datum::Int4(text.bytes().next().map_or(0, i32::from)))
        }
        _ if to.is_string() => Ok(Datum::Text(fit_string(to, text, explicit)?)),
        DataType::Regclass
        | DataType::Regtype
        | DataType::Regproc
        | DataType::Regnamespace
        | DataType::Regrole => match parse_text(to, text, &context.moment()) {
            // A name that only the catalog can resolve.
            Err(_) if context.catalog.is_some() => {
                context.call_catalog(&format!("{}in", to.typname()), &[Datum::text(text)])
            }
            other => other,
        },
        _ => parse_text(to, text, &context.moment()),
    }
}

/// JSON as JSON of the other kind, and its scalars as values of SQL.
fn cast_json(text: &str, to: &DataType) -> Result<Option<Datum>, SqlError> {
    match to {
        DataType::Json => return Ok(Some(Datum::Json(text.into()))),
        DataType::Jsonb => return Ok(Some(Datum::Json(json::canonical(text)?.into()))),
        _ => {} // a scalar, or nothing
    }
    match (json::parse(text, "json")?, to) {
        (Json::Bool(value), DataType::Bool) => Ok(Some(Datum::Bool(value))),
        (Json::Number(value), _) if *to != DataType::Bool => cast_numeric(&value, to),
        (other, _) => {
            let kind = match other {
                Json::Number(_) => "numeric",
                _ => other.type_name(),
            };
            let name = to.base_name();
            let message = format!("cannot cast jsonb {kind} to type {name}");
            Err(SqlError::new(sqlstate::INVALID_PARAMETER_VALUE, message))
        }
    }
}

fn cast_integer(value: i64, to: &DataType) -> Result<Option<Datum>, SqlError> {
    Ok(Some(match to {
        DataType::Bool => Datum::Bool(value != 0),
        DataType::Int2 => Datum::Int2(i16::try_from(value).map_err(|_| out_of_range("smallint"))?),
        DataType::Int4 => Datum::Int4(i32::try_from(value).map_err(|_| out_of_range("integer"))?),
        DataType::Int8 => Datum::Int8(value),
        DataType::Float4 => Datum::Float4(value as f32),
        DataType::Float8 => Datum::Float8(value as f64),
        DataType::Numeric { .. } => return cast_numeric(&Numeric::from(value), to),
        DataType::Oid
        | DataType::Xid
        | DataType::Regclass
        | DataType::Regtype
        | DataType::Regproc
        | DataType::Regnamespace
        | DataType::Regrole => {
            // Negative integers of 32 bits keep their bits.
            let bits = u32::try_from(value).ok();
            let signed = i32::try_from(value).ok().map(|value| value as u32);
            Datum::Oid(bits.or(signed).ok_or_else(|| out_of_range("OID"))?)
        }
        _ => return Ok(None), // no such cast
    }))
}

fn cast_float(value: f64, single: Option<f32>, to: &DataType) -> Result<Option<Datum>, SqlError> {
    // Half to even; NaN fits nowhere.
    let whole = |bound: f64, name: &str| {
        let rounded = value.round_ties_even();
        if (-bound..bound).contains(&rounded) { Ok(rounded) } else { Err(out_of_range(name)) }
    };
    Ok(Some(match to {
        DataType::Int2 => Datum::Int2(whole(32_768.0, "smallint")? as i16),
        DataType::Int4 => Datum::Int4(whole(2_147_483_648.0, "integer")? as i32),
        DataType::Int8 => Datum::Int8(whole(9_223_372_036_854_775_808.0, "bigint")? as i64),
        DataType::Float4 => match single {
            Some(single) => Datum::Float4(single),
            None => {
                let narrow = value as f32;
                let fault = if narrow.is_infinite() && value.is_finite() {
                    "overflow"
                } else if narrow == 0.0 && value != 0.0 {
                    "underflow"
                } else {
                    return Ok(Some(Datum::Float4(narrow)));
                };
                let message = format!("value out of range: {fault}");
                return Err(SqlError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, message));
            }
        },
        DataType::Float8 => Datum::Float8(value),
        DataType::Numeric { .. } => {
            let number = single.map_or_else(|| Numeric::from_f64(value), Numeric::from_f32);
            return cast_numeric(&number, to);
        }
        _ => return Ok(None), // no such cast
    }))
}

fn cast_numeric(value: &Numeric, to: &DataType) -> Result<Option<Datum>, SqlError> {
    let beyond = || {
        let message = format!("\"{value}\" is out of range for type {}", to.base_name());
        SqlError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, message)
    };
    Ok(Some(match to {
        DataType::Int2 => Datum::Int2(value.to_integer("smallint")?),
        DataType::Int4 => Datum::Int4(value.to_integer("integer")?),
        DataType::Int8 => Datum::Int8(value.to_integer("bigint")?),
        DataType::Float8 => {
            let wide = value.to_f64();
            if wide.is_infinite() && value.is_finite() || wide == 0.0 && !value.is_zero() {
                return Err(beyond());
            }
            Datum::Float8(wide)
        }
        DataType::Float4 => {
            let narrow: f32 = if value.is_finite() {
                value.to_string().parse().unwrap_or(f32::NAN)
            } else {
                value.to_f64() as f32
            };
            if narrow.is_infinite() && value.is_finite() || narrow == 0.0 && !value.is_zero() {
                return Err(beyond());
            }
            Datum::Float4(narrow)
        }
        DataType::Numeric { precision: Some((precision, scale)) } => {
            Datum::Numeric(value.fit(*precision, *scale)?)
        }
        DataType::Numeric { precision: None } => Datum::Numeric(value.clone()),
        _ => return Ok(None), // no such cast
    }))
}

/// Dates, times and what has no conversion of its own.
fn cast_datetime(
    datum: &Datum,
    to: &DataType,
    context: &EvalContext<'_>,
) -> Result<Option<Datum>, SqlError> {
    let zone = context.zone;
    Ok(Some(match (datum, to) {
        (Datum::Date(days), DataType::Timestamp) => Datum::Timestamp(midnight(*days)?),
        (Datum::Date(days), DataType::Timestamptz) => {
            let local = midnight(*days)?;
            Datum::Timestamptz(if is_infinite(local) { local } else { zone.to_utc(local) })
        }
        (Datum::Timestamp(micros), DataType::Date) => Datum::Date(day_of(*micros)?),
        (Datum::Timestamp(micros), DataType::Time) => time_of(*micros),
        (Datum::Timestamp(micros), DataType::Timestamptz) => {
            Datum::Timestamptz(if is_infinite(*micros) { *micros } else { zone.to_utc(*micros) })
        }
        (Datum::Timestamptz(micros), DataType::Timestamp | DataType::Date | DataType::Time) => {
            let local = if is_infinite(*micros) { *micros } else { zone.to_local(*micros) };
            match to {
                DataType::Date => Datum::Date(day_of(local)?),
                DataType::Time => time_of(local),
                _ => Datum::Timestamp(local), // the third of the pattern
            }
        }
        (Datum::Time(micros), DataType::Interval) => {
            Datum::Interval(Interval { micros: *micros, ..Interval::default() })
        }
        (Datum::Interval(interval), DataType::Time) => {
            Datum::Time(interval.micros.rem_euclid(DAY_MICROS))
        }
        _ => return Ok(None), // the same type, or no such cast
    }))
}

fn is_infinite(micros: i64) -> bool {
    micros == i64::MIN || micros == i64::MAX
}

fn midnight(days: i32) -> Result<i64, SqlError> {
    let micros = date_to_timestamp(days);
    if is_infinite(micros) && (days == i32::MIN || days == i32::MAX) {
        return Ok(micros);
    }
    let exact = i128::from(days) * i128::from(DAY_MICROS);
    timestamp_in_range(exact).ok_or_else(|| {
        let message = "date out of range for timestamp";
        SqlError::new(sqlstate::DATETIME_FIELD_OVERFLOW, message)
    })
}

fn day_of(local: i64) -> Result<i32, SqlError> {
    match local {
        i64::MIN => Ok(i32::MIN),
        i64::MAX => Ok(i32::MAX),
        _ => {
            date_in_range(local.div_euclid(DAY_MICROS)).ok_or_else(|| datetime_out_of_range("date"))
        }
    }
}

/// The time of day; infinities have none.
fn time_of(local: i64) -> Datum {
    if is_infinite(local) { Datum::Null } else { Datum::Time(local.rem_euclid(DAY_MICROS)) }
}
