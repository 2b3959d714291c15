//! CREATE SEQUENCE, and the sequences behind SERIAL.

use super::names;
use crate::base::error::{SqlError, sqlstate};
use crate::row::types::DataType;
use crate::sql::catalog::descriptor::SequenceDescriptor;
use crate::sql::catalog::store;
use crate::sql::execute::context::ExecContext;
use crate::sql::parse::ast::CreateSequence;
use crate::sql::protocol::NoticeSeverity;

pub(super) async fn create(create: &CreateSequence, context: &ExecContext) -> Result<(), SqlError> {
    let catalog = context.open.catalog().await?;
    let schema = names::schema_for_new(context, &catalog, &create.name)?;
    let name = &create.name.name().text;
    let database = context.facts.database.oid;
    if catalog.relation(database, &[], Some(&schema), name).is_some() {
        let exists = names::exists_already(name);
        if !create.if_not_exists {
            return Err(exists);
        }
        let notice = SqlError::new(exists.state, format!("{}, skipping", exists.message));
        context.notice(NoticeSeverity::Notice, notice);
        return Ok(());
    }
    let options = &create.options;
    if options.owned_by.is_some() {
        return Err(SqlError::unsupported("OWNED BY in CREATE SEQUENCE"));
    }
    let ty = match &options.ty {
        Some(ty) => super::data_type(ty)?,
        None => DataType::Int8,
    };
    if !matches!(ty, DataType::Int2 | DataType::Int4 | DataType::Int8) {
        let message = "sequence type must be smallint, integer, or bigint";
        return Err(invalid(message.to_owned()));
    }
    let oid = context.new_number().await?;
    let mut made = with_defaults(context, oid, &schema, name, &ty);
    made.increment = options.increment.unwrap_or(1);
    if made.increment == 0 {
        return Err(invalid("INCREMENT must not be zero".to_owned()));
    }
    if made.increment < 0 {
        (made.min, made.max) = (least(&ty), -1);
    }
    made.min = options.min.unwrap_or(made.min);
    made.max = options.max.unwrap_or(made.max);
    let first = if made.increment < 0 { made.max } else { made.min };
    made.start = options.start.unwrap_or(first);
    made.cache = options.cache.unwrap_or(1);
    made.cycle = options.cycle;
    check(&made)?;
    context.open.change_catalog()?;
    write(context, &made).await?;
    context.open.catalog_changed();
    Ok(())
}

fn check(made: &SequenceDescriptor) -> Result<(), SqlError> {
    if made.max <= made.min {
        return Err(invalid(format!(
            "MINVALUE ({}) must be less than MAXVALUE ({})",
            made.min, made.max
        )));
    }
    if made.start < made.min {
        return Err(invalid(format!(
            "START value ({}) cannot be less than MINVALUE ({})",
            made.start, made.min
        )));
    }
    if made.max < made.start {
        return Err(invalid(format!(
            "START value ({}) cannot be greater than MAXVALUE ({})",
            made.start, made.max
        )));
    }
    if made.cache < 1 {
        return Err(invalid(format!("CACHE ({}) must be greater than zero", made.cache)));
    }
    Ok(())
}

fn invalid(message: String) -> SqlError {
    SqlError::new(sqlstate::INVALID_PARAMETER_VALUE, message)
}

fn least(ty: &DataType) -> i64 {
    match ty {
        DataType::Int2 => i64::from(i16::MIN),
        DataType::Int4 => i64::from(i32::MIN),
        _ => i64::MIN, // int8
    }
}

fn largest(ty: &DataType) -> i64 {
    match ty {
        DataType::Int2 => i64::from(i16::MAX),
        DataType::Int4 => i64::from(i32::MAX),
        _ => i64::MAX, // int8
    }
}

/// 1, 2, 3, … up to the end of the type.
pub(super) fn with_defaults(
    context: &ExecContext,
    oid: u32,
    schema: &str,
    name: &str,
    ty: &DataType,
) -> SequenceDescriptor {
    SequenceDescriptor {
        oid,
        database: context.facts.database.oid,
        schema: schema.to_owned(),
        name: name.to_owned(),
        owner: context.facts.user.oid,
        ty: ty.clone(),
        start: 1,
        increment: 1,
        min: 1,
        max: largest(ty),
        cache: 1,
        cycle: false,
        owned_by: None,
    }
}

/// Writes a new sequence's name and descriptor.
pub(super) async fn write(
    context: &ExecContext,
    sequence: &SequenceDescriptor,
) -> Result<(), SqlError> {
    names::claim(context, &sequence.schema, &sequence.name, sequence.oid).await?;
    Ok(store::insert_described(&*context.open.txn, sequence).await?)
}
