//! `cloister bundle save`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use cloister_oci::cosign::PublicKey;
use cloister_oci::{Layout, Reference};

use super::{CONTENTS, Contents, Packed, VERSION, archive};
use crate::accounts::Common;
use crate::failure::Failure;
use crate::registry::{self, Access};
use crate::release::{self, EIF_PATH, Expected, Release};
use crate::{files, output};

/// What it takes.
#[derive(Args)]
pub struct Save {
    /// A released image, which is checked before it is packed; its measurements and policy go with it.
    #[arg(long = "image", value_name = "REFERENCE", required = true)]
    images: Vec<Reference>,
    /// Another image that the site needs, packed as it is.
    #[arg(long = "other-image", value_name = "REFERENCE")]
    others: Vec<Reference>,
    /// The model owner's public key.
    #[arg(long, value_name = "PEM")]
    key: PathBuf,
    /// The sealed model.
    #[arg(long, value_name = "FILE")]
    sealed: Option<PathBuf>,
    /// The manifests' folder.
    #[arg(long, value_name = "DIR")]
    manifests: Option<PathBuf>,
    /// The root that the policies have to have, in PEM; Amazon's by default. Only a simulation has another.
    #[arg(long, value_name = "PEM")]
    root: Option<PathBuf>,
    /// Where the enclave's image is in the container image.
    #[arg(long, value_name = "PATH", default_value = EIF_PATH)]
    eif_path: String,
    /// Where the archive goes.
    #[arg(long, value_name = "TAR")]
    out: PathBuf,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    common: Common,
}

/// Fetches, checks and packs.
pub async fn run(arguments: &Save) -> Result<(), Failure> {
    let key = release::public_key(&arguments.key)?;
    let folder = tempfile::tempdir().map_err(|error| Failure::unavailable(format!("no temporary folder: {error}")))?;
    let root = folder.path();
    let mut contents = Contents { version: VERSION, images: Vec::new() };
    let all =
        arguments.images.iter().map(|image| (image, true)).chain(arguments.others.iter().map(|image| (image, false)));
    for (index, (image, is_release)) in all.enumerate() {
        let packed = fetch(arguments, image, is_release, &key, root, index).await?;
        if !arguments.common.json() {
            output::line(format_args!("checked {image}, {}", packed.digest))?;
        }
        contents.images.push(packed);
    }
    let put = |from: &Path, name: &str| {
        let failed = |error: std::io::Error| Failure::input(format!("{}: {error}", from.display()));
        fs::copy(from, root.join(name)).map(drop).map_err(failed)
    };
    if let Some(sealed) = &arguments.sealed {
        put(sealed, "model.sealed")?;
    }
    if let Some(manifests) = &arguments.manifests {
        copy_folder(manifests, &root.join("manifests"))?;
    }
    let text = serde_json::to_vec_pretty(&contents).map_err(Failure::input)?;
    files::write(&root.join(CONTENTS), &text)?;
    if !arguments.common.dry_run() {
        archive::write(root, &arguments.out)?;
    }
    if arguments.common.json() {
        let (dry_run, out) = (arguments.common.dry_run(), arguments.out.display().to_string());
        return output::json(&serde_json::json!({ "images": contents.images, "out": out, "dry_run": dry_run }));
    }
    if arguments.common.dry_run() {
        return output::line("dry run: nothing was written");
    }
    output::line(format_args!(
        "wrote {}: cloister bundle load unpacks it, and sha256sum -c checks it",
        arguments.out.display()
    ))
}

async fn fetch(
    arguments: &Save,
    image: &Reference,
    is_release: bool,
    key: &PublicKey,
    folder_root: &Path,
    index: usize,
) -> Result<Packed, Failure> {
    let tag =
        image.tag.clone().ok_or_else(|| Failure::usage(format!("{image}: which tag is it to have at the site?")))?;
    let target = image.target().unwrap_or_else(|| tag.clone());
    let account = arguments.access.account(&image.host, &arguments.common).await?;
    let from = arguments.access.connect(&image.host, account)?;
    let folder = format!("images/{index}");
    let mut layout = Layout::create(folder_root.join(&folder)).map_err(registry::failure)?;
    let digest = if is_release {
        let release = Release::pull(&from, &image.repository, &target, &mut layout).await?;
        let root = release::root(arguments.root.as_deref())?;
        let name = Some((image.repository.as_str(), Some(tag.as_str())));
        let expected =
            Expected { key, name, root: &root, eif_path: &arguments.eif_path, measurements: None, policy: None };
        let checks = release::check(&layout, &release, &expected)?;
        if let Some(check) = checks.iter().find(|check| !check.passed) {
            return Err(Failure::not_verified(format!(
                "{image} is not what was promised, and was not packed: {}: {}",
                check.what, check.found
            )));
        }
        release.image
    } else {
        from.pull_image(&image.repository, &target, &mut layout, release::LIMITS).await.map_err(registry::failure)?
    };
    Ok(Packed { folder, name: image.name(), tag, digest: digest.to_string(), release: is_release })
}

/// Files and folders as they are; the archive refuses what is neither.
fn copy_folder(from: &Path, to: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::input(format!("{}: {error}", from.display()));
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(failed)?);
        if kind.is_dir() {
            copy_folder(&path, &to.join(entry.file_name()))?;
        } else if kind.is_file() {
            fs::copy(&path, to.join(entry.file_name())).map_err(failed)?;
        } else {
            return Err(Failure::input(format!("{} is neither file nor folder", path.display())));
        }
    }
    Ok(())
}
