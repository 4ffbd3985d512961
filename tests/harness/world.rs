//! Everything around an enclave: key management, a sealed model, proxy and parent, and what a client pins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use cloister_attest::{CONFIGURATION_PCR, MODEL_PCR, Measurement, Policy, Root, extended};
use cloister_client::{Error, Options, Session, connect};
use cloister_imaging::View;
use cloister_sim::kms::{Config, Principals, Running, Server};
use cloister_sim::nsm::Authority;
use cloister_transport::Address;
use tempfile::TempDir;

use crate::eavesdropper::Eavesdropper;
use crate::enclave::{CLOCK_FILE, Enclave, EnclaveSetup, Neighbours, PANIC_FILE};
use crate::flaky::Flaky;
use crate::owner::data_key_policy;
use crate::parent::{LIST, list_enclaves, run_parent, single_parent, unix};
use crate::process::{Process, binary, run};
use crate::spoil::Spoil;

/// The name of the demonstration model.
pub const MODEL: &str = "demo-random";

/// The file with the KMS's authority, in a world's folder.
pub(crate) const KMS_CA: &str = "kms-ca.pem";

/// How long a boot may take on a busy machine.
pub(crate) const BOOT_PATIENCE: Duration = Duration::from_secs(120);

/// The demo's credentials of the simulated KMS.
pub const OWNER: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", "CLOISTERSIMMODELOWNER"), ("AWS_SECRET_ACCESS_KEY", "simulated-secret-of-the-model-owner")];

/// A measurement for tests: 48 times the same byte.
pub fn pcr(index: u8) -> [u8; 48] {
    [0xa0 + index; 48]
}

/// The registers of an image whose first is this.
fn simulated_pcrs(pcr0: [u8; 48]) -> BTreeMap<u16, [u8; 48]> {
    BTreeMap::from([(0, pcr0), (1, pcr(1)), (2, pcr(2))])
}

/// A synthetic mammogram, as a PNG.
pub fn image(view: View, seed: u64) -> Vec<u8> {
    let options = cloister_imaging::synthetic::Options { width: 640, height: 832, ..Default::default() };
    let pixels = cloister_imaging::synthetic::generate(seed, view, options);
    cloister_imaging::synthetic::encode_png(&pixels).expect("a PNG")
}

/// What a world is made of.
#[derive(Clone, Default)]
pub struct Setup {
    /// The enclave's.
    pub enclave: EnclaveSetup,
    /// The PCR0 that the key opens for; the enclave's by default.
    pub key_opens_for: Option<[u8; 48]>,
    /// A package of one's own; the demonstration's by default.
    pub package: Option<PathBuf>,
    /// Whether the proxy may connect to the KMS.
    pub kms_not_listed: bool,
    /// Whether every so many streams are cut: between clients and parent, enclave and parent, enclave and proxy.
    pub cut_every: Option<usize>,
    /// Who may call the KMS; the demo's by default.
    pub principals: Option<Principals>,
    /// Where the parent finds AWS credentials; the demo's in its environment by default.
    pub parent_environment: Vec<(&'static str, String)>,
    /// Whether the parent reads its enclaves from a list, so that one can take over from another.
    pub listed: bool,
    /// By how many seconds the security module's clock is ahead of the machine's.
    pub module_clock_ahead: i64,
    /// What the parent sets, as `NAME=VALUE`.
    pub parent_sets: Vec<&'static str>,
    /// Whether everything between clients and parent, enclave and parent, enclave and proxy is kept.
    pub overheard: bool,
    /// What the enclave is answered in the parent's place, by the beginning of its request; only where all is overheard.
    pub answered: BTreeMap<&'static str, String>,
    /// Whether the enclave's configuration lists the data owner's key.
    pub takes_sealed_images: bool,
}

/// A whole system.
pub struct World {
    /// The enclave.
    pub enclave: Enclave,
    /// The untrusted parent.
    pub parent: Process,
    /// The way out.
    pub proxy: Process,
    /// The simulated KMS, which can be made to lie.
    pub kms: Running,
    /// The key that the model is sealed under.
    pub key_arn: String,
    /// A key of the data owner's, which opens for the owner's role, and from this image for the parent's.
    pub data_key_arn: String,
    /// The model package's folder.
    pub package: PathBuf,
    /// The sealed model that the parent hands out.
    pub sealed: PathBuf,
    /// Where clients connect.
    pub server: Address,
    /// The pod's probes.
    pub pod: Address,
    /// What a client pins: this image, this model, this configuration.
    pub policy: Policy,
    /// The simulated root.
    pub root: Root,
    /// The relays that cut streams, where the setup asked for them.
    pub flaky: Vec<Flaky>,
    /// The relays that keep what they carry, where the setup asked for them.
    pub overheard: Vec<Eavesdropper>,
    authority: PathBuf,
    folder: TempDir,
}

impl World {
    /// Starts everything, and does not wait for readiness.
    pub async fn start(setup: Setup) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        Self::start_in(folder, setup, |_| {}).await
    }

