//! The proxy between real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloister_proxy::{Allowlist, Error, Family, Limits, Mode, Proxy};
use cloister_transport::{Address, Listener, Stream, connect_through, dial};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tracing_subscriber::fmt::MakeWriter;

const SOON: Duration = Duration::from_secs(10);

async fn listen() -> (Listener, Address, u16) {
    let listener = Listener::bind(&"tcp://127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_address().clone();
    let Address::Tcp { port, .. } = address else { panic!("another kind of address") };
    (listener, address, port)
}

/// A host that reads to the end, then answers with what it read, in reverse.
async fn host() -> u16 {
    let (listener, _, port) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut said = Vec::new();
                stream.read_to_end(&mut said).await.unwrap();
                said.reverse();
                stream.write_all(&said).await.unwrap();
            });
        }
    });
    port
}

fn listing(hosts: &[(&str, u16)]) -> Allowlist {
    let lines: String = hosts.iter().map(|(host, port)| format!("- {{address: {host}, port: {port}}}\n")).collect();
    Allowlist::from_yaml(&format!("allowlist:\n{lines}")).unwrap()
}

async fn start(allowlist: Allowlist, mode: Mode, limits: Limits) -> Address {
    let (listener, address, _) = listen().await;
    let proxy = Proxy::new(allowlist, mode, Family::Any, limits).unwrap();
    tokio::spawn(proxy.serve(listener, std::future::pending()));
    address
}

