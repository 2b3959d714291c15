//! Time zones: fixed offsets, and the zones of the bundled database.
//!
//! # Source
//!
//! PostgreSQL 15: `DetermineTimeZoneOffset` for local times that a change of the clock skips or
//! repeats.

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use super::calendar::civil_from_days;
use crate::base::error::{SqlError, sqlstate};

const SECOND: i64 = 1_000_000;
/// Seconds from 1970-01-01 to 2000-01-01.
const EPOCH_SECONDS: i64 = 10_957 * 86_400;

/// A time zone with the name by which it is shown.
#[derive(Clone)]
pub struct Zone {
    name: String,
    rule: Rule,
}

#[derive(Clone)]
enum Rule {
    /// Seconds east of Greenwich.
    Fixed(i32),
    Named(TimeZone),
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.name)
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::utc()
    }
}

impl Zone {
    /// Coordinated universal time.
    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), rule: Rule::Fixed(0) }
    }

    /// A fixed offset, in seconds east of Greenwich.
    pub fn fixed(seconds_east: i32) -> Self {
        let mut name = String::from("<");
        super::render::write_offset(&mut name, seconds_east);
        name.push('>');
        Self { name, rule: Rule::Fixed(seconds_east) }
    }

    /// The zone of a name as in `SET TimeZone`: a name of the database in any case, `UTC`, an
    /// abbreviation, hours east such as `-8`, or POSIX `XYZ+3` (hours west).
    ///
    /// # Errors
    ///
    /// 22023 if there is no such zone.
    pub fn parse(name: &str) -> Result<Self, SqlError> {
        let trimmed = name.trim();
        if let Ok(hours) = trimmed.parse::<f64>()
            && hours.abs() <= 15.99
        {
            return Ok(Self::fixed((hours * 3_600.0).round() as i32));
        }
        if matches!(trimmed.to_ascii_uppercase().as_str(), "UTC" | "ETC/UTC" | "Z" | "ZULU") {
            let shown = if trimmed.contains('/') { "Etc/UTC" } else { "UTC" };
            return Ok(Self { name: shown.to_owned(), rule: Rule::Fixed(0) });
        }
        if let Ok(found) = TimeZoneDatabase::bundled().get(trimmed) {
            let shown = found.iana_name().unwrap_or(trimmed).to_owned();
            return Ok(Self { name: shown, rule: Rule::Named(found) });
        }
        if let Some(seconds) = abbreviation(&trimmed.to_ascii_lowercase()) {
            let name = trimmed.to_ascii_uppercase();
            return Ok(Self { name, rule: Rule::Fixed(seconds) });
        }
        Self::posix(trimmed).ok_or_else(|| {
            let message = format!("time zone \"{name}\" not recognized");
            SqlError::new(sqlstate::INVALID_PARAMETER_VALUE, message)
        })
    }

    /// `XYZ+3`, `XYZ-05:30`: hours west of Greenwich behind letters, or in angle brackets.
    fn posix(text: &str) -> Option<Self> {
        let at = if text.starts_with('<') {
            text.find('>')? + 1
        } else {
            text.find(|c: char| !c.is_ascii_alphabetic())?
        };
        let (letters, offset) = text.split_at(at);
        if letters.len() < 3 {
            return None;
        }
        let seconds = super::parse::offset_seconds(offset)?;
        Some(Self { name: text.to_owned(), rule: Rule::Fixed(-seconds) })
    }

    /// The name that `SHOW TimeZone` shows.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Seconds east of Greenwich at a moment (microseconds since 2000-01-01 UTC).
    pub fn offset_at(&self, micros: i64) -> i32 {
        match &self.rule {
            Rule::Fixed(seconds) => *seconds,
            Rule::Named(zone) => {
                let seconds = micros.div_euclid(SECOND) + EPOCH_SECONDS;
                let (min, max) =
                    (jiff::Timestamp::MIN.as_second(), jiff::Timestamp::MAX.as_second());
                // Beyond year 9999 the rules of the last year hold.
                jiff::Timestamp::from_second(seconds.clamp(min, max))
                    .map_or(0, |moment| zone.to_offset(moment).seconds())
            }
        }
    }

    /// The abbreviation in use at a moment, such as `EDT`.
    pub fn abbreviation_at(&self, micros: i64) -> String {
        match &self.rule {
            Rule::Fixed(_) => self.name.clone(),
            Rule::Named(zone) => {
                let seconds = micros.div_euclid(SECOND) + EPOCH_SECONDS;
                let (min, max) =
                    (jiff::Timestamp::MIN.as_second(), jiff::Timestamp::MAX.as_second());
                jiff::Timestamp::from_second(seconds.clamp(min, max)).map_or_else(
                    |_| self.name.clone(),
                    |moment| zone.to_offset_info(moment).abbreviation().to_owned(),
                )
            }
        }
    }

    /// Local time (microseconds) at a moment.
    pub fn to_local(&self, micros: i64) -> i64 {
        micros.saturating_add(i64::from(self.offset_at(micros)) * SECOND)
    }

    /// Seconds east of Greenwich for a local time. A time that the clock skipped is read by the old
    /// offset, a time that came twice by the new one.
    pub fn offset_for_local(&self, local_micros: i64) -> i32 {
        let zone = match &self.rule {
            Rule::Fixed(seconds) => return *seconds,
            Rule::Named(zone) => zone,
        };
        let Some(civil) = civil_time(local_micros) else {
            return self.offset_at(local_micros);
        };
        match zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.seconds(),
            AmbiguousOffset::Gap { before, .. } => before.seconds(),
            AmbiguousOffset::Fold { after, .. } => after.seconds(),
        }
    }

    /// The moment of a local time.
    pub fn to_utc(&self, local_micros: i64) -> i64 {
        let offset = self.offset_for_local(local_micros);
        local_micros.saturating_sub(i64::from(offset) * SECOND)
    }
}

fn civil_time(local_micros: i64) -> Option<DateTime> {
    let day = 86_400 * SECOND;
    let (year, month, date) = civil_from_days(local_micros.div_euclid(day));
    let seconds = local_micros.rem_euclid(day) / SECOND;
    DateTime::new(
        i16::try_from(year).ok()?,
        i8::try_from(month).ok()?,
        i8::try_from(date).ok()?,
        i8::try_from(seconds / 3_600).ok()?,
        i8::try_from(seconds / 60 % 60).ok()?,
        i8::try_from(seconds % 60).ok()?,
        0,
    )
    .ok()
}

/// Seconds east of Greenwich for the abbreviations that people write most.
pub(super) fn abbreviation(lower: &str) -> Option<i32> {
    let hours = match lower {
        "z" | "utc" | "gmt" | "zulu" | "uct" | "wet" => 0,
        "bst" | "cet" | "met" | "west" => 1,
        "cest" | "eet" | "sast" | "mest" => 2,
        "eest" | "msk" => 3,
        "jst" | "kst" => 9,
        "aest" => 10,
        "nzst" => 12,
        "nzdt" => 13,
        "ast" | "edt" => -4,
        "adt" => -3,
        "est" | "cdt" => -5,
        "cst" | "mdt" => -6,
        "mst" | "pdt" => -7,
        "pst" | "akdt" => -8,
        "akst" => -9,
        "hst" => -10,
        "ist" => return Some(2 * 3_600),
        _ => return None, // not an abbreviation that we know
    };
    Some(hours * 3_600)
}
