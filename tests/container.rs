//! The container image: what is in it, how it starts, that two builds of it are one image, and what is never built.

use std::path::{Path, PathBuf};
use std::process::Command;

use cloister_tests::{Output, run};
use serde_json::Value;
use tempfile::TempDir;

/// What the image may hold beside its base: mode, and path. Folders are 0755, and all is root's and of 1970.
const CONTENTS: [(&str, &str); 12] = [
    ("-r-xr-xr-x", "opt/cloister/bin/cloister"),
    ("-r-xr-xr-x", "opt/cloister/bin/cloister-parent"),
    ("-r-xr-xr-x", "opt/cloister/bin/cloister-proxy"),
    ("-r--r--r--", "opt/cloister/cloister.eif"),
    ("-r--r--r--", "opt/cloister/measurements.json"),
    ("-r-xr-xr-x", "opt/cloister/run.sh"),
    ("-r-xr-xr-x", "opt/cloister/scripts/pod.sh"),
    ("-r--r--r--", "opt/cloister/scripts/pod/checks.sh"),
    ("-r--r--r--", "opt/cloister/scripts/pod/enclave.sh"),
    ("-r--r--r--", "opt/cloister/scripts/pod/log.sh"),
    ("-r--r--r--", "opt/cloister/scripts/pod/processes.sh"),
    ("-r--r--r--", "opt/cloister/scripts/pod/settings.sh"),
];

/// A checkout with stand-ins in `dist/`, and an image store of its own that has a stand-in for the base.
struct Checkout {
    folder: TempDir,
}

impl Checkout {
    fn new() -> Self {
        let checkout = Self { folder: TempDir::new().unwrap() };
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for name in ["run.sh", "scripts", "Dockerfile.base", "Dockerfile.eif", ".env", ".dockerignore"] {
            let copied = Command::new("cp").arg("-r").arg(root.join(name)).arg(checkout.source("")).status();
            assert!(copied.unwrap().success(), "{name}");
        }
        let pcrs = (0..3).map(|pcr| format!("\"PCR{pcr}\": \"{}\"", "ab".repeat(48))).collect::<Vec<_>>().join(", ");
        checkout.write("dist/measurements.json", format!("{{\"Measurements\": {{{pcrs}}}}}"));
        checkout.write("dist/cloister.eif", ".eif and more");
        for name in ["cloister", "cloister-parent", "cloister-proxy"] {
            checkout.write(&format!("dist/bin/{name}"), format!("\x7fELF, in {name}'s place"));
        }
        let store = checkout.folder.path().join("store");
        let conf = format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = {:?}\nrunroot = {:?}\n",
            store.join("a"),
            store.join("b")
        );
        std::fs::write(checkout.folder.path().join("storage.conf"), conf).unwrap();
        checkout.write("base/Dockerfile", "FROM scratch\nCOPY tools /usr/bin/tools\n");
        checkout.write("base/tools", "nitro-cli and jq, as far as a build looks");
        let folder = checkout.source("base").display().to_string();
        let base = ["build", "--timestamp", "0", "--format", "oci", "--tag", "localhost/cloister-base:dev", &folder];
        run(&mut checkout.command("buildah", &base)).success();
        checkout
    }

    fn source(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join("source");
        std::fs::create_dir_all(&folder).unwrap();
        folder.join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.source(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let found = Command::new("buildah").arg("--version").output();
        assert!(found.is_ok(), "there is no buildah: run ./run.sh test as root, or install Debian's buildah");
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.source(""));
        // Where no container can be run, as here, images can be built nevertheless.
        command.env("CONTAINERS_STORAGE_CONF", self.folder.path().join("storage.conf"));
        command.env("STORAGE_DRIVER", "vfs").env("BUILDAH_ISOLATION", "chroot");
        command
    }

    fn images(&self, settings: &[(&str, &str)], what: &str) -> Output {
        let mut command = self.command("./run.sh", &["images", what]);
        run(command.envs(settings.iter().copied()))
    }

    /// Writes an image to a folder, as a registry would have it.
    fn pushed(&self, image: &str, name: &str) -> Image {
        let folder = self.folder.path().join(name);
        run(&mut self.command("buildah", &["push", image, &format!("oci:{}:pushed", folder.display())])).success();
        let index: Value = serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap();
        let digest = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
        Image { folder, digest }
    }
}

/// An image in a folder.
struct Image {
    folder: PathBuf,
    digest: String,
}

impl Image {
    fn blob(&self, digest: &Value) -> PathBuf {
        self.folder.join("blobs").join(digest.as_str().unwrap().replace(':', "/"))
    }

    fn json(&self, digest: &Value) -> Value {
        serde_json::from_slice(&std::fs::read(self.blob(digest)).unwrap()).unwrap()
    }

    fn manifest(&self) -> Value {
        self.json(&Value::String(self.digest.clone()))
    }

    fn config(&self) -> Value {
        self.json(&self.manifest()["config"]["digest"])
    }

    /// What its last layer holds, as tar lists it: mode, owner, size, date, time and path.
    fn last_layer(&self) -> Vec<Vec<String>> {
        let layers = self.manifest()["layers"].as_array().unwrap().clone();
        let mut tar = Command::new("tar");
        tar.args(["--utc", "--numeric-owner", "-tvzf"]).arg(self.blob(&layers.last().unwrap()["digest"]));
        let list = run(&mut tar).success();
        list.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    }
}

