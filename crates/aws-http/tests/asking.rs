//! The SDK's own KMS client over ours, against real servers.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test fails as the test does")]

mod support;

use std::time::{Duration, Instant};

use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::primitives::Blob;
use cloister_aws_http::limits::MAX_RESPONSE_BYTES;
use cloister_aws_http::{Egress, Error, Roots, client};
use support::{Authority, Behaviour, PATIENCE, Proxy, Server, Setup, answer, ours};
use tokio::time::timeout;

const KEYS: &str = r#"{"Keys":[{"KeyId":"one"}],"Truncated":false}"#;

fn direct(roots: Roots) -> Setup {
    Setup::new(Egress::Direct, roots)
}

async fn serving(behaviour: Behaviour) -> (Authority, Server, String) {
    let authority = Authority::new();
    let server = Server::tls(&authority, "localhost", behaviour).await;
    let endpoint = format!("https://localhost:{}", server.port);
    (authority, server, endpoint)
}

/// The error of asking a server of that behaviour, with time-outs that are short or patient.
async fn failure(behaviour: Behaviour, timeouts: Option<TimeoutConfig>) -> String {
    let (authority, _server, endpoint) = serving(behaviour).await;
    let mut setup = direct(authority.roots());
    setup.timeouts = timeouts.unwrap_or(setup.timeouts);
    let error = setup.kms(&endpoint).list_keys().send().await.unwrap_err();
    format!("{:?}", ours(&error))
}

