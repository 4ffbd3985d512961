//! `cloister model seal` against a simulated KMS: what is sealed, what is refused, and with which words and exit codes.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use cloister_aws_http::{Egress, Roots};
use cloister_imaging::View;
use cloister_kms::{KmsClient, Release, Settings, context};
use cloister_model::{Manifest, Numbers, Output as NetworkOutput, Package, Preprocessing, Resize, ViewNetwork};
use cloister_seal::{Purpose, Sealed};
use cloister_sim::kms::{Config, Running, Server};
use cloister_sim::nsm::{Authority, Simulated, SimulatedNsm};
use tempfile::TempDir;

const USAGE: i32 = 64;
const INPUT: i32 = 65;
const UNAVAILABLE: i32 = 69;
const NOT_VERIFIED: i32 = 77;
const CONDITION: &str = "kms:RecipientAttestation:ImageSha384";
/// PCR0 of a simulated enclave that was not told another.
const IMAGE: [u8; 48] = [0x10; 48];

struct Scene {
    folder: TempDir,
    authority: Authority,
    kms: Running,
    package: Package,
}

impl Scene {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let authority = Authority::ephemeral().unwrap();
        let kms = Server::start(Config::local(authority.root_pem())).await.unwrap();
        fs::write(folder.path().join("ca.pem"), &kms.ca_pem).unwrap();
        let package = package();
        package.write_folder(&folder.path().join("package")).unwrap();
        Self { folder, authority, kms, package }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A key that decrypts for the enclave's role under this condition.
    fn key(&self, condition: &serde_json::Value) -> String {
        let policy = serde_json::json!({"Version": "2012-10-17", "Statement": [
            {"Sid": "owner", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Resource": "*",
             "Action": ["kms:GenerateDataKey", "kms:GetKeyPolicy", "kms:PutKeyPolicy"]},
            {"Sid": "enclave", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::444455556666:role/cloister-parent"},
             "Resource": "*", "Action": "kms:Decrypt", "Condition": condition}]});
        self.kms.create_key("111122223333", &policy.to_string()).unwrap()
    }

    fn guarded_key(&self) -> String {
        self.key(&serde_json::json!({"StringEqualsIgnoreCase": {CONDITION: hex::encode(IMAGE)}}))
    }

    fn seal(&self, key: &str, more: &[&str]) -> Output {
        self.seal_at(&self.kms.endpoint(), key, more)
    }

    fn seal_at(&self, endpoint: &str, key: &str, more: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloister"));
        command.args(["model", "seal", "--key-id", key, "--endpoint", endpoint]);
        command.arg("--package").arg(self.at("package")).arg("--out").arg(self.at("model.sealed"));
        command.arg("--ca").arg(self.at("ca.pem")).args(more);
        command
            .env("AWS_ACCESS_KEY_ID", "CLOISTERSIMMODELOWNER")
            .env_remove("AWS_SESSION_TOKEN")
            .env_remove("AWS_PROFILE");
        command.env("AWS_SECRET_ACCESS_KEY", "simulated-secret-of-the-model-owner");
        command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
        command.output().unwrap()
    }

    /// What an enclave of this measurement reads in the sealed file.
    async fn open(&self, pcr0: [u8; 48]) -> Result<Package, cloister_kms::Error> {
        let sealed = Sealed::read_header(File::open(self.at("model.sealed")).unwrap()).unwrap();
        let settings = Settings {
            region: "us-east-1".into(),
            endpoint: Some(self.kms.endpoint()),
            credentials: cloister_kms::credentials(
                "CLOISTERSIMPARENT",
                "simulated-secret-of-the-parent",
                Some("simulated-session-token-of-the-parent"),
            ),
            egress: Egress::Direct,
            roots: Roots::Pem(self.kms.ca_pem.clone()),
        };
        let mut simulated = Simulated::default();
        simulated.pcrs.insert(0, pcr0);
        let nsm = SimulatedNsm::new(&self.authority, simulated).unwrap();
        let header = sealed.header();
        let release =
            Release { nsm: &nsm, key_arn: &header.key_arn, wrapped_key: &header.wrapped_key, context: &header.context };
        let key = cloister_kms::release(&KmsClient::new(settings).unwrap(), &release).await?;
        Ok(Package::from_tar(sealed.open(&key, Purpose::Model).unwrap()).unwrap())
    }

