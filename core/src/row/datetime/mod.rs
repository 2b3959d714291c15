//! Dates, times, time zones and intervals: the calendar, and PostgreSQL's text forms of them.
//!
//! Moments are microseconds since 2000-01-01, as PostgreSQL stores them. Time zones are jiff's,
//! from the database bundled with it; everything else is computed here.

mod calendar;
mod fields;
mod interval_text;
mod parse;
mod render;
mod zone;

pub use calendar::{
    DATE_MAX, DATE_MIN, TIMESTAMP_END, TIMESTAMP_MIN, civil_from_days, date_in_range, day_of_week,
    day_of_year, days_from_civil, days_in_month, iso_week, micros_from_wall, timestamp_in_range,
};
pub use fields::{date_part, date_trunc, date_trunc_interval, interval_part};
pub use interval_text::{parse_interval, write_interval};
pub use parse::{Moment, parse_date, parse_time, parse_timestamp, parse_timestamptz};
pub use render::{write_date, write_time, write_timestamp, write_timestamptz};
pub use zone::Zone;

#[cfg(test)]
mod tests;
