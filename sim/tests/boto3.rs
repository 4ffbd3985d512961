//! AWS's own clients against the simulated KMS: `tests/python/kms_clients.py`, in a virtual environment made here.
//!
//! The environment comes from PyPI, pinned by `tests/python/requirements.txt`, and is kept in `$CLOISTER_CACHE`, or else in the
//! target folder. Where it cannot be installed this test fails: it is never skipped.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use cloister_sim::python::environment;

const SIM: &str = env!("CARGO_BIN_EXE_cloister-sim");

/// The simulator's process, ended with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed\n{stdout}\n{stderr}");
}

/// The virtual environment's Python, installed once for each set of pins.
fn python(scripts: &Path) -> PathBuf {
    let pins = fs::read_to_string(scripts.join("requirements.txt")).unwrap();
    let cache =
        std::env::var_os("CLOISTER_CACHE").map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    environment(&cache, "kms-clients", &pins).unwrap()
}

fn wait_for(path: &Path) -> String {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        match fs::read_to_string(path) {
            Ok(text) => return text.trim().to_owned(),
            Err(error) => assert!(Instant::now() < end, "{} did not appear: {error}", path.display()),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn boto3_and_the_aws_command_line_talk_to_the_simulated_kms() {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    let python = python(&scripts);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    run(Command::new(SIM).args(["nsm", "init", "--dir"]).arg(at("nsm")));
    let mut kms = Command::new(SIM);
    kms.args(["kms", "--listen", "tcp://127.0.0.1:0", "--nsm-root"]).arg(at("nsm/root.pem"));
    kms.arg("--ca-out").arg(at("ca.pem")).arg("--address-out").arg(at("address")).arg("--state").arg(at("state.json"));
    let _kms = Process(kms.env("CLOISTER_LOG", "warn").spawn().unwrap());
    let endpoint = wait_for(&at("address"));
    let mut clients = Command::new(python);
    clients
        .arg(scripts.join("kms_clients.py"))
        .arg(endpoint)
        .arg(at("ca.pem"))
        .arg(SIM)
        .arg(at("nsm"))
        .arg(folder.path());
    run(clients.env_remove("AWS_PROFILE").env_remove("AWS_CA_BUNDLE"));
}
