//! Dialling an address.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::{Instant, timeout};
use tokio_vsock::{VsockAddr, VsockStream};

use crate::{Address, Error, Stream, limits};

/// Connects to `address`. `within` covers all of it: the name's lookup, each address that it has, and the handshake of a hybrid
/// vsock.
///
/// # Errors
/// [`Error::Timeout`], [`Error::Unresolved`], [`Error::Unreachable`] or [`Error::HybridRefused`].
pub async fn dial(address: &Address, within: Duration) -> Result<Stream, Error> {
    timeout(within, connect(address, within))
        .await
        .unwrap_or_else(|_| Err(Error::Timeout { address: address.clone(), after: within }))
}

async fn connect(address: &Address, within: Duration) -> Result<Stream, Error> {
    let unreachable = |source| Error::Unreachable { address: address.clone(), source };
    match address {
        Address::Vsock { cid, port } => {
            VsockStream::connect(VsockAddr::new(*cid, *port)).await.map(Stream::from).map_err(unreachable)
        }
        Address::Unix(path) => UnixStream::connect(path).await.map(Stream::from).map_err(unreachable),
        Address::Hybrid { path, port } => {
            let mut stream = UnixStream::connect(path).await.map_err(unreachable)?;
            match ask_for_port(&mut stream, *port).await {
                Ok(()) => Ok(stream.into()),
                Err(Hybrid::Io(source)) => Err(unreachable(source)),
                Err(Hybrid::Answer(answer)) => Err(Error::HybridRefused { address: address.clone(), answer }),
            }
        }
        Address::Tcp { host, port } => {
            let start = Instant::now();
            let addresses = resolve(host, *port).await?;
            let connected = dial_tcp(&addresses, within.saturating_sub(start.elapsed())).await;
            connected.map_err(|source| match source.kind() {
                io::ErrorKind::TimedOut => Error::Timeout { address: address.clone(), after: within },
                _ => unreachable(source),
            })
        }
    }
}

/// The addresses that a host has now, in the resolver's order. An IP address is its own answer.
///
/// # Errors
/// [`Error::Unresolved`] when it has none.
pub async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
    let unresolved = |source| Error::Unresolved { host: host.to_owned(), source };
    let addresses: Vec<_> = lookup_host((host, port)).await.map_err(unresolved)?.collect();
    if addresses.is_empty() {
        return Err(unresolved(io::Error::new(io::ErrorKind::NotFound, "the name has no addresses")));
    }
    Ok(addresses)
}

/// Connects to the first of `addresses` that answers. They share `within` evenly, so that one that is silent leaves time for the
/// others.
///
/// # Errors
/// The last address's (`TimedOut` when it did not answer), or `InvalidInput` when there is none.
pub async fn dial_tcp(addresses: &[SocketAddr], within: Duration) -> io::Result<Stream> {
    let end = Instant::now() + within;
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "there are no addresses to dial");
    for (index, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share = end.saturating_duration_since(Instant::now()) / left;
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream.into()),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, format!("{address} did not answer")),
        }
    }
    Err(last)
}

enum Hybrid {
    Io(io::Error),
    Answer(String),
}

/// The handshake of Firecracker's hybrid vsock: `CONNECT <port>\n`, answered by `OK <host port>\n` once the guest accepted.
async fn ask_for_port(stream: &mut UnixStream, port: u32) -> Result<(), Hybrid> {
    stream.write_all(format!("CONNECT {port}\n").as_bytes()).await.map_err(Hybrid::Io)?;
    let mut answer = Vec::with_capacity(limits::HYBRID_ANSWER_BYTES);
    // Byte by byte: what follows the newline is the guest's, and belongs to the caller.
    while answer.last() != Some(&b'\n') && answer.len() < limits::HYBRID_ANSWER_BYTES {
        match stream.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(Hybrid::Io(error)),
        }
    }
    let confirmed = answer
        .strip_prefix(b"OK ")
        .and_then(|rest| rest.strip_suffix(b"\n"))
        .is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit));
    if confirmed { Ok(()) } else { Err(Hybrid::Answer(String::from_utf8_lossy(&answer).into_owned())) }
}

/// Where the guest's connections to the host's `port` arrive, beside the monitor's own socket.
pub(crate) fn hybrid_listener(path: &Path, port: u32) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!("_{port}"));
    name.into()
}
