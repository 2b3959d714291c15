//! Laws of keys and rows.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::base::codec::Reader;
use crate::row::datum::Datum;
use crate::row::interval::Interval;
use crate::row::numeric::Numeric;
use crate::row::types::DataType;

fn any_numeric() -> BoxedStrategy<Datum> {
    let finite = (any::<i64>(), 0u16..20)
        .prop_map(|(value, scale)| Numeric::from_scaled(i128::from(value), scale));
    let small =
        (-300i128..300, 0u16..6).prop_map(|(value, scale)| Numeric::from_scaled(value, scale));
    prop_oneof![
        6 => finite,
        6 => small,
        1 => Just(Numeric::nan()),
        1 => any::<bool>().prop_map(Numeric::infinity),
    ]
    .prop_map(Datum::Numeric)
    .boxed()
}

fn any_text() -> BoxedStrategy<Datum> {
    // Few characters, so that prefixes and zero bytes meet.
    prop_oneof!["[\u{0}\u{1}a\u{ff}]{0,6}", ".{0,12}"]
        .prop_map(|s: String| s.into())
        .prop_map(Datum::Text)
        .boxed()
}

fn any_bytes() -> BoxedStrategy<Datum> {
    vec(prop_oneof![Just(0u8), Just(1), Just(0xfe), Just(0xff), any::<u8>()], 0..8)
        .prop_map(|bytes| Datum::Bytea(bytes.into()))
        .boxed()
}

fn any_float() -> BoxedStrategy<Datum> {
    prop_oneof![any::<f64>(), Just(0.0), Just(-0.0), Just(f64::NAN), -3.0..3.0f64]
        .prop_map(Datum::Float8)
        .boxed()
}

fn small_or_any_i64() -> BoxedStrategy<i64> {
    prop_oneof![-3i64..3, any::<i64>()].boxed()
}

/// Values of one type, with nulls.
fn any_of(ty: &DataType) -> BoxedStrategy<Datum> {
    let value = match ty {
        DataType::Bool => any::<bool>().prop_map(Datum::Bool).boxed(),
        DataType::Int2 => any::<i16>().prop_map(Datum::Int2).boxed(),
        DataType::Int4 => any::<i32>().prop_map(Datum::Int4).boxed(),
        DataType::Int8 => small_or_any_i64().prop_map(Datum::Int8).boxed(),
        DataType::Float4 => any::<f32>().prop_map(Datum::Float4).boxed(),
        DataType::Float8 => any_float(),
        DataType::Numeric { .. } => any_numeric(),
        DataType::Text => any_text(),
        DataType::Bytea => any_bytes(),
        DataType::Date => any::<i32>().prop_map(Datum::Date).boxed(),
        DataType::Time => (0..=86_400_000_000i64).prop_map(Datum::Time).boxed(),
        DataType::Timestamp => small_or_any_i64().prop_map(Datum::Timestamp).boxed(),
        DataType::Timestamptz => any::<i64>().prop_map(Datum::Timestamptz).boxed(),
        DataType::Interval => (-3i32..3, -40i32..40, small_or_any_i64())
            .prop_map(|(months, days, micros)| Datum::Interval(Interval { months, days, micros }))
            .boxed(),
        DataType::Uuid => any::<u128>().prop_map(Datum::Uuid).boxed(),
        DataType::Oid => any::<u32>().prop_map(Datum::Oid).boxed(),
        DataType::Array(element) => {
            let element = (**element).clone();
            vec(any_of(&element), 0..4)
                .prop_map(move |items| Datum::array(element.clone(), items))
                .boxed()
        }
        _ => unreachable!("not among `types`"),
    };
    prop_oneof![1 => Just(Datum::Null), 9 => value].boxed()
}

fn types() -> Vec<DataType> {
    let mut types = vec![
        DataType::Bool,
        DataType::Int2,
        DataType::Int4,
        DataType::Int8,
        DataType::Float4,
        DataType::Float8,
        DataType::NUMERIC,
        DataType::Text,
        DataType::Bytea,
        DataType::Date,
        DataType::Time,
        DataType::Timestamp,
        DataType::Timestamptz,
        DataType::Interval,
        DataType::Uuid,
        DataType::Oid,
    ];
    types.push(DataType::array_of(DataType::Text));
    types.push(DataType::array_of(DataType::NUMERIC));
    types
}

