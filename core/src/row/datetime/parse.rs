//! Dates and times from text: ISO 8601, PostgreSQL's words, and month names.
//!
//! Fields are read one by one and then put together; numbers separated by slashes or dashes are
//! month, day, year unless they begin with a year (`DateStyle = ISO, MDY`).

use super::calendar::{date_in_range, days_from_civil, days_in_month, timestamp_in_range};
use super::zone::{Zone, abbreviation};
use crate::base::error::{SqlError, SqlState, sqlstate};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
const DAYS_TO_2000: i64 = 10_957;

/// What words such as `now` and times without a zone are read by.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The transaction's start, microseconds since 2000-01-01 UTC.
    pub now: i64,
    /// The session's time zone.
    pub zone: &'a Zone,
}

/// Why text is no date, before it is known which type and text to name.
#[derive(Debug, Clone, Copy, Eq, PartialEq)]
enum Fault {
    Syntax,
    /// A field such as the month is out of range.
    Field,
    /// Digits in an order that another DateStyle may read.
    Order,
    Displacement,
}

fn refuse(fault: Fault, text: &str, type_name: &str) -> SqlError {
    let out_of_range = || {
        SqlError::new(
            sqlstate::DATETIME_FIELD_OVERFLOW,
            format!("date/time field value out of range: \"{text}\""),
        )
    };
    match fault {
        Fault::Syntax => SqlError::new(
            sqlstate::INVALID_DATETIME_FORMAT,
            format!("invalid input syntax for type {type_name}: \"{text}\""),
        ),
        Fault::Field => out_of_range(),
        Fault::Order => out_of_range().hint("Perhaps you need a different \"datestyle\" setting."),
        Fault::Displacement => SqlError::new(
            SqlState::new("22009"),
            format!("time zone displacement out of range: \"{text}\""),
        ),
    }
}

fn out_of_range(what: &str, text: &str) -> SqlError {
    SqlError::new(sqlstate::DATETIME_FIELD_OVERFLOW, format!("{what} out of range: \"{text}\""))
}

#[derive(Clone, Debug)]
enum Offset {
    Fixed(i32),
    Named(Zone),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Word {
    Infinity,
    MinusInfinity,
    Epoch,
    Now,
    /// Days from today.
    Day(i64),
}

#[derive(Default, Debug)]
struct Fields {
    word: Option<Word>,
    date: Option<(i64, i64, i64)>,
    month: Option<i64>,
    /// Numbers beside a month's name.
    numbers: Vec<(i64, usize)>,
    time: Option<i64>,
    afternoon: Option<bool>,
    before_christ: bool,
    offset: Option<Offset>,
}

/// The index of a month's or a day's name by its first three letters.
fn name_index(names: &[&str], word: &str) -> Option<i64> {
    let at = names.iter().position(|name| {
        3 <= word.len() && name.starts_with(word) || (*name == "september" && word == "sept")
    })?;
    i64::try_from(at).ok()
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] =
    ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.rest.as_bytes().first().copied()
    }
    fn take_while(&mut self, keep: impl Fn(u8) -> bool) -> &'a str {
        let len = self.rest.bytes().take_while(|byte| keep(*byte)).count();
        let (head, tail) = self.rest.split_at(len);
        self.rest = tail;
        head
    }
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }
    fn digits(&mut self) -> &'a str {
        self.take_while(|byte| byte.is_ascii_digit())
    }
}

fn number(digits: &str) -> Result<i64, Fault> {
    if digits.is_empty() {
        return Err(Fault::Syntax);
    }
    digits.parse().ok().filter(|n| *n < 100_000_000_000).ok_or(Fault::Field)
}

