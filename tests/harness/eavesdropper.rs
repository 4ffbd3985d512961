//! A relay in front of a relay, which keeps every byte that it sees, and answers in its place where it is told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cloister_transport::{Address, Listener, Stream, dial};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

/// A relay that listens to what it carries, from all of its connections.
pub struct Eavesdropper {
    /// Where it listens.
    pub address: Address,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    from_clients: Mutex<Vec<u8>>,
    from_server: Mutex<Vec<u8>>,
    answers: Mutex<Answers>,
}

/// Bodies by the beginning of the request that they answer, such as `GET /v1/settings`.
type Answers = BTreeMap<&'static str, String>;

impl Eavesdropper {
    /// Puts itself before `server`, at an address of its own.
    pub async fn start(server: Address) -> Self {
        Self::start_at(&"tcp://127.0.0.1:0".parse().expect("an address"), server, Answers::new()).await
    }

    /// The same at that address, with answers to HTTP/1.1 requests that `server` is not to see.
    pub async fn start_at(listen: &Address, server: Address, answers: Answers) -> Self {
        let listener = Listener::bind(listen).await.expect("the relay listens");
        let address = listener.local_address().clone();
        let shared = Arc::new(Shared { answers: Mutex::new(answers), ..Shared::default() });
        let carried = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server.clone(), Arc::clone(&carried)));
            }
        });
        Self { address, shared }
    }

    /// Answers otherwise from now on.
    pub fn answer(&self, request: &'static str, body: &str) {
        locked(&self.shared.answers).insert(request, body.to_owned());
    }

    /// All that clients sent so far.
    pub fn from_clients(&self) -> Vec<u8> {
        locked(&self.shared.from_clients).clone()
    }

    /// All that the server sent so far.
    pub fn from_server(&self) -> Vec<u8> {
        locked(&self.shared.from_server).clone()
    }
}

/// Whether those bytes hold that part.
pub fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn carry(client: Stream, server: Address, shared: Arc<Shared>) {
    let (mut client_reads, mut client_writes) = tokio::io::split(client);
    let mut first = vec![0; 16 * 1024];
    let Ok(length @ 1..) = client_reads.read(&mut first).await else { return };
    first.truncate(length);
    locked(&shared.from_clients).extend_from_slice(&first);
    let answer = locked(&shared.answers)
        .iter()
        .find(|(request, _)| first.starts_with(request.as_bytes()))
        .map(|(_, body)| format!("HTTP/1.1 {}\r\nContent-Length: {}\r\n\r\n{body}", status(body), body.len()));
    if let Some(answer) = answer {
        // The other side may have gone.
        let _ = client_writes.write_all(answer.as_bytes()).await;
        copy(client_reads, tokio::io::sink(), &shared.from_clients).await;
    } else if let Ok(mut server) = dial(&server, Duration::from_secs(10)).await
        && server.write_all(&first).await.is_ok()
    {
        relay(client_reads, client_writes, server, &shared).await;
    }
}

fn status(body: &str) -> &'static str {
    if body.is_empty() { "204 No Content" } else { "200 OK" }
}

async fn relay(from_client: ReadHalf<Stream>, to_client: WriteHalf<Stream>, server: Stream, shared: &Shared) {
    let (from_server, to_server) = tokio::io::split(server);
    tokio::join!(copy(from_client, to_server, &shared.from_clients), copy(from_server, to_client, &shared.from_server));
}

/// Keeps bytes before it passes them on: whoever received them finds them kept.
async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, seen: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        locked(seen).extend_from_slice(&buffer[..length]);
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    // The other side may have gone.
    let _ = to.shutdown().await;
}