fn any_type() -> BoxedStrategy<DataType> {
    proptest::sample::select(types()).boxed()
}

/// Two values of one type, equal now and then.
fn any_pair() -> BoxedStrategy<(DataType, Datum, Datum)> {
    any_type()
        .prop_flat_map(|ty| {
            let pair = (any_of(&ty), any_of(&ty), 0..5).prop_map(|(left, right, same)| {
                if same == 0 { (left.clone(), left) } else { (left, right) }
            });
            (Just(ty), pair)
        })
        .prop_map(|(ty, (left, right))| (ty, left, right))
        .boxed()
}

fn any_row() -> BoxedStrategy<(Vec<DataType>, Vec<Datum>)> {
    vec(any_type(), 0..9)
        .prop_flat_map(|types| {
            let row: Vec<_> = types.iter().map(any_of).collect();
            (Just(types), row)
        })
        .boxed()
}

fn key(datum: &Datum, desc: bool) -> Vec<u8> {
    let mut out = Vec::new();
    encode_key_column(&mut out, datum, desc);
    out
}

/// Equality that also sees what ordering does not: scales, months against days, bits of floats.
fn same(left: &Datum, right: &Datum) -> bool {
    format!("{left:?}") == format!("{right:?}")
}

proptest! {
    /// Encoded keys sort as the values they encode. Scans depend on nothing else.
    #[test]
    fn key_order_is_value_order((_, left, right) in any_pair()) {
        let order = left.compare(&right);
        prop_assert_eq!(key(&left, false).cmp(&key(&right, false)), order);
        prop_assert_eq!(key(&left, true).cmp(&key(&right, true)), order.reverse());
    }

    /// No column's bytes begin another column's, so columns in a row keep the order.
    #[test]
    fn keys_are_prefix_free((_, left, right) in any_pair()) {
        if left != right {
            prop_assert!(!key(&left, false).starts_with(&key(&right, false)));
            prop_assert!(!key(&left, true).starts_with(&key(&right, true)));
        }
    }

    #[test]
    fn keys_round_trip((types, row) in any_row(), descs in vec(any::<bool>(), 9)) {
        let mut bytes = Vec::new();
        for (datum, desc) in row.iter().zip(&descs) {
            encode_key_column(&mut bytes, datum, *desc);
        }
        let mut reader = KeyReader::new(&bytes);
        for ((datum, ty), desc) in row.iter().zip(&types).zip(&descs) {
            let back = decode_key_column(&mut reader, ty, *desc).unwrap();
            prop_assert_eq!(&back, datum);
        }
        prop_assert!(reader.rest().is_empty());
    }

    #[test]
    fn rows_round_trip((types, row) in any_row(), hash in any::<u16>()) {
        let bytes = RowEncoder::new(types.clone(), 7).encode(hash, &row).unwrap();
        let (header, _) = ValueHeader::decode(&bytes).unwrap();
        prop_assert_eq!(header, ValueHeader { flags: 0, hash16: hash, schema_version: 7 });
        let mut back = Vec::new();
        RowDecoder::new(types, Vec::new()).decode(&bytes, &mut back).unwrap();
        prop_assert_eq!(back.len(), row.len());
        for (back, datum) in back.iter().zip(&row) {
            prop_assert!(same(back, datum), "{:?} came back as {:?}", datum, back);
        }
    }

    /// Sparse decoding gives the same values for the columns asked for and nulls for the rest.
    #[test]
    fn sparse_rows_agree_with_full_ones((types, row) in any_row(), mask in any::<u16>()) {
        let bytes = RowEncoder::new(types.clone(), 1).encode(0, &row).unwrap();
        let wanted: Vec<usize> = (0..row.len()).filter(|at| mask >> at & 1 == 1).collect();
        let mut back = vec![Datum::Bool(true)];
        RowDecoder::new(types, Vec::new()).decode_sparse(&bytes, &wanted, &mut back).unwrap();
        prop_assert_eq!(back.len(), row.len() + 1);
        for (at, datum) in row.iter().enumerate() {
            let expected = if wanted.contains(&at) { datum } else { &Datum::Null };
            prop_assert!(same(&back[at + 1], expected));
        }
    }

    /// Any bytes give a value or an error.
    #[test]
    fn decoding_is_total(types in vec(any_type(), 1..6), bytes in vec(any::<u8>(), 0..64)) {
        let mut reader = KeyReader::new(&bytes);
        let mut out = Vec::new();
        let _ = decode_key_column(&mut reader, &types[0], bytes.len() % 2 == 0);
        let _ = decode_field(&mut Reader::new(&bytes), &types[0]);
        let _ = RowDecoder::new(types, Vec::new()).decode(&bytes, &mut out);
    }

    /// A row with a few bytes changed gives a value or an error, and no panic.
    #[test]
    fn decoding_survives_damage((types, row) in any_row(), at in any::<usize>(), bit in 0u8..8) {
        let mut bytes = RowEncoder::new(types.clone(), 1).encode(0, &row).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= 1u8 << bit;
        let _ = RowDecoder::new(types, Vec::new()).decode(&bytes, &mut Vec::new());
    }

    #[test]
    fn datums_travel_between_nodes((_, row) in any_row()) {
        let bytes = crate::base::codec::to_versioned(1, &row);
        let back: Vec<Datum> = crate::base::codec::from_versioned(1, &bytes).unwrap();
        prop_assert_eq!(format!("{back:?}"), format!("{row:?}"));
    }
}

