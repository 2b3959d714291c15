//! Bytes of a client to requests, as far as they have arrived.
//!
//! Works on what a socket has delivered so far and waits for the rest of a message; what a message
//! claims about its own length is checked against a bound before anybody makes room for it.
//!
//! # Invariants
//!
//! - An error is final: the connection must be closed after saying it.
//! - A count inside a message is believed only as far as the message has bytes for it.
//! - Before authentication nothing over [`limit::STARTUP_BYTES_MAX`] is accepted.

use bytes::{Buf, Bytes, BytesMut};
use shardforge_core::base::codec::{CodecError, Reader};
use shardforge_core::base::error::{SqlState, sqlstate};
use shardforge_core::base::limit;
use shardforge_core::sql::protocol::ClientRequest;

const VERSION_MAJOR: u16 = 3;
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;

/// Bodies up to this size are copied, so that a parameter does not pin a socket's read buffer.
const COPY_BYTES_MAX: usize = 8 << 10;

/// What a client's bytes said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Frontend {
    /// SSLRequest or GSSENCRequest: answer `N` while there is no TLS, and go on.
    EncryptionWanted,
    /// The start-up packet.
    Startup {
        /// A [`ClientRequest::Startup`].
        request: ClientRequest,
        /// If the client speaks a later minor version or protocol options: the options that we
        /// do not know, for [`super::negotiate_version`].
        negotiate: Option<Vec<String>>,
    },
    /// CancelRequest; the connection is closed afterwards without an answer.
    Cancel(ClientRequest),
    /// A `p` message, while the connection is being authenticated.
    Sasl(Bytes),
    /// Everything else.
    Request(ClientRequest),
}

/// Why the bytes are not the protocol.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ProtocolError {
    /// The SQLSTATE to say.
    pub state: SqlState,
    /// One sentence, without what the client sent.
    pub message: String,
}

fn violation(message: impl Into<String>) -> ProtocolError {
    ProtocolError { state: sqlstate::PROTOCOL_VIOLATION, message: message.into() }
}

impl From<CodecError> for ProtocolError {
    fn from(_: CodecError) -> Self {
        violation("message ends before its contents do")
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Startup,
    Authentication,
    Messages,
}

/// Decodes one connection's bytes.
#[derive(Clone, Debug)]
pub struct Decoder {
    phase: Phase,
    encryption_requests: u8,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { phase: Phase::Startup, encryption_requests: 0 }
    }
}

impl Decoder {
    /// The client is who it says: ordinary messages follow.
    pub fn authenticated(&mut self) {
        self.phase = Phase::Messages;
    }

    /// The next thing that the client said; `None` until more bytes have come.
    ///
    /// # Errors
    ///
    /// If the bytes break the protocol or a bound.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frontend>, ProtocolError> {
        match self.phase {
            Phase::Startup => self.decode_startup(buffer),
            Phase::Authentication => decode_sasl(buffer),
            Phase::Messages => decode_message(buffer),
        }
    }

    fn decode_startup(&mut self, buffer: &mut BytesMut) -> Result<Option<Frontend>, ProtocolError> {
        let Some(len) = peek_u32(buffer, 0) else { return Ok(None) };
        let len = len as usize;
        if !(8..=limit::STARTUP_BYTES_MAX).contains(&len) {
            return Err(violation("invalid length of startup packet"));
        }
        if buffer.len() < len {
            return Ok(None);
        }
        let packet = buffer.split_to(len);
        let mut body = Reader::new(&packet[4..]);
        match body.u32()? {
            SSL_REQUEST | GSS_REQUEST => {
                // One of each is what libpq sends; a client that asks for ever is not one.
                self.encryption_requests += 1;
                if 2 < self.encryption_requests || len != 8 {
                    return Err(violation("too many or malformed encryption requests"));
                }
                Ok(Some(Frontend::EncryptionWanted))
            }
            CANCEL_REQUEST => {
                let (process, secret) = (body.u32()?, body.u32()?);
                Ok(Some(Frontend::Cancel(ClientRequest::Cancel { process, secret })))
            }
            version => {
                let startup = decode_parameters(version, body)?;
                self.phase = Phase::Authentication;
                Ok(Some(startup))
            }
        }
    }
}

