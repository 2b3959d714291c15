//! CREATE and DROP DATABASE and ROLE.

use super::drop;
use crate::auth::principal::{Principal, SUPERUSER};
use crate::auth::scram;
use crate::base::error::{SqlError, sqlstate};
use crate::sql::catalog::descriptor::DatabaseDescriptor;
use crate::sql::catalog::snapshot::Relation;
use crate::sql::catalog::store::{self, Described, SystemTable};
use crate::sql::error::SUCCESS;
use crate::sql::execute::context::ExecContext;
use crate::sql::parse::ast::{CreateDatabase, CreateRole, ObjectName};
use crate::sql::ports::TxnFailure;
use crate::sql::protocol::NoticeSeverity;

pub(super) async fn create(create: &CreateDatabase, context: &ExecContext) -> Result<(), SqlError> {
    let catalog = context.open.catalog().await?;
    let name = &create.name.text;
    if catalog.database(name).is_some() {
        let message = format!("database \"{name}\" already exists");
        let exists = SqlError::new(sqlstate::DUPLICATE_DATABASE, message);
        if !create.if_not_exists {
            return Err(exists);
        }
        let notice = SqlError::new(exists.state, format!("{}, skipping", exists.message));
        context.notice(NoticeSeverity::Notice, notice);
        return Ok(());
    }
    let mut owner = context.facts.user.oid;
    for option in &create.options {
        let value = option.value.as_deref().unwrap_or_default();
        match (option.name.text.as_str(), value) {
            ("owner", role) => match catalog.principal(role) {
                Some(principal) => owner = principal.oid,
                None => return Err(no_role(role)),
            },
            ("encoding", given) if is_utf8(given) => {}
            ("template", "template0" | "template1" | "default") => {}
            ("lc_collate" | "lc_ctype" | "locale", "C" | "C.UTF-8" | "POSIX") => {}
            ("tablespace", "pg_default") => {}
            (name, value) => {
                let what = format!("CREATE DATABASE … {} {value}", name.to_uppercase());
                return Err(SqlError::unsupported(what).at(option.name.position));
            }
        }
    }
    context.open.change_catalog()?;
    let oid = context.new_number().await?;
    let database = DatabaseDescriptor { oid, name: name.clone(), owner };
    match store::insert_described(&*context.open.txn, &database).await {
        Err(TxnFailure::Duplicate { .. }) => {
            let message = format!("database \"{name}\" already exists");
            return Err(SqlError::new(sqlstate::DUPLICATE_DATABASE, message));
        }
        other => other?,
    }
    context.open.catalog_changed();
    Ok(())
}

fn is_utf8(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "utf8" | "utf-8" | "unicode" | "default")
}

pub(super) async fn drop(
    name: &ObjectName,
    if_exists: bool,
    context: &ExecContext,
) -> Result<(), SqlError> {
    let catalog = context.open.catalog().await?;
    let name = &name.name().text;
    let Some(database) = catalog.database(name) else {
        let message = format!("database \"{name}\" does not exist");
        if if_exists {
            let notice = SqlError::new(SUCCESS, format!("{message}, skipping"));
            context.notice(NoticeSeverity::Notice, notice);
            return Ok(());
        }
        return Err(SqlError::new(sqlstate::INVALID_CATALOG_NAME, message));
    };
    if database.oid == context.facts.database.oid {
        let message = "cannot drop the currently open database";
        return Err(SqlError::new(sqlstate::OBJECT_IN_USE, message));
    }
    if context.instance.connected().iter().any(|(_, other)| other.database == *name) {
        let message = format!("database \"{name}\" is being accessed by other users");
        return Err(SqlError::new(sqlstate::OBJECT_IN_USE, message));
    }
    context.open.change_catalog()?;
    for relation in catalog.relations(database.oid) {
        match relation {
            Relation::Table(table) => {
                super::alter::lock(context, table).await?;
                let key = table.key();
                let (txn, wait) = (&*context.open.txn, context.facts.wait);
                store::remove(txn, SystemTable::Tables, key, wait).await?;
            }
            Relation::Sequence(sequence) => drop::remove_sequence(context, sequence).await?,
            Relation::Index(..) => {} // goes with its table
        }
    }
    let (txn, wait) = (&*context.open.txn, context.facts.wait);
    store::remove(txn, SystemTable::Databases, database.key(), wait).await?;
    context.open.catalog_changed();
    Ok(())
}

fn no_role(name: &str) -> SqlError {
    let message = format!("role \"{name}\" does not exist");
    SqlError::new(sqlstate::UNDEFINED_OBJECT, message)
}

pub(super) async fn role(role: &CreateRole, context: &ExecContext) -> Result<(), SqlError> {
    let catalog = context.open.catalog().await?;
    let name = &role.name.text;
    let old = catalog.principal(name);
    let mut principal = match (old, role.alter) {
        (Some(old), true) => (**old).clone(),
        (None, true) => return Err(no_role(name)),
        (Some(_), false) => {
            let message = format!("role \"{name}\" already exists");
            return Err(SqlError::new(sqlstate::DUPLICATE_OBJECT, message));
        }
        (None, false) => Principal {
            oid: context.new_number().await?,
            name: name.clone(),
            superuser: false,
            login: false,
            create_database: false,
            create_role: false,
            verifier: None,
        },
    };
    principal.superuser = role.superuser.unwrap_or(principal.superuser);
    principal.login = role.login.unwrap_or(principal.login);
    principal.create_database = role.create_database.unwrap_or(principal.create_database);
    principal.create_role = role.create_role.unwrap_or(principal.create_role);
    match &role.password {
        None => {}
        Some(None) => principal.verifier = None,
        Some(Some(password)) => match scram::parse(password) {
            Some(verifier) => principal.verifier = Some(verifier),
            None => {
                return Err(SqlError::unsupported("a password in clear text")
                    .hint("Give the SCRAM-SHA-256 verifier, as psql's \\password does."));
            }
        },
    }
    context.open.change_catalog()?;
    match role.alter {
        true => {
            store::replace_described(&*context.open.txn, &principal, context.facts.wait).await?;
        }
        false => store::insert_described(&*context.open.txn, &principal).await?,
    }
    context.open.catalog_changed();
    Ok(())
}

pub(super) async fn drop_role(
    name: &ObjectName,
    if_exists: bool,
    context: &ExecContext,
) -> Result<(), SqlError> {
    let catalog = context.open.catalog().await?;
    let name = &name.name().text;
    let Some(principal) = catalog.principal(name) else {
        if if_exists {
            let message = format!("role \"{name}\" does not exist, skipping");
            context.notice(NoticeSeverity::Notice, SqlError::new(SUCCESS, message));
            return Ok(());
        }
        return Err(no_role(name));
    };
    if name == SUPERUSER {
        let message =
            format!("cannot drop role {name} because it is required by the database system");
        return Err(SqlError::new(sqlstate::DEPENDENT_OBJECTS_STILL_EXIST, message));
    }
    if principal.oid == context.facts.user.oid {
        return Err(SqlError::new(sqlstate::OBJECT_IN_USE, "current user cannot be dropped"));
    }
    context.open.change_catalog()?;
    let (txn, wait) = (&*context.open.txn, context.facts.wait);
    store::remove(txn, SystemTable::Principals, principal.key(), wait).await?;
    context.open.catalog_changed();
    Ok(())
}
