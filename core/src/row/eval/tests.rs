//! Evaluation: three-valued logic, choice, travel, folding.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::base::codec::{from_versioned, to_versioned};
use crate::base::error::sqlstate;
use crate::row::datetime::Zone;
use crate::row::datum::Datum;
use crate::row::functions;
use crate::row::types::DataType;

fn int(value: i32) -> Expr {
    Expr::constant(Datum::Int4(value))
}

fn boolean(value: Option<bool>) -> Expr {
    Expr::Const(value.map_or(Datum::Null, Datum::Bool), DataType::Bool)
}

fn run(expr: &Expr) -> Datum {
    let zone = Zone::utc();
    eval(expr, &[Datum::Int4(5), Datum::Null], &EvalContext::new(&zone)).unwrap()
}

fn operator(name: &str, left: Expr, right: Expr) -> Expr {
    let int4 = DataType::Int4.oid();
    let found =
        functions::operators(name).iter().find(|op| op.left == int4 && op.right == int4).unwrap();
    let def = functions::by_id(found.function).unwrap();
    Expr::call(def, vec![left, right], DataType::from_oid(def.returns, -1).unwrap())
}

#[test]
fn and_and_or_follow_the_truth_tables() {
    let values = [Some(true), Some(false), None];
    for a in values {
        for b in values {
            let and = match (a, b) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            };
            let or = match (a, b) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            };
            let parts = || vec![boolean(a), boolean(b)];
            let datum = |value: Option<bool>| value.map_or(Datum::Null, Datum::Bool);
            assert_eq!(run(&Expr::And(parts())), datum(and));
            assert_eq!(run(&Expr::Or(parts())), datum(or));
        }
    }
}

#[test]
fn a_false_part_hides_the_error_behind_it() {
    let fails = operator("=", operator("/", int(1), int(0)), int(1));
    assert_eq!(run(&Expr::And(vec![boolean(Some(false)), fails.clone()])), Datum::Bool(false));
    let zone = Zone::utc();
    let error = eval(&fails, &[], &EvalContext::new(&zone)).unwrap_err();
    assert_eq!(error.state, sqlstate::DIVISION_BY_ZERO);
}

#[test]
fn strict_functions_of_null_are_null() {
    assert_eq!(run(&operator("+", Expr::Column(0), Expr::Column(1))), Datum::Null);
    assert_eq!(run(&operator("+", Expr::Column(0), int(2))), Datum::Int4(7));
    assert_eq!(run(&operator("<", Expr::Column(0), int(2))), Datum::Bool(false));
}

#[test]
fn in_lists_with_nulls_are_unknown_unless_found() {
    let list = |needle: i32, negated| Expr::InList {
        expr: Box::new(int(needle)),
        list: vec![int(1), Expr::Column(1)],
        negated,
    };
    assert_eq!(run(&list(1, false)), Datum::Bool(true));
    assert_eq!(run(&list(2, false)), Datum::Null);
    assert_eq!(run(&list(1, true)), Datum::Bool(false));
    assert_eq!(run(&list(2, true)), Datum::Null);
}

#[test]
fn any_and_all_look_at_every_element() {
    let array = Datum::array(DataType::Int4, vec![Datum::Int4(1), Datum::Int4(5)]);
    let quantified = |op, all| Expr::AnyAll {
        op,
        left: Box::new(Expr::Column(0)),
        array: Box::new(Expr::constant(array.clone())),
        all,
    };
    assert_eq!(run(&quantified(CompareOp::Eq, false)), Datum::Bool(true));
    assert_eq!(run(&quantified(CompareOp::Eq, true)), Datum::Bool(false));
    assert_eq!(run(&quantified(CompareOp::Ge, true)), Datum::Bool(true));
}

#[test]
fn case_takes_the_first_true_branch() {
    let case = Expr::Case {
        operand: Some(Box::new(Expr::Column(0))),
        branches: vec![(Expr::Column(1), int(1)), (int(5), int(2))],
        otherwise: Some(Box::new(int(3))),
    };
    assert_eq!(run(&case), Datum::Int4(2));
    let coalesce = Expr::Coalesce(vec![Expr::Column(1), Expr::Column(0)]);
    assert_eq!(run(&coalesce), Datum::Int4(5));
    assert_eq!(run(&Expr::NullIf(Box::new(int(5)), Box::new(Expr::Column(0)))), Datum::Null);
    let least = Expr::MinMax { greatest: false, args: vec![int(9), Expr::Column(1), int(4)] };
    assert_eq!(run(&least), Datum::Int4(4));
}

#[test]
fn distinct_from_treats_nulls_as_equal() {
    let distinct = |left, right| Expr::IsDistinct {
        left: Box::new(left),
        right: Box::new(right),
        negated: false,
    };
    assert_eq!(run(&distinct(Expr::Column(1), Expr::Column(1))), Datum::Bool(false));
    assert_eq!(run(&distinct(Expr::Column(0), Expr::Column(1))), Datum::Bool(true));
}

