//! An outdated model in the hands of a parent that keeps it: refused where the image says so, told apart by every client elsewhere.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use cloister_attest::{Error as Refusal, Policy};
use cloister_client::Error;
use cloister_tests::{EnclaveSetup, Setup, World, demo_package_of_version};
use tempfile::TempDir;

/// A world whose clients pin version 2, while its parent hands out version 1.
struct Outdated {
    world: World,
    old: PathBuf,
    new: PathBuf,
    /// Requests that the KMS had before the enclave was started.
    requests: u64,
    _folder: TempDir,
}

impl Outdated {
    /// The image takes versions from `minimum_version` on.
    async fn start(minimum_version: u32) -> Self {
        let folder = TempDir::new().unwrap();
        let [old, new] = [1, 2].map(|version| demo_package_of_version(folder.path(), version));
        let enclave = EnclaveSetup { minimum_version, ..EnclaveSetup::default() };
        let setup = Setup { enclave, package: Some(new.clone()), ..Setup::default() };
        let mut requests = 0;
        let world = World::start_with(setup, |world| {
            world.seal_instead(&old);
            requests = world.kms.requests();
        })
        .await;
        Self { world, old, new, requests, _folder: folder }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_sealed_file_is_refused_before_kms_is_asked_until_the_parent_gives_the_new_one() {
    let Outdated { world, new, requests, .. } = &Outdated::start(2).await;
    let reason = world.not_ready_because("has version 1").await;
    assert!(reason.contains("2 and later"), "{reason}");
    assert_eq!(world.kms.requests(), *requests, "KMS was asked");
    world.hand_out(new);
    drop(world.session().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_model_that_the_image_still_takes_is_refused_by_clients_that_pin_the_new_one() {
    let Outdated { world, old, new, .. } = &Outdated::start(1).await;
    let both = |until: Option<SystemTime>| {
        let mut accept = vec![world.measurement("version 1", old), world.measurement("version 2", new)];
        accept[0].until = until;
        Policy::new(world.root.clone(), Duration::from_secs(300), accept).unwrap()
    };
    // A roll-over: both are accepted, and the client learns which one answers.
    let session = world.session_with(&both(None)).await;
    assert_eq!(session.attested().label, "version 1");
    let refused = world.try_session(&world.policy).await.err().unwrap();
    assert!(matches!(refused, Error::NotVerified(Refusal::WrongPcr { index: 16, .. })), "{refused}");
    // Once the old one's time is over, it is as if it were not listed.
    let over = both(Some(SystemTime::now() - Duration::from_secs(1)));
    let refused = world.try_session(&over).await.err().unwrap();
    assert!(matches!(refused, Error::NotVerified(Refusal::NoLongerAccepted { .. })), "{refused}");
}
