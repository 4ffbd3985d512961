//! The main job: an exam goes in, an enclave is verified, and scores, report and receipt come out.

use cloister_imaging::View;
use cloister_tests::{Gateway, Setup, World, image};
use serde_json::Value;

fn names(checks: &Value, outcome: &str) -> Vec<String> {
    let checks = checks.as_array().expect("checks");
    let of = checks.iter().filter(|check| check["outcome"] == outcome);
    of.map(|check| check["id"].as_str().expect("an id").to_owned()).collect()
}

/// As it is after it was written and read, which may round.
fn as_read(value: &impl serde::Serialize) -> Value {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exam_is_answered_by_a_verified_enclave_and_its_receipt_is_believed() {
    let world = World::ready(Setup::default()).await;
    let folder = world.folder().join("gateway");
    let gateway = Gateway::start(&folder, &[&world.server], &world.policy_file(), "");
    gateway.ready().await;
    let client = gateway.client();
    let session = client.get("/api/v1/session").await.json();
    assert_eq!((&session["sign_in"], &session["user"]["role"]), (&"none".into(), &"administrator".into()));
    assert!(session["notice"].as_str().unwrap().contains("simulated"));

    let enclaves = client.get("/api/v1/enclaves").await.json();
    assert_eq!(enclaves["can_send"], true);
    let enclave = &enclaves["enclaves"][0];
    assert_eq!((&enclave["state"], &enclave["label"]), (&"verified".into(), &"the image under test".into()));
    assert_eq!(names(&enclave["checks"], "passed").len(), 11, "{enclave:#}");

    let images = View::ALL.map(|view| image(view, 5));
    let mut parts: Vec<(&str, &[u8])> = vec![("label", b"A-4711")];
    parts.extend(View::ALL.iter().zip(&images).map(|(view, image)| (view.as_str(), image.as_slice())));
    let sent = client.send_exam("", &parts).await;
    assert_eq!(sent.status, 201, "{}", String::from_utf8_lossy(&sent.body));
    let id = sent.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(sent.header("location"), Some(format!("/api/v1/exams/{id}").as_str()));
    let exam = client.until(&id, &["answered", "failed", "abstained"]).await;
    assert_eq!(exam["state"], "answered", "{exam:#}\n{}", gateway.process.words());
    assert_eq!(
        (&exam["label"], &exam["source"], &exam["images_kept"]),
        (&"A-4711".into(), &"api".into(), &true.into())
    );
    let steps: Vec<_> = exam["steps"].as_array().unwrap().iter().map(|step| step["state"].clone()).collect();
    assert_eq!(steps, ["received", "verified", "sent", "answered"]);
    assert_eq!(names(&exam["enclave"]["checks"], "passed").len(), 11);

    // The scores are those that a client of its own gets.
    let mut direct = world.session().await;
    let images: Vec<_> = View::ALL.into_iter().zip(images).collect();
    let expected = direct.exam(images.clone(), Some(1), None).await.unwrap();
    for (side, breast) in &expected.breasts {
        assert_eq!(exam["breasts"][side]["scores"], as_read(&breast.scores));
    }
    for view in exam["views"].as_array().unwrap() {
        let answered = expected.views.iter().find(|other| view["view"] == other.view.as_str()).unwrap();
        assert_eq!(view["scores"], as_read(&answered.scores));
        let file = client.get(&format!("/api/v1/exams/{id}/files/{}", view["file"])).await;
        assert_eq!(file.body, images.iter().find(|(other, _)| *other == answered.view).unwrap().1);
    }
    let report = client.get(&format!("/api/v1/exams/{id}/report")).await.json();
    assert_eq!(report["breasts"], as_read(&expected.breasts));
    assert_eq!(report["verified"]["accepted_as"], "the image under test");

    let receipt = client.get(&format!("/api/v1/exams/{id}/receipt")).await;
    assert!(receipt.header("content-disposition").unwrap().contains(&format!("receipt-{id}.cose")));
    let verified = cloister_client::receipt::verify(&receipt.body, &world.policy).unwrap();
    assert_eq!(exam["receipt"]["key_id"], hex::encode(verified.key_sha384));
    let checked = client.ask("POST", "/api/v1/receipts/check", "application/cose", receipt.body.clone()).await.json();
    assert_eq!((&checked["believed"], &checked["exam"]), (&true.into(), &id.as_str().into()));
    let mut forged = receipt.body;
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let checked = client.ask("POST", "/api/v1/receipts/check", "application/cose", forged).await.json();
    assert_eq!((&checked["believed"], &checked["exam"]), (&false.into(), &Value::Null));
    let nothing = client.ask("POST", "/api/v1/receipts/check", "application/cose", "no receipt").await;
    assert_eq!((nothing.status, nothing.problem().as_str()), (422, "not-a-receipt"));
    let huge = client.ask("POST", "/api/v1/receipts/check", "application/cose", vec![0; 100_000]).await;
    assert_eq!((huge.status, huge.problem().as_str()), (422, "not-a-receipt"));
}

/// `scripts/page.sh` builds it; `CLOISTER_REQUIRE_PAGE=1` says that it was.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_in_the_program_and_asks_nobody_else() {
    let world = World::start(Setup::default()).await;
    let folder = world.folder().join("gateway");
    let gateway = Gateway::start(&folder, &[&world.server], &world.policy_file(), "");
    let page = gateway.client().get("/").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    let text = String::from_utf8(page.body).unwrap();
    let built = !text.contains("built without its page");
    let required = std::env::var_os("CLOISTER_REQUIRE_PAGE").is_some_and(|required| required == "1");
    assert!(built || !required, "the page was not built before the program");
    if !built {
        eprintln!("skipped: the page is not built");
    }
    let description = gateway.client().get("/api/v1/openapi.json").await.json();
    assert!(description["paths"].as_object().unwrap().len() >= 20, "{description:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_exam_is_refused_with_its_reason_and_leaves_nothing() {
    let world = World::ready(Setup::default()).await;
    let folder = world.folder().join("gateway");
    let gateway = Gateway::start(&folder, &[&world.server], &world.policy_file(), "[limits]\nqueued = 0\n");
    gateway.ready().await;
    let full = gateway.client().send_exam("", &[("L-CC", b"x")]).await;
    assert_eq!((full.status, full.problem().as_str(), full.header("retry-after")), (503, "queue-full", Some("30")));
    drop(gateway);
    let gateway = Gateway::start(&world.folder().join("other"), &[&world.server], &world.policy_file(), "");
    gateway.ready().await;
    let client = gateway.client();
    let picture = image(View::LCc, 1);
    let large = vec![0; 41 * 1024 * 1024];
    let view = |name: &'static str| (name, picture.as_slice());
    for (parts, status, problem) in [
        (vec![], 400, "no-files"),
        (vec![("L-CC", b"text".as_slice())], 422, "not-an-image"),
        (vec![view("image")], 422, "no-view"),
        (vec![view("side")], 422, "no-view"),
        (vec![view("L-CC"), view("L-CC")], 422, "part-twice"),
        (vec![view("L-CC"), view("R-CC")], 422, "missing-view"),
        (vec![view("L-CC"), view("R-CC"), view("L-MLO"), view("R-MLO"), view("image")], 400, "too-many-files"),
        (vec![("L-CC", large.as_slice())], 413, "upload-too-large"),
    ] {
        let refused = client.send_exam("", &parts).await;
        assert_eq!((refused.status, refused.problem().as_str()), (status, problem));
    }
    assert_eq!(client.ask("POST", "/api/v1/exams", "text/plain", "x").await.problem(), "body-broken");
    assert_eq!(client.send_exam("?missing=yes", &[]).await.problem(), "query");
    assert_eq!(client.get("/api/v1/exams").await.json()["exams"], serde_json::json!([]));
    for folder in ["spool/incoming", "spool/exams"] {
        assert_eq!(std::fs::read_dir(gateway.data.join(folder)).unwrap().count(), 0, "{folder}");
    }
    // A picture of the other breast is refused by the enclave, which gives no score.
    let wrong = View::ALL.map(|view| (view, image(if view == View::LCc { View::RCc } else { view }, 1)));
    let id = client.send_views("", &wrong).await.json()["id"].as_str().unwrap().to_owned();
    let exam = client.until(&id, &["answered", "failed", "abstained"]).await;
    assert_eq!((&exam["state"], &exam["reason"]["type"]), (&"abstained".into(), &"image-wrong-side".into()));
    assert_eq!(client.get(&format!("/api/v1/exams/{id}/receipt")).await.problem(), "not-answered");
    assert_eq!(
        client.ask("POST", &format!("/api/v1/exams/{id}/retry"), "text/plain", "").await.problem(),
        "not-failed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_view_is_a_finding_where_it_is_allowed_and_its_breast_has_no_score() {
    let world = World::ready(Setup::default()).await;
    let folder = world.folder().join("gateway");
    let gateway = Gateway::start(&folder, &[&world.server], &world.policy_file(), "");
    gateway.ready().await;
    let client = gateway.client();
    let pictures = [View::LCc, View::LMlo, View::RCc].map(|view| (view, image(view, 9)));
    let sent = client.send_views("?missing=allow", &pictures).await;
    assert_eq!(sent.status, 201, "{}", String::from_utf8_lossy(&sent.body));
    let id = sent.json()["id"].as_str().unwrap().to_owned();
    let exam = client.until(&id, &["answered", "failed", "abstained"]).await;
    assert_eq!((&exam["state"], &exam["findings"]), (&"answered".into(), &serde_json::json!(["missing-R-MLO"])));
    assert!(exam["breasts"]["left"].is_object() && exam["breasts"]["right"].is_null(), "{exam:#}");
    let report = client.get(&format!("/api/v1/exams/{id}/report")).await.json();
    assert!(report["finding_words"]["missing-R-MLO"].is_string(), "{report:#}");
}
