//! An enclave process with a simulated security module.

use std::path::{Path, PathBuf};
use std::process::Command;

use cloister_transport::Address;

use crate::process::{Process, binary};
use crate::world::{MODEL, pcr};

/// Where the world's folder says by how many seconds the security module's clock is ahead.
pub(crate) const CLOCK_FILE: &str = "nsm-clock";

/// The file in the world's folder that makes its enclaves panic.
pub(crate) const PANIC_FILE: &str = "panic";

/// What an enclave is started with.
#[derive(Clone)]
pub struct EnclaveSetup {
    /// PCR0 of its image.
    pub pcr0: [u8; 48],
    /// PCR1 of its image.
    pub pcr1: [u8; 48],
    /// PCR2 of its image.
    pub pcr2: [u8; 48],
    /// In debug mode.
    pub debug: bool,
    /// The model that its image is for.
    pub model: String,
    /// The lowest version of it.
    pub minimum_version: u32,
    /// The keys that may have sealed it; the world's own when empty.
    pub key_arns: Vec<String>,
    /// Images waiting for a processor.
    pub queue: usize,
    /// Processors; 0 means all.
    pub threads: usize,
    /// After so many seconds without an answer its parent is gone; its own default when absent.
    pub parent_gone_seconds: Option<u64>,
    /// Further sections of its measured configuration, in TOML.
    pub extra: String,
}

impl Default for EnclaveSetup {
    fn default() -> Self {
        Self {
            pcr0: pcr(0),
            pcr1: pcr(1),
            pcr2: pcr(2),
            debug: false,
            model: MODEL.to_owned(),
            minimum_version: 1,
            key_arns: Vec::new(),
            queue: 16,
            threads: 0,
            parent_gone_seconds: None,
            extra: String::new(),
        }
    }
}

/// Where an enclave finds its neighbours.
pub(crate) struct Neighbours<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) authority: &'a Path,
    pub(crate) kms_endpoint: String,
    pub(crate) kms_ca: &'a str,
    pub(crate) key_arn: &'a str,
    /// The name of its own socket, in the folder.
    pub(crate) listen: &'a str,
    /// The names of its ways to parent and proxy.
    pub(crate) control: &'a str,
    pub(crate) egress: &'a str,
}

/// A running enclave.
pub struct Enclave {
    /// Its process.
    pub process: Process,
    /// Where it listens.
    pub address: Address,
    /// Its measured configuration.
    pub config: PathBuf,
}

impl Enclave {
    pub(crate) fn start(setup: &EnclaveSetup, near: &Neighbours<'_>) -> Self {
        let folder = near.folder.display();
        let keys = if setup.key_arns.is_empty() { vec![near.key_arn.to_owned()] } else { setup.key_arns.clone() };
        let gone = setup.parent_gone_seconds.map(|gone| format!("gone_seconds = {gone}\n")).unwrap_or_default();
        let text = format!(
            "version = 1\n\
             [model]\nname = {:?}\nminimum_version = {}\nkey_arns = {keys:?}\n\
             [kms]\nendpoint = {:?}\nca = \"\"\"\n{}\"\"\"\n\
             [parent]\ncontrol = \"unix://{folder}/{}\"\negress = \"unix://{folder}/{}\"\n{gone}\
             [serve]\nlisten = \"unix://{folder}/{}\"\nqueue = {}\nthreads = {}\n{}\n",
            setup.model,
            setup.minimum_version,
            near.kms_endpoint,
            near.kms_ca,
            near.control,
            near.egress,
            near.listen,
            setup.queue,
            setup.threads,
            setup.extra
        );
        let config = near.folder.join(format!("{}.toml", near.listen));
        std::fs::write(&config, text).expect("the folder takes files");
        let mut command = Command::new(binary("cloister-enclave"));
        command.arg("--config").arg(&config).arg("--simulated-nsm").arg(near.authority);
        for (index, value) in [(0, setup.pcr0), (1, setup.pcr1), (2, setup.pcr2)] {
            command.arg("--simulated-pcr").arg(format!("{index}={}", hex::encode(value)));
        }
        if setup.debug {
            command.arg("--simulated-debug");
        }
        command.arg("--simulated-clock").arg(near.folder.join(CLOCK_FILE));
        command.arg("--simulated-panic").arg(near.folder.join(PANIC_FILE));
        // It must mean nothing to an enclave.
        command.env("RUST_LOG", "trace");
        let mut process = Process::start(near.folder, near.listen, &mut command);
        process.until("listening", |words| words.contains("listening").then_some(()));
        Self { process, address: Address::Unix(near.folder.join(near.listen)), config }
    }
}
