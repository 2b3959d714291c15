//! What a session asks of its surroundings: time, and a way to its client.

use std::future::Future;
use std::pin::Pin;

use crate::base::time::{Mono, Now};
use crate::sql::protocol::ClientReply;

/// Something to wait for.
pub type Event = Pin<Box<dyn Future<Output = ()>>>;

/// Time.
pub trait Clock {
    /// The moment of the input that is being handled.
    fn now(&self) -> Now;
    /// Ready at that moment.
    fn sleep_until(&self, at: Mono) -> Event;
    /// Ready when every task that is ready now has run: long statements let others in.
    fn yield_now(&self) -> Event;
}

/// A way to one client.
pub trait ReplySink {
    /// Sends messages: one socket write.
    fn send(&self, replies: Vec<ClientReply>);
    /// Closes the connection after what was sent.
    fn close(&self);
    /// Bytes that the client has not taken yet, as far as is known.
    fn unsent_bytes(&self) -> usize;
    /// Ready when fewer than [`UNSENT_BYTES_MAX`] bytes are unsent.
    fn drained(&self) -> Event;
}

/// Above this a session waits for its client before it produces more.
pub const UNSENT_BYTES_MAX: usize = 256 << 10;
