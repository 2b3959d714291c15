//! Values on their way from and to a client.

use std::rc::Rc;

use bytes::{BufMut, Bytes};

use crate::base::error::{SqlError, sqlstate};
use crate::base::time::Wall;
use crate::row::binary::{read_binary, read_text};
use crate::row::datetime::{Moment, Zone};
use crate::row::datum::Datum;
use crate::row::text::{OidNames, RenderOptions, parse_text};
use crate::row::types::DataType;
use crate::sql::plan::Field;

/// Microseconds from the Unix epoch to 2000-01-01.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Microseconds since 2000-01-01.
pub(crate) fn moment_micros(wall: Wall) -> i64 {
    wall.0.saturating_sub(EPOCH_MICROS)
}

/// Formats of columns or parameters, as Bind gives them: none is text, one is for all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Formats {
    /// All have this one.
    All(i16),
    /// One each.
    Each(Rc<[i16]>),
}

impl Formats {
    /// What Bind gave for so many; `None` if it does not fit.
    pub(crate) fn given(given: &[i16], columns: usize) -> Option<Self> {
        if given.iter().any(|format| !matches!(format, 0 | 1)) {
            return None;
        }
        match given {
            [] => Some(Self::All(0)),
            [one] => Some(Self::All(*one)),
            many if many.len() == columns => Some(Self::Each(many.into())),
            _ => None, // a count that fits nothing
        }
    }

    /// The format of a column.
    pub(crate) fn of(&self, column: usize) -> i16 {
        match self {
            Self::All(format) => *format,
            Self::Each(formats) => formats.get(column).copied().unwrap_or(0),
        }
    }
}

/// Writes rows as a client wants them.
pub(crate) struct Encoder<'a> {
    formats: Option<&'a Formats>,
    zone: Rc<Zone>,
    names: Option<&'a dyn OidNames>,
}

impl<'a> Encoder<'a> {
    /// Formats of the columns; `None`: all text.
    pub(crate) fn new(
        formats: Option<&'a Formats>,
        zone: Rc<Zone>,
        names: Option<&'a dyn OidNames>,
    ) -> Self {
        Self { formats, zone, names }
    }

    /// Appends the columns of a DataRow.
    pub(crate) fn encode<'r>(
        &self,
        fields: &[Field],
        row: impl IntoIterator<Item = &'r Datum>,
        out: &mut Vec<u8>,
    ) -> Result<(), SqlError> {
        let mut options = RenderOptions::new(&self.zone);
        options.names = self.names;
        for (at, (field, value)) in fields.iter().zip(row).enumerate() {
            if value.is_null() {
                out.put_i32(-1);
                continue;
            }
            let start = out.len();
            out.put_i32(0);
            match self.formats.map(|formats| formats.of(at)) {
                Some(1) => value.write_binary(&field.ty, out),
                _ => value.render_text(&field.ty, &options, out), // text is the default
            }
            let Ok(len) = i32::try_from(out.len() - start - 4) else {
                let message = "a value is too long for a message";
                return Err(SqlError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message));
            };
            out[start..start + 4].copy_from_slice(&len.to_be_bytes());
        }
        Ok(())
    }
}

/// A parameter of Bind.
///
/// # Errors
///
/// 22P02, 22P03 and their kin if the bytes are no value of the type.
pub(crate) fn decode_parameter(
    ty: &DataType,
    format: i16,
    bytes: &Bytes,
    zone: &Zone,
    now: Wall,
) -> Result<Datum, SqlError> {
    match format {
        1 => read_binary(ty, bytes),
        _ => {
            let moment = Moment { now: moment_micros(now), zone };
            parse_text(ty, read_text(bytes)?, &moment)
        }
    }
}

/// A value as an error message shows it.
pub(crate) fn text_of(value: &Datum, ty: &DataType) -> String {
    match value {
        Datum::Null => "null".to_owned(),
        value => value.to_text(ty, &RenderOptions::new(&Zone::utc())),
    }
}
