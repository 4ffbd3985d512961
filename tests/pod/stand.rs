//! A place for the pod's script to run: a node's files, a stand-in for nitro-cli, and the real parent and proxy on Unix sockets and TCP.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use cloister_tests::{Output, Process, binary, run};
use tempfile::TempDir;

/// A stand-in's measurements, as nitro-cli and a release write them.
pub fn measurements(pcr0: char) -> String {
    let pcr = |digit: char| digit.to_string().repeat(96);
    format!(
        r#"{{"Measurements": {{"HashAlgorithm": "Sha384 {{ ... }}", "PCR0": "{}", "PCR1": "{}", "PCR2": "{}"}}}}"#,
        pcr(pcr0),
        pcr('b'),
        pcr('c')
    )
}

/// One node with one pod on it.
pub struct Pod {
    folder: TempDir,
    settings: BTreeMap<&'static str, String>,
    process: Option<Process>,
}

impl Pod {
    /// A node on which nothing is missing, and a pod that is not started yet.
    pub fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let pod = Self { folder, settings: BTreeMap::new(), process: None };
        pod.write("node/dev/nitro_enclaves", "");
        pod.write("node/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "1");
        pod.write("node/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "512");
        pod.write("node/sys/module/nitro_enclaves/parameters/ne_cpus", "1-2,5");
        pod.write("cloister.eif", ".eif, as far as the script looks");
        pod.write("measurements.json", &measurements('a'));
        pod.write("nitro/eif.json", &measurements('a'));
        pod.write("model.sealed", "sealed");
        pod.with_settings()
    }

    fn with_settings(mut self) -> Self {
        let parent = binary("cloister-parent");
        let bin = parent.parent().expect("a folder").display().to_string();
        binary("cloister-proxy");
        let unix = |name: &str| format!("unix://{}", self.path(name).display());
        let at = |name: &str| self.path(name).display().to_string();
        self.settings = BTreeMap::from([
            ("CLOISTER_BIN", bin),
            ("CLOISTER_ROOT", at("node")),
            ("CLOISTER_EIF", at("cloister.eif")),
            ("CLOISTER_MEASUREMENTS", at("measurements.json")),
            ("CLOISTER_MODEL", at("model.sealed")),
            ("CLOISTER_RUN_DIR", at("run")),
            ("CLOISTER_RELAY_LISTEN", "tcp://127.0.0.1:0".to_owned()),
            ("CLOISTER_HTTP_LISTEN", "tcp://127.0.0.1:0".to_owned()),
            ("CLOISTER_ENCLAVE_ADDRESS", unix("enclave")),
            ("CLOISTER_CONTROL_LISTEN", unix("control")),
            ("CLOISTER_EGRESS_LISTEN", unix("egress")),
            ("CLOISTER_POLL_SECONDS", "1".to_owned()),
            ("CLOISTER_QUICK_DEATHS", "3".to_owned()),
            ("AWS_REGION", "eu-central-1".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("FAKE_NITRO", at("nitro")),
        ]);
        self
    }

    /// Tells it something else.
    pub fn set(mut self, name: &'static str, value: &str) -> Self {
        self.settings.insert(name, value.replace("FOLDER", &self.folder.path().display().to_string()));
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    fn command(&self) -> Command {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
        let path = format!("{}:{}", root.join("tests/pod").display(), std::env::var("PATH").expect("a PATH"));
        let mut command = Command::new(root.join("run.sh"));
        command.arg("pod").env_clear().envs(&self.settings).env("PATH", path).env("HOME", self.folder.path());
        command
    }

    pub fn start(mut self) -> Self {
        self.process = Some(Process::start(self.folder.path(), "pod", &mut self.command()));
        self
    }

    /// Runs it where it ends by itself.
    pub fn ends(&self) -> Output {
        run(&mut self.command())
    }

    /// Calls the stand-in as someone else on the node would.
    pub fn nitro_cli(&self, arguments: &[&str]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("pod/nitro-cli");
        let folder = self.folder.path();
        let mut command = Command::new(script);
        command.args(arguments).env("FAKE_NITRO", self.path("nitro"));
        run(command.env("NITRO_CLI_SOCKETS_PATH", folder).env("NITRO_CLI_LOGS_PATH", folder))
    }

    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it was started")
    }

    pub fn words(&self) -> String {
        self.process.as_ref().map(Process::words).unwrap_or_default()
    }

    /// Waits until it said something that often.
    pub fn says(&mut self, words: &str, times: usize) {
        self.process().until(words, |log| (log.matches(words).count() >= times).then_some(()));
    }

    /// What nitro-cli was asked to do, describing left out.
    pub fn calls(&self) -> Vec<String> {
        let calls = std::fs::read_to_string(self.path("nitro/calls")).unwrap_or_default();
        calls.lines().filter(|call| !call.starts_with("describe-")).map(str::to_owned).collect()
    }

    pub fn launches(&self) -> usize {
        self.calls().iter().filter(|call| call.starts_with("run-enclave")).count()
    }

    /// The enclaves that run.
    pub fn enclaves(&self) -> Vec<String> {
        let folder = std::fs::read_dir(self.path("nitro/enclaves"));
        let names = folder.into_iter().flatten().map(|entry| entry.expect("an entry").file_name());
        names.map(|name| name.into_string().expect("text")).collect()
    }

    /// Ends the one enclave as a crash would.
    pub fn crash(&self) {
        let enclaves = self.enclaves();
        assert_eq!(enclaves.len(), 1, "{enclaves:?}");
        let pid =
            std::fs::read_to_string(self.path(&format!("nitro/enclaves/{}/pid", enclaves[0]))).expect("its number");
        kill(pid.trim());
    }

    /// Ends one of the pod's own processes as a crash would.
    pub fn crash_of(&mut self, name: &str) {
        let pod = self.process().id();
        let children = std::fs::read_to_string(format!("/proc/{pod}/task/{pod}/children")).expect("its children");
        let is =
            |pid: &&str| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name);
        kill(children.split_whitespace().find(is).expect("it is a child"));
    }

    /// Takes the enclave's place.
    pub fn enclave(&self) -> UnixListener {
        UnixListener::bind(self.path("enclave")).expect("the enclave's socket")
    }

    fn address(&self, which: &str) -> String {
        let text = std::fs::read(self.path("run/parent.address")).expect("the parent listens");
        let addresses: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        addresses[which].as_str().and_then(|address| address.strip_prefix("tcp://")).expect("TCP").to_owned()
    }

    /// A client of the relay.
    pub fn client(&self) -> TcpStream {
        let client = TcpStream::connect(self.address("relay")).expect("the relay listens");
        client.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        client
    }

    /// The status and body of one of the pod's endpoints.
    pub fn get(&self, path: &str) -> (u16, String) {
        let stream = TcpStream::connect(self.address("http")).expect("the endpoint listens");
        exchange(stream, &format!("GET {path} HTTP/1.0\r\n\r\n"))
    }

    /// Tells the parent something in the enclave's place; the status.
    pub fn tell(&self, event: &str) -> u16 {
        let body = format!("{{\"time\":\"2026-01-01T00:00:00Z\",\"event\":\"{event}\"}}\n");
        let head = "POST /v1/events HTTP/1.1\r\nhost: parent\r\nconnection: close\r\n";
        let stream = UnixStream::connect(self.path("control")).expect("the control endpoint listens");
        exchange(stream, &format!("{head}content-length: {}\r\n\r\n{body}", body.len())).0
    }
}

impl Drop for Pod {
    /// Not even a test that failed leaves processes behind.
    fn drop(&mut self) {
        if let Some(process) = &mut self.process
            && process.lives()
        {
            process.signal("-TERM");
            process.signal("-TERM");
            let end = Instant::now() + Duration::from_secs(30);
            while process.lives() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        for enclave in self.enclaves() {
            let pid = std::fs::read_to_string(self.path(&format!("nitro/enclaves/{enclave}/pid"))).unwrap_or_default();
            // It may have ended by itself.
            let _ = Command::new("kill").args(["-KILL", pid.trim()]).output();
        }
    }
}

fn kill(pid: &str) {
    assert!(Command::new("kill").args(["-KILL", pid]).status().expect("kill runs").success());
}

fn exchange(mut stream: impl Read + Write, request: &str) -> (u16, String) {
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}
