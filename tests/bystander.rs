//! What the parent can see: everything that passes through it, and none of it in clear.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cloister_client::{Options, connect};
use cloister_imaging::View;
use cloister_tests::{Setup, World, image};
use cloister_transport::{Address, Listener, dial};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;

/// A relay in front of the relay, which keeps every byte that it sees.
async fn eavesdropper(server: Address) -> (Address, Arc<Mutex<Vec<u8>>>) {
    let listener = Listener::bind(&"tcp://127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_address().clone();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&kept);
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let server = dial(&server, Duration::from_secs(5)).await.unwrap();
        let (mut client_reads, mut client_writes) = tokio::io::split(client);
        let (mut server_reads, mut server_writes) = tokio::io::split(server);
        let mut from_client = [0; 4096];
        let mut from_server = [0; 4096];
        loop {
            tokio::select! {
                read = client_reads.read(&mut from_client) => {
                    let Ok(length @ 1..) = read else { break };
                    seen.lock().await.extend_from_slice(&from_client[..length]);
                    server_writes.write_all(&from_client[..length]).await.unwrap();
                }
                read = server_reads.read(&mut from_server) => {
                    let Ok(length @ 1..) = read else { break };
                    seen.lock().await.extend_from_slice(&from_server[..length]);
                    client_writes.write_all(&from_server[..length]).await.unwrap();
                }
            }
        }
    });
    (address, kept)
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_image_nor_scores_nor_model_pass_the_parent_in_clear() {
    let world = World::ready(Setup::default()).await;
    let (server, kept) = eavesdropper(world.server.clone()).await;
    let png = image(View::LCc, 8);
    let mut session =
        connect(&server, Options::default()).await.unwrap().verify(&world.policy, SystemTime::now()).await.unwrap();
    let answer = session.classify(png.clone(), View::LCc, Some(1), None).await.unwrap();
    drop(session);
    let kept = kept.lock().await;
    assert!(kept.len() > png.len(), "the eavesdropper saw the whole exchange");
    for (what, part) in [
        ("the image", &png[png.len() / 2..png.len() / 2 + 16]),
        ("the PNG's head", b"\x89PNG".as_slice()),
        ("the answer", b"malignant".as_slice()),
        ("the path", b"/v1/images".as_slice()),
        ("the view", answer.view.as_str().as_bytes()),
    ] {
        assert!(!holds(&kept, part), "{what} passed in clear");
    }

    let sealed = std::fs::read(&world.sealed).unwrap();
    let package = cloister_model::Package::open(&world.package).unwrap();
    for (name, bytes) in package.files() {
        let sample = &bytes[bytes.len() / 2..bytes.len() / 2 + 16];
        assert!(!holds(&sealed, sample), "{name} rests in clear");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_process_writes_secrets_or_scores_into_its_log() {
    let world = World::ready(Setup::default()).await;
    let mut session = world.session().await;
    let answer = session.classify(image(View::LCc, 8), View::LCc, Some(1), None).await.unwrap();
    let score = answer.scores["malignant"].to_string();
    for (name, words) in
        [("enclave", world.enclave.process.words()), ("parent", world.parent.words()), ("proxy", world.proxy.words())]
    {
        for secret in ["simulated-secret-of-the-parent", "simulated-session-token-of-the-parent", score.as_str()] {
            assert!(!words.contains(secret), "{name} wrote {secret:?}:\n{words}");
        }
    }
}