    /// Everything in the folder, to see that nothing was left behind.
    fn files(&self) -> Vec<String> {
        let names =
            fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

fn package() -> Package {
    let network = ViewNetwork::new("any.onnx".into(), (4, 4), NetworkOutput::Sigmoid);
    let manifest = Manifest {
        format: 1,
        name: "density".into(),
        version: 7,
        intended_use: "tests".into(),
        labels: vec!["benign".into(), "malignant".into()],
        preprocessing: Preprocessing::Resize1(Resize { mean: Numbers::All(0.5), deviation: Numbers::All(0.25) }),
        views: BTreeMap::from([(View::LCc, network)]),
        pairs: BTreeMap::new(),
        winograd: true,
        known_answers: Vec::new(),
        known_exams: Vec::new(),
    };
    // Several chunks of the sealed file.
    let bytes: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    Package::new(&manifest, BTreeMap::from([("any.onnx".to_owned(), bytes)])).unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_package_opens_in_the_measured_enclave_and_in_no_other() {
    let scene = Scene::new().await;
    let key = scene.guarded_key();
    let output = scene.seal(&key, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));

    let sealed = Sealed::read_header(File::open(scene.at("model.sealed")).unwrap()).unwrap();
    assert_eq!(sealed.header().purpose, Purpose::Model);
    assert_eq!(sealed.header().key_arn, key);
    assert_eq!(sealed.header().context, context::for_model("density", 7, &hex::encode(scene.package.digest())));
    assert_eq!(scene.open(IMAGE).await.unwrap().digest(), scene.package.digest());
    assert!(matches!(scene.open([0x99; 48]).await, Err(cloister_kms::Error::AccessDenied { .. })));
    assert_eq!(fs::metadata(scene.at("model.sealed")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(scene.files(), ["ca.pem", "model.sealed", "package"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_policy_lacks_the_condition_is_refused_by_name() {
    let scene = Scene::new().await;
    let context_only = serde_json::json!({"StringEquals": {"kms:EncryptionContext:cloister:purpose": "model"}});
    for condition in [serde_json::json!({}), context_only] {
        let output = scene.seal(&scene.key(&condition), &[]);
        assert_eq!(output.status.code(), Some(NOT_VERIFIED));
        let words = words(&output);
        for part in
            [CONDITION, "kms:Decrypt", "\"enclave\"", "444455556666", "nothing was sealed", "--allow-unattested-key"]
        {
            assert!(words.contains(part), "{part}: {words}");
        }
        assert_eq!(scene.files(), ["ca.pem", "package"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_override_seals_and_says_loudly_what_is_missing() {
    let scene = Scene::new().await;
    let output = scene.seal(&scene.key(&serde_json::json!({})), &["--allow-unattested-key"]);
    assert_eq!(output.status.code(), Some(0));
    let words = words(&output);
    assert!(
        words.contains("WARNING") && words.contains("NOT BOUND TO AN ENCLAVE") && words.contains(CONDITION),
        "{words}"
    );
    assert_eq!(scene.open([0x99; 48]).await.unwrap().digest(), scene.package.digest());
    // A key that is bound gives no cause for warnings.
    let output = scene.seal(&scene.guarded_key(), &["--allow-unattested-key"]);
    assert_eq!(output.stderr, b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_there_is_replaced_whole() {
    let scene = Scene::new().await;
    fs::write(scene.at("model.sealed"), "an older file").unwrap();
    fs::set_permissions(scene.at("model.sealed"), fs::Permissions::from_mode(0o644)).unwrap();
    let refused = scene.seal(&scene.key(&serde_json::json!({})), &[]);
    assert_eq!(refused.status.code(), Some(NOT_VERIFIED));
    assert_eq!(fs::read_to_string(scene.at("model.sealed")).unwrap(), "an older file");
    assert_eq!(scene.seal(&scene.guarded_key(), &[]).status.code(), Some(0));
    assert_eq!(scene.open(IMAGE).await.unwrap().digest(), scene.package.digest());
    assert_eq!(fs::metadata(scene.at("model.sealed")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_has_its_exit_code() {
    let scene = Scene::new().await;
    let key = scene.guarded_key();
    let code = |output: Output| output.status.code().unwrap();
    assert_eq!(code(scene.seal("alias/model", &[])), USAGE);
    assert_eq!(code(scene.seal(&key, &["--region", "eu-west-3"])), USAGE);
    assert_eq!(code(scene.seal_at("http://127.0.0.1:1", &key, &[])), USAGE);
    // A server whose certificate another authority signed.
    let other = Server::start(Config::local(scene.authority.root_pem())).await.unwrap();
    assert_eq!(code(scene.seal_at(&other.endpoint(), &key, &[])), UNAVAILABLE);
    // A key that is not there.
    let (start, _) = key.rsplit_once('/').unwrap();
    assert_eq!(code(scene.seal(&format!("{start}/none"), &[])), UNAVAILABLE);
    fs::remove_file(scene.at("package/any.onnx")).unwrap();
    assert_eq!(code(scene.seal(&key, &[])), INPUT);
    assert_eq!(scene.files(), ["ca.pem", "package"]);
}
