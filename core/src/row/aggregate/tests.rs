//! Aggregates against PostgreSQL 15: `cases.tsv` holds what it answered.

use super::*;
use crate::row::datetime::{Moment, Zone};
use crate::row::text::parse_text;
use crate::row::text::tests::{check_cases, named_type, shown};

fn feed(call: &AggregateCall, values: &[Datum]) -> Result<Accumulator, SqlError> {
    let mut accumulator = Accumulator::new(call);
    for value in values {
        accumulator.update(&[value.clone(), Datum::text(", ")])?;
    }
    Ok(accumulator)
}

fn parse_case(fields: &[&str], zone: &Zone) -> (AggregateCall, Vec<Datum>) {
    let ty = named_type(fields[1]);
    let args = if fields[0] == "string_agg" {
        vec![DataType::Text, DataType::Text]
    } else {
        vec![ty.clone()]
    };
    let words = fields[2].split('|').filter(|word| *word != "(none)");
    let values = words.map(|word| match word {
        "\\N" => Datum::Null,
        _ => parse_text(&ty, word, &Moment { now: 0, zone }).unwrap(),
    });
    (resolve(fields[0], &args).unwrap(), values.collect())
}

#[test]
fn aggregates_agree_with_postgres() {
    let zone = Zone::parse("America/New_York").unwrap();
    check_cases(include_str!("cases.tsv"), |fields| {
        let (call, values) = parse_case(fields, &zone);
        let result = feed(&call, &values).and_then(|accumulator| accumulator.finish());
        (3, shown(result, &call.returns, &zone))
    });
}

/// Partial results of two shards merge to the result over all rows.
#[test]
fn partial_results_merge() {
    let zone = Zone::utc();
    let mut merged_count = 0;
    for line in include_str!("cases.tsv").lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let (call, values) = parse_case(&fields, &zone);
        // Sums of floats depend on their order; strings have lost their separators.
        let exact = !matches!(
            call.kind,
            AggregateKind::SpreadFloat { .. } | AggregateKind::StringAgg | AggregateKind::SumFloat4
        ) && !matches!(fields[1], "float4" | "float8");
        let Ok(whole) = feed(&call, &values).and_then(|whole| whole.finish()) else { continue };
        for split in (0..=values.len()).filter(|_| exact) {
            let mut left = feed(&call, &values[..split]).unwrap();
            let right = feed(&call, &values[split..]).unwrap();
            let bytes = crate::base::codec::to_versioned(1, &right);
            left.merge(crate::base::codec::from_versioned(1, &bytes).unwrap()).unwrap();
            assert_eq!(left.finish().unwrap(), whole, "{line} split at {split}");
            merged_count += 1;
        }
    }
    assert!(100 < merged_count, "only {merged_count} merges");
}
