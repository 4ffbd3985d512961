//! What a client makes of answers, before and after the enclave is verified.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod scripted;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cloister_client::receipt::ReceiptError;
use cloister_client::{Allowed, Asked, Error, Map, Options, ReceiptMismatch, connect, limits};
use cloister_imaging::View;
use rustls::version;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use scripted::{Lie, MAP, Other, Script, Server, acceptor, answer};

const PNG: &[u8] = b"\x89PNG and so on";

async fn unverified(attestation: Vec<u8>) -> Error {
    let server = Server::start(Script { attestation: Some(attestation), other: Other::These(Vec::new()) }).await;
    server.verify(Options::default()).await.err().unwrap()
}

/// What a verified enclave's answer to an image ends in.
async fn classified(other: Vec<u8>) -> Result<cloister_client::Classification, Error> {
    classified_by(Other::These(other)).await
}

async fn classified_by(other: Other) -> Result<cloister_client::Classification, Error> {
    classified_asking(other, Asked::default()).await
}

async fn classified_asking(other: Other, asked: Asked) -> Result<cloister_client::Classification, Error> {
    let server = Server::start(Script { attestation: None, other }).await;
    let options = Options { answer_timeout: Duration::from_millis(500), ..Options::default() };
    let mut session = server.verify(options).await.unwrap();
    session.classify(PNG.to_vec(), View::LCc, asked, None).await
}

#[tokio::test]
async fn a_verified_enclave_s_answer_is_read() {
    let answer = classified_by(Other::Classification(Lie::Nothing)).await.unwrap();
    assert_eq!(answer.scores, BTreeMap::from([("benign".to_owned(), 0.5), ("malignant".to_owned(), 0.5)]));
    assert_eq!(answer.map, None);
    assert_eq!(answer.findings, ["edge-line"]);
}

fn asking(label: &str) -> Asked {
    Asked { map: Some(label.to_owned()), ..Asked::default() }
}

#[tokio::test]
async fn a_map_that_was_asked_for_comes_with_the_answer() {
    let answer = classified_asking(Other::Classification(Lie::Nothing), asking("benign")).await.unwrap();
    let expected = Map { label: "benign".to_owned(), rows: 2, columns: 3, values: MAP.to_vec() };
    assert_eq!(answer.map, Some(expected));
}

#[tokio::test]
async fn an_answer_whose_map_is_not_the_receipts_or_was_not_asked_for_or_is_missing_is_refused() {
    let refused = |lie, asked: Asked| async move {
        match classified_asking(Other::Classification(lie), asked).await {
            Err(Error::Receipt(ReceiptMismatch::Other { what: "map" })) => {}
            other => panic!("{lie:?}: {other:?}"),
        }
    };
    refused(Lie::MapUnasked, Asked::default()).await;
    for lie in
        [Lie::MapMissing, Lie::MapUnsigned, Lie::MapUnshown, Lie::MapLabel, Lie::MapValue, Lie::MapShape, Lie::MapCut]
    {
        refused(lie, asking("benign")).await;
    }
}

#[tokio::test]
async fn what_is_no_label_is_not_sent() {
    for label in ["", "a&crops=1", "é", "A"] {
        let error = classified_asking(Other::Classification(Lie::Nothing), asking(label)).await.unwrap_err();
        assert!(matches!(error, Error::Label), "{label:?}: {error}");
    }
}

async fn mismatch(lie: Lie) -> ReceiptMismatch {
    match classified_by(Other::Classification(lie)).await {
        Err(Error::Receipt(mismatch)) => mismatch,
        other => panic!("{lie:?}: {other:?}"),
    }
}

#[tokio::test]
async fn an_answer_whose_receipt_says_something_else_is_refused() {
    assert!(matches!(mismatch(Lie::NoReceipt).await, ReceiptMismatch::Missing));
    assert!(matches!(mismatch(Lie::Nonce).await, ReceiptMismatch::OtherNonce));
    // Two hours from now, within the life of the certificate that vouches for the key.
    assert!(matches!(mismatch(Lie::Time).await, ReceiptMismatch::OtherTime { .. }));
    for (lie, different) in [
        (Lie::Image, "image"),
        (Lie::Identifier, "image"),
        (Lie::View, "image"),
        (Lie::Score, "score"),
        (Lie::Model, "model"),
        (Lie::FindingHidden, "list of findings"),
        (Lie::FindingInvented, "list of findings"),
        (Lie::FindingOfExam, "list of findings"),
    ] {
        let found = mismatch(lie).await;
        assert!(matches!(found, ReceiptMismatch::Other { what } if what == different), "{lie:?}: {found}");
    }
}

#[tokio::test]
async fn an_answer_whose_receipt_is_not_this_enclaves_is_refused() {
    assert!(matches!(mismatch(Lie::Garbage).await, ReceiptMismatch::NotVerified(_)));
    assert!(matches!(mismatch(Lie::Signature).await, ReceiptMismatch::NotVerified(ReceiptError::Signature(_))));
    assert!(matches!(mismatch(Lie::Measurement).await, ReceiptMismatch::NotVerified(ReceiptError::OtherModel { .. })));
    let expired = mismatch(Lie::Expired).await;
    assert!(matches!(expired, ReceiptMismatch::NotVerified(ReceiptError::Document(_))), "{expired}");
    // The same image and module, but another key than the one that this session's document vouches for.
    assert!(matches!(mismatch(Lie::Key).await, ReceiptMismatch::OtherKey));
}

