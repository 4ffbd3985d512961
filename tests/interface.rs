//! The enclave's interface as others rely on it: health, metrics, OpenAPI, SageMaker's contract.

use cloister_imaging::View;
use cloister_tests::{Front, Setup, World, image};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread")]
async fn a_ready_enclave_says_so_everywhere() {
    let world = World::ready(Setup::default()).await;
    let mut front = Front::connect(&world.server).await;
    for path in ["/healthz", "/readyz", "/ping"] {
        assert_eq!(front.get(path).await.status, 200, "{path}");
    }
    let answer = front.post_image("view=R-CC&crops=1", image(View::RCc, 1)).await;
    assert_eq!(answer.status, 200);
    let metrics = String::from_utf8(front.get("/metrics").await.body).unwrap();
    for line in
        ["cloister_ready 1", "cloister_queue_depth 0", "cloister_requests_total{route=\"/v1/images\",status=\"200\"} 1"]
    {
        assert!(metrics.lines().any(|l| l == line), "{line:?} is not in:\n{metrics}");
    }
    assert!(metrics.contains("cloister_classification_seconds"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_of_the_openapi_page_answers_and_unknown_ones_are_problems() {
    let world = World::ready(Setup::default()).await;
    let mut front = Front::connect(&world.server).await;
    let page = front.get("/openapi.json").await.json();
    let paths: Vec<_> = page["paths"].as_object().unwrap().keys().cloned().collect();
    for wanted in [
        "/v1/attestation",
        "/v1/images",
        "/v1/exams",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/ping",
        "/invocations",
    ] {
        assert!(paths.iter().any(|path| path == wanted), "{wanted} is not described");
    }
    for label in ["benign", "malignant"] {
        assert_eq!(page["components"]["schemas"]["Scored"]["properties"][label]["type"], "number", "{label}");
    }
    for path in ["/v1/images", "/v1/exams"] {
        let responses = &page["paths"][path]["post"]["responses"];
        for status in ["400", "401", "408", "413", "415", "422", "429", "503"] {
            assert!(
                responses[status]["content"]["application/problem+json"].is_object(),
                "{path} {status}: {responses}"
            );
        }
    }
    for path in &paths {
        let answer = front.get(path).await;
        assert_ne!(answer.status, 404, "{path} is described and not there");
    }
    let nothing = front.get("/v1/patients").await;
    assert_eq!((nothing.status, nothing.problem().as_str()), (404, "not-found"));
    let method = front.send("DELETE", "/v1/images", "text/plain", "").await;
    assert_eq!((method.status, method.problem().as_str()), (405, "method"));
    for path in ["/v1/attestation", "/v1/attestation?nonce=00", "/v1/attestation?nonce=xyz", "/v1/attestation?other=1"]
    {
        let answer = front.get(path).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "query"), "{path}");
    }
    for query in
        ["", "view=LCC", "view=L-CC&crops=0", "view=L-CC&crops=33", "view=L-CC&patient=7", "view=L-CC&nonce=00"]
    {
        let answer = front.post_image(query, "x").await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "query"), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sagemakers_invocations_score_as_the_enclaves_own_path_does() {
    let world = World::ready(Setup::default()).await;
    let png = image(View::LMlo, 4);
    let stream = Front::tls(&world.server).await;
    let (mut requests, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = |attributes: &str| {
        hyper::Request::post("/invocations")
            .header("host", "enclave.invalid")
            .header("content-type", "image/png")
            .header("x-amzn-sagemaker-custom-attributes", attributes)
            .body(Full::new(Bytes::from(png.clone())))
            .unwrap()
    };
    let answer = requests.send_request(request("view=L-MLO,crops=1")).await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut invoked: serde_json::Value =
        serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();
    requests.ready().await.unwrap();
    let refused = requests.send_request(request("crops=1")).await.unwrap();
    assert_eq!(refused.status(), 400, "an image without its view");
    let mut direct = Front::connect(&world.server).await.post_image("view=L-MLO&crops=1", png).await.json();
    // Each has a receipt of its own, which names its time.
    for answer in [&mut invoked, &mut direct] {
        assert!(answer.as_object_mut().unwrap().remove("receipt").unwrap().is_string());
    }
    assert_eq!(invoked, direct);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_served_on_the_same_port() {
    let world = World::ready(Setup::default()).await;
    let stream = Front::tls_with(&world.server, b"h2").await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let (mut requests, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = hyper::Request::get("https://enclave.invalid/readyz").body(Full::<Bytes>::default()).unwrap();
    assert_eq!(requests.send_request(request).await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_inside_a_connection_that_agreed_on_http_1_is_refused() {
    let world = World::ready(Setup::default()).await;
    let mut stream = Front::tls_with(&world.server, b"http/1.1").await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    stream.write_all(preface).await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!(answer, b"", "an HTTP/2 server would send its settings");
}
