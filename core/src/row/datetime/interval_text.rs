//! Intervals as text (PostgreSQL's `IntervalStyle = postgres`).

use std::fmt::Write as _;

use super::render::write_fraction;
use crate::base::error::{SqlError, sqlstate};
use crate::row::interval::Interval;

const SECOND: i64 = 1_000_000;
const DAY: f64 = 86_400.0 * 1e6;

/// Appends an interval: `1 year 2 mons -3 days +04:05:06.7`.
pub fn write_interval(out: &mut String, interval: &Interval) {
    let start = out.len();
    let mut before = false;
    let parts =
        [(interval.months / 12, "year"), (interval.months % 12, "mon"), (interval.days, "day")];
    for (value, unit) in parts.into_iter().filter(|(value, _)| *value != 0) {
        if start < out.len() {
            out.push(' ');
        }
        let plus = if before && 0 < value { "+" } else { "" };
        let plural = if value == 1 { "" } else { "s" };
        // Writing to a String does not fail.
        let _ = write!(out, "{plus}{value} {unit}{plural}");
        before = value < 0;
    }
    if interval.micros == 0 && start < out.len() {
        return;
    }
    if start < out.len() {
        out.push(' ');
    }
    if interval.micros < 0 {
        out.push('-');
    } else if before {
        out.push('+');
    }
    let micros = interval.micros.unsigned_abs();
    let seconds = micros / SECOND.unsigned_abs();
    let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    write_fraction(out, (micros % SECOND.unsigned_abs()) as i64);
}

/// Sums of the parts, kept as doubles so that fractions carry over and bounds are checked once.
#[derive(Default)]
struct Parts {
    months: f64,
    days: f64,
    micros: f64,
}

impl Parts {
    fn add(&mut self, value: f64, unit: &str) -> Option<()> {
        let unit = unit.strip_suffix('s').filter(|unit| 1 < unit.len()).unwrap_or(unit);
        match unit {
            "microsecond" | "u" | "usec" | "us" => self.micros += value,
            "millisecond" | "m_sec" | "msec" | "ms" => self.micros += value * 1e3,
            "second" | "sec" | "s" => self.micros += (value * 1e6).round(),
            "minute" | "min" | "m" => self.micros += (value * 60e6).round(),
            "hour" | "hr" | "h" => self.micros += (value * 3_600e6).round(),
            "day" | "d" => self.add_days(value),
            "week" | "w" => self.add_days(value * 7.0),
            "month" | "mon" => {
                self.months += value.trunc();
                self.add_days(value.fract() * 30.0);
            }
            "year" | "yr" | "y" => self.months += (value * 12.0).round(),
            "decade" | "dec" => self.months += (value * 120.0).round(),
            "century" | "centurie" | "cent" | "c" => self.months += (value * 1_200.0).round(),
            "millennium" | "millennia" | "mil" => self.months += (value * 12_000.0).round(),
            _ => return None, // no unit of time
        }
        Some(())
    }

    fn add_days(&mut self, value: f64) {
        self.days += value.trunc();
        self.micros += (value.fract() * DAY).round();
    }

    fn finish(self, negate: bool) -> Option<Interval> {
        let sign = if negate { -1.0 } else { 1.0 };
        let (months, days, micros) = (self.months * sign, self.days * sign, self.micros * sign);
        let small = |value: f64| value.abs() <= f64::from(i32::MAX);
        if !small(months) || !small(days) || 9.2e18 < micros.abs() {
            return None;
        }
        Some(Interval { months: months as i32, days: days as i32, micros: micros as i64 })
    }
}

