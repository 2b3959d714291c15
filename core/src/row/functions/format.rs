//! `to_char` for timestamps, dates and intervals' clocks: the patterns that people use.

use super::{Args, Outcome, text};
use crate::base::error::SqlError;
use crate::row::datetime::{civil_from_days, day_of_week, day_of_year, iso_week};
use crate::row::datum::{DAY_MICROS, Datum};
use crate::row::eval::EvalContext;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Patterns, longer ones before those they begin with.
const PATTERNS: &[&str] = &[
    "HH24", "HH12", "HH", "MI", "SSSSS", "SSSS", "SS", "MS", "US", "AM", "PM", "am", "pm", "A.M.",
    "P.M.", "a.m.", "p.m.", "YYYY", "YYY", "YY", "Y", "IYYY", "IYY", "IY", "I", "MONTH", "Month",
    "month", "MON", "Mon", "mon", "MM", "DAY", "Day", "day", "DY", "Dy", "dy", "DDD", "DD", "IDDD",
    "ID", "D", "WW", "IW", "W", "CC", "J", "Q", "TZH", "TZM", "TZ", "OF",
];

struct Clock {
    local: i64,
    offset: Option<i32>,
    zone: String,
}

pub(super) fn to_char(args: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    let clock = match args.datum(0) {
        Datum::Timestamp(micros) => Clock { local: *micros, offset: None, zone: String::new() },
        Datum::Timestamptz(micros) => Clock {
            local: context.zone.to_local(*micros),
            offset: Some(context.zone.offset_at(*micros)),
            zone: context.zone.abbreviation_at(*micros),
        },
        _ => return Err(SqlError::unsupported("to_char of this type")),
    };
    if clock.local == i64::MIN || clock.local == i64::MAX {
        return Ok(Datum::Null);
    }
    let mut out = String::new();
    let mut rest = args.str(1)?;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').unwrap_or(quoted.len());
            out.push_str(&quoted[..end]);
            rest = quoted.get(end + 1..).unwrap_or("");
            continue;
        }
        let (unpadded, after) = match rest.strip_prefix("FM") {
            Some(after) => (true, after),
            None => (false, rest),
        };
        // Numbers are the same in either case; words show the case of the pattern.
        let upper_front = |pattern: &&&str| {
            after.starts_with(**pattern)
                || pattern.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
                    && is_number(pattern)
                    && after.get(..pattern.len()).is_some_and(|s| s.eq_ignore_ascii_case(pattern))
        };
        match PATTERNS.iter().filter(upper_front).max_by_key(|pattern| pattern.len()) {
            Some(pattern) => {
                rest = &after[pattern.len()..];
                let value = field(pattern, &clock);
                let shown = if unpadded { trim(&value) } else { &value };
                out.push_str(shown);
                rest = ordinal(rest, shown, &mut out);
            }
            None => {
                let mut chars = rest.chars();
                out.extend(chars.next());
                rest = chars.as_str();
            }
        }
    }
    text(out)
}

fn is_number(pattern: &str) -> bool {
    !matches!(pattern, "MONTH" | "MON" | "DAY" | "DY" | "AM" | "PM" | "TZ")
}

/// What FM leaves of a value: no blanks behind a word, no zeros before a number.
fn trim(value: &str) -> &str {
    let number = value.trim_start_matches('0');
    if value.bytes().all(|b| b.is_ascii_digit()) {
        if number.is_empty() { "0" } else { number }
    } else {
        value.trim_end()
    }
}

/// `th` and `TH` behind a number.
fn ordinal<'a>(rest: &'a str, shown: &str, out: &mut String) -> &'a str {
    let upper = rest.starts_with("TH");
    if !(upper || rest.starts_with("th")) || !shown.ends_with(|c: char| c.is_ascii_digit()) {
        return rest;
    }
    let teen = shown.len() >= 2 && shown.as_bytes()[shown.len() - 2] == b'1';
    let suffix = match shown.as_bytes()[shown.len() - 1] {
        b'1' if !teen => "st",
        b'2' if !teen => "nd",
        b'3' if !teen => "rd",
        _ => "th",
    };
    out.push_str(&if upper { suffix.to_ascii_uppercase() } else { suffix.to_owned() });
    &rest[2..]
}

