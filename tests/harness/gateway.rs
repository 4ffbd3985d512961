//! A hospital's gateway as a process, and a browser or a program that talks to it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cloister_imaging::View;
use cloister_transport::{Address, dial};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper::header::HeaderMap;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;

use crate::process::{Process, binary};

/// How long an exam may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A gateway.
pub struct Gateway {
    /// Its process.
    pub process: Process,
    /// Where it listens.
    pub address: Address,
    /// Its folder.
    pub data: PathBuf,
    config: PathBuf,
}

impl Gateway {
    /// Starts one in that folder for these enclaves, with further lines of configuration.
    pub fn start(folder: &Path, enclaves: &[&Address], policy: &Path, more: &str) -> Self {
        std::fs::create_dir_all(folder).expect("a folder");
        let data = folder.join("data");
        let list: String = enclaves.iter().map(|address| format!("[[enclave]]\naddress = \"{address}\"\n")).collect();
        let config = folder.join("gateway.toml");
        let text = format!(
            "listen = \"tcp://127.0.0.1:0\"\ndata = {data:?}\npolicy = {policy:?}\n{more}\n{list}[exams]\ncrops = 1\n"
        );
        std::fs::write(&config, text).expect("a configuration");
        Self::start_with(folder, &config, &data)
    }

    /// Starts one with that configuration.
    pub fn start_with(folder: &Path, config: &Path, data: &Path) -> Self {
        let addresses = folder.join("gateway.json");
        // A gateway before this one left it.
        let _ = std::fs::remove_file(&addresses);
        let mut command = Command::new(binary("cloister"));
        command.args(["gateway", "--json-log", "--config"]).arg(config).arg("--address-file").arg(&addresses);
        // For buckets; moto takes any.
        command.env("AWS_ACCESS_KEY_ID", "simulated").env("AWS_SECRET_ACCESS_KEY", "simulated");
        let mut process = Process::start(folder, "gateway", &mut command);
        let address = process.until("listening", |_| {
            let bound: Value = serde_json::from_slice(&std::fs::read(&addresses).ok()?).ok()?;
            bound["listen"].as_str()?.parse().ok()
        });
        Self { process, address, data: data.to_owned(), config: config.to_owned() }
    }

    /// Starts another in its place, with the same folder and configuration.
    pub fn start_again(&mut self) {
        let folder = self.config.parent().expect("a folder").to_owned();
        let new = Self::start_with(&folder, &self.config, &self.data);
        *self = new;
    }

    /// Its audit log.
    pub fn audit(&self) -> PathBuf {
        self.data.join("audit.ndjson")
    }

    /// Somebody who talks to it.
    pub fn client(&self) -> Client {
        Client { address: self.address.clone(), headers: HeaderMap::new() }
    }

    /// Waits until an enclave is verified.
    pub async fn ready(&self) {
        let end = Instant::now() + PATIENCE;
        while self.client().get("/readyz").await.status != 200 {
            assert!(Instant::now() < end, "no enclave was verified:\n{}", self.process.words());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Somebody who talks to a gateway: headers are kept, cookies are not but where one says so.
#[derive(Clone)]
pub struct Client {
    address: Address,
    headers: HeaderMap,
}

/// What a gateway answered.
#[derive(Debug)]
pub struct Said {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Said {
    fn of(head: &Response<()>, body: Vec<u8>) -> Self {
        Self { status: head.status().as_u16(), headers: head.headers().clone(), body }
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{} {}", self.status, String::from_utf8_lossy(&self.body)))
    }

    /// The problem's type, without its prefix.
    pub fn problem(&self) -> String {
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        let kind = problem["type"].as_str().expect("a type");
        kind.strip_prefix("urn:cloister:problem:").expect("a type of this project").to_owned()
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Client {
    /// Sends that header from now on.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().expect("a header"));
        self
    }

    /// Asks.
    pub async fn ask(&self, method: &str, path: &str, kind: &str, body: impl Into<Bytes>) -> Said {
        self.try_ask(method, path, kind, body).await.expect("an answer")
    }

    /// Asks, where the gateway may end meanwhile.
    pub async fn try_ask(&self, method: &str, path: &str, kind: &str, body: impl Into<Bytes>) -> Option<Said> {
        let stream = dial(&self.address, Duration::from_secs(10)).await.ok()?;
        let (mut requests, connection) = handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        let host = self.address.to_string().replace("tcp://", "");
        let mut request = Request::builder().method(method).uri(path).header("host", host).header("content-type", kind);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body.into())).expect("a request");
        let (head, body) = requests.send_request(request).await.ok()?.into_parts();
        let body = body.collect().await.ok()?.to_bytes().to_vec();
        Some(Said::of(&Response::from_parts(head, ()), body))
    }

    /// A GET.
    pub async fn get(&self, path: &str) -> Said {
        self.ask("GET", path, "text/plain", Bytes::new()).await
    }

    /// Sends an exam: each file with the name of its part.
    pub async fn send_exam(&self, query: &str, parts: &[(&str, &[u8])]) -> Said {
        let (kind, body) = form(parts);
        self.ask("POST", &format!("/api/v1/exams{query}"), &kind, body).await
    }

    /// Sends an exam of pictures, each as its view.
    pub async fn send_views(&self, query: &str, pictures: &[(View, Vec<u8>)]) -> Said {
        let parts: Vec<_> = pictures.iter().map(|(view, picture)| (view.as_str(), picture.as_slice())).collect();
        self.send_exam(query, &parts).await
    }

    /// An exam as it is.
    pub async fn exam(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/exams/{id}")).await.json()
    }

    /// Waits until an exam is in one of these states.
    pub async fn until(&self, id: &str, states: &[&str]) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let exam = self.exam(id).await;
            if states.iter().any(|state| exam["state"] == *state) {
                return exam;
            }
            assert!(Instant::now() < end, "{exam:#}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until the work list has so many exams in that state.
    pub async fn until_listed(&self, state: &str, count: usize) -> Vec<Value> {
        let end = Instant::now() + PATIENCE;
        loop {
            let list = self.get(&format!("/api/v1/exams?limit=200&state={state}")).await.json();
            let exams = list["exams"].as_array().expect("a list").clone();
            if exams.len() >= count {
                return exams;
            }
            if Instant::now() >= end {
                panic!("{:#}", self.get("/api/v1/exams").await.json());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// A form (RFC 7578), and its media type.
pub fn form(parts: &[(&str, &[u8])]) -> (String, Vec<u8>) {
    const BOUNDARY: &str = "a-boundary-of-the-tests";
    let mut body = Vec::new();
    for (name, content) in parts {
        let file = if *name == "label" { "" } else { "; filename=\"f\"" };
        body.extend_from_slice(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").as_bytes(),
        );
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={BOUNDARY}"), body)
}

/// Instances as STOW-RS sends them (PS3.18, 10.5.1), and their media type.
pub fn related(instances: &[Vec<u8>]) -> (String, Vec<u8>) {
    const BOUNDARY: &str = "a-boundary-of-the-tests";
    let mut body = Vec::new();
    for instance in instances {
        body.extend_from_slice(format!("--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n").as_bytes());
        body.extend_from_slice(instance);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    (format!("multipart/related; type=\"application/dicom\"; boundary={BOUNDARY}"), body)
}
