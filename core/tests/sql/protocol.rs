//! Start-up, settings, blocks and errors, as messages.

use std::time::Duration;

use shardforge_core::sql::protocol::{ClientReply, ClientRequest, ScramVerifier};

use crate::harness::{World, parameters, render};

#[test]
fn start_up_tells_what_clients_track() {
    let mut world = World::new();
    let client = world.silent_client();
    client.send(ClientRequest::Startup {
        user: "postgres".to_owned(),
        database: "shardforge".to_owned(),
        parameters: vec![("application_name".to_owned(), "test".to_owned())],
    });
    world.run();
    let replies = client.take();
    let told = parameters(&replies);
    assert_eq!(told["server_encoding"], "UTF8");
    assert_eq!(told["application_name"], "test");
    assert_eq!(told["standard_conforming_strings"], "on");
    assert_eq!(told["DateStyle"], "ISO, MDY");
    assert!(told["server_version"].starts_with("15."));
    assert!(replies.iter().any(|reply| matches!(reply, ClientReply::BackendKeyData { .. })));
    assert_eq!(client.sink.writes.get(), 1, "start-up is one write");
}

#[test]
fn strangers_are_refused() {
    let mut world = World::new();
    for (user, database, expected) in [
        ("nobody", "", "FATAL 28000: role \"nobody\" does not exist\n"),
        ("postgres", "nowhere", "FATAL 3D000: database \"nowhere\" does not exist\n"),
    ] {
        let client = world.silent_client();
        let (user, database) = (user.to_owned(), database.to_owned());
        client.send(ClientRequest::Startup { user, database, parameters: vec![] });
        world.run();
        assert_eq!(render(&client.take()), expected);
        assert!(client.sink.closed.get());
    }
}

#[test]
fn unknown_users_get_a_mock_verifier() {
    let mut world = World::with(false);
    let verifier = |world: &mut World| -> ScramVerifier {
        let client = world.silent_client();
        let (user, database) = ("mallory".to_owned(), String::new());
        client.send(ClientRequest::Startup { user, database, parameters: vec![] });
        world.run();
        let asked = client.take();
        let [ClientReply::AuthenticationScram(verifier)] = asked.as_slice() else {
            panic!("{asked:?}");
        };
        client.send(ClientRequest::Authenticated);
        world.run();
        assert!(render(&client.take()).starts_with("FATAL 28P01"));
        verifier.clone()
    };
    assert_eq!(verifier(&mut world), verifier(&mut world), "the same for the same name");
}

#[test]
fn a_silent_client_is_dropped_after_ten_seconds() {
    let mut world = World::new();
    let client = world.silent_client();
    world.advance(Duration::from_millis(9_999));
    assert!(!client.sink.closed.get());
    world.advance(Duration::from_millis(2));
    assert!(client.sink.closed.get());
}

#[test]
fn settings_are_shown_and_undone() {
    let mut world = World::new();
    let options = "-c default_transaction_isolation=read\\ committed";
    let client = world.client_with(&[("options", options)]);
    let mut ask = |sql: &str| world.query(&client, sql);
    assert_eq!(ask("show transaction_isolation"), "read committed\nSHOW\n");
    assert_eq!(
        ask("set statement_timeout = '1.5s'; show statement_timeout"),
        "SET\n1500ms\nSHOW\n"
    );
    assert_eq!(ask("begin; set work_mem = '8MB'"), "BEGIN\nSET\n-- InTransaction\n");
    assert_eq!(ask("rollback; show work_mem"), "ROLLBACK\n4MB\nSHOW\n");
    let unknown = "ERROR 42704: unrecognized configuration parameter \"nosuch\"\n";
    assert_eq!(ask("set nosuch = 1"), unknown);
}

#[test]
fn changed_reports_are_told_once() {
    let mut world = World::new();
    let client = world.client();
    client.send(ClientRequest::Query("set application_name = 'x'".to_owned()));
    world.run();
    let told = parameters(&client.take());
    assert_eq!(told.get("application_name").map(String::as_str), Some("x"));
    assert_eq!(told.len(), 1);
}

#[test]
fn a_failed_block_refuses_until_its_end() {
    let mut world = World::new();
    let client = world.client();
    let mut ask = |sql: &str| world.query(&client, sql);
    assert_eq!(ask("begin"), "BEGIN\n-- InTransaction\n");
    assert!(ask("drop table nosuch").starts_with("ERROR 42P01: table \"nosuch\" does not exist"));
    let refused = "ERROR 25P02: current transaction is aborted, commands ignored until end of \
                   transaction block\n-- Failed\n";
    assert_eq!(ask("show work_mem"), refused);
    assert_eq!(ask("commit"), "ROLLBACK\n");
    let none = "Warning 25P01: there is no transaction in progress\nCOMMIT\n";
    assert_eq!(ask("commit"), none);
    assert_eq!(ask(""), "(empty)\n");
}