fn cased(pattern: &str, word: &str, width: usize) -> String {
    let word = if pattern.bytes().all(|b| b.is_ascii_uppercase()) {
        word.to_ascii_uppercase()
    } else if pattern.starts_with(|c: char| c.is_ascii_lowercase()) {
        word.to_ascii_lowercase()
    } else {
        word.to_owned()
    };
    format!("{word:<width$}")
}

fn field(pattern: &str, clock: &Clock) -> String {
    let days = clock.local.div_euclid(DAY_MICROS);
    let micros = clock.local.rem_euclid(DAY_MICROS);
    let (year, month, day) = civil_from_days(days);
    let year = if year <= 0 { 1 - year } else { year };
    let seconds = micros / 1_000_000;
    let (hour, minute) = (seconds / 3_600, seconds / 60 % 60);
    let hour12 = if hour % 12 == 0 { 12 } else { hour % 12 };
    let (iso_year, week) = iso_week(days);
    let month_name = MONTHS[(month - 1) as usize];
    let day_name = DAYS[day_of_week(days) as usize];
    let offset = clock.offset.unwrap_or(0);
    match pattern {
        "HH24" => format!("{hour:02}"),
        "HH12" | "HH" => format!("{hour12:02}"),
        "MI" => format!("{minute:02}"),
        "SS" => format!("{:02}", seconds % 60),
        "SSSS" | "SSSSS" => seconds.to_string(),
        "MS" => format!("{:03}", micros / 1_000 % 1_000),
        "US" => format!("{:06}", micros % 1_000_000),
        "AM" | "PM" => (if hour < 12 { "AM" } else { "PM" }).to_owned(),
        "am" | "pm" => (if hour < 12 { "am" } else { "pm" }).to_owned(),
        "A.M." | "P.M." => (if hour < 12 { "A.M." } else { "P.M." }).to_owned(),
        "a.m." | "p.m." => (if hour < 12 { "a.m." } else { "p.m." }).to_owned(),
        "YYYY" => format!("{year:04}"),
        "YYY" => format!("{:03}", year % 1_000),
        "YY" => format!("{:02}", year % 100),
        "Y" => (year % 10).to_string(),
        "IYYY" => format!("{iso_year:04}"),
        "IYY" => format!("{:03}", iso_year % 1_000),
        "IY" => format!("{:02}", iso_year % 100),
        "I" => (iso_year % 10).to_string(),
        "MONTH" | "Month" | "month" => cased(pattern, month_name, 9),
        "MON" | "Mon" | "mon" => cased(pattern, &month_name[..3], 3),
        "MM" => format!("{month:02}"),
        "DAY" | "Day" | "day" => cased(pattern, day_name, 9),
        "DY" | "Dy" | "dy" => cased(pattern, &day_name[..3], 3),
        "DDD" => format!("{:03}", day_of_year(days)),
        "DD" => format!("{day:02}"),
        "D" => (day_of_week(days) + 1).to_string(),
        "ID" => ((day_of_week(days) + 6) % 7 + 1).to_string(),
        "IDDD" => format!("{:03}", (week - 1) * 7 + (day_of_week(days) + 6) % 7 + 1),
        "WW" => format!("{:02}", (day_of_year(days) - 1) / 7 + 1),
        "IW" => format!("{week:02}"),
        "W" => ((day - 1) / 7 + 1).to_string(),
        "CC" => format!("{:02}", (year + 99) / 100),
        "J" => (days + 2_451_545).to_string(),
        "Q" => ((month - 1) / 3 + 1).to_string(),
        "TZ" => clock.zone.clone(),
        "TZH" => format!("{}{:02}", if offset < 0 { '-' } else { '+' }, offset.abs() / 3_600),
        "TZM" => format!("{:02}", offset.abs() / 60 % 60),
        "OF" => {
            let minutes = offset.abs() / 60 % 60;
            let sign = if offset < 0 { '-' } else { '+' };
            let hours = offset.abs() / 3_600;
            if minutes == 0 {
                format!("{sign}{hours:02}")
            } else {
                format!("{sign}{hours:02}:{minutes:02}")
            }
        }
        _ => String::new(), // every pattern is above
    }
}
