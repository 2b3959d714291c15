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
    let mut verifier = |world: &mut World| -> ScramVerifier {
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
    let parse = |name: &str, sql: &str| ClientRequest::Parse {
        name: name.to_owned(),
        sql: sql.to_owned(),
        parameter_types: vec![],
    };
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
