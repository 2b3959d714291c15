//! Numbers against a model: 128-bit integers with a scale.

use proptest::prelude::*;

use super::Numeric;

fn scaled(value: i64, scale: u16) -> Numeric {
    Numeric::from_scaled(i128::from(value), scale)
}

/// `value / 10^scale` as text, the obvious way.
fn model_text(value: i128, scale: u16) -> String {
    let power = 10u128.pow(u32::from(scale));
    let magnitude = value.unsigned_abs();
    let sign = if value < 0 { "-" } else { "" };
    if scale == 0 {
        return format!("{sign}{magnitude}");
    }
    let width = usize::from(scale);
    format!("{sign}{}.{:0width$}", magnitude / power, magnitude % power)
}

/// Division of integers rounding half away from zero.
fn divide_round(value: i128, divisor: i128) -> i128 {
    let quotient = value.abs() / divisor.abs();
    let rest = value.abs() % divisor.abs();
    let rounded = quotient + i128::from(divisor.abs() <= rest * 2);
    if (value < 0) == (divisor < 0) { rounded } else { -rounded }
}

fn value() -> impl Strategy<Value = (i64, u16)> {
    let numbers = prop_oneof![
        -10_000i64..10_000,
        any::<i64>(),
        (0u32..18).prop_map(|e| 10i64.pow(e)),
        (0u32..18).prop_map(|e| -(10i64.pow(e) - 1)),
    ];
    (numbers, 0u16..9)
}

proptest! {
    #[test]
    fn text_agrees_with_the_model((v, s) in value()) {
        let number = scaled(v, s);
        let text = model_text(i128::from(v), s);
        prop_assert_eq!(number.to_string(), text.clone());
        let back = Numeric::parse(&text).unwrap();
        prop_assert_eq!(back.digits(), number.digits());
        prop_assert_eq!(back.weight(), number.weight());
        prop_assert_eq!(back.to_string(), text);
    }

    #[test]
    fn sums_agree_with_the_model((a, s) in value(), (b, t) in value()) {
        let scale = s.max(t);
        let widen = |v: i64, s: u16| i128::from(v) * 10i128.pow(u32::from(scale - s));
        let (left, right) = (widen(a, s), widen(b, t));
        let sum = scaled(a, s).add(&scaled(b, t)).unwrap();
        prop_assert_eq!(sum.to_string(), model_text(left + right, scale));
        let difference = scaled(a, s).sub(&scaled(b, t)).unwrap();
        prop_assert_eq!(difference.to_string(), model_text(left - right, scale));
        prop_assert_eq!(scaled(a, s).cmp(&scaled(b, t)), left.cmp(&right));
        if right != 0 {
            let rest = scaled(a, s).rem(&scaled(b, t)).unwrap();
            prop_assert_eq!(rest.to_string(), model_text(left % right, scale));
            let whole = scaled(a, s).div_trunc(&scaled(b, t)).unwrap();
            prop_assert_eq!(whole.to_string(), model_text(left / right, 0));
        }
    }

    #[test]
    fn products_agree_with_the_model((a, s) in value(), (b, t) in value()) {
        let product = scaled(a, s).mul(&scaled(b, t)).unwrap();
        prop_assert_eq!(product.to_string(), model_text(i128::from(a) * i128::from(b), s + t));
    }

    /// The quotient at its own scale is the true quotient rounded.
    #[test]
    fn quotients_agree_with_the_model(a in -1_000_000i64..1_000_000, b in 1i64..1_000_000) {
        let quotient = scaled(a, 0).div(&scaled(b, 0)).unwrap();
        let scale = quotient.dscale();
        prop_assert!((16..=24).contains(&scale), "scale {}", scale);
        let expected = divide_round(i128::from(a) * 10i128.pow(u32::from(scale)), i128::from(b));
        prop_assert_eq!(quotient.to_string(), model_text(expected, scale));
    }

    /// For divisors of several digits: quotient times divisor plus remainder gives the dividend.
    #[test]
    fn long_quotients_multiply_back(a in "[1-9][0-9]{0,60}", b in "[1-9][0-9]{0,30}") {
        let (a, b) = (Numeric::parse(&a).unwrap(), Numeric::parse(&b).unwrap());
        let (whole, rest) = (a.div_trunc(&b).unwrap(), a.rem(&b).unwrap());
        prop_assert!(rest < b);
        prop_assert!(!rest.is_negative());
        prop_assert_eq!(whole.mul(&b).unwrap().add(&rest).unwrap(), a);
    }

    #[test]
    fn rounding_agrees_with_the_model((v, s) in value(), places in -6i32..10) {
        let number = scaled(v, s);
        let drop = i32::from(s) - places;
        let rounded = number.round(places).unwrap();
        let cut = number.trunc(places).unwrap();
        let shown = u16::try_from(places.max(0)).unwrap();
        let (expected, expected_cut) = if 0 < drop {
            let unit = 10i128.pow(drop as u32);
            let back = 10i128.pow(u32::from(places < 0) * places.unsigned_abs());
            (divide_round(i128::from(v), unit) * back, i128::from(v) / unit * back)
        } else {
            let widened = i128::from(v) * 10i128.pow(drop.unsigned_abs());
            (widened, widened)
        };
        prop_assert_eq!(rounded.to_string(), model_text(expected, shown));
        prop_assert_eq!(cut.to_string(), model_text(expected_cut, shown));
    }

    /// A root's square is the nearest that its places allow.
    #[test]
    fn roots_square_back(text in "[1-9][0-9]{0,40}(\\.[0-9]{0,20})?") {
        let number = Numeric::parse(&text).unwrap();
        let root = number.sqrt().unwrap();
        let last_place = Numeric::parse(&format!("1e-{}", root.dscale())).unwrap();
        let half = Numeric::from_scaled(5, 1).mul(&last_place).unwrap();
        let square = |root: &Numeric| root.mul(root).unwrap();
        prop_assert!(square(&root.sub(&half).unwrap()) <= number, "{} is too large", root);
        prop_assert!(number <= square(&root.add(&half).unwrap()), "{} is too small", root);
    }

    #[test]
    fn integers_come_back(v in any::<i64>()) {
        prop_assert_eq!(Numeric::from(v).to_integer::<i64>("bigint").unwrap(), v);
    }

    #[test]
    fn any_text_gives_a_number_or_an_error(text in "[0-9eE+. -]{0,12}") {
        if let Ok(number) = Numeric::parse(&text) {
            prop_assert_eq!(Numeric::parse(&number.to_string()).unwrap(), number);
        }
    }
}
