//! Two AWS accounts on one machine: moto for STS, IAM and the control planes of ECR and KMS, the simulated KMS before it for whatever uses a key, a
//! stand-in for what moto lacks of ECR, and for each account's registry Debian's docker-registry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use cloister_attest::{Policy, Root};
use cloister_client::{Error, Options, Session, connect};
use cloister_sim::ecr::{self, RegistryAccess};
use cloister_sim::kms::{self, Server};
use cloister_sim::moto::{Credentials, Moto};
use cloister_sim::nsm::Authority;
use cloister_test_data::registry::{DockerRegistry, Login};
use cloister_transport::Address;
use serde_json::Value;
use tempfile::TempDir;

use crate::enclave::{Enclave, EnclaveSetup, Neighbours};
use crate::parent::single_parent;
use crate::process::{Output, Process, binary, run};
use crate::world::{BOOT_PATIENCE, demo_package, endpoint, start_proxy};

/// The model owner's account.
pub const PROVIDER: &str = "111122223333";
/// The data owner's.
pub const CONSUMER: &str = "444455556666";

/// The registries' users as ECR has them: AWS, and the token that moto gives out, with its bcrypt hash of the least cost, made once with crypt(3).
const LOGINS: [Login; 2] = [
    Login {
        user: "AWS",
        password: "111122223333-auth-token",
        hash: "$2b$04$d0BPQyfgj02CSjoDtF/mRuEVMb8wRVTtJGM8kjLOAM41bkM8.3EZK",
    },
    Login {
        user: "AWS",
        password: "444455556666-auth-token",
        hash: "$2b$04$d0BPQyfgj02CSjoDtF/mRuf/4cJEPtizB0S/g.JWzKpF5.aHdgIqa",
    },
];

/// Where the tests' tools are kept.
pub fn cache() -> PathBuf {
    let target = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/tmp");
    std::env::var_os("CLOISTER_CACHE").map_or_else(target, PathBuf::from)
}

/// Who acts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// The model's owner.
    Provider,
    /// The data's owner.
    Consumer,
}

/// Both accounts.
pub struct Accounts {
    /// What stands in for ECR's control plane, and passes STS and IAM on.
    pub ecr: ecr::Running,
    /// The simulated KMS.
    pub kms: kms::Running,
    /// The provider's registry, and the consumer's.
    pub registries: [DockerRegistry; 2],
    /// The root of the simulated security modules.
    pub root: Root,
    moto: Moto,
    credentials: [Credentials; 2],
    folder: TempDir,
}

/// An enclave that was started in the consumer's account, and what is around it.
pub struct Booted {
    /// The enclave.
    pub enclave: Enclave,
    _parent: Process,
    _proxy: Process,
    server: Address,
    _folder: TempDir,
}

