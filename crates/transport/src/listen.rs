//! Listening on an address.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio_vsock::{VsockAddr, VsockListener};

use crate::{Address, Error, Peer, Stream};

/// A bound address, waiting for connections.
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
    address: Address,
}

#[derive(Debug)]
enum Kind {
    Vsock(VsockListener),
    Unix { listener: UnixListener, path: PathBuf },
    Tcp(TcpListener),
}

impl Listener {
    /// Binds the address. `hybrid:///p:9001` binds the Unix socket `/p_9001`, where the guest's connections to that port arrive. A
    /// socket file that a dead process left behind is replaced.
    ///
    /// # Errors
    /// [`Error::Bind`] or [`Error::InUse`].
    pub async fn bind(address: &Address) -> Result<Self, Error> {
        let failed = |source| Error::Bind { address: address.clone(), source };
        let unix = async |path: PathBuf| -> Result<Kind, Error> {
            remove_stale(&path, address).await?;
            let listener = UnixListener::bind(&path).map_err(failed)?;
            Ok(Kind::Unix { listener, path })
        };
        let mut bound = address.clone();
        let kind = match address {
            Address::Vsock { cid, port } => {
                Kind::Vsock(VsockListener::bind(VsockAddr::new(*cid, *port)).map_err(failed)?)
            }
            Address::Hybrid { path, port } => {
                let mut name = path.clone().into_os_string();
                name.push(format!("_{port}"));
                unix(name.into()).await?
            }
            Address::Unix(path) => unix(path.clone()).await?,
            Address::Tcp { host, port } => {
                let listener = TcpListener::bind((host.as_str(), *port)).await.map_err(failed)?;
                let port = listener.local_addr().map_err(failed)?.port();
                bound = Address::Tcp { host: host.clone(), port };
                Kind::Tcp(listener)
            }
        };
        Ok(Self { kind, address: bound })
    }

    /// The address, with the port that a 0 became.
    pub fn local_address(&self) -> &Address {
        &self.address
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// What the system says; most such errors pass.
    pub async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match &self.kind {
            Kind::Vsock(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((stream.into(), Peer::Vsock { cid: peer.cid(), port: peer.port() }))
            }
            Kind::Unix { listener, .. } => Ok((listener.accept().await?.0.into(), Peer::Unix)),
            Kind::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((stream.into(), Peer::Tcp(peer)))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Kind::Unix { path, .. } = &self.kind {
            // Somebody else may have removed it already.
            let _ = std::fs::remove_file(path);
        }
    }
}

async fn remove_stale(path: &Path, address: &Address) -> Result<(), Error> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        let source = io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket is there");
        return Err(Error::Bind { address: address.clone(), source });
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(Error::InUse(address.clone())),
        Err(_) => std::fs::remove_file(path).map_err(|source| Error::Bind { address: address.clone(), source }),
    }
}
