//! Tests of the room as a whole: real clients' statements, errors and their places, bounds.

use super::ast::{ExprKind, SelectItem, SetBody, Statement};
use super::{parse, parse_one};
use crate::base::error::SqlError;
use crate::base::limit;

const PSQL: &str = include_str!("../../../tests/data/sql/psql15.sql");
const PGBENCH: &str = include_str!("../../../tests/data/sql/pgbench15.sql");
const SYSBENCH: &str = include_str!("../../../tests/data/sql/sysbench.sql");

fn error(text: &str) -> SqlError {
    match parse(text) {
        Ok(parsed) => panic!("{text}: parsed as {parsed:?}"),
        Err(error) => error,
    }
}

/// SQLSTATE, message and position in one line.
fn told(text: &str) -> String {
    let error = error(text);
    let position = error.position.map_or_else(|| "-".to_owned(), |at| at.to_string());
    format!("{} {} {}", error.state, position, error.message)
}

fn statements(file: &str) -> impl Iterator<Item = &str> {
    file.split("\n;\n").map(str::trim).filter(|text| !text.is_empty())
}

#[test]
fn what_psql_pgbench_and_sysbench_send_parses() {
    let mut count = 0;
    for text in [PSQL, PGBENCH, SYSBENCH].into_iter().flat_map(statements) {
        let outcome = parse(text);
        if text.contains("foreign key (") {
            assert_eq!(outcome.unwrap_err().state.as_str(), "0A000", "{text}");
        } else {
            let parsed = outcome.unwrap_or_else(|error| panic!("{text}\n{error:?}"));
            assert_eq!(parsed.len(), 1, "{text}");
        }
        count += 1;
    }
    assert!(100 < count, "only {count} statements were read");
}

/// That both are read to their ends, and as the same but for the places.
fn same(one: &str, other: &str) {
    let tree = |text| {
        let Ok(Some(parsed)) = parse_one(text) else { panic!("{text}") };
        assert_eq!(parsed.range, 0..text.len(), "{text}");
        let places = regex::Regex::new("position: [0-9]+").unwrap();
        places.replace_all(&format!("{:?}", parsed.statement), "").into_owned()
    };
    assert_eq!(tree(one), tree(other));
}

#[test]
fn the_table_command_is_a_select_of_all() {
    same("table t", "select * from t");
    same("table a.\"T\" order by 1 limit 2", "select * from a.\"T\" order by 1 limit 2");
    same("table t union all table u", "select * from t union all select * from u");
    same("(table t)", "(select * from t)");
    same("with x as (table t) table x", "with x as (select * from t) select * from x");
    same("insert into u table t", "insert into u select * from t");
    same("select * from (table t) s", "select * from (select * from t) s");
    same("explain table t", "explain select * from t");
}

#[test]
fn only_says_nothing_because_no_table_has_children() {
    same("select * from only t", "select * from t");
    same("select * from only (s.t) x", "select * from s.t x");
    same(
        "select * from a, only b, only (c) join only d on a = b",
        "select * from a, b, c join d on a = b",
    );
    same("select (select 1 from only t) from only u", "select (select 1 from t) from u");
    same("update only t set a = 1 from only u", "update t set a = 1 from u");
    same("delete from only t using u, only v", "delete from t using u, v");
    same("table only t", "table t");
    same("table only (t) limit 1", "table t limit 1");
    same("select 1 from only t for update", "select 1 from t for update");
    same("select 1 as only from t fetch first row only", "select 1 \"only\" from t limit 1");
    assert_eq!(told("select * from only"), "42601 19 syntax error at end of input");
    assert_eq!(told("select * from only (t"), "42601 22 syntax error at end of input");
    assert_eq!(told("select * from t where only b"), "42601 23 syntax error at or near \"only\"");
    assert_eq!(told("select a, only b from t"), "42601 11 syntax error at or near \"only\"");
    // A function's name, though PostgreSQL reserves it.
    same("select a is distinct from only (b)", "select a is distinct from \"only\" (b)");
}

