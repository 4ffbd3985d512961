//! A front end that verifies nothing: for requests that an honest client never makes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cloister_transport::{Address, Stream, dial};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{self, HeaderValue};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::ClientPair;

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// `Retry-After`, if it was there.
    pub retry_after: Option<String>,
    /// `WWW-Authenticate`, if it was there.
    pub challenge: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The `type` of the problem (RFC 9457) without its prefix.
    pub fn problem(&self) -> String {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).expect("a problem in JSON");
        assert_eq!(problem["status"], self.status);
        let kind = problem["type"].as_str().expect("a type");
        kind.strip_prefix("urn:cloister:problem:").expect("a type of this project").to_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// One connection, unverified.
pub struct Front {
    requests: SendRequest<Full<Bytes>>,
    authorization: Option<HeaderValue>,
}

impl Front {
    /// TLS to whatever is there, for HTTP/1.1.
    pub async fn tls(server: &Address) -> TlsStream<Stream> {
        Self::tls_with(server, b"http/1.1").await
    }

    /// TLS to whatever is there, for the protocol of that name (RFC 7301).
    pub async fn tls_with(server: &Address, protocol: &[u8]) -> TlsStream<Stream> {
        Self::tls_as(server, protocol, None).await
    }

    async fn tls_as(server: &Address, protocol: &[u8], client: Option<&ClientPair>) -> TlsStream<Stream> {
        let stream = dial(server, Duration::from_secs(10)).await.expect("a connection");
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone));
        let mut config = match client {
            Some(ClientPair { certificate, key }) => {
                let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate");
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
                config.with_client_auth_cert(vec![certificate], key).expect("a certificate and its key")
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![protocol.to_vec()];
        let name = ServerName::try_from("enclave.invalid").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("a handshake")
    }

    /// HTTP over such TLS.
    pub async fn connect(server: &Address) -> Self {
        Self::over(Self::tls(server).await).await
    }

    /// The same, with a certificate of the client's own.
    pub async fn connect_as(server: &Address, client: &ClientPair) -> Self {
        Self::over(Self::tls_as(server, b"http/1.1", Some(client)).await).await
    }

    async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (requests, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP");
        tokio::spawn(connection);
        Self { requests, authorization: None }
    }

    /// Sends this `Authorization` header with each request from now on.
    pub fn authorize(mut self, value: &str) -> Self {
        self.authorization = Some(value.parse().expect("a header"));
        self
    }

    /// HTTP without TLS, as the pod's endpoint speaks it.
    pub async fn plain(server: &Address) -> Self {
        let stream = dial(server, Duration::from_secs(10)).await.expect("a connection");
        Self::over(stream).await
    }

    /// Sends one request.
    pub async fn send(&mut self, method: &str, path: &str, kind: &str, body: impl Into<Bytes>) -> Answer {
        self.send_with(method, path, &[(header::CONTENT_TYPE.as_str(), kind)], body).await
    }

    /// Sends one request with headers of one's own.
    pub async fn send_with(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "enclave.invalid");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Full::new(body.into())).expect("a request");
        request.headers_mut().extend(self.authorization.clone().map(|value| (header::AUTHORIZATION, value)));
        self.requests.ready().await.expect("an open connection");
        let response = self.requests.send_request(request).await.expect("an answer");
        let text = |name| response.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
        let (retry_after, challenge) = (text(header::RETRY_AFTER), text(header::WWW_AUTHENTICATE));
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("a body").to_bytes().to_vec();
        Answer { status, retry_after, challenge, body }
    }

    /// Whether the server keeps the connection, as far as is known.
    pub fn is_open(&self) -> bool {
        !self.requests.is_closed()
    }

    /// A GET.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, "text/plain", Bytes::new()).await
    }

    /// An image.
    pub async fn post_image(&mut self, query: &str, body: impl Into<Bytes>) -> Answer {
        self.send("POST", &format!("/v1/images?{query}"), "image/png", body).await
    }
}

#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
