//! Errors that quote nothing of an answer: a broken one may hold a key.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::future::ProvideCredentials as Future;
use cloister_aws_http::{Egress, Roots};
use cloister_kms::{Error, KmsClient, Obstacle, Settings, credentials, generate_data_key, limits};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const KEY: &str = "arn:aws:kms:us-east-1:111122223333:key/12345678-1234-1234-1234-123456789012";
/// 32 zero bytes and what might be a wrapped key.
const PLAINTEXT: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const WRAPPED: &str = "d3JhcHBlZA==";

/// A server of TLS that gives every request the same bytes, and closes.
async fn server(answer: Vec<u8>) -> (u16, Roots) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = Vec::new();
            while !request.ends_with(b"}") && stream.read_buf(&mut request).await.unwrap_or(0) > 0 {}
            stream.write_all(&answer).await.ok();
            stream.shutdown().await.ok();
        }
    });
    (port, Roots::Pem(cert.pem()))
}

fn answer(status: &str, length: usize, body: &str) -> Vec<u8> {
    let kind = "application/x-amz-json-1.1";
    format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

async fn asked(credentials: SharedCredentialsProvider, answer: Vec<u8>) -> Error {
    let (port, roots) = server(answer).await;
    let endpoint = Some(format!("https://localhost:{port}"));
    let settings = Settings { region: "us-east-1".into(), endpoint, credentials, egress: Egress::Direct, roots };
    let client = KmsClient::with_timeout(settings, Duration::from_secs(10)).unwrap();
    generate_data_key(&client, KEY, &BTreeMap::new()).await.err().unwrap()
}

async fn error_of(answer: Vec<u8>) -> Error {
    asked(credentials("AKID", "secret", None), answer).await
}

fn assert_quiet(error: &Error) {
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(!text.contains(PLAINTEXT) && !text.contains(WRAPPED) && !text.contains("Plaintext"), "{text}");
        assert!(text.len() <= limits::MAX_TEXT_BYTES + 200, "{} bytes", text.len());
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_not_quoted() {
    let body = format!(r#"{{"CiphertextBlob":"{WRAPPED}","Plaintext":"{PLAINTEXT}"}} and garbage"#);
    let error = error_of(answer("200 OK", body.len(), &body)).await;
    assert!(matches!(error, Error::Unreadable { status: 200 }), "{error}");
    assert_quiet(&error);
}

#[tokio::test]
async fn a_refusal_that_is_none_of_kms_s_is_not_quoted() {
    let body = format!(r#"{{"Plaintext":"{PLAINTEXT}""#);
    let error = error_of(answer("400 Bad Request", body.len(), &body)).await;
    assert!(matches!(error, Error::Unreadable { status: 400 }), "{error}");
    assert_quiet(&error);
}

#[tokio::test]
async fn an_answer_that_is_cut_short_is_not_quoted() {
    let body = format!(r#"{{"Plaintext":"{PLAINTEXT}","CiphertextBlob":"{WRAPPED}"#);
    let error = error_of(answer("200 OK", body.len() + 100, &body)).await;
    assert!(matches!(error, Error::Unreachable { obstacle: Obstacle::Answer, .. }), "{error}");
    assert!(error.to_string().contains("the answer of localhost"), "{error}");
    assert_quiet(&error);
}

#[tokio::test]
async fn what_kms_says_is_cut_and_has_no_control_characters() {
    let body = format!(r#"{{"__type":"SomethingException","message":"\u001b[2J{}"}}"#, "m".repeat(9000));
    let error = error_of(answer("400 Bad Request", body.len(), &body)).await;
    let Error::Refused { message, .. } = &error else { panic!("{error}") };
    assert_eq!(message.len(), limits::MAX_TEXT_BYTES);
    assert!(!error.to_string().contains('\u{1b}'));
}

#[tokio::test]
async fn a_source_of_credentials_that_fails_is_not_quoted() {
    #[derive(Debug)]
    struct Talkative;
    impl aws_credential_types::provider::ProvideCredentials for Talkative {
        fn provide_credentials<'a>(&'a self) -> Future<'a>
        where
            Self: 'a,
        {
            Future::ready(Err(CredentialsError::provider_error(format!("Plaintext {PLAINTEXT}"))))
        }
    }
    let error = asked(SharedCredentialsProvider::new(Talkative), Vec::new()).await;
    assert!(matches!(&error, Error::Unreachable { obstacle: Obstacle::Credentials, .. }), "{error}");
    assert_quiet(&error);
}
