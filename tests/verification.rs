//! What a client refuses before it sends a byte of an image: each lie is told by a real process on a real socket.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cloister_attest::{Error as Refusal, Policy, Root};
use cloister_client::{Error, Options, connect};
use cloister_nsm::{AttestRequest, Nsm};
use cloister_sim::nsm::{Authority, Simulated, SimulatedNsm};
use cloister_tests::{EnclaveSetup, Front, Setup, World, impostor, pcr, run};
use cloister_transport::Address;

async fn refusal(server: &Address, policy: &Policy, at: SystemTime) -> Refusal {
    match connect(server, Options::default()).await.unwrap().verify(policy, at).await {
        Ok(_) => panic!("the client took a lie"),
        Err(Error::NotVerified(refusal)) => refusal,
        Err(other) => panic!("the client failed otherwise: {other}"),
    }
}

fn repinned(policy: &Policy, change: impl FnOnce(&mut Vec<cloister_attest::Measurement>)) -> Policy {
    let mut accept = policy.accept().to_vec();
    change(&mut accept);
    Policy::new(policy.root().clone(), policy.max_age(), accept).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_that_is_not_what_the_policy_pins_is_refused() {
    let world = World::ready(Setup::default()).await;
    let now = SystemTime::now();

    let wrong = repinned(&world.policy, |accept| accept[0].pcrs.extend([(0, pcr(9))]));
    let refused = refusal(&world.server, &wrong, now).await;
    assert!(matches!(refused, Refusal::WrongPcr { index: 0, .. }), "{refused}");

    let other_model = repinned(&world.policy, |accept| accept[0].pcrs.extend([(16, pcr(9))]));
    let refused = refusal(&world.server, &other_model, now).await;
    assert!(matches!(refused, Refusal::WrongPcr { index: 16, .. }), "{refused}");

    let other_configuration = repinned(&world.policy, |accept| accept[0].pcrs.extend([(17, pcr(9))]));
    let refused = refusal(&world.server, &other_configuration, now).await;
    assert!(matches!(refused, Refusal::WrongPcr { index: 17, .. }), "{refused}");

    let never_measured = repinned(&world.policy, |accept| accept[0].pcrs.extend([(18, pcr(9))]));
    let refused = refusal(&world.server, &never_measured, now).await;
    assert!(matches!(refused, Refusal::MissingPcr { index: 18 }), "{refused}");

    let ended = repinned(&world.policy, |accept| accept[0].until = Some(now - Duration::from_secs(1)));
    let refused = refusal(&world.server, &ended, now).await;
    assert!(matches!(refused, Refusal::NoLongerAccepted { .. }), "{refused}");

    let amazon = Policy::new(Root::amazon(), world.policy.max_age(), world.policy.accept().to_vec()).unwrap();
    let refused = refusal(&world.server, &amazon, now).await;
    assert!(matches!(refused, Refusal::UnpinnedRoot { .. }), "{refused}");

    // A client whose clock is an hour ahead sees a document an hour old; one behind sees one from the future.
    let refused = refusal(&world.server, &world.policy, now + Duration::from_secs(3600)).await;
    assert!(matches!(refused, Refusal::StaleDocument { .. }), "{refused}");
    let refused = refusal(&world.server, &world.policy, now - Duration::from_secs(3600)).await;
    assert!(matches!(refused, Refusal::FromTheFuture { .. } | Refusal::NotYetValid { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_in_debug_mode_gets_no_key_and_no_image() {
    // KMS compares PCR0 with the condition, and a debug enclave's is zero: it never becomes ready.
    let setup = Setup { enclave: EnclaveSetup { debug: true, ..EnclaveSetup::default() }, ..Setup::default() };
    let world = World::start(setup).await;
    world.not_ready_because("not released").await;

    // Were it to get a key all the same, its documents are refused by every client.
    let debugged =
        Arc::new(SimulatedNsm::new(&world.authority(), Simulated { debug: true, ..Simulated::default() }).unwrap());
    let (server, loot) = impostor(move |path| {
        let request = AttestRequest { nonce: Some(nonce_of(&path)), ..AttestRequest::default() };
        let document = debugged.attest(&request).unwrap();
        async move { document }
    })
    .await;
    let refused = refusal(&server, &world.policy, SystemTime::now()).await;
    assert!(matches!(refused, Refusal::DebugMode { index: 0 }), "{refused}");
    assert_eq!(loot.images(), 0);
}

fn nonce_of(path: &str) -> Vec<u8> {
    hex::decode(path.split_once("nonce=").unwrap().1).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_relayed_from_a_true_enclave_onto_another_connection_is_refused() {
    let world = World::ready(Setup::default()).await;
    let enclave = world.server.clone();
    let (server, loot) = impostor(move |path| {
        let enclave = enclave.clone();
        // The client's own nonce, so that everything but the key is right.
        async move { Front::connect(&enclave).await.get(&path).await.body }
    })
    .await;
    let refused = refusal(&server, &world.policy, SystemTime::now()).await;
    assert_eq!(refused, Refusal::BindingMismatch);

    // The same from the command line: exit code 77, and no image sent.
    let image = world.folder().join("image.png");
    std::fs::write(&image, cloister_tests::image(cloister_imaging::View::LCc, 1)).unwrap();
    let mut command = std::process::Command::new(cloister_tests::binary("cloister"));
    command.args(["classify", "--server", &server.to_string(), "--view", "L-CC"]);
    command.arg("--policy").arg(world.policy_file()).arg("--image").arg(&image);
    let output = run(&mut command);
    assert_eq!(output.code, 77, "{output:?}");
    assert!(output.stderr.contains("nothing was sent"), "{output:?}");
    assert_eq!(loot.images(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_replayed_from_another_request_is_refused() {
    let world = World::ready(Setup::default()).await;
    let recorded =
        Front::connect(&world.server).await.get(&format!("/v1/attestation?nonce={}", "ab".repeat(32))).await.body;
    let (server, loot) = impostor(move |_| {
        let recorded = recorded.clone();
        async move { recorded }
    })
    .await;
    let refused = refusal(&server, &world.policy, SystemTime::now()).await;
    assert_eq!(refused, Refusal::NonceMismatch);
    assert_eq!(loot.images(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_under_a_root_of_ones_own_is_refused() {
    let world = World::ready(Setup::default()).await;
    let own = Authority::ephemeral().unwrap();
    let pcrs = world.policy.accept()[0].pcrs.clone();
    let forged = Arc::new(SimulatedNsm::new(&own, Simulated { pcrs, ..Simulated::default() }).unwrap());
    let (server, loot) = impostor(move |path| {
        let document =
            forged.attest(&AttestRequest { nonce: Some(nonce_of(&path)), ..AttestRequest::default() }).unwrap();
        async move { document }
    })
    .await;
    let refused = refusal(&server, &world.policy, SystemTime::now()).await;
    assert!(matches!(refused, Refusal::UnpinnedRoot { .. }), "{refused}");
    assert_eq!(loot.images(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impostor_that_answers_with_anything_else_than_a_document_is_refused() {
    let world = World::ready(Setup::default()).await;
    for body in [Vec::new(), b"<html>".to_vec(), vec![0x84; 4096], vec![0; 1 << 20]] {
        let (server, _) = impostor(move |_| {
            let body = body.clone();
            async move { body }
        })
        .await;
        let outcome =
            connect(&server, Options::default()).await.unwrap().verify(&world.policy, SystemTime::now()).await;
        let refused = outcome.err().expect("nonsense proves nothing");
        assert!(matches!(refused, Error::NotVerified(_) | Error::TooLarge { .. }), "{refused}");
    }
}
