//! Connections of the peer port before and under HTTP/2.
//!
//! A connection is handed to the gRPC server only after its first bytes have shown that it speaks
//! HTTP/2: whatever else comes to the port is closed with its reason in the log.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use crate::ports::ByteStream;

/// What an HTTP/2 client says first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long it may take to say it.
const PREFACE_DEADLINE: Duration = Duration::from_secs(10);

/// A connection that has begun to speak HTTP/2.
#[derive(Debug)]
pub(super) struct Greeted<S> {
    /// How much of the preface the server has read again.
    replayed: usize,
    stream: S,
}

/// Reads the preface.
///
/// # Errors
///
/// A sentence for the log.
pub(super) async fn greet<S: ByteStream>(mut stream: S) -> Result<Greeted<S>, String> {
    let mut preface = [0; PREFACE.len()];
    let read = tokio::time::timeout(PREFACE_DEADLINE, stream.read_exact(&mut preface)).await;
    match read {
        Ok(Ok(_)) if preface == *PREFACE => Ok(Greeted { replayed: 0, stream }),
        Ok(Ok(_)) => Err("it does not speak HTTP/2".into()),
        Ok(Err(error)) => Err(format!("it ended before it said anything: {error}")),
        Err(_) => Err("it said nothing for too long".into()),
    }
}

impl<S: ByteStream> Connected for Greeted<S> {
    type ConnectInfo = String;

    fn connect_info(&self) -> String {
        self.stream.peer_name()
    }
}

impl<S: ByteStream> AsyncRead for Greeted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = &PREFACE[self.replayed..];
        if left.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let taken = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..taken]);
        self.replayed += taken;
        Poll::Ready(Ok(()))
    }
}

impl<S: ByteStream> AsyncWrite for Greeted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
