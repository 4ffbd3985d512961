//! How an enclave earns its key, and every way in which it must not.

use std::fs;
use std::path::Path;

use cloister_sim::kms::{Fault, Running};
use cloister_tests::{EnclaveSetup, Setup, World, pcr};

async fn with(setup: Setup, spoil: impl FnOnce(&Path, &Running)) -> World {
    World::start_with(setup, spoil).await
}

async fn with_fault(fault: Fault) -> World {
    with(Setup::default(), |_, kms| kms.inject(fault)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_the_key_policy_does_not_name_gets_no_key_until_the_policy_is_mended() {
    let world = World::start(Setup { key_opens_for: Some(pcr(9)), ..Setup::default() }).await;
    let reason = world.not_ready_because("not released").await;
    // The person who must mend the policy reads which measurement was refused.
    assert!(reason.contains(&hex::encode(pcr(0))), "{reason}");
    assert!(world.parent.words().contains("not released"), "the parent shows the event: {}", world.parent.words());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plaintext_in_the_answer_stops_the_release() {
    for fault in [Fault::PlaintextBesideCiphertext, Fault::PlaintextInstead] {
        let world = with_fault(fault.clone()).await;
        let reason = world.not_ready_because("in the clear").await;
        assert!(reason.contains("not released"), "{fault:?}: {reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_another_key_stops_the_release() {
    let other = "arn:aws:kms:us-east-1:111122223333:key/00000000-0000-4000-8000-000000000000";
    let world = with_fault(Fault::OtherKeyId(other.to_owned())).await;
    let reason = world.not_ready_because("not released").await;
    assert!(reason.contains(other), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_algorithm_an_empty_answer_and_garbage_stop_the_release() {
    for fault in [Fault::OtherAlgorithm, Fault::NothingForRecipient, Fault::GarbageCms, Fault::ShortDataKey(16)] {
        let world = with_fault(fault.clone()).await;
        let reason = world.not_ready_because("not released").await;
        assert!(!reason.is_empty(), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_data_key_does_not_open_the_model() {
    let world = with_fault(Fault::OtherDataKey).await;
    world.not_ready_because("sealed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrapped_key_substituted_in_the_sealed_file_is_refused() {
    // A second file, sealed under the same key and context: its wrapped key is genuine, but not this file's.
    let world = with(Setup::default(), |sealed, _| {
        let mut bytes = fs::read(sealed).unwrap();
        // Somewhere in the wrapped key, which follows its name in the header.
        let name = find(&bytes, b"wrapped_key").expect("the header names it");
        bytes[name + b"wrapped_key".len() + 40] ^= 1;
        fs::write(sealed, bytes).unwrap();
    })
    .await;
    world.not_ready_because("not released").await;
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_file_that_is_cut_or_changed_is_refused() {
    let world = with(Setup::default(), |sealed, _| {
        let bytes = fs::read(sealed).unwrap();
        fs::write(sealed, &bytes[..bytes.len() - 1]).unwrap();
    })
    .await;
    world.not_ready_because("sealed").await;

    let world = with(Setup::default(), |sealed, _| {
        let mut bytes = fs::read(sealed).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(sealed, bytes).unwrap();
    })
    .await;
    world.not_ready_because("sealed").await;

    let world = with(Setup::default(), |sealed, _| fs::write(sealed, b"not a sealed file").unwrap()).await;
    world.not_ready_because("sealed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_model_an_older_version_and_an_unpinned_key_are_refused_before_kms_is_asked() {
    let other_key = "arn:aws:kms:us-east-1:111122223333:key/00000000-0000-4000-8000-000000000000";
    for (setup, words) in [
        (EnclaveSetup { model: "another".to_owned(), ..EnclaveSetup::default() }, "is named"),
        (EnclaveSetup { minimum_version: 2, ..EnclaveSetup::default() }, "version"),
        (EnclaveSetup { key_arns: vec![other_key.to_owned()], ..EnclaveSetup::default() }, "not among the keys"),
    ] {
        let mut before = 0;
        let world = with(Setup { enclave: setup, ..Setup::default() }, |_, kms| before = kms.requests()).await;
        world.not_ready_because(words).await;
        assert_eq!(world.kms.requests(), before, "KMS was asked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kms_that_the_proxy_does_not_list_is_out_of_reach_and_the_proxy_says_so() {
    let world = World::start(Setup { kms_not_listed: true, ..Setup::default() }).await;
    world.not_ready_because("not released").await;
    assert!(world.proxy.words().contains("localhost"), "{}", world.proxy.words());
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_credentials_are_asked_for_again_and_a_throttled_kms_is_waited_for() {
    for fault in [Fault::ExpiredToken, Fault::Throttle, Fault::InternalError] {
        let world = with(Setup::default(), |_, kms| kms.inject_times(fault, 2)).await;
        drop(world.session().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_enclave_ends_in_order_when_asked() {
    let mut world = World::ready(Setup::default()).await;
    assert_eq!(world.enclave.process.terminate(), Some(0));
    assert_eq!(world.parent.terminate(), Some(0));
    assert_eq!(world.proxy.terminate(), Some(0));
}
