//! JSON against PostgreSQL's forms.

use proptest::prelude::*;

use super::*;

#[test]
fn canonical_text_is_that_of_jsonb() {
    for (text, shown) in [
        (r#"{"bb":1,"a":[1,2.50,"x"],"a":null}"#, r#"{"a": null, "bb": 1}"#),
        (r#" [ ] "#, "[]"),
        (r#"{"a":{}}"#, r#"{"a": {}}"#),
        (r#""\u00e9\n\"""#, r#""é\n\"""#),
        (r#""\ud83d\ude00""#, "\"😀\""),
        ("1e3", "1000"),
        ("-0.10", "-0.10"),
        ("true", "true"),
    ] {
        assert_eq!(canonical(text).unwrap(), shown);
    }
}

#[test]
fn bad_json_is_refused() {
    for text in ["", "{", "[1,]", "{\"a\" 1}", "01", "1.", "'a'", "nul", "[1] 2", "\"a", "\"\\x\""]
    {
        assert!(check(text).is_err(), "{text}");
    }
    assert!(check(&"[".repeat(100_000)).is_err());
    assert!(canonical(r#""\u0000""#).is_err());
}

#[test]
fn containment_follows_postgres() {
    let json = |text: &str| parse(text, "json").unwrap().canonical();
    for (left, right, contained) in [
        ("[1,2,3]", "[3,1]", true),
        ("[1,2,[1,3]]", "[1,3]", false),
        ("[1,2,[1,3]]", "[[1,3]]", true),
        (r#"{"a":{"b":1,"c":2}}"#, r#"{"a":{"b":1}}"#, true),
        (r#"{"a":{"b":1}}"#, r#"{"b":1}"#, false),
        ("[\"x\"]", "\"x\"", true),
        ("\"x\"", "[\"x\"]", false),
    ] {
        assert_eq!(json(left).contains(&json(right)), contained, "{left} @> {right}");
    }
}

proptest! {
    #[test]
    fn any_text_is_json_or_an_error(text in r#"[\[\]{}",:0-9a-eu\\. -]{0,20}"#) {
        if let Ok(shown) = canonical(&text) {
            prop_assert_eq!(canonical(&shown).unwrap(), shown);
        }
    }
}
