//! Text forms against PostgreSQL 15: `cases.tsv` holds what it answered.

use proptest::collection::vec;
use proptest::prelude::any;

use super::*;
use crate::row::binary::read_binary;

/// A type as PostgreSQL spells it, with modifiers and brackets.
pub(in crate::row) fn named_type(text: &str) -> DataType {
    if let Some(element) = text.strip_suffix("[]") {
        return DataType::array_of(named_type(element));
    }
    let (name, modifiers) = match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        Some((name, list)) => {
            (name, list.split(',').map(|number| number.parse().unwrap()).collect())
        }
        None => (text, Vec::new()),
    };
    DataType::from_sql_name(name, &modifiers).unwrap()
}

/// A result as the case files write it.
pub(in crate::row) fn shown(result: Result<Datum, SqlError>, ty: &DataType, zone: &Zone) -> String {
    match result {
        Ok(Datum::Null) => "ok\t\\N".to_owned(),
        Ok(datum) => {
            format!("ok\t{}", datum.to_text(ty, &RenderOptions::new(zone)).replace('\n', "\\n"))
        }
        Err(error) => format!("{}\t{}", error.state, error.message),
    }
}

/// Fails with all lines that differ.
pub(in crate::row) fn check_cases(file: &str, run: impl Fn(&[&str]) -> (usize, String)) {
    let mut wrong = String::new();
    let mut count = 0;
    for line in file.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let (inputs, got) = run(&fields);
        let expected = fields[inputs..].join("\t");
        count += 1;
        if got != expected {
            let _ = writeln!(wrong, "{:?}: {got:?}, not {expected:?}", &fields[..inputs]);
        }
    }
    assert!(50 < count, "only {count} cases");
    assert!(wrong.is_empty(), "{} differ:\n{wrong}", wrong.lines().count());
}

fn new_york() -> Zone {
    Zone::parse("America/New_York").unwrap()
}

#[test]
fn text_is_read_and_shown_as_postgres_does() {
    let zone = new_york();
    check_cases(include_str!("cases.tsv"), |fields| {
        let ty = named_type(fields[0]);
        let result = parse_text(&ty, fields[1], &Moment { now: 0, zone: &zone });
        (2, shown(result, &ty, &zone))
    });
}

/// Every value of the cases survives the binary format and a stored row.
#[test]
fn values_survive_their_binary_form() {
    let zone = new_york();
    for line in include_str!("cases.tsv").lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let ty = named_type(fields[0]);
        let context = Moment { now: 0, zone: &zone };
        let Ok(datum) = parse_text(&ty, fields[1], &context) else { continue };
        let mut bytes = Vec::new();
        datum.write_binary(&ty, &mut bytes);
        let back = read_binary(&ty, &bytes).unwrap();
        assert_eq!(format!("{back:?}"), format!("{datum:?}"), "{line}");
        let mut field = Vec::new();
        assert!(crate::row::codec::encode_field(&mut field, &ty, &datum), "{line}");
        let mut reader = crate::base::codec::Reader::new(&field);
        let stored = crate::row::codec::decode_field(&mut reader, &ty).unwrap();
        assert_eq!(format!("{stored:?}"), format!("{datum:?}"), "{line}");
    }
}

proptest::proptest! {
    #[test]
    fn binary_input_is_total(bytes in vec(any::<u8>(), 0..40)) {
        for name in ["numeric", "text[]", "numeric[]", "date", "timestamptz", "varchar(3)"] {
            let _ = read_binary(&named_type(name), &bytes);
        }
    }

    #[test]
    fn array_text_reads_back(items in vec("[a{},\" \\\\N]{0,4}", 0..5)) {
        let zone = Zone::utc();
        let array = Datum::array(DataType::Text, items.iter().map(|s| Datum::text(s)).collect());
        let ty = DataType::array_of(DataType::Text);
        let text = array.to_text(&ty, &RenderOptions::new(&zone));
        let back = parse_text(&ty, &text, &Moment { now: 0, zone: &zone }).unwrap();
        proptest::prop_assert_eq!(back, array);
    }
}
