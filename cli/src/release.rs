//! A release: a container image with the enclave's image in it, what that measures to, the policy by which clients verify it, and the model
//! owner's signature over each of the three. The attachments are artifacts beside the image, under tags that its digest gives, so that every
//! registry keeps them and ECR copies them.

mod check;

use std::path::Path;

use cloister_attest::Root;
use cloister_oci::cosign::PublicKey;
use cloister_oci::{Artifact, Attachment, Digest, Layout, PullLimits, Registry};

pub use check::{Check, Expected, check, promised};

use crate::failure::Failure;
use crate::{files, registry};

/// Where the enclave's image is in the container image (Dockerfile.eif).
pub const EIF_PATH: &str = "opt/cloister/cloister.eif";

/// What an artifact with measurements is.
pub const MEASUREMENTS_TYPE: &str = "application/vnd.cloister.measurements";
/// What an artifact with a policy is.
pub const POLICY_TYPE: &str = "application/vnd.cloister.policy";

/// Most bytes of an image that is fetched: base, programs and the enclave's image have some 300 MB.
pub const LIMITS: PullLimits = PullLimits { blob: 4 << 30, image: 8 << 30 };

/// The parts of a release in a layout. What is missing was not published.
pub struct Release {
    /// The container image.
    pub image: Digest,
    /// The artifact with the measurements.
    pub measurements: Option<Digest>,
    /// The artifact with the policy.
    pub policy: Option<Digest>,
}

impl Release {
    /// Fetches an image, its attachments and their signatures.
    pub async fn pull(
        from: &Registry,
        repository: &str,
        reference: &str,
        layout: &mut Layout,
    ) -> Result<Self, Failure> {
        let image = from.pull_image(repository, reference, layout, LIMITS).await.map_err(registry::failure)?;
        let mut release = Self { image, measurements: None, policy: None };
        release.measurements = attachment(from, repository, Attachment::Measurements.tag(&image), layout).await?;
        release.policy = attachment(from, repository, Attachment::Policy.tag(&image), layout).await?;
        for part in release.parts() {
            attachment(from, repository, Attachment::Signature.tag(&part), layout).await?;
        }
        Ok(release)
    }

    /// The release of an image that is in a layout with all that belongs to it.
    pub fn in_layout(layout: &Layout, image: Digest) -> Self {
        let there = |kind: Attachment| layout.choose(Some(&kind.tag(&image))).ok();
        Self { image, measurements: there(Attachment::Measurements), policy: there(Attachment::Policy) }
    }

    /// The image and its attachments: what is signed.
    pub fn parts(&self) -> Vec<Digest> {
        [Some(self.image), self.measurements, self.policy].into_iter().flatten().collect()
    }
}

/// Fetches what is at a tag, where there is something.
async fn attachment(
    from: &Registry,
    repository: &str,
    tag: String,
    layout: &mut Layout,
) -> Result<Option<Digest>, Failure> {
    if from.resolve(repository, &tag).await.map_err(registry::failure)?.is_none() {
        return Ok(None);
    }
    from.pull_image(repository, &tag, layout, LIMITS).await.map(Some).map_err(registry::failure)
}

/// The artifact with measurements.
pub fn measurements(about: Digest, bytes: Vec<u8>) -> Artifact {
    artifact(MEASUREMENTS_TYPE, "application/json", "measurements.json", about, bytes)
}

/// The artifact with a policy.
pub fn policy(about: Digest, bytes: Vec<u8>) -> Artifact {
    artifact(POLICY_TYPE, "application/toml", "policy.toml", about, bytes)
}

fn artifact(artifact_type: &str, media_type: &str, title: &str, about: Digest, bytes: Vec<u8>) -> Artifact {
    let [artifact_type, media_type, title] = [artifact_type, media_type, title].map(str::to_owned);
    Artifact { artifact_type, media_type, title, about, bytes }
}

/// What a signature over an image says of its tag.
pub const TAG: &str = "tag";

/// The root that a policy of a release has to have: Amazon's, or a simulation's that was named.
pub fn root(path: Option<&Path>) -> Result<Root, Failure> {
    match path {
        Some(path) => Root::from_pem(&files::read_text(path)?).map_err(Failure::input),
        None => Ok(Root::amazon()),
    }
}

/// A public key in PEM.
pub fn public_key(path: &Path) -> Result<PublicKey, Failure> {
    PublicKey::from_pem(&files::read(path)?).map_err(|error| Failure::input(format!("{}: {error}", path.display())))
}

/// The policy that was published with a release.
pub fn published_policy(layout: &Layout, release: &Release) -> Result<Vec<u8>, Failure> {
    published(layout, release.policy, POLICY_TYPE, "no policy was published beside the image")
}

/// The measurements that were published with a release.
pub fn published_measurements(layout: &Layout, release: &Release) -> Result<Vec<u8>, Failure> {
    published(layout, release.measurements, MEASUREMENTS_TYPE, "no measurements were published beside the image")
}

fn published(layout: &Layout, part: Option<Digest>, kind: &str, missing: &str) -> Result<Vec<u8>, Failure> {
    let digest = part.ok_or_else(|| Failure::input(missing))?;
    let artifact = Artifact::read(layout, &digest, kind, cloister_oci::limits::ARTIFACT);
    artifact.map(|artifact| artifact.bytes).map_err(registry::failure)
}
