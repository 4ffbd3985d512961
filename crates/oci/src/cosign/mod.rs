//! Signatures in the format of sigstore's cosign ("simple signing"), which admission controllers of Kubernetes check.
//!
//! A signature is an image in the signed image's repository, under the tag [`Attachment::Signature`](crate::Attachment) gives. Each of its layers
//! is a JSON payload that names the signed manifest's digest; the ECDSA signature over the payload's bytes, DER in base64, is an annotation of
//! the layer. Nothing is written to a transparency log, so that verifiers are told not to ask for one
//! (`cosign verify --insecure-ignore-tlog`, Kyverno's `rekor.ignoreTlog`).
//!
//! # Which hash
//! `cosign verify --key FILE` hashes with SHA-256 whatever the key's curve is, unless `--signature-digest-algorithm` says another
//! (cosign, `pkg/signature/keys.go`: `LoadPublicKey` and `PublicKeyFromKeyRef` hand on `crypto.SHA256`;
//! issues sigstore/cosign#946 and #5092 are what people make of it for P-384). Kyverno calls the same choice `signatureAlgorithm`. AWS KMS signs
//! with a P-384 key over SHA-384 only. Hence:
//!
//! | [`Scheme`] | keys | `cosign verify --key cosign.pub` |
//! | --- | --- | --- |
//! | [`Scheme::P256Sha256`] | file, KMS `ECC_NIST_P256` | as it is |
//! | [`Scheme::P384Sha256`] | cosign's own, from a file; [`KeyFile`] does not sign so | as it is |
//! | [`Scheme::P384Sha384`] | file, KMS `ECC_NIST_P384` | with `--signature-digest-algorithm sha384` |
//!
//! For a key whose signatures any tool shall verify without being told more, take P-256. [`verify`] takes all three. Kyverno takes `sha384` since
//! 1.11.2. cosign 3 signs in another format if not told otherwise, and verifies this one as well (sigstore/cosign#4531).

mod key;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Result, excerpt};
use crate::layout::Layout;
use crate::limits;
use crate::manifest::{Descriptor, IMAGE_CONFIG, Manifest, encode};

pub use key::{KeyFile, PublicKey, Scheme, Signer, Statement};

/// The media type of a payload.
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation with the signature.
pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// What the payload says that it is.
const TYPE: &str = "cosign container image signature";

#[derive(Serialize, Deserialize)]
struct Payload {
    critical: Critical,
    #[serde(default)]
    optional: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Serialize, Deserialize)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Serialize, Deserialize)]
struct Identity {
    #[serde(rename = "docker-reference")]
    docker_reference: String,
}

#[derive(Serialize, Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: Digest,
}

/// A signature that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Where the signer said that the image is: `host/repository`. It is signed, but nobody compared it with anything.
    pub docker_reference: String,
    /// What else the signer said.
    pub optional: BTreeMap<String, serde_json::Value>,
    /// How the key signed.
    pub scheme: Scheme,
}

/// What is signed: an image, the name it goes by, and notes.
#[derive(Clone, Debug)]
pub struct ToSign<'a> {
    /// The image's manifest.
    pub image: Digest,
    /// `host/repository`.
    pub docker_reference: &'a str,
    /// Notes, which `cosign verify --annotations` compares.
    pub optional: BTreeMap<String, String>,
}

/// Signs, and puts the signature image into a layout, under its tag. Signatures that `existing`, an image of the layout, has are
/// kept in front; the same key's signature over the same payload is not added a second time. The tag moves with each signature
/// that is added, which a repository with immutable tags does not let it do.
///
/// # Errors
/// [`Error::Signing`]; [`Error::NotSigned`] when the signer's signature is not its public key's; those of reading and writing a layout.
pub async fn sign(
    layout: &mut Layout,
    what: &ToSign<'_>,
    existing: Option<&Digest>,
    signer: &dyn Signer,
) -> Result<Digest> {
    let mut layers = match existing {
        Some(existing) => layout.manifest(existing)?.layers,
        None => Vec::new(),
    };
    let payload = payload(what)?;
    let same = |layer: &Descriptor| {
        layer.digest == Digest::of(&payload) && check(layout, layer, signer.public_key(), &what.image).is_ok()
    };
    if layers.iter().any(same) {
        // The manifest is made anew below, and has the same digest if it was one of ours.
    } else {
        let statement = Statement::new(payload.clone(), signer.scheme());
        let signature = signer.sign(&statement).await.map_err(Error::Signing)?;
        let mut layer = layout.add_bytes(SIMPLE_SIGNING, &payload)?;
        layer.annotations.insert(SIGNATURE.to_owned(), STANDARD.encode(signature));
        // A signature of another key than announced would only be found out by those who verify.
        check(layout, &layer, signer.public_key(), &what.image).map_err(|reason| Error::NotSigned {
            image: what.image,
            count: 1,
            reasons: reason.to_string(),
        })?;
        layers.push(layer);
    }
    let config = layout.add_bytes(IMAGE_CONFIG, &config(&layers)?)?;
    let manifest = Manifest::new(config, layers);
    let tag = crate::Attachment::Signature.tag(&what.image);
    layout.add_manifest(&manifest.to_bytes()?, Some(&tag))
}

