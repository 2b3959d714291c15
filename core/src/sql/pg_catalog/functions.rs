//! Functions that need the catalog, a sequence or the session.

use std::rc::Rc;

use super::cluster::{DATABASE_OWNER, UTF8};
use super::relations::namespace;
use super::{definition, views};
use crate::base::error::{SqlError, sqlstate};
use crate::row::datum::Datum;
use crate::row::eval::EvalContext;
use crate::row::functions;
use crate::row::type_table::TYPES;
use crate::row::types::DataType;
use crate::sql::catalog::descriptor::SequenceDescriptor;
use crate::sql::catalog::snapshot::{INFORMATION_SCHEMA, PG_CATALOG, Relation};
use crate::sql::execute::context::{ExecContext, Need};
use crate::sql::execute::deparse::identifier;
use crate::sql::session::SERVER_VERSION;

type Outcome = Result<Datum, SqlError>;

/// Longest `pg_sleep`.
const SLEEP_SECONDS_MAX: f64 = 86_400.0 * 365.0;

/// Calls a function by name.
pub(crate) fn call(
    context: &ExecContext,
    name: &str,
    args: &[Datum],
    _: &EvalContext<'_>,
) -> Outcome {
    let oid = |at: usize| args.get(at).and_then(Datum::as_i64).and_then(|n| u32::try_from(n).ok());
    let text = |at: usize| args.get(at).and_then(Datum::as_str).unwrap_or_default();
    Ok(match name {
        "nextval" | "currval" | "lastval" | "setval" | "pg_sequence_last_value" => {
            return sequence_call(context, name, args);
        }
        "version" => Datum::text(&format!("PostgreSQL {SERVER_VERSION}, compatible")),
        "format_type" => format_type(args),
        "current_setting" => return current_setting(context, args),
        "pg_get_userbyid" => user_name(context, oid(0))?,
        "pg_get_expr" | "pg_relation_filenode" => args.first().cloned().unwrap_or(Datum::Null),
        "pg_get_indexdef" => return index_definition(context, args),
        "pg_get_constraintdef" => constraint_definition(context, oid(0))?,
        "pg_get_serial_sequence" => return serial_sequence(context, text(0), text(1)),
        "pg_table_is_visible" => is_visible(context, oid(0))?,
        "pg_sleep" => return sleep(context, args),
        "to_regclass" => resolve_class(context, text(0))?.map_or(Datum::Null, Datum::Oid),
        "to_regtype" => find_type(text(0)).map_or(Datum::Null, Datum::Oid),
        "regclassin" => return regclass(context, text(0)),
        "regtypein" | "regnamespacein" | "regrolein" | "regprocin" => {
            return named(context, name, text(0));
        }
        "pg_encoding_to_char" if oid(0) == u32::try_from(UTF8).ok() => Datum::text("UTF8"),
        "pg_encoding_to_char" => Datum::text(""),
        "pg_char_to_encoding" if text(0).eq_ignore_ascii_case("utf8") => Datum::Int4(UTF8),
        "pg_char_to_encoding" => Datum::Int4(-1),
        other => match constant(context, other) {
            Some(value) => value,
            None => return Err(SqlError::unsupported(format!("function {other}"))),
        },
    })
}

/// Functions whose answer is the same whatever they are asked about.
fn constant(context: &ExecContext, name: &str) -> Option<Datum> {
    Some(match name {
        "pg_client_encoding" => Datum::text("UTF8"),
        // Nothing has a comment, a partition, extended statistics or a place of its own.
        "obj_description"
        | "col_description"
        | "shobj_description"
        | "pg_get_partkeydef"
        | "pg_get_function_arguments"
        | "pg_get_function_result"
        | "pg_get_function_identity_arguments"
        | "pg_get_statisticsobjdef_columns"
        | "pg_tablespace_location" => Datum::Null,
        "pg_type_is_visible"
        | "pg_function_is_visible"
        | "pg_operator_is_visible"
        | "pg_opclass_is_visible"
        | "pg_collation_is_visible" => Datum::Bool(true),
        // Nobody counts bytes and rows yet.
        "pg_relation_size"
        | "pg_total_relation_size"
        | "pg_table_size"
        | "pg_indexes_size"
        | "pg_database_size"
        | "pg_stat_get_numscans"
        | "pg_stat_get_live_tuples"
        | "pg_stat_get_dead_tuples" => Datum::Int8(0),
        "has_table_privilege"
        | "has_sequence_privilege"
        | "has_database_privilege"
        | "has_schema_privilege"
        | "has_column_privilege"
        | "has_any_column_privilege"
        | "pg_has_role" => Datum::Bool(context.facts.user.superuser),
        "pg_is_in_recovery"
        | "pg_is_other_temp_schema"
        | "row_security_active"
        | "pg_relation_is_publishable" => Datum::Bool(false),
        "pg_my_temp_schema" => Datum::Oid(0),
        _ => return None, // what depends on more
    })
}

