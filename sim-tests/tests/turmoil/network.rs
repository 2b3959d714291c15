//! turmoil's TCP as the shell's network, and the trace of what passes over it.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use shardforge_core::base::map::stable_hash;
use shardforge_io_real::ports::{ByteStream, Listener, Network};
use shardforge_io_sim::trace::Trace;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

use crate::client::now;

thread_local! {
    static TRACE: RefCell<Trace> = RefCell::default();
}

/// All bytes of a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Traced {
    pub(crate) hash: u64,
    pub(crate) count: u64,
}

/// Begins this thread's trace; `SIM_TRACE` names a folder for its lines.
pub(crate) fn begin() {
    let kept = std::env::var_os("SIM_TRACE").is_some();
    TRACE.set(if kept { Trace::recording() } else { Trace::default() });
}

/// Ends this thread's trace.
pub(crate) fn end(seed: u64, test: &str) -> Traced {
    let trace = TRACE.take();
    if let Some(folder) = std::env::var_os("SIM_TRACE") {
        let path = std::path::Path::new(&folder).join(format!("{test}-{seed}.trace"));
        std::fs::write(path, trace.lines().join("\n")).expect("SIM_TRACE is a folder");
    }
    Traced { hash: trace.hash(), count: trace.count() }
}

/// How to see it again.
pub(crate) fn replay(seed: u64, test: &str) -> String {
    format!("replay: SIM_SEED={seed} cargo test -p sim-tests --test turmoil {test}\n")
}

/// The simulation's network, as the host that runs sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Simulated;

/// A simulated connection.
pub(crate) struct Stream(TcpStream);

/// A simulated port.
pub(crate) struct Port(TcpListener);

impl Network for Simulated {
    type Stream = Stream;
    type Listener = Port;

    async fn listen(&self, address: &str) -> io::Result<Port> {
        TcpListener::bind(address).await.map(Port)
    }

    async fn connect(&self, address: String) -> io::Result<Stream> {
        TcpStream::connect(address).await.map(Stream)
    }
}

impl Listener for Port {
    type Stream = Stream;

    async fn accept(&mut self) -> io::Result<Stream> {
        self.0.accept().await.map(|(stream, _)| Stream(stream))
    }

    fn local_addr(&self) -> io::Result<String> {
        self.0.local_addr().map(|address| address.to_string())
    }
}

impl ByteStream for Stream {
    fn peer_name(&self) -> String {
        self.0.peer_addr().map_or_else(|_| "unknown".into(), |address| address.to_string())
    }
}

impl Stream {
    fn note(&self, way: char, bytes: &[u8]) {
        let (Ok(here), Ok(there)) = (self.0.local_addr(), self.0.peer_addr()) else { return };
        let (count, hash) = (bytes.len(), stable_hash(bytes));
        TRACE.with_borrow_mut(|trace| {
            trace.note(now(), format_args!("{here} {way} {there} {count} {hash:016x}"));
        });
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.0).poll_read(context, buffer);
        if read.is_ready() {
            self.note('<', &buffer.filled()[before..]);
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.0).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = &written {
            self.note('>', &bytes[..*count]);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
