//! Schema changes through a session.

use crate::harness::World;

#[test]
fn tables_come_and_go() {
    let mut world = World::new();
    let client = world.client();
    let mut ask = |sql: &str| world.query(&client, sql);
    assert_eq!(ask("create table t (a int primary key, b text)"), "CREATE TABLE\n");
    assert_eq!(ask("create table t (a int)"), "ERROR 42P07: relation \"t\" already exists\n");
    let skipped = "Notice 42P07: relation \"t\" already exists, skipping\nCREATE TABLE\n";
    assert_eq!(ask("create table if not exists t (a int)"), skipped);
    assert_eq!(ask("create index on t (b)"), "CREATE INDEX\n");
    assert_eq!(
        ask("create table t_b_idx (a int)"),
        "ERROR 42P07: relation \"t_b_idx\" already exists\n"
    );
    assert_eq!(ask("drop table t"), "DROP TABLE\n");
    let gone = "Notice 00000: table \"t\" does not exist, skipping\nDROP TABLE\n";
    assert_eq!(ask("drop table if exists t"), gone);
    assert_eq!(ask("create table t_b_idx (a int)"), "CREATE TABLE\n");
}

#[test]
fn rollback_takes_schema_changes_back() {
    let mut world = World::new();
    let client = world.client();
    let mut ask = |sql: &str| world.query(&client, sql);
    ask("begin");
    assert_eq!(ask("create table t (a int)"), "CREATE TABLE\n-- InTransaction\n");
    assert_eq!(ask("create index i on t (a)"), "CREATE INDEX\n-- InTransaction\n");
    ask("rollback");
    assert_eq!(ask("drop table t"), "ERROR 42P01: table \"t\" does not exist\n");
}

#[test]
fn bad_tables_are_refused_in_postgresqls_words() {
    let mut world = World::new();
    let client = world.client();
    let mut ask = |sql: &str| world.query(&client, sql);
    let cases = [
        ("create table t (a int, a text)", "ERROR 42701: column \"a\" specified more than once\n"),
        (
            "create table t (a int primary key, b int primary key)",
            "ERROR 42P16: multiple primary keys for table \"t\" are not allowed",
        ),
        ("create table t (a nosuch)", "ERROR 42704: type \"nosuch\" does not exist @19\n"),
        (
            "create table t (a int, primary key (b))",
            "ERROR 42703: column \"b\" named in key does not exist",
        ),
        ("create table pg_catalog.t (a int)", "ERROR 42501: permission denied to create"),
        ("create table s.t (a int)", "ERROR 3F000: schema \"s\" does not exist"),
        ("create database postgres", "ERROR 42P04: database \"postgres\" already exists\n"),
        ("drop database postgres", "ERROR 55006: cannot drop the currently open database\n"),
        ("drop role postgres", "ERROR 2BP01: cannot drop role postgres because"),
    ];
    for (sql, expected) in cases {
        let told = ask(sql);
        assert!(told.starts_with(expected), "{sql}\n{told}");
    }
}

#[test]
fn two_makers_of_one_name_do_not_both_succeed() {
    let mut world = World::new();
    let (one, two) = (world.client(), world.client());
    world.query(&one, "begin");
    world.query(&one, "create table t (a int)");
    two.send(shardforge_core::sql::protocol::ClientRequest::Query("create table t (b int)".into()));
    world.run();
    assert_eq!(crate::harness::render(&two.take()), "", "waits for the first");
    assert_eq!(world.query(&one, "commit"), "COMMIT\n");
    world.run();
    let told = crate::harness::render(&two.take());
    assert_eq!(told, "ERROR 42P07: relation \"t\" already exists\n");
}
