//! Listening on an address.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio_vsock::{VMADDR_CID_ANY, VsockAddr, VsockListener};

use crate::dial::hybrid_listener;
use crate::{Address, Error, Stream};

/// The vsock port that lets the system choose (`VMADDR_PORT_ANY`).
const VSOCK_PORT_ANY: u32 = u32::MAX;

/// A bound address. Dropping it closes it, and removes the socket file that it made.
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
    local: Address,
    _file: Option<SocketFile>,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener),
    Vsock(VsockListener),
}

/// Who connected, as far as the transport knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Over TCP.
    Tcp(SocketAddr),
    /// Over a Unix socket, or a hybrid vsock's.
    Unix,
    /// Over vsock.
    Vsock {
        /// The context identifier that the hypervisor gives the other side.
        cid: u32,
        /// The other side's port.
        port: u32,
    },
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Unix => f.write_str("unix"),
            Self::Vsock { cid, port } => write!(f, "vsock://{cid}:{port}"),
        }
    }
}

impl Listener {
    /// Binds `address`. A Unix socket that a dead process left behind is removed first; one on which somebody answers, and
    /// a file of another kind, are left alone. A socket file's permissions are the process's umask's.
    ///
    /// # Errors
    /// [`Error::InUse`], [`Error::NotASocket`], or [`Error::Bind`] with the system's reason.
    pub async fn bind(address: &Address) -> Result<Self, Error> {
        let failed = |source| Error::Bind { address: address.clone(), source };
        match address {
            Address::Tcp { host, port } => {
                let listener = TcpListener::bind((host.as_str(), *port)).await.map_err(failed)?;
                let bound = listener.local_addr().map_err(failed)?;
                let local = Address::Tcp { host: bound.ip().to_string(), port: bound.port() };
                Ok(Self { kind: Kind::Tcp(listener), local, _file: None })
            }
            Address::Vsock { cid, port } => {
                let cid = if *cid == crate::ANY_CID { VMADDR_CID_ANY } else { *cid };
                let port = if *port == 0 { VSOCK_PORT_ANY } else { *port };
                let listener = VsockListener::bind(VsockAddr::new(cid, port)).map_err(failed)?;
                let bound = listener.local_addr().map_err(failed)?;
                let local = Address::Vsock { cid: bound.cid(), port: bound.port() };
                Ok(Self { kind: Kind::Vsock(listener), local, _file: None })
            }
            Address::Unix(path) => Self::bind_unix(address, path.clone()).await,
            Address::Hybrid { path, port } => Self::bind_unix(address, hybrid_listener(path, *port)).await,
        }
    }

    async fn bind_unix(address: &Address, path: PathBuf) -> Result<Self, Error> {
        let failed = |source| Error::Bind { address: address.clone(), source };
        remove_stale(&path).await.map_err(|problem| match problem {
            Stale::InUse => Error::InUse { path: path.clone() },
            Stale::NotASocket => Error::NotASocket { path: path.clone() },
            Stale::Io(source) => failed(source),
        })?;
        let listener = UnixListener::bind(&path).map_err(failed)?;
        let file = SocketFile::made(path).map_err(failed)?;
        Ok(Self { kind: Kind::Unix(listener), local: address.clone(), _file: Some(file) })
    }

    /// What is bound: with the port that the system chose where the address asked for port 0.
    pub fn local_address(&self) -> &Address {
        &self.local
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    /// What the system says; most of them pass, such as too many open files.
    pub async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match &self.kind {
            Kind::Tcp(listener) => listener.accept().await.map(|(stream, peer)| (stream.into(), Peer::Tcp(peer))),
            Kind::Unix(listener) => listener.accept().await.map(|(stream, _)| (stream.into(), Peer::Unix)),
            Kind::Vsock(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((stream.into(), Peer::Vsock { cid: peer.cid(), port: peer.port() }))
            }
        }
    }
}

enum Stale {
    InUse,
    NotASocket,
    Io(io::Error),
}

async fn remove_stale(path: &Path) -> Result<(), Stale> {
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Stale::Io(error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(Stale::NotASocket);
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(Stale::InUse),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path).map_err(Stale::Io),
        Err(error) => Err(Stale::Io(error)),
    }
}

/// A socket file that this process made, known by its inode so that another's is never removed in its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn made(path: PathBuf) -> io::Result<Self> {
        let metadata = std::fs::symlink_metadata(&path)?;
        Ok(Self { path, device: metadata.dev(), inode: metadata.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = |metadata: &std::fs::Metadata| metadata.dev() == self.device && metadata.ino() == self.inode;
        if std::fs::symlink_metadata(&self.path).is_ok_and(|metadata| ours(&metadata)) {
            // A file that stays is removed as stale by the next to listen there.
            std::fs::remove_file(&self.path).ok();
        }
    }
}
