//! A small TLS server that attests, and then says what it is told to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloister_attest::{Binding, MODEL_PCR, Measurement, Policy, Root, extended};
use cloister_client::{Error, Options, Session, connect};
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
pub(super) const MODEL: [u8; 48] = [0x16; 48];
pub(super) const MAP: [u8; 6] = [0, 255, 3, 4, 5, 6];

/// What the server says to a request for a document, and to any other.
#[derive(Clone)]
pub(super) struct Script {
    /// The true document where there is nothing.
    pub(super) attestation: Option<Vec<u8>>,
    pub(super) other: Other,
}

/// What the server says to any other request.
#[derive(Clone)]
pub(super) enum Other {
    These(Vec<u8>),
    Classification(Lie),
}

/// What is wrong with the receipt of a classification.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lie {
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

pub(super) struct Server {
    pub(super) address: Address,
    pub(super) policy: Policy,
}

impl Server {
    pub(super) async fn start(script: Script) -> Self {
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

    pub(super) async fn verify(&self, options: Options) -> Result<Session, Error> {
        connect(&self.address, options).await?.verify(&self.policy, SystemTime::now()).await
    }
}

pub(super) fn acceptor(versions: &[&'static rustls::SupportedProtocolVersion]) -> (TlsAcceptor, Vec<u8>) {
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

pub(super) fn answer(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nRetry-After: 7\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}
