//! An enclave in an emulated Nitro machine: a real image on the real kernel, with `/dev/nsm`, and vsock between it and the parent.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use cloister_attest::{Policy, Root};
use cloister_client::{Error, Options, Session, connect};
use cloister_sim::kms::{Config, Running, Server};
use cloister_transport::Address;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::sync::watch;

use crate::parent::{LIST, list_enclaves, run_parent};
use crate::process::{Process, binary, run};
use crate::world::{MODEL, demo_package, endpoint, key_policy, pcr, pinned, seal, start_proxy};

/// The folder that `./run.sh boot-test` prepares, with a file for each of [`Tools`].
const PREPARED: &str = "CLOISTER_MACHINE";

/// The emulated device's socket, in a machine's folder.
const DEVICE: &str = "device";

/// The sealed model, in a machine's folder.
const SEALED: &str = "model.sealed";

/// An emulated processor is many times slower than a real one, and the machine that emulates it may be busy.
const PATIENCE: Duration = Duration::from_secs(240);

/// How often a machine is switched on anew whose heartbeat never reached the host: rust-vmm's device, on a busy machine, now and then takes none of a guest's
/// connections from its start to its end. AWS's device is another, and what is tested here is the image.
const MOST_STARTS: usize = 3;

/// What an enclave tells its parent first (AWS, "Building your own enclave image").
const HEARTBEAT: u8 = 0xB7;

/// nitro-cli asks for four times the image at least.
const MEMORY: &str = "1G";

/// What machines are made with.
pub struct Tools(PathBuf);

impl Tools {
    /// What was prepared; says why there is nothing to run without it.
    pub fn prepared() -> Option<Self> {
        let folder = std::env::var_os(PREPARED);
        if folder.is_none() {
            eprintln!("NOT RUN: {PREPARED} names no folder with an emulator; use ./run.sh boot-test");
        }
        folder.map(PathBuf::from).map(Self)
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        assert!(path.is_file(), "{} is not there: run ./run.sh boot-test", path.display());
        path
    }
}

/// What an image is made of, and what it meets.
#[derive(Clone, Default)]
pub struct MachineSetup {
    /// Further sections of the measured configuration, in TOML.
    pub extra: String,
    /// A package of one's own; the demonstration's by default.
    pub package: Option<PathBuf>,
    /// The release's program, which takes no unsigned document, in place of the one that does.
    pub release: bool,
    /// The proxy takes connections and says nothing.
    pub stalled_proxy: bool,
    /// Nobody answers the heartbeat.
    pub silent_parent: bool,
    /// Done to the image's bytes after it was measured and before it is booted.
    pub spoil: Option<fn(&mut [u8])>,
    /// The parent reads its enclaves from a list, so that it can ask this one to end.
    pub listed: bool,
}

/// An image, and what it measures to.
pub struct BuiltImage {
    /// The file.
    pub file: PathBuf,
    /// PCR0, 1 and 2 as they were computed when it was built.
    pub pcrs: BTreeMap<u16, [u8; 48]>,
}

/// A machine, and everything around it.
pub struct Machine {
    /// The emulator; its words are the enclave's console.
    pub emulator: Process,
    /// The untrusted parent.
    pub parent: Process,
    /// The way out; none while it is stalled.
    pub proxy: Option<Process>,
    /// The simulated KMS.
    pub kms: Running,
    /// Where clients connect.
    pub server: Address,
    /// The enclave's vsock, from the host.
    pub vsock: PathBuf,
    /// The image.
    pub image: BuiltImage,
    /// The model package's folder.
    pub package: PathBuf,
    /// What a client pins.
    pub policy: Policy,
    /// When the machine was switched on.
    pub started: Instant,
    hearts: watch::Receiver<usize>,
    device: Process,
    folder: TempDir,
}

impl Machine {
    /// Builds an image, starts everything around it, and switches the machine on.
    pub async fn start(tools: &Tools, setup: &MachineSetup) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let dir = folder.path();
        let kms = Server::start(Config::local(Root::emulator().to_text())).await.expect("a KMS");
        // An image names its key, and a key opens for an image: so the key is there first, and opens for nothing yet.
        let key_arn = kms.create_key("111122223333", &key_policy(&pcr(0))).expect("a key");
        let package = setup.package.clone().unwrap_or_else(|| demo_package(dir));
        let sealed = dir.join(SEALED);
        seal(&package, &key_arn, &kms, dir, &sealed);
        let config = configuration(dir, &kms, &key_arn, &setup.extra);
        let image = build(tools, dir, &config, setup.release);
        kms.put_key_policy(&key_arn, &key_policy(&image.pcrs[&0])).expect("a policy");
        if let Some(spoil) = setup.spoil {
            let mut bytes = std::fs::read(&image.file).expect("the image");
            spoil(&mut bytes);
            std::fs::write(&image.file, bytes).expect("the folder takes files");
        }

