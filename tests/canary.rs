//! Nothing of a request, of the model or of the credentials is found outside of TLS: words and pixels that are easy to recognise go in
//! by every path, errors included, and everything that leaves is searched for them.

mod attempts;
mod search;

use cloister_sim::kms::Fault;
use cloister_tests::{EnclaveSetup, Front, Setup, World, demo_package_of_version};
use tempfile::TempDir;

use attempts::attempts;
use search::{CORE, Search};

/// The most talkative enclave that there is.
fn talkative() -> EnclaveSetup {
    let extra = "[launch]\nlogs = true\nmemory_figures = true\nparent_may_set = [\"queue\", \"threads\"]\n".to_owned();
    EnclaveSetup { extra, ..EnclaveSetup::default() }
}

/// Everything that left, by name: what the processes wrote, what passed on each way, and what is told to whoever asks.
async fn left(world: &World) -> Vec<(&'static str, Vec<u8>)> {
    let [clients, control, egress] = world.overheard.as_slice() else { panic!("nobody listened") };
    assert!(world.parent.words().contains("the enclave logs"), "no log record left");
    let mut front = Front::connect(&world.server).await;
    let mut left = vec![
        ("the enclave's console", world.enclave.process.words().into_bytes()),
        ("the parent's log", world.parent.words().into_bytes()),
        ("the proxy's log", world.proxy.words().into_bytes()),
        ("what clients sent", clients.from_clients()),
        ("what clients received", clients.from_server()),
        ("what the parent was told", control.from_clients()),
        ("what the proxy was sent", egress.from_clients()),
        ("what the proxy sent back", egress.from_server()),
    ];
    for path in ["/metrics", "/readyz", "/healthz"] {
        left.push((path, front.get(path).await.body));
        left.push(("the pod's endpoint", Front::plain(&world.pod).await.get(path).await.body));
    }
    assert!(left.iter().all(|(name, bytes)| !bytes.is_empty() || *name == "the proxy's log"), "a place stayed empty");
    left
}

async fn nothing_left(world: &World, search: &Search) {
    for (place, bytes) in left(world).await {
        assert_eq!(search.find(&bytes), None, "{place}:\n{}", String::from_utf8_lossy(&bytes));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_any_request_is_found_outside_of_tls() {
    let world = World::ready(Setup { enclave: talkative(), overheard: true, ..Setup::default() }).await;
    let search = Search::of_requests();
    let mut statuses = std::collections::BTreeSet::new();
    for attempt in attempts() {
        assert!(search.find(&attempt.sent()).is_some(), "the search does not find what is sent: {}", attempt.what);
        if let Some(status) = attempt.send(&world.server).await {
            statuses.insert(status);
        }
    }
    assert!([200, 400, 404, 405, 413, 415, 422].iter().all(|wanted| statuses.contains(wanted)), "{statuses:?}");
    nothing_left(&world, &search).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_scores_nor_the_models_words_and_weights_nor_credentials_are_found_outside_of_tls() {
    let folder = TempDir::new().unwrap();
    let package = demo_package_of_version(folder.path(), 1);
    let manifest = package.join("manifest.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("Demonstration only.", &format!("{CORE} only."))).unwrap();
    let setup = Setup { enclave: talkative(), overheard: true, package: Some(package), ..Setup::default() };
    let world = World::ready(setup).await;
    let mut search = Search::of_requests();
    for attempt in attempts().into_iter().filter(|attempt| attempt.scores) {
        search.add_scores(&attempt.answer(&world.server).await);
    }
    for secret in ["simulated-secret-of-the-parent", "simulated-session-token-of-the-parent"] {
        search.add(secret.as_bytes());
    }
    for (_, bytes) in cloister_model::Package::open(&world.package).unwrap().files() {
        search.add(&bytes[bytes.len() / 2..bytes.len() / 2 + 16]);
    }
    nothing_left(&world, &search).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_model_that_fails_is_found_outside_of_the_enclave() {
    for (what, from, to) in [
        ("an unknown network", "l-cc.onnx", CORE),
        ("a wrong known answer", "benign = 0.00", "benign = 0.99"),
        ("a network of words", "", CORE),
    ] {
        let folder = TempDir::new().unwrap();
        let package = demo_package_of_version(folder.path(), 1);
        let spoil = |name: &str, change: &dyn Fn(String) -> String| {
            let file = package.join(name);
            std::fs::write(&file, change(String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned()))
                .unwrap();
        };
        match what {
            "an unknown network" => std::fs::rename(package.join(from), package.join(to)).unwrap(),
            "a network of words" => spoil("l-cc.onnx", &|_| to.repeat(100)),
            _ => {}
        }
        spoil("manifest.toml", &|text| {
            let text = if from.is_empty() { text } else { text.replace(from, to) };
            text.replace("Demonstration only.", CORE)
        });
        let setup = Setup { enclave: talkative(), overheard: true, package: Some(package), ..Setup::default() };
        let mut world = World::start(setup).await;
        let ended = |words: &str| (words.contains("\"ready\"") || words.contains("\"failed\"")).then_some(());
        world.enclave.process.until(what, ended);
        nothing_left(&world, &Search::of_requests()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_what_kms_says_is_found_outside_of_the_enclave() {
    let arn = format!("arn:aws:kms:us-east-1:111122223333:key/{CORE}");
    let setup = Setup { enclave: talkative(), overheard: true, ..Setup::default() };
    let world = World::start_with(setup, |world| world.kms.inject(Fault::OtherKeyId(arn))).await;
    let reason = world.not_ready_because("another key than the pinned").await;
    assert!(reason.contains(&world.key_arn), "{reason}");
    nothing_left(&world, &Search::of_requests()).await;
}
