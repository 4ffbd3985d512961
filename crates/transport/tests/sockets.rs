//! Listening and dialling on real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::time::Duration;

use cloister_transport::{Address, Error, Listener, Peer, connect_through, dial};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UnixListener};

const SOON: Duration = Duration::from_secs(5);

fn loopback() -> Address {
    "tcp://127.0.0.1:0".parse().unwrap()
}

fn unix(dir: &tempfile::TempDir, name: &str) -> Address {
    Address::Unix(dir.path().join(name))
}

async fn says_hello(address: &Address) {
    let listener = Listener::bind(address).await.unwrap();
    let target = listener.local_address().clone();
    let client = async {
        let mut stream = dial(&target, SOON).await.unwrap();
        stream.write_all(b"question").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut question = String::new();
        stream.read_to_string(&mut question).await.unwrap();
        stream.write_all(format!("{question}, answered").as_bytes()).await.unwrap();
    };
    assert_eq!(tokio::join!(client, server).0, "question, answered");
}

#[tokio::test]
async fn tcp_and_unix_listeners_are_dialled_and_a_half_close_leaves_the_way_back_open() {
    let dir = tempfile::tempdir().unwrap();
    says_hello(&loopback()).await;
    says_hello(&unix(&dir, "socket")).await;
}

#[tokio::test]
async fn a_name_is_resolved_and_its_addresses_are_tried_until_one_answers() {
    let listener = Listener::bind(&loopback()).await.unwrap();
    let Address::Tcp { port, .. } = *listener.local_address() else { panic!("another kind of address") };
    let stream = dial(&Address::Tcp { host: "localhost".into(), port }, SOON).await;
    assert!(stream.is_ok(), "{stream:?}");
    // Bound and closed again: nobody listens there.
    let refused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let addresses = [refused, format!("127.0.0.1:{port}").parse().unwrap()];
    assert!(cloister_transport::dial_tcp(&addresses, SOON).await.is_ok());
}

#[tokio::test]
async fn a_listener_knows_its_port_and_its_peer() {
    let listener = Listener::bind(&loopback()).await.unwrap();
    assert_ne!(listener.local_address(), &loopback());
    let _client = dial(listener.local_address(), SOON).await.unwrap();
    let (_, peer) = listener.accept().await.unwrap();
    assert!(matches!(peer, Peer::Tcp(address) if address.ip().is_loopback()), "{peer}");
}

#[tokio::test]
async fn nobody_listening_is_an_error_that_names_the_address() {
    let dir = tempfile::tempdir().unwrap();
    let address = unix(&dir, "nothing");
    let error = dial(&address, SOON).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[tokio::test]
async fn vsock_cannot_be_tried_here_and_its_error_says_what_was_asked_for() {
    // CID 1 is the loopback of vsock, which needs a kernel with VSOCKETS_LOOPBACK.
    let address: Address = "vsock://1:5000".parse().unwrap();
    match Listener::bind(&"vsock://any:5000".parse().unwrap()).await {
        Ok(listener) => assert_eq!(listener.local_address().to_string(), "vsock://any:5000"),
        Err(error) => {
            println!("skipped: listening on vsock, which this kernel does not have: {error}");
            assert!(error.to_string().contains("vsock://any:5000"), "{error}");
        }
    }
    if let Err(error) = dial(&address, Duration::from_millis(500)).await {
        println!("skipped: a vsock connection, as this kernel has no vsock loopback: {error}");
        assert!(error.to_string().contains("vsock://1:5000"), "{error}");
    }
}

#[tokio::test]
async fn a_socket_that_a_dead_process_left_is_replaced_and_removed_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let listener = Listener::bind(&unix(&dir, "socket")).await.unwrap();
    drop(listener);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_on_which_somebody_answers_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let first = Listener::bind(&unix(&dir, "socket")).await.unwrap();
    let second = Listener::bind(&unix(&dir, "socket")).await;
    assert!(matches!(second, Err(Error::InUse { .. })), "{second:?}");
    assert!(dial(first.local_address(), SOON).await.is_ok());
}

#[tokio::test]
async fn a_file_that_is_not_a_socket_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes");
    std::fs::write(&path, "keep me").unwrap();
    let error = Listener::bind(&Address::Unix(path.clone())).await.unwrap_err();
    assert!(matches!(error, Error::NotASocket { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "keep me");
}

#[tokio::test]
async fn a_hybrid_vsock_asks_for_the_port_and_reads_not_one_byte_of_the_guests() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vm.vsock");
    let monitor = UnixListener::bind(&path).unwrap();
    let server = async {
        let (mut stream, _) = monitor.accept().await.unwrap();
        let mut asked = vec![0; "CONNECT 5000\n".len()];
        stream.read_exact(&mut asked).await.unwrap();
        // The guest speaks first, and its bytes come with the monitor's own.
        stream.write_all(b"OK 1073741824\nguest").await.unwrap();
        asked
    };
    let address = Address::Hybrid { path, port: 5000 };
    let (stream, asked) = tokio::join!(dial(&address, SOON), server);
    assert_eq!(asked, b"CONNECT 5000\n");
    let mut said = String::new();
    stream.unwrap().read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "guest");
}

