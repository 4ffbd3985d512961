//! One stream type over the three kinds of socket.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_vsock::VsockStream;

/// A connected stream. Shutting it down closes the writing half alone; the other side may go on sending.
#[derive(Debug)]
pub struct Stream(Kind);

#[derive(Debug)]
enum Kind {
    Vsock(VsockStream),
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// Who connected, for logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A vsock peer.
    Vsock {
        /// Its context identifier.
        cid: u32,
        /// Its port.
        port: u32,
    },
    /// A process on this machine.
    Unix,
    /// A TCP peer.
    Tcp(std::net::SocketAddr),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vsock { cid, port } => write!(f, "vsock {cid}:{port}"),
            Self::Unix => f.write_str("unix"),
            Self::Tcp(address) => write!(f, "{address}"),
        }
    }
}

impl From<VsockStream> for Stream {
    fn from(stream: VsockStream) -> Self {
        Self(Kind::Vsock(stream))
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Self(Kind::Unix(stream))
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        // Requests and answers are short, and relayed bytes are written as they come: waiting to fill a segment costs 40 ms.
        // A socket that cannot be told so works all the same.
        let _ = stream.set_nodelay(true);
        Self(Kind::Tcp(stream))
    }
}

macro_rules! each {
    ($stream:expr, $inner:ident => $call:expr) => {
        match &mut $stream.get_mut().0 {
            Kind::Vsock($inner) => $call,
            Kind::Unix($inner) => $call,
            Kind::Tcp($inner) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, inner => Pin::new(inner).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, inner => Pin::new(inner).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, inner => Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, inner => AsyncWrite::poll_shutdown(Pin::new(inner), cx))
    }
}