#[test]
fn the_image_holds_what_a_pod_needs_and_nothing_else() {
    let checkout = Checkout::new();
    // None of this is the image's.
    for name in ["dist/secret.pem", "dist/bin/other", "scripts/pod/notes.txt", "secret.pem"] {
        checkout.write(name, "\x7fELF a stray file");
    }
    checkout.images(&[("TAG", "1.2.3")], "module").success();
    let image = checkout.pushed("localhost/cloister:1.2.3", "image");
    let mut files = Vec::new();
    for entry in image.last_layer() {
        let [mode, owner, _size, date, _time, path] = &entry[..] else { panic!("{entry:?}") };
        assert_eq!((owner.as_str(), date.as_str()), ("0/0", "1970-01-01"), "{path}");
        match path.ends_with('/') {
            true => assert_eq!(mode, "drwxr-xr-x", "{path}"),
            false => files.push((mode.clone(), path.clone())),
        }
    }
    files.sort_by(|one, other| one.1.cmp(&other.1));
    assert_eq!(files, CONTENTS.map(|(mode, path)| (mode.to_owned(), path.to_owned())));
    let config = &image.config()["config"];
    assert_eq!(config["Entrypoint"], serde_json::json!(["/opt/cloister/run.sh"]));
    assert_eq!(config["Cmd"], serde_json::json!(["pod"]));
    assert_eq!(config["User"], "0:0");
    assert_eq!(config["WorkingDir"], "/opt/cloister");
    let label = |name: &str| config["Labels"][format!("org.opencontainers.image.{name}")].as_str().unwrap().to_owned();
    assert_eq!(
        (label("title").as_str(), label("version").as_str(), label("licenses").as_str()),
        ("Cloister", "1.2.3", "Apache-2.0")
    );
    assert!(config["ExposedPorts"].is_null() && config["Volumes"].is_null());
    assert_eq!(image.manifest()["annotations"]["org.opencontainers.image.base.name"], "localhost/cloister-base:dev");
}

#[test]
fn two_builds_of_the_same_are_one_image_and_another_is_another() {
    let (one, other) = (Checkout::new(), Checkout::new());
    // Another time, and other rights than those of the first.
    let touched = Command::new("touch").args(["--date", "2020-02-02"]).arg(other.source("dist/cloister.eif")).status();
    assert!(touched.unwrap().success());
    let changed = Command::new("chmod").arg("0777").arg(other.source("dist/bin/cloister")).status();
    assert!(changed.unwrap().success());
    let digest = |checkout: &Checkout, name: &str| {
        checkout.images(&[], "module").success();
        checkout.pushed("localhost/cloister:dev", name).digest
    };
    let first = digest(&one, "first");
    assert_eq!(digest(&other, "first"), first);
    other.write("dist/cloister.eif", ".eif and another");
    assert_ne!(digest(&other, "second"), first);
}

#[test]
fn the_module_stands_on_a_base_that_is_named_by_its_digest_too() {
    let checkout = Checkout::new();
    let base = checkout.pushed("localhost/cloister-base:dev", "base-image");
    let listed =
        run(&mut checkout.command("buildah", &["images", "--format", "{{.Digest}}", "localhost/cloister-base:dev"]));
    let digest = listed.success().trim().to_owned();
    checkout.images(&[("BASE_TAG", &digest)], "module").success();
    let image = checkout.pushed("localhost/cloister:dev", "image");
    assert_eq!(image.manifest()["annotations"]["org.opencontainers.image.base.digest"], Value::String(digest.clone()));
    assert_eq!(image.config()["rootfs"]["diff_ids"][0], base.config()["rootfs"]["diff_ids"][0]);
    let missing =
        checkout.images(&[("BASE_TAG", &format!("sha256:{}", "0".repeat(64))), ("PREFIX", "localhost:1/")], "module");
    assert_ne!(missing.code, 0, "{}", missing.stderr);
}

#[test]
fn a_base_without_a_digest_is_refused() {
    let checkout = Checkout::new();
    for base in ["", "public.ecr.aws/amazonlinux/amazonlinux:2023-minimal", "amazonlinux@sha256:abc"] {
        let output = checkout.images(&[("BASE_IMAGE", base)], "base");
        assert_eq!(output.code, 64, "{}", output.stderr);
        assert!(output.stderr.contains("has to end with @sha256:"), "{}", output.stderr);
    }
    assert_eq!(checkout.images(&[], "other").code, 64);
}

#[test]
fn what_is_no_release_is_not_put_into_an_image() {
    for (name, text, words) in [
        ("dist/cloister.eif", "", "there is no dist/cloister.eif: ./run.sh image --programs makes it"),
        ("dist/cloister.eif", "something", "no enclave image"),
        ("dist/measurements.json", "{}", "has no PCR0"),
        ("dist/bin/cloister-parent", "#!/bin/sh", "is no program"),
        ("dist/bin/cloister-proxy", "\x7fELF for /lib64/ld-linux-x86-64.so.2", "x86_64-unknown-linux-musl"),
    ] {
        let checkout = Checkout::new();
        checkout.write(name, text);
        let output = checkout.images(&[], "module");
        assert_eq!(output.code, 65, "{name}: {}", output.stderr);
        assert!(output.stderr.contains(words), "{name}: {}", output.stderr);
    }
}
