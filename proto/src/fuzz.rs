//! Bodies of the fuzz targets: plain functions that assert what must hold for any bytes.

use bytes::BytesMut;
use prost::Message;
use shardforge_core::base::limit;
use shardforge_core::node::message::PeerMessage;

use crate::pgwire::{Decoder, Frontend, ProtocolError};
use crate::{peer, v1};

/// A client's bytes: whole and in pieces they mean the same, and no bytes panic.
///
/// The first byte is the size of the pieces; its lowest bit says whether the client has been
/// authenticated before.
pub fn pgwire_frame(data: &[u8]) {
    let Some((head, data)) = data.split_first() else { return };
    let authenticated = head & 1 == 1;
    let whole = conversation(data, data.len().max(1), authenticated);
    let pieces = conversation(data, usize::from(head >> 1) + 1, authenticated);
    assert_eq!(whole, pieces, "pieces of a message mean something else than the whole");
}

fn conversation(
    data: &[u8],
    piece_bytes: usize,
    authenticated: bool,
) -> (Vec<Frontend>, Option<ProtocolError>) {
    let mut decoder = Decoder::default();
    if authenticated {
        decoder.authenticated();
    }
    let (mut buffer, mut said) = (BytesMut::new(), Vec::new());
    for piece in data.chunks(piece_bytes) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(None) => break,
                Ok(Some(frontend)) => {
                    // A start-up packet is followed by what the server asks for: here, nothing.
                    if matches!(frontend, Frontend::Startup { .. }) {
                        decoder.authenticated();
                    }
                    said.push(frontend);
                }
                Err(error) => return (said, Some(error)),
            }
        }
    }
    (said, None)
}

/// A peer's bytes: what is accepted is within its bounds and is sent on as it came, and what a message
/// in it says is said again in the same words.
pub fn peer_frame(data: &[u8]) {
    let Ok(wire) = v1::Frame::decode(data) else { return };
    let Ok(frame) = peer::from_wire(wire) else { return };
    assert!(frame.messages.iter().all(|message| !message.is_empty()), "accepted an empty message");
    let again = peer::to_wire(frame.clone()).encode_to_vec();
    assert!(again.len() <= limit::PEER_FRAME_BYTES_MAX, "accepted a frame over its bound");
    let back = v1::Frame::decode(&again[..]).map(peer::from_wire);
    for message in &frame.messages {
        // Bytes, not values: a float that is not a number is not equal to itself.
        let Ok(said) = PeerMessage::decode(message) else { continue };
        let once = said.encode();
        let twice = PeerMessage::decode(&once).map(|said| said.encode());
        assert_eq!(twice, Ok(once), "a message does not survive being sent on");
    }
    assert_eq!(back, Ok(Ok(frame)), "a frame does not survive being sent on");
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Bytes that look enough like messages to get past their headers.
    fn messages() -> impl Strategy<Value = Vec<u8>> {
        let kinds = prop::sample::select(b"QPBEDCHSdcfXFpZ".to_vec());
        let body = vec(prop::sample::select(vec![0, 0, 0, 1, 2, 4, 255, b'S', b'P', b'a']), 0..24);
        vec((kinds, body, any::<bool>()), 0..8).prop_map(|messages| {
            let mut out = Vec::new();
            for (kind, body, honest) in messages {
                out.push(kind);
                let len = body.len() as u32 + if honest { 4 } else { 3 };
                out.extend(len.to_be_bytes());
                out.extend(body);
            }
            out
        })
    }

    proptest! {
        #[test]
        fn any_client_bytes(data in vec(any::<u8>(), 0..200)) {
            super::pgwire_frame(&data);
        }

        #[test]
        fn nearly_messages(head: u8, data in messages()) {
            let mut bytes = vec![head | 1];
            bytes.extend(data);
            super::pgwire_frame(&bytes);
        }

        #[test]
        fn any_peer_bytes(data in vec(any::<u8>(), 0..200)) {
            super::peer_frame(&data);
        }
    }
}