/// Reads an interval: `1 day 02:03`, `1 year 2 mons ago`, `1-2`, `P1Y2M3DT4H5M6S`, `@ 5 minutes`.
///
/// # Errors
///
/// 22007 if it is none, 22015 if it is out of range.
pub fn parse_interval(text: &str) -> Result<Interval, SqlError> {
    let lower = text.trim().to_ascii_lowercase();
    let parsed = if let Some(iso) = lower.strip_prefix('p') {
        parse_iso(iso).map(|parts| (parts, false))
    } else {
        parse_words(lower.trim_start_matches('@'))
    };
    let (parts, ago) = parsed.ok_or_else(|| {
        SqlError::new(
            sqlstate::INVALID_DATETIME_FORMAT,
            format!("invalid input syntax for type interval: \"{text}\""),
        )
    })?;
    parts.finish(ago).ok_or_else(|| {
        SqlError::new(
            crate::base::error::SqlState::new("22015"),
            format!("interval field value out of range: \"{text}\""),
        )
    })
}

/// The number at the start, and what follows it.
fn split_number(text: &str) -> Option<(f64, &str)> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let len = unsigned.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let at = text.len() - unsigned.len() + len;
    let value = text[..at].parse().ok()?;
    Some((value, &text[at..]))
}

fn parse_iso(text: &str) -> Option<Parts> {
    let mut parts = Parts::default();
    let (mut rest, mut in_time) = (text, false);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix('t') {
            (rest, in_time) = (time, true);
            continue;
        }
        let (value, tail) = split_number(rest)?;
        let unit = tail.chars().next()?;
        let name = match (unit, in_time) {
            ('y', false) => "year",
            ('m', false) => "month",
            ('w', false) => "week",
            ('d', false) => "day",
            ('h', true) => "hour",
            ('m', true) => "minute",
            ('s', true) => "second",
            _ => return None, // no designator
        };
        parts.add(value, name)?;
        rest = &tail[1..];
    }
    Some(parts)
}

fn parse_words(text: &str) -> Option<(Parts, bool)> {
    let mut parts = Parts::default();
    let mut words = text.split([' ', '\t', ',']).filter(|word| !word.is_empty()).peekable();
    let (mut any, mut ago) = (false, false);
    while let Some(word) = words.next() {
        if word == "ago" && any {
            ago = true;
            continue;
        }
        any = true;
        if word.contains(':') {
            parts.micros += parse_clock(word)?;
            continue;
        }
        let (value, unit) = split_number(word)?;
        if let Some(months) = unit.strip_prefix('-') {
            // The SQL standard's years-months.
            let months: f64 = months.parse().ok()?;
            let negative = word.starts_with('-');
            parts.months += value * 12.0 + if negative { -months } else { months };
            continue;
        }
        if !unit.is_empty() {
            parts.add(value, unit)?;
            continue;
        }
        match words.peek() {
            Some(next) if next.starts_with(|c: char| c.is_ascii_alphabetic()) && *next != "ago" => {
                parts.add(value, next)?;
                words.next();
            }
            // `1 02:03:04` is a day and a time; a number alone is seconds.
            Some(next) if next.contains(':') => parts.add(value, "day")?,
            _ => parts.add(value, "second")?,
        }
    }
    any.then_some((parts, ago))
}

/// Microseconds of `[-]hh:mm[:ss[.ffffff]]`.
fn parse_clock(word: &str) -> Option<f64> {
    let negative = word.starts_with('-');
    let unsigned = word.strip_prefix(['+', '-']).unwrap_or(word);
    let fields: Vec<&str> = unsigned.split(':').collect();
    let whole = |part: &str| part.parse::<u32>().ok().map(f64::from);
    let seconds = match fields.as_slice() {
        [minutes, seconds] if seconds.contains('.') => {
            whole(minutes)? * 60.0 + seconds.parse::<f64>().ok()?
        }
        [hours, minutes] => (whole(hours)? * 60.0 + whole(minutes)?) * 60.0,
        [hours, minutes, seconds] => {
            let seconds: f64 = seconds.parse().ok()?;
            (whole(hours)? * 60.0 + whole(minutes)?) * 60.0 + seconds
        }
        _ => return None, // too many fields
    };
    let micros = (seconds * 1e6).round();
    Some(if negative { -micros } else { micros })
}