    /// The same, with a hand in the sealed file and the KMS before the parent gives the one out and the enclave asks the other.
    pub async fn start_with(setup: Setup, spoil: impl FnOnce(&Spoil<'_>)) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        Self::start_in(folder, setup, spoil).await
    }

    async fn start_in(folder: TempDir, mut setup: Setup, spoil: impl FnOnce(&Spoil<'_>)) -> Self {
        let dir = folder.path().to_owned();
        let authority_dir = dir.join("nsm");
        let authority = Authority::create(&authority_dir).expect("an authority");
        let root = Root::from_pem(authority.root_pem()).expect("a root");
        let mut config = Config::local(authority.root_pem());
        if let Some(principals) = setup.principals.clone() {
            config.principals = principals;
        }
        let kms = Server::start(config).await.expect("a KMS");
        let opens_for = setup.key_opens_for.unwrap_or(setup.enclave.pcr0);
        let key_arn = kms.create_key("111122223333", &key_policy(&opens_for)).expect("a key");
        let measured = BTreeMap::from([(0, setup.enclave.pcr0)]);
        let data_key_arn = kms.create_key("444455556666", &data_key_policy(&measured)).expect("a key");
        if setup.takes_sealed_images {
            setup.enclave.extra += &format!("[data]\nkey_arns = [{data_key_arn:?}]\n");
        }
        let package = setup.package.clone().unwrap_or_else(|| demo_package(&dir));
        let sealed = dir.join("model.sealed");
        seal(&package, &key_arn, &kms, &dir, &sealed);
        spoil(&Spoil { package: &package, key_arn: &key_arn, sealed: &sealed, kms: &kms });
        let proxy = start_proxy(&dir, if setup.kms_not_listed { 1 } else { kms.address.port() });
        let (parent, server, pod) = if setup.listed {
            list_enclaves(&dir, &[(&unix(&dir, "enclave"), "control", &sealed)]);
            run_parent(&dir, &["--enclaves", &dir.join(LIST).display().to_string()], &setup.parent_environment)
        } else {
            single_parent(&dir, &sealed, &setup.parent_sets, &setup.parent_environment)
        };
        std::fs::write(dir.join(CLOCK_FILE), setup.module_clock_ahead.to_string()).expect("the folder takes files");
        let (flaky, server) = cut_streams(&dir, server, setup.cut_every).await;
        let (overheard, server) = listen_in(&dir, server, &setup).await;
        let relayed = !flaky.is_empty() || setup.overheard;
        let enclave = Enclave::start(&setup.enclave, &neighbours(&dir, &authority_dir, &kms, &key_arn, relayed));
        let policy = pinned(&root, &simulated_pcrs(setup.enclave.pcr0), &package, &enclave.config);
        let authority = authority_dir;
        Self {
            enclave,
            parent,
            proxy,
            kms,
            key_arn,
            data_key_arn,
            package,
            sealed,
            server,
            pod,
            policy,
            root,
            flaky,
            overheard,
            authority,
            folder,
        }
    }

    /// Puts another key policy in force, as the key's owner would.
    pub fn open_key_for(&self, pcr0: &[u8; 48]) {
        self.kms.put_key_policy(&self.key_arn, &key_policy(pcr0)).expect("a policy");
    }

    /// Starts everything and waits until a client verifies the enclave.
    pub async fn ready(setup: Setup) -> Self {
        let world = Self::start(setup).await;
        drop(world.session().await);
        world
    }

    /// Starts an enclave with another package beside the one that there is, and has the parent know of both: the new enclave, and what a
    /// client pins that accepts either.
    pub fn start_beside(&self, setup: &EnclaveSetup, package: &Path) -> (Enclave, Policy) {
        let dir = self.folder();
        let sealed = dir.join("model-2.sealed");
        seal(package, &self.key_arn, &self.kms, dir, &sealed);
        let [first, second] = ["enclave", "enclave-2"].map(|name| unix(dir, name));
        list_enclaves(dir, &[(&first, "control", &self.sealed), (&second, "control-2", &sealed)]);
        self.parent.signal("-HUP");
        let end = Instant::now() + BOOT_PATIENCE;
        while !dir.join("control-2").exists() {
            assert!(Instant::now() < end, "the parent did not read its list:\n{}", self.parent.words());
            std::thread::sleep(Duration::from_millis(20));
        }
        let near = neighbours(dir, &self.authority, &self.kms, &self.key_arn, false);
        let near = Neighbours { listen: "enclave-2", control: "control-2", ..near };
        let enclave = Enclave::start(setup, &near);
        let mut new = pinned(&self.root, &simulated_pcrs(setup.pcr0), package, &enclave.config).accept()[0].clone();
        new.label = "the new one".to_owned();
        let both = vec![self.policy.accept()[0].clone(), new];
        (enclave, Policy::new(self.root.clone(), self.policy.max_age(), both).expect("a policy"))
    }

    /// Takes the first enclave off the parent's list.
    pub fn unlist_first(&self) {
        let second = unix(self.folder(), "enclave-2");
        list_enclaves(self.folder(), &[(&second, "control-2", &self.folder().join("model-2.sealed"))]);
        self.parent.signal("-HUP");
    }

    /// Seals another package under the same key into the file that the parent hands out.
    pub fn hand_out(&self, package: &Path) {
        let new = self.sealed.with_extension("new");
        seal(package, &self.key_arn, &self.kms, self.folder.path(), &new);
        std::fs::rename(&new, &self.sealed).expect("the folder takes files");
    }

    /// What a client pins that trusts this image with that package.
    pub fn measurement(&self, label: &str, package: &Path) -> Measurement {
        let mut pinned = self.policy.accept()[0].clone();
        let package = cloister_model::Package::open(package).expect("a package");
        pinned.label = label.to_owned();
        pinned.pcrs.insert(MODEL_PCR, extended(&package.digest()));
        pinned
    }

    /// Ends the enclave, and starts another in its place.
    pub fn restart(&mut self, setup: &EnclaveSetup) {
        self.enclave.process.terminate();
        self.start_again(setup);
    }

    /// Starts another in the place of one that has ended.
    pub fn start_again(&mut self, setup: &EnclaveSetup) {
        let folder = self.folder.path();
        let relayed = !self.flaky.is_empty() || !self.overheard.is_empty();
        let near = neighbours(folder, &self.authority, &self.kms, &self.key_arn, relayed);
        self.enclave = Enclave::start(setup, &near);
    }

    /// Sets the security module's clock ahead of the machine's, or behind it.
    pub fn set_module_clock(&self, ahead_seconds: i64) {
        std::fs::write(self.folder().join(CLOCK_FILE), ahead_seconds.to_string()).expect("the folder takes files");
    }

    /// Makes its enclaves panic.
    pub fn panic(&self) {
        std::fs::write(self.folder().join(PANIC_FILE), "").expect("the folder takes files");
    }

    /// Where all its files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The simulated authority, for lies of one's own.
    pub fn authority(&self) -> Authority {
        Authority::open(&self.authority).expect("the authority is there")
    }

    /// A verified connection, once the enclave is ready.
    pub async fn session(&self) -> Session {
        self.session_with(&self.policy).await
    }

    /// The same for a client that pins something else.
    pub async fn session_with(&self, policy: &Policy) -> Session {
        let end = Instant::now() + BOOT_PATIENCE;
        loop {
            match self.try_session(policy).await {
                Ok(session) => return session,
                Err(Error::NotVerified(error)) => panic!("not verified: {error}\n{}", self.enclave.process.words()),
                Err(error) => {
                    let words = self.enclave.process.words();
                    assert!(Instant::now() < end, "not ready: {error}\n{words}\n{}", self.parent.words());
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Waits until an enclave that was not ready serves again.
    pub async fn ready_again(&self) {
        let end = Instant::now() + BOOT_PATIENCE;
        while let Err(error) = self.try_session(&self.policy).await {
            assert!(Instant::now() < end, "not ready again: {error}\n{}", self.enclave.process.words());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// One try of a verified connection.
    pub async fn try_session(&self, policy: &Policy) -> Result<Session, Error> {
        connect(&self.server, Options::default()).await?.verify(policy, SystemTime::now()).await
    }

    /// Waits until the enclave says why it is not ready, in words that hold `part`, and gives them all.
    pub async fn not_ready_because(&self, part: &str) -> String {
        let end = Instant::now() + BOOT_PATIENCE;
        loop {
            let words = match self.try_session(&self.policy).await {
                Ok(_) => panic!("the enclave became ready"),
                Err(Error::Refused { status: 503, detail: Some(detail), .. }) => detail,
                Err(error) => error.to_string(),
            };
            if words.contains(part) {
                return words;
            }
            assert!(Instant::now() < end, "the enclave said {words:?} and never {part:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Writes the client's policy to a file, for the command line.
    pub fn policy_file(&self) -> PathBuf {
        let path = self.folder().join("policy.toml");
        std::fs::write(&path, self.policy.to_toml()).expect("the folder takes files");
        path
    }

    /// The command line, with this world's server and policy.
    pub fn cloister(&self, verb: &str) -> Command {
        let mut command = Command::new(binary("cloister"));
        command
            .args(verb.split(' '))
            .args(["--server", &self.server.to_string()])
            .arg("--policy")
            .arg(self.policy_file());
        command
    }
}

fn neighbours<'a>(
    folder: &'a Path,
    authority: &'a Path,
    kms: &'a Running,
    key_arn: &'a str,
    relayed: bool,
) -> Neighbours<'a> {
    let [control, egress] = if relayed { ["relayed-control", "relayed-egress"] } else { ["control", "egress"] };
    let kms_endpoint = endpoint(kms);
    Neighbours { folder, authority, kms_endpoint, kms_ca: &kms.ca_pem, key_arn, listen: "enclave", control, egress }
}

/// Puts a relay that cuts streams in each way, and gives the clients' one.
async fn cut_streams(dir: &Path, server: Address, every: Option<usize>) -> (Vec<Flaky>, Address) {
    let Some(every) = every else { return (Vec::new(), server) };
    let unix = |name: &str| Address::Unix(dir.join(name));
    let control = Flaky::start(&unix("relayed-control"), unix("control"), every).await;
    let egress = Flaky::start(&unix("relayed-egress"), unix("egress"), every).await;
    let local = "tcp://127.0.0.1:0".parse().expect("an address");
    let clients = Flaky::start(&local, server, every).await;
    let address = clients.address.clone();
    (vec![clients, control, egress], address)
}

/// Puts a relay that keeps what it carries in each way, and gives the clients' one.
async fn listen_in(dir: &Path, server: Address, setup: &Setup) -> (Vec<Eavesdropper>, Address) {
    if !setup.overheard {
        return (Vec::new(), server);
    }
    let unix = |name: &str| Address::Unix(dir.join(name));
    let control = Eavesdropper::start_at(&unix("relayed-control"), unix("control"), setup.answered.clone()).await;
    let egress = Eavesdropper::start_at(&unix("relayed-egress"), unix("egress"), BTreeMap::new()).await;
    let clients = Eavesdropper::start(server).await;
    let address = clients.address.clone();
    (vec![clients, control, egress], address)
}

/// The endpoint by name: certificates and allowlists speak of names.
pub(crate) fn endpoint(kms: &Running) -> String {
    format!("https://localhost:{}", kms.address.port())
}

pub(crate) fn key_policy(pcr0: &[u8; 48]) -> String {
    serde_json::json!({"Version": "2012-10-17", "Statement": [
        {"Sid": "owner", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Resource": "*",
         "Action": ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:PutKeyPolicy", "kms:GenerateDataKey", "kms:Encrypt"]},
        {"Sid": "enclave", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::444455556666:role/cloister-parent"}, "Resource": "*",
         "Action": "kms:Decrypt",
         "Condition": {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:ImageSha384": hex::encode(pcr0)}}},
    ]})
    .to_string()
}

/// The demonstration's package in another version.
pub fn demo_package_of_version(dir: &Path, version: u32) -> PathBuf {
    let folder = demo_package(&dir.join(version.to_string()));
    let manifest = folder.join("manifest.toml");
    let text = std::fs::read_to_string(&manifest).expect("a manifest");
    let other = text.replace("\nversion = 1\n", &format!("\nversion = {version}\n"));
    assert!(version == 1 || other != text, "the manifest has no version");
    std::fs::write(&manifest, other).expect("the folder takes files");
    folder
}

/// The demonstration's package.
pub(crate) fn demo_package(dir: &Path) -> PathBuf {
    let folder = dir.join("package");
    run(Command::new(binary("cloister")).args(["model", "demo", "--seed", "1", "--out"]).arg(&folder)).success();
    folder
}

pub(crate) fn seal(package: &Path, key_arn: &str, kms: &Running, dir: &Path, out: &Path) {
    let ca = dir.join(KMS_CA);
    std::fs::write(&ca, &kms.ca_pem).expect("the folder takes files");
    let mut command = Command::new(binary("cloister"));
    command.args(["model", "seal", "--key-id", key_arn, "--endpoint", &endpoint(kms)]);
    command.arg("--package").arg(package).arg("--ca").arg(&ca).arg("--out").arg(out).envs(OWNER);
    run(&mut command).success();
}

pub(crate) fn start_proxy(dir: &Path, kms_port: u16) -> Process {
    let allowlist = dir.join("allowlist.yaml");
    std::fs::write(&allowlist, format!("allowlist:\n- {{address: localhost, port: {kms_port}}}\n")).expect("a file");
    let mut command = Command::new(binary("cloister-proxy"));
    command.arg("--listen").arg(format!("unix://{}/egress", dir.display())).arg("--config").arg(&allowlist);
    let mut proxy = Process::start(dir, "proxy", &mut command);
    proxy.until("listening", |words| words.contains("listening").then_some(()));
    proxy
}

/// What a client pins: that image, that model, that configuration.
pub(crate) fn pinned(root: &Root, image: &BTreeMap<u16, [u8; 48]>, package: &Path, config: &Path) -> Policy {
    let package = cloister_model::Package::open(package).expect("a package");
    let config = std::fs::read(config).expect("the configuration");
    let config = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA384, &config);
    let mut pcrs = image.clone();
    pcrs.insert(MODEL_PCR, extended(&package.digest()));
    pcrs.insert(CONFIGURATION_PCR, extended(config.as_ref()));
    let accept = Measurement { label: "the image under test".to_owned(), until: None, pcrs };
    Policy::new(root.clone(), Duration::from_secs(300), vec![accept]).expect("a policy")
}