#[test]
fn depth_is_bounded() {
    let mut expr = int(1);
    for _ in 0..EXPR_DEPTH_MAX + 10 {
        expr = operator("+", expr, int(1));
    }
    let zone = Zone::utc();
    let error = eval(&expr, &[], &EvalContext::new(&zone)).unwrap_err();
    assert_eq!(error.state, sqlstate::STATEMENT_TOO_COMPLEX);
    assert!(from_versioned::<Expr>(1, &to_versioned(1, &expr)).is_err());
}

#[test]
fn folding_keeps_what_depends_on_the_row_or_fails() {
    let zone = Zone::utc();
    let context = EvalContext::new(&zone);
    let sum = operator("+", int(1), int(2));
    assert_eq!(const_fold(sum.clone(), &context), int(3));
    let mixed = operator("+", Expr::Column(0), sum);
    assert_eq!(const_fold(mixed, &context), operator("+", Expr::Column(0), int(3)));
    let fails = operator("/", int(1), int(0));
    assert_eq!(const_fold(fails.clone(), &context), fails);
    let and = Expr::And(vec![boolean(Some(true)), Expr::Column(0)]);
    assert_eq!(const_fold(and, &context), Expr::Column(0));
}

fn any_expr() -> BoxedStrategy<Expr> {
    let leaf = prop_oneof![
        any::<i32>().prop_map(int),
        (0usize..3).prop_map(Expr::Column),
        (0usize..3).prop_map(Expr::Param),
        "[a-c%_]{0,4}".prop_map(|text: String| Expr::constant(Datum::text(&text))),
        proptest::option::of(any::<bool>()).prop_map(boolean),
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        let many = proptest::collection::vec(inner.clone(), 0..4);
        let maybe = proptest::option::of(boxed.clone());
        prop_oneof![
            (boxed.clone(), boxed.clone()).prop_map(|(left, right)| Expr::Compare {
                op: CompareOp::Le,
                left,
                right
            }),
            many.clone().prop_map(Expr::And),
            (boxed.clone(), many.clone()).prop_map(|(expr, list)| Expr::InList {
                expr,
                list,
                negated: true
            }),
            (maybe.clone(), many.clone(), maybe.clone()).prop_map(|(operand, flat, otherwise)| {
                let branches = flat.chunks_exact(2).map(|c| (c[0].clone(), c[1].clone()));
                Expr::Case { operand, branches: branches.collect(), otherwise }
            }),
            (boxed.clone(), boxed.clone(), maybe.clone()).prop_map(|(expr, pattern, escape)| {
                Expr::Like { expr, pattern, escape, negated: false, case_insensitive: true }
            }),
            (boxed.clone(), maybe.clone(), maybe).prop_map(|(array, low, high)| Expr::Slice {
                array,
                low,
                high
            }),
            (boxed.clone(), boxed).prop_map(|(array, index)| Expr::Subscript {
                array,
                index,
                base: 1
            }),
        ]
    })
    .boxed()
}

proptest! {
    /// What arrives is what was sent.
    #[test]
    fn expressions_travel(expr in any_expr()) {
        let back: Expr = from_versioned(1, &to_versioned(1, &expr)).unwrap();
        prop_assert_eq!(back, expr);
    }

    #[test]
    fn any_bytes_are_an_expression_or_an_error(bytes in vec(any::<u8>(), 0..60)) {
        let _ = from_versioned::<Expr>(1, &bytes);
    }

    /// LIKE agrees with the obvious recursive definition.
    #[test]
    fn like_agrees_with_its_definition(text in "[ab]{0,8}", pattern in "[ab%_]{0,6}") {
        fn matches(text: &[u8], pattern: &[u8]) -> bool {
            match pattern.split_first() {
                None => text.is_empty(),
                Some((b'%', rest)) => (0..=text.len()).any(|at| matches(&text[at..], rest)),
                Some((b'_', rest)) => !text.is_empty() && matches(&text[1..], rest),
                Some((c, rest)) => text.first() == Some(c) && matches(&text[1..], rest),
            }
        }
        let expected = matches(text.as_bytes(), pattern.as_bytes());
        prop_assert_eq!(like_matches(&text, &pattern, Some('\\')).unwrap(), expected);
    }
}

#[test]
fn casts_agree_with_postgres() {
    use crate::row::text::tests::{check_cases, named_type, shown};
    let zone = Zone::parse("America/New_York").unwrap();
    let context = EvalContext::new(&zone);
    check_cases(include_str!("cases.tsv"), |fields| {
        let (from, to) = (named_type(fields[0]), named_type(fields[1]));
        let input = cast(&Datum::text(fields[2]), &DataType::Unknown, &from, true, &context);
        let result = input.and_then(|datum| cast(&datum, &from, &to, true, &context));
        (3, shown(result, &to, &zone))
    });
}
