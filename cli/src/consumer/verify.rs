//! `cloister consumer verify-image`: whether the image in a registry is what its owner promised.

use std::path::PathBuf;

use clap::Args;
use cloister_oci::{Layout, Reference};
use serde_json::json;

use crate::accounts::Common;
use crate::failure::Failure;
use crate::policy::measurements;
use crate::registry::{self, Access};
use crate::release::{self, Check, EIF_PATH, Expected, Release};
use crate::{files, output, policy};

/// What it takes.
#[derive(Args)]
pub struct VerifyImage {
    /// The image: HOST/REPOSITORY:TAG, or …@sha256:DIGEST.
    image: Reference,
    /// The model owner's public key (cloister provider public-key), which came by a way that you trust.
    #[arg(long, value_name = "PEM")]
    key: PathBuf,
    /// Measurements that came to you by another way, to compare as well.
    #[arg(long, value_name = "JSON")]
    measurements: Option<PathBuf>,
    /// The policy that your clients use, to compare as well.
    #[arg(long, value_name = "TOML")]
    policy: Option<PathBuf>,
    /// The root that the policies have to have, in PEM; Amazon's by default. Only a simulation has another.
    #[arg(long, value_name = "PEM")]
    root: Option<PathBuf>,
    /// Where the enclave's image is in the container image.
    #[arg(long, value_name = "PATH", default_value = EIF_PATH)]
    eif_path: String,
    /// Keep the published policy here, once everything was found to be right.
    #[arg(long, value_name = "TOML")]
    policy_out: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    common: Common,
}

/// Fetches, looks at everything, and says what it found.
pub async fn run(arguments: &VerifyImage) -> Result<(), Failure> {
    let Reference { host, repository, .. } = &arguments.image;
    let target = arguments.image.target().ok_or_else(|| Failure::usage("which image? give a tag or a digest"))?;
    let key = release::public_key(&arguments.key)?;
    let given = arguments.measurements.as_ref().map(|path| {
        let parsed = measurements::parse(&files::read(path)?);
        parsed.map_err(|error| Failure::input(format!("{}: {error}", path.display())))
    });
    let policy = arguments.policy.as_deref().map(policy::read).transpose()?;
    let tag = arguments.image.tag.as_deref();
    let root = release::root(arguments.root.as_deref())?;
    let expected = Expected {
        key: &key,
        name: Some((repository, tag)),
        root: &root,
        eif_path: &arguments.eif_path,
        measurements: given.transpose()?,
        policy: policy.as_ref(),
    };
    let account = arguments.access.account(host, &arguments.common).await?;
    let from = arguments.access.connect(host, account)?;
    let mut layout = Layout::temporary().map_err(registry::failure)?;
    let release = Release::pull(&from, repository, &target, &mut layout).await?;
    let checks = release::check(&layout, &release, &expected)?;
    say(arguments, &release, &checks)?;
    if let Some(check) = checks.iter().find(|check| !check.passed) {
        let image = &arguments.image;
        return Err(Failure::not_verified(format!(
            "{image} is not what was promised: {}: {}",
            check.what, check.found
        )));
    }
    if let Some(out) = arguments.policy_out.as_ref().filter(|_| !arguments.common.dry_run()) {
        files::write(out, &release::published_policy(&layout, &release)?)?;
    }
    Ok(())
}

fn say(arguments: &VerifyImage, release: &Release, checks: &[Check]) -> Result<(), Failure> {
    let verified = checks.iter().all(|check| check.passed);
    if arguments.common.json() {
        let image = arguments.image.to_string();
        let digest = release.image.to_string();
        return output::json(&json!({ "image": image, "digest": digest, "verified": verified, "checks": checks }));
    }
    output::line(format_args!("{} is {}", arguments.image, release.image))?;
    for check in checks {
        let sign = if check.passed { "good" } else { "BAD " };
        output::line(format_args!("{sign}  {:32} {}", check.what, check.found))?;
    }
    if verified {
        let Reference { host, repository, .. } = &arguments.image;
        let pinned = format!("{host}/{repository}@{}", release.image);
        output::line(format_args!("it is what was promised. Run it by its digest, which cannot be moved: {pinned}"))?;
    }
    Ok(())
}
