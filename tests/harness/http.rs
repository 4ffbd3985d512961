//! A front end that verifies nothing: for requests that an honest client never makes.

use std::sync::Arc;

use bytes::Bytes;
use cloister_transport::{Address, Stream, dial};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// `Retry-After`, if it was there.
    pub retry_after: Option<String>,
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
}

impl Front {
    /// TLS to whatever is there, for HTTP/1.1.
    pub async fn tls(server: &Address) -> TlsStream<Stream> {
        Self::tls_with(server, b"http/1.1").await
    }

    /// TLS to whatever is there, for the protocol of that name (RFC 7301).
    pub async fn tls_with(server: &Address, protocol: &[u8]) -> TlsStream<Stream> {
        let stream = dial(server, std::time::Duration::from_secs(10)).await.expect("a connection");
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone))
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let name = ServerName::try_from("enclave.invalid").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("a handshake")
    }

    /// HTTP over such TLS.
    pub async fn connect(server: &Address) -> Self {
        let (requests, connection) = handshake(TokioIo::new(Self::tls(server).await)).await.expect("HTTP");
        tokio::spawn(connection);
        Self { requests }
    }

    /// Sends one request.
    pub async fn send(&mut self, method: &str, path: &str, kind: &str, body: impl Into<Bytes>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "enclave.invalid")
            .header(header::CONTENT_TYPE, kind)
            .body(Full::new(body.into()))
            .expect("a request");
        self.requests.ready().await.expect("an open connection");
        let response = self.requests.send_request(request).await.expect("an answer");
        let retry_after = response.headers().get(header::RETRY_AFTER).map(|v| v.to_str().expect("text").to_owned());
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("a body").to_bytes().to_vec();
        Answer { status, retry_after, body }
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
