//! How an enclave earns its key, and every way in which it must not.

use std::fs;

use cloister_sim::kms::Fault;
use cloister_tests::{EnclaveSetup, Setup, Spoil, World, pcr};

async fn spoilt(spoil: impl FnOnce(&Spoil<'_>)) -> World {
    World::start_with(Setup::default(), spoil).await
}

async fn with_fault(fault: Fault) -> World {
    spoilt(|world| world.kms.inject(fault)).await
}

/// The sealed file with some of its bytes changed.
async fn with_file(change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> World {
    spoilt(|world| fs::write(world.sealed, change(fs::read(world.sealed).unwrap())).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_the_key_policy_does_not_name_gets_no_key_until_the_policy_is_mended() {
    let mut world = World::start(Setup { key_opens_for: Some(pcr(9)), ..Setup::default() }).await;
    let reason = world.not_ready_because("not released").await;
    // The person who must mend the policy reads which measurement was refused.
    assert!(reason.contains(&hex::encode(pcr(0))), "{reason}");
    world.parent.until("the enclave's event", |words| words.contains("not released").then_some(()));
    world.open_key_for(&pcr(0));
    drop(world.session().await);
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
    // The pinned key is named, as the measured configuration names it; what the stranger said is not said again.
    assert!(reason.contains("another key than the pinned") && reason.contains(&world.key_arn), "{reason}");
    assert!(!reason.contains(other), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_algorithm_an_empty_answer_and_garbage_stop_the_release() {
    for (fault, words) in [
        (Fault::OtherAlgorithm, "instead of SYMMETRIC_DEFAULT"),
        (Fault::NothingForRecipient, "carried nothing for this enclave"),
        (Fault::GarbageCms, "does not open"),
        (Fault::ShortDataKey(16), "16 bytes long"),
    ] {
        let reason = with_fault(fault).await.not_ready_because(words).await;
        assert!(reason.contains("not released"), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_data_key_does_not_open_the_model() {
    with_fault(Fault::OtherDataKey).await.not_ready_because("not authentic").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrapped_key_substituted_in_the_sealed_file_is_refused() {
    // The same package sealed again: KMS opens that file's wrapped key under this file's key and context, and only the seal notices.
    let world = spoilt(|world| {
        let mut bytes = fs::read(world.sealed).unwrap();
        let other = fs::read(world.sealed_again()).unwrap();
        let wrapped = wrapped_key(&bytes);
        assert_eq!(wrapped, wrapped_key(&other));
        assert_ne!(bytes[wrapped.clone()], other[wrapped.clone()]);
        bytes[wrapped.clone()].copy_from_slice(&other[wrapped]);
        fs::write(world.sealed, bytes).unwrap();
    })
    .await;
    world.not_ready_because("not authentic").await;

    let world = with_file(|mut bytes| {
        let wrapped = wrapped_key(&bytes);
        bytes[wrapped.end - 1] ^= 1;
        bytes
    })
    .await;
    world.not_ready_because("not released").await;
}

/// Where the wrapped key stands: it is the last member of the header, whose length is given in the file's first bytes.
fn wrapped_key(sealed: &[u8]) -> std::ops::Range<usize> {
    const NAME: &[u8] = b"wrapped_key";
    const FIXED: usize = 13;
    let header = u32::from_be_bytes(sealed[9..FIXED].try_into().unwrap()) as usize;
    let name = sealed.windows(NAME.len()).position(|window| window == NAME).expect("the header names it");
    name + NAME.len()..FIXED + header
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_file_that_is_cut_or_changed_is_refused() {
    let world = with_file(|bytes| bytes[..bytes.len() - 1].to_vec()).await;
    world.not_ready_because("not authentic").await;
    let world = with_file(|bytes| bytes[..20].to_vec()).await;
    world.not_ready_because("cut short").await;
    let world = with_file(|mut bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        bytes
    })
    .await;
    world.not_ready_because("not authentic").await;
    let world = with_file(|_| b"neither magic nor header".to_vec()).await;
    world.not_ready_because("not a sealed file").await;
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
        let setup = Setup { enclave: setup, ..Setup::default() };
        let world = World::start_with(setup, |world| before = world.kms.requests()).await;
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
        let world = spoilt(|world| world.kms.inject_times(fault, 2)).await;
        drop(world.session().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_that_died_is_replaced_and_clients_verify_the_new_one() {
    let mut world = World::ready(Setup::default()).await;
    let before = world.session().await.attested().tls_public_key.clone();
    world.restart(&EnclaveSetup::default());
    let after = world.session().await.attested().tls_public_key.clone();
    assert_ne!(before, after, "each enclave has a key of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_enclave_ends_in_order_when_asked() {
    let mut world = World::ready(Setup::default()).await;
    assert_eq!(world.enclave.process.terminate(), Some(0));
    assert_eq!(world.parent.terminate(), Some(0));
    assert_eq!(world.proxy.terminate(), Some(0));
}
