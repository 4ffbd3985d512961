//! A running `cloister-parent`, and plain sockets around it.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test fails as the test does")]

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long something may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Tries until `found` gives something.
pub(crate) fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < end, "{what} did not come");
        sleep(Duration::from_millis(20));
    }
}

/// Bytes that differ from place to place, so that a lost, doubled or displaced piece shows.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend(next());
    }
    bytes.truncate(length);
    bytes
}

/// The binary with an environment of its own: nothing of this machine's AWS configuration, and no instance metadata.
pub(crate) fn command(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloister-parent"));
    command.env_clear().env("HOME", home).env("AWS_EC2_METADATA_DISABLED", "true").stdin(Stdio::null());
    command
}

/// One process, ended with the test.
pub(crate) struct Parent {
    child: Child,
    folder: TempDir,
    pub(crate) relay: SocketAddr,
    pub(crate) http: SocketAddr,
}

impl Parent {
    pub(crate) fn start(model: &[u8], arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("model"), model).expect("a model");
        let unix = |name: &str| format!("unix://{}", at(name).display());
        let model = at("model").display().to_string();
        let single = ["--enclave", &unix("enclave"), "--control-listen", &unix("control"), "--model", &model];
        Self::run(folder, &[&single, arguments].concat(), environment)
    }

    /// One with a list of enclaves, in which FOLDER is its folder.
    pub(crate) fn start_list(list: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("enclaves.toml");
        std::fs::write(folder.path().join("model"), "sealed").expect("a model");
        std::fs::write(&path, list.replace("FOLDER", &folder.path().display().to_string())).expect("a list");
        let path = path.display().to_string();
        Self::run(folder, &["--enclaves", &path], &[])
    }

    /// Puts another list in the place of the one that is in force, and says so.
    pub(crate) fn list_again(&self, list: &str) {
        let list = list.replace("FOLDER", &self.folder.path().display().to_string());
        std::fs::write(self.path("enclaves.toml"), list).expect("a list");
        self.signal("-HUP");
    }

    fn run(folder: TempDir, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let at = |name: &str| folder.path().join(name);
        let log = File::create(at("log")).expect("a log");
        let mut command = command(folder.path());
        command.args(["--relay-listen", "tcp://127.0.0.1:0", "--http-listen", "tcp://127.0.0.1:0"]);
        command.arg("--address-file").arg(at("addresses"));
        command.args(arguments).envs(environment.iter().copied()).stdout(log.try_clone().expect("a log")).stderr(log);
        let child = command.spawn().expect("the process starts");
        let addresses: HashMap<String, String> =
            until("the address file", || serde_json::from_slice(&std::fs::read(at("addresses")).ok()?).ok());
        let tcp = |name: &str| addresses[name].strip_prefix("tcp://").expect("TCP").parse().expect("an address");
        Self { child, relay: tcp("relay"), http: tcp("http"), folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).expect("a log")
    }

    /// Takes the enclave's place.
    pub(crate) fn enclave(&self) -> UnixListener {
        UnixListener::bind(self.path("enclave")).expect("the enclave's socket")
    }

    pub(crate) fn client(&self) -> TcpStream {
        let client = TcpStream::connect(self.relay).expect("the relay listens");
        client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        client
    }

    /// Asks the control endpoint.
    pub(crate) fn control(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.control_of("control", method, path, headers, body)
    }

    /// Asks an enclave's own control endpoint.
    pub(crate) fn control_of(
        &self,
        socket: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        ask(UnixStream::connect(self.path(socket)).expect("control listens"), method, path, headers, body)
    }

    /// Asks the pod's endpoint.
    pub(crate) fn pod(&self, path: &str) -> Answer {
        ask(TcpStream::connect(self.http).expect("the pod's endpoint listens"), "GET", path, &[], b"")
    }

    /// One sample of `/metrics`.
    pub(crate) fn metric(&self, sample: &str) -> Option<f64> {
        let answer = self.pod("/metrics");
        assert_eq!(answer.status, 200);
        let text = String::from_utf8(answer.body).expect("text");
        text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
    }

    /// Tells one event as the enclave would.
    pub(crate) fn tell(&self, event: &str, detail: &str) -> Answer {
        self.tell_of("control", event, detail)
    }

    /// The same for an enclave with a control endpoint of its own.
    pub(crate) fn tell_of(&self, socket: &str, event: &str, detail: &str) -> Answer {
        let line = serde_json::json!({"time": "2026-01-01T00:00:00Z", "event": event, "detail": detail});
        self.control_of(socket, "POST", "/v1/events", &[], format!("{line}\n").as_bytes())
    }

    /// Memory held now, in bytes (`VmRSS` of proc(5)).
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the process lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("proc(5) names it");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
    }

    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill runs").success());
    }

    pub(crate) fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until("the end", || child.try_wait().expect("a child can be asked"))
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log:\n{}", std::fs::read_to_string(self.path("log")).unwrap_or_default());
        }
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// The kind of problem that it is (RFC 9457), checked for the form.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        let kind = problem["type"].as_str().expect("a type");
        kind.strip_prefix("urn:cloister:problem:").expect("a type of this project").to_owned()
    }

    pub(crate) fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap_or_default().to_owned()
    }
}

/// Writes a request's head, and its body.
pub(crate) fn send(stream: &mut impl Write, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: parent\r\nconnection: close\r\n");
    if method == "POST" {
        head += &format!("content-length: {}\r\n", body.len());
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    stream.write_all(head.as_bytes()).expect("a request is taken");
    // A server that refuses early may close before it has read everything.
    let _ = stream.write_all(body);
}

/// Reads an answer's head.
pub(crate) fn head(stream: &mut impl Read) -> Answer {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a whole head");
        head.extend(byte);
    }
    let head = String::from_utf8(head).expect("text");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status").parse().expect("a number");
    let pairs = lines.filter_map(|line| line.split_once(": "));
    let headers = pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Answer { status, headers, body: Vec::new() }
}

fn ask(mut stream: impl Read + Write, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    send(&mut stream, method, path, headers, body);
    let mut answer = head(&mut stream);
    // A reset after the answer is the server's way of not reading on.
    let _ = stream.read_to_end(&mut answer.body);
    answer
}
