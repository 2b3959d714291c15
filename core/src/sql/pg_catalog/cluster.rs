//! What does not belong to one table: databases, roles, types, settings, sessions.

use super::relations::namespace;
use super::rows::Source;
use crate::auth::principal::{Principal, SUPERUSER_OID};
use crate::row::datum::Datum;
use crate::row::type_table::TYPES;
use crate::sql::execute::run::Row;

/// PostgreSQL's number of UTF8.
pub(super) const UTF8: i32 = 6;

/// PostgreSQL's predefined role that owns `public`: whoever owns the database.
pub(super) const DATABASE_OWNER: u32 = 6171;

pub(super) fn namespaces(source: &Source<'_>) -> Vec<Row> {
    let line = |name: &str| {
        let owner = if name == "public" { DATABASE_OWNER } else { SUPERUSER_OID };
        source
            .line()
            .oid("oid", namespace(name))
            .text("nspname", name)
            .oid("nspowner", owner)
            .done()
    };
    ["pg_catalog", "public", "information_schema"].into_iter().map(line).collect()
}

pub(super) fn databases(source: &Source<'_>) -> Vec<Row> {
    let line = |database: &std::rc::Rc<crate::sql::catalog::descriptor::DatabaseDescriptor>| {
        source
            .line()
            .oid("oid", database.oid)
            .text("datname", &database.name)
            .oid("datdba", database.owner)
            .int4("encoding", UTF8)
            .text("datlocprovider", "c")
            .bool("datallowconn", true)
            .int4("datconnlimit", -1)
            .oid("dattablespace", 1663)
            .text("datcollate", "C.UTF-8")
            .text("datctype", "C.UTF-8")
            .done()
    };
    source.catalog.databases().map(line).collect()
}

pub(super) fn roles(source: &Source<'_>) -> Vec<Row> {
    let short = source.view.name == "pg_user";
    let line = |role: &std::rc::Rc<Principal>| {
        if short {
            return source
                .line()
                .text("usename", &role.name)
                .oid("usesysid", role.oid)
                .bool("usecreatedb", role.create_database)
                .bool("usesuper", role.superuser)
                .text("passwd", "********")
                .done();
        }
        source
            .line()
            .oid("oid", role.oid)
            .text("rolname", &role.name)
            .bool("rolsuper", role.superuser)
            .bool("rolinherit", true)
            .bool("rolcreaterole", role.create_role)
            .bool("rolcreatedb", role.create_database)
            .bool("rolcanlogin", role.login)
            .bool("rolreplication", role.superuser)
            .bool("rolbypassrls", role.superuser)
            .int4("rolconnlimit", -1)
            .done()
    };
    source.catalog.principals().map(line).collect()
}

pub(super) fn types(source: &Source<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for ty in TYPES {
        let kind = if ty.category == b'P' { "p" } else { "b" };
        let category = (ty.category as char).to_string();
        let line = source
            .line()
            .oid("oid", ty.oid)
            .text("typname", ty.typname)
            .oid("typnamespace", namespace("pg_catalog"))
            .oid("typowner", SUPERUSER_OID)
            .set("typlen", Datum::Int2(ty.len))
            .bool("typbyval", matches!(ty.len, 1 | 2 | 4 | 8))
            .text("typtype", kind)
            .text("typcategory", &category)
            .bool("typispreferred", ty.preferred)
            .bool("typisdefined", true)
            .text("typdelim", ",")
            .oid("typarray", ty.array_oid)
            .int4("typtypmod", -1)
            .oid("typcollation", if ty.category == b'S' { 100 } else { 0 });
        rows.push(line.done());
        if ty.array_oid == 0 {
            continue;
        }
        let line = source
            .line()
            .oid("oid", ty.array_oid)
            .text("typname", &format!("_{}", ty.typname))
            .oid("typnamespace", namespace("pg_catalog"))
            .oid("typowner", SUPERUSER_OID)
            .set("typlen", Datum::Int2(-1))
            .text("typtype", "b")
            .text("typcategory", "A")
            .bool("typisdefined", true)
            .text("typdelim", ",")
            .oid("typelem", ty.oid)
            .int4("typtypmod", -1);
        rows.push(line.done());
    }
    rows
}

pub(super) fn access_methods(source: &Source<'_>) -> Vec<Row> {
    let line = |(oid, name, kind): (u32, &str, &str)| {
        source.line().oid("oid", oid).text("amname", name).text("amtype", kind).done()
    };
    [(2, "heap", "t"), (403, "btree", "i")].into_iter().map(line).collect()
}

pub(super) fn settings(source: &Source<'_>) -> Vec<Row> {
    let line = |(name, value, about): (&str, String, &str)| {
        source
            .line()
            .text("name", name)
            .text("setting", &value)
            .text("short_desc", about)
            .text("context", "user")
            .text("source", "default")
            .done()
    };
    source.context.facts.settings.all().into_iter().map(line).collect()
}

pub(super) fn activity(source: &Source<'_>) -> Vec<Row> {
    let line = |(process, session): (u32, crate::sql::session::instance::Connected)| {
        let database = source.catalog.database(&session.database).map_or(0, |d| d.oid);
        let user = source.catalog.principal(&session.user).map_or(0, |p| p.oid);
        source
            .line()
            .oid("datid", database)
            .text("datname", &session.database)
            .int4("pid", i32::try_from(process).unwrap_or(0))
            .oid("usesysid", user)
            .text("usename", &session.user)
            .text("application_name", &session.application)
            .text("backend_type", "client backend")
            .done()
    };
    source.context.instance.connected().into_iter().map(line).collect()
}

pub(super) fn tablespaces(source: &Source<'_>) -> Vec<Row> {
    let line = |(oid, name): (u32, &str)| {
        source.line().oid("oid", oid).text("spcname", name).oid("spcowner", SUPERUSER_OID).done()
    };
    [(1663, "pg_default"), (1664, "pg_global")].into_iter().map(line).collect()
}

pub(super) fn collations(source: &Source<'_>) -> Vec<Row> {
    let line = |(oid, name): (u32, &str)| {
        source
            .line()
            .oid("oid", oid)
            .text("collname", name)
            .oid("collnamespace", namespace("pg_catalog"))
            .oid("collowner", SUPERUSER_OID)
            .text("collprovider", if oid == 100 { "d" } else { "c" })
            .bool("collisdeterministic", true)
            .int4("collencoding", -1)
            .done()
    };
    [(100, "default"), (950, "C"), (951, "POSIX")].into_iter().map(line).collect()
}

pub(super) fn languages(source: &Source<'_>) -> Vec<Row> {
    let line = |(oid, name): (u32, &str)| {
        source.line().oid("oid", oid).text("lanname", name).oid("lanowner", SUPERUSER_OID).done()
    };
    [(12, "internal"), (14, "sql")].into_iter().map(line).collect()
}
