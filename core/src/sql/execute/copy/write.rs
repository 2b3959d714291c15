//! COPY … TO STDOUT: rows become lines.

use std::rc::Rc;

use bytes::Bytes;

use super::format::put_field;
use crate::row::datetime::Zone;
use crate::row::datum::Datum;
use crate::row::text::RenderOptions;
use crate::sql::parse::ast::CopyOptions;
use crate::sql::plan::Field;

/// Renders lines.
#[derive(Debug)]
pub(crate) struct CopyOut {
    fields: Rc<[Field]>,
    options: CopyOptions,
    zone: Rc<Zone>,
}

impl CopyOut {
    pub(crate) fn new(fields: Rc<[Field]>, options: CopyOptions, zone: Rc<Zone>) -> Self {
        Self { fields, options, zone }
    }

    /// The line that names the columns, if it is wanted.
    pub(crate) fn header(&self) -> Option<Bytes> {
        self.options.header.then(|| {
            let names: Vec<_> = self.fields.iter().map(|field| Some(field.name.clone())).collect();
            self.line(&names)
        })
    }

    /// A row's line.
    pub(crate) fn row(&self, row: &[Datum]) -> Bytes {
        let options = RenderOptions::new(&self.zone);
        let texts: Vec<_> = self
            .fields
            .iter()
            .zip(row)
            .map(|(field, value)| (!value.is_null()).then(|| value.to_text(&field.ty, &options)))
            .collect();
        self.line(&texts)
    }

    fn line(&self, texts: &[Option<String>]) -> Bytes {
        let mut out = Vec::with_capacity(32);
        for (at, text) in texts.iter().enumerate() {
            if 0 < at {
                out.push(self.options.delimiter);
            }
            put_field(&mut out, text.as_deref(), &self.options, texts.len() == 1);
        }
        out.push(b'\n');
        out.into()
    }
}
