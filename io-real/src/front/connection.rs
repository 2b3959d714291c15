//! One client's socket, shared by the task that reads it and the driver that writes it.
//!
//! Both run on one thread. The driver appends answers and writes them once a batch of turns; what the
//! socket does not take then stays here until the reading task, which polls the socket anyway, sees it
//! writable.
//!
//! # Invariants
//!
//! - Bytes leave in the order they were appended.
//! - While more than [`UNSENT_BYTES_MAX`] bytes are unsent nothing is read from the client: one
//!   that does not read its answers cannot ask for more.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BytesMut};
use shardforge_core::sql::protocol::ScramVerifier;
use tokio::io::AsyncReadExt;

use crate::ports::ByteStream;

/// Answers that may wait for a slow client before the client is not read from any more.
pub(super) const UNSENT_BYTES_MAX: usize = 1 << 20;
/// Room for each read.
const READ_BYTES: usize = 8 << 10;
/// A buffer that grew beyond this for one large answer is given back once empty.
const KEEP_BYTES: usize = 256 << 10;

/// How far the client has come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Login {
    /// Its start-up packet has not come, or the session has not answered it.
    Undecided,
    /// It must prove that it knows the password.
    Scram(ScramVerifier),
    /// It is in.
    Done,
}

/// What there is to do for a connection's task.
#[derive(Debug, Eq, PartialEq)]
pub enum Event {
    /// Bytes have come.
    Read,
    /// The client closed its side, or the connection broke.
    Ended,
    /// The socket took some of what was unsent; so much is left.
    Drained(usize),
    /// The session answered the start-up packet.
    LoginChanged,
    /// The session is over and everything is sent.
    Closed,
}