fn scan(text: &str) -> Result<Fields, Fault> {
    let lower = text.trim().to_ascii_lowercase();
    let mut fields = Fields::default();
    if !lower.is_ascii() || 128 < lower.len() || lower.is_empty() {
        return Err(Fault::Syntax);
    }
    let mut scanner = Scanner { rest: &lower };
    while let Some(byte) = scanner.peek() {
        match byte {
            b' ' | b'\t' | b'\n' | b',' => {
                scanner.rest = &scanner.rest[1..];
            }
            b'0'..=b'9' => scan_number(&mut scanner, &mut fields)?,
            b'+' | b'-' => scan_signed(&mut scanner, &mut fields)?,
            b'a'..=b'z' => scan_word(&mut scanner, &mut fields)?,
            _ => return Err(Fault::Syntax), // nothing else is part of a date
        }
    }
    finish_named_date(&mut fields)?;
    if let Some(afternoon) = fields.afternoon {
        let time = fields.time.as_mut().ok_or(Fault::Syntax)?;
        let hour = *time / (3_600 * SECOND);
        if hour == 0 || 12 < hour {
            return Err(Fault::Field);
        }
        if hour == 12 {
            *time -= 12 * 3_600 * SECOND;
        }
        if afternoon {
            *time += 12 * 3_600 * SECOND;
        }
    }
    Ok(fields)
}

fn scan_number(scanner: &mut Scanner<'_>, fields: &mut Fields) -> Result<(), Fault> {
    let digits = scanner.digits();
    match scanner.peek() {
        Some(b':') => {
            if fields.time.is_some() {
                return Err(Fault::Syntax);
            }
            fields.time = Some(scan_time(digits, scanner)?);
            Ok(())
        }
        Some(separator @ (b'-' | b'/' | b'.'))
            if fields.date.is_none() && fields.month.is_none() =>
        {
            scan_date(digits, separator, scanner, fields)
        }
        _ => {
            // A number without a separator: a packed date or time, or part of a date with a name.
            let value = number(digits)?;
            let dated = fields.date.is_some();
            match digits.len() {
                8 if !dated => {
                    let day = (value / 10_000, value / 100 % 100, value % 100);
                    return set_date(fields, day);
                }
                6 if !dated && fields.month.is_none() => {
                    let day = (two_digit_year(value / 10_000, 2), value / 100 % 100, value % 100);
                    return set_date(fields, day);
                }
                4 | 6 if dated && fields.time.is_none() => {
                    let packed = if digits.len() == 4 { value * 100 } else { value };
                    let fraction = scan_fraction(scanner)?;
                    let (hour, minute) = (packed / 10_000, packed / 100 % 100);
                    fields.time = Some(time_of(hour, minute, packed % 100, fraction)?);
                    return Ok(());
                }
                _ if dated => return Err(Fault::Syntax),
                _ => {} // kept for a month's name
            }
            fields.numbers.push((value, digits.len()));
            Ok(())
        }
    }
}

fn scan_fraction(scanner: &mut Scanner<'_>) -> Result<i64, Fault> {
    if !scanner.eat(b'.') {
        return Ok(0);
    }
    let digits = scanner.digits();
    if digits.is_empty() {
        return Ok(0);
    }
    // Rounded to microseconds as a double would be.
    let value: f64 = format!("0.{digits}").parse().map_err(|_| Fault::Syntax)?;
    Ok((value * 1e6).round_ties_even() as i64)
}

fn scan_time(hours: &str, scanner: &mut Scanner<'_>) -> Result<i64, Fault> {
    scanner.eat(b':');
    let (hour, minute) = (number(hours)?, number(scanner.digits())?);
    let second = if scanner.eat(b':') { number(scanner.digits())? } else { 0 };
    let fraction = scan_fraction(scanner)?;
    time_of(hour, minute, second, fraction)
}

fn time_of(hour: i64, minute: i64, second: i64, fraction: i64) -> Result<i64, Fault> {
    // Second 60 and hour 24 are allowed, as long as the day is not passed.
    if 59 < minute || 60 < second || 24 < hour {
        return Err(Fault::Field);
    }
    let micros = ((hour * 60 + minute) * 60 + second) * SECOND + fraction;
    if DAY < micros { Err(Fault::Field) } else { Ok(micros) }
}

fn two_digit_year(year: i64, digits: usize) -> i64 {
    match (digits, year) {
        (0..=2, 0..=69) => year + 2_000,
        (0..=2, _) => year + 1_900,
        _ => year,
    }
}