#[test]
fn an_error_of_a_batch_skips_to_sync() {
    let mut world = World::new();
    let client = world.client();
    client.send(parse("", "show nosuch"));
    client.send(parse("", "show work_mem"));
    client.send(ClientRequest::DescribeStatement(String::new()));
    client.send(ClientRequest::Sync);
    world.run();
    let replies = client.take();
    assert_eq!(replies.len(), 2, "{replies:?}");
    client.send(parse("", "show work_mem"));
    client.send(ClientRequest::Bind {
        portal: String::new(),
        statement: String::new(),
        parameter_formats: vec![],
        parameters: vec![],
        result_formats: vec![],
    });
    client.send(ClientRequest::DescribePortal(String::new()));
    client.send(ClientRequest::Execute { portal: String::new(), rows_max: 0 });
    client.send(ClientRequest::Sync);
    world.run();
    let replies = client.take();
    assert_eq!(replies.len(), 6, "{replies:?}");
    assert!(matches!(&replies[2], ClientReply::RowDescription(fields) if fields.len() == 1));
    assert_eq!(render(&replies), "4MB\nSHOW\n");
}

/// The store of these tests has a row at hand now and then: the same question goes both ways.
#[test]
fn a_row_by_its_key_is_answered_alike_at_once_and_later() {
    let mut world = World::new();
    let client = world.client();
    for sql in ["create table t (id int primary key, v text)", "insert into t values (1, 'one')"] {
        client.send(ClientRequest::Query(sql.to_owned()));
    }
    client.send(parse("s", "select v, id from t where id = $1"));
    client.send(ClientRequest::Sync);
    world.run();
    client.take();
    let mut ask = |value: Option<&'static str>, format: i16| {
        client.send(ClientRequest::Bind {
            portal: String::new(),
            statement: "s".to_owned(),
            parameter_formats: vec![],
            parameters: vec![value.map(|value| value.into())],
            result_formats: vec![format],
        });
        client.send(ClientRequest::DescribePortal(String::new()));
        client.send(ClientRequest::Execute { portal: String::new(), rows_max: 0 });
        client.send(ClientRequest::Sync);
        world.run();
        client.take()
    };
    for (value, format, rows) in [
        (Some("1"), 0, "one|1\nSELECT 1\n"),
        (Some("1"), 1, ""),
        (Some("2"), 0, "SELECT 0\n"),
        (None, 0, "SELECT 0\n"),
        (Some("x"), 0, "ERROR 22P02: invalid input syntax for type integer: \"x\"\n"),
    ] {
        let (one, other) = (ask(value, format), ask(value, format));
        assert_eq!(one, other, "{value:?}");
        if format == 0 {
            assert_eq!(render(&one), rows);
        } else {
            assert!(matches!(&one[1], ClientReply::RowDescription(f) if f[0].format == 1));
        }
    }
}

#[test]
fn answers_of_a_batch_wait_for_its_end_or_a_flush() {
    let mut world = World::new();
    let client = world.client();
    client.send(parse("", "show work_mem"));
    world.run();
    assert_eq!(client.take(), []);
    client.send(ClientRequest::Flush);
    world.run();
    assert_eq!(client.take(), [ClientReply::ParseComplete]);
    client.send(ClientRequest::DescribeStatement(String::new()));
    world.run();
    assert_eq!(client.take(), []);
    client.send(ClientRequest::Sync);
    world.run();
    assert_eq!(client.take().len(), 3);
    // An error is told at once.
    client.send(parse("", "show nosuch"));
    world.run();
    assert!(matches!(client.take()[..], [ClientReply::Error(_)]));
}

#[test]
fn a_violation_ends_the_session() {
    let mut world = World::new();
    let client = world.client();
    client.send(ClientRequest::ProtocolViolation("garbage".to_owned()));
    world.run();
    assert_eq!(render(&client.take()), "FATAL 08P01: garbage\n");
    assert!(client.sink.closed.get());
    assert_eq!(world.instance.session_count(), 0);
}

#[test]
fn an_idle_transaction_is_ended() {
    let mut world = World::new();
    let client = world.client();
    world.query(&client, "set idle_in_transaction_session_timeout = '2s'");
    world.query(&client, "begin");
    world.advance(Duration::from_secs(1));
    assert!(!client.sink.closed.get());
    world.advance(Duration::from_secs(2));
    assert!(render(&client.take()).starts_with("FATAL 25P03"));
    assert!(client.sink.closed.get());
}

