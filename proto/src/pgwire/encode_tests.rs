//! Tests of the encoder: another implementation must read every message, and write it back the
//! same.

use bytes::Bytes;
use pgwire::messages::{DecodeContext, PgWireBackendMessage as Witness, ProtocolVersion};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use shardforge_core::base::error::sqlstate;
use shardforge_core::sql::protocol::ScramVerifier;

use super::*;

fn encoded(reply: &ClientReply) -> BytesMut {
    let mut out = BytesMut::new();
    encode(reply, &mut out);
    out
}

/// All messages in the bytes, as the witness reads them; it must write the same bytes.
fn witnessed(bytes: &BytesMut) -> Vec<Witness> {
    let context = DecodeContext::new(ProtocolVersion::PROTOCOL3_0);
    let (mut rest, mut messages, mut again) = (bytes.clone(), Vec::new(), BytesMut::new());
    while let Some(message) = Witness::decode(&mut rest, &context).unwrap() {
        message.encode(&mut again).unwrap();
        messages.push(message);
    }
    assert!(rest.is_empty(), "bytes that are no message: {rest:?}");
    assert_eq!(again, *bytes, "the witness writes {messages:?} otherwise");
    messages
}

fn rows(bodies: &[Vec<u8>]) -> DataRows {
    let mut ends = Vec::new();
    let mut bytes = Vec::new();
    for body in bodies {
        bytes.extend(body);
        ends.push(bytes.len() as u32);
    }
    DataRows { bytes: bytes.into(), ends }
}

#[test]
fn every_fixed_reply_is_read_by_the_witness() {
    let verifier = ScramVerifier {
        salt: Bytes::new(),
        iterations: 1,
        stored_key: Bytes::new(),
        server_key: Bytes::new(),
    };
    let replies = [
        (ClientReply::AuthenticationScram(verifier), "SASL([\"SCRAM-SHA-256\"])"),
        (ClientReply::AuthenticationOk, "Authentication(Ok)"),
        (ClientReply::ParameterStatus("a".into(), "b".into()), "name: \"a\", value: \"b\""),
        (ClientReply::BackendKeyData { process: 7, secret: 9 }, "pid: 7, secret_key: I32(9)"),
        (ClientReply::ReadyForQuery(TransactionStatus::Idle), "status: Idle"),
        (ClientReply::ReadyForQuery(TransactionStatus::InTransaction), "status: Transaction"),
        (ClientReply::ReadyForQuery(TransactionStatus::Failed), "status: Error"),
        (ClientReply::NoData, "NoData"),
        (ClientReply::ParameterDescription(vec![23, 25]), "types: [23, 25]"),
        (ClientReply::CommandComplete("INSERT 0 1".into()), "tag: \"INSERT 0 1\""),
        (ClientReply::EmptyQueryResponse, "EmptyQueryResponse"),
        (ClientReply::ParseComplete, "ParseComplete"),
        (ClientReply::BindComplete, "BindComplete"),
        (ClientReply::CloseComplete, "CloseComplete"),
        (ClientReply::PortalSuspended, "PortalSuspended"),
        (ClientReply::CopyInResponse(0, 2), "format: 0, columns: 2, column_formats: [0, 0]"),
        (ClientReply::CopyOutResponse(1, 1), "format: 1, columns: 1, column_formats: [1]"),
        (ClientReply::CopyDone, "CopyDone"),
    ];
    for (reply, expected) in replies {
        let messages = witnessed(&encoded(&reply));
        assert_eq!(messages.len(), 1, "{reply:?}");
        let text = format!("{:?}", messages[0]);
        assert!(text.contains(expected), "{text} lacks {expected}");
    }
}

