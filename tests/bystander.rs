//! What the parent can see: everything that passes through it, and none of it in clear.

use std::time::SystemTime;

use cloister_client::{Options, connect};
use cloister_imaging::View;
use cloister_tests::{Eavesdropper, Setup, World, holds, image};

#[tokio::test(flavor = "multi_thread")]
async fn neither_image_nor_scores_nor_model_pass_the_parent_in_clear() {
    let world = World::ready(Setup::default()).await;
    let relay = Eavesdropper::start(world.server.clone()).await;
    let png = image(View::LCc, 8);
    let mut session = connect(&relay.address, Options::default())
        .await
        .unwrap()
        .verify(&world.policy, SystemTime::now())
        .await
        .unwrap();
    let answer = session.classify(png.clone(), View::LCc, Some(1), None).await.unwrap();
    drop(session);
    let kept = [relay.from_clients(), relay.from_server()].concat();
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
