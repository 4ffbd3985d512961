//! The relay and the accept loop, over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cloister_transport::{
    Address, Error, Listener, Overflow, RelayLimits, Relayed, ServeLimits, Served, Stream, dial, relay, serve,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const SOON: Duration = Duration::from_secs(5);

async fn listen() -> (Listener, Address) {
    let listener = Listener::bind(&"tcp://127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_address().clone();
    (listener, address)
}

/// Two connected TCP streams.
async fn pair() -> (Stream, Stream) {
    let (listener, address) = listen().await;
    let (near, far) = tokio::join!(dial(&address, SOON), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// A client and a server with a relay between them.
async fn relayed(limits: RelayLimits) -> (Stream, Stream, JoinHandle<Result<Relayed, Error>>) {
    let (client, a) = pair().await;
    let (b, server) = pair().await;
    (client, server, tokio::spawn(async move { relay(a, b, &limits).await }))
}

#[tokio::test]
async fn a_half_close_is_carried_from_the_client_and_the_answer_still_arrives() {
    let (mut client, mut server, relay) = relayed(RelayLimits::default()).await;
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    let mut question = String::new();
    server.read_to_string(&mut question).await.unwrap();
    server.write_all(b"the answer").await.unwrap();
    server.shutdown().await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!((question.as_str(), answer.as_str()), ("question", "the answer"));
    assert_eq!(relay.await.unwrap().unwrap(), Relayed { a_to_b: 8, b_to_a: 10 });
}

#[tokio::test]
async fn a_half_close_is_carried_from_the_server_and_the_client_goes_on_sending() {
    let (mut client, mut server, relay) = relayed(RelayLimits::default()).await;
    server.shutdown().await.unwrap();
    assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
    client.write_all(b"still here").await.unwrap();
    client.shutdown().await.unwrap();
    let mut said = String::new();
    server.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "still here");
    assert_eq!(relay.await.unwrap().unwrap(), Relayed { a_to_b: 10, b_to_a: 0 });
}

#[tokio::test]
async fn a_client_that_stalls_is_cut() {
    let limits = RelayLimits { idle_timeout: Duration::from_millis(200), ..RelayLimits::default() };
    let (mut client, mut server, relay) = relayed(limits).await;
    client.write_all(b"half a requ").await.unwrap();
    let error = relay.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::RelayIdle { relayed: Relayed { a_to_b: 11, b_to_a: 0 }, .. }), "{error}");
    let mut said = Vec::new();
    server.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, b"half a requ");
}

#[tokio::test]
async fn a_client_that_never_reads_is_cut_though_the_server_has_more_to_say() {
    let limits = RelayLimits { idle_timeout: Duration::from_millis(200), buffer_bytes: 1024, ..RelayLimits::default() };
    let (_client, mut server, relay) = relayed(limits).await;
    let flood = tokio::spawn(async move {
        let block = vec![0; 64 * 1024];
        while server.write_all(&block).await.is_ok() {}
    });
    let error = tokio::time::timeout(SOON, relay).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, Error::RelayIdle { .. }), "{error}");
    tokio::time::timeout(SOON, flood).await.unwrap().unwrap();
}

fn short_half_close() -> RelayLimits {
    RelayLimits { half_close_timeout: Duration::from_millis(300), ..RelayLimits::default() }
}

#[tokio::test]
async fn a_client_that_stays_silent_after_the_server_hung_up_is_cut() {
    let (_client, server, relay) = relayed(short_half_close()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(server);
    let error = tokio::time::timeout(SOON, relay).await.unwrap().unwrap().unwrap_err();
    let Error::RelayIdle { after, .. } = error else { panic!("{error}") };
    assert_eq!(after, Duration::from_millis(300));
}

#[tokio::test]
async fn a_server_that_stays_silent_after_the_client_hung_up_is_cut() {
    let (client, _server, relay) = relayed(short_half_close()).await;
    drop(client);
    let error = tokio::time::timeout(SOON, relay).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, Error::RelayIdle { .. }), "{error}");
}