#[test]
fn syntax_errors_have_postgresqls_words_and_places() {
    assert_eq!(told("selct 1"), "42601 1 syntax error at or near \"selct\"");
    assert_eq!(told("select 1 +"), "42601 11 syntax error at end of input");
    assert_eq!(told("select 1 +; select 2"), "42601 11 syntax error at or near \";\"");
    assert_eq!(told("select (1"), "42601 10 syntax error at end of input");
    assert_eq!(told("select * from t where"), "42601 22 syntax error at end of input");
    assert_eq!(told("select * from t wher a = 1"), "42601 22 syntax error at or near \"a\"");
    assert_eq!(told("select 'äö' from from"), "42601 18 syntax error at or near \"from\"");
    assert_eq!(told("create table t (a int,)"), "42601 23 syntax error at or near \")\"");
    assert_eq!(told("insert into t values (1"), "42601 24 syntax error at end of input");
    assert_eq!(told("table"), "42601 6 syntax error at end of input");
    assert_eq!(told("table t where a"), "42601 9 syntax error at or near \"where\"");
    assert_eq!(told("table t, u"), "42601 8 syntax error at or near \",\"");
    assert_eq!(told("set x"), "42601 6 syntax error at end of input");
    assert_eq!(told("commit now"), "42601 8 syntax error at or near \"now\"");
    assert_eq!(told("select 'abc"), "42601 8 unterminated quoted string at or near \"'abc\"");
    assert_eq!(told("select \"abc"), "42601 8 unterminated quoted identifier at or near \"\"abc\"");
    assert_eq!(told("select /* a"), "42601 8 unterminated /* comment at or near \"/* a\"");
    assert_eq!(told("select $$a"), "42601 8 unterminated dollar-quoted string at or near \"$$a\"");
    assert_eq!(
        told("select 12ab"),
        "42601 8 trailing junk after numeric literal at or near \"12ab\""
    );
    assert_eq!(told("select a 'b'"), "42601 10 syntax error at or near \"'b'\"");
    assert_eq!(told("select ? from t"), "42601 8 syntax error at or near \"?\"");
    assert_eq!(told("select a from@ t"), "42601 14 syntax error at or near \"@\"");
    assert_eq!(told("select a from @s.t"), "42601 15 syntax error at or near \"@\"");
    assert_eq!(told("select a from 't'"), "42601 15 syntax error at or near \"'t'\"");
}

#[test]
fn what_we_do_not_have_is_said_with_its_place() {
    for (text, position) in [
        ("savepoint a", Some(1)),
        ("create view v as select 1", Some(8)),
        ("create table t (a int references u)", Some(23)),
        ("create table t (a int check (a > 0))", Some(23)),
        ("alter table t drop column a", Some(15)),
        ("insert into t values (1) on conflict do nothing", Some(1)),
        ("select rank() over () from t", Some(8)),
        ("with recursive a as (select 1) select * from a", Some(1)),
        ("select a into b from t", Some(1)),
        ("copy t from '/etc/passwd'", Some(13)),
        ("create index on t (lower(a))", Some(20)),
        ("create index on t using gin (a)", Some(25)),
        ("grant all on t to u", Some(1)),
        ("rollback to savepoint a", Some(10)),
    ] {
        let error = error(text);
        assert_eq!((error.state.as_str(), error.position), ("0A000", position), "{text}: {error}");
    }
}

