//! A clock that is wrong at boot, or goes wrong later, keeps the enclave from answering, with the reason.

use std::time::{Duration, Instant};

use cloister_attest::Error as Refusal;
use cloister_client::Error;
use cloister_imaging::View;
use cloister_tests::{EnclaveSetup, Setup, World, image};

const HOUR: i64 = 60 * 60;

fn checked_each_second() -> Setup {
    let extra = "[clock]\ncheck_seconds = 1\n".to_owned();
    Setup { enclave: EnclaveSetup { extra, ..EnclaveSetup::default() }, ..Setup::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_whose_clock_is_wrong_at_boot_asks_for_no_key_until_it_is_right() {
    let mut before = 0;
    let setup = Setup { module_clock_ahead: HOUR, ..Setup::default() };
    let world = World::start_with(setup, |world| before = world.kms.requests()).await;
    let reason = world.not_ready_because("behind the security module's").await;
    assert!(reason.contains("300 s are allowed"), "{reason}");
    assert_eq!(world.kms.requests(), before, "KMS was asked");
    world.set_module_clock(0);
    drop(world.session().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_drifts_apart_takes_readiness_away_and_gives_it_back() {
    let mut world = World::start(checked_each_second()).await;
    drop(world.session().await);
    for (ahead, words) in [(-HOUR, "ahead of the security module's"), (HOUR, "behind the security module's")] {
        world.set_module_clock(ahead);
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            match world.try_session(&world.policy).await {
                Err(Error::Refused { status: 503, detail: Some(detail), .. }) if detail.contains(words) => break,
                // Until the next comparison, documents show the module's time, and clients refuse them.
                Ok(_) | Err(Error::NotVerified(_)) if Instant::now() < end => {}
                other => panic!("{:?}", other.map(|session| session.attested().timestamp)),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        world.parent.until("the clock's event", |said| said.contains(words).then_some(()));
        world.set_module_clock(0);
        world.ready_again().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_minutes_apart_are_served_to_clients_whose_policy_allows_that_much() {
    const FOUR_MINUTES: i64 = 4 * 60;
    let behind = World::start(Setup { module_clock_ahead: -FOUR_MINUTES, ..checked_each_second() }).await;
    drop(behind.session().await);

    let ahead = World::ready(checked_each_second()).await;
    ahead.set_module_clock(FOUR_MINUTES);
    let tolerant = ahead.policy.clone().with_skew(Duration::from_secs(300)).unwrap();
    let mut session = ahead.session_with(&tolerant).await;
    let refused = ahead.try_session(&ahead.policy).await.err().unwrap();
    assert!(matches!(refused, Error::NotVerified(Refusal::FromTheFuture { .. })), "{refused}");
    // Its receipts are dated so that they hold for ever, whatever the reader's skew.
    let answer = session.classify(image(View::LCc, 2), View::LCc, Some(1), None).await.unwrap();
    cloister_client::receipt::verify(&answer.receipt.unwrap().0, &ahead.policy).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumped_between_two_comparisons_dates_no_receipt() {
    // The next comparison is an hour away.
    let world = World::ready(Setup::default()).await;
    let mut session = world.session().await;
    world.set_module_clock(-2 * HOUR);
    let refused = session.classify(image(View::LCc, 2), View::LCc, Some(1), None).await.unwrap_err();
    assert!(matches!(&refused, Error::Refused { status: 503, kind, .. } if kind.ends_with(":receipt")), "{refused}");
    world.set_module_clock(0);
    session.classify(image(View::LCc, 2), View::LCc, Some(1), None).await.unwrap();
}
