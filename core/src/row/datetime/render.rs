//! Dates and times as ISO text (PostgreSQL's `DateStyle = ISO`).

use std::fmt::Write as _;

use super::calendar::civil_from_days;
use super::zone::Zone;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Two digits, without the cost of the formatter.
fn two(out: &mut String, value: i64) {
    out.push(char::from(b'0' + (value / 10 % 10) as u8));
    out.push(char::from(b'0' + (value % 10) as u8));
}

fn write_day(out: &mut String, days: i64) -> bool {
    let (year, month, day) = civil_from_days(days);
    let before_christ = year <= 0;
    let shown = if before_christ { 1 - year } else { year };
    if (1_000..10_000).contains(&shown) {
        two(out, shown / 100);
        two(out, shown % 100);
    } else {
        // Writing to a String does not fail.
        let _ = write!(out, "{shown:04}");
    }
    out.push('-');
    two(out, month);
    out.push('-');
    two(out, day);
    before_christ
}

/// Appends a date.
pub fn write_date(out: &mut String, days: i32) {
    match days {
        i32::MAX => out.push_str("infinity"),
        i32::MIN => out.push_str("-infinity"),
        _ => {
            if write_day(out, i64::from(days)) {
                out.push_str(" BC");
            }
        }
    }
}

/// Appends a time of day.
pub fn write_time(out: &mut String, micros: i64) {
    let seconds = micros / SECOND;
    two(out, seconds / 3_600);
    out.push(':');
    two(out, seconds / 60 % 60);
    out.push(':');
    two(out, seconds % 60);
    write_fraction(out, micros % SECOND);
}

/// Appends `.` and the microseconds without zeros at the end; nothing for none.
pub(super) fn write_fraction(out: &mut String, micros: i64) {
    if micros != 0 {
        let _ = write!(out, ".{micros:06}");
        out.truncate(out.trim_end_matches('0').len());
    }
}

/// Appends seconds east of Greenwich: `+02`, `-03:30`, `+00:53:28`.
pub(super) fn write_offset(out: &mut String, seconds_east: i32) {
    out.push(if seconds_east < 0 { '-' } else { '+' });
    let seconds = i64::from(seconds_east).abs();
    two(out, seconds / 3_600);
    if seconds % 3_600 != 0 {
        out.push(':');
        two(out, seconds / 60 % 60);
    }
    if seconds % 60 != 0 {
        out.push(':');
        two(out, seconds % 60);
    }
}

/// Appends a timestamp without time zone.
pub fn write_timestamp(out: &mut String, micros: i64) {
    write_moment(out, micros, None);
}

/// Appends a timestamp with time zone, in local time of `zone`.
pub fn write_timestamptz(out: &mut String, micros: i64, zone: &Zone) {
    write_moment(out, micros, Some(zone));
}

fn write_moment(out: &mut String, micros: i64, zone: Option<&Zone>) {
    match micros {
        i64::MAX => return out.push_str("infinity"),
        i64::MIN => return out.push_str("-infinity"),
        _ => {} // finite
    }
    let offset = zone.map_or(0, |zone| zone.offset_at(micros));
    let local = micros.saturating_add(i64::from(offset) * SECOND);
    let before_christ = write_day(out, local.div_euclid(DAY));
    out.push(' ');
    write_time(out, local.rem_euclid(DAY));
    if zone.is_some() {
        write_offset(out, offset);
    }
    if before_christ {
        out.push_str(" BC");
    }
}
