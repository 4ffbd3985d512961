//! Whether a release is what its owner promised.

use std::collections::BTreeMap;

use cloister_attest::Policy;
use cloister_eif::{Image, limits};
use cloister_oci::cosign::{self, PublicKey};
use cloister_oci::{Artifact, Attachment, Digest, FileLimits, Layout, extract};
use serde::Serialize;

use super::{MEASUREMENTS_TYPE, POLICY_TYPE, Release};
use crate::failure::Failure;
use crate::policy::measurements;
use crate::{files, registry};

/// Most bytes of measurements and of a policy: both have a few kilobytes.
const MAX_TEXT_BYTES: u64 = 1 << 20;

type Pcrs = BTreeMap<u16, [u8; 48]>;

/// What a release has to be.
pub struct Expected<'a> {
    /// Whose signature.
    pub key: &'a PublicKey,
    /// Where in the container image the enclave's image is.
    pub eif_path: &'a str,
    /// Measurements that came by another way.
    pub measurements: Option<Pcrs>,
    /// A policy that came by another way.
    pub policy: Option<&'a Policy>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct Check {
    /// What was looked at.
    pub what: &'static str,
    /// Whether it is as it should be.
    pub passed: bool,
    /// What was found.
    pub found: String,
}

/// Looks at everything, so that a person sees all that is wrong at once.
pub fn check(layout: &Layout, release: &Release, expected: &Expected<'_>) -> Result<Vec<Check>, Failure> {
    let mut checks = vec![signature(layout, "signature of the image", &release.image, expected.key)];
    let (image, measured) = match enclave(layout, &release.image, expected.eif_path) {
        Ok(image) => {
            let measured: Pcrs = image.measurements().registers().collect();
            let found = measured.iter().map(|(index, value)| format!("PCR{index} {}", hex::encode(value)));
            let found = found.collect::<Vec<_>>().join(", ");
            checks.push(Check { what: "the enclave's image in it", passed: true, found });
            (Some(image), Some(measured))
        }
        Err(failure) => {
            checks.push(failed("the enclave's image in it", &failure));
            (None, None)
        }
    };
    if let Some(signature) = image.as_ref().and_then(Image::signature) {
        let verified = image.as_ref().map(|image| signature.verify(&image.measurements().pcr0));
        let outcome = verified.transpose().map(|_| format!("by {}", signature.certificate().subject()));
        checks.push(outcome_of("signature in the enclave's image", outcome));
    }
    let promised =
        published(layout, release.measurements, MEASUREMENTS_TYPE, "measurements", expected.key, &mut checks);
    if let Some(bytes) = promised {
        checks.push(compared("published measurements", measurements::parse(&bytes), measured.as_ref()));
    }
    if let Some(given) = &expected.measurements {
        checks.push(compared("your measurements", Ok(given.clone()), measured.as_ref()));
    }
    let published = published(layout, release.policy, POLICY_TYPE, "policy", expected.key, &mut checks);
    if let Some(bytes) = published {
        checks.push(accepted("published policy", parse_policy(bytes).as_ref(), measured.as_ref()));
    }
    if let Some(policy) = expected.policy {
        checks.push(accepted("your policy", Ok(policy), measured.as_ref()));
    }
    Ok(checks)
}

/// What is wrong with a release before it is signed, if anything: the measurements have to be those of the enclave's image in `source`, and the policy has to
/// accept it.
pub fn promised(
    source: &Layout,
    attached: &Layout,
    release: &Release,
    expected: &Expected<'_>,
) -> Result<Option<Check>, Failure> {
    let measured: Pcrs = enclave(source, &release.image, expected.eif_path)?.measurements().registers().collect();
    let read = |digest: Option<Digest>, kind: &str| {
        let digest = digest.ok_or_else(|| Failure::input("a release has measurements and a policy"))?;
        let artifact = Artifact::read(attached, &digest, kind, MAX_TEXT_BYTES).map_err(registry::failure)?;
        Ok::<_, Failure>(artifact.bytes)
    };
    let measurements = measurements::parse(&read(release.measurements, MEASUREMENTS_TYPE)?);
    let policy = parse_policy(read(release.policy, POLICY_TYPE)?);
    let checks = [
        compared("the measurements", measurements, Some(&measured)),
        accepted("the policy", policy.as_ref(), Some(&measured)),
    ];
    Ok(checks.into_iter().find(|check| !check.passed))
}