fn user_name(context: &ExecContext, oid: Option<u32>) -> Outcome {
    let catalog = context.catalog()?;
    let role = catalog.principals().find(|role| Some(role.oid) == oid);
    Ok(match role {
        Some(role) => Datum::text(&role.name),
        None if oid == Some(DATABASE_OWNER) => Datum::text("pg_database_owner"),
        None => Datum::text(&format!("unknown (OID={})", oid.unwrap_or(0))),
    })
}

/// The number of a thing that a text names, by the input function of its `reg…` type.
fn named(context: &ExecContext, function: &str, name: &str) -> Outcome {
    let (found, what, state) = match function {
        "regtypein" => (find_type(name), "type", sqlstate::UNDEFINED_OBJECT),
        "regnamespacein" => {
            let schemas = ["public", PG_CATALOG, INFORMATION_SCHEMA];
            let found = schemas.contains(&name).then(|| namespace(name));
            (found, "schema", sqlstate::INVALID_SCHEMA_NAME)
        }
        "regrolein" => {
            let found = context.catalog()?.principal(name).map(|role| role.oid);
            (found, "role", sqlstate::UNDEFINED_OBJECT)
        }
        _ => {
            // regprocin
            let found = functions::candidates(name).first().map(|function| function.oid);
            (found, "function", sqlstate::UNDEFINED_FUNCTION)
        }
    };
    found.map(Datum::Oid).ok_or_else(|| undefined(what, name, state))
}

fn undefined(what: &str, name: &str, state: crate::base::error::SqlState) -> SqlError {
    SqlError::new(state, format!("{what} \"{name}\" does not exist"))
}

/// The name of what an OID stands for, as `regclass` and its kin show it.
pub(crate) fn name_of(context: &ExecContext, ty: &DataType, oid: u32) -> Option<String> {
    match ty {
        DataType::Regclass => {
            let catalog = context.catalog().ok()?;
            match catalog.relation_by_oid(oid) {
                Some(relation) => Some(relation_name(context, relation)),
                None => views::by_oid(oid).map(|view| view.name.to_owned()),
            }
        }
        DataType::Regtype => DataType::from_oid(oid, -1).map(|ty| ty.base_name().into_owned()),
        DataType::Regproc => {
            functions::by_id(functions::FunctionId(oid)).map(|def| def.name.to_owned())
        }
        DataType::Regnamespace => {
            let schemas = ["public", PG_CATALOG, INFORMATION_SCHEMA];
            schemas.into_iter().find(|schema| namespace(schema) == oid).map(str::to_owned)
        }
        DataType::Regrole => {
            let catalog = context.catalog().ok()?;
            catalog.principals().find(|role| role.oid == oid).map(|role| identifier(&role.name))
        }
        _ => None, // a number
    }
}

fn relation_name(context: &ExecContext, relation: &Relation) -> String {
    let name = identifier(relation.name());
    let visible = context.facts.search_path.iter().any(|schema| schema == relation.schema());
    if visible { name } else { format!("{}.{name}", identifier(relation.schema())) }
}

/// The number of a relation that a text names.
fn resolve_class(context: &ExecContext, text: &str) -> Result<Option<u32>, SqlError> {
    let parts = split_name(text);
    let (schema, name) = match parts.as_slice() {
        [name] => (None, name),
        [schema, name] => (Some(schema.as_str()), name),
        _ => return Err(SqlError::new(sqlstate::SYNTAX_ERROR, "invalid name syntax")),
    };
    let catalog = context.catalog()?;
    let path = &context.facts.search_path;
    if let Some(found) = catalog.relation(context.facts.database.oid, path, schema, name) {
        return Ok(Some(found.oid()));
    }
    let schema = schema.unwrap_or(PG_CATALOG);
    Ok(views::view(schema, name).map(|view| view.oid))
}