#[tokio::test]
async fn a_request_arrives_in_origin_form_and_its_answer_returns() {
    let (authority, mut server, endpoint) =
        serving(Behaviour::Answer(answer(r#"{"CiphertextBlob":"AAEC","KeyId":"arn"}"#))).await;
    let blob = direct(authority.roots())
        .kms(&endpoint)
        .encrypt()
        .key_id("alias/a")
        .plaintext(Blob::new(vec![7; 4096]))
        .send()
        .await
        .unwrap();
    assert_eq!(blob.ciphertext_blob().unwrap().as_ref(), [0, 1, 2]);
    let request = server.requests.recv().await.unwrap();
    assert!(request.starts_with("POST / HTTP/1.1\r\n"), "{request}");
    let lower = request.to_ascii_lowercase();
    assert_eq!(lower.matches(&format!("\r\nhost: localhost:{}\r\n", server.port)).count(), 1, "{request}");
    assert!(lower.contains("\r\nx-amz-target: trentservice.encrypt\r\n"), "{request}");
    assert!(request.contains(&"BwcH".repeat(4096 / 3)), "the body arrived whole");
}

#[tokio::test]
async fn a_server_under_another_root_is_refused() {
    let (_, _server, endpoint) = serving(Behaviour::Answer(answer(KEYS))).await;
    // The other authority has the same name, so that only its signature tells them apart.
    for (roots, reason) in [(Authority::new().roots(), "BadSignature"), (Roots::WebPki, "UnknownIssuer")] {
        let error = direct(roots).kms(&endpoint).list_keys().send().await.unwrap_err();
        let Error::Handshake { source, .. } = ours(&error) else { panic!("{error:?}") };
        assert!(source.to_string().contains(reason), "{source}");
    }
}

#[tokio::test]
async fn a_certificate_of_another_name_is_refused() {
    let authority = Authority::new();
    for name in ["kms.eu-central-1.amazonaws.com", "127.0.0.1"] {
        let server = Server::tls(&authority, name, Behaviour::Answer(answer(KEYS))).await;
        let endpoint = format!("https://localhost:{}", server.port);
        let error = direct(authority.roots()).kms(&endpoint).list_keys().send().await.unwrap_err();
        let Error::Handshake { source, .. } = ours(&error) else { panic!("{error:?}") };
        assert!(source.to_string().contains("not valid for name"), "{source}");
    }
}

#[tokio::test]
async fn an_address_is_reached_when_the_certificate_names_it() {
    let authority = Authority::new();
    let server = Server::tls(&authority, "127.0.0.1", Behaviour::Answer(answer(KEYS))).await;
    let endpoint = format!("https://127.0.0.1:{}", server.port);
    let keys = direct(authority.roots()).kms(&endpoint).list_keys().send().await.unwrap();
    assert_eq!(keys.keys()[0].key_id(), Some("one"));
}

#[tokio::test]
async fn through_a_proxy_the_name_is_checked_and_nothing_is_readable_on_the_way() {
    let authority = Authority::new();
    let name = "kms.eu-central-1.amazonaws.com";
    let server = Server::tls(&authority, name, Behaviour::Answer(answer(KEYS))).await;
    let proxy = Proxy::start(server.port, "HTTP/1.1 200 Connection established\r\n\r\n").await;
    let kms = |authority: &Authority, name: &str| {
        Setup::new(proxy.egress.clone(), authority.roots()).kms(&format!("https://{name}"))
    };
    let keys = kms(&authority, name).list_keys().send().await.unwrap();
    assert_eq!(keys.keys()[0].key_id(), Some("one"));
    assert!(proxy.asked.lock().unwrap()[0].starts_with(&format!("CONNECT {name}:443 HTTP/1.1\r\n")));
    let carried = proxy.carried.lock().unwrap().clone();
    assert!(carried.len() > 1000, "the tunnel was used");
    for readable in ["TrentService", "AWS4-HMAC", "KeyId"] {
        assert!(!carried.windows(readable.len()).any(|window| window == readable.as_bytes()), "{readable}");
    }
    // A proxy that leads elsewhere gains nothing.
    let error = kms(&authority, "sts.amazonaws.com").list_keys().send().await.unwrap_err();
    assert!(matches!(ours(&error), Error::Handshake { .. }), "{error:?}");
}

#[tokio::test]
async fn a_proxys_refusal_is_told_and_not_tried_again() {
    let proxy = Proxy::start(1, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    let mut setup = Setup::new(proxy.egress.clone(), Roots::WebPki);
    setup.retry = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
    let error = setup.kms("https://example.com").list_keys().send().await.unwrap_err();
    assert!(matches!(ours(&error), Error::Connect(cloister_transport::Error::ProxyRefused { .. })), "{error:?}");
    assert_eq!(proxy.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_cut_connection_is_tried_again_and_a_false_certificate_is_not() {
    let retry = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
    let (authority, server, endpoint) = serving(Behaviour::CutFirst(answer(KEYS))).await;
    let mut setup = direct(authority.roots());
    setup.retry = retry.clone();
    setup.kms(&endpoint).list_keys().send().await.unwrap();
    assert_eq!(server.connections.load(std::sync::atomic::Ordering::SeqCst), 2);

    let (_, server, endpoint) = serving(Behaviour::Answer(answer(KEYS))).await;
    let mut setup = direct(Authority::new().roots());
    setup.retry = retry;
    setup.kms(&endpoint).list_keys().send().await.unwrap_err();
    assert_eq!(server.connections.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_after_the_sdks_read_timeout() {
    let short = TimeoutConfig::builder().connect_timeout(PATIENCE).read_timeout(Duration::from_millis(200)).build();
    let begun = Instant::now();
    for sent in [Vec::new(), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_vec()] {
        let error = failure(Behaviour::Stall(sent), Some(short.clone())).await;
        assert!(error.starts_with("ReadTimeout") && error.contains("200ms"), "{error}");
    }
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_server_that_never_shakes_hands_is_given_up_after_the_sdks_connect_timeout() {
    let short = TimeoutConfig::builder().connect_timeout(Duration::from_millis(200)).read_timeout(PATIENCE).build();
    let begun = Instant::now();
    let error = failure(Behaviour::Mute, Some(short)).await;
    assert!(error.starts_with("ConnectTimeout") && error.contains("200ms"), "{error}");
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_answer_of_the_largest_size_is_taken_and_one_byte_more_is_not() {
    for (size, taken) in [(MAX_RESPONSE_BYTES, true), (MAX_RESPONSE_BYTES + 1, false)] {
        let padding = "a".repeat(size - r#"{"Pad":"","Keys":[]}"#.len());
        let body = format!(r#"{{"Pad":"{padding}","Keys":[]}}"#);
        let (authority, _server, endpoint) = serving(Behaviour::Answer(answer(&body))).await;
        match direct(authority.roots()).kms(&endpoint).list_keys().send().await {
            Ok(_) => assert!(taken, "{size}"),
            Err(error) => {
                assert!(!taken, "{error:?}");
                assert!(matches!(ours(&error), Error::TooLarge { limit: MAX_RESPONSE_BYTES, .. }), "{error:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_and_its_connection_closed() {
    for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"] {
        let (authority, mut server, endpoint) = serving(Behaviour::Endless(head.into())).await;
        let error = direct(authority.roots()).kms(&endpoint).list_keys().send().await.unwrap_err();
        assert!(matches!(ours(&error), Error::TooLarge { .. }), "{error:?}");
        timeout(PATIENCE, server.closed.recv()).await.expect("the server notices").unwrap();
    }
}

#[tokio::test]
async fn an_endless_head_is_cut() {
    let (authority, mut server, endpoint) = serving(Behaviour::Endless(b"HTTP/1.1 200 OK\r\nX-Long: ".to_vec())).await;
    let error = direct(authority.roots()).kms(&endpoint).list_keys().send().await.unwrap_err();
    assert!(matches!(ours(&error), Error::Http { .. }), "{error:?}");
    timeout(PATIENCE, server.closed.recv()).await.expect("the server notices").unwrap();
}

#[tokio::test]
async fn what_is_not_http_or_ends_early_is_refused() {
    for sent in ["SSH-2.0-OpenSSH_9.6\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", ""] {
        let error = failure(Behaviour::Answer(sent.into()), None).await;
        assert!(error.starts_with("Http"), "{sent:?}: {error}");
    }
}

#[tokio::test]
async fn a_request_that_is_given_up_closes_its_connection() {
    let (authority, mut server, endpoint) = serving(Behaviour::Stall(Vec::new())).await;
    let kms = direct(authority.roots()).kms(&endpoint);
    let asking = tokio::spawn(async move { kms.list_keys().send().await });
    server.requests.recv().await.unwrap();
    asking.abort();
    timeout(PATIENCE, server.closed.recv()).await.expect("the server notices").unwrap();
}

#[tokio::test]
async fn many_requests_at_once_are_all_answered() {
    let (authority, server, endpoint) = serving(Behaviour::Answer(answer(KEYS))).await;
    let kms = direct(authority.roots()).kms(&endpoint);
    let asked: Vec<_> = (0..50).map(|_| tokio::spawn(kms.list_keys().send())).collect();
    for answer in asked {
        assert_eq!(answer.await.unwrap().unwrap().keys().len(), 1);
    }
    assert_eq!(server.connections.load(std::sync::atomic::Ordering::SeqCst), 50);
}

#[tokio::test]
async fn plain_http_reaches_a_loopback_endpoint_and_nothing_else() {
    let mut server = Server::plain(Behaviour::Answer(answer(KEYS))).await;
    let endpoint = format!("http://127.0.0.1:{}", server.port);
    direct(Roots::WebPki).kms(&endpoint).list_keys().send().await.unwrap();
    assert!(server.requests.recv().await.unwrap().starts_with("POST / HTTP/1.1\r\n"));

    let error = direct(Roots::WebPki).kms("http://kms.example.com").list_keys().send().await.unwrap_err();
    assert!(matches!(ours(&error), Error::Plain { .. }), "{error:?}");

    let proxy = Proxy::start(server.port, "HTTP/1.1 200 OK\r\n\r\n").await;
    let error = Setup::new(proxy.egress.clone(), Roots::WebPki).kms(&endpoint).list_keys().send().await.unwrap_err();
    assert!(matches!(ours(&error), Error::Plain { .. }), "{error:?}");
    assert!(proxy.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_an_error_of_the_transport() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = format!("https://127.0.0.1:{port}");
    let error = direct(Roots::WebPki).kms(&endpoint).list_keys().send().await.unwrap_err();
    assert!(matches!(ours(&error), Error::Connect(_)), "{error:?}");
}

#[test]
fn roots_without_a_certificate_are_refused() {
    let of = |pem: &str| client(Egress::Direct, Roots::Pem(pem.to_owned())).unwrap_err();
    assert!(matches!(of(""), Error::NoRoots));
    assert!(matches!(of("no PEM at all"), Error::NoRoots));
    assert!(matches!(of("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"), Error::Pem(_)));
    assert!(matches!(of("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), Error::Tls(_)));
}
