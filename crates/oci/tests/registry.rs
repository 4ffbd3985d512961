//! Publishing to and receiving from Debian's registry, with skopeo as the independent reader.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod support;

use std::process::Command;
use std::sync::{Arc, Mutex};

use cloister_oci::{
    Artifact, Attachment, Credentials, Digest, Error, Layout, Login, PullLimits, Push, Registry, Taken, extract,
};
use support::images::{noise, three_layers};
use support::registry::{DockerRegistry, NAME, PASSWORD, USER, plain, tls};
use support::{run, tool};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn login() -> Arc<dyn Credentials> {
    Arc::new(Login { user: USER.to_owned(), password: PASSWORD.to_owned().into() })
}

fn client(docker: &DockerRegistry) -> Registry {
    let builder = Registry::at(&docker.host()).unwrap().credentials(login());
    match docker.authority() {
        Some(pem) => builder.roots(pem).unwrap().build().unwrap(),
        None => builder.plain_http().unwrap().build().unwrap(),
    }
}

/// A copy that fails rather than to change the image's digest.
fn skopeo() -> Command {
    let mut command = Command::new(tool("skopeo"));
    command.args(["--insecure-policy", "copy", "--quiet", "--preserve-digests"]);
    command
}

fn push<'a>(layout: &'a Layout, image: Digest, tag: &'a str) -> Push<'a> {
    Push { layout, image, repository: "cloister/model", tag: Some(tag), taken: Taken::Refuse }
}

#[tokio::test]
async fn what_is_pushed_over_tls_is_what_skopeo_reads_and_what_comes_back() {
    let docker = tls();
    let registry = client(&docker);
    let mut layout = Layout::temporary().unwrap();
    let image = three_layers(&mut layout, "1.0");
    let pushed = registry.push_image(&push(&layout, image, "1.0")).await.unwrap();
    assert_eq!((pushed.sent, pushed.present, pushed.already), (4, 0, false));
    assert!(registry.push_image(&push(&layout, image, "1.0")).await.unwrap().already);
    assert_eq!(registry.resolve("cloister/model", "1.0").await.unwrap(), Some(image));
    assert_eq!(registry.resolve("cloister/model", "2.0").await.unwrap(), None);
    assert_eq!(registry.resolve("cloister/none", "1.0").await.unwrap(), None);

    let copy = tempfile::tempdir().unwrap();
    let to = copy.path().join("image.tar");
    run(skopeo()
        .arg("--src-cert-dir")
        .arg(docker.trust())
        .args(["--src-creds", &format!("{USER}:{PASSWORD}")])
        .arg(format!("docker://{}/cloister/model:1.0", docker.host()))
        .arg(format!("oci-archive:{}:1.0", to.display())));
    let read = Layout::open(&to).unwrap();
    assert_eq!(read.choose(Some("1.0")).unwrap(), image);
    read.verify(&image).unwrap();

    let mut back = Layout::temporary().unwrap();
    let pulled = registry.pull_image("cloister/model", "1.0", &mut back, PullLimits::default()).await.unwrap();
    assert_eq!(pulled, image);
    let file = copy.path().join("cloister.eif");
    extract(&back, &image, "opt/cloister/cloister.eif", &file, Default::default()).unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), noise(2, 2 << 20));
}