/// A client's socket and its unsent answers.
pub struct Connection {
    stream: RefCell<Box<dyn ByteStream>>,
    unsent: RefCell<BytesMut>,
    login: RefCell<Login>,
    login_changed: Cell<bool>,
    closing: Cell<bool>,
    /// The socket did not take everything: its task goes on writing. Without this it must not, or it
    /// would anticipate the driver's one write a batch.
    full: Cell<bool>,
    broken: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Connection {
    /// Over a fresh socket.
    pub fn new(stream: Box<dyn ByteStream>) -> Self {
        Self {
            stream: RefCell::new(stream),
            unsent: RefCell::new(BytesMut::new()),
            login: RefCell::new(Login::Undecided),
            login_changed: Cell::new(false),
            closing: Cell::new(false),
            full: Cell::new(false),
            broken: Cell::new(false),
            waker: RefCell::new(None),
        }
    }

    /// Appends answers; [`Self::flush`] sends them.
    pub fn append(&self, write: impl FnOnce(&mut BytesMut)) {
        write(&mut self.unsent.borrow_mut());
    }

    /// How far the client has come.
    pub fn login(&self) -> Login {
        self.login.borrow().clone()
    }

    /// Notes how far the client has come, and tells its task.
    pub fn set_login(&self, login: Login) {
        *self.login.borrow_mut() = login;
        self.login_changed.set(true);
        self.wake();
    }

    /// Closes once everything is sent; nothing is read any more.
    pub fn close(&self) {
        self.closing.set(true);
        self.wake();
    }

    /// Whether [`Self::close`] was called.
    pub fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Unsent bytes.
    pub fn unsent_bytes(&self) -> usize {
        self.unsent.borrow().len()
    }

    /// Writes what the socket takes now; returns how many bytes it took.
    pub fn flush(&self) -> usize {
        if self.broken.get() || self.unsent.borrow().is_empty() {
            return 0;
        }
        // No waker yet: if the socket is full, the connection's task polls it with its own.
        let sent = self.write_some(&mut Context::from_waker(Waker::noop()));
        if self.broken.get() || self.full.get() {
            self.wake();
        }
        sent
    }

    fn write_some(&self, context: &mut Context<'_>) -> usize {
        let mut unsent = self.unsent.borrow_mut();
        let mut sent = 0;
        while !unsent.is_empty() {
            let mut stream = self.stream.borrow_mut();
            match Pin::new(&mut **stream).poll_write(context, &unsent) {
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => {
                    self.broken.set(true);
                    unsent.clear();
                    break;
                }
                Poll::Ready(Ok(taken)) => {
                    sent += taken;
                    unsent.advance(taken);
                }
                Poll::Pending => break,
            }
        }
        self.full.set(!unsent.is_empty());
        if unsent.is_empty() && KEEP_BYTES < unsent.capacity() {
            *unsent = BytesMut::new();
        }
        sent
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// The next thing to do, reading into `buffer` if `reading`.
    pub async fn event(&self, buffer: &mut BytesMut, reading: bool) -> Event {
        std::future::poll_fn(|context| self.poll_event(context, buffer, reading)).await
    }

    fn poll_event(
        &self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
        reading: bool,
    ) -> Poll<Event> {
        self.remember(context.waker());
        let held = UNSENT_BYTES_MAX < self.unsent_bytes();
        if (self.full.get() || self.closing.get() || held) && 0 < self.write_some(context) {
            return Poll::Ready(Event::Drained(self.unsent_bytes()));
        }
        if self.broken.get() {
            return Poll::Ready(Event::Ended);
        }
        if self.login_changed.take() {
            return Poll::Ready(Event::LoginChanged);
        }
        if self.closing.get() {
            let done = self.unsent.borrow().is_empty();
            return if done { Poll::Ready(Event::Closed) } else { Poll::Pending };
        }
        if !reading || held {
            return Poll::Pending;
        }
        self.poll_read(context, buffer)
    }

    fn poll_read(&self, context: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<Event> {
        buffer.reserve(READ_BYTES);
        let mut stream = self.stream.borrow_mut();
        let read = std::pin::pin!(stream.read_buf(buffer));
        match Future::poll(read, context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => Poll::Ready(Event::Ended),
            Poll::Ready(Ok(_)) => Poll::Ready(Event::Read),
        }
    }

    fn remember(&self, waker: &Waker) {
        let mut slot = self.waker.borrow_mut();
        if !slot.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *slot = Some(waker.clone());
        }
    }

    /// Says goodbye to the socket.
    pub async fn shut_down(&self) {
        let goodbye = std::future::poll_fn(|context| {
            let mut stream = self.stream.borrow_mut();
            Pin::new(&mut **stream).poll_shutdown(context)
        });
        // The other side may be gone already; there is nothing left to do for it.
        let _: io::Result<()> = goodbye.await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::testing::Pipe;

    fn pair(bytes_max: usize) -> (Connection, DuplexStream) {
        let (here, there) = duplex(bytes_max);
        (Connection::new(Box::new(Pipe(here))), there)
    }

    #[tokio::test]
    async fn what_a_full_socket_does_not_take_leaves_later_and_in_order() {
        let (connection, mut client) = pair(4);
        connection.append(|out| out.extend_from_slice(b"0123456789"));
        assert_eq!(connection.flush(), 4);
        assert_eq!(connection.unsent_bytes(), 6);
        let reader = async {
            let mut got = vec![0; 10];
            client.read_exact(&mut got).await.map(|_| got)
        };
        let writer = async {
            let mut buffer = BytesMut::new();
            while 0 < connection.unsent_bytes() {
                let event = connection.event(&mut buffer, true).await;
                assert!(matches!(event, Event::Drained(_)), "{event:?}");
            }
        };
        let (got, ()) = tokio::join!(reader, writer);
        assert_eq!(got.ok().as_deref(), Some(&b"0123456789"[..]));
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_its_answers_is_not_read() {
        let (connection, mut client) = pair(4);
        connection.append(|out| out.resize(UNSENT_BYTES_MAX + 5, 0));
        assert_eq!(connection.flush(), 4);
        assert!(client.write_all(b"more").await.is_ok());
        let mut buffer = BytesMut::new();
        {
            let mut event = std::pin::pin!(connection.event(&mut buffer, true));
            let polled = event.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!(polled, Poll::Pending, "read although the client takes no answers");
            let mut sink = [0; 4];
            assert!(client.read_exact(&mut sink).await.is_ok());
            assert_eq!(event.await, Event::Drained(UNSENT_BYTES_MAX - 3));
        }
        assert_eq!(connection.event(&mut buffer, true).await, Event::Read);
        assert_eq!(&buffer[..], b"more");
    }

    #[tokio::test]
    async fn who_may_not_be_read_any_more_is_written_to_before_the_batch_ends() {
        let (connection, _client) = pair(2 * UNSENT_BYTES_MAX);
        let mut buffer = BytesMut::new();
        connection.append(|out| out.extend_from_slice(b"short"));
        let polled = std::pin::pin!(connection.event(&mut buffer, true))
            .poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Pending, "written before the driver's one write a batch");
        // Else nobody would wake this task once the driver has written it all.
        connection.append(|out| out.resize(UNSENT_BYTES_MAX + 5, 0));
        let polled = std::pin::pin!(connection.event(&mut buffer, true))
            .poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready(Event::Drained(0)));
    }

    #[tokio::test]
    async fn closing_waits_for_what_is_unsent() {
        let (connection, mut client) = pair(4);
        connection.append(|out| out.extend_from_slice(b"farewell"));
        connection.flush();
        connection.close();
        let mut buffer = BytesMut::new();
        let mut got = [0; 8];
        let (read, ()) = tokio::join!(client.read_exact(&mut got), async {
            assert_eq!(connection.event(&mut buffer, true).await, Event::Drained(0));
            assert_eq!(connection.event(&mut buffer, true).await, Event::Closed);
        });
        assert!(read.is_ok());
        assert_eq!(&got, b"farewell");
    }
}