fn decode_parameters(version: u32, mut body: Reader<'_>) -> Result<Frontend, ProtocolError> {
    let (major, minor) = ((version >> 16) as u16, version as u16);
    if major != VERSION_MAJOR {
        return Err(ProtocolError {
            state: sqlstate::FEATURE_NOT_SUPPORTED,
            message: format!(
                "unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0"
            ),
        });
    }
    let (mut user, mut database) = (String::new(), String::new());
    let (mut parameters, mut unknown_options) = (Vec::new(), Vec::new());
    loop {
        let name = text(&mut body)?;
        if name.is_empty() {
            break;
        }
        let value = text(&mut body)?;
        match name.as_str() {
            "user" => user = value,
            "database" => database = value,
            _ if name.starts_with("_pq_.") => unknown_options.push(name),
            _ => parameters.push((name, value)),
        }
    }
    finish(&body)?;
    if user.is_empty() {
        return Err(ProtocolError {
            state: sqlstate::INVALID_AUTHORIZATION,
            message: "no PostgreSQL user name specified in startup packet".into(),
        });
    }
    let negotiate = (minor != 0 || !unknown_options.is_empty()).then_some(unknown_options);
    let request = ClientRequest::Startup { user, database, parameters };
    Ok(Frontend::Startup { request, negotiate })
}

fn decode_sasl(buffer: &mut BytesMut) -> Result<Option<Frontend>, ProtocolError> {
    let Some((kind, len)) = header(buffer, limit::STARTUP_BYTES_MAX)? else { return Ok(None) };
    if kind != b'p' {
        return Err(violation(format!("expected password response, got message type {kind}")));
    }
    let mut message = buffer.split_to(len);
    message.advance(5);
    Ok(Some(Frontend::Sasl(message.freeze())))
}

fn decode_message(buffer: &mut BytesMut) -> Result<Option<Frontend>, ProtocolError> {
    let Some((kind, len)) = header(buffer, limit::CLIENT_MESSAGE_BYTES_MAX)? else {
        return Ok(None);
    };
    // Only these two carry values that the request shares with its message.
    let request = match kind {
        b'B' => {
            let message = take_shared(buffer, len);
            return bind(&message).map(|request| Some(Frontend::Request(request)));
        }
        b'd' => {
            let message = take_shared(buffer, len);
            ClientRequest::CopyData(message)
        }
        _ => {
            let request = plain_message(kind, Reader::new(&buffer[5..len]))?;
            buffer.advance(len);
            request
        }
    };
    Ok(Some(Frontend::Request(request)))
}

fn plain_message(kind: u8, mut body: Reader<'_>) -> Result<ClientRequest, ProtocolError> {
    let request = match kind {
        b'Q' => ClientRequest::Query(text(&mut body)?),
        b'P' => parse(&mut body)?,
        b'E' => {
            let portal = text(&mut body)?;
            // Zero and below mean all rows.
            let rows_max = u32::try_from(body.u32()?.cast_signed()).unwrap_or(0);
            ClientRequest::Execute { portal, rows_max }
        }
        b'D' => match body.u8()? {
            b'S' => ClientRequest::DescribeStatement(text(&mut body)?),
            b'P' => ClientRequest::DescribePortal(text(&mut body)?),
            other => return Err(violation(format!("invalid DESCRIBE message subtype {other}"))),
        },
        b'C' => match body.u8()? {
            b'S' => ClientRequest::CloseStatement(text(&mut body)?),
            b'P' => ClientRequest::ClosePortal(text(&mut body)?),
            other => return Err(violation(format!("invalid CLOSE message subtype {other}"))),
        },
        b'H' => ClientRequest::Flush,
        b'S' => ClientRequest::Sync,
        b'c' => ClientRequest::CopyDone,
        b'f' => ClientRequest::CopyFail(text(&mut body)?),
        b'X' => ClientRequest::Terminate,
        b'F' => {
            return Err(ProtocolError {
                state: sqlstate::FEATURE_NOT_SUPPORTED,
                message: "function call messages are not supported".into(),
            });
        }
        other => return Err(violation(format!("invalid frontend message type {other}"))),
    };
    finish(&body)?;
    Ok(request)
}