fn payload(what: &ToSign<'_>) -> Result<Vec<u8>> {
    let optional: BTreeMap<_, _> =
        what.optional.iter().map(|(name, value)| (name.clone(), serde_json::Value::from(value.as_str()))).collect();
    let payload = Payload {
        critical: Critical {
            identity: Identity { docker_reference: what.docker_reference.to_owned() },
            image: Image { digest: what.image },
            kind: TYPE.to_owned(),
        },
        optional: (!optional.is_empty()).then_some(optional),
    };
    encode("signature payload", &payload)
}

/// The configuration that tools expect of an image, of no machine and no time.
fn config(layers: &[Descriptor]) -> Result<Vec<u8>> {
    let layers: Vec<_> = layers.iter().map(|layer| layer.digest).collect();
    let config = serde_json::json!({
        "architecture": "",
        "config": {},
        "os": "",
        "rootfs": { "type": "layers", "diff_ids": layers },
    });
    encode("signature configuration", &config)
}

/// Verifies that one of the signature image's signatures is this key's, for this image.
///
/// # Errors
/// [`Error::NotSigned`] with the reason for each signature; those of reading a layout.
pub fn verify(layout: &Layout, signatures: &Digest, key: &PublicKey, image: &Digest) -> Result<Verified> {
    let manifest = layout.manifest(signatures)?;
    let mut reasons = Vec::new();
    for layer in manifest.layers.iter().take(limits::SIGNATURES) {
        match check(layout, layer, key, image) {
            Ok(verified) => return Ok(verified),
            Err(reason) => reasons.push(reason.to_string()),
        }
    }
    reasons.dedup();
    if manifest.layers.len() > limits::SIGNATURES {
        reasons.push(format!("signatures after the first {} are not looked at", limits::SIGNATURES));
    }
    let reasons = if reasons.is_empty() { "it has no signatures".to_owned() } else { reasons.join("; ") };
    Err(Error::NotSigned { image: *image, count: manifest.layers.len(), reasons: excerpt(&reasons) })
}

/// Why a layer is not the signature that is looked for.
#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("a layer is {0:?}, no payload")]
    Kind(String),
    #[error("a payload has no signature in base64")]
    NoSignature,
    #[error(transparent)]
    Layout(#[from] Error),
    #[error("a signature is another key's, or over another hash")]
    OtherKey,
    #[error("a payload of this key is not of cosign's form")]
    Form,
    #[error("a signature of this key is for {0}")]
    OtherImage(Digest),
}

fn check(layout: &Layout, layer: &Descriptor, key: &PublicKey, image: &Digest) -> Result<Verified, Reason> {
    if layer.media_type != SIMPLE_SIGNING {
        return Err(Reason::Kind(excerpt(&layer.media_type)));
    }
    let signature = layer.annotations.get(SIGNATURE).filter(|text| text.len() <= 512).ok_or(Reason::NoSignature)?;
    let signature = STANDARD.decode(signature).map_err(|_| Reason::NoSignature)?;
    let payload = layout.read(layer, limits::PAYLOAD)?;
    // The payload is looked into only once it is known whose it is.
    let scheme = key.verify(&payload, &signature).ok_or(Reason::OtherKey)?;
    let payload: Payload = serde_json::from_slice(&payload).map_err(|_| Reason::Form)?;
    if payload.critical.kind != TYPE {
        return Err(Reason::Form);
    }
    if payload.critical.image.digest != *image {
        return Err(Reason::OtherImage(payload.critical.image.digest));
    }
    Ok(Verified {
        docker_reference: payload.critical.identity.docker_reference,
        optional: payload.optional.unwrap_or_default(),
        scheme,
    })
}
