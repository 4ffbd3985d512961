//! A PACS that takes instances by STOW-RS, once each.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloister_dicom::{DecodeLimits, Tag, named};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What it holds.
#[derive(Default)]
pub struct Held {
    /// Each instance's file, by its UID.
    pub instances: BTreeMap<String, Vec<u8>>,
    /// The paths that were asked for.
    pub paths: Vec<String>,
    /// How often each instance was sent.
    pub sent: BTreeMap<String, usize>,
    /// Requests that are still to be refused.
    pub refuse: usize,
    /// The time between storing an instance and saying so.
    pub slow: Duration,
}

/// A PACS.
pub struct Pacs {
    /// Its base.
    pub url: String,
    /// What it holds.
    pub held: Arc<Mutex<Held>>,
}

impl Pacs {
    /// Starts one, which refuses so many requests first.
    pub async fn start(refuse: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/dicomweb", listener.local_addr().unwrap());
        let held = Arc::new(Mutex::new(Held { refuse, ..Held::default() }));
        let shared = Arc::clone(&held);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let held = Arc::clone(&shared);
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&held), request));
                    // A gateway that is killed hangs up.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { url, held }
    }
}

async fn answer(held: Arc<Mutex<Held>>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    assert!(
        request.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("multipart/related; type=\"application/dicom\"")
    );
    let Ok(body) = request.into_body().collect().await else { return Ok(Response::new(Full::default())) };
    let (answer, slow) = store(&held, path, &body.to_bytes());
    tokio::time::sleep(slow).await;
    Ok(answer)
}

/// Stores an instance: the answer, and how long it is held up.
fn store(held: &Mutex<Held>, path: String, body: &[u8]) -> (Response<Full<Bytes>>, Duration) {
    let mut held = held.lock().unwrap();
    held.paths.push(path);
    if held.refuse > 0 {
        held.refuse -= 1;
        return (Response::builder().status(503).body(Full::default()).unwrap(), Duration::ZERO);
    }
    let file = only_part(body);
    let uid = instance(file);
    *held.sent.entry(uid.clone()).or_default() += 1;
    if held.instances.contains_key(&uid) {
        let json = r#"{"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [273]}}]}}"#;
        return (Response::builder().status(409).body(Full::from(json)).unwrap(), Duration::ZERO);
    }
    held.instances.insert(uid, file.to_vec());
    (Response::new(Full::from("{}")), held.slow)
}

fn only_part(body: &[u8]) -> &[u8] {
    let find = |from: usize, what: &[u8]| {
        from + body[from..].windows(what.len()).position(|window| window == what).expect("a part")
    };
    let begin = find(0, b"\r\n\r\n") + 4;
    let boundary = &body[..find(0, b"\r\n")];
    let end = find(begin, &[b"\r\n", boundary].concat());
    &body[begin..end]
}

/// SOP Instance UID.
pub fn instance(file: &[u8]) -> String {
    text(file, Tag::new(0x0008, 0x0018))
}

/// An attribute's text.
pub fn text(file: &[u8], tag: Tag) -> String {
    let named = named(file, &DecodeLimits::default(), &[tag]).expect("a DICOM file");
    let value = named.value(tag).unwrap_or_default();
    String::from_utf8_lossy(value).trim_matches(['\0', ' ']).to_owned()
}