#[tokio::test]
async fn a_half_closed_connection_on_which_bytes_still_move_goes_on() {
    let (mut client, mut server, relay) = relayed(short_half_close()).await;
    client.shutdown().await.unwrap();
    for _ in 0..8 {
        server.write_all(b".").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    server.shutdown().await.unwrap();
    let mut said = String::new();
    client.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "........");
    assert!(relay.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_slow_trickle_is_not_idle() {
    let limits = RelayLimits { idle_timeout: Duration::from_millis(300), ..RelayLimits::default() };
    let (mut client, mut server, relay) = relayed(limits).await;
    for _ in 0..8 {
        client.write_all(b".").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    client.shutdown().await.unwrap();
    server.shutdown().await.unwrap();
    let mut said = String::new();
    server.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "........");
    assert!(relay.await.unwrap().is_ok());
}

#[tokio::test]
async fn many_megabytes_arrive_whole_and_in_order_in_both_directions_at_once() {
    const BYTES: usize = 8 << 20;
    let data: Arc<Vec<u8>> = Arc::new((0..BYTES).map(|i| (i % 251) as u8).collect());
    let (client, server, relay) = relayed(RelayLimits::default()).await;
    let start = Instant::now();
    let exchange = |stream: Stream, data: Arc<Vec<u8>>| async move {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let sent = async {
            writer.write_all(&data).await.unwrap();
            writer.shutdown().await.unwrap();
        };
        let mut got = Vec::new();
        let (read, ()) = tokio::join!(reader.read_to_end(&mut got), sent);
        read.unwrap();
        assert!(got == *data);
    };
    tokio::join!(exchange(client, data.clone()), exchange(server, data));
    println!("{} MiB each way in {:?}", BYTES >> 20, start.elapsed());
    assert_eq!(relay.await.unwrap().unwrap(), Relayed { a_to_b: BYTES as u64, b_to_a: BYTES as u64 });
}

/// An accept loop that greets, then echoes until the client ends.
struct Echo {
    address: Address,
    most: Arc<AtomicUsize>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Served>,
}

async fn echo(limits: ServeLimits) -> Echo {
    let (listener, address) = listen().await;
    let (stop, stopped) = oneshot::channel::<()>();
    let most = Arc::new(AtomicUsize::new(0));
    let (seen, now) = (most.clone(), Arc::new(AtomicUsize::new(0)));
    let handler = move |mut stream: Stream, _| {
        let (seen, now) = (seen.clone(), now.clone());
        async move {
            seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            stream.write_all(b"!").await.ok();
            let mut byte = [0];
            while matches!(stream.read(&mut byte).await, Ok(1)) {
                stream.write_all(&byte).await.ok();
            }
            now.fetch_sub(1, Ordering::SeqCst);
        }
    };
    let stopped = async move { drop(stopped.await) };
    let served = tokio::spawn(async move { serve(listener, &limits, stopped, handler).await });
    Echo { address, most, stop, served }
}

#[tokio::test]
async fn no_more_connections_than_the_limit_are_handled_at_once_and_the_others_get_their_turn() {
    let echo = echo(ServeLimits { max_connections: 3, ..ServeLimits::default() }).await;
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let address = echo.address.clone();
            tokio::spawn(async move {
                let mut stream = dial(&address, SOON).await.unwrap();
                assert_eq!(stream.read_u8().await.unwrap(), b'!');
                tokio::time::sleep(Duration::from_millis(10)).await;
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    echo.stop.send(()).unwrap();
    assert_eq!(echo.served.await.unwrap(), Served { handled: 20, refused: 0, cut: 0 });
    assert_eq!(echo.most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn past_the_limit_a_connection_is_closed_at_once_where_that_is_asked_for() {
    let limits = ServeLimits { max_connections: 1, overflow: Overflow::Close, ..ServeLimits::default() };
    let echo = echo(limits).await;
    let mut first = dial(&echo.address, SOON).await.unwrap();
    assert_eq!(first.read_u8().await.unwrap(), b'!');
    let mut second = dial(&echo.address, SOON).await.unwrap();
    assert!(second.read_u8().await.is_err());
    drop(first);
    echo.stop.send(()).unwrap();
    assert_eq!(echo.served.await.unwrap(), Served { handled: 1, refused: 1, cut: 0 });
}

#[tokio::test]
async fn a_shutdown_stops_listening_and_lets_connections_finish() {
    let echo = echo(ServeLimits::default()).await;
    let mut client = dial(&echo.address, SOON).await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'!');
    echo.stop.send(()).unwrap();
    let gone = async {
        while dial(&echo.address, SOON).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, gone).await.unwrap();
    client.write_all(b"x").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'x');
    drop(client);
    let served = echo.served.await.unwrap();
    assert_eq!(served.cut, 0);
}

#[tokio::test]
async fn a_connection_that_does_not_finish_is_cut_after_the_drain_time() {
    let limits = ServeLimits { drain_timeout: Duration::from_millis(100), ..ServeLimits::default() };
    let echo = echo(limits).await;
    let mut client = dial(&echo.address, SOON).await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'!');
    echo.stop.send(()).unwrap();
    assert_eq!(echo.served.await.unwrap().cut, 1);
    assert!(client.read_u8().await.is_err());
}