#[tokio::test]
async fn skopeo_reads_the_archive_and_writes_one_that_is_read() {
    let mut layout = Layout::temporary().unwrap();
    let image = three_layers(&mut layout, "1.0");
    let folder = tempfile::tempdir().unwrap();
    let (ours, again, theirs) = (folder.path().join("a.tar"), folder.path().join("b.tar"), folder.path().join("c"));
    layout.write_archive(&ours).unwrap();
    layout.write_archive(&again).unwrap();
    assert_eq!(std::fs::read(&ours).unwrap(), std::fs::read(&again).unwrap());
    run(skopeo().arg(format!("oci-archive:{}:1.0", ours.display())).arg(format!("oci:{}:other", theirs.display())));
    assert_eq!(Layout::open(&theirs).unwrap().choose(None).unwrap(), image);
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused_and_named() {
    let docker = tls();
    let registry = Registry::at(&docker.host()).unwrap().credentials(login()).build().unwrap();
    let error = registry.resolve("cloister/model", "1.0").await.unwrap_err();
    assert!(matches!(error, Error::NotTrusted { .. }), "{error}");
}

/// An HTTP CONNECT proxy that leads everybody to one port of this machine; what it was asked for.
async fn proxy(port: u16) -> (std::net::SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            log.lock().unwrap().push(head.lines().next().unwrap().to_owned());
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            let mut to = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut to).await.ok() });
        }
    });
    (address, asked)
}

#[tokio::test]
async fn a_registry_behind_a_proxy_is_reached_by_its_name() {
    let docker = tls();
    let (address, asked) = proxy(docker.port()).await;
    let registry = Registry::at(NAME)
        .unwrap()
        .roots(docker.authority().unwrap())
        .unwrap()
        .proxy(format!("tcp://{address}").parse().unwrap())
        .credentials(login())
        .build()
        .unwrap();
    let mut layout = Layout::temporary().unwrap();
    let image = three_layers(&mut layout, "1.0");
    registry.push_image(&push(&layout, image, "1.0")).await.unwrap();
    assert_eq!(registry.resolve("cloister/model", "1.0").await.unwrap(), Some(image));
    let asked = asked.lock().unwrap();
    assert!(asked.iter().all(|line| line.starts_with(&format!("CONNECT {NAME}:443 "))), "{asked:?}");
}

#[tokio::test]
async fn a_wrong_password_and_none_are_refused() {
    let docker = plain();
    let host = docker.host();
    let wrong = Arc::new(Login { user: USER.to_owned(), password: "guess".to_owned().into() });
    let registry = Registry::at(&host).unwrap().plain_http().unwrap().credentials(wrong).build().unwrap();
    let error = registry.resolve("a", "b").await.unwrap_err();
    assert!(matches!(error, Error::NotAuthorised { .. }), "{error}");
    let registry = Registry::at(&host).unwrap().plain_http().unwrap().build().unwrap();
    let error = registry.resolve("a", "b").await.unwrap_err();
    assert!(matches!(error, Error::Credentials { .. }), "{error}");
}

