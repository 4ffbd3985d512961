//! The untrusted parent as a process, and the list of enclaves that it may read.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use cloister_transport::Address;

use crate::process::{Process, binary};

/// The parent's credentials of the simulated KMS.
pub(crate) const PARENT: [(&str, &str); 3] = [
    ("AWS_ACCESS_KEY_ID", "CLOISTERSIMPARENT"),
    ("AWS_SECRET_ACCESS_KEY", "simulated-secret-of-the-parent"),
    ("AWS_SESSION_TOKEN", "simulated-session-token-of-the-parent"),
];

/// Where a parent reads which enclaves there are.
pub(crate) const LIST: &str = "enclaves.toml";

/// Starts a parent with its control endpoint and its enclave in that folder: the process, its relay, its pod's endpoint.
pub fn start_parent(dir: &Path, sealed: &Path) -> (Process, Address, Address) {
    single_parent(dir, sealed, &[], &[])
}

pub(crate) fn single_parent(
    dir: &Path,
    sealed: &Path,
    sets: &[&str],
    environment: &[(&'static str, String)],
) -> (Process, Address, Address) {
    let (enclave, control, model) = (unix(dir, "enclave"), unix(dir, "control"), sealed.display().to_string());
    let mut flags = vec!["--enclave", &enclave, "--control-listen", &control, "--model", &model];
    flags.extend(sets.iter().flat_map(|set| ["--set", set]));
    run_parent(dir, &flags, environment)
}

pub(crate) fn run_parent(
    dir: &Path,
    enclaves: &[&str],
    environment: &[(&'static str, String)],
) -> (Process, Address, Address) {
    let addresses = dir.join("parent.json");
    let mut command = Command::new(binary("cloister-parent"));
    command.args(["--relay-listen", "tcp://127.0.0.1:0", "--http-listen", "tcp://127.0.0.1:0"]);
    command.args(enclaves).arg("--address-file").arg(&addresses);
    if environment.is_empty() {
        command.envs(PARENT);
    } else {
        command.envs(environment.iter().map(|(name, value)| (name, value)));
    }
    let mut parent = Process::start(dir, "parent", &mut command);
    let bound: BTreeMap<String, String> =
        parent.until("listening", |_| serde_json::from_slice(&std::fs::read(&addresses).ok()?).ok());
    let address = |name: &str| bound[name].parse().expect("an address");
    (parent, address("relay"), address("http"))
}

/// The address of a socket in that folder.
pub(crate) fn unix(dir: &Path, name: &str) -> String {
    format!("unix://{}", dir.join(name).display())
}

/// Writes the list that a parent reads: each enclave's address, its control endpoint's socket, and its sealed model.
pub(crate) fn list_enclaves(dir: &Path, enclaves: &[(&str, &str, &Path)]) {
    let one = |(address, control, model): &(&str, &str, &Path)| {
        let (control_address, model) = (unix(dir, control), model.display().to_string());
        format!(
            "[[enclave]]\nname = \"by-{control}\"\naddress = {address:?}\ncontrol = {control_address:?}\nmodel = {model:?}\n"
        )
    };
    std::fs::write(dir.join(LIST), enclaves.iter().map(one).collect::<String>()).expect("the folder takes files");
}