/// `1999-01-08`, `1/8/1999`, `8-Jan-1999`, `1999.01.08`.
fn scan_date(
    first: &str,
    separator: u8,
    scanner: &mut Scanner<'_>,
    fields: &mut Fields,
) -> Result<(), Fault> {
    scanner.eat(separator);
    let second = scanner.take_while(|byte| byte.is_ascii_alphanumeric());
    if !scanner.eat(separator) {
        return Err(Fault::Syntax);
    }
    let third = scanner.digits();
    let year_first = 3 <= first.len();
    if second.starts_with(|c: char| c.is_ascii_alphabetic()) {
        let month = name_index(&MONTHS, second).ok_or(Fault::Syntax)? + 1;
        let (year, day) = if year_first { (first, third) } else { (third, first) };
        let year = two_digit_year(number(year)?, year.len());
        return set_date(fields, (year, month, number(day)?));
    }
    let (first_number, second_number, third_number) =
        (number(first)?, number(second)?, number(third)?);
    if year_first {
        return set_date(fields, (first_number, second_number, third_number));
    }
    let year = two_digit_year(third_number, third.len());
    // Month 13 may be a day under another DateStyle; say so.
    if !(1..=12).contains(&first_number) {
        return Err(Fault::Order);
    }
    set_date(fields, (year, first_number, second_number))
}

fn set_date(fields: &mut Fields, date: (i64, i64, i64)) -> Result<(), Fault> {
    if fields.date.is_some() {
        return Err(Fault::Syntax);
    }
    fields.date = Some(date);
    Ok(())
}

/// `January 8, 1999` and its kin.
fn finish_named_date(fields: &mut Fields) -> Result<(), Fault> {
    let Some(month) = fields.month else {
        return if fields.numbers.is_empty() { Ok(()) } else { Err(Fault::Syntax) };
    };
    let (year, day) = match fields.numbers.as_slice() {
        [(first, digits), (second, _)] if 3 <= *digits => (*first, *second),
        [(first, _), (second, digits)] => (two_digit_year(*second, *digits), *first),
        _ => return Err(Fault::Syntax), // a day and a year belong to a month
    };
    set_date(fields, (year, month, day))
}

fn scan_signed(scanner: &mut Scanner<'_>, fields: &mut Fields) -> Result<(), Fault> {
    if scanner.rest.trim_end() == "-infinity" && fields.date.is_none() {
        scanner.rest = "";
        fields.word = Some(Word::MinusInfinity);
        return Ok(());
    }
    if fields.offset.is_some() || (fields.time.is_none() && fields.date.is_none()) {
        return Err(Fault::Syntax);
    }
    let text =
        scanner.take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b':'));
    let seconds = offset_seconds(text).ok_or(Fault::Syntax)?;
    if 16 * 3_600 <= seconds.abs() {
        return Err(Fault::Displacement);
    }
    fields.offset = Some(Offset::Fixed(seconds));
    Ok(())
}

/// Seconds of `+02`, `-0330`, `+5:30`, `-07:52:58`.
pub(super) fn offset_seconds(text: &str) -> Option<i32> {
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['+', '-'])?;
    let parts: Vec<&str> = unsigned.split(':').collect();
    if parts.iter().any(|part| part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit())) {
        return None;
    }
    let value = |part: &str| part.parse::<i32>().ok().filter(|value| *value < 1_000_000);
    let (hours, minutes, seconds) = match parts.as_slice() {
        [packed] if packed.len() <= 2 => (value(packed)?, 0, 0),
        [packed] if packed.len() <= 4 => (value(packed)? / 100, value(packed)? % 100, 0),
        [packed] if packed.len() == 6 => {
            let packed = value(packed)?;
            (packed / 10_000, packed / 100 % 100, packed % 100)
        }
        [hours, minutes] => (value(hours)?, value(minutes)?, 0),
        [hours, minutes, seconds] => (value(hours)?, value(minutes)?, value(seconds)?),
        _ => return None, // too many parts
    };
    if 59 < minutes || 59 < seconds || 168 < hours {
        return None;
    }
    let total = (hours * 60 + minutes) * 60 + seconds;
    Some(if negative { -total } else { total })
}

