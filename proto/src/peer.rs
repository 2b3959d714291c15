//! Frames between nodes: the core's [`PeerFrame`] to protocol buffers and back.
//!
//! What a message says is the core's business; this room only bounds it.
//!
//! # Invariants
//!
//! - A decoded frame names a sender, holds at least one message, none of them empty, and is within
//!   [`limit::PEER_FRAME_BYTES_MAX`] and [`MESSAGES_MAX`].

use shardforge_core::base::id::{ClusterId, Incarnation, NodeId};
use shardforge_core::base::limit;
use shardforge_core::node::input::PeerFrame;

use crate::v1;

/// Version of the frame protocol that this program speaks.
pub const PROTOCOL: u32 = 1;

/// Messages in one frame.
pub const MESSAGES_MAX: usize = 65_536;

/// Bytes that a message costs in a frame beside its own: tag and length.
const MESSAGE_OVERHEAD_BYTES: usize = 6;

/// Bytes of a frame's other fields, at most.
const HEADER_BYTES: usize = 64;

/// Why a frame is not one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FrameError {
    /// The cluster id is not 16 bytes.
    #[error("cluster id of {0} bytes instead of 16")]
    ClusterId(usize),
    /// Nobody sent it.
    #[error("frame without a sender")]
    NoSender,
    /// It says nothing, or one of its messages does.
    #[error("frame with an empty message, or with none")]
    Empty,
    /// It is too large.
    #[error("frame of {bytes} bytes in {messages} messages is over its bound")]
    TooLarge {
        /// All messages.
        bytes: usize,
        /// How many.
        messages: usize,
    },
}

/// Whether the frame is within the bounds that [`from_wire`] enforces.
///
/// # Errors
///
/// [`FrameError::TooLarge`] or [`FrameError::Empty`].
pub fn check_bounds(messages: &[bytes::Bytes]) -> Result<(), FrameError> {
    let bytes = HEADER_BYTES
        + messages.iter().map(|m| m.len().saturating_add(MESSAGE_OVERHEAD_BYTES)).sum::<usize>();
    if limit::PEER_FRAME_BYTES_MAX < bytes || MESSAGES_MAX < messages.len() {
        return Err(FrameError::TooLarge { bytes, messages: messages.len() });
    }
    if messages.is_empty() || messages.iter().any(bytes::Bytes::is_empty) {
        return Err(FrameError::Empty);
    }
    Ok(())
}

/// A frame as protocol buffers.
pub fn to_wire(frame: PeerFrame) -> v1::Frame {
    v1::Frame {
        protocol: frame.protocol,
        cluster_id: frame.cluster.0.to_be_bytes().to_vec().into(),
        from: frame.from.0,
        incarnation: frame.incarnation.0,
        to: frame.to.0,
        messages: frame.messages,
        number: frame.number,
    }
}

/// A frame from protocol buffers.
///
/// # Errors
///
/// Any [`FrameError`]; the stream it came on should be ended with it.
pub fn from_wire(frame: v1::Frame) -> Result<PeerFrame, FrameError> {
    let id: [u8; 16] = frame.cluster_id[..]
        .try_into()
        .map_err(|_| FrameError::ClusterId(frame.cluster_id.len()))?;
    if frame.from == 0 {
        return Err(FrameError::NoSender);
    }
    check_bounds(&frame.messages)?;
    Ok(PeerFrame {
        protocol: frame.protocol,
        cluster: ClusterId(u128::from_be_bytes(id)),
        from: NodeId(frame.from),
        incarnation: Incarnation(frame.incarnation),
        to: NodeId(frame.to),
        number: frame.number,
        messages: frame.messages,
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    fn frame(messages: Vec<Bytes>) -> PeerFrame {
        PeerFrame {
            protocol: PROTOCOL,
            cluster: ClusterId(7),
            from: NodeId::machine(1),
            incarnation: Incarnation(3),
            to: NodeId(0),
            number: 0,
            messages,
        }
    }

    proptest! {
        /// A frame survives the wire.
        #[test]
        fn frames_round_trip(
            cluster: u128,
            from in 1..u32::MAX,
            incarnation: u64,
            to: u32,
            number: u64,
            messages in vec(vec(any::<u8>(), 1..40), 1..9),
        ) {
            let sent = PeerFrame {
                protocol: PROTOCOL,
                cluster: ClusterId(cluster),
                from: NodeId(from),
                incarnation: Incarnation(incarnation),
                to: NodeId(to),
                number,
                messages: messages.into_iter().map(Bytes::from).collect(),
            };
            let bytes = to_wire(sent.clone()).encode_to_vec();
            let received = v1::Frame::decode(&bytes[..]).map(from_wire);
            prop_assert_eq!(received, Ok(Ok(sent)));
        }
    }

    #[test]
    fn a_frame_at_its_bound_passes_and_one_byte_more_does_not() {
        let room = limit::PEER_FRAME_BYTES_MAX - HEADER_BYTES - MESSAGE_OVERHEAD_BYTES;
        let fits = frame(vec![Bytes::from(vec![1; room])]);
        let wire = to_wire(fits.clone());
        assert!(wire.encoded_len() <= limit::PEER_FRAME_BYTES_MAX);
        assert_eq!(from_wire(wire), Ok(fits));
        let over = to_wire(frame(vec![Bytes::from(vec![1; room + 1])]));
        assert!(matches!(from_wire(over), Err(FrameError::TooLarge { messages: 1, .. })));
        let many = to_wire(frame(vec![Bytes::from_static(b"x"); MESSAGES_MAX + 1]));
        assert!(matches!(from_wire(many), Err(FrameError::TooLarge { .. })));
    }

    #[test]
    fn frames_that_say_nothing_are_refused() {
        assert_eq!(from_wire(to_wire(frame(vec![]))), Err(FrameError::Empty));
        let hollow = vec![Bytes::from_static(b"x"), Bytes::new()];
        assert_eq!(from_wire(to_wire(frame(hollow))), Err(FrameError::Empty));
        let mut wire = to_wire(frame(vec![Bytes::from_static(b"x")]));
        wire.from = 0;
        assert_eq!(from_wire(wire.clone()), Err(FrameError::NoSender));
        wire.cluster_id = Bytes::from_static(b"short");
        assert_eq!(from_wire(wire), Err(FrameError::ClusterId(5)));
    }
}