#[test]
fn errors_carry_their_fields() {
    let error = SqlError::new(sqlstate::UNIQUE_VIOLATION, "duplicate")
        .detail("key")
        .hint("other")
        .at(12)
        .constraint("t", "t_pkey");
    let messages = witnessed(&encoded(&ClientReply::Fatal(error.clone())));
    match &messages[..] {
        [Witness::ErrorResponse(response)] => {
            let fields: Vec<_> = response.fields.iter().map(|(c, t)| (*c, t.as_str())).collect();
            assert_eq!(
                fields,
                [
                    (b'S', "FATAL"),
                    (b'V', "FATAL"),
                    (b'C', "23505"),
                    (b'M', "duplicate"),
                    (b'D', "key"),
                    (b'H', "other"),
                    (b'P', "12"),
                    (b't', "t"),
                    (b'n', "t_pkey"),
                ]
            );
        }
        other => panic!("{other:?}"),
    }
    let notice = witnessed(&encoded(&ClientReply::Notice(NoticeSeverity::Warning, error)));
    assert!(format!("{notice:?}").contains("NoticeResponse"), "{notice:?}");
}

#[test]
fn zero_bytes_do_not_end_a_text_early() {
    let reply = ClientReply::CommandComplete("a\0b".into());
    assert!(format!("{:?}", witnessed(&encoded(&reply))).contains("tag: \"ab\""));
}

#[test]
fn the_handshake_is_read_by_the_witness() {
    let mut out = BytesMut::new();
    negotiate_version(&["_pq_.x".to_owned()], &mut out);
    sasl_continue(b"r=1", &mut out);
    sasl_final(b"v=2", &mut out);
    let text = format!("{:?}", witnessed(&out));
    assert!(text.contains("unsupported_options: [\"_pq_.x\"]"), "{text}");
    assert!(text.contains("SASLContinue(b\"r=1\")") && text.contains("SASLFinal(b\"v=2\")"));
}

proptest! {
    /// Rows come out one message each, with the bytes that went in.
    #[test]
    fn rows_are_framed(values in vec(vec(option::of(vec(any::<u8>(), 0..9)), 1..4), 0..6)) {
        let bodies: Vec<Vec<u8>> = values.iter().map(|row| row_body(row)).collect();
        let messages = witnessed(&encoded(&ClientReply::DataRows(rows(&bodies))));
        prop_assert_eq!(messages.len(), values.len());
        for (message, body) in messages.iter().zip(&bodies) {
            match message {
                Witness::DataRow(row) => prop_assert_eq!(&row.data[..], &body[2..]),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }

    #[test]
    fn copy_rows_are_framed(values in vec(vec(any::<u8>(), 0..50), 0..6)) {
        let reply = ClientReply::CopyData(values.iter().cloned().map(Bytes::from).collect());
        prop_assert_eq!(witnessed(&encoded(&reply)).len(), values.len());
    }

    #[test]
    fn columns_are_described(names in vec("[a-z]{0,9}", 0..9), oid: u32, modifier: i32) {
        let fields = names.iter().map(|name| FieldDescription {
            name: name.clone(),
            table_oid: 16_384,
            column: 1,
            type_oid: oid,
            type_len: -1,
            type_modifier: modifier,
            format: 0,
        });
        let reply = ClientReply::RowDescription(fields.collect());
        let messages = witnessed(&encoded(&reply));
        match &messages[..] {
            [Witness::RowDescription(row)] => {
                let read: Vec<_> = row.fields.iter().map(|f| f.name.clone()).collect();
                prop_assert_eq!(read, names);
                prop_assert!(row.fields.iter().all(|f| f.type_id == oid));
                prop_assert!(row.fields.iter().all(|f| f.type_modifier == modifier));
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }
}

fn row_body(values: &[Option<Vec<u8>>]) -> Vec<u8> {
    let mut body = (values.len() as u16).to_be_bytes().to_vec();
    for value in values {
        match value {
            None => body.extend((-1i32).to_be_bytes()),
            Some(value) => {
                body.extend((value.len() as i32).to_be_bytes());
                body.extend(value);
            }
        }
    }
    body
}
