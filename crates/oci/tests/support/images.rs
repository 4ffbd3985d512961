//! Images to push, made by hand.

use std::io::Write;

use cloister_oci::manifest::{IMAGE_CONFIG, Manifest};
use cloister_oci::{Digest, Layout};
use flate2::Compression;
use flate2::write::GzEncoder;

pub const TAR: &str = "application/vnd.oci.image.layer.v1.tar";
pub const TAR_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tar of files.
pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

/// An image of these layers, under a tag.
pub fn image(layout: &mut Layout, tag: &str, layers: &[(&str, Vec<u8>)]) -> Digest {
    let layers: Vec<_> = layers.iter().map(|(kind, bytes)| layout.add_bytes(kind, bytes).unwrap()).collect();
    let ids: Vec<_> = layers.iter().map(|layer| layer.digest).collect();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {}, "rootfs": { "type": "layers", "diff_ids": ids },
    });
    let config = layout.add_bytes(IMAGE_CONFIG, &serde_json::to_vec(&config).unwrap()).unwrap();
    let manifest = serde_json::to_vec(&Manifest::new(config, layers)).unwrap();
    layout.add_manifest(&manifest, Some(tag)).unwrap()
}

/// Bytes that do not compress, the same for the same seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// An image of three layers, the middle one of two megabytes.
pub fn three_layers(layout: &mut Layout, tag: &str) -> Digest {
    let big = noise(2, 2 << 20);
    let layers = [
        (TAR_GZIP, gzip(&tar(&[("etc/motd", b"hello"), ("opt/cloister/cloister.eif", b"the old one")]))),
        (TAR, tar(&[("opt/cloister/cloister.eif", &big)])),
        (TAR_GZIP, gzip(&tar(&[("etc/issue", b"three")]))),
    ];
    image(layout, tag, &layers)
}
