//! What is not verified is sent nothing; what breaks is gone around.

use std::time::Duration;

use cloister_attest::Policy;
use cloister_imaging::View;
use cloister_tests::{Flaky, Gateway, Setup, World, image, impostor, pcr, related};
use serde_json::Value;

use crate::dicomweb::instances;

fn check<'a>(enclave: &'a Value, id: &str) -> &'a Value {
    enclave["checks"].as_array().unwrap().iter().find(|check| check["id"] == id).unwrap()
}

async fn until_state(gateway: &Gateway, index: usize, state: &str) -> Value {
    let client = gateway.client();
    let end = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let enclave = client.get("/api/v1/enclaves").await.json()["enclaves"][index].clone();
        if enclave["state"] == state {
            return enclave;
        }
        assert!(std::time::Instant::now() < end, "{enclave:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_of_another_image_turns_red_and_is_sent_nothing() {
    let world = World::ready(Setup { overheard: true, ..Setup::default() }).await;
    let mut other = world.policy.accept()[0].clone();
    other.pcrs.insert(0, pcr(9));
    let policy = Policy::new(world.root.clone(), world.policy.max_age(), vec![other]).unwrap();
    let folder = world.folder().join("gateway");
    let path = world.folder().join("other.toml");
    std::fs::write(&path, policy.to_toml()).unwrap();
    let gateway = Gateway::start(&folder, &[&world.server], &path, "");
    let client = gateway.client();
    let enclave = until_state(&gateway, 0, "refused").await;
    let measurements = check(&enclave, "measurements");
    assert_eq!(measurements["outcome"], "failed");
    assert_eq!(measurements["expected"], format!("PCR0 {}", hex::encode(pcr(9))));
    assert_eq!(measurements["found"], format!("PCR0 {}", hex::encode(pcr(0))));
    assert_eq!(check(&enclave, "certificates")["outcome"], "passed");
    assert_eq!(check(&enclave, "model")["outcome"], "not-reached");

    let picture = image(View::LCc, 1);
    let refused = client.send_exam("?missing=allow", &[("L-CC", &picture)]).await;
    assert_eq!((refused.status, refused.problem().as_str()), (409, "not-verified"));
    assert_eq!(refused.json()["enclaves"][0]["state"], "refused");
    assert_eq!(client.get("/readyz").await.status, 503);

    // What a PACS sends waits, and the enclave sees none of it however often it is asked for proof.
    let study = instances(3);
    let (kind, body) = related(&study);
    assert_eq!(client.ask("POST", "/dicomweb/studies", &kind, body).await.status, 200);
    let waiting = client.until_listed("received", 1).await;
    assert_eq!(waiting[0]["position"], 1);
    for _ in 0..3 {
        let all = client.ask("POST", "/api/v1/enclaves/check", "text/plain", "").await.json();
        assert_eq!(all["can_send"], false);
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(client.until_listed("received", 1).await.len(), 1);
    let carried = world.overheard[0].from_clients().len();
    // Handshakes and documents of some kilobytes each; one image alone has more than a megabyte.
    assert!(carried < study[0].len() / 2, "{carried} of {}", study[0].len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impostor_is_asked_for_proof_and_for_nothing_else() {
    let world = World::start(Setup::default()).await;
    let (address, loot) = impostor(|_| async { b"no document".to_vec() }).await;
    let folder = world.folder().join("gateway");
    let gateway = Gateway::start(&folder, &[&address], &world.policy_file(), "");
    let client = gateway.client();
    let enclave = until_state(&gateway, 0, "refused").await;
    assert_eq!(check(&enclave, "shape")["outcome"], "failed");
    let (kind, body) = related(&instances(4));
    assert_eq!(client.ask("POST", "/dicomweb/studies", &kind, body).await.status, 200);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(client.until_listed("received", 1).await.len(), 1);
    assert_eq!((loot.images(), loot.tokens()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn exams_go_around_an_enclave_that_is_gone_and_a_connection_that_breaks() {
    let world = World::ready(Setup::default()).await;
    let local = "tcp://127.0.0.1:0".parse().unwrap();
    // Every third stream is cut in the middle: checks, and exams.
    let flaky = Flaky::start(&local, world.server.clone(), 3).await;
    let dead = "tcp://127.0.0.1:1".parse().unwrap();
    let folder = world.folder().join("gateway");
    let gateway = Gateway::start(&folder, &[&dead, &flaky.address], &world.policy_file(), "");
    let client = gateway.client();
    let gone = until_state(&gateway, 0, "unreachable").await;
    assert_eq!(check(&gone, "connection")["outcome"], "failed");
    gateway.ready().await;
    let pictures = View::ALL.map(|view| (view, image(view, 2)));
    let mut ids = Vec::new();
    for _ in 0..4 {
        let mut sent = client.send_views("", &pictures).await;
        while sent.status == 409 {
            // A check was cut.
            gateway.ready().await;
            sent = client.send_views("", &pictures).await;
        }
        assert_eq!(sent.status, 201);
        ids.push(sent.json()["id"].as_str().unwrap().to_owned());
    }
    for id in &ids {
        let exam = client.until(id, &["answered", "failed", "abstained"]).await;
        assert_eq!(exam["state"], "answered", "{exam:#}");
        assert_eq!(exam["enclave"]["name"], flaky.address.to_string());
    }
}
