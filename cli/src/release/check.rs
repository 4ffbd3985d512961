//! Whether a release is what its owner promised.

use std::collections::BTreeMap;
use std::time::SystemTime;

use cloister_attest::{Policy, Root};
use cloister_eif::{Image, limits};
use cloister_oci::cosign::{self, PublicKey, Verified};
use cloister_oci::{Artifact, Attachment, Digest, FileLimits, Layout, extract};
use serde::Serialize;
use serde_json::Value;

use super::{MEASUREMENTS_TYPE, POLICY_TYPE, Release, TAG};
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
    /// The name that it was asked for by: a signature for another repository or tag is one for another release.
    pub name: Option<(&'a str, Option<&'a str>)>,
    /// The root that its policy has to have.
    pub root: &'a Root,
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
    let mut checks = vec![named(layout, release, expected)];
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
    let promised = published(layout, release, MEASUREMENTS_TYPE, expected.key, &mut checks);
    if let Some(bytes) = promised {
        checks.push(compared("published measurements", measurements::parse(&bytes), measured.as_ref()));
    }
    if let Some(given) = &expected.measurements {
        checks.push(compared("your measurements", Ok(given.clone()), measured.as_ref()));
    }
    let published = published(layout, release, POLICY_TYPE, expected.key, &mut checks);
    if let Some(bytes) = published {
        checks.push(accepted("published policy", parse_policy(bytes).as_ref(), expected.root, measured.as_ref()));
    }
    if let Some(policy) = expected.policy {
        checks.push(accepted("your policy", Ok(policy), expected.root, measured.as_ref()));
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
        accepted("the policy", policy.as_ref(), expected.root, Some(&measured)),
    ];
    Ok(checks.into_iter().find(|check| !check.passed))
}

fn parse_policy(bytes: Vec<u8>) -> Result<Policy, String> {
    let text = String::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
    Policy::from_toml(&text).map_err(|error| error.to_string())
}

/// The image's signature, and whether it is for the name that was asked for.
fn named(layout: &Layout, release: &Release, expected: &Expected<'_>) -> Check {
    let outcome = signature(layout, &release.image, expected.key).and_then(|verified| {
        let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
        let signed_tag = verified.optional.get(TAG).and_then(Value::as_str).unwrap_or_default().to_owned();
        let said = format!("{}, signed as {}:{signed_tag}", release.image, verified.docker_reference);
        match expected.name {
            Some((repository, _)) if last(repository) != last(&verified.docker_reference) => {
                Err(format!("{said}: that is another repository's"))
            }
            Some((_, Some(tag))) if tag != signed_tag => {
                Err(format!("{said}, and not as {tag}: an older or another release"))
            }
            _ => Ok(said),
        }
    });
    outcome_of("signature of the image", outcome)
}

fn signature(layout: &Layout, part: &Digest, key: &PublicKey) -> Result<Verified, String> {
    let signatures =
        layout.choose(Some(&Attachment::Signature.tag(part))).map_err(|_| "it is not signed".to_owned())?;
    cosign::verify(layout, &signatures, key, part).map_err(|error| error.to_string())
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

/// The file of an attachment, where it is there, is whole, signed, and of this image.
fn published(
    layout: &Layout,
    release: &Release,
    artifact_type: &str,
    key: &PublicKey,
    checks: &mut Vec<Check>,
) -> Option<Vec<u8>> {
    let (what, part) = match artifact_type {
        POLICY_TYPE => ("signature of the policy", release.policy),
        _ => ("signature of the measurements", release.measurements),
    };
    let outcome = part.ok_or_else(|| "nothing of it was published beside the image".to_owned()).and_then(|digest| {
        signature(layout, &digest, key)?;
        let artifact =
            Artifact::read(layout, &digest, artifact_type, MAX_TEXT_BYTES).map_err(|error| error.to_string())?;
        match artifact.about == release.image {
            true => Ok((digest, artifact.bytes)),
            false => Err(format!("it is that of another image, {}", artifact.about)),
        }
    });
    let (outcome, bytes) = match outcome {
        Ok((digest, bytes)) => (Ok(digest.to_string()), Some(bytes)),
        Err(error) => (Err(error), None),
    };
    checks.push(outcome_of(what, outcome));
    bytes
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

/// Whether a policy lets enclaves of this image in, now and under that root. It may ask for more, which only a running enclave can show.
fn accepted(what: &'static str, policy: Result<&Policy, &String>, root: &Root, measured: Option<&Pcrs>) -> Check {
    let outcome = policy.map_err(Clone::clone).and_then(|policy| {
        let measured = measured.ok_or("there is no image to compare with")?;
        if policy.root() != root {
            let whose = if root.is_amazon() { "Amazon's" } else { "the one that was named" };
            return Err(format!("its root is not {whose}: it would believe other machines than AWS's"));
        }
        let asked = |index: &u16| [0, 1, 2, 8].contains(index);
        let mut same = policy.accept().iter().filter(|entry| {
            let mut pcrs = entry.pcrs.iter().filter(|(index, _)| asked(index));
            pcrs.all(|(index, value)| measured.get(index) == Some(value))
        });
        let now = SystemTime::now();
        let in_time = same.clone().find(|entry| entry.until.is_none_or(|until| until > now));
        match (in_time, same.next()) {
            (Some(entry), _) => Ok(format!("accepts it as {:?}", entry.label)),
            (None, Some(entry)) => Err(format!("accepted it as {:?}, and no longer does", entry.label)),
            (None, None) => Err("does not accept this image".to_owned()),
        }
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