#[tokio::test]
async fn a_hybrid_vsock_that_does_not_confirm_is_refused() {
    for answer in ["", "OK \n", "OK x\n", "NO 1\n", "OK 5", "OK 11111111111111111111111111111111111111111111111\n"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vm.vsock");
        let monitor = UnixListener::bind(&path).unwrap();
        let server = async {
            let (stream, _) = monitor.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            stream.read_line(&mut String::new()).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let address = Address::Hybrid { path, port: 1 };
        let (stream, ()) = tokio::join!(dial(&address, SOON), server);
        assert!(matches!(stream, Err(Error::HybridRefused { .. })), "{answer:?}: {stream:?}");
    }
}

#[tokio::test]
async fn a_hybrid_listener_binds_the_socket_that_the_guest_arrives_at() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vm.vsock");
    let address = Address::Hybrid { path: path.clone(), port: 9001 };
    let listener = Listener::bind(&address).await.unwrap();
    assert_eq!(listener.local_address(), &address);
    let guest = Address::Unix(dir.path().join("vm.vsock_9001"));
    assert!(dial(&guest, SOON).await.is_ok());
}

#[tokio::test]
async fn a_monitor_that_says_nothing_is_not_waited_for_longer_than_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vm.vsock");
    let _monitor = UnixListener::bind(&path).unwrap();
    let error = dial(&Address::Hybrid { path, port: 1 }, Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
}

/// A proxy that answers one request with `answer`, and gives back the request.
async fn ask_a_proxy(answer: Vec<u8>) -> (Result<cloister_transport::Stream, Error>, String) {
    let proxy = Listener::bind(&loopback()).await.unwrap();
    let server = async {
        let (stream, _) = proxy.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            stream.read_line(&mut request).await.unwrap();
        }
        stream.write_all(&answer).await.ok();
        request
    };
    tokio::join!(connect_through(proxy.local_address(), "kms.example.org", 443, SOON), server)
}

#[tokio::test]
async fn a_tunnel_begins_right_after_the_proxys_head() {
    let (stream, request) =
        ask_a_proxy(b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 7\r\n\r\nhost says".to_vec()).await;
    assert_eq!(request, "CONNECT kms.example.org:443 HTTP/1.1\r\nHost: kms.example.org:443\r\n\r\n");
    let mut said = String::new();
    stream.unwrap().read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "host says");
}

#[tokio::test]
async fn a_proxys_refusal_carries_its_status_and_its_reason_without_control_characters() {
    let (stream, _) = ask_a_proxy(b"HTTP/1.1 403 Forbidden\r\n\r\nnot\x1b[2Jlisted\n".to_vec()).await;
    match stream.unwrap_err() {
        Error::ProxyRefused { status, reason, host, port, .. } => {
            assert_eq!((status, reason.as_str(), host.as_str(), port), (403, "not [2Jlisted", "kms.example.org", 443));
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_answer_that_is_not_http_or_never_ends_is_refused() {
    let endless = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'a'; 64 * 1024]].concat();
    for answer in [b"SSH-2.0-x\r\n\r\n".to_vec(), b"HTTP/1.1 200 OK\r\n".to_vec(), Vec::new(), endless] {
        let (stream, _) = ask_a_proxy(answer).await;
        assert!(matches!(stream, Err(Error::ProxyMalformed { .. })), "{stream:?}");
    }
}

#[tokio::test]
async fn a_host_with_a_line_break_never_reaches_the_proxy() {
    let error = connect_through(&loopback(), "a\r\nX: y", 443, SOON).await.unwrap_err();
    assert!(matches!(error, Error::InvalidAddress { .. }), "{error}");
}

#[test]
fn what_is_announced_replaces_what_was_there_and_leaves_no_other_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("address");
    for text in ["tcp://127.0.0.1:1", "tcp://127.0.0.1:2"] {
        cloister_transport::announce(&path, text).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    assert!(cloister_transport::announce(&dir.path().join("nowhere/address"), "").is_err());
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_a_timeout_and_leaves_time_for_the_next() {
    // A listener whose queue is full lets further connections wait without an answer.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let silent = socket.listen(0).unwrap();
    let address = silent.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = dial_within_a_moment(address).await {
        waiting.push(stream);
        assert!(waiting.len() < 100, "the queue never fills");
    }
    let name = Address::Tcp { host: address.ip().to_string(), port: address.port() };
    let error = dial(&name, Duration::from_millis(200)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    let answering = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addresses = [address, answering.local_addr().unwrap()];
    assert!(cloister_transport::dial_tcp(&addresses, Duration::from_millis(500)).await.is_ok());
}

async fn dial_within_a_moment(address: std::net::SocketAddr) -> std::io::Result<cloister_transport::Stream> {
    cloister_transport::dial_tcp(&[address], Duration::from_millis(200)).await
}
