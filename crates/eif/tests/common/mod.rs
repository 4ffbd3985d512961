//! What the tests build images from.
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a helper of a test fails as the test does, and not every test needs each"
)]

use std::ops::Range;
use std::path::PathBuf;

use cloister_eif::{BuildMetadata, Certificate, Image, KeyFile, Metadata, Parts, Statement};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P384_SHA384, date_time_ymd};
use serde_json::{Map, Value, json};

/// Bytes of the header, and of the head of a section.
pub const HEADER: usize = 548;
pub const SECTION_HEAD: usize = 12;

/// A file beside the tests; `vectors/README.md` says how each was made.
pub fn vector(name: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)).unwrap()
}

/// The metadata of the vectors.
pub fn metadata() -> Metadata {
    let Value::Object(custom_metadata) = json!({ "by": "hand", "note": "a vector" }) else { unreachable!() };
    Metadata {
        image_name: "vector".into(),
        image_version: "1".into(),
        build_metadata: BuildMetadata {
            build_time: "2026-01-02T03:04:05+00:00".into(),
            build_tool: "aws-nitro-enclaves-image-format".into(),
            build_tool_version: "0.8.1".into(),
            operating_system: "Linux".into(),
            kernel_version: "6.12.1".into(),
        },
        docker_info: Map::new(),
        custom_metadata,
    }
}

/// An image of the vectors' parts and these ramdisks.
pub fn image(ramdisks: &[&[u8]]) -> Image {
    let command_line = String::from_utf8(vector("cmdline")).unwrap();
    build(&vector("kernel"), &command_line, ramdisks).unwrap()
}

pub fn build(kernel: &[u8], command_line: &str, ramdisks: &[&[u8]]) -> cloister_eif::Result<Image> {
    let ramdisks = ramdisks.iter().map(|ramdisk| ramdisk.to_vec()).collect();
    Image::build(Parts { kernel, command_line, metadata: &metadata(), ramdisks })
}

/// Writes the checksum that fits, as whoever changes an image would.
pub fn with_checksum(mut image: Vec<u8>) -> Vec<u8> {
    if image.len() >= HEADER {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&image[..HEADER - 4]);
        crc.update(&image[HEADER..]);
        image[HEADER - 4..HEADER].copy_from_slice(&crc.finalize().to_be_bytes());
    }
    image
}

/// Where the content of the section of that index lies, by the table.
pub fn place(image: &[u8], index: usize) -> Range<usize> {
    let number = |at: usize| u64::from_be_bytes(image[at..at + 8].try_into().unwrap()) as usize;
    let start = number(28 + 8 * index) + SECTION_HEAD;
    start..start + number(28 + 8 * 32 + 8 * index)
}

/// A key on P-384 with its certificate, valid from 2020 to 2030.
pub struct Authority {
    pub key: KeyFile,
    pub certificate: Certificate,
    pub certificate_pem: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2030, 1, 1));
        let certificate_pem = params.self_signed(&key).unwrap().pem();
        Self {
            key: KeyFile::from_pem(key.serialize_pem().as_bytes()).unwrap(),
            certificate: Certificate::from_pem(certificate_pem.as_bytes()).unwrap(),
            certificate_pem,
        }
    }

    pub fn sign(&self, image: Image) -> Image {
        let statement = Statement::new(self.certificate.clone(), &image.measurements().pcr0).unwrap();
        image.signed(&self.key.sign(statement).unwrap()).unwrap()
    }
}