fn scan_word(scanner: &mut Scanner<'_>, fields: &mut Fields) -> Result<(), Fault> {
    let start = scanner.rest;
    let word = scanner.take_while(|byte| byte.is_ascii_alphabetic());
    // The separator of ISO 8601.
    if word == "t" && scanner.peek().is_some_and(|byte| byte.is_ascii_digit()) {
        return if fields.date.is_some() { Ok(()) } else { Err(Fault::Syntax) };
    }
    let special = match word {
        "infinity" | "inf" => Some(Word::Infinity),
        "epoch" => Some(Word::Epoch),
        "now" => Some(Word::Now),
        "today" => Some(Word::Day(0)),
        "tomorrow" => Some(Word::Day(1)),
        "yesterday" => Some(Word::Day(-1)),
        _ => None, // tried as other words below
    };
    if special.is_some() {
        if fields.word.is_some() || fields.date.is_some() {
            return Err(Fault::Syntax);
        }
        fields.word = special;
        return Ok(());
    }
    match word {
        "allballs" => {
            fields.time = Some(0);
            fields.offset = Some(Offset::Fixed(0));
            return Ok(());
        }
        "am" | "pm" => {
            fields.afternoon = Some(word == "pm");
            return Ok(());
        }
        "bc" | "ad" => {
            fields.before_christ = word == "bc";
            return Ok(());
        }
        "at" | "on" => return Ok(()),
        _ => {} // tried as a name below
    }
    if let Some(month) = name_index(&MONTHS, word) {
        if fields.month.is_some() || fields.date.is_some() {
            return Err(Fault::Syntax);
        }
        fields.month = Some(month + 1);
        // `Jan-08-1999`.
        if scanner.eat(b'-') {
            let day = scanner.digits();
            fields.numbers.push((number(day)?, day.len()));
            if scanner.eat(b'-') {
                let year = scanner.digits();
                fields.numbers.push((number(year)?, year.len()));
            }
        }
        return Ok(());
    }
    if name_index(&WEEKDAYS, word).is_some() {
        return Ok(());
    }
    scanner.rest = start;
    scan_zone(scanner, fields)
}

fn scan_zone(scanner: &mut Scanner<'_>, fields: &mut Fields) -> Result<(), Fault> {
    if fields.offset.is_some() {
        return Err(Fault::Syntax);
    }
    let name = scanner
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'+' | b'-' | b':'));
    fields.offset = Some(match abbreviation(name) {
        Some(seconds) => Offset::Fixed(seconds),
        None => Offset::Named(Zone::parse(name).map_err(|_| Fault::Syntax)?),
    });
    Ok(())
}

impl Fields {
    /// Days since 2000-01-01.
    fn days(&self) -> Result<i64, Fault> {
        let (year, month, day) = self.date.ok_or(Fault::Syntax)?;
        if year == 0 && !self.before_christ {
            return Err(Fault::Field);
        }
        let year = if self.before_christ { 1 - year } else { year };
        if !(1..=12).contains(&month) || day < 1 || days_in_month(year, month) < day {
            return Err(Fault::Field);
        }
        Ok(days_from_civil(year, month, day))
    }

    /// The offset that goes with a local time; the session's zone if none was given.
    fn offset_seconds(&self, local: i64, zone: &Zone) -> i32 {
        match &self.offset {
            Some(Offset::Fixed(seconds)) => *seconds,
            Some(Offset::Named(named)) => named.offset_for_local(local),
            None => zone.offset_for_local(local),
        }
    }
}

