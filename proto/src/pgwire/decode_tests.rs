//! Tests of the decoder: against another implementation of the same messages, and at every bound.

use bytes::BufMut;
use pgwire::messages::PgWireFrontendMessage as Witness;
use pgwire::messages::copy::{CopyData, CopyDone, CopyFail};
use pgwire::messages::extendedquery::{Bind, Close, Describe, Execute, Flush, Parse, Sync};
use pgwire::messages::simplequery::Query;
use pgwire::messages::terminate::Terminate;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

fn ready() -> Decoder {
    let mut decoder = Decoder::default();
    decoder.authenticated();
    decoder
}

fn frame(kind: u8, body: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_u8(kind);
    out.put_u32(body.len() as u32 + 4);
    out.put_slice(body);
    out
}

fn startup(version: u32, parameters: &[&str]) -> BytesMut {
    let mut body = BytesMut::new();
    body.put_u32(version);
    for text in parameters {
        body.put_slice(text.as_bytes());
        body.put_u8(0);
    }
    body.put_u8(0);
    let mut out = BytesMut::new();
    out.put_u32(body.len() as u32 + 4);
    out.put_slice(&body);
    out
}

fn name() -> impl Strategy<Value = String> {
    "[a-zä]{0,6}"
}

fn some(name: &str) -> Option<String> {
    Some(name.to_owned())
}

/// A request of ours beside the same message of the witness.
fn any_request() -> impl Strategy<Value = (ClientRequest, Witness)> {
    let simple = prop_oneof![
        "[ -~ä]{0,40}"
            .prop_map(|sql| (ClientRequest::Query(sql.clone()), Witness::Query(Query::new(sql)))),
        name().prop_map(|n| (
            ClientRequest::DescribeStatement(n.clone()),
            Witness::Describe(Describe::new(b'S', some(&n)))
        )),
        name().prop_map(|n| (
            ClientRequest::DescribePortal(n.clone()),
            Witness::Describe(Describe::new(b'P', some(&n)))
        )),
        name().prop_map(|n| (
            ClientRequest::CloseStatement(n.clone()),
            Witness::Close(Close::new(b'S', some(&n)))
        )),
        name().prop_map(|n| (
            ClientRequest::ClosePortal(n.clone()),
            Witness::Close(Close::new(b'P', some(&n)))
        )),
        (name(), 0..i32::MAX).prop_map(|(n, rows)| (
            ClientRequest::Execute { portal: n.clone(), rows_max: rows as u32 },
            Witness::Execute(Execute::new(some(&n), rows))
        )),
        name().prop_map(|n| (
            ClientRequest::CopyFail(n.clone()),
            Witness::CopyFail(CopyFail::new(n))
        )),
        vec(any::<u8>(), 0..2 * COPY_BYTES_MAX).prop_map(|data| (
            ClientRequest::CopyData(data.clone().into()),
            Witness::CopyData(CopyData::new(data.into()))
        )),
        Just(()).prop_map(|()| (ClientRequest::Sync, Witness::Sync(Sync::new()))),
        Just(()).prop_map(|()| (ClientRequest::Flush, Witness::Flush(Flush::new()))),
        Just(()).prop_map(|()| (ClientRequest::CopyDone, Witness::CopyDone(CopyDone::new()))),
        Just(()).prop_map(|()| (ClientRequest::Terminate, Witness::Terminate(Terminate::new()))),
    ];
    prop_oneof![4 => simple, 1 => any_parse(), 2 => any_bind()]
}

fn any_parse() -> impl Strategy<Value = (ClientRequest, Witness)> {
    (name(), name(), vec(any::<u32>(), 0..5)).prop_map(|(name, sql, types)| {
        (
            ClientRequest::Parse {
                name: name.clone(),
                sql: sql.clone(),
                parameter_types: types.clone(),
            },
            Witness::Parse(Parse::new(Some(name), sql, types)),
        )
    })
}