fn parse_policy(bytes: Vec<u8>) -> Result<Policy, String> {
    let text = String::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
    Policy::from_toml(&text).map_err(|error| error.to_string())
}

fn signature(layout: &Layout, what: &'static str, part: &Digest, key: &PublicKey) -> Check {
    let outcome = layout
        .choose(Some(&Attachment::Signature.tag(part)))
        .map_err(|_| "it is not signed".to_owned())
        .and_then(|signatures| cosign::verify(layout, &signatures, key, part).map_err(|error| error.to_string()));
    outcome_of(what, outcome.map(|verified| format!("{part}, signed as {}", verified.docker_reference)))
}

/// The enclave's image, from the container image's layers.
fn enclave(layout: &Layout, image: &Digest, path: &str) -> Result<Image, Failure> {
    let folder = tempfile::tempdir().map_err(|error| Failure::unavailable(format!("no temporary folder: {error}")))?;
    let file = folder.path().join("cloister.eif");
    let bounds = FileLimits { file: limits::IMAGE as u64, ..FileLimits::default() };
    extract(layout, image, path, &file, bounds).map_err(registry::failure)?;
    let image = Image::read(&files::read_at_most(&file, limits::IMAGE as u64)?);
    image.map_err(|error| Failure::input(format!("{path}: {error}")))
}

/// The file of an attachment, where it is there, is whole and signed.
fn published(
    layout: &Layout,
    artifact: Option<Digest>,
    artifact_type: &str,
    what: &'static str,
    key: &PublicKey,
    checks: &mut Vec<Check>,
) -> Option<Vec<u8>> {
    let signed = match what {
        "policy" => "signature of the policy",
        _ => "signature of the measurements",
    };
    let Some(digest) = artifact else {
        checks.push(Check { what, passed: false, found: "nothing of it was published beside the image".to_owned() });
        return None;
    };
    let check = signature(layout, signed, &digest, key);
    let trusted = check.passed;
    checks.push(check);
    match Artifact::read(layout, &digest, artifact_type, MAX_TEXT_BYTES) {
        Ok(artifact) => trusted.then_some(artifact.bytes),
        Err(error) => {
            checks.push(failed(what, &error));
            None
        }
    }
}

/// Whether what was promised is what the image measures to, register by register.
fn compared(what: &'static str, promised: Result<Pcrs, String>, measured: Option<&Pcrs>) -> Check {
    let outcome = promised.and_then(|promised| {
        let measured = measured.ok_or("there is no image to compare with")?;
        for index in [0, 1, 2, 8] {
            let [there, here] = [&promised, measured].map(|pcrs| pcrs.get(&index));
            if there != here {
                let text = |value: Option<&[u8; 48]>| value.map_or("none".to_owned(), hex::encode);
                return Err(format!("PCR{index} is {}, and was to be {}", text(here), text(there)));
            }
        }
        Ok("PCR0, PCR1, PCR2 and PCR8 are the same".to_owned())
    });
    outcome_of(what, outcome)
}

/// Whether a policy lets enclaves of this image in. It may ask for more, which only a running enclave can show.
fn accepted(what: &'static str, policy: Result<&Policy, &String>, measured: Option<&Pcrs>) -> Check {
    let outcome = policy.map_err(Clone::clone).and_then(|policy| {
        let measured = measured.ok_or("there is no image to compare with")?;
        let same = |pcrs: &mut dyn Iterator<Item = (&u16, &[u8; 48])>| {
            pcrs.filter(|(index, _)| [0, 1, 2, 8].contains(*index))
                .all(|(index, value)| measured.get(index) == Some(value))
        };
        let entry = policy.accept().iter().find(|entry| same(&mut entry.pcrs.iter()));
        entry.map(|entry| format!("accepts it as {:?}", entry.label)).ok_or("does not accept this image".to_owned())
    });
    outcome_of(what, outcome)
}

fn outcome_of(what: &'static str, outcome: Result<String, impl std::fmt::Display>) -> Check {
    match outcome {
        Ok(found) => Check { what, passed: true, found },
        Err(error) => failed(what, &error),
    }
}

fn failed(what: &'static str, error: &dyn std::fmt::Display) -> Check {
    Check { what, passed: false, found: error.to_string() }
}
