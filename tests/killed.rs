//! A process that is killed in the middle of a request: the client hears of it soon, by a typed error, and the next enclave serves.

use std::time::{Duration, Instant};

use cloister_client::Error;
use cloister_imaging::View;
use cloister_tests::{EnclaveSetup, Setup, World, image};

/// Long enough for the request to be on its way.
const ON_ITS_WAY: Duration = Duration::from_millis(300);

/// Sends a request to an enclave that is held up in the middle of whatever it does, has `kill` done, and gives what the client hears.
async fn interrupted(world: &mut World, kill: impl FnOnce(&mut World)) -> Error {
    let mut session = world.session().await;
    world.enclave.process.signal("-STOP");
    let request = tokio::spawn(async move { session.classify(image(View::LCc, 1), View::LCc, Some(1), None).await });
    tokio::time::sleep(ON_ITS_WAY).await;
    assert!(!request.is_finished(), "it was answered before anything was killed");
    kill(world);
    let begun = Instant::now();
    let heard = request.await.unwrap().expect_err("nobody is left to answer");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_an_enclave_that_is_killed_hears_of_it_and_is_served_by_the_next_one() {
    let mut world = World::ready(Setup::default()).await;
    let heard = interrupted(&mut world, |world| world.enclave.process.kill()).await;
    assert!(matches!(heard, Error::Connection(_)), "{heard}");
    world.start_again(&EnclaveSetup::default());
    let answer = world.session().await.classify(image(View::LCc, 1), View::LCc, Some(1), None).await;
    assert!(answer.is_ok(), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_parent_is_killed_hears_of_it_and_the_enclave_lives_on() {
    let mut world = World::ready(Setup::default()).await;
    let heard = interrupted(&mut world, |world| world.parent.kill()).await;
    assert!(matches!(heard, Error::Connection(_)), "{heard}");
    world.enclave.process.signal("-CONT");
    // Without the parent, straight to the enclave's own socket.
    let enclave = world.enclave.address.clone();
    let mut front = cloister_tests::Front::connect(&enclave).await;
    assert_eq!(front.get("/readyz").await.status, 200);
}
