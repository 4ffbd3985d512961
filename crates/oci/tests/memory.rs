//! A large blob does not pass through memory as a whole. Alone in its process, whose memory is measured.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod support;

use std::io::Read;

use cloister_oci::{Digest, Layout, PullLimits, Push, Registry, Taken};
use http::Method;
use support::front::{Fault, Front};

const BLOB: u64 = 192 << 20;
const GROWTH: u64 = 24 << 20;

/// The most memory that this process ever had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn neither_a_push_nor_a_pull_takes_memory_for_the_blob() {
    let front = Front::start(1).await;
    let mut layout = Layout::temporary().unwrap();
    let before = peak();
    let layer = layout.add_reader(support::images::TAR, std::io::repeat(7).take(BLOB), BLOB).unwrap();
    let config = layout.add_bytes("application/vnd.oci.image.config.v1+json", b"{}").unwrap();
    let (large, small) = (layer.digest.to_string(), config.digest.to_string());
    let manifest = cloister_oci::manifest::Manifest::new(config, vec![layer]);
    let manifest: &str = serde_json::to_string(&manifest).unwrap().leak();
    let image = layout.add_manifest(manifest.as_bytes(), None).unwrap();

    let answer = |status, headers| Fault::Answer(status, headers, "");
    front.fault(Method::HEAD, "/", 9, answer(404, vec![]));
    front.fault(Method::POST, "/uploads/", 9, answer(202, vec![("location", "/upload/1".to_owned())]));
    front.fault(Method::PUT, "/upload/", 9, Fault::Swallow(201, vec![]));
    front.fault(Method::PUT, "/manifests/", 1, answer(201, vec![]));
    front.fault(Method::GET, "/manifests/", 2, Fault::Answer(200, vec![], manifest));
    front.fault(Method::GET, &large, 1, Fault::Sevens(BLOB as usize));
    front.fault(Method::GET, &small, 1, Fault::Answer(200, vec![], "{}"));
    let registry = Registry::at(&front.host()).unwrap().plain_http().unwrap().build().unwrap();
    let push = Push { layout: &layout, image, repository: "big", tag: Some("1"), taken: Taken::Refuse };
    assert_eq!(registry.push_image(&push).await.unwrap().sent, 2);
    assert_eq!(front.swallowed(), BLOB + 2);
    assert_eq!(registry.resolve("big", &Digest::of(b"").to_string()).await.unwrap(), None);
    let mut back = Layout::temporary().unwrap();
    assert_eq!(registry.pull_image("big", "1", &mut back, PullLimits::default()).await.unwrap(), image);
    let grown = peak() - before;
    assert!(grown < GROWTH, "memory grew by {grown} bytes for a blob of {BLOB}");
}
