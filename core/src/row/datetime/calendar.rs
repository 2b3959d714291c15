//! The proleptic Gregorian calendar around 2000-01-01.
//!
//! # Source
//!
//! Howard Hinnant, "chrono-compatible low-level date algorithms"; ranges from PostgreSQL 15's
//! `timestamp.h`.

use crate::base::time::Wall;

/// Days from 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i64 = 10_957;
/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// The first date: 4714-11-24 BC.
pub const DATE_MIN: i32 = -2_451_545;
/// The last date: 5874897-12-31.
pub const DATE_MAX: i32 = 2_145_031_948;
/// The first timestamp: midnight of [`DATE_MIN`].
pub const TIMESTAMP_MIN: i64 = -211_813_488_000_000_000;
/// The first moment after all timestamps: 294277-01-01.
pub const TIMESTAMP_END: i64 = 9_223_371_331_200_000_000;

/// Whether these are days of a date that PostgreSQL has.
pub fn date_in_range(days: i64) -> Option<i32> {
    i32::try_from(days).ok().filter(|days| (DATE_MIN..=DATE_MAX).contains(days))
}

/// Whether these are microseconds of a timestamp that PostgreSQL has.
pub fn timestamp_in_range(micros: i128) -> Option<i64> {
    i64::try_from(micros).ok().filter(|micros| (TIMESTAMP_MIN..TIMESTAMP_END).contains(micros))
}

/// Days since 2000-01-01 of a year (0 is 1 BC), month and day. The day may lie outside its month.
pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (if 2 < month { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468 - EPOCH_DAYS
}

/// Year (0 is 1 BC), month and day of days since 2000-01-01.
pub fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + EPOCH_DAYS + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Days of a month.
pub fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// 0 is Sunday.
pub fn day_of_week(days: i64) -> i64 {
    // 2000-01-01 was a Saturday.
    (days + 6).rem_euclid(7)
}

/// 1 is the first of January.
pub fn day_of_year(days: i64) -> i64 {
    days - days_from_civil(civil_from_days(days).0, 1, 1) + 1
}

/// The ISO 8601 year and week.
pub fn iso_week(days: i64) -> (i64, i64) {
    // The week belongs to the year of its Thursday.
    let thursday = days - (day_of_week(days) + 6) % 7 + 3;
    let year = civil_from_days(thursday).0;
    (year, (thursday - days_from_civil(year, 1, 1)) / 7 + 1)
}

/// Microseconds since 2000-01-01 UTC of a wall clock.
pub fn micros_from_wall(wall: Wall) -> i64 {
    wall.0.saturating_sub(EPOCH_DAYS * DAY)
}