fn any_bind() -> impl Strategy<Value = (ClientRequest, Witness)> {
    let parameters = vec(option::of(vec(any::<u8>(), 0..3_000)), 0..6);
    (name(), name(), vec(0..2i16, 0..3), parameters, vec(0..2i16, 0..3)).prop_map(
        |(portal, statement, formats, parameters, results)| {
            let parameters: Vec<_> = parameters.into_iter().map(|p| p.map(Bytes::from)).collect();
            (
                ClientRequest::Bind {
                    portal: portal.clone(),
                    statement: statement.clone(),
                    parameter_formats: formats.clone(),
                    parameters: parameters.clone(),
                    result_formats: results.clone(),
                },
                Witness::Bind(Bind::new(
                    Some(portal),
                    Some(statement),
                    formats,
                    parameters,
                    results,
                )),
            )
        },
    )
}

proptest! {
    /// What another implementation encodes, we read, one after the other and nothing else.
    #[test]
    fn reads_what_the_witness_writes(requests in vec(any_request(), 1..6)) {
        let mut buffer = BytesMut::new();
        for (_, witness) in &requests {
            prop_assert!(witness.encode(&mut buffer).is_ok());
        }
        let mut decoder = ready();
        for (request, _) in requests {
            let read = decoder.decode(&mut buffer);
            prop_assert_eq!(read, Ok(Some(Frontend::Request(request))));
        }
        prop_assert!(buffer.is_empty());
    }

    /// A message cut anywhere is waited for; cut short by its own length, it is an error.
    #[test]
    fn truncated_messages_never_pass(request in any_request(), cut in 1..64usize) {
        let mut bytes = BytesMut::new();
        prop_assert!(request.1.encode(&mut bytes).is_ok());
        let mut early = BytesMut::from(&bytes[..bytes.len().saturating_sub(cut)]);
        prop_assert_eq!(ready().decode(&mut early), Ok(None));

        let body_len = bytes.len() - 5;
        let free_text = matches!(request.0, ClientRequest::CopyData(_));
        if !free_text && cut <= body_len {
            let mut lying = frame(bytes[0], &bytes[5..bytes.len() - cut]);
            prop_assert!(ready().decode(&mut lying).is_err());
        }
    }
}

#[test]
fn startup_packets_are_read() {
    let mut decoder = Decoder::default();
    let mut buffer = BytesMut::new();
    buffer.put_u32(8);
    buffer.put_u32(SSL_REQUEST);
    buffer.extend_from_slice(&startup(
        3 << 16,
        &["user", "ann", "database", "shop", "options", "-c a=b"],
    ));
    assert_eq!(decoder.decode(&mut buffer), Ok(Some(Frontend::EncryptionWanted)));
    let request = ClientRequest::Startup {
        user: "ann".into(),
        database: "shop".into(),
        parameters: vec![("options".into(), "-c a=b".into())],
    };
    let expected = Frontend::Startup { request, negotiate: None };
    assert_eq!(decoder.decode(&mut buffer), Ok(Some(expected)));

    let mut sasl = frame(b'p', b"proof");
    assert_eq!(decoder.decode(&mut sasl), Ok(Some(Frontend::Sasl(Bytes::from_static(b"proof")))));
    assert!(decoder.decode(&mut frame(b'Q', b"select 1\0")).is_err(), "no queries before a login");
}

#[test]
fn later_minor_versions_are_negotiated_and_other_majors_refused() {
    let mut later = startup(3 << 16 | 2, &["user", "ann", "_pq_.grease", "1"]);
    match Decoder::default().decode(&mut later) {
        Ok(Some(Frontend::Startup { negotiate: Some(options), .. })) => {
            assert_eq!(options, ["_pq_.grease"]);
        }
        other => panic!("{other:?}"),
    }
    let refused = Decoder::default().decode(&mut startup(2 << 16, &["user", "ann"]));
    assert_eq!(refused.map_err(|e| e.state), Err(sqlstate::FEATURE_NOT_SUPPORTED));
    let nobody = Decoder::default().decode(&mut startup(3 << 16, &["database", "shop"]));
    assert_eq!(nobody.map_err(|e| e.state), Err(sqlstate::INVALID_AUTHORIZATION));
}

