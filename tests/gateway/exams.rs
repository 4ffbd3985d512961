//! The main job: an exam goes in, an enclave is verified, and scores, report and receipt come out.

use cloister_imaging::View;
use cloister_tests::{Gateway, Setup, World, image};
use serde_json::Value;

fn names(checks: &Value, outcome: &str) -> Vec<String> {
    let checks = checks.as_array().expect("checks");
    let of = checks.iter().filter(|check| check["outcome"] == outcome);
    of.map(|check| check["id"].as_str().expect("an id").to_owned()).collect()
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
    assert_eq!((&exam["label"], &exam["source"], &exam["images_kept"]), (&"A-4711".into(), &"api".into(), &true.into()));
    let steps: Vec<_> = exam["steps"].as_array().unwrap().iter().map(|step| step["state"].clone()).collect();
    assert_eq!(steps, ["received", "verified", "sent", "answered"]);
    assert_eq!(names(&exam["enclave"]["checks"], "passed").len(), 11);

    // The scores are those that a client of its own gets.
    let mut direct = world.session().await;
    let images: Vec<_> = View::ALL.into_iter().zip(images).collect();
    let expected = direct.exam(images.clone(), Some(1), None).await.unwrap();
    for (side, breast) in &expected.breasts {
        assert_eq!(exam["breasts"][side]["scores"], serde_json::to_value(&breast.scores).unwrap());
    }
    for view in exam["views"].as_array().unwrap() {
        let answered = expected.views.iter().find(|other| view["view"] == other.view.as_str()).unwrap();
        assert_eq!(view["scores"], serde_json::to_value(&answered.scores).unwrap());
        let file = client.get(&format!("/api/v1/exams/{id}/files/{}", view["file"])).await;
        assert_eq!(file.body, images.iter().find(|(other, _)| *other == answered.view).unwrap().1);
    }
    let report = client.get(&format!("/api/v1/exams/{id}/report")).await.json();
    assert_eq!(report["breasts"], serde_json::to_value(&expected.breasts).unwrap());
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
}
