//! Functions over strings: codes, quoting, joining.

use super::{Args, Outcome, beyond, check_size, text};
use crate::base::error::{SqlError, sqlstate};
use crate::row::datum::Datum;
use crate::row::eval::EvalContext;

pub(super) fn ascii(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let first = args.str(0)?.chars().next();
    Ok(Datum::Int4(first.map_or(0, |c| i32::try_from(u32::from(c)).unwrap_or(0))))
}

pub(super) fn chr(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let code = args.i64(0)?;
    let limit = |message: String| SqlError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message);
    if code < 0 {
        return Err(limit("character number must be positive".to_owned()));
    }
    if code == 0 {
        return Err(limit("null character not permitted".to_owned()));
    }
    let c = u32::try_from(code).ok().and_then(char::from_u32);
    let c =
        c.ok_or_else(|| limit(format!("requested character too large for encoding: {code}")))?;
    text(c.to_string())
}

pub(super) fn to_hex(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    text(match args.datum(0) {
        Datum::Int4(value) => format!("{value:x}"),
        _ => format!("{:x}", args.i64(0)?), // the other signature
    })
}

/// Words that must be quoted to be a name.
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

/// A name as it must be written in SQL: quoted only where it has to be.
pub fn quote_ident(name: &str) -> String {
    let mut bytes = name.bytes();
    let plain = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && RESERVED.binary_search(&name).is_err();
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

pub(super) fn quote_literal_text(string: &str) -> String {
    let quoted = string.replace('\'', "''");
    if string.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

pub(super) fn quote_ident_fn(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    text(quote_ident(args.str(0)?))
}

/// A value's text by its own type.
pub(super) fn shown(datum: &Datum, context: &EvalContext<'_>) -> String {
    datum.to_text(&datum.natural_type(), &context.render_options())
}

pub(super) fn quote_literal(args: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    text(quote_literal_text(&shown(args.datum(0), context)))
}

pub(super) fn quote_nullable(args: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    if args.datum(0).is_null() { text("NULL") } else { quote_literal(args, context) }
}

pub(super) fn concat(args: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    let mut out = String::new();
    for datum in args.0 {
        out.push_str(&shown(datum, context));
        check_size(out.len())?;
    }
    text(out)
}

pub(super) fn concat_ws(args: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    let Some(separator) = args.datum(0).as_str() else { return Ok(Datum::Null) };
    let mut out = String::new();
    for (at, datum) in args.0[1..].iter().filter(|datum| !datum.is_null()).enumerate() {
        if 0 < at {
            out.push_str(separator);
        }
        out.push_str(&shown(datum, context));
        check_size(out.len())?;
    }
    text(out)
}

/// `anything || text` and its mirror image.
pub(super) fn concat_any(args: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    concat(args, context)
}

/// `format('%s %I %L %%', …)` with positions and widths.
pub(super) fn format_fn(args: Args<'_>, context: &EvalContext<'_>) -> Outcome {
    let Some(template) = args.datum(0).as_str() else { return Ok(Datum::Null) };
    let fail = |message: &str| SqlError::new(sqlstate::INVALID_PARAMETER_VALUE, message);
    let mut out = String::new();
    let mut chars = template.chars().peekable();
    let mut next_arg = 1;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let mut number = take_number(&mut chars);
        let mut left_align = false;
        if let Some(position) = number
            && chars.next_if_eq(&'$').is_some()
        {
            if position == 0 {
                return Err(fail("format specifies argument 0, but arguments are numbered from 1"));
            }
            next_arg = position;
            number = None;
        }
        while chars.next_if_eq(&'-').is_some() {
            left_align = true;
        }
        let width = number.or_else(|| take_number(&mut chars)).unwrap_or(0);
        check_size(width)?;
        let kind = chars.next().ok_or_else(|| fail("unterminated format() type specifier"))?;
        let datum = args.0.get(next_arg).ok_or_else(|| fail("too few arguments for format()"))?;
        next_arg += 1;
        let shown = match kind {
            's' => shown(datum, context),
            'I' if datum.is_null() => {
                return Err(SqlError::new(
                    crate::base::error::SqlState::new("22004"),
                    "null values cannot be formatted as an SQL identifier",
                ));
            }
            'I' => quote_ident(&shown(datum, context)),
            'L' if datum.is_null() => "NULL".to_owned(),
            'L' => quote_literal_text(&shown(datum, context)),
            other => {
                let message = format!("unrecognized format() type specifier \"{other}\"");
                return Err(fail(&message).hint("For a single \"%\" use \"%%\"."));
            }
        };
        let blanks = " ".repeat(width.saturating_sub(shown.chars().count()));
        if left_align {
            out = out + &shown + &blanks;
        } else {
            out = out + &blanks + &shown;
        }
        check_size(out.len())?;
    }
    text(out)
}

fn take_number(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut value: Option<usize> = None;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        value = Some(value.unwrap_or(0).saturating_mul(10).saturating_add(digit as usize));
    }
    value
}

/// Bytes as people read them: `pg_size_pretty`.
pub(super) fn size_pretty(args: Args<'_>, _: &EvalContext<'_>) -> Outcome {
    let bytes = match args.datum(0) {
        Datum::Numeric(number) => number.to_i128().ok_or_else(|| beyond("bigint out of range"))?,
        _ => i128::from(args.i64(0)?), // the other signature
    };
    let mut size = bytes;
    if size.abs() < 10 * 1024 {
        return text(format!("{size} bytes"));
    }
    size >>= 9;
    let units = ["kB", "MB", "GB", "TB", "PB"];
    for (at, unit) in units.iter().enumerate() {
        if size.abs() < 20 * 1024 - 1 || at == units.len() - 1 {
            let rounded = (size + if size < 0 { 0 } else { 1 }) >> 1;
            return text(format!("{rounded} {unit}"));
        }
        size >>= 10;
    }
    text(format!("{size}"))
}
