//! Models that the older public workflow sealed: opened by their owner, sealed anew, and served from an enclave.

use std::path::{Path, PathBuf};
use std::process::Command;

use cloister_model::Package;
use cloister_tests::{OWNER, Output, Setup, World, binary, cache, run};

const INPUT: i32 = 65;
const NOT_VERIFIED: i32 = 77;

/// What that workflow did, with the libraries that it used: a data key of KMS's without a context, Fernet over the content, and the wrapped key before it, behind its
/// length in four bytes.
const OLDER: &str = r"
import base64, struct, sys
import boto3
from cryptography.fernet import Fernet
endpoint, ca, key, content, out = sys.argv[1:]
kms = boto3.client('kms', endpoint_url=endpoint, verify=ca, region_name='us-east-1')
made = kms.generate_data_key(KeyId=key, KeySpec='AES_256')
token = Fernet(base64.urlsafe_b64encode(made['Plaintext'])).encrypt(open(content, 'rb').read())
wrapped = made['CiphertextBlob']
open(out, 'wb').write(struct.pack('>I', len(wrapped)) + wrapped + token)
";

/// A world, and the key of the older workflow, which its owner opens without an enclave.
struct Older {
    world: World,
    key: String,
}

impl Older {
    async fn start() -> Self {
        let world = World::ready(Setup::default()).await;
        let policy = serde_json::json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*", "Action": "kms:*",
            "Principal": {"AWS": "arn:aws:iam::111122223333:root"}}]});
        let key = world.kms.create_key("111122223333", &policy.to_string()).unwrap();
        Self { world, key }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.folder().join(name)
    }

    fn endpoint(&self) -> String {
        format!("https://localhost:{}", self.world.kms.address.port())
    }

    fn seal(&self, content: &Path) {
        let python = tokio::task::block_in_place(|| cloister_sim::moto::python(&cache())).unwrap();
        let mut command = Command::new(python);
        command.args(["-c", OLDER, &self.endpoint()]).arg(self.path("kms-ca.pem")).arg(&self.key);
        command.arg(content).arg(self.path("older.encrypted")).envs(OWNER).env("AWS_EC2_METADATA_DISABLED", "true");
        run(&mut command).success();
    }

    fn reseal(&self, more: &[&str]) -> Output {
        let mut command = Command::new(binary("cloister"));
        command.args(["model", "reseal", "--from"]).arg(self.path("older.encrypted"));
        command.args(["--from-key-id", &self.key, "--key-id", &self.world.key_arn, "--endpoint", &self.endpoint()]);
        command.arg("--ca").arg(self.path("kms-ca.pem")).arg("--out").arg(self.path("resealed"));
        run(command.args(more).envs(OWNER))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_is_sealed_anew_and_served() {
    let mut older = Older::start().await;
    let package = Package::open(&older.world.package).unwrap();
    let content = older.path("package.tar");
    package.write_tar(std::fs::File::create(&content).unwrap()).unwrap();
    older.seal(&content);
    let said = older.reseal(&[]).success();
    assert!(said.contains(&hex::encode(package.digest())), "{said}");
    // The enclave takes it for what it is.
    std::fs::rename(older.path("resealed"), &older.world.sealed).unwrap();
    older.world.restart(&Setup::default().enclave);
    drop(older.world.session().await);

    // A damaged file, and another key's.
    let mut file = std::fs::read(older.path("older.encrypted")).unwrap();
    let middle = file.len() / 2;
    file[middle] = if file[middle] == b'A' { b'B' } else { b'A' };
    std::fs::write(older.path("older.encrypted"), &file).unwrap();
    let refused = older.reseal(&[]);
    assert_eq!(refused.code, NOT_VERIFIED, "{}", refused.stderr);
    assert!(!older.path("resealed").exists());
    std::fs::write(older.path("older.encrypted"), b"nothing of the kind").unwrap();
    assert_eq!(older.reseal(&[]).code, INPUT);
    let content = older.path("text");
    std::fs::write(&content, "neither package nor checkpoint").unwrap();
    older.seal(&content);
    let refused = older.reseal(&[]);
    assert_eq!(refused.code, INPUT);
    assert!(refused.stderr.contains("neither a model package nor a PyTorch checkpoint"), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_converted_as_it_would_be_by_hand() {
    let Some(checkpoint) = cloister_test_data::path("reference/random-a.p") else { return };
    let older = Older::start().await;
    let described = ["--cc-window", "320x256", "--mlo-window", "320x256", "--version", "3", "--no-known-answers"];
    let mut convert = Command::new(binary("cloister"));
    convert.args(["model", "convert", "--checkpoint"]).arg(&checkpoint).arg("--out").arg(older.path("converted"));
    run(convert.args(described)).success();
    older.seal(&checkpoint);
    let said = older.reseal(&described).success();
    let digest = hex::encode(Package::open(&older.path("converted")).unwrap().digest());
    assert!(said.contains(&digest), "{said}");
}