/// Parts of a dotted name, folded unless quoted.
fn split_name(text: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let (mut part, mut quoted) = (String::new(), false);
    let mut chars = text.trim().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                part.push('"');
            }
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(std::mem::take(&mut part)),
            c if quoted => part.push(c),
            c => part.extend(c.to_lowercase()),
        }
    }
    parts.push(part);
    parts
}

fn regclass(context: &ExecContext, text: &str) -> Outcome {
    match resolve_class(context, text)? {
        Some(oid) => Ok(Datum::Oid(oid)),
        None => {
            let message = format!("relation \"{text}\" does not exist");
            Err(SqlError::new(sqlstate::UNDEFINED_TABLE, message))
        }
    }
}

fn find_type(name: &str) -> Option<u32> {
    let name = name.trim();
    let (element, is_array) = match name.strip_suffix("[]") {
        Some(element) => (element, true),
        None => (name, false),
    };
    let found = DataType::from_sql_name(&element.to_ascii_lowercase(), &[]).ok();
    let ty = match found {
        Some(ty) if is_array => DataType::array_of(ty),
        Some(ty) => ty,
        None => {
            return TYPES.iter().find(|row| row.typname == name).map(|row| row.oid);
        }
    };
    Some(ty.oid())
}

fn format_type(args: &[Datum]) -> Datum {
    let oid = args.first().and_then(Datum::as_i64).and_then(|oid| u32::try_from(oid).ok());
    let Some(oid) = oid else {
        return Datum::Null;
    };
    let typmod = args.get(1).and_then(Datum::as_i64).and_then(|n| i32::try_from(n).ok());
    match DataType::from_oid(oid, typmod.unwrap_or(-1)) {
        _ if oid == 0 => Datum::text("-"),
        None => Datum::text("???"),
        Some(ty) if typmod.is_some_and(|typmod| 0 <= typmod) => Datum::text(&ty.name()),
        Some(ty) => Datum::text(&ty.base_name()),
    }
}

fn current_setting(context: &ExecContext, args: &[Datum]) -> Outcome {
    let name = args.first().and_then(Datum::as_str).unwrap_or_default();
    let missing_ok = args.get(1).and_then(Datum::as_bool).unwrap_or(false);
    match context.facts.settings.show(name) {
        Ok(value) => Ok(Datum::text(&value)),
        Err(_) if missing_ok => Ok(Datum::Null),
        Err(error) => Err(error),
    }
}

fn index_definition(context: &ExecContext, args: &[Datum]) -> Outcome {
    let oid = args.first().and_then(Datum::as_i64).and_then(|oid| u32::try_from(oid).ok());
    let catalog = context.catalog()?;
    let Some(Relation::Index(table, at)) = oid.and_then(|oid| catalog.relation_by_oid(oid)) else {
        return Ok(Datum::Null);
    };
    let index = &table.indexes[*at];
    match args.get(1).and_then(Datum::as_i64) {
        None | Some(0) => {
            let visible = context.facts.search_path.iter().any(|path| *path == table.schema);
            let pretty = args.get(2).and_then(Datum::as_bool).unwrap_or(false);
            Ok(Datum::text(&definition::index(table, index, !(pretty && visible))))
        }
        Some(column) => {
            let at = usize::try_from(column - 1).ok();
            let key = at.and_then(|at| index.columns.get(at));
            Ok(key.map_or(Datum::text(""), |key| Datum::text(&definition::column(table, key))))
        }
    }
}

fn constraint_definition(context: &ExecContext, oid: Option<u32>) -> Outcome {
    let catalog = context.catalog()?;
    match oid.and_then(|oid| catalog.relation_by_oid(oid)) {
        Some(Relation::Index(table, at)) => {
            Ok(Datum::text(&definition::constraint(table, &table.indexes[*at])))
        }
        _ => Ok(Datum::Null), // no such constraint
    }
}

fn is_visible(context: &ExecContext, oid: Option<u32>) -> Outcome {
    let catalog = context.catalog()?;
    let path = &context.facts.search_path;
    match oid.and_then(|oid| catalog.relation_by_oid(oid)) {
        Some(relation) => Ok(Datum::Bool(path.iter().any(|schema| schema == relation.schema()))),
        None => {
            let view = oid.and_then(views::by_oid);
            Ok(view.map_or(Datum::Null, |view| Datum::Bool(view.schema == PG_CATALOG)))
        }
    }
}