fn parse(body: &mut Reader<'_>) -> Result<ClientRequest, ProtocolError> {
    let (name, sql) = (text(body)?, text(body)?);
    let count = believed(body, 4)?;
    let mut parameter_types = Vec::with_capacity(count);
    for _ in 0..count {
        parameter_types.push(body.u32()?);
    }
    Ok(ClientRequest::Parse { name, sql, parameter_types })
}

fn bind(message: &Bytes) -> Result<ClientRequest, ProtocolError> {
    let mut body = Reader::new(message);
    let (portal, statement) = (text(&mut body)?, text(&mut body)?);
    let parameter_formats = formats(&mut body)?;
    let count = believed(&mut body, 4)?;
    let mut parameters = Vec::with_capacity(count);
    for _ in 0..count {
        parameters.push(match body.u32()?.cast_signed() {
            -1 => None,
            len => {
                let len = usize::try_from(len)
                    .map_err(|_| violation("negative length of a parameter"))?;
                Some(message.slice_ref(body.take(len)?))
            }
        });
    }
    let result_formats = formats(&mut body)?;
    finish(&body)?;
    Ok(ClientRequest::Bind { portal, statement, parameter_formats, parameters, result_formats })
}

fn formats(body: &mut Reader<'_>) -> Result<Vec<i16>, ProtocolError> {
    let count = believed(body, 2)?;
    let mut formats = Vec::with_capacity(count);
    for _ in 0..count {
        formats.push(match body.u16()? {
            0 => 0,
            1 => 1,
            other => {
                return Err(violation(format!("unsupported format code: {}", other.cast_signed())));
            }
        });
    }
    Ok(formats)
}

/// A count of things of at least `each` bytes, which must be there.
fn believed(body: &mut Reader<'_>, each: usize) -> Result<usize, ProtocolError> {
    let count = usize::from(body.u16()?);
    if body.rest().len() / each < count {
        return Err(violation("message ends before its contents do"));
    }
    Ok(count)
}

/// Text up to a zero byte.
fn text(body: &mut Reader<'_>) -> Result<String, ProtocolError> {
    let end = memchr::memchr(0, body.rest())
        .ok_or_else(|| violation("string in message is not terminated"))?;
    let bytes = body.take(end)?;
    body.u8()?;
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(ProtocolError {
            state: sqlstate::CHARACTER_NOT_IN_REPERTOIRE,
            message: "invalid byte sequence for encoding \"UTF8\"".into(),
        }),
    }
}

fn finish(body: &Reader<'_>) -> Result<(), ProtocolError> {
    if body.is_empty() { Ok(()) } else { Err(violation("message has bytes after its contents")) }
}

/// Type byte, and length with type byte and length word, of a message that has arrived whole.
fn header(buffer: &BytesMut, bytes_max: usize) -> Result<Option<(u8, usize)>, ProtocolError> {
    let (Some(kind), Some(len)) = (buffer.first(), peek_u32(buffer, 1)) else { return Ok(None) };
    let len = len as usize;
    if len < 4 || bytes_max < len {
        return Err(violation(format!(
            "invalid message length {len}: at least 4 and at most {bytes_max} bytes are accepted"
        )));
    }
    Ok((len < buffer.len()).then_some((*kind, len + 1)))
}

/// The body of the first message, shared if it is large and copied if it is small.
fn take_shared(buffer: &mut BytesMut, len: usize) -> Bytes {
    if COPY_BYTES_MAX < len {
        let mut message = buffer.split_to(len);
        message.advance(5);
        return message.freeze();
    }
    let body = Bytes::copy_from_slice(&buffer[5..len]);
    buffer.advance(len);
    body
}

fn peek_u32(buffer: &BytesMut, at: usize) -> Option<u32> {
    let bytes: [u8; 4] = buffer.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(bytes))
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
