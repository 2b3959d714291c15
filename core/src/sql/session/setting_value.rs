//! Values of run-time parameters: from what a client wrote to PostgreSQL's canonical text, and from
//! there to what SHOW prints.
//!
//! # Source
//!
//! PostgreSQL 15, `guc.c`; messages as its server gives them.

use super::setting_table::{Access, Kind, Row, Unit};
use crate::base::error::{SqlError, sqlstate};
use crate::row::datetime::Zone;
use crate::sql::error::CANT_CHANGE_RUNTIME_PARAM;

fn invalid(message: String) -> SqlError {
    SqlError::new(sqlstate::INVALID_PARAMETER_VALUE, message)
}

pub(super) fn cannot_change(row: &Row) -> SqlError {
    let tail = if row.access == Access::Restart { " without restarting the server" } else { "" };
    let message = format!("parameter \"{}\" cannot be changed{tail}", row.name);
    SqlError::new(CANT_CHANGE_RUNTIME_PARAM, message)
}

pub(super) fn canonical_change(row: &Row, current: &str, value: &str) -> Result<String, SqlError> {
    if matches!(row.access, Access::Internal | Access::Restart) {
        return Err(cannot_change(row));
    }
    let canonical = canonical(row, value)?;
    if row.access == Access::Fixed && canonical != current {
        let what = format!("parameter \"{}\" other than \"{current}\"", row.name);
        return Err(SqlError::unsupported(what));
    }
    Ok(canonical)
}

fn canonical(row: &Row, value: &str) -> Result<String, SqlError> {
    match row.kind {
        Kind::Bool => match parse_bool(value) {
            Some(true) => Ok("on".to_owned()),
            Some(false) => Ok("off".to_owned()),
            None => Err(invalid(format!("parameter \"{}\" requires a Boolean value", row.name))),
        },
        Kind::Enum(choices) => {
            let lower = value.to_ascii_lowercase();
            if choices.contains(&lower.as_str()) {
                return Ok(lower);
            }
            // PostgreSQL takes Boolean words for `on` and `off` of an enum.
            if choices.contains(&"on")
                && let Some(on) = parse_bool(value)
            {
                return Ok(if on { "on" } else { "off" }.to_owned());
            }
            let hint = format!("Available values: {}.", choices.join(", "));
            Err(invalid_value(row.name, value).hint(hint))
        }
        Kind::Int { unit, min, max } => {
            let number = parse_int(row.name, value, unit)?;
            if !(min..=max).contains(&number) {
                let unit = unit_name(unit);
                return Err(invalid(format!(
                    "{number}{unit} is outside the valid range for parameter \"{}\" ({min} .. {max})",
                    row.name
                )));
            }
            if row.name == "extra_float_digits" && number < 1 {
                return Err(SqlError::unsupported("extra_float_digits below 1"));
            }
            Ok(number.to_string())
        }
        Kind::Text => canonical_text(row.name, value),
    }
}

fn canonical_text(name: &str, value: &str) -> Result<String, SqlError> {
    match name {
        "client_encoding" => match value.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
            "utf8" | "unicode" => Ok("UTF8".to_owned()),
            "latin1" | "sqlascii" | "latin9" | "win1252" | "win1251" | "eucjp" | "sjis" | "gbk"
            | "big5" | "koi8r" => Err(SqlError::unsupported("a client encoding other than UTF8")),
            _ => Err(invalid_value(name, value)),
        },
        "DateStyle" => canonical_date_style(value),
        "TimeZone" => canonical_time_zone(value),
        _ => Ok(value.to_owned()),
    }
}

fn canonical_date_style(value: &str) -> Result<String, SqlError> {
    for word in value.split(',') {
        match word.trim().to_ascii_lowercase().as_str() {
            "iso" | "mdy" | "us" | "noneuro" | "noneuropean" | "default" | "" => {}
            "german" | "sql" | "postgres" | "dmy" | "euro" | "european" | "ymd" => {
                return Err(SqlError::unsupported("a DateStyle other than \"ISO, MDY\""));
            }
            _ => {
                let detail = format!("Unrecognized key word: \"{}\".", word.trim());
                return Err(invalid_value("DateStyle", value).detail(detail));
            }
        }
    }
    Ok("ISO, MDY".to_owned())
}

