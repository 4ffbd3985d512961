//! What the sizes on the relay tell: how much a client sends, and nothing of what it is answered.

use cloister_imaging::View;
use cloister_tests::{Answer, Eavesdropper, Front, Setup, World, image, pcr};

/// One front end, overheard.
struct Overheard {
    relay: Eavesdropper,
    front: Front,
}

impl Overheard {
    async fn of(world: &World) -> Self {
        let relay = Eavesdropper::start(world.server.clone()).await;
        let front = Front::connect(&relay.address).await;
        Self { relay, front }
    }

    /// The answer, and how many bytes it took on the relay.
    async fn send(&mut self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (Answer, usize) {
        let before = self.relay.from_server().len();
        let answer = self.front.send_with("POST", path, headers, body).await;
        (answer, self.relay.from_server().len() - before)
    }
}

const PNG: [(&str, &str); 1] = [("content-type", "image/png")];
const EXAM: [(&str, &str); 1] = [("content-type", "multipart/form-data; boundary=b")];

fn exam(seed: u64) -> Vec<u8> {
    let part = |view: View| {
        let head = format!("--b\r\nContent-Disposition: form-data; name=\"{view}\"\r\n\r\n");
        [head.as_bytes(), &image(view, seed), b"\r\n"].concat()
    };
    [View::ALL.map(part).concat(), b"--b--\r\n".to_vec()].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_size_on_the_relay_tells_a_score_or_a_refusal() {
    let world = World::ready(Setup::default()).await;
    let mut client = Overheard::of(&world).await;
    let (mut scores, mut sizes) = (Vec::new(), Vec::new());
    for (view, seed) in [(View::LCc, 1), (View::LCc, 2), (View::RMlo, 3), (View::LMlo, 4)] {
        let path = format!("/v1/images?view={view}&crops=1");
        let (answer, size) = client.send(&path, &PNG, image(view, seed)).await;
        scores.push(answer.json()["malignant"].as_f64().unwrap().to_string());
        sizes.push(("an image", answer.status, size));
    }
    scores.sort();
    scores.dedup();
    assert_eq!(scores.len(), 4, "different images must have different scores here");
    for (what, path, headers, body) in [
        ("an exam", "/v1/exams?crops=1", EXAM, exam(1)),
        ("another exam", "/v1/exams?crops=1", EXAM, exam(2)),
        ("no view", "/v1/images", PNG, image(View::LCc, 1)),
        ("a long view", &format!("/v1/images?view={}", "x".repeat(40_000)), PNG, image(View::LCc, 1)),
        ("the wrong side", "/v1/images?view=R-CC", PNG, image(View::LCc, 1)),
        ("no image", "/v1/images?view=R-CC", PNG, b"nonsense".to_vec()),
        ("no exam", "/v1/exams", PNG, b"nonsense".to_vec()),
        ("an exam of nothing", "/v1/exams", EXAM, b"--b--\r\n".to_vec()),
        ("an invocation without a view", "/invocations", PNG, image(View::LCc, 1)),
    ] {
        let (answer, size) = client.send(path, &headers, body).await;
        sizes.push((what, answer.status, size));
        let json = answer.body.trim_ascii_end().len();
        assert!(json < 24 * 1024, "{what} takes {json} bytes, too near the border for a longer document");
    }
    let invocation = [PNG[0], ("x-amzn-sagemaker-custom-attributes", "view=L-CC,crops=1")];
    let (answer, size) = client.send("/invocations", &invocation, image(View::LCc, 1)).await;
    sizes.push(("an invocation", answer.status, size));
    let statuses: Vec<_> = sizes.iter().map(|(_, status, _)| *status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 400, 400, 422, 415, 415, 400, 400, 200]);
    assert!(sizes.iter().all(|(.., size)| *size == sizes[0].2), "{sizes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_size_on_the_relay_tells_what_is_in_a_map() {
    let world = World::ready(Setup::default()).await;
    let mut client = Overheard::of(&world).await;
    let mut sizes = Vec::new();
    for (what, path, headers, body) in [
        ("a map", "/v1/images?view=L-CC&crops=1&map=malignant", PNG, image(View::LCc, 1)),
        ("another map", "/v1/images?view=R-MLO&crops=1&map=benign", PNG, image(View::RMlo, 2)),
        ("an exam's maps", "/v1/exams?crops=1&map=malignant", EXAM, exam(1)),
        ("no such label", "/v1/images?view=L-CC&map=other", PNG, image(View::LCc, 1)),
        ("the wrong side", "/v1/images?view=R-CC&map=malignant", PNG, image(View::LCc, 1)),
    ] {
        let (answer, size) = client.send(path, &headers, body).await;
        sizes.push((what, answer.status, size));
        let json = answer.body.trim_ascii_end().len();
        assert!(json < 112 * 1024, "{what} takes {json} bytes, too near the border for a longer document");
    }
    let statuses: Vec<_> = sizes.iter().map(|(_, status, _)| *status).collect();
    assert_eq!(statuses, [200, 200, 200, 400, 422]);
    assert!(sizes.iter().all(|(.., size)| *size == sizes[0].2), "{sizes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_that_is_not_ready_answers_in_the_size_of_one_that_is() {
    let ready = World::ready(Setup::default()).await;
    let waiting = World::start(Setup { key_opens_for: Some(pcr(9)), ..Setup::default() }).await;
    waiting.not_ready_because("not released").await;
    let mut sizes = Vec::new();
    for (world, status) in [(&ready, 200), (&waiting, 503)] {
        let (answer, size) =
            Overheard::of(world).await.send("/v1/images?view=L-CC&crops=1", &PNG, image(View::LCc, 1)).await;
        assert_eq!(answer.status, status);
        sizes.push(size);
    }
    assert_eq!(sizes[0], sizes[1]);
}