#[tokio::test]
async fn plain_http_is_for_this_machine_only_and_nobody_at_home_is_said_at_once() {
    let error = Registry::at("registry.example").unwrap().plain_http().err().unwrap();
    assert!(matches!(error, Error::Plain { .. }), "{error}");
    let registry = Registry::at("127.0.0.1:1").unwrap().plain_http().unwrap().build().unwrap();
    let error = registry.resolve("a", "b").await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_tag_of_another_image_is_left_alone_unless_it_may_be_moved() {
    let docker = plain();
    let registry = client(&docker);
    let mut layout = Layout::temporary().unwrap();
    let first = three_layers(&mut layout, "1.0");
    let second = support::images::image(&mut layout, "other", &[]);
    registry.push_image(&push(&layout, first, "1.0")).await.unwrap();
    let error = registry.push_image(&push(&layout, second, "1.0")).await.unwrap_err();
    assert!(matches!(error, Error::TagTaken { found, .. } if found == first), "{error}");
    let moved = Push { taken: Taken::Move, ..push(&layout, second, "1.0") };
    registry.push_image(&moved).await.unwrap();
    assert_eq!(registry.resolve("cloister/model", "1.0").await.unwrap(), Some(second));
    // Without a tag, an image is there by its digest.
    registry.push_image(&Push { tag: None, ..push(&layout, first, "") }).await.unwrap();
    assert_eq!(registry.resolve("cloister/model", &first.to_string()).await.unwrap(), Some(first));
}

#[tokio::test]
async fn half_of_an_image_is_named_on_both_ways() {
    let docker = plain();
    let registry = client(&docker);
    let mut layout = Layout::temporary().unwrap();
    let image = three_layers(&mut layout, "1.0");
    registry.push_image(&push(&layout, image, "1.0")).await.unwrap();
    let lost = layout.manifest(&image).unwrap().layers[1].digest;
    docker.lose(&lost.hex());
    let mut back = Layout::temporary().unwrap();
    let error = registry.pull_image("cloister/model", "1.0", &mut back, PullLimits::default()).await.unwrap_err();
    assert!(matches!(error, Error::BlobMissing { digest, .. } if digest == lost), "{error}");
    let error = registry.pull_image("cloister/model", "9", &mut back, PullLimits::default()).await.unwrap_err();
    assert!(matches!(error, Error::ImageUnknown { .. }), "{error}");
}

#[tokio::test]
async fn a_broken_layout_sends_nothing() {
    let docker = plain();
    let registry = client(&docker);
    let mut layout = Layout::temporary().unwrap();
    let image = three_layers(&mut layout, "1.0");
    let blob = layout.manifest(&image).unwrap().layers[1].digest;
    let path = layout.path().join("blobs/sha256").join(blob.hex());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = registry.push_image(&push(&layout, image, "1.0")).await.unwrap_err();
    assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
    bytes.pop();
    std::fs::write(&path, &bytes).unwrap();
    let error = registry.push_image(&push(&layout, image, "1.0")).await.unwrap_err();
    assert!(matches!(error, Error::SizeMismatch { .. }), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = registry.push_image(&push(&layout, image, "1.0")).await.unwrap_err();
    assert!(matches!(error, Error::BlobMissing { .. }), "{error}");
    assert_eq!(registry.resolve("cloister/model", "1.0").await.unwrap(), None, "nothing was published");
}

#[tokio::test]
async fn more_than_the_limits_is_refused_before_it_is_fetched() {
    let docker = plain();
    let registry = client(&docker);
    let mut layout = Layout::temporary().unwrap();
    let image = three_layers(&mut layout, "1.0");
    registry.push_image(&push(&layout, image, "1.0")).await.unwrap();
    for limits in [PullLimits { blob: 1 << 20, image: 1 << 30 }, PullLimits { blob: 1 << 30, image: 1 << 20 }] {
        let mut back = Layout::temporary().unwrap();
        let error = registry.pull_image("cloister/model", "1.0", &mut back, limits).await.unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }), "{error}");
        assert_eq!(std::fs::read_dir(back.path().join("blobs/sha256")).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn attachments_travel_and_are_deleted() {
    let docker = plain();
    let registry = client(&docker);
    let mut layout = Layout::temporary().unwrap();
    let tag = Attachment::Policy.tag(&Digest::of(b"image"));
    let artifact = Artifact {
        artifact_type: "application/vnd.cloister.policy".to_owned(),
        media_type: "application/toml".to_owned(),
        title: "policy.toml".to_owned(),
        about: Digest::of(b"image"),
        bytes: b"pcr0 = \"00\"\n".to_vec(),
    };
    let digest = artifact.add_to(&mut layout, Some(&tag)).unwrap();
    registry.push_image(&push(&layout, digest, &tag)).await.unwrap();
    let mut back = Layout::temporary().unwrap();
    let pulled = registry.pull_image("cloister/model", &tag, &mut back, PullLimits::default()).await.unwrap();
    assert_eq!(Artifact::read(&back, &pulled, &artifact.artifact_type, 1000).unwrap(), artifact);
    assert!(registry.delete_manifest("cloister/model", &digest).await.unwrap());
    assert!(!registry.delete_manifest("cloister/model", &digest).await.unwrap());
    assert_eq!(registry.resolve("cloister/model", &tag).await.unwrap(), None);
}
