//! Someone between client and enclave, who would like to be sent what is meant for the enclave.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cloister_transport::{Address, Listener};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

/// What an impostor was sent.
#[derive(Default)]
pub struct Loot {
    images: AtomicUsize,
    tokens: AtomicUsize,
}

impl Loot {
    /// Requests that are none for a document.
    pub fn images(&self) -> usize {
        self.images.load(Ordering::SeqCst)
    }

    /// Requests with an `Authorization` header.
    pub fn tokens(&self) -> usize {
        self.tokens.load(Ordering::SeqCst)
    }

    fn look(&self, request: &Request<Incoming>) {
        if request.method() != "GET" {
            self.images.fetch_add(1, Ordering::SeqCst);
        }
        if request.headers().contains_key(header::AUTHORIZATION) {
            self.tokens.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Ends TLS with a key of its own, and answers each request with what `answer` makes of the request's path.
pub async fn impostor<F, R>(answer: F) -> (Address, Arc<Loot>)
where
    F: Fn(String) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Vec<u8>> + Send,
{
    let acceptor = acceptor();
    let listener = Listener::bind(&"tcp://127.0.0.1:0".parse().expect("an address")).await.expect("a listener");
    let address = listener.local_address().clone();
    let loot = Arc::new(Loot::default());
    let seen = Arc::clone(&loot);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, answer, seen) = (acceptor.clone(), answer.clone(), Arc::clone(&seen));
            tokio::spawn(async move {
                let stream = acceptor.accept(stream).await.expect("a handshake");
                let service = service_fn(move |request: Request<Incoming>| {
                    seen.look(&request);
                    let answer = answer.clone();
                    async move {
                        let body = answer(request.uri().to_string()).await;
                        Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from(body))))
                    }
                });
                // The client hangs up in the middle, which is what its tests are about.
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (address, loot)
}

fn acceptor() -> TlsAcceptor {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).expect("a key");
    let params = CertificateParams::new(vec!["enclave.invalid".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    let private = PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS #8");
    let tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .expect("a certificate and its key");
    TlsAcceptor::from(Arc::new(tls))
}
