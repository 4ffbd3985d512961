//! Fakes that are real: a TLS server with a certification authority of its own, a CONNECT proxy, and a KMS client over ours.

use std::error::Error as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_kms::Client;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::config::{Credentials, Region};
use aws_sdk_kms::error::SdkError;
use cloister_aws_http::{Egress, Error, Roots, client};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// Long enough for a busy machine, short enough to notice.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What the server does with a connection once it has the request.
#[derive(Clone)]
pub(crate) enum Behaviour {
    /// Sends these bytes and closes.
    Answer(Vec<u8>),
    /// Sends these bytes and goes on without an end: `1` after `1`.
    Endless(Vec<u8>),
    /// Sends these bytes, then nothing more, and keeps the connection.
    Stall(Vec<u8>),
    /// Takes the connection and does not even shake hands.
    Mute,
    /// Closes the first connection at once, answers the next with these bytes.
    CutFirst(Vec<u8>),
}

/// An answer of KMS's shape.
pub(crate) fn answer(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::Pem(self.0.pem())
    }

    fn acceptor(&self, name: &str) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) connections: Arc<AtomicUsize>,
    /// Each request as it came, head and body.
    pub(crate) requests: mpsc::UnboundedReceiver<String>,
    /// One message for each connection whose end the server noticed.
    pub(crate) closed: mpsc::UnboundedReceiver<()>,
}

impl Server {
    pub(crate) async fn tls(authority: &Authority, name: &str, behaviour: Behaviour) -> Self {
        Self::start(Some(authority.acceptor(name)), behaviour).await
    }

    pub(crate) async fn plain(behaviour: Behaviour) -> Self {
        Self::start(None, behaviour).await
    }

    async fn start(acceptor: Option<TlsAcceptor>, behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (request, requests) = mpsc::unbounded_channel();
        let (close, closed) = mpsc::unbounded_channel();
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let behaviour = match behaviour.clone() {
                    Behaviour::CutFirst(_) if number == 0 => continue,
                    Behaviour::CutFirst(bytes) => Behaviour::Answer(bytes),
                    other => other,
                };
                let (acceptor, request, close) = (acceptor.clone(), request.clone(), close.clone());
                tokio::spawn(async move {
                    match acceptor {
                        _ if matches!(behaviour, Behaviour::Mute) => tokio::time::sleep(PATIENCE).await,
                        Some(acceptor) => {
                            let Ok(stream) = acceptor.accept(stream).await else { return };
                            converse(stream, behaviour, &request).await;
                        }
                        None => converse(stream, behaviour, &request).await,
                    }
                    let _ = close.send(());
                });
            }
        });
        Self { port, connections, requests, closed }
    }
}

async fn converse<S>(mut stream: S, behaviour: Behaviour, requests: &mpsc::UnboundedSender<String>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(request) = read_request(&mut stream).await else { return };
    let _ = requests.send(request);
    match behaviour {
        Behaviour::Answer(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Behaviour::Endless(bytes) => {
            let mut sent = stream.write_all(&bytes).await;
            while sent.is_ok() {
                sent = stream.write_all(&[b'1'; 16 * 1024]).await;
            }
        }
        Behaviour::Stall(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.flush().await;
            // Ends when the client gives up.
            let _ = stream.read_u8().await;
        }
        Behaviour::Mute | Behaviour::CutFirst(_) => {}
    }
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let mut request = String::from_utf8(head).ok()?;
    let length = request
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    request.push_str(&String::from_utf8(body).ok()?);
    Some(request)
}

/// A CONNECT proxy that leads every name to one port, and keeps what it saw.
pub(crate) struct Proxy {
    pub(crate) egress: Egress,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    pub(crate) carried: Arc<Mutex<Vec<u8>>>,
}

impl Proxy {
    /// `answer` is sent to every CONNECT; the tunnel opens when it begins with a success.
    pub(crate) async fn start(to: u16, answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let egress = Egress::Proxy(format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap());
        let (asked, carried) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let seen = (Arc::clone(&asked), Arc::clone(&carried));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let Some(request) = read_request(&mut client).await else { continue };
                seen.0.lock().unwrap().push(request);
                client.write_all(answer.as_bytes()).await.unwrap();
                if answer.starts_with("HTTP/1.1 200") {
                    tokio::spawn(tunnel(client, to, Arc::clone(&seen.1)));
                }
            }
        });
        Self { egress, asked, carried }
    }
}

async fn tunnel(mut client: TcpStream, to: u16, carried: Arc<Mutex<Vec<u8>>>) {
    let mut server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
    let (mut up, mut down) = ([0; 4096], [0; 4096]);
    loop {
        let (bytes, to) = tokio::select! {
            length = client.read(&mut up) => (&up[..length.unwrap_or(0)], &mut server),
            length = server.read(&mut down) => (&down[..length.unwrap_or(0)], &mut client),
        };
        if bytes.is_empty() {
            return;
        }
        carried.lock().unwrap().extend(bytes);
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

/// How a test's client differs from the next one's.
pub(crate) struct Setup {
    pub(crate) egress: Egress,
    pub(crate) roots: Roots,
    pub(crate) timeouts: TimeoutConfig,
    pub(crate) retry: RetryConfig,
}

impl Setup {
    pub(crate) fn new(egress: Egress, roots: Roots) -> Self {
        let timeouts = TimeoutConfig::builder().connect_timeout(PATIENCE).read_timeout(PATIENCE).build();
        Self { egress, roots, timeouts, retry: RetryConfig::disabled() }
    }

    /// A KMS client that talks to `endpoint` in place of AWS.
    pub(crate) fn kms(self, endpoint: &str) -> Client {
        let config = aws_sdk_kms::Config::builder()
            .http_client(client(self.egress, self.roots).unwrap())
            .endpoint_url(endpoint)
            .region(Region::from_static("eu-central-1"))
            .credentials_provider(Credentials::new("AKIATEST", "secret", None, None, "test"))
            .timeout_config(self.timeouts)
            .retry_config(self.retry)
            .build();
        Client::from_conf(config)
    }
}

/// Our error inside the SDK's.
pub(crate) fn ours<E: std::error::Error + 'static, R: std::fmt::Debug>(error: &SdkError<E, R>) -> &Error {
    let SdkError::DispatchFailure(failure) = error else { panic!("not a dispatch failure: {error:?}") };
    let connector = failure.as_connector_error().expect("a connector's error");
    connector.source().and_then(|source| source.downcast_ref()).expect("an error of this crate")
}
