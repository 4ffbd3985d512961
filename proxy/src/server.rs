//! The accept loop, and what happens on one connection.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cloister_transport::{Listener, Peer, Served, Stream, dial_tcp, relay, resolve, serve};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use crate::inward::may_lead_to;
use crate::{Allowlist, Error, Limits, head, limits};

/// What a connection to the proxy means.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Each client asks for a host by HTTP CONNECT.
    Connect,
    /// Each connection goes to one host, as with AWS's vsock-proxy.
    Forward {
        /// The host's name or address.
        host: String,
        /// The host's port.
        port: u16,
    },
}

/// Which of a host's addresses are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// All, in the resolver's order.
    #[default]
    Any,
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
}

impl Family {
    fn has(self, address: &SocketAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }
}

/// A proxy, ready to serve.
#[derive(Clone, Debug)]
pub struct Proxy {
    allowlist: Arc<Allowlist>,
    mode: Mode,
    family: Family,
    limits: Limits,
}

impl Proxy {
    /// A proxy to the hosts of `allowlist`.
    ///
    /// # Errors
    /// [`Error::NotListed`] when the host to forward to is not on the allowlist.
    pub fn new(allowlist: Allowlist, mode: Mode, family: Family, limits: Limits) -> Result<Self, Error> {
        if let Mode::Forward { host, port } = &mode
            && !allowlist.allows(host, *port)
        {
            return Err(Error::NotListed { host: host.clone(), port: *port });
        }
        Ok(Self { allowlist: Arc::new(allowlist), mode, family, limits })
    }

    /// Serves until `shutdown`, then lets the tunnels finish within the limit for that.
    pub async fn serve(self, listener: Listener, shutdown: impl Future<Output = ()>) -> Served {
        let serve_limits = self.limits.serve.clone();
        let proxy = Arc::new(self);
        serve(listener, &serve_limits, shutdown, move |stream, peer| proxy.clone().one(stream, peer)).await
    }

    async fn one(self: Arc<Self>, mut client: Stream, peer: Peer) {
        let start = Instant::now();
        let (host, early) = match self.host_for(&mut client).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%peer, reason = error.kind(), "refused: {error}");
                if matches!(self.mode, Mode::Connect) {
                    refuse(client, &error).await;
                }
                return;
            }
        };
        match self.tunnel(client, host, &early).await {
            Ok(relayed) => tracing::info!(%peer, ?relayed, took = ?start.elapsed(), "tunnel ended"),
            Err(error) => tracing::info!(%peer, took = ?start.elapsed(), "tunnel ended: {error}"),
        }
    }

    /// A connection to the host that the client asked for, and what the client already sent for it.
    async fn host_for(&self, client: &mut Stream) -> Result<(Stream, Vec<u8>), Error> {
        let (host, port, early) = match &self.mode {
            Mode::Forward { host, port } => (host.clone(), *port, Vec::new()),
            Mode::Connect => {
                let after = self.limits.head_timeout;
                let request = timeout(after, head::read(client)).await.map_err(|_| Error::Slow(after))??;
                (request.host, request.port, request.early)
            }
        };
        if !self.allowlist.allows(&host, port) {
            return Err(Error::NotListed { host, port });
        }
        let after = self.limits.connect_timeout;
        let connected = timeout(after, self.reach(&host, port, after)).await;
        Ok((connected.unwrap_or(Err(Error::HostTimeout { host, port, after }))?, early))
    }

    async fn reach(&self, host: &str, port: u16, within: Duration) -> Result<Stream, Error> {
        let start = Instant::now();
        let mut addresses = resolve(host, port).await.map_err(Error::Unresolved)?;
        addresses.retain(|address| self.family.has(address));
        if addresses.is_empty() {
            return Err(Error::Family(host.to_owned()));
        }
        // One such address among others is refused as well: no honest answer holds it.
        if let Some(inward) = addresses.iter().find(|address| !may_lead_to(host, address.ip())) {
            return Err(Error::Inward { host: host.to_owned(), address: inward.ip() });
        }
        let connected = dial_tcp(&addresses, within.saturating_sub(start.elapsed())).await;
        connected.map_err(|source| match source.kind() {
            ErrorKind::TimedOut => Error::HostTimeout { host: host.to_owned(), port, after: within },
            _ => Error::Unreachable { host: host.to_owned(), port, source },
        })
    }

    async fn tunnel(
        &self,
        mut client: Stream,
        mut host: Stream,
        early: &[u8],
    ) -> Result<cloister_transport::Relayed, Box<dyn std::error::Error + Send + Sync>> {
        if matches!(self.mode, Mode::Connect) {
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        }
        timeout(self.limits.connect_timeout, host.write_all(early)).await??;
        Ok(relay(client, host, &self.limits.relay).await?)
    }
}

/// Tells the client why, as a problem (RFC 9457), and closes the connection so that it can still read that.
async fn refuse(mut client: Stream, error: &Error) {
    let Some((status, phrase)) = error.status() else { return };
    let problem = json!({
        "type": format!("urn:cloister:proxy:{}", error.kind()),
        "title": phrase,
        "status": status,
        "detail": error.to_string(),
    })
    .to_string();
    let answer = format!(
        "HTTP/1.1 {status} {phrase}\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{problem}",
        problem.len()
    );
    let told = async {
        client.write_all(answer.as_bytes()).await?;
        client.shutdown().await?;
        // Closing over unread bytes would reset the connection and take the answer with it.
        tokio::io::copy(&mut client.take(limits::LINGER_BYTES), &mut tokio::io::sink()).await
    };
    if timeout(limits::LINGER_TIMEOUT, told).await.is_err() {
        tracing::debug!("a refused client did not close its side");
    }
}