#[test]
fn depth_and_length_are_bounded_before_the_parser() {
    let state = |text: &str| error(text).state.as_str().to_owned();
    let nested = |depth: usize| format!("select {}1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&nested(limit::NESTING_MAX)).is_ok());
    assert_eq!(state(&nested(limit::NESTING_MAX + 1)), "54001");
    assert_eq!(state(&nested(10_000)), "54001");
    let queries =
        |depth: usize| format!("{}select 1{}", "select (".repeat(depth), ")".repeat(depth));
    assert!(parse(&queries(limit::NESTING_MAX)).is_ok());
    assert_eq!(state(&queries(limit::NESTING_MAX + 1)), "54001");

    let sum = |count: usize| format!("select 1{}", "+1".repeat(count));
    assert!(parse(&sum(super::limits::OPERATOR_DEPTH_MAX)).is_ok());
    assert_eq!(state(&sum(super::limits::OPERATOR_DEPTH_MAX + 1)), "54001");
    assert_eq!(state(&sum(500_000)), "54001");
    assert_eq!(state(&sum(600_000)), "54000");
    assert_eq!(state(&format!("select {}true", "not ".repeat(10_000))), "54001");
    assert_eq!(state(&format!("select {}1", "- ".repeat(10_000))), "54001");
    assert_eq!(state(&format!("select 1{}", "::int".repeat(10_000))), "54001");
    assert_eq!(state(&format!("select {}1", "case when ".repeat(10_000))), "54001");

    let chain = |count: usize| format!("select a = 0{}", " or a = 1".repeat(count));
    assert!(parse(&chain(limit::OPERATOR_CHAIN_MAX)).is_ok());
    assert_eq!(state(&chain(limit::OPERATOR_CHAIN_MAX + 1)), "54001");

    let long = |bytes: usize| format!("select 1{}", " ".repeat(bytes - 8));
    assert!(parse(&long(limit::STATEMENT_BYTES_MAX)).is_ok());
    assert_eq!(state(&long(limit::STATEMENT_BYTES_MAX + 1)), "54000");
}

#[test]
fn long_lists_are_not_deep() {
    let values = format!("insert into t values (0, '', -1){}", ", (1, 'x', -2)".repeat(10_000));
    assert!(parse(&values).is_ok());
    let list = format!("select 1 where a in (0{})", ", -1 + 2".repeat(20_000));
    assert!(parse(&list).is_ok());
}

#[test]
fn or_chains_become_flat() {
    let text = format!("select a = 0{}", " or a = 1".repeat(99));
    let parsed = parse_one(&text).unwrap().unwrap();
    let Statement::Query(query) = parsed.statement else { panic!("not a query") };
    let SetBody::Select(select) = query.body else { panic!("not a select") };
    let [SelectItem::Expr { expr, .. }] = select.items.as_slice() else { panic!("not one item") };
    let ExprKind::Or(items) = &expr.kind else { panic!("not an OR: {expr:?}") };
    assert_eq!(items.len(), 100);
}

#[test]
fn operators_and_columns_know_their_places() {
    let parsed = parse_one("select 1 + ((-b)) from t").unwrap().unwrap();
    let Statement::Query(query) = parsed.statement else { panic!("not a query") };
    let SetBody::Select(select) = query.body else { panic!("not a select") };
    let [SelectItem::Expr { expr, .. }] = select.items.as_slice() else { panic!("not one item") };
    assert_eq!(expr.position, 10);
    let ExprKind::Binary { op, left, right } = &expr.kind else { panic!("{expr:?}") };
    assert_eq!((op.as_str(), left.position, right.position), ("+", 8, 14));
}

#[test]
fn a_script_gives_each_statement_its_text() {
    let text = " begin ; select 'a;b' ;; -- c ; d\n commit";
    let parsed = parse(text).unwrap();
    let texts: Vec<&str> = parsed.iter().map(|p| &text[p.range.clone()]).collect();
    assert_eq!(texts, ["begin", "select 'a;b'", "commit"]);
    assert!(parse(" ; -- nothing\n;").unwrap().is_empty());
    assert_eq!(parse_one("select 1; select 2").unwrap_err().state.as_str(), "42601");
}

/// Each statement reads as the tree whose one-line debug form contains the fragment.
#[test]
fn forms_of_statements() {
    for (text, fragment) in [
        ("copy t (a, b) from stdin with (format csv, freeze on, null 'N')", "format: Csv"),
        (
            "copy t from stdin with csv header delimiter ';'",
            "delimiter: 59, null: \"\", header: true",
        ),
        ("copy t from stdin with (freeze on)", "freeze: true"),
        ("copy (select 1) to stdout", "from_stdin: false"),
        ("set x to a, 'B', 3", "value: Some(\"a, B, 3\")"),
        ("set local statement_timeout = -1", "scope: Local"),
        ("set time zone 'UTC'", "name: \"timezone\", value: Some(\"UTC\")"),
        (
            "set session characteristics as transaction isolation level read committed",
            "SetSessionTransaction(TransactionModes { isolation: Some(ReadCommitted)",
        ),
        ("start transaction isolation level repeatable read, read only", "read_only: Some(true)"),
        ("begin transaction read write", "read_only: Some(false)"),
        ("show transaction isolation level", "Show(\"transaction_isolation\")"),
        ("reset all", "Reset(None)"),
        ("explain (analyze, costs off) select 1", "analyze: true, verbose: false, costs: false"),
        ("explain (select 1)", "analyze: false"),
        ("vacuum analyze pgbench_accounts", "analyze: true"),
        ("vacuum (full, verbose off) t", "full: true"),
        ("truncate table a, b restart identity cascade", "restart_identity: true, cascade: true"),
        ("drop table if exists a, s.b cascade", "if_exists: true, cascade: true"),
        ("create unique index if not exists i on t (a desc nulls last, b)", "descending: true"),
        ("create sequence s as int increment by -2 start 5 no cycle", "increment: Some(-2)"),
        (
            "create table if not exists t (a bigserial primary key, b timestamp with time zone default now() not null, c double precision, d numeric(10, 2)[], constraint u unique (a, b)) with (fillfactor=70, shard_key='a') tablespace x",
            "\"timestamptz\"",
        ),
        ("prepare p (int, text) as select $1, $2", "types: [TypeName"),
        ("execute p (1, 'a' || 'b')", "Execute"),
        ("deallocate all", "Deallocate(None)"),
        ("discard all", "DiscardAll"),
        ("alter user u with password 'x'", "password: Some(Some(\"x\"))"),
        ("insert into t default values returning *", "Defaults"),
        ("insert into t (a, b) values (default, 1)", "kind: Default"),
        ("update t as x set a = a + 1, b = default where x.a = any ($1) returning a", "AnyAll"),
        ("delete from t using u where t.a = u.a", "using: [Table"),
        (
            "select distinct on (a) a, b as \"B\" from t order by a desc nulls last limit 5 offset 2",
            "On([",
        ),
        ("select a from t fetch first row only", "limit: Some("),
        ("select a from t for update skip locked", "wait: SkipLocked"),
        (
            "select count(distinct a) filter (where b), sum(b) from t group by c having count(*) > 1",
            "distinct: true",
        ),
        ("select * from a natural join b full join c using (x, y) cross join d", "kind: Full"),
        ("select x from generate_series(1, 10) with ordinality as g(x, n)", "ordinality: true"),
        ("select * from unnest(array[1,2]) u", "Array(["),
        ("select a from t union all select b from u union values (1)", "op: Union, all: false"),
        ("with a as (select 1), b(x) as (values (2)) select * from a, b", "Cte"),
        (
            "select extract(epoch from now()), substring('a' from 1 for 2), trim(leading 'x' from 'y'), position('a' in 'b')",
            "\"position\"",
        ),
        (
            "select date '2020-01-01', '1'::int4, cast(a as varchar(3)), interval '1 day'",
            "\"interval\"",
        ),
        (
            "select a not between 1 and 2, b is not distinct from c, d not like 'x' escape '!', e similar to 'f'",
            "SimilarTo",
        ),
        (
            "select case a when 1 then 'x' else 'y' end, (1, 2) = row(1, 2), a[1], array(select 1)",
            "ArrayQuery",
        ),
        ("select a operator(pg_catalog.~) '^(x)$' collate pg_catalog.default from t", "op: \"~\""),
        ("select e'a\\nb', $q$it's$q$, current_date, current_user", "bare: true"),
        ("select exists (select 1), not exists (select 2), a in (select 3)", "InQuery"),
    ] {
        let parsed = parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        let shown = format!("{:?}", parsed[0].statement);
        assert!(shown.contains(fragment), "{text}\nlacks {fragment}\n{shown}");
    }
}

#[test]
fn names_are_folded_and_cut() {
    let long = "X".repeat(80);
    let text = format!("select Ab, \"Cd\" from {long}");
    let shown = format!("{:?}", parse(&text).unwrap());
    assert!(shown.contains("\"ab\"") && shown.contains("\"Cd\""), "{shown}");
    assert!(shown.contains(&format!("\"{}\"", "x".repeat(63))), "{shown}");
}

mod hostile {
    use proptest::prelude::*;

    proptest! {
        /// Any text gives statements or an error; nothing panics.
        #[test]
        fn any_text_is_answered(text in "\\PC{0,60}") {
            let _ = super::parse(&text);
        }

        /// Pieces of SQL in any order give statements or an error.
        #[test]
        fn any_words_are_answered(words in proptest::collection::vec(proptest::sample::select(vec![
            "select", "from", "where", "(", ")", ",", "a", "1", "'x'", "and", "or", "not", "in",
            "case", "when", "then", "end", "union", "order", "by", "group", "insert", "into",
            "values", "update", "set", "=", "delete", "copy", "stdin", "create", "table", "index",
            "on", "*", "::", "int", "[", "]", "array", "null", "is", "like", "between", "exists",
            "join", "left", "using", "limit", "with", "as", "$1", ";", ".", "-", "interval",
        ]), 0..25)) {
            let text = words.join(" ");
            let _ = super::parse(&text);
        }
    }
}
