//! Keys are replaced while clients are connected, and no client notices but by the key of its next connection.

use std::time::{Duration, Instant, SystemTime};

use cloister_imaging::View;
use cloister_tests::{EnclaveSetup, Setup, World, image};

/// Long enough for some rotations and for a few requests in each.
const WATCHED: Duration = Duration::from_secs(5);

fn replaced_each_second() -> Setup {
    let extra = "[keys]\nrotate_seconds = 1\n".to_owned();
    Setup { enclave: EnclaveSetup { extra, ..EnclaveSetup::default() }, ..Setup::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_speaks_of_its_own_key_to_its_end_while_new_ones_get_other_keys() {
    let world = World::ready(replaced_each_second()).await;
    let mut kept = world.session().await;
    let key = kept.attested().tls_public_key.clone();
    let png = image(View::LCc, 4);
    let mut others = std::collections::BTreeSet::new();
    let end = Instant::now() + WATCHED;
    while Instant::now() < end {
        // The document must bind the key of this very connection, or it is refused.
        kept.verify_again(&world.policy, SystemTime::now()).await.unwrap();
        kept.classify(png.clone(), View::LCc, Some(1), None).await.unwrap();
        others.insert(world.session().await.attested().tls_public_key.clone());
    }
    assert_eq!(kept.attested().tls_public_key, key);
    assert!(others.len() >= 3, "{} keys in {WATCHED:?}", others.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_while_keys_are_replaced() {
    let world = World::ready(replaced_each_second()).await;
    let end = Instant::now() + WATCHED;
    let world = &world;
    let clients = (0..4).map(|seed| async move {
        let png = image(View::RMlo, seed);
        let mut answers = 0;
        while Instant::now() < end {
            let mut session = world.session().await;
            for _ in 0..3 {
                session.classify(png.clone(), View::RMlo, Some(1), None).await.unwrap();
                answers += 1;
            }
        }
        answers
    });
    let answers = futures_util::future::join_all(clients).await;
    assert!(answers.iter().all(|&answers| answers > 0), "{answers:?}");
}
