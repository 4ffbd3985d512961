//! boto3 against the simulated KMS and the stand-in for ECR, with moto behind both: `tests/python/control_plane.py`, story by story.
//!
//! moto comes from PyPI as `moto-requirements.txt` pins it, into `$CLOISTER_CACHE`, or else into the target folder; the registry is
//! Debian's `docker-registry`. Where either is not to be had these tests fail: they are never skipped.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use cloister_sim::ecr::{self, Fault, RegistryAccess, State};
use cloister_sim::kms::{self, PrincipalsError};
use cloister_sim::moto::{self, Credentials, Moto};
use cloister_sim::nsm::Authority;
use tokio::process::Command;

const PROVIDER: &str = "111122223333";
const CONSUMER: &str = "444455556666";
const REGISTRY_PASSWORD: &str = "simulated";
/// bcrypt of the password, at its lowest cost: the registry computes it for each request.
const HTPASSWD: &str = "cloister:$2b$05$fH85YL7gRkiiaiuTZTAcue2vM6lW.pd5DG80jJVjLLfKAeaBnOxCu\n";

/// moto, both servers in front of it, and a caller in each of two accounts.
struct World {
    kms: kms::Running,
    ecr: ecr::Running,
    provider: Credentials,
    consumer: Credentials,
    folder: tempfile::TempDir,
    registry: Option<(String, DockerRegistry)>,
    // Last, so that whoever asks it ends before it.
    _moto: Moto,
}

struct DockerRegistry(Child);

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn cache() -> PathBuf {
    std::env::var_os("CLOISTER_CACHE").map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from)
}

impl World {
    async fn start(with_registry: bool) -> Self {
        let moto = tokio::task::spawn_blocking(|| Moto::start(&cache())).await.unwrap().unwrap();
        let provider = moto.assume_role(PROVIDER, "provider").await.unwrap();
        let consumer = moto.assume_role(CONSUMER, "consumer").await.unwrap();
        let mut config = kms::Config::local(Authority::ephemeral().unwrap().root_pem());
        config.control_plane = Some(moto.address);
        let kms = kms::Server::start(config).await.unwrap();
        kms.add_principal(provider.principal()).unwrap();
        kms.add_principal(consumer.principal()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), &kms.ca_pem).unwrap();
        let mut config = ecr::Config::local(moto.address);
        config.authority = Some(kms.authority().clone());
        config.looks_in_progress = 2;
        let registry = if with_registry { Some(docker_registry(&kms, folder.path()).await) } else { None };
        config.registry = registry.as_ref().map(|(host, _)| RegistryAccess {
            host: host.clone(),
            ca_pem: kms.ca_pem.clone(),
            user: "cloister".to_owned(),
            password: REGISTRY_PASSWORD.to_owned(),
        });
        let ecr = ecr::Server::start(config).await.unwrap();
        Self { kms, ecr, provider, consumer, folder, registry, _moto: moto }
    }

    /// Tells one of the script's stories.
    async fn tell(&self, story: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/control_plane.py");
        let mut command = Command::new(moto::python(&cache()).unwrap());
        command.arg(script).arg(story).env("CA", self.folder.path().join("ca.pem"));
        command.env("KMS", on_localhost(&self.kms.endpoint())).env("FRONT", on_localhost(&self.ecr.endpoint()));
        for (name, who) in [("PROVIDER", &self.provider), ("CONSUMER", &self.consumer)] {
            let keys = [&who.access_key_id, &who.secret_access_key, &who.session_token];
            command.env(name, serde_json::to_string(&keys).unwrap());
        }
        if let Some((host, _)) = &self.registry {
            command.env("REGISTRY", host).env("REGISTRY_PASSWORD", REGISTRY_PASSWORD);
        }
        let output = command.env_remove("AWS_PROFILE").env_remove("AWS_CA_BUNDLE").output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{story}:\n{said}");
    }
}

fn on_localhost(endpoint: &str) -> String {
    endpoint.replace("127.0.0.1", "localhost")
}

/// A real registry with a certificate of the simulator's authority, on a port of the loopback address.
async fn docker_registry(kms: &kms::Running, folder: &Path) -> (String, DockerRegistry) {
    let (certificate, key) = kms.authority().issue(&["localhost".to_owned()]).unwrap();
    let at = |name: &str| folder.join(name);
    std::fs::write(at("registry.pem"), certificate).unwrap();
    std::fs::write(at("registry.key"), key).unwrap();
    std::fs::write(at("htpasswd"), HTPASSWD).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {root}}}, delete: {{enabled: true}}}}\n\
         auth: {{htpasswd: {{realm: simulated, path: {root}/htpasswd}}}}\n\
         http: {{addr: '127.0.0.1:{port}', tls: {{certificate: {root}/registry.pem, key: {root}/registry.key}}}}\n",
        root = folder.display()
    );
    std::fs::write(at("registry.yml"), config).unwrap();
    let mut command = std::process::Command::new("docker-registry");
    command.arg("serve").arg(at("registry.yml")).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = DockerRegistry(command.spawn().unwrap_or_else(|error| panic!("docker-registry: {error}")));
    let end = Instant::now() + Duration::from_secs(30);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(child.0.try_wait().unwrap().is_none(), "docker-registry ended");
        assert!(Instant::now() < end, "docker-registry does not listen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (format!("localhost:{port}"), child)
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_used_under_the_policy_and_in_the_state_that_the_control_plane_holds() {
    let world = World::start(false).await;
    world.tell("keys").await;
    assert_eq!(world.kms.calls("DisableKey"), 1);
    assert_eq!(world.kms.calls("PutKeyPolicy"), 5, "refused ones included");
    let changes = world.kms.changes();
    assert_eq!(changes.iter().filter(|name| *name == "PutKeyPolicy").count(), 2, "refused ones not");
    assert_eq!(changes.first().map(String::as_str), Some("CreateKey"));
    assert!(!changes.iter().any(|name| name == "Decrypt" || name.starts_with("Describe")), "{changes:?}");
    let twice = world.kms.add_principal(world.provider.principal());
    assert!(matches!(twice, Err(PrincipalsError::Twice(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn replication_follows_rules_and_policies_and_faults_are_retried() {
    let world = World::start(false).await;
    world.tell("replication").await;
    let made =
        ["CreateRepository", "PutImage", "PutReplicationConfiguration", "PutRegistryPolicy", "PutRegistryPolicy"];
    assert_eq!(world.ecr.changes(), made);
    world.ecr.set_replication(CONSUMER, State::Failed("ImageTooOld".to_owned()));
    world.tell("failed").await;

    let before = world.ecr.calls("DescribeRepositories");
    world.ecr.fault("DescribeRepositories", 2, Fault::Throttling);
    world.ecr.fault("DescribeRegistry", 1, Fault::Internal);
    world.ecr.fault("DescribeImages", 1, Fault::Throttling);
    world.ecr.fault("ListImages", 1, Fault::ExpiredToken);
    world.tell("faults").await;
    assert_eq!(world.ecr.calls("DescribeRepositories"), before + 3);
    assert_eq!(world.ecr.changes(), made, "looking changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_those_that_lie_in_the_registry() {
    let world = World::start(true).await;
    world.tell("registry").await;
    assert_eq!(world.ecr.changes(), ["CreateRepository", "BatchDeleteImage"]);
}