async fn exchange(mut stream: Stream, question: &str) -> String {
    stream.write_all(question.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Sends raw bytes, and gives what comes back.
async fn raw(proxy: &Address, request: &str) -> String {
    let mut stream = dial(proxy, SOON).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(SOON, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn a_listed_host_is_reached_by_name_and_a_half_close_goes_through() {
    let port = host().await;
    let proxy = start(listing(&[("localhost", port)]), Mode::Connect, Limits::default()).await;
    for name in ["localhost", "LocalHost"] {
        let stream = connect_through(&proxy, name, port, SOON).await.unwrap();
        assert_eq!(exchange(stream, "stressed").await, "desserts");
    }
}

#[tokio::test]
async fn bytes_that_come_with_the_request_reach_the_host() {
    let port = host().await;
    let proxy = start(listing(&[("127.0.0.1", port)]), Mode::Connect, Limits::default()).await;
    let mut stream = dial(&proxy, SOON).await.unwrap();
    stream.write_all(format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\nearly").as_bytes()).await.unwrap();
    assert!(exchange(stream, "").await.ends_with("\r\n\r\nylrae"));
}

#[tokio::test]
async fn a_host_that_is_not_listed_is_refused_with_a_problem_that_names_it() {
    let port = host().await;
    let proxy = start(listing(&[("kms.us-east-1.amazonaws.com", 443)]), Mode::Connect, Limits::default()).await;
    match connect_through(&proxy, "127.0.0.1", port, SOON).await.unwrap_err() {
        cloister_transport::Error::ProxyRefused { status, reason, .. } => {
            assert_eq!(status, 403);
            let problem: serde_json::Value = serde_json::from_str(&reason).unwrap();
            assert_eq!(problem["type"], "urn:cloister:proxy:not-listed");
            assert_eq!(problem["detail"], format!("127.0.0.1:{port} is not on the allowlist"));
        }
        other => panic!("{other}"),
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_refusal_is_logged_with_its_reason_and_who_asked() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let proxy = start(listing(&[("kms.us-east-1.amazonaws.com", 443)]), Mode::Connect, Limits::default()).await;
    connect_through(&proxy, "evil.example.org", 443, SOON).await.unwrap_err();
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let line = text.lines().find(|line| line.contains("refused")).expect(&text);
    for part in ["WARN", "not-listed", "evil.example.org:443", "peer=tcp://127.0.0.1:"] {
        assert!(line.contains(part), "{line}");
    }
}

#[tokio::test]
async fn a_malformed_request_another_method_and_a_head_without_end_each_get_their_status() {
    let proxy = start(listing(&[("localhost", 1)]), Mode::Connect, Limits::default()).await;
    let long = format!("CONNECT a:1 HTTP/1.1\r\nX: {}", "x".repeat(20_000));
    for (request, status) in [
        ("CONNECT nowhere HTTP/1.1\r\n\r\n", "400 Bad Request"),
        ("hello\r\n\r\n", "400 Bad Request"),
        ("GET http://localhost:1/ HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
        (long.as_str(), "431 Request Header Fields Too Large"),
    ] {
        let answer = raw(&proxy, request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_stalls_in_its_request_is_cut() {
    let limits = Limits { head_timeout: Duration::from_millis(100), ..Limits::default() };
    let proxy = start(listing(&[("localhost", 1)]), Mode::Connect, limits).await;
    let answer = raw(&proxy, "CONNECT localh").await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn a_tunnel_that_stalls_is_cut() {
    let port = host().await;
    let mut limits = Limits::default();
    limits.relay.idle_timeout = Duration::from_millis(100);
    let proxy = start(listing(&[("127.0.0.1", port)]), Mode::Connect, limits).await;
    let mut stream = connect_through(&proxy, "127.0.0.1", port, SOON).await.unwrap();
    let ended = tokio::time::timeout(SOON, stream.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}

#[tokio::test]
async fn a_listed_name_that_leads_to_this_machine_is_refused_and_localhost_is_not() {
    let port = host().await;
    // Names to us, which the system's resolver reads as 127.0.0.1 without asking a server.
    for name in ["127.1", "2130706433", "0x7f000001"] {
        let proxy = start(listing(&[(&format!("'{name}'"), port)]), Mode::Connect, Limits::default()).await;
        match connect_through(&proxy, name, port, SOON).await.unwrap_err() {
            cloister_transport::Error::ProxyRefused { status, reason, .. } => {
                assert_eq!(status, 403);
                assert!(reason.contains("urn:cloister:proxy:inward-address"), "{reason}");
                assert!(reason.contains(&format!("{name} leads to 127.0.0.1")), "{reason}");
            }
            other => panic!("{other}"),
        }
    }
    for name in ["127.0.0.1", "localhost"] {
        let proxy = start(listing(&[(name, port)]), Mode::Connect, Limits::default()).await;
        let stream = connect_through(&proxy, name, port, SOON).await.unwrap();
        assert_eq!(exchange(stream, "desserts").await, "stressed");
    }
}

#[tokio::test]
async fn a_listed_host_that_cannot_be_reached_or_resolved_is_a_bad_gateway() {
    let (listener, _, closed) = listen().await;
    drop(listener);
    let name = "no-such-host.invalid";
    let proxy = start(listing(&[("127.0.0.1", closed), (name, 443)]), Mode::Connect, Limits::default()).await;
    for (host, port) in [("127.0.0.1", closed), (name, 443)] {
        let answer = raw(&proxy, &format!("CONNECT {host}:{port} HTTP/1.1\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        assert!(answer.contains(host), "{answer}");
    }
}

#[tokio::test]
async fn two_hundred_tunnels_at_once_all_get_their_own_answers() {
    let port = host().await;
    let mut limits = Limits::default();
    limits.serve.max_connections = 200;
    let proxy = start(listing(&[("localhost", port)]), Mode::Connect, limits).await;
    let barrier = Arc::new(tokio::sync::Barrier::new(200));
    let clients: Vec<_> = (0..200)
        .map(|number| {
            let (proxy, barrier) = (proxy.clone(), barrier.clone());
            tokio::spawn(async move {
                let stream = connect_through(&proxy, "localhost", port, SOON).await.unwrap();
                // All tunnels are open before the first of them speaks.
                barrier.wait().await;
                let answer = exchange(stream, &format!("{number:03}")).await;
                assert_eq!(answer.chars().rev().collect::<String>(), format!("{number:03}"));
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn past_its_workers_a_client_waits_for_its_turn() {
    let port = host().await;
    let mut limits = Limits::default();
    limits.serve.max_connections = 1;
    let proxy = start(listing(&[("127.0.0.1", port)]), Mode::Connect, limits).await;
    let first = connect_through(&proxy, "127.0.0.1", port, SOON).await.unwrap();
    let second = connect_through(&proxy, "127.0.0.1", port, Duration::from_millis(200)).await;
    assert!(matches!(second, Err(cloister_transport::Error::Timeout { .. })), "{second:?}");
    assert_eq!(exchange(first, "ab").await, "ba");
    assert!(connect_through(&proxy, "127.0.0.1", port, SOON).await.is_ok());
}

#[tokio::test]
async fn forwarding_takes_every_connection_to_the_one_host() {
    let port = host().await;
    let mode = Mode::Forward { host: "localhost".to_owned(), port };
    let proxy = start(listing(&[("localhost", port)]), mode, Limits::default()).await;
    assert_eq!(exchange(dial(&proxy, SOON).await.unwrap(), "live").await, "evil");
}

#[test]
fn forwarding_to_a_host_that_is_not_listed_does_not_start() {
    let mode = Mode::Forward { host: "localhost".to_owned(), port: 80 };
    let proxy = Proxy::new(listing(&[("localhost", 443)]), mode, Family::Any, Limits::default());
    assert!(matches!(proxy, Err(Error::NotListed { .. })));
}

#[tokio::test]
async fn a_family_that_the_host_does_not_have_is_an_error_that_says_so() {
    let port = host().await;
    let (listener, address, _) = listen().await;
    let proxy = Proxy::new(listing(&[("127.0.0.1", port)]), Mode::Connect, Family::V6, Limits::default()).unwrap();
    tokio::spawn(proxy.serve(listener, std::future::pending()));
    let answer = raw(&address, &format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n")).await;
    assert!(answer.contains("urn:cloister:proxy:address-family"), "{answer}");
}
