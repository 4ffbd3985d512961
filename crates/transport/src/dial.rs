//! Connecting to an address.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_vsock::{VsockAddr, VsockStream};

use crate::limits::MAX_HYBRID_LINE;
use crate::{Address, Error, Stream};

/// Connects, name look-up and handshake included, within `after`.
///
/// # Errors
/// [`Error::Dial`], [`Error::Timeout`] or [`Error::Hybrid`].
pub async fn dial(address: &Address, after: Duration) -> Result<Stream, Error> {
    let failed = |source| Error::Dial { address: address.clone(), source };
    let connect = async {
        match address {
            Address::Vsock { cid, port } => {
                Ok(VsockStream::connect(VsockAddr::new(*cid, *port)).await.map_err(failed)?.into())
            }
            Address::Hybrid { path, port } => {
                let stream = UnixStream::connect(path).await.map_err(failed)?;
                ask(stream, *port, address).await
            }
            Address::Unix(path) => Ok(UnixStream::connect(path).await.map_err(failed)?.into()),
            Address::Tcp { host, port } => Ok(TcpStream::connect((host.as_str(), *port)).await.map_err(failed)?.into()),
        }
    };
    timeout(after, connect).await.map_err(|_| Error::Timeout { address: address.clone(), after })?
}

/// The handshake of hybrid vsock: `CONNECT port`, answered by `OK port`. It is read byte by byte, because what follows the
/// line's end belongs to the stream.
async fn ask(mut stream: UnixStream, port: u32, address: &Address) -> Result<Stream, Error> {
    let failed = |source: io::Error| Error::Dial { address: address.clone(), source };
    stream.write_all(format!("CONNECT {port}\n").as_bytes()).await.map_err(failed)?;
    let mut line = Vec::with_capacity(MAX_HYBRID_LINE);
    while line.last() != Some(&b'\n') && line.len() < MAX_HYBRID_LINE {
        match stream.read_u8().await {
            Ok(byte) => line.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(failed(error)),
        }
    }
    let ok = line.strip_prefix(b"OK ").and_then(|rest| rest.strip_suffix(b"\n"));
    if ok.is_some_and(|n| !n.is_empty() && n.iter().all(u8::is_ascii_digit)) {
        Ok(stream.into())
    } else {
        let answer = String::from_utf8_lossy(&line).trim_end().to_owned();
        Err(Error::Hybrid { address: address.clone(), answer })
    }
}