#[test]
fn a_waiting_update_goes_on_from_what_the_other_left() {
    for level in ["serializable", "read committed"] {
        let mut world = World::new();
        let (one, two) = (world.client(), world.client());
        world.query(&one, "create table t (a int primary key, b int); insert into t values (1, 0)");
        for client in [&one, &two] {
            world.query(client, &format!("set default_transaction_isolation = '{level}'"));
            world.query(client, "begin");
        }
        world.query(&one, "update t set b = b + 1 where a = 1");
        two.send(ClientRequest::Query("update t set b = b + 10 where b >= 0".to_owned()));
        world.run();
        assert_eq!(render(&two.take()), "", "{level}: waits");
        assert_eq!(world.query(&one, "commit"), "COMMIT\n");
        world.run();
        assert_eq!(render(&two.take()), "UPDATE 1\n-- InTransaction\n", "{level}");
        assert_eq!(world.query(&two, "commit"), "COMMIT\n", "{level}");
        assert_eq!(world.query(&one, "select b from t"), "11\nSELECT 1\n", "{level}");
    }
}

#[test]
fn an_autocommit_statement_that_lost_is_run_again() {
    let mut world = World::new();
    let (one, two) = (world.client(), world.client());
    world.query(&one, "create table t (a int primary key, b int); insert into t values (1, 0)");
    world.query(&one, "begin");
    world.query(&one, "update t set b = b + 1 where a = 1");
    // Two columns: the scan reads before it locks, and what it read changes meanwhile.
    two.send(ClientRequest::Query("update t set b = b * 2 where b + a < 5".to_owned()));
    world.run();
    world.query(&one, "commit");
    world.run();
    assert_eq!(render(&two.take()), "UPDATE 1\n");
    assert_eq!(world.query(&one, "select b from t"), "2\nSELECT 1\n");
}

/// A COMMIT that lost has left its block: run again, it would find nothing to commit and succeed.
#[test]
fn a_commit_that_lost_is_not_run_again() {
    let mut world = World::new();
    let (one, two) = (world.client(), world.client());
    world.query(&one, "create table t (a int primary key, b int)");
    world.query(&one, "insert into t values (1, 1), (2, 2), (3, 3)");
    for extended in [false, true] {
        world.query(&one, "begin isolation level serializable");
        world.query(&one, "select b from t where a = 1");
        world.query(&two, "update t set b = b + 1 where a = 1");
        assert_eq!(
            world.query(&one, "update t set b = 0 where a = 2"),
            "UPDATE 1\n-- InTransaction\n"
        );
        let told = if extended {
            for request in [parse("", "commit"), bind("", &[], &[]), execute(0)] {
                one.send(request);
            }
            one.send(ClientRequest::Sync);
            world.run();
            render(&one.take())
        } else {
            world.query(&one, "commit")
        };
        assert!(told.starts_with("ERROR 40001: ") && !told.contains("COMMIT"), "{told}");
        assert_eq!(world.query(&one, "select b from t where a = 2"), "2\nSELECT 1\n");
    }
}

#[test]
fn an_error_of_a_known_text_has_its_own_position() {
    let mut world = World::new();
    let client = world.client();
    world.query(&client, "create table t (a int primary key)");
    let sql = "select 12345678, a from t where a = 7";
    world.query(&client, sql);
    world.query(&client, sql);
    world.query(&client, "drop table t");
    for _ in 0..2 {
        let told = world.query(&client, sql);
        assert_eq!(told, "ERROR 42P01: relation \"t\" does not exist @25\n");
    }
}

fn parse(name: &str, sql: &str) -> ClientRequest {
    ClientRequest::Parse { name: name.to_owned(), sql: sql.to_owned(), parameter_types: vec![] }
}

fn bind(statement: &str, parameters: &[&str], result_formats: &[i16]) -> ClientRequest {
    ClientRequest::Bind {
        portal: String::new(),
        statement: statement.to_owned(),
        parameter_formats: vec![],
        parameters: parameters.iter().map(|p| Some(p.as_bytes().to_vec().into())).collect(),
        result_formats: result_formats.to_vec(),
    }
}

fn execute(rows_max: u32) -> ClientRequest {
    ClientRequest::Execute { portal: String::new(), rows_max }
}

