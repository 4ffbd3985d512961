//! A parent that drops streams as it likes: it costs time, and neither answers nor truth.

use std::time::{Duration, Instant};

use cloister_client::Error;
use cloister_imaging::View;
use cloister_tests::{Setup, World, image};

/// What an upload may take, broken streams and new tries among it.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_boot_comes_through_a_parent_that_drops_every_third_stream() {
    let world = World::start(Setup { cut_every: Some(3), ..Setup::default() }).await;
    let end = Instant::now() + PATIENCE;
    while let Err(error) = world.try_session(&world.policy).await {
        assert!(Instant::now() < end, "not ready: {error}\n{}", world.enclave.process.words());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(world.flaky[1].cut() > 0, "the enclave met no cut stream");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_whose_every_tenth_stream_is_dropped_know_it_and_get_the_same_answer_by_asking_again() {
    let world = World::start(Setup { cut_every: Some(10), ..Setup::default() }).await;
    let world = &world;
    let ready = Instant::now() + PATIENCE;
    while world.try_session(&world.policy).await.is_err() {
        assert!(Instant::now() < ready, "not ready\n{}", world.enclave.process.words());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let png = &image(View::LCc, 3);
    let clients = (0..4).map(|_| async move {
        let mut answers = Vec::new();
        let end = Instant::now() + PATIENCE;
        while answers.len() < 12 {
            assert!(Instant::now() < end, "too many streams were lost");
            let outcome = match world.try_session(&world.policy).await {
                Ok(mut session) => session.classify(png.clone(), View::LCc, Some(1), None).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(answer) => answers.push(answer.scores),
                // What a cut stream looks like, and nothing else.
                Err(Error::Handshake { .. } | Error::Connection(_) | Error::Unreachable { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        answers
    });
    let answers = futures_util::future::join_all(clients).await.concat();
    assert_eq!(answers.len(), 48);
    assert!(answers.iter().all(|scores| *scores == answers[0]), "{answers:?}");
    assert!(world.flaky[0].cut() >= 4, "{} streams were cut", world.flaky[0].cut());
}
