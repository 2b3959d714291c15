//! Real TCP as a [`Network`].

use std::io;

use tokio::net::{TcpListener, TcpStream};

use crate::ports::{ByteStream, Listener, Network};

/// The machine's own network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Network for Tcp {
    type Stream = TcpStream;
    type Listener = TcpListener;

    async fn listen(&self, address: &str) -> io::Result<TcpListener> {
        TcpListener::bind(address).await
    }

    async fn connect(&self, address: String) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        let (stream, _) = TcpListener::accept(self).await?;
        // Answers leave in one write each; waiting for more would only delay them.
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn local_addr(&self) -> io::Result<String> {
        TcpListener::local_addr(self).map(|address| address.to_string())
    }
}

impl ByteStream for TcpStream {
    fn peer_name(&self) -> String {
        self.peer_addr().map_or_else(|_| "unknown".into(), |address| address.to_string())
    }
}