/// Reads a date.
///
/// # Errors
///
/// 22007 if it is none, 22008 if it is out of range.
pub fn parse_date(text: &str, moment: Moment<'_>) -> Result<i32, SqlError> {
    let fail = |fault| refuse(fault, text, "date");
    let fields = scan(text).map_err(fail)?;
    let today = moment.zone.to_local(moment.now).div_euclid(DAY);
    let days = match fields.word {
        Some(Word::Infinity) => return Ok(i32::MAX),
        Some(Word::MinusInfinity) => return Ok(i32::MIN),
        Some(Word::Epoch) => -DAYS_TO_2000,
        Some(Word::Now) => today,
        Some(Word::Day(days)) => today + days,
        None => fields.days().map_err(fail)?,
    };
    date_in_range(days).ok_or_else(|| out_of_range("date", text))
}

/// Reads a time of day.
///
/// # Errors
///
/// 22007 if it is none, 22008 if it is out of range.
pub fn parse_time(text: &str, moment: Moment<'_>) -> Result<i64, SqlError> {
    let fail = |fault| refuse(fault, text, "time");
    let bare = text.trim();
    if matches!(bare.len(), 4 | 6) && bare.bytes().all(|byte| byte.is_ascii_digit()) {
        let packed = number(bare).map_err(fail)? * if bare.len() == 4 { 100 } else { 1 };
        return time_of(packed / 10_000, packed / 100 % 100, packed % 100, 0).map_err(fail);
    }
    let fields = scan(text).map_err(fail)?;
    if fields.word == Some(Word::Now) {
        return Ok(moment.zone.to_local(moment.now).rem_euclid(DAY));
    }
    fields.time.ok_or_else(|| fail(Fault::Syntax))
}

/// Reads a timestamp without time zone; a zone in the text is ignored.
///
/// # Errors
///
/// 22007 if it is none, 22008 if it is out of range.
pub fn parse_timestamp(text: &str, moment: Moment<'_>) -> Result<i64, SqlError> {
    let fail = |fault| refuse(fault, text, "timestamp");
    let fields = scan(text).map_err(fail)?;
    let (local, _) = match read_local(&fields, moment).map_err(fail)? {
        Ok(local) => local,
        Err(special) => {
            return Ok(match special {
                Word::Now => moment.zone.to_local(moment.now),
                _ => word_micros(special), // the same in every zone
            });
        }
    };
    timestamp_in_range(local).ok_or_else(|| out_of_range("timestamp", text))
}

/// Reads a timestamp with time zone.
///
/// # Errors
///
/// 22007 if it is none, 22008 if it is out of range.
pub fn parse_timestamptz(text: &str, moment: Moment<'_>) -> Result<i64, SqlError> {
    let fail = |fault| refuse(fault, text, "timestamp with time zone");
    let fields = scan(text).map_err(fail)?;
    let (local, clamped) = match read_local(&fields, moment).map_err(fail)? {
        Ok(local) => local,
        Err(Word::Now) => return Ok(moment.now),
        Err(special) => return Ok(word_micros(special)),
    };
    let offset = fields.offset_seconds(clamped, moment.zone);
    let micros = local - i128::from(offset) * i128::from(SECOND);
    timestamp_in_range(micros).ok_or_else(|| out_of_range("timestamp", text))
}

fn word_micros(word: Word) -> i64 {
    match word {
        Word::Infinity => i64::MAX,
        Word::MinusInfinity => i64::MIN,
        Word::Epoch => -DAYS_TO_2000 * DAY,
        Word::Now | Word::Day(_) => 0, // handled by the callers
    }
}

/// Local microseconds, exact and clamped to 64 bits; or the word that stands for a moment.
fn read_local(fields: &Fields, moment: Moment<'_>) -> Result<Result<(i128, i64), Word>, Fault> {
    let days = match fields.word {
        Some(Word::Day(days)) => moment.zone.to_local(moment.now).div_euclid(DAY) + days,
        Some(word) => return Ok(Err(word)),
        None => fields.days()?,
    };
    let local = i128::from(days) * i128::from(DAY) + i128::from(fields.time.unwrap_or(0));
    let clamped = i64::try_from(local).unwrap_or(if local < 0 { i64::MIN } else { i64::MAX });
    Ok(Ok((local, clamped)))
}
