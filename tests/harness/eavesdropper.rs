//! A relay in front of the relay, which keeps every byte that it sees.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cloister_transport::{Address, Listener, Stream, dial};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What passed one way.
type Kept = Arc<Mutex<Vec<u8>>>;

/// A relay that listens to what it carries, from all of its connections.
pub struct Eavesdropper {
    /// Where it listens.
    pub address: Address,
    from_clients: Kept,
    from_server: Kept,
}

impl Eavesdropper {
    /// Puts itself before `server`, at an address of its own.
    pub async fn start(server: Address) -> Self {
        Self::start_at(&"tcp://127.0.0.1:0".parse().expect("an address"), server).await
    }

    /// The same at that address.
    pub async fn start_at(listen: &Address, server: Address) -> Self {
        let listener = Listener::bind(listen).await.expect("the relay listens");
        let (from_clients, from_server) = (Kept::default(), Kept::default());
        let listening = Self {
            address: listener.local_address().clone(),
            from_clients: from_clients.clone(),
            from_server: from_server.clone(),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server.clone(), from_clients.clone(), from_server.clone()));
            }
        });
        listening
    }

    /// All that clients sent so far.
    pub fn from_clients(&self) -> Vec<u8> {
        kept(&self.from_clients).clone()
    }

    /// All that the server sent so far.
    pub fn from_server(&self) -> Vec<u8> {
        kept(&self.from_server).clone()
    }
}

/// Whether those bytes hold that part.
pub fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn kept(bytes: &Kept) -> MutexGuard<'_, Vec<u8>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn carry(client: Stream, server: Address, from_client: Kept, from_server: Kept) {
    let Ok(server) = dial(&server, Duration::from_secs(10)).await else { return };
    let (client_reads, client_writes) = tokio::io::split(client);
    let (server_reads, server_writes) = tokio::io::split(server);
    tokio::join!(copy(client_reads, server_writes, &from_client), copy(server_reads, client_writes, &from_server));
}

/// Keeps bytes before it passes them on: whoever received them finds them kept.
async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, seen: &Kept) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        kept(seen).extend_from_slice(&buffer[..length]);
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    // The other side may have gone.
    let _ = to.shutdown().await;
}
