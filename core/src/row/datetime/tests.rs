//! The calendar and time zones; text forms are tested in `text`.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn days_and_dates_are_inverse(days in DATE_MIN..=DATE_MAX) {
        let (year, month, day) = civil_from_days(i64::from(days));
        prop_assert_eq!(days_from_civil(year, month, day), i64::from(days));
        prop_assert!((1..=12).contains(&month) && 1 <= day && day <= days_in_month(year, month));
    }

    #[test]
    fn timestamps_read_back(micros in TIMESTAMP_MIN..TIMESTAMP_END) {
        let zone = Zone::parse("America/New_York").unwrap();
        let moment = Moment { now: 0, zone: &zone };
        let mut text = String::new();
        write_timestamp(&mut text, micros);
        prop_assert_eq!(parse_timestamp(&text, moment).unwrap(), micros);
        text.clear();
        write_timestamptz(&mut text, micros, &zone);
        prop_assert_eq!(parse_timestamptz(&text, moment).unwrap(), micros, "{}", text);
    }

    #[test]
    fn intervals_read_back(months in -5_000..5_000, days in -900..900, micros in any::<i32>()) {
        let interval = crate::row::interval::Interval { months, days, micros: i64::from(micros) };
        let mut text = String::new();
        write_interval(&mut text, &interval);
        let back = parse_interval(&text).unwrap();
        prop_assert_eq!((back.months, back.days, back.micros), (months, days, i64::from(micros)));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[0-9a-z:+/. -]{0,24}") {
        let zone = Zone::utc();
        let moment = Moment { now: 0, zone: &zone };
        let _ = parse_timestamptz(&text, moment);
        let _ = parse_date(&text, moment);
        let _ = parse_time(&text, moment);
        let _ = parse_interval(&text);
    }
}

#[test]
fn skipped_and_repeated_times_follow_postgres() {
    let zone = Zone::parse("america/new_york").unwrap();
    assert_eq!(zone.name(), "America/New_York");
    let moment = Moment { now: 0, zone: &zone };
    let show = |text: &str| {
        let mut out = String::new();
        write_timestamptz(&mut out, parse_timestamptz(text, moment).unwrap(), &zone);
        out
    };
    assert_eq!(show("2024-03-10 02:30:00"), "2024-03-10 03:30:00-04");
    assert_eq!(show("2024-11-03 01:30:00"), "2024-11-03 01:30:00-05");
}

#[test]
fn ranges_are_those_of_postgres() {
    assert_eq!(civil_from_days(i64::from(DATE_MIN)), (-4713, 11, 24));
    assert_eq!(civil_from_days(i64::from(DATE_MAX)), (5_874_897, 12, 31));
    assert_eq!(TIMESTAMP_MIN, i64::from(DATE_MIN) * 86_400_000_000);
    assert_eq!(TIMESTAMP_END, days_from_civil(294_277, 1, 1) * 86_400_000_000);
}
