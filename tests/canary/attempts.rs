//! Requests with a canary in them, by every path: good ones, bad ones, and what is no request at all.

use std::time::Duration;

use cloister_imaging::View;
use cloister_tests::{Dicom, Front, image};
use cloister_transport::Address;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::search::{CORE, PIXELS};

/// How it is sent.
enum How {
    Http1,
    Http2,
    /// Bytes inside of TLS.
    Raw,
}

/// One request.
pub struct Attempt {
    /// What it is.
    pub what: &'static str,
    /// Whether it is one image, well-formed in every respect, which is answered with scores.
    pub scores: bool,
    how: How,
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Attempt {
    fn new(what: &'static str, method: &'static str, path: &str, kind: &str, body: Vec<u8>) -> Self {
        let headers = vec![
            ("content-type", kind.to_owned()),
            ("authorization", format!("Bearer {CORE}")),
            ("cookie", format!("patient={CORE}")),
            ("user-agent", CORE.to_owned()),
            ("x-patient", CORE.to_owned()),
        ];
        Self { what, scores: false, how: How::Http1, method, path: path.to_owned(), headers, body }
    }

    fn raw(what: &'static str, bytes: Vec<u8>) -> Self {
        Self { how: How::Raw, headers: Vec::new(), ..Self::new(what, "", "", "", bytes) }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn scored(mut self) -> Self {
        self.scores = true;
        self
    }

    fn over_http_2(mut self) -> Self {
        self.how = How::Http2;
        self
    }

    /// What goes into TLS, as far as the canaries in it go.
    pub fn sent(&self) -> Vec<u8> {
        let headers: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        [self.path.as_bytes(), headers.as_bytes(), &self.body].concat()
    }

    /// Sends it over a connection of its own, and gives the answer's status, where there is an answer.
    pub async fn send(&self, server: &Address) -> Option<u16> {
        match self.how {
            How::Http1 => Some(self.http_1(server).await.status),
            How::Http2 => Some(self.http_2(server).await),
            How::Raw => {
                let mut stream = Front::tls(server).await;
                // The enclave may refuse in the middle.
                let _ = stream.write_all(&self.body).await;
                let _ = stream.flush().await;
                let _ = stream.shutdown().await;
                let mut answer = [0; 12];
                let read = tokio::time::timeout(Duration::from_secs(2), stream.read_exact(&mut answer)).await;
                read.ok()?.ok()?;
                std::str::from_utf8(&answer).ok()?.strip_prefix("HTTP/1.1 ")?.parse().ok()
            }
        }
    }

    /// The answer of one that is answered with scores.
    pub async fn answer(&self, server: &Address) -> Value {
        self.http_1(server).await.json()
    }

    async fn http_1(&self, server: &Address) -> cloister_tests::Answer {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Front::connect(server).await.send_with(self.method, &self.path, &headers, self.body.clone()).await
    }

    async fn http_2(&self, server: &Address) -> u16 {
        let stream = Front::tls_with(server, b"h2").await;
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut requests, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        let mut request =
            hyper::Request::builder().method(self.method).uri(format!("https://enclave.invalid{}", self.path));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(Bytes::from(self.body.clone()))).unwrap();
        requests.send_request(request).await.unwrap().status().as_u16()
    }
}

/// All of them.
pub fn attempts() -> Vec<Attempt> {
    [asking(), images(), exams(), invocations(), nonsense()].into_iter().flatten().collect()
}

const PNG: &str = "image/png";

fn asking() -> Vec<Attempt> {
    let nonce = hex::encode(CORE.repeat(3));
    let get = |what, path: &str| Attempt::new(what, "GET", path, "text/plain", Vec::new());
    vec![
        get("a nonce of words", &format!("/v1/attestation?nonce={CORE}")),
        get("a nonce", &format!("/v1/attestation?nonce={nonce}")),
        get("a parameter beside the nonce", &format!("/v1/attestation?nonce={nonce}&{CORE}={CORE}")),
        get("a nonce over HTTP/2", &format!("/v1/attestation?nonce={CORE}")).over_http_2(),
        get("a path that is not there", &format!("/v1/{CORE}")),
        get("a path that is not there over HTTP/2", &format!("/v1/{CORE}")).over_http_2(),
        get("readiness", &format!("/readyz?{CORE}")),
        get("metrics", &format!("/metrics?{CORE}")),
        get("the interface", &format!("/openapi.json?{CORE}")),
        get("ping", &format!("/ping?{CORE}")),
        Attempt::new("a method that is not taken", "PUT", &format!("/v1/images?{CORE}"), PNG, canary_png()),
        Attempt::new("a method of one's own", "ZQ7CANARY", "/v1/images", PNG, Vec::new()),
    ]
}

fn images() -> Vec<Attempt> {
    let post = |what, query: &str, body| Attempt::new(what, "POST", &format!("/v1/images?{query}"), PNG, body);
    let good = "view=L-CC&crops=1";
    vec![
        post("an image", good, canary_png()).scored(),
        post("an image over HTTP/2", good, canary_png()).over_http_2(),
        post("a view of words", &format!("view={CORE}"), canary_png()),
        post("crops of words", &format!("view=L-CC&crops={CORE}"), canary_png()),
        post("a parameter that is not known", &format!("{good}&patient={CORE}"), canary_png()),
        post("a nonce of words", &format!("{good}&nonce={CORE}"), canary_png()),
        post("a nonce for the receipt", &format!("{good}&nonce={}", hex::encode(CORE.repeat(2))), canary_png()),
        post("a map", &format!("{good}&map=malignant"), canary_png()),
        post("a map for words", &format!("{good}&map={CORE}"), canary_png()),
        post("the wrong side", "view=R-CC&crops=1", canary_png()),
        post("an image cut short", good, canary_png()[..400_000].to_vec()),
        post("an image with a broken checksum", good, broken(canary_png())),
        post("a DICOM file", good, dicom()),
        post("a DICOM mammogram", "crops=1", mammogram(View::LCc)).scored(),
        post("a DICOM mammogram of another view", "view=R-CC&crops=1", mammogram(View::LCc)),
        post("a DICOM mammogram cut short", "crops=1", mammogram(View::LCc)[..400_000].to_vec()),
        post("words", good, CORE.repeat(100).into_bytes()),
        post("nothing but a signature", good, [b"\x89PNG\r\n\x1a\n", CORE.as_bytes()].concat()),
        Attempt::new("a type of words", "POST", &format!("/v1/images?{good}"), CORE, canary_png()),
    ]
}

fn exams() -> Vec<Attempt> {
    let post = |what, kind: &str, body| Attempt::new(what, "POST", "/v1/exams?crops=1", kind, body);
    let part = |name: &str, image: Vec<u8>| {
        let head = format!(
            "--b{CORE}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{CORE}.png\"\r\nX-Patient: {CORE}\r\n\r\n"
        );
        [head.as_bytes(), &image, b"\r\n"].concat()
    };
    let end = format!("--b{CORE}--\r\n").into_bytes();
    let kind = format!("multipart/form-data; boundary=b{CORE}");
    let all = View::ALL.map(|view| part(view.as_str(), png(view))).concat();
    let mammograms = View::ALL.map(|view| part("image", mammogram(view))).concat();
    vec![
        post("an exam", &kind, [all.clone(), end.clone()].concat()),
        post("an exam cut short", &kind, all.clone()),
        post("a part of words", &kind, [part(CORE, canary_png()), end.clone()].concat()),
        post("a part twice", &kind, [part("L-CC", canary_png()), all, end.clone()].concat()),
        post(
            "a DICOM file among the parts",
            &kind,
            [View::ALL.map(|view| part(view.as_str(), dicom())).concat(), end.clone()].concat(),
        ),
        post("an exam of DICOM mammograms", &kind, [mammograms, end.clone()].concat()),
        post("no parts", &kind, CORE.repeat(100_000).into_bytes()),
        post("no boundary", "multipart/form-data", CORE.as_bytes().to_vec()),
        post("no exam", CORE, canary_png()),
        Attempt::new("a parameter of an exam", "POST", &format!("/v1/exams?{CORE}"), &kind, Vec::new()),
    ]
}

fn invocations() -> Vec<Attempt> {
    const ATTRIBUTES: &str = "x-amzn-sagemaker-custom-attributes";
    let post = |what, attributes: &str| {
        Attempt::new(what, "POST", "/invocations", PNG, canary_png()).with(ATTRIBUTES, attributes)
    };
    vec![
        post("an invocation", "view=L-CC,crops=1"),
        post("a view of words in an attribute", &format!("view={CORE}")),
        post("an attribute that is not known", &format!("view=L-CC,patient={CORE}")),
        post("an attribute of words", CORE),
    ]
}

fn nonsense() -> Vec<Attempt> {
    let host = "Host: enclave.invalid\r\n";
    vec![
        Attempt::raw("no HTTP", format!("{CORE}\r\n\r\n").into_bytes()),
        Attempt::raw("a version of words", format!("GET / {CORE}\r\n{host}\r\n").into_bytes()),
        Attempt::raw(
            "a header without an end",
            format!("GET / HTTP/1.1\r\n{host}X: {}", CORE.repeat(20_000)).into_bytes(),
        ),
        Attempt::raw(
            "a length of words",
            format!("POST /v1/images HTTP/1.1\r\n{host}Content-Length: {CORE}\r\n\r\n").into_bytes(),
        ),
        Attempt::raw(
            "a body that is too large",
            format!("POST /v1/images?view=L-CC HTTP/1.1\r\n{host}Content-Length: 1000000000\r\n\r\n{CORE}")
                .into_bytes(),
        ),
        Attempt::raw(
            "a body that ends too early",
            format!("POST /v1/images?view=L-CC HTTP/1.1\r\n{host}Content-Length: 100\r\n\r\n{CORE}").into_bytes(),
        ),
        Attempt::raw(
            "a chunk of words",
            format!("POST /v1/images?view=L-CC HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n{CORE}\r\n")
                .into_bytes(),
        ),
    ]
}

/// A left breast with a canary in a text chunk and in its pixels, which are not compressed.
fn canary_png() -> Vec<u8> {
    png(View::LCc)
}

fn png(view: View) -> Vec<u8> {
    let drawn = image::load_from_memory(&image(view, 8)).unwrap().into_luma16();
    let (width, height) = drawn.dimensions();
    let mut pixels: Vec<u8> = drawn.into_raw().iter().flat_map(|pixel| pixel.to_be_bytes()).collect();
    // Where there is tissue already, so that the background stays 0.
    for block in pixels.chunks_exact_mut(PIXELS.len()).step_by(7) {
        if block.iter().step_by(2).all(|&high| high != 0) {
            block.copy_from_slice(&PIXELS);
        }
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Sixteen);
    encoder.set_compression(png::Compression::NoCompression);
    encoder.set_filter(png::Filter::NoFilter);
    encoder.add_text_chunk("Comment".to_owned(), CORE.to_owned()).unwrap();
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    file
}

/// The same with a bit of its text flipped, which its checksum does not cover any more.
fn broken(mut png: Vec<u8>) -> Vec<u8> {
    let at = png.windows(7).position(|window| window == b"Comment").unwrap();
    png[at] ^= 1;
    png
}

/// A mammogram that is read, with the canaries in its pixels and in what is said of the patient.
fn mammogram(view: View) -> Vec<u8> {
    Dicom::of(view, &png(view), 1).with(0x0010_0020, "LO", CORE).with(0x0020_4000, "LT", CORE).bytes()
}

/// A Part 10 file (DICOM PS3.10) with a patient in it.
fn dicom() -> Vec<u8> {
    let element = |group: u16, element: u16, kind: &[u8; 2], value: &str| {
        let value = if value.len().is_multiple_of(2) { value.to_owned() } else { format!("{value} ") };
        let length = u16::try_from(value.len()).unwrap().to_le_bytes();
        [&group.to_le_bytes(), &element.to_le_bytes(), kind.as_slice(), &length, value.as_bytes()].concat()
    };
    [
        vec![0; 128],
        b"DICM".to_vec(),
        element(0x0002, 0x0010, b"UI", "1.2.840.10008.1.2.1\0"),
        element(0x0008, 0x0060, b"CS", "MG"),
        element(0x0010, 0x0010, b"PN", &format!("{CORE}^Petra")),
        element(0x0010, 0x0020, b"LO", CORE),
    ]
    .concat()
}
