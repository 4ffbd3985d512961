//! What a relay does when one side does not read, or breaks off: how much it holds, and how soon the other side learns of it.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cloister_transport::{Error, RelayLimits, Relayed, Stream, relay};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(5);

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// A client and a server over TCP with a relay between them that would wait for long.
async fn relayed() -> (TcpStream, TcpStream, JoinHandle<Result<Relayed, Error>>) {
    let (client, a) = pair().await;
    let (b, server) = pair().await;
    let relay = tokio::spawn(async move {
        let limits = RelayLimits { idle_timeout: Duration::from_secs(600), ..RelayLimits::default() };
        relay(Stream::from(a), Stream::from(b), &limits).await
    });
    (client, server, relay)
}

/// Closes with a reset in place of an end.
fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
}

/// The bytes that go in until the writer has to wait.
async fn filled(stream: &mut DuplexStream) -> usize {
    let mut written = 0;
    while let Ok(result) = timeout(Duration::from_millis(200), stream.write(&[7; 1000])).await {
        written += result.unwrap();
    }
    written
}

#[tokio::test]
async fn a_reader_that_does_not_read_makes_the_writer_wait_and_the_relay_holds_one_buffer() {
    const PIPE: usize = 4096;
    const BUFFER: usize = 10_000;
    // In memory, so that no buffer of the system's blurs the count.
    let (mut client, a) = duplex(PIPE);
    let (b, mut server) = duplex(PIPE);
    let relay = tokio::spawn(async move {
        let limits = RelayLimits { buffer_bytes: BUFFER, ..RelayLimits::default() };
        relay(a, b, &limits).await
    });
    let written = filled(&mut client).await;
    assert!((2 * PIPE..=2 * PIPE + BUFFER).contains(&written), "{written}");
    // Reading makes room for exactly as much again, and nothing is lost.
    let mut read = vec![0; written];
    server.read_exact(&mut read).await.unwrap();
    assert!(read.iter().all(|&byte| byte == 7));
    assert!(filled(&mut client).await > PIPE);
    drop((client, server));
    timeout(SOON, relay).await.expect("the relay ends with both its sides").unwrap().ok();
}

#[tokio::test]
async fn a_direction_that_is_stuck_does_not_hold_up_the_other() {
    let (mut client, mut server, _relay) = relayed().await;
    // The server never reads; the client writes until it has to wait.
    while timeout(Duration::from_millis(100), client.write_all(&[0; 64 * 1024])).await.is_ok() {}
    server.write_all(b"listen").await.unwrap();
    let mut said = [0; 6];
    timeout(SOON, client.read_exact(&mut said)).await.expect("the way back is open").unwrap();
    assert_eq!(&said, b"listen");
}

#[tokio::test]
async fn a_reset_on_either_side_ends_the_other_promptly() {
    for from_client in [true, false] {
        let (mut client, mut server, relay) = relayed().await;
        client.write_all(b"hello").await.unwrap();
        server.read_exact(&mut [0; 5]).await.unwrap();
        let begun = Instant::now();
        let (broken, mut left) = if from_client { (client, server) } else { (server, client) };
        reset(broken);
        let ended = timeout(SOON, left.read(&mut [0; 8])).await.expect("the other side learns of it");
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
        let error = timeout(SOON, relay).await.unwrap().unwrap().unwrap_err();
        assert!(matches!(error, Error::RelayBroken { relayed: Relayed { a_to_b: 5, b_to_a: 0 }, .. }), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_reset_reaches_a_side_that_goes_on_sending() {
    let (client, mut server, relay) = relayed().await;
    let sending = tokio::spawn(async move { while server.write_all(&[0; 16 * 1024]).await.is_ok() {} });
    tokio::time::sleep(Duration::from_millis(50)).await;
    reset(client);
    timeout(SOON, sending).await.expect("the sender is told").unwrap();
    let error = timeout(SOON, relay).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, Error::RelayBroken { .. }), "{error}");
}

#[tokio::test]
async fn a_relay_that_is_dropped_ends_both_sides() {
    let (mut client, mut server, relay) = relayed().await;
    client.write_all(b"hello").await.unwrap();
    server.read_exact(&mut [0; 5]).await.unwrap();
    relay.abort();
    for side in [&mut client, &mut server] {
        let ended = timeout(SOON, side.read(&mut [0; 8])).await.expect("the side learns of it");
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    }
}
