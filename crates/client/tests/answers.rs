//! What a client makes of answers, before and after the enclave is verified: a small TLS server that attests and then says what it
//! is told to.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloister_attest::{Binding, MODEL_PCR, Measurement, Policy, Root, extended};
use cloister_client::receipt::ReceiptError;
use cloister_client::{Allowed, Asked, Error, Map, Options, ReceiptMismatch, Session, connect, limits};
use cloister_imaging::View;
use cloister_nsm::{AttestRequest, Nsm};
use cloister_receipt::SigningKey;
use cloister_sim::nsm::{Authority, Simulated, SimulatedNsm};
use cloister_transport::Address;
use rcgen::{CertifiedKey, PublicKeyData, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const IMAGE: [u8; 48] = [0xc1; 48];
const MODEL: [u8; 48] = [0x16; 48];
const MAP: [u8; 6] = [0, 255, 3, 4, 5, 6];
const PNG: &[u8] = b"\x89PNG and so on";

/// What the server says to a request for a document, and to any other.
#[derive(Clone)]
struct Script {
    /// The true document where there is nothing.
    attestation: Option<Vec<u8>>,
    other: Other,
}

/// What the server says to any other request.
#[derive(Clone)]
enum Other {
    These(Vec<u8>),
    Classification(Lie),
}

/// What is wrong with the receipt of a classification.
#[derive(Clone, Copy, Debug)]
enum Lie {
    Nothing,
    NoReceipt,
    Garbage,
    Nonce,
    Image,
    /// An identifier of DICOM's, for an image that has none.
    Identifier,
    View,
    Score,
    /// Shows less than was found.
    FindingHidden,
    /// Shows more than was found.
    FindingInvented,
    /// Keeps what was found of the exam to itself.
    FindingOfExam,
    Time,
    /// Dated after the end of the certificate that vouches for the key.
    Expired,
    /// Of another model than the one in the document that vouches for the key.
    Measurement,
    Model,
    /// A map for a request that asks for none.
    MapUnasked,
    /// No map for one that asks.
    MapMissing,
    /// A map in the answer alone.
    MapUnsigned,
    /// A map in the receipt alone.
    MapUnshown,
    /// For another label than was asked for.
    MapLabel,
    /// One value changed.
    MapValue,
    /// The same values in another shape.
    MapShape,
    /// Fewer values than rows and columns, as the receipt has them too.
    MapCut,
    /// Signed by another key, and with a document that vouches for that one.
    Key,
    /// Signed by another key, under a document that vouches for the right one.
    Signature,
}

/// What signs: the keys and the module of one enclave.
struct Enclave {
    nsm: SimulatedNsm,
    receipts: SigningKey,
    binding: Binding,
}

impl Enclave {
    fn document(&self, binding: &Binding, key: Option<&SigningKey>, nonce: Option<Vec<u8>>) -> Vec<u8> {
        let public_key = key.map(|key| key.public_key_der().to_vec());
        let request = AttestRequest { public_key, user_data: Some(binding.encode()), nonce };
        self.nsm.attest(&request).unwrap()
    }

    /// The map in an answer, and the one in its receipt.
    fn map(&self, head: &str, lie: Lie) -> (Option<serde_json::Value>, Option<cloister_receipt::Map>) {
        if !head.contains("map=benign") && !matches!(lie, Lie::MapUnasked) || matches!(lie, Lie::MapMissing) {
            return (None, None);
        }
        let label = if matches!(lie, Lie::MapLabel) { "malignant" } else { "benign" };
        let values = if matches!(lie, Lie::MapCut) { &MAP[..5] } else { &MAP };
        let sha256 = cloister_receipt::map_sha256(label, 2, 3, values);
        let mut shown = values.to_vec();
        shown[0] ^= u8::from(matches!(lie, Lie::MapValue));
        let (rows, columns) = if matches!(lie, Lie::MapShape) { (3, 2) } else { (2, 3) };
        let map =
            serde_json::json!({"label": label, "rows": rows, "columns": columns, "values": STANDARD.encode(shown)});
        let signed = cloister_receipt::Map { label: label.to_owned(), sha256 };
        match lie {
            Lie::MapUnsigned => (Some(map), None),
            Lie::MapUnshown => (None, Some(signed)),
            _ => (Some(map), Some(signed)),
        }
    }

    /// The answer to an image, with a receipt that lies in the way given.
    fn classification(&self, head: &str, body: &[u8], lie: Lie) -> Vec<u8> {
        let nonce = head.split_once("nonce=").unwrap().1.split([' ', '&']).next().unwrap();
        let mut bytes_sha256 = [0; 32];
        bytes_sha256.copy_from_slice(digest(&SHA256, body).as_ref());
        let mut receipt = cloister_test_data::receipt();
        receipt.nonce = Some(hex::decode(nonce).unwrap());
        receipt.model.digest = MODEL;
        receipt.views[0].bytes_sha256 = bytes_sha256;
        receipt.views[0].scores = BTreeMap::from([("benign".to_owned(), 0.5), ("malignant".to_owned(), 0.5)]);
        receipt.views[0].findings = vec!["edge-line".to_owned()];
        match lie {
            Lie::FindingOfExam => receipt.findings = vec!["missing-R-CC".to_owned()],
            Lie::Nonce => receipt.nonce = Some(vec![7; 32]),
            Lie::Image => receipt.views[0].bytes_sha256 = [7; 32],
            Lie::Identifier => receipt.views[0].sop_instance_uid = Some("1.2.3".to_owned()),
            Lie::View => receipt.views[0].view = "R-CC".to_owned(),
            Lie::Score => receipt.views[0].scores.insert("benign".to_owned(), 0.25).map_or((), drop),
            Lie::Measurement => receipt.model.digest = [7; 48],
            Lie::Model => receipt.model.name = "another".to_owned(),
            _ => {}
        }
        let (map, signed) = self.map(head, lie);
        receipt.views[0].map = signed;
        let other = SigningKey::generate().unwrap();
        let vouched = match lie {
            Lie::Key => (self.binding.with_receipt(other.public_key_der()), &other),
            _ => (self.binding, &self.receipts),
        };
        let document = self.document(&vouched.0, Some(vouched.1), None);
        let key = if matches!(lie, Lie::Key | Lie::Signature) { &other } else { &self.receipts };
        // The module's clock and this one are the same, but documents are dated to the millisecond.
        let early = match lie {
            Lie::Time => Duration::from_secs(2 * 60 * 60),
            Lie::Expired => Duration::from_secs(4 * 60 * 60),
            _ => Duration::ZERO,
        };
        receipt.time = SystemTime::now() + early;
        let signed = receipt.sign(key, &document).unwrap();
        let mut json = serde_json::json!({
            "view": "L-CC", "window": [1, 2, 3, 4], "best_center": [5, 6], "benign": 0.5, "malignant": 0.5, "crops": 1, "new": {}, "took": 7,
            "findings": ["edge-line"],
            "model": {"name": "m", "version": 1, "digest": hex::encode(MODEL)},
        });
        if let Some(map) = map {
            json["map"] = map;
        }
        match lie {
            Lie::FindingHidden => json["findings"] = serde_json::json!([]),
            Lie::FindingInvented => json["findings"] = serde_json::json!(["edge-line", "saturated"]),
            _ => {}
        }
        match lie {
            Lie::NoReceipt => {}
            Lie::Garbage => json["receipt"] = "AAAA".into(),
            _ => json["receipt"] = STANDARD.encode(signed).into(),
        }
        answer("200 OK", json.to_string().as_bytes())
    }
}

struct Server {
    address: Address,
    policy: Policy,
}

impl Server {
    async fn start(script: Script) -> Self {
        let authority = Authority::ephemeral().unwrap();
        let mut pcrs: BTreeMap<_, _> = (0..3).map(|index| (index, IMAGE)).collect();
        pcrs.insert(MODEL_PCR, extended(&MODEL));
        let simulated = Simulated { pcrs: pcrs.clone(), ..Simulated::default() };
        let nsm = SimulatedNsm::new(&authority, simulated).unwrap();
        let (acceptor, spki) = acceptor(&[&version::TLS13]);
        let receipts = SigningKey::generate().unwrap();
        let binding = Binding::of(&spki).with_receipt(receipts.public_key_der());
        let enclave = Arc::new(Enclave { nsm, receipts, binding });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, script, enclave) = (acceptor.clone(), script.clone(), Arc::clone(&enclave));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    converse(stream, &script, &enclave).await;
                });
            }
        });
        let accepted = Measurement { label: "the test's".into(), until: None, pcrs };
        let root = Root::from_pem(authority.root_pem()).unwrap();
        Self { address, policy: Policy::new(root, Duration::from_secs(300), vec![accepted]).unwrap() }
    }

    async fn verify(&self, options: Options) -> Result<Session, Error> {
        connect(&self.address, options).await?.verify(&self.policy, SystemTime::now()).await
    }
}

fn acceptor(versions: &[&'static rustls::SupportedProtocolVersion]) -> (TlsAcceptor, Vec<u8>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["enclave.invalid".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), signing_key.subject_public_key_info())
}

/// Reads a request's head and body.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, body))
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, script: &Script, enclave: &Enclave) {
    while let Some((head, body)) = request(&mut stream).await {
        let nonce = head.strip_prefix("get /v1/attestation?nonce=").and_then(|rest| rest.split(' ').next());
        let bytes = match (nonce, &script.attestation) {
            (None, _) => match &script.other {
                Other::These(bytes) => bytes.clone(),
                Other::Classification(lie) => enclave.classification(&head, &body, *lie),
            },
            (Some(_), Some(given)) => given.clone(),
            (Some(nonce), None) => {
                let nonce = hex::decode(nonce).unwrap();
                answer("200 OK", &enclave.document(&enclave.binding, None, Some(nonce)))
            }
        };
        if bytes.is_empty() {
            // Says nothing, and keeps the connection.
            std::future::pending::<()>().await;
        }
        stream.write_all(&bytes).await.ok();
    }
}

fn answer(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nRetry-After: 7\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

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