#[tokio::test]
async fn a_refusal_in_place_of_a_document_is_told_without_what_steers_a_terminal() {
    let long = "x".repeat(100_000);
    let body = format!(
        r#"{{"type": "urn:\u001b]0;owned\u0007", "title": "\u001b[2J{long}", "detail": "one\r\ntwo \u202egpj.exe \u009b31m"}}"#
    );
    let error = unverified(answer("400 Bad Request", body.as_bytes())).await;
    let shown = error.to_string();
    assert!(!shown.contains(|c: char| c.is_control() || c == '\u{202e}'), "{shown:?}");
    let Error::Refused { status: 400, kind, title, detail, retry_after } = error else { panic!("{error}") };
    assert_eq!(kind, "urn:\u{fffd}]0;owned\u{fffd}");
    assert_eq!(title.chars().count(), limits::MAX_REFUSAL_CHARACTERS);
    assert_eq!(detail.as_deref(), Some("one\u{fffd}\u{fffd}two \u{fffd}gpj.exe \u{fffd}31m"));
    assert_eq!(retry_after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn what_is_longer_than_any_document_is_not_read() {
    let error = unverified(answer("200 OK", &vec![0; limits::MAX_DOCUMENT_BYTES + 1])).await;
    assert!(matches!(error, Error::TooLarge { limit: limits::MAX_DOCUMENT_BYTES, .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_document_does_not_verify() {
    for nonsense in [&b""[..], b"<html>", &[0x84; 4096]] {
        let error = unverified(answer("200 OK", nonsense)).await;
        assert!(matches!(error, Error::NotVerified(_)), "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_what_the_interface_says_is_malformed() {
    for body in [&b"{}"[..], b"[1, 2]", br#"{"view": "L-CC"}"#, b"\xff"] {
        let error = classified(answer("200 OK", body)).await.unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_read() {
    let error = classified(answer("200 OK", &vec![b' '; limits::MAX_ANSWER_BYTES + 1])).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: limits::MAX_ANSWER_BYTES, .. }), "{error}");
}

#[tokio::test]
async fn an_enclave_that_does_not_answer_is_given_up_in_time() {
    let start = Instant::now();
    let error = classified(Vec::new()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { after, .. } if after == Duration::from_millis(500)), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_refused_image_says_why() {
    let body =
        br#"{"type": "urn:cloister:problem:image", "title": "The image cannot be used", "detail": "no breast in it"}"#;
    let error = classified(answer("422 Unprocessable Content", body)).await.unwrap_err();
    assert!(
        matches!(&error, Error::Refused { status: 422, kind, .. } if kind == "urn:cloister:problem:image"),
        "{error}"
    );
    assert!(error.to_string().ends_with("(422): The image cannot be used: no breast in it"), "{error}");
}

#[tokio::test]
async fn a_refusal_without_words_is_told_by_its_status() {
    let error = classified(answer("503 Service Unavailable", b"<html>")).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { status: 503, title, .. } if title == "Service Unavailable"), "{error}");
}

#[tokio::test]
async fn metrics_are_text_and_bounded() {
    let metrics = async |body: &[u8]| {
        let other = Other::These(answer("200 OK", body));
        let server = Server::start(Script { attestation: None, other }).await;
        server.verify(Options::default()).await.unwrap().metrics().await
    };
    assert_eq!(metrics(b"cloister_ready 1\n").await.unwrap(), "cloister_ready 1\n");
    let error = metrics(b"\xff").await.unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }), "{error}");
    let error = metrics(&vec![b' '; limits::MAX_METRICS_BYTES + 1]).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: limits::MAX_METRICS_BYTES, .. }), "{error}");
}

#[tokio::test]
async fn an_exam_of_another_set_than_the_four_views_is_not_sent() {
    let server = Server::start(Script { attestation: None, other: Other::These(answer("500 Not Reached", b"")) }).await;
    let mut session = server.verify(Options::default()).await.unwrap();
    let images = |views: &[View]| views.iter().map(|view| (*view, PNG.to_vec())).collect::<Vec<_>>();
    let three = images(&[View::LCc, View::RCc, View::RMlo]);
    let error = session.exam(three, None, None).await.unwrap_err();
    assert!(matches!(error, Error::Views { view: View::LMlo, problem: "missing" }), "{error}");
    let none =
        session.exam_allowing(Allowed { mixed: false, missing: true }, Vec::new(), None, None).await.unwrap_err();
    assert!(matches!(none, Error::Views { view: View::LCc, problem: "missing" }), "{none}");
    let twice = images(&[View::LCc, View::LCc, View::RCc, View::LMlo, View::RMlo]);
    let error = session.exam(twice, None, None).await.unwrap_err();
    assert!(matches!(error, Error::Views { view: View::LCc, problem: "there twice" }), "{error}");
}

#[tokio::test]
async fn another_tls_than_1_3_and_no_tls_at_all_are_no_connection() {
    let (acceptor, _) = acceptor(&[&version::TLS12]);
    for tls in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            if tls {
                drop(acceptor.accept(stream).await);
            } else {
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.ok();
            }
        });
        let error = connect(&address, Options::default()).await.err().unwrap();
        assert!(matches!(error, Error::Handshake { .. }), "{error}");
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let error = connect(&address, Options::default()).await.err().unwrap();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}
