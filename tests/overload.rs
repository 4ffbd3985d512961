//! More than an enclave can do: it says so at once, and goes on with what it has.

use std::time::{Duration, Instant};

use cloister_imaging::View;
use cloister_tests::{EnclaveSetup, Front, Setup, World, image};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn narrow() -> Setup {
    Setup { enclave: EnclaveSetup { queue: 1, threads: 1, ..EnclaveSetup::default() }, ..Setup::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn past_a_full_queue_the_answer_is_503_with_retry_after_and_the_rest_is_served() {
    let world = World::ready(narrow()).await;
    let png = image(View::LCc, 1);
    // One at work, one waiting: of twelve at once, some must be refused, and none may be lost.
    let requests = (0..12).map(|_| {
        let (server, png) = (world.server.clone(), png.clone());
        tokio::spawn(async move { Front::connect(&server).await.post_image("view=L-CC&crops=32", png).await })
    });
    let mut served = 0;
    let mut refused = 0;
    for request in requests.collect::<Vec<_>>() {
        let answer = request.await.unwrap();
        match answer.status {
            200 => served += 1,
            503 => {
                assert_eq!(answer.problem(), "queue-full");
                assert!(answer.retry_after.is_some_and(|seconds| seconds.parse::<u64>().unwrap() > 0));
                refused += 1;
            }
            other => panic!("status {other}: {}", String::from_utf8_lossy(&answer.body)),
        }
    }
    assert!(served >= 1, "nothing was served");
    assert!(refused >= 1, "nothing was refused: {served} served");
    let after = Front::connect(&world.server).await.post_image("view=L-CC&crops=1", png).await;
    assert_eq!(after.status, 200, "places come back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stalls_in_its_body_is_let_go_and_holds_up_nobody() {
    let world = World::ready(narrow()).await;
    let mut stalled = Front::tls(&world.server).await;
    let head =
        "POST /v1/images?view=L-CC HTTP/1.1\r\nHost: enclave.invalid\r\nContent-Length: 100000\r\n\r\nfirst bytes";
    stalled.write_all(head.as_bytes()).await.unwrap();
    stalled.flush().await.unwrap();
    let other = Front::connect(&world.server).await.post_image("view=L-CC&crops=1", image(View::LCc, 1)).await;
    assert_eq!(other.status, 200, "another client is served meanwhile");

    let begun = Instant::now();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(30), stalled.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection was never closed");
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 408"), "{text}");
    assert!(text.contains("body-stalled"), "{text}");
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_say_nothing_do_not_keep_others_out() {
    let world = World::ready(Setup::default()).await;
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(cloister_transport::dial(&world.server, Duration::from_secs(5)).await.unwrap());
    }
    assert_eq!(Front::connect(&world.server).await.get("/readyz").await.status, 200);
}

/// What a server says before it closes, and how long that took.
async fn until_closed(stream: &mut (impl AsyncReadExt + Unpin), patience: Duration) -> (String, Duration) {
    let begun = Instant::now();
    let mut answer = Vec::new();
    // A reset ends a connection as well as a close does.
    let ended = tokio::time::timeout(patience, stream.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "the connection was never closed");
    (String::from_utf8_lossy(&answer).into_owned(), begun.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_multipart_body_whose_boundary_never_comes_is_refused_early() {
    let world = World::ready(narrow()).await;
    let mut endless = Front::tls(&world.server).await;
    let head = "POST /v1/exams HTTP/1.1\r\nHost: enclave.invalid\r\nContent-Type: multipart/form-data; boundary=b\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    endless.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b'-'; 0x1_0000], b"\r\n"].concat();
    for _ in 0..16 {
        endless.write_all(&chunk).await.unwrap();
    }
    endless.flush().await.unwrap();
    let (answer, _) = until_closed(&mut endless, Duration::from_secs(9)).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("body-broken") && answer.contains("no part"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_finish_tls_and_say_nothing_are_let_go() {
    let world = World::ready(Setup::default()).await;
    for protocol in ["http/1.1", "h2"] {
        let mut silent = Vec::new();
        for _ in 0..20 {
            silent.push(Front::tls_with(&world.server, protocol.as_bytes()).await);
        }
        for stream in &mut silent {
            until_closed(stream, Duration::from_secs(25)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_asks_first_and_is_refused_is_not_told_to_go_on() {
    let world = World::ready(Setup::default()).await;
    let mut asking = Front::tls(&world.server).await;
    let head = "POST /v1/images?view=L-CC HTTP/1.1\r\nHost: enclave.invalid\r\nExpect: 100-continue\r\n\
                Content-Length: 99999999\r\n\r\n";
    asking.write_all(head.as_bytes()).await.unwrap();
    asking.flush().await.unwrap();
    let (answer, took) = until_closed(&mut asking, Duration::from_secs(20)).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(took < Duration::from_secs(1), "it waited for a body that never comes: {took:?}");
}