fn canonical_time_zone(value: &str) -> Result<String, SqlError> {
    if matches!(value.to_ascii_lowercase().as_str(), "local" | "default") {
        return Ok("UTC".to_owned());
    }
    let zone = Zone::parse(value).map_err(|_| invalid_value("TimeZone", value))?;
    Ok(zone.name().to_owned())
}

fn invalid_value(name: &str, value: &str) -> SqlError {
    invalid(format!("invalid value for parameter \"{name}\": \"{value}\""))
}

/// PostgreSQL's Boolean words: any unique prefix, `on`, `off`, `1`, `0`.
fn parse_bool(value: &str) -> Option<bool> {
    let lower = value.trim().to_ascii_lowercase();
    let is_prefix = |word: &str, least: usize| least <= lower.len() && word.starts_with(&lower);
    if is_prefix("true", 1) || is_prefix("yes", 1) || lower == "on" || lower == "1" {
        Some(true)
    } else if is_prefix("false", 1) || is_prefix("no", 1) || is_prefix("off", 2) || lower == "0" {
        Some(false)
    } else {
        None
    }
}

fn unit_name(unit: Unit) -> &'static str {
    match unit {
        Unit::None => "",
        Unit::Ms => " ms",
        Unit::Kb => " kB",
    }
}

fn parse_int(name: &str, value: &str, unit: Unit) -> Result<i64, SqlError> {
    let trimmed = value.trim();
    let digits = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+');
    let end = trimmed.find(|c| !digits(c)).unwrap_or(trimmed.len());
    let (number, suffix) = trimmed.split_at(end);
    let Ok(number) = number.parse::<f64>() else {
        return Err(invalid_value(name, value));
    };
    let factor = match (unit, suffix.trim()) {
        (_, "") => 1.0,
        (Unit::Ms, "us") => 0.001,
        (Unit::Ms, "ms") => 1.0,
        (Unit::Ms, "s") => 1e3,
        (Unit::Ms, "min") => 6e4,
        (Unit::Ms, "h") => 3.6e6,
        (Unit::Ms, "d") => 8.64e7,
        (Unit::Kb, "B") => 1.0 / 1024.0,
        (Unit::Kb, "kB") => 1.0,
        (Unit::Kb, "MB") => 1024.0,
        (Unit::Kb, "GB") => 1_048_576.0,
        (Unit::Kb, "TB") => 1_073_741_824.0,
        (Unit::None, _) => return Err(invalid_value(name, value)),
        (Unit::Ms, _) => {
            let hint = "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \
                        \"h\", and \"d\".";
            return Err(invalid_value(name, value).hint(hint));
        }
        (Unit::Kb, _) => {
            let hint = "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \
                        \"TB\".";
            return Err(invalid_value(name, value).hint(hint));
        }
    };
    // Saturates; the caller checks the range.
    Ok((number * factor).round_ties_even() as i64)
}

pub(super) fn displayed(row: &Row, value: &str) -> String {
    let Kind::Int { unit, .. } = row.kind else {
        return value.to_owned();
    };
    let number: i64 = value.parse().unwrap_or(0);
    let units: &[(i64, &str)] = match unit {
        Unit::None => &[],
        Unit::Ms => {
            &[(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")]
        }
        Unit::Kb => &[(1 << 30, "TB"), (1 << 20, "GB"), (1 << 10, "MB"), (1, "kB")],
    };
    if number == 0 {
        return value.to_owned();
    }
    let fitting = units.iter().find(|(size, _)| number % size == 0);
    fitting.map_or_else(|| value.to_owned(), |(size, name)| format!("{}{name}", number / size))
}
