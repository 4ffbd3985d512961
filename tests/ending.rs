//! How an enclave ends that nobody asked to: without a parent, and by a panic.

use std::time::{Duration, Instant};

use cloister_tests::{EnclaveSetup, Front, Setup, World, start_parent};

/// A parent is gone after so long, in these stories.
const GONE: Duration = Duration::from_secs(3);

fn soon_alone() -> Setup {
    let enclave = EnclaveSetup { parent_gone_seconds: Some(GONE.as_secs()), ..EnclaveSetup::default() };
    Setup { enclave, ..Setup::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_whose_parent_is_gone_ends_in_order_and_says_why() {
    let mut world = World::ready(soon_alone()).await;
    let before = Instant::now();
    world.parent.kill();
    assert_eq!(world.enclave.process.ended(), Some(69));
    assert!(before.elapsed() >= GONE, "after {:?}", before.elapsed());
    let words = world.enclave.process.words();
    let order = ["\"ready\"", "\"parent_gone\"", "\"stopping\""].map(|event| words.find(event));
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_comes_back_in_time_keeps_its_enclave() {
    let mut world = World::ready(soon_alone()).await;
    for _ in 0..3 {
        world.parent.kill();
        tokio::time::sleep(GONE / 3).await;
        (world.parent, world.server, world.pod) = start_parent(world.folder(), &world.sealed);
        world.parent.until("the last event", |words| words.contains("event=\"ready\"").then_some(()));
    }
    // As long again as it would have taken from the first time on.
    tokio::time::sleep(GONE).await;
    assert!(world.enclave.process.lives(), "{}", world.enclave.process.words());
    let enclave = world.enclave.address.clone();
    assert_eq!(Front::connect(&enclave).await.get("/readyz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_the_enclave_and_a_last_event_tells_its_place_alone() {
    let mut world = World::ready(Setup::default()).await;
    world.panic();
    assert_eq!(world.enclave.process.ended(), Some(70));
    world.parent.until("the last event", |words| words.contains("event=\"panicked\"").then_some(()));
    let told = world.parent.words();
    let event = told.lines().find(|line| line.contains("event=\"panicked\"")).unwrap();
    assert!(event.contains("at enclave/src/security_module.rs:"), "{event}");
    let words = world.enclave.process.words();
    assert!(words.contains("\"panicked\"") && !words.contains("stopping"), "{words}");
    assert!(!told.contains("CANARY") && !words.contains("CANARY"), "{told}{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_the_enclave_though_nobody_takes_its_last_event() {
    let mut world = World::ready(Setup::default()).await;
    // It accepts connections, and answers none.
    world.parent.signal("-STOP");
    let before = Instant::now();
    world.panic();
    assert_eq!(world.enclave.process.ended(), Some(70));
    assert!(before.elapsed() < Duration::from_secs(5), "after {:?}", before.elapsed());
    world.parent.signal("-CONT");
}
