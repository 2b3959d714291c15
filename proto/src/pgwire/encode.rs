//! Replies to a client's bytes, appended to a buffer that leaves in one socket write.
//!
//! Rows arrive as finished bodies of DataRow messages and are copied behind their headers once.
//!
//! # Invariants
//!
//! - Text that ends at a zero byte holds none: zero bytes in it are left out.

use bytes::{BufMut, BytesMut};
use shardforge_core::base::error::SqlError;
use shardforge_core::sql::protocol::{
    ClientReply, DataRows, FieldDescription, NoticeSeverity, TransactionStatus,
};

use super::SCRAM_SHA_256;

/// Appends one reply.
///
/// # Panics
///
/// If a message is over 2 GiB; the core's bounds keep replies far below.
pub fn encode(reply: &ClientReply, out: &mut BytesMut) {
    match reply {
        ClientReply::AuthenticationScram(_) => message(out, b'R', |out| {
            out.put_u32(10);
            put_text(out, SCRAM_SHA_256);
            out.put_u8(0);
        }),
        ClientReply::AuthenticationOk => message(out, b'R', |out| out.put_u32(0)),
        ClientReply::ParameterStatus(name, value) => message(out, b'S', |out| {
            put_text(out, name);
            put_text(out, value);
        }),
        ClientReply::BackendKeyData { process, secret } => message(out, b'K', |out| {
            out.put_u32(*process);
            out.put_u32(*secret);
        }),
        ClientReply::ReadyForQuery(status) => message(out, b'Z', |out| {
            out.put_u8(match status {
                TransactionStatus::Idle => b'I',
                TransactionStatus::InTransaction => b'T',
                TransactionStatus::Failed => b'E',
            });
        }),
        ClientReply::RowDescription(fields) => row_description(fields, out),
        ClientReply::NoData => empty(out, b'n'),
        ClientReply::ParameterDescription(types) => message(out, b't', |out| {
            put_count(out, types.len());
            types.iter().for_each(|oid| out.put_u32(*oid));
        }),
        ClientReply::DataRows(rows) => data_rows(rows, out),
        ClientReply::CommandComplete(tag) => message(out, b'C', |out| put_text(out, tag)),
        ClientReply::EmptyQueryResponse => empty(out, b'I'),
        ClientReply::ParseComplete => empty(out, b'1'),
        ClientReply::BindComplete => empty(out, b'2'),
        ClientReply::CloseComplete => empty(out, b'3'),
        ClientReply::PortalSuspended => empty(out, b's'),
        ClientReply::Error(error) => error_fields(out, b'E', "ERROR", error),
        ClientReply::Fatal(error) => error_fields(out, b'E', "FATAL", error),
        ClientReply::Notice(severity, notice) => {
            let severity = match severity {
                NoticeSeverity::Notice => "NOTICE",
                NoticeSeverity::Warning => "WARNING",
                NoticeSeverity::Info => "INFO",
            };
            error_fields(out, b'N', severity, notice);
        }
        ClientReply::CopyInResponse(format, columns) => copy_response(out, b'G', *format, *columns),
        ClientReply::CopyOutResponse(format, columns) => {
            copy_response(out, b'H', *format, *columns);
        }
        ClientReply::CopyData(rows) => {
            out.reserve(rows.iter().map(|row| row.len() + 5).sum());
            rows.iter().for_each(|row| message(out, b'd', |out| out.put_slice(row)));
        }
        ClientReply::CopyDone => empty(out, b'c'),
    }
}

/// Appends NegotiateProtocolVersion: we speak 3.0 and none of these options.
pub fn negotiate_version(unknown_options: &[String], out: &mut BytesMut) {
    message(out, b'v', |out| {
        // The newest minor version of the major version that the client asked for.
        out.put_u32(0);
        out.put_u32(u32::try_from(unknown_options.len()).unwrap_or(0));
        unknown_options.iter().for_each(|option| put_text(out, option));
    });
}

/// Appends AuthenticationSASLContinue.
pub fn sasl_continue(data: &[u8], out: &mut BytesMut) {
    message(out, b'R', |out| {
        out.put_u32(11);
        out.put_slice(data);
    });
}

/// Appends AuthenticationSASLFinal.
pub fn sasl_final(data: &[u8], out: &mut BytesMut) {
    message(out, b'R', |out| {
        out.put_u32(12);
        out.put_slice(data);
    });
}

fn message(out: &mut BytesMut, kind: u8, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(kind);
    let at = out.len();
    out.put_u32(0);
    body(out);
    let len = i32::try_from(out.len() - at).ok();
    assert!(len.is_some(), "a message over 2 GiB");
    out[at..at + 4].copy_from_slice(&len.unwrap_or(0).to_be_bytes());
}

fn empty(out: &mut BytesMut, kind: u8) {
    out.put_slice(&[kind, 0, 0, 0, 4]);
}

fn put_text(out: &mut BytesMut, text: &str) {
    text.split('\0').for_each(|part| out.put_slice(part.as_bytes()));
    out.put_u8(0);
}

fn put_count(out: &mut BytesMut, count: usize) {
    let count = u16::try_from(count).ok();
    assert!(count.is_some(), "more than 65,535 columns or parameters");
    out.put_u16(count.unwrap_or(0));
}

fn row_description(fields: &[FieldDescription], out: &mut BytesMut) {
    message(out, b'T', |out| {
        put_count(out, fields.len());
        for field in fields {
            put_text(out, &field.name);
            out.put_u32(field.table_oid);
            out.put_i16(field.column);
            out.put_u32(field.type_oid);
            out.put_i16(field.type_len);
            out.put_i32(field.type_modifier);
            out.put_i16(field.format);
        }
    });
}

fn data_rows(rows: &DataRows, out: &mut BytesMut) {
    out.reserve(rows.bytes.len() + 5 * rows.ends.len());
    let mut start = 0;
    for end in &rows.ends {
        let end = *end as usize;
        let len = end - start + 4;
        assert!(len <= i32::MAX as usize, "a row over 2 GiB");
        out.put_u8(b'D');
        out.put_u32(len as u32);
        out.put_slice(&rows.bytes[start..end]);
        start = end;
    }
    assert_eq!(start, rows.bytes.len(), "bytes of rows that belong to none");
}

fn copy_response(out: &mut BytesMut, kind: u8, format: u8, columns: u16) {
    message(out, kind, |out| {
        out.put_u8(format);
        out.put_u16(columns);
        (0..columns).for_each(|_| out.put_u16(u16::from(format)));
    });
}

fn error_fields(out: &mut BytesMut, kind: u8, severity: &str, error: &SqlError) {
    message(out, kind, |out| {
        let mut field = |code: u8, text: &str| {
            out.put_u8(code);
            put_text(out, text);
        };
        field(b'S', severity);
        field(b'V', severity);
        field(b'C', error.state.as_str());
        field(b'M', &error.message);
        let position = error.position.map(|position| position.to_string());
        let optional = [
            (b'D', &error.detail),
            (b'H', &error.hint),
            (b'P', &position),
            (b't', &error.table),
            (b'c', &error.column),
            (b'n', &error.constraint),
        ];
        for (code, text) in optional {
            if let Some(text) = text {
                field(code, text);
            }
        }
        out.put_u8(0);
    });
}

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