#[test]
fn missing_columns_take_their_defaults() {
    let old = RowEncoder::new(vec![DataType::Int4], 1).encode(3, &[Datum::Int4(5)]).unwrap();
    let types = vec![DataType::Int4, DataType::Text, DataType::Bool];
    let decoder = RowDecoder::new(types, vec![Datum::Null, Datum::text("new")]);
    let mut row = Vec::new();
    decoder.decode(&old, &mut row).unwrap();
    assert_eq!(row, [Datum::Int4(5), Datum::text("new"), Datum::Null]);
}

#[test]
fn integers_of_all_widths_meet_in_one_shard() {
    let hash = hash16(&[Datum::Int8(42)]);
    assert_eq!(hash16(&[Datum::Int2(42)]), hash);
    assert_eq!(hash16(&[Datum::Int4(42)]), hash);
    assert_ne!(hash16(&[Datum::Int4(43)]), hash);
    let scaled =
        |scale| hash16(&[Datum::Numeric(Numeric::from_scaled(10i128.pow(scale), scale as u16))]);
    assert_eq!(scaled(0), scaled(3));
}

#[test]
fn a_value_of_another_type_is_refused() {
    let encoder = RowEncoder::new(vec![DataType::Int4], 1);
    assert!(encoder.encode(0, &[Datum::text("x")]).is_err());
    assert!(encoder.encode(0, &[]).is_err());
}

/// The bytes on disk must not change by accident.
#[test]
fn formats_are_pinned() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&key(&Datum::Int4(1), false)), "0180000001");
    assert_eq!(hex(&key(&Datum::Int4(1), true)), "fe7ffffffe");
    assert_eq!(hex(&key(&Datum::text("a\0b"), false)), "016100ff620001");
    assert_eq!(hex(&key(&Datum::Null, false)), "02");
    let number = Datum::Numeric(Numeric::parse("-12345.6").unwrap());
    assert_eq!(hex(&key(&number, false)), "01017ffefffdf6d5e88effff");
    let types = vec![DataType::Int4, DataType::Text, DataType::Int8, DataType::NUMERIC];
    let row = [
        Datum::Int4(7),
        Datum::text("hi"),
        Datum::Null,
        Datum::Numeric(Numeric::parse("1.50").unwrap()),
    ];
    let bytes = RowEncoder::new(types, 300).encode(0xabcd, &row).unwrap();
    assert_eq!(hex(&bytes), "00abcdac0204040700000002686909000000020001008813");
}