fn serial_sequence(context: &ExecContext, table: &str, column: &str) -> Outcome {
    let catalog = context.catalog()?;
    let oid = regclass(context, table)?;
    let oid = oid.as_i64().and_then(|oid| u32::try_from(oid).ok()).unwrap_or(0);
    let Some(Relation::Table(table)) = catalog.relation_by_oid(oid) else {
        return Ok(Datum::Null);
    };
    let Some(ordinal) = table.ordinal(column) else {
        let message = format!("column \"{column}\" of relation \"{}\" does not exist", table.name);
        return Err(SqlError::new(sqlstate::UNDEFINED_COLUMN, message));
    };
    let ordinal = u16::try_from(ordinal).unwrap_or(u16::MAX);
    let owned = catalog.relations(table.database).find_map(|relation| match relation {
        Relation::Sequence(sequence) if sequence.owned_by == Some((oid, ordinal)) => {
            let (schema, name) = (identifier(&sequence.schema), identifier(&sequence.name));
            Some(Datum::text(&format!("{schema}.{name}")))
        }
        _ => None, // another's
    });
    Ok(owned.unwrap_or(Datum::Null))
}

fn sleep(context: &ExecContext, args: &[Datum]) -> Outcome {
    if context.take_met() {
        return Ok(Datum::text(""));
    }
    match args.first() {
        Some(Datum::Float8(seconds)) if 0.0 < *seconds => {
            let time = std::time::Duration::from_secs_f64(seconds.min(SLEEP_SECONDS_MAX));
            Err(context.ask(Need::Sleep(time)))
        }
        _ => Ok(Datum::text("")), // no time at all
    }
}

fn sequence_of(context: &ExecContext, args: &[Datum]) -> Result<Rc<SequenceDescriptor>, SqlError> {
    let oid = args.first().and_then(Datum::as_i64).and_then(|oid| u32::try_from(oid).ok());
    let catalog = context.catalog()?;
    match oid.and_then(|oid| catalog.relation_by_oid(oid)) {
        Some(Relation::Sequence(sequence)) => Ok(Rc::clone(sequence)),
        Some(other) => {
            let message = format!("\"{}\" is not a sequence", other.name());
            Err(SqlError::new(sqlstate::WRONG_OBJECT_TYPE, message))
        }
        None => {
            let message = format!("could not open relation with OID {}", oid.unwrap_or(0));
            Err(SqlError::new(sqlstate::UNDEFINED_TABLE, message))
        }
    }
}

fn sequence_call(context: &ExecContext, name: &str, args: &[Datum]) -> Outcome {
    let memory = &context.facts.sequences;
    let not_yet =
        |message: String| Err(SqlError::new(sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
    if name == "lastval" {
        return match memory.last.get() {
            Some(value) => Ok(Datum::Int8(value)),
            None => not_yet("lastval is not yet defined in this session".to_owned()),
        };
    }
    let sequence = sequence_of(context, args)?;
    match name {
        "nextval" => {
            context.open.check_writable("nextval()")?;
            match context.instance.numbers.try_sequence(&sequence) {
                Some(value) => {
                    memory.values.borrow_mut().insert(sequence.oid, value);
                    memory.last.set(Some(value));
                    Ok(Datum::Int8(value))
                }
                None => Err(context.ask(Need::Values(sequence))),
            }
        }
        "currval" => match memory.values.borrow().get(&sequence.oid) {
            Some(value) => Ok(Datum::Int8(*value)),
            None => not_yet(format!(
                "currval of sequence \"{}\" is not yet defined in this session",
                sequence.name
            )),
        },
        "setval" => {
            context.open.check_writable("setval()")?;
            let value = args.get(1).and_then(Datum::as_i64).unwrap_or(0);
            let called = args.get(2).and_then(Datum::as_bool).unwrap_or(true);
            if !(sequence.min..=sequence.max).contains(&value) {
                let message = format!(
                    "setval: value {value} is out of bounds for sequence \"{}\" ({}..{})",
                    sequence.name, sequence.min, sequence.max
                );
                return Err(SqlError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, message));
            }
            if !context.take_met() {
                return Err(context.ask(Need::Set(sequence, value, called)));
            }
            if called {
                memory.values.borrow_mut().insert(sequence.oid, value);
            }
            Ok(Datum::Int8(value))
        }
        _ => Ok(Datum::Null), // pg_sequence_last_value: of another node, perhaps
    }
}