#[test]
fn cancel_requests_are_read() {
    let mut buffer = BytesMut::new();
    [16, CANCEL_REQUEST, 7, u32::MAX].iter().for_each(|word| buffer.put_u32(*word));
    let cancel = ClientRequest::Cancel { process: 7, secret: u32::MAX };
    assert_eq!(Decoder::default().decode(&mut buffer), Ok(Some(Frontend::Cancel(cancel))));
}

#[test]
fn other_protocols_are_refused_by_their_first_bytes() {
    let http = &b"GET / HTTP/1.1\r\n"[..];
    let tls = &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..];
    let zeros = &[0; 64][..];
    for bytes in [http, tls, zeros] {
        assert!(Decoder::default().decode(&mut BytesMut::from(bytes)).is_err());
    }
}

#[test]
fn startup_packets_are_bounded() {
    for (len, accepted) in [(7, false), (8, true), (limit::STARTUP_BYTES_MAX, true)] {
        let mut buffer = BytesMut::new();
        buffer.put_u32(len as u32);
        assert_eq!(Decoder::default().decode(&mut buffer).is_ok(), accepted, "{len}");
    }
    let mut buffer = BytesMut::new();
    buffer.put_u32(limit::STARTUP_BYTES_MAX as u32 + 1);
    assert!(Decoder::default().decode(&mut buffer).is_err());
}

#[test]
fn messages_are_bounded_before_they_have_arrived() {
    for (len, accepted) in [
        (limit::CLIENT_MESSAGE_BYTES_MAX - 1, true),
        (limit::CLIENT_MESSAGE_BYTES_MAX, true),
        (limit::CLIENT_MESSAGE_BYTES_MAX + 1, false),
        (u32::MAX as usize, false),
        (3, false),
    ] {
        let mut buffer = BytesMut::new();
        buffer.put_u8(b'Q');
        buffer.put_u32(len as u32);
        assert_eq!(ready().decode(&mut buffer).is_ok(), accepted, "{len}");
    }
    let mut decoder = Decoder { phase: Phase::Authentication, encryption_requests: 0 };
    let mut buffer = BytesMut::new();
    buffer.put_u8(b'p');
    buffer.put_u32(limit::STARTUP_BYTES_MAX as u32 + 1);
    assert!(decoder.decode(&mut buffer).is_err());
}

#[test]
fn counts_are_not_believed_beyond_the_bytes_for_them() {
    // 65,535 parameters in a message of a few bytes: an error, not an allocation.
    let bind = [&b"\0\0"[..], &[0, 0], &[0xff, 0xff], &[0, 0, 0, 0]].concat();
    assert!(ready().decode(&mut frame(b'B', &bind)).is_err());
    let parse = [&b"\0\0"[..], &[0xff, 0xff]].concat();
    assert!(ready().decode(&mut frame(b'P', &parse)).is_err());
}

#[test]
fn malformed_bodies_are_refused() {
    let bad: [(u8, &[u8]); 8] = [
        (b'Q', b"select 1"),
        (b'Q', b"select 1\0\0"),
        (b'Q', b"\xff\0"),
        (b'D', b"X\0"),
        (b'C', b""),
        (b'S', b"x"),
        (b'F', b""),
        (b'B', b"\0\0\0\x01\0\x02\0\0\0\0"),
    ];
    for (kind, body) in bad {
        assert!(ready().decode(&mut frame(kind, body)).is_err(), "{kind} {body:?}");
    }
    assert!(ready().decode(&mut frame(b'!', b"")).is_err());
}

#[test]
fn all_rows_are_asked_for_by_zero_and_below() {
    for rows in [0i32, -1, i32::MIN] {
        let body = [&b"\0"[..], &rows.to_be_bytes()].concat();
        let execute = ClientRequest::Execute { portal: String::new(), rows_max: 0 };
        let read = ready().decode(&mut frame(b'E', &body));
        assert_eq!(read, Ok(Some(Frontend::Request(execute))));
    }
}