#[test]
fn prepared_statements_keep_their_types_and_see_new_rows() {
    let mut world = World::new();
    let client = world.client();
    world.query(
        &client,
        "create table t (a int primary key, b text); insert into t values (1, 'x')",
    );
    client.send(parse("s", "select b, a from t where a = $1"));
    client.send(ClientRequest::DescribeStatement("s".to_owned()));
    client.send(ClientRequest::Sync);
    world.run();
    let replies = client.take();
    assert!(matches!(&replies[1], ClientReply::ParameterDescription(oids) if oids == &[23]));
    let ClientReply::RowDescription(fields) = &replies[2] else { panic!("{replies:?}") };
    assert_eq!((fields[0].type_oid, fields[1].type_oid), (25, 23));
    for (key, expected) in [("1", "x|1\nSELECT 1\n"), ("2", "SELECT 0\n")] {
        client.send(bind("s", &[key], &[]));
        client.send(execute(0));
        client.send(ClientRequest::Sync);
        world.run();
        assert_eq!(render(&client.take()), expected);
    }
    // The plan follows the catalog.
    world.query(&client, "create index on t (b)");
    world.query(&client, "insert into t values (2, 'y')");
    client.send(bind("s", &["2"], &[]));
    client.send(execute(0));
    client.send(ClientRequest::Sync);
    world.run();
    assert_eq!(render(&client.take()), "y|2\nSELECT 1\n");
}

#[test]
fn a_portal_gives_its_rows_in_parts() {
    let mut world = World::new();
    let client = world.client();
    client.send(parse("", "select x from generate_series(1, 5) x"));
    client.send(bind("", &[], &[]));
    client.send(execute(2));
    client.send(execute(2));
    client.send(execute(2));
    client.send(ClientRequest::Sync);
    world.run();
    let told = render(&client.take());
    assert_eq!(told, "1\n2\n(suspended)\n3\n4\n(suspended)\n5\nSELECT 5\n");
}

#[test]
fn a_batch_without_sync_is_one_transaction() {
    let mut world = World::new();
    let client = world.client();
    world.query(&client, "create table t (a int primary key)");
    for key in ["1", "2", "1"] {
        client.send(parse("", "insert into t values ($1)"));
        client.send(bind("", &[key], &[]));
        client.send(execute(0));
    }
    client.send(ClientRequest::Sync);
    world.run();
    assert!(render(&client.take()).contains("ERROR 23505"));
    assert_eq!(world.query(&client, "select count(*) from t"), "0\nSELECT 1\n");
}

#[test]
fn a_statement_is_cancelled_and_its_session_goes_on() {
    let mut world = World::new();
    let client = world.silent_client();
    let (user, database) = ("postgres".to_owned(), String::new());
    client.send(ClientRequest::Startup { user, database, parameters: vec![] });
    world.run();
    let key = client.take().into_iter().find_map(|reply| match reply {
        ClientReply::BackendKeyData { process, secret } => Some((process, secret)),
        _ => None, // another of the greeting
    });
    let (process, secret) = key.unwrap();
    client.send(ClientRequest::Query("select pg_sleep(100)".to_owned()));
    world.run();
    world.instance.cancel(process, secret ^ 1);
    world.run();
    assert!(client.take().is_empty(), "a wrong key cancels nothing");
    world.instance.cancel(process, secret);
    world.run();
    let told = render(&client.take());
    assert_eq!(told, "ERROR 57014: canceling statement due to user request\n");
    assert_eq!(world.query(&client, "select 1"), "1\nSELECT 1\n");
}

#[test]
fn a_statement_has_a_time_limit() {
    let mut world = World::new();
    let client = world.client();
    world.query(&client, "set statement_timeout = '1s'");
    client.send(ClientRequest::Query("select pg_sleep(100)".to_owned()));
    world.run();
    world.advance(Duration::from_millis(999));
    assert_eq!(render(&client.take()), "");
    world.advance(Duration::from_millis(2));
    let told = render(&client.take());
    assert_eq!(told, "ERROR 57014: canceling statement due to statement timeout\n");
}

#[test]
fn literals_share_a_plan_without_changing_answers() {
    let mut world = World::new();
    let client = world.client();
    world.query(
        &client,
        "create table t (a int primary key, b text); insert into t values (1, 'x')",
    );
    for _ in 0..3 {
        assert_eq!(world.query(&client, "select a, b from t where a = 1"), "1|x\nSELECT 1\n");
        assert_eq!(world.query(&client, "select a from t where b = 'x'"), "1\nSELECT 1\n");
        assert_eq!(world.query(&client, "select a + 1, 'y' from t"), "2|y\nSELECT 1\n");
        let wrong = world.query(&client, "select a from t where a = 'z'");
        assert!(wrong.starts_with("ERROR 22P02"), "{wrong}");
    }
    world.query(&client, "drop table t");
    let gone = world.query(&client, "select a, b from t where a = 1");
    assert!(gone.starts_with("ERROR 42P01: relation \"t\" does not exist @"), "{gone}");
}