        let vsock = dir.join("vsock");
        for (port, name) in [(9001, "control"), (8000, "egress")] {
            symlink(dir.join(name), hosts_port(&vsock, port)).expect("the folder takes files");
        }
        let proxy = if setup.stalled_proxy {
            stall(&dir.join("egress"));
            None
        } else {
            Some(start_proxy(dir, kms.address.port()))
        };
        let enclave = Address::Hybrid { path: vsock.clone(), port: 5000 }.to_string();
        let (parent, server, _) = start_parent(dir, &enclave, &sealed, setup.listed);
        let hearts = beat(&hosts_port(&vsock, 9000), setup.silent_parent);
        let (device, emulator) = switch_on(tools, dir, &vsock, &image.file);
        let policy = pinned(&Root::emulator(), &image.pcrs, &package, &config);
        let mut machine = Self {
            emulator,
            parent,
            proxy,
            kms,
            server,
            vsock,
            image,
            package,
            policy,
            started: Instant::now(),
            hearts,
            device,
            folder,
        };
        if setup.spoil.is_none() && !setup.silent_parent {
            machine.until_heard(tools).await;
        }
        machine
    }

    /// Waits for the heartbeat, so that nothing knocks on a guest that is not there yet; see [`MOST_STARTS`].
    async fn until_heard(&mut self, tools: &Tools) {
        for left in (0..MOST_STARTS).rev() {
            let end = self.started + PATIENCE;
            while self.emulator.lives() && self.heartbeats() == 0 && Instant::now() < end {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            if self.heartbeats() > 0 {
                return;
            }
            let (console, device) = (self.emulator.words(), self.device.words());
            assert!(left > 0, "no heartbeat in {MOST_STARTS} starts:\n{console}\n{device}");
            println!("SWITCHED ON ANEW: no heartbeat came out of the emulated machine:\n{console}\n{device}");
            for process in [&mut self.emulator, &mut self.device] {
                process.kill();
            }
            let dir = self.folder.path();
            std::fs::remove_file(&self.vsock).expect("the device's socket for the host");
            std::fs::remove_file(dir.join(DEVICE)).expect("the device's socket for the emulator");
            (self.device, self.emulator) = switch_on(tools, dir, &self.vsock, &self.image.file);
            self.started = Instant::now();
        }
    }

    /// Where all its files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How often the enclave said that it lives.
    pub fn heartbeats(&self) -> usize {
        *self.hearts.borrow()
    }

    /// Waits until the machine has switched itself off, for the emulator's exit code. What lingers of a client is closed after a minute.
    pub fn ended(&mut self) -> Option<i32> {
        self.emulator.status_within(PATIENCE).code()
    }

    /// Puts a working proxy in the place of a stalled one.
    pub fn mend_proxy(&mut self) {
        std::fs::remove_file(self.folder().join("egress")).expect("the stalled one's socket");
        self.proxy = Some(start_proxy(self.folder.path(), self.kms.address.port()));
    }

    /// Takes the machine off the parent's list, for one that is not there.
    pub fn unlist(&self) {
        let nobody = format!("unix://{}/nobody", self.folder().display());
        list_enclaves(self.folder(), &[(&nobody, "control-2", &self.folder().join(SEALED))]);
        self.parent.signal("-HUP");
    }

    /// A verified connection, once the enclave is ready.
    pub async fn session(&mut self) -> Session {
        let end = Instant::now() + PATIENCE;
        loop {
            let tried = async {
                connect(&self.server, Options::default()).await?.verify(&self.policy, SystemTime::now()).await
            };
            match tried.await {
                Ok(session) => return session,
                Err(Error::NotVerified(error)) => panic!("not verified: {error}\n{}", self.emulator.words()),
                Err(error) => assert!(
                    self.emulator.lives() && Instant::now() < end,
                    "not ready: {error}\n{}\n{}",
                    self.emulator.words(),
                    self.parent.words()
                ),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the parent has heard from the enclave, or its console says, what holds `part`.
    pub async fn until_said(&self, part: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.emulator.words().contains(part) && !self.parent.words().contains(part) {
            let (console, parent) = (self.emulator.words(), self.parent.words());
            assert!(Instant::now() < end, "nobody said {part:?}:\n{console}\n{parent}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The socket on which the host hears the guest's connections to that port of it.
fn hosts_port(vsock: &Path, port: u32) -> PathBuf {
    PathBuf::from(format!("{}_{port}", vsock.display()))
}

fn configuration(dir: &Path, kms: &Running, key_arn: &str, extra: &str) -> PathBuf {
    let text = format!(
        "version = 1\n[model]\nname = {MODEL:?}\nminimum_version = 1\nkey_arns = [{key_arn:?}]\n\
         [kms]\nendpoint = {:?}\nca = \"\"\"\n{}\"\"\"\n{extra}\n",
        endpoint(kms),
        kms.ca_pem
    );
    let file = dir.join("enclave.toml");
    std::fs::write(&file, text).expect("the folder takes files");
    file
}

fn build(tools: &Tools, dir: &Path, config: &Path, release: bool) -> BuiltImage {
    let (file, measurements) = (dir.join("image.eif"), dir.join("measurements.json"));
    let cmdline = std::fs::read_to_string(tools.path("cmdline")).expect("text");
    // The emulator's vsock has no CID 3: there, the parent is the host.
    let cmdline = format!("{} cloister.parent_cid=2", cmdline.trim_end());
    let mut command = Command::new(binary("cloister"));
    command.args(["eif", "build", "--name", "cloister", "--version", "0.0.0", "--cmdline", &cmdline]);
    command.arg("--kernel").arg(tools.path("bzImage")).arg("--config").arg(config);
    command.arg("--init").arg(tools.path(if release { "enclave-release" } else { "enclave" }));
    command.arg("--out").arg(&file).arg("--measurements").arg(&measurements);
    run(&mut command).success();
    let said: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&measurements).expect("measurements")).expect("JSON");
    let pcr = |index: u16| {
        let text = said["Measurements"][format!("PCR{index}")].as_str().expect("a measurement");
        (index, hex::decode(text).expect("hexadecimal digits").try_into().expect("48 bytes"))
    };
    BuiltImage { file, pcrs: BTreeMap::from([0, 1, 2].map(pcr)) }
}

fn start_parent(dir: &Path, enclave: &str, sealed: &Path, listed: bool) -> (Process, Address, Address) {
    if listed {
        list_enclaves(dir, &[(enclave, "control", sealed)]);
        return run_parent(dir, &["--enclaves", &dir.join(LIST).display().to_string()], &[]);
    }
    let control = format!("unix://{}/control", dir.display());
    let model = sealed.display().to_string();
    run_parent(dir, &["--enclave", enclave, "--control-listen", &control, "--model", &model], &[])
}

/// Takes connections, and says nothing on them.
fn stall(socket: &Path) {
    let listener = UnixListener::bind(socket).expect("the folder takes sockets");
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
}

/// Answers heartbeats, and counts them.
fn beat(socket: &Path, silent: bool) -> watch::Receiver<usize> {
    let (count, hearts) = watch::channel(0);
    let listener = UnixListener::bind(socket).expect("the folder takes sockets");
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            if stream.read_u8().await.is_ok_and(|byte| byte == HEARTBEAT) {
                count.send_modify(|count| *count += 1);
                if !silent {
                    // Whoever hung up is not answered.
                    let _ = stream.write_u8(HEARTBEAT).await;
                }
            }
            held.push(stream);
        }
    });
    hearts
}

fn switch_on(tools: &Tools, dir: &Path, vsock: &Path, image: &Path) -> (Process, Process) {
    let socket = dir.join(DEVICE);
    // With the device's own buffer size, a guest's writes of more than 32 KB are lost.
    let machine = format!("guest-cid=4,uds-path={},socket={},tx-buffer-size=32768", vsock.display(), socket.display());
    let mut device = Process::start(
        dir,
        "vhost-device-vsock",
        Command::new(tools.path("vhost-device-vsock")).args(["--vm", &machine]),
    );
    device.until("listening", |_| socket.exists().then_some(()));
    let mut command = Command::new(tools.path("qemu-system-x86_64"));
    command.args(["-L", "/usr/share/qemu", "-M", "nitro-enclave,vsock=vsock,id=emulated", "-kernel"]).arg(image);
    command.args(["-append", "reboot=t", "-nographic", "-no-reboot", "-m", MEMORY, "-smp", "2", "--accel", "tcg"]);
    command.args(["-cpu", "max", "-chardev", &format!("socket,id=vsock,path={}", socket.display())]);
    let emulator = Process::start(dir, "emulator", &mut command);
    (device, emulator)
}
