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

/// What we do not do is said, never done by half.
#[test]
fn what_is_missing_is_0a000() {
    let mut world = World::new();
    let client = world.client();
    world.query(&client, "create table d (a int primary key, b int)");
    for sql in [
        "create schema s",
        "alter table d add column z int",
        "create view v as select 1",
        "create function f() returns int as 'select 1' language sql",
        "lock table d",
        "listen x",
        "grant select on d to public",
        "comment on table d is 'x'",
        "merge into d using d e on true when matched then do nothing",
        "select * from d for update skip locked",
        "insert into d (a) values (1) on conflict do nothing",
        "create table part (a int) partition by range (a)",
        "create temp table tt (a int)",
        "create table ct as select 1",
        "create table fk (a int references d (a))",
        "create table ck (a int check (a > 0))",
        "create index on d ((a + b))",
        "create index on d (a) where b > 0",
        "select lag(a) over (order by a) from d",
        "with recursive r as (select 1) select * from r",
        "savepoint s",
        "set role other",
        "set datestyle = 'german'",
        "set client_encoding = 'latin1'",
        "create table e (a int) with (shard_key = b)",
        "begin; insert into d values (1, 1); create table late (a int)",
    ] {
        let told = world.query(&client, sql);
        let error = told.lines().find(|line| line.starts_with("ERROR")).unwrap_or_default();
        assert!(error.starts_with("ERROR 0A000: "), "{sql}\n{told}");
        world.query(&client, "rollback");
    }
    assert_eq!(world.query(&client, "select count(*) from d"), "0\nSELECT 1\n");
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
