//! The measured configuration as launch policy: what the parent may set, and what leaves.

use std::time::{Duration, Instant};

use cloister_imaging::View;
use cloister_tests::{Eavesdropper, EnclaveSetup, Front, Setup, World, holds, image};

const SETTINGS: &str = "GET /v1/settings";
const LOGS: &str = "POST /v1/logs";

/// One processor, and a parent that sets something.
fn launched(policy: &str, settings: &str) -> Setup {
    let enclave = EnclaveSetup { threads: 1, extra: format!("[launch]\n{policy}\n"), ..EnclaveSetup::default() };
    let answered = [(SETTINGS, settings.to_owned()), (LOGS, String::new())].into();
    Setup { enclave, overheard: true, answered, ..Setup::default() }
}

fn control(world: &World) -> &Eavesdropper {
    &world.overheard[1]
}

/// Waits until the parent was told something.
async fn told(world: &World, words: &str) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds(&control(world).from_clients(), words.as_bytes()) {
        let told = control(world).from_clients();
        assert!(Instant::now() < end, "the parent was never told {words:?}:\n{}", String::from_utf8_lossy(&told));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn metrics(world: &World) -> String {
    String::from_utf8(Front::connect(&world.server).await.get("/metrics").await.body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_parent_may_set_takes_effect() {
    let enclave = launched("parent_may_set = [\"queue\", \"threads\"]", "").enclave;
    let parent_sets = vec!["queue=1", "threads=1"];
    let world = World::ready(Setup { enclave, parent_sets, overheard: true, ..Setup::default() }).await;
    told(&world, "the parent may set queue, threads;").await;
    let png = image(View::LCc, 1);
    let requests = (0..8).map(|_| {
        let (server, png) = (world.server.clone(), png.clone());
        tokio::spawn(async move { Front::connect(&server).await.post_image("view=L-CC&crops=32", png).await.status })
    });
    let mut statuses = Vec::new();
    for request in requests.collect::<Vec<_>>() {
        statuses.push(request.await.unwrap());
    }
    // The measured queue has sixteen places; this one has one, beside the one at work.
    assert!(statuses.contains(&200) && statuses.contains(&503), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_the_parent_may_set_nothing() {
    let world = World::start(Setup { parent_sets: vec!["queue=1"], ..Setup::default() }).await;
    world.not_ready_because("the parent sets queue, which launch.parent_may_set").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anything_else_that_the_parent_sets_is_refused_by_name_until_it_is_taken_away() {
    let world = World::start(launched("parent_may_set = [\"queue\"]", r#"{"queue": 2, "threads": 2}"#)).await;
    let reason = world.not_ready_because("the parent sets threads").await;
    assert!(reason.contains("launch.parent_may_set"), "{reason}");
    for (settings, words) in [
        (r#"{"debug_shell": true}"#, "the parent sets debug_shell"),
        (r#"{"De\nbug": 1}"#, "the parent sets a setting whose name is not plain"),
        (r#"{"queue": 0}"#, "the parent sets queue to something"),
        (r#"{"queue": "many"}"#, "the parent sets queue to something"),
        ("[1]", "the parent's answer about settings cannot be used"),
        ("{", "the parent's answer about settings cannot be used"),
    ] {
        control(&world).answer(SETTINGS, settings);
        world.not_ready_because(words).await;
        told(&world, words).await;
    }
    control(&world).answer(SETTINGS, &format!("{{\"queue\": 1{}}}", " ".repeat(8 * 1024)));
    world.not_ready_because("longer than it may be").await;
    control(&world).answer(SETTINGS, r#"{"queue": 2}"#);
    drop(world.session().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_neither_log_records_nor_memory_figures_leave_and_the_boot_says_so() {
    let world = World::ready(launched("", "{}")).await;
    told(&world, "open to whoever reaches the port").await;
    told(&world, "the parent may set nothing; log records do not leave; memory figures do not leave").await;
    assert!(!holds(&control(&world).from_clients(), LOGS.as_bytes()));
    assert!(!metrics(&world).await.contains("cloister_memory"));
}

#[tokio::test(flavor = "multi_thread")]
async fn log_records_and_memory_figures_leave_where_the_measured_configuration_lets_them() {
    let token = format!("[[access.tokens]]\nname = \"front\"\nsha256 = \"{}\"", "ab".repeat(32));
    let world = World::ready(launched(&format!("logs = true\nmemory_figures = true\n{token}"), "{}")).await;
    told(&world, "log records leave; memory figures leave").await;
    told(&world, "open to those alone whom [access]").await;
    told(&world, r#""event":"listening""#).await;
    assert!(holds(&control(&world).from_clients(), LOGS.as_bytes()));
    let metrics = metrics(&world).await;
    let resident = metrics.lines().find_map(|line| line.strip_prefix("cloister_memory_resident_bytes "));
    assert!(resident.is_some_and(|bytes| bytes.parse::<f64>().unwrap() > 1e6), "{metrics}");
}