impl Accounts {
    /// Starts all of it; nothing is in either account.
    pub async fn start() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let moto = tokio::task::spawn_blocking(|| Moto::start(&cache())).await.expect("no panic").expect("moto");
        let authority = Authority::create(&folder.path().join("nsm")).expect("an authority");
        let root = Root::from_pem(authority.root_pem()).expect("a root");
        let registries = LOGINS.map(|login| DockerRegistry::start(&login, true));
        let registry = RegistryAccess {
            host: registries[0].host(),
            ca_pem: registries[0].authority().expect("it speaks TLS").to_owned(),
            user: LOGINS[0].user.to_owned(),
            password: LOGINS[0].password.to_owned(),
        };
        let config = kms::Config { control_plane: Some(moto.address), ..kms::Config::local(authority.root_pem()) };
        let kms = Server::start(config).await.expect("a KMS");
        let vouched = Some(kms.authority().clone());
        let config = ecr::Config { registry: Some(registry), authority: vouched, ..ecr::Config::local(moto.address) };
        let ecr = ecr::Server::start(config).await.expect("a stand-in for ECR");
        let provider = moto.assume_role(PROVIDER, "model-owner").await.expect("credentials");
        let consumer = moto.assume_role(CONSUMER, "data-owner").await.expect("credentials");
        let credentials = [provider, consumer];
        for party in &credentials {
            kms.add_principal(party.principal()).expect("a principal");
        }
        let accounts = Self { ecr, kms, registries, root, moto, credentials, folder };
        accounts.write("aws-ca.pem", &accounts.kms.ca_pem);
        for (index, registry) in accounts.registries.iter().enumerate() {
            accounts.write(&format!("registry-{index}.pem"), registry.authority().expect("it speaks TLS"));
        }
        accounts.write("root.pem", authority.root_pem());
        accounts
    }

    /// A file in the folder that all work in.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes one.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("the folder takes files");
    }

    /// The command line in a party's hands.
    pub fn command(&self, party: Party, line: &str) -> Command {
        let mut command = Command::new(binary("cloister"));
        command.args(line.split_whitespace()).current_dir(self.folder.path());
        self.give_credentials(party, &mut command);
        command
    }

    /// Puts a party's credentials, region and endpoints into a command's environment.
    pub fn give_credentials(&self, party: Party, command: &mut Command) {
        let credentials = &self.credentials[party as usize];
        command
            .env("AWS_ACCESS_KEY_ID", &credentials.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &credentials.secret_access_key)
            .env("AWS_SESSION_TOKEN", &credentials.session_token)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL", self.ecr.endpoint())
            .env("AWS_ENDPOINT_URL_KMS", endpoint(&self.kms));
    }

    /// Runs a verb of `provider`, `consumer` or `bundle` to its end.
    pub fn run(&self, party: Party, line: &str) -> Output {
        run(self.command(party, line).args(["--ca", "aws-ca.pem"]))
    }

    /// What such a verb that must succeed said in JSON.
    pub fn json(&self, party: Party, line: &str) -> Value {
        let said = self.run(party, &format!("{line} --json")).success();
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// The same for a verb that is to find nothing to change.
    pub fn unchanged(&self, party: Party, line: &str) {
        let before = self.changes();
        let said = self.json(party, line);
        assert_eq!(said["changes"], serde_json::json!([]), "{line}");
        assert_eq!(self.changes(), before, "{line}");
    }

    /// Everything that was changed in either account so far.
    pub fn changes(&self) -> Vec<String> {
        [self.ecr.changes(), self.kms.changes()].concat()
    }

    /// Flags that name a party's registry, for verbs that talk to it.
    pub fn registry(&self, party: Party) -> String {
        format!("--registry-ca registry-{}.pem", party as usize)
    }

    /// A party's registry, as images are named by it.
    pub fn host(&self, party: Party) -> String {
        self.registries[party as usize].host()
    }

    /// skopeo with a party's password, which reads registries by code of its own.
    pub fn skopeo(&self, arguments: &[&str]) -> Output {
        run(Command::new("skopeo").args(arguments).current_dir(self.folder.path()))
    }

    /// Copies a repository from the provider's registry to the consumer's, as ECR's replication would: all tags, with their digests.
    pub fn replicate(&self, repository: &str) {
        let [from, to] =
            [&self.registries[0], &self.registries[1]].map(|registry| format!("{}/{repository}", registry.host()));
        let [from_trust, to_trust] = [0, 1].map(|index| self.registries[index].trust().display().to_string());
        let [from_login, to_login] = LOGINS.map(|login| format!("{}:{}", login.user, login.password));
        let source = format!("docker://{from}");
        let listed = self.skopeo(&["list-tags", "--creds", &from_login, "--cert-dir", &from_trust, &source]).success();
        let listed: Value = serde_json::from_str(&listed).expect("JSON");
        for tag in listed["Tags"].as_array().expect("tags") {
            let tag = tag.as_str().expect("a tag");
            let (from, to) = (format!("docker://{from}:{tag}"), format!("docker://{to}:{tag}"));
            let mut line =
                vec!["copy", "--all", "--preserve-digests", "--src-creds", &from_login, "--dest-creds", &to_login];
            line.extend(["--src-cert-dir", &from_trust, "--dest-cert-dir", &to_trust, &from, &to]);
            self.skopeo(&line).success();
        }
    }

    /// An enclave's image of that name with its measurements (`NAME.eif`, `NAME.json`), in a container image (`NAME.tar`), and the policy by which
    /// clients verify it (`NAME.toml`). What is in the enclave's image is a stand-in; it is measured, and started as a process.
    pub fn build(&self, name: &str, package: &Path) {
        self.write("kernel", cloister_test_data::image::kernel());
        self.write("init", cloister_test_data::image::elf(&[1]));
        self.write("enclave.toml", format!("version = 1\n# {name}\n"));
        let parts = "--kernel kernel --cmdline quiet --init init --config enclave.toml --version 1";
        let line = format!("eif build {parts} --name {name} --out {name}.eif --measurements {name}.json");
        run(&mut self.command(Party::Provider, &line)).success();
        let line = format!(
            "policy make --label {name} --measurements {name}.json --root root.pem --out {name}.toml --package"
        );
        run(self.command(Party::Provider, &line).arg(package)).success();
        self.contain(name, &self.path(&format!("{name}.eif")));
    }

    /// Packs an enclave's image into a container image, with Debian's buildah.
    pub fn contain(&self, name: &str, eif: &Path) {
        let context = self.path(&format!("{name}-context"));
        std::fs::create_dir_all(context.join("opt/cloister")).expect("the folder takes folders");
        std::fs::copy(eif, context.join("opt/cloister/cloister.eif")).expect("the image");
        std::fs::write(context.join("Dockerfile"), "FROM scratch\nCOPY opt /opt\n").expect("a file");
        let conf = self.path("storage.conf");
        let [graph, run_root] = ["graph", "run"].map(|name| self.path(name));
        let text = format!("[storage]\ndriver = \"vfs\"\ngraphroot = {graph:?}\nrunroot = {run_root:?}\n");
        std::fs::write(&conf, text).expect("a file");
        let buildah = |arguments: &[&str]| {
            let mut command = Command::new("buildah");
            run(command.args(arguments).env("CONTAINERS_STORAGE_CONF", &conf).current_dir(self.folder.path()))
                .success();
        };
        let context = context.display().to_string();
        let image = format!("localhost/{name}");
        buildah(&["build", "--isolation", "chroot", "--timestamp", "0", "--format", "oci", "--tag", &image, &context]);
        buildah(&["push", &image, &format!("oci-archive:{name}.tar")]);
    }

    /// The demonstration's package.
    pub fn package(&self) -> PathBuf {
        demo_package(self.folder.path())
    }

    /// Starts the enclave's image of that name with everything around it in the consumer's account.
    pub async fn boot(&self, name: &str, key_arn: &str, sealed: &str) -> Booted {
        let folder = TempDir::new().expect("a temporary folder");
        let dir = folder.path();
        let role = self.moto.assume_role(CONSUMER, "cloister-parent").await.expect("credentials");
        self.kms.add_principal(role.principal()).expect("a principal");
        let environment = vec![
            ("AWS_ACCESS_KEY_ID", role.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", role.secret_access_key),
            ("AWS_SESSION_TOKEN", role.session_token),
        ];
        let proxy = start_proxy(dir, self.kms.address.port());
        let (parent, server, _) = single_parent(dir, &self.path(sealed), &[], &environment);
        let pcrs = self.measured(name);
        let setup = EnclaveSetup { pcr0: pcrs[&0], pcr1: pcrs[&1], pcr2: pcrs[&2], ..EnclaveSetup::default() };
        let near = Neighbours {
            folder: dir,
            authority: &self.path("nsm"),
            kms_endpoint: endpoint(&self.kms),
            kms_ca: &self.kms.ca_pem,
            key_arn,
            listen: "enclave",
            control: "control",
            egress: "egress",
        };
        let enclave = Enclave::start(&setup, &near);
        Booted { enclave, _parent: parent, _proxy: proxy, server, _folder: folder }
    }

    /// The policy that a key has now, as AWS's own library for Python reads it.
    pub fn key_policy(&self, party: Party, key_arn: &str) -> String {
        self.boto3(party, "print(kms.get_key_policy(KeyId=sys.argv[1], PolicyName='default')['Policy'])", &[key_arn])
    }

    /// Puts another in its place, as somebody would by hand.
    pub fn put_key_policy(&self, party: Party, key_arn: &str, policy: &str) {
        let call = "kms.put_key_policy(KeyId=sys.argv[1], PolicyName='default', Policy=sys.argv[2])";
        self.boto3(party, call, &[key_arn, policy]);
    }

    fn boto3(&self, party: Party, call: &str, arguments: &[&str]) -> String {
        let python = tokio::task::block_in_place(|| cloister_sim::moto::python(&cache())).expect("a Python");
        let mut command = Command::new(python);
        let endpoint = endpoint(&self.kms);
        let client = format!("boto3.client('kms', endpoint_url='{endpoint}', verify='aws-ca.pem')");
        command.arg("-c").arg(format!("import sys, boto3\nkms = {client}\n{call}")).args(arguments);
        self.give_credentials(party, &mut command);
        run(command.env("AWS_DEFAULT_REGION", "us-east-1").current_dir(self.folder.path())).success()
    }

    /// What an image measures to, by its measurements file.
    pub fn measured(&self, name: &str) -> BTreeMap<u16, [u8; 48]> {
        let file = std::fs::read(self.path(&format!("{name}.json"))).expect("measurements");
        let said: Value = serde_json::from_slice(&file).expect("JSON");
        let pcr = |index: u16| {
            let text = said["Measurements"][format!("PCR{index}")].as_str().expect("a measurement");
            (index, hex::decode(text).expect("hexadecimal digits").try_into().expect("48 bytes"))
        };
        BTreeMap::from([0, 1, 2].map(pcr))
    }
}

impl Booted {
    /// A verified connection, once the enclave has its model.
    pub async fn session(&self, policy: &Policy) -> Session {
        let end = Instant::now() + BOOT_PATIENCE;
        loop {
            match self.try_session(policy).await {
                Ok(session) => return session,
                Err(Error::NotVerified(error)) => panic!("not verified: {error}\n{}", self.enclave.process.words()),
                Err(error) => assert!(Instant::now() < end, "not ready: {error}\n{}", self.enclave.process.words()),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Why there is none, once that is a matter of the key.
    pub async fn refused(&self, policy: &Policy) -> String {
        let end = Instant::now() + BOOT_PATIENCE;
        loop {
            match self.try_session(policy).await {
                Ok(_) => panic!("the enclave has the model's key"),
                Err(Error::Refused { status: 503, detail: Some(detail), .. }) if detail.contains("key") => {
                    return detail;
                }
                Err(error) => assert!(Instant::now() < end, "not refused: {error}\n{}", self.enclave.process.words()),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn try_session(&self, policy: &Policy) -> Result<Session, Error> {
        connect(&self.server, Options::default()).await?.verify(policy, SystemTime::now()).await
    }
}
