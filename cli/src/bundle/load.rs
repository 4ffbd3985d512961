//! `cloister bundle load` and `unload`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use cloister_oci::cosign::PublicKey;
use cloister_oci::{Attachment, Digest, Layout, Push, Reference, Registry, Taken, check_repository};
use serde::Serialize;

use super::{CONTENTS, Contents, Packed, VERSION, archive};
use crate::accounts::Common;
use crate::failure::Failure;
use crate::registry::{self, Access};
use crate::release::{self, EIF_PATH, Expected, Release};
use crate::{files, output};

/// What of an archive goes into the folder as it is. Nothing vouches for it but whoever carried the archive: the model opens in the right enclave or not at
/// all, and manifests are to be read.
const FILES: [&str; 2] = ["model.sealed", "manifests"];

/// What both take.
#[derive(Args)]
pub struct Load {
    /// The archive.
    bundle: PathBuf,
    /// The private registry, and what its repositories' names begin with: HOST[:PORT][/PATH].
    #[arg(long)]
    prefix: String,
    /// The model owner's public key, which came by a way that you trust, and not in the archive.
    #[arg(long, value_name = "PEM")]
    key: PathBuf,
    /// An image that is no release and may be pushed as it is: its old name, tag and digest, HOST/REPOSITORY:TAG@sha256:….
    #[arg(long = "other-image", value_name = "REFERENCE")]
    others: Vec<Reference>,
    /// The root that the policies have to have, in PEM; Amazon's by default. Only a simulation has another.
    #[arg(long, value_name = "PEM")]
    root: Option<PathBuf>,
    /// Where model, policy, measurements and manifests go. A file that is there and is another is not overwritten.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Where the enclave's image is in the container image.
    #[arg(long, value_name = "PATH", default_value = EIF_PATH)]
    eif_path: String,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    common: Common,
}

/// A manifest that the registry is to have, or not.
struct Item {
    layout: usize,
    repository: String,
    tag: String,
    digest: Digest,
}

#[derive(Serialize)]
struct Said {
    reference: String,
    digest: String,
    changed: bool,
}

struct Unpacked {
    folder: tempfile::TempDir,
    layouts: Vec<Layout>,
    items: Vec<Item>,
    /// The first release's own policy and measurements.
    policy: Vec<u8>,
    measurements: Vec<u8>,
}

/// Checks everything, then pushes and writes what is not there.
pub async fn load(arguments: &Load) -> Result<(), Failure> {
    let (unpacked, to) = open(arguments).await?;
    let written = write_files(arguments, &unpacked)?;
    let mut said = Vec::new();
    for Item { layout, repository, tag, digest } in &unpacked.items {
        let found = to.resolve(repository, tag).await.map_err(registry::failure)?;
        let changed = found != Some(*digest);
        if changed && !arguments.common.dry_run() {
            let layout = unpacked.layouts.get(*layout).ok_or_else(|| Failure::input("the archive has changed"))?;
            let push = Push { layout, image: *digest, repository, tag: Some(tag), taken: Taken::Refuse };
            to.push_image(&push).await.map_err(registry::failure)?;
        }
        said.push(Said { reference: format!("{}/{repository}:{tag}", to.host()), digest: digest.to_string(), changed });
    }
    say(arguments, &said, &written, ["pushed", "there already", "would be pushed"])?;
    if arguments.common.json() {
        return Ok(());
    }
    let (bundle, prefix) = (arguments.bundle.display(), &arguments.prefix);
    let (out, key) = (arguments.out.display(), arguments.key.display());
    output::line(format_args!("to undo it: cloister bundle unload {bundle} --prefix {prefix} --key {key} --out {out}"))
}

/// Takes the same manifests away. Files stay.
pub async fn unload(arguments: &Load) -> Result<(), Failure> {
    let (unpacked, to) = open(arguments).await?;
    let mut said = Vec::new();
    // The image goes first: without it, nobody asks for what is attached to it.
    for Item { repository, tag, digest, .. } in unpacked.items.iter().rev() {
        let there = to.resolve(repository, tag).await.map_err(registry::failure)? == Some(*digest);
        if there && !arguments.common.dry_run() {
            to.delete_manifest(repository, digest).await.map_err(registry::failure)?;
        }
        let reference = format!("{}/{repository}:{tag}", to.host());
        said.push(Said { reference, digest: digest.to_string(), changed: there });
    }
    say(arguments, &said, &[], ["removed", "not there", "would be removed"])
}

async fn open(arguments: &Load) -> Result<(Unpacked, Registry), Failure> {
    let folder = tempfile::tempdir().map_err(|error| Failure::unavailable(format!("no temporary folder: {error}")))?;
    archive::unpack(&arguments.bundle, folder.path())?;
    let contents: Contents = serde_json::from_slice(&files::read(&folder.path().join(CONTENTS))?)
        .map_err(|error| Failure::input(format!("{CONTENTS}: {error}")))?;
    if contents.version != VERSION {
        return Err(Failure::input(format!(
            "the bundle is of version {}; this program reads {VERSION}",
            contents.version
        )));
    }
    let (host, path) = arguments.prefix.split_once('/').unwrap_or((&arguments.prefix, ""));
    let key = release::public_key(&arguments.key)?;
    let (layouts, items, policy, measurements) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut unpacked = Unpacked { folder, layouts, items, policy, measurements };
    for (index, packed) in contents.images.iter().enumerate() {
        if packed.folder != format!("images/{index}") {
            return Err(Failure::input(format!("{CONTENTS}: an image's folder is not images/{index}")));
        }
        take(arguments, packed, path, &key, &mut unpacked)?;
    }
    if unpacked.policy.is_empty() {
        return Err(Failure::not_verified("there is no release in the bundle, so that nothing in it can be verified"));
    }
    let mut places = BTreeSet::new();
    if let Some(item) = unpacked.items.iter().find(|item| !places.insert((&item.repository, &item.tag))) {
        return Err(Failure::input(format!("two images of the bundle would be {}:{}", item.repository, item.tag)));
    }
    let account = arguments.access.account(host, &arguments.common).await?;
    Ok((unpacked, arguments.access.connect(host, account)?))
}

/// Checks one image, and lists what of it goes to the registry: attachments first.
fn take(
    arguments: &Load,
    packed: &Packed,
    path: &str,
    key: &PublicKey,
    unpacked: &mut Unpacked,
) -> Result<(), Failure> {
    let layout = Layout::open(unpacked.folder.path().join(&packed.folder)).map_err(registry::failure)?;
    let digest: Digest = packed.digest.parse().map_err(registry::failure)?;
    let mut tagged = vec![(packed.tag.clone(), digest)];
    if packed.release {
        let release = Release::in_layout(&layout, digest);
        let root = release::root(arguments.root.as_deref())?;
        let name = Some((packed.name.as_str(), Some(packed.tag.as_str())));
        let expected =
            Expected { key, name, root: &root, eif_path: &arguments.eif_path, measurements: None, policy: None };
        let checks = release::check(&layout, &release, &expected)?;
        if let Some(check) = checks.iter().find(|check| !check.passed) {
            let (name, tag) = (&packed.name, &packed.tag);
            return Err(Failure::not_verified(format!(
                "{name}:{tag} is not what was promised: {}: {}",
                check.what, check.found
            )));
        }
        let attached = [(Attachment::Measurements, release.measurements), (Attachment::Policy, release.policy)];
        let attached = attached.into_iter().filter_map(|(kind, part)| Some((kind.tag(&digest), part?)));
        let signatures = release.parts().into_iter().filter_map(|part| {
            let tag = Attachment::Signature.tag(&part);
            layout.choose(Some(&tag)).ok().map(|signature| (tag, signature))
        });
        tagged.splice(0..0, attached.chain(signatures));
        if unpacked.policy.is_empty() {
            unpacked.policy = release::published_policy(&layout, &release)?;
            unpacked.measurements = release::published_measurements(&layout, &release)?;
        }
    } else {
        let named = arguments.others.iter().any(|other| {
            other.name() == packed.name
                && other.tag.as_deref() == Some(packed.tag.as_str())
                && other.digest == Some(digest)
        });
        if !named {
            let (name, tag) = (&packed.name, &packed.tag);
            return Err(Failure::not_verified(format!(
                "{name}:{tag} is no signed release. If it is to be pushed as it is, say so: --other-image {name}:{tag}@{digest}"
            )));
        }
        layout.verify(&digest).map_err(registry::failure)?;
    }
    let last = packed.name.rsplit('/').next().unwrap_or_default();
    let repository = if path.is_empty() { last.to_owned() } else { format!("{}/{last}", path.trim_end_matches('/')) };
    check_repository(&repository).map_err(registry::failure)?;
    let index = unpacked.layouts.len();
    unpacked.layouts.push(layout);
    unpacked.items.extend(tagged.into_iter().map(|(tag, digest)| Item {
        layout: index,
        repository: repository.clone(),
        tag,
        digest,
    }));
    Ok(())
}

/// Writes the files that are not there, and names them. None is overwritten by another.
fn write_files(arguments: &Load, unpacked: &Unpacked) -> Result<Vec<PathBuf>, Failure> {
    let root = unpacked.folder.path();
    // What was verified, in the place of whatever the archive has under that name.
    for (name, bytes) in [("policy.toml", &unpacked.policy), ("measurements.json", &unpacked.measurements)] {
        files::write(&root.join(name), bytes)?;
    }
    let mut wanted = Vec::new();
    for name in FILES.iter().chain(&["policy.toml", "measurements.json"]) {
        list(root, Path::new(name), &mut wanted)?;
    }
    wanted.retain(|name| !same(&root.join(name), &arguments.out.join(name)));
    if let Some(name) = wanted.iter().find(|name| arguments.out.join(name).exists()) {
        let path = arguments.out.join(name);
        return Err(Failure::input(format!(
            "{} is there already and is another: move it away, or name another folder",
            path.display()
        )));
    }
    for name in wanted.iter().filter(|_| !arguments.common.dry_run()) {
        let to = arguments.out.join(name);
        let failed = |error: std::io::Error| Failure::input(format!("{}: {error}", to.display()));
        fs::create_dir_all(to.parent().unwrap_or(Path::new("."))).map_err(failed)?;
        let mut source = fs::File::open(root.join(name)).map_err(failed)?;
        files::replace(&to, files::Readers::Owner, |file| std::io::copy(&mut source, file).map(drop))?;
    }
    Ok(wanted.iter().map(|name| arguments.out.join(name)).collect())
}

/// The files at and below a name.
fn list(root: &Path, name: &Path, names: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let path = root.join(name);
    let failed = |error: std::io::Error| Failure::input(format!("{}: {error}", path.display()));
    if path.is_dir() {
        for entry in fs::read_dir(&path).map_err(failed)? {
            list(root, &name.join(entry.map_err(failed)?.file_name()), names)?;
        }
    } else if path.is_file() {
        names.push(name.to_owned());
    }
    Ok(())
}

/// Whether two files are the same; one that cannot be read is not.
fn same(one: &Path, other: &Path) -> bool {
    let length = |path: &Path| fs::metadata(path).map(|file| file.len()).ok();
    length(other).is_some() && length(one) == length(other) && archive::digest(one).ok() == archive::digest(other).ok()
}

fn say(arguments: &Load, said: &[Said], written: &[PathBuf], words: [&str; 3]) -> Result<(), Failure> {
    if arguments.common.json() {
        let dry_run = arguments.common.dry_run();
        return output::json(&serde_json::json!({ "images": said, "files": written, "dry_run": dry_run }));
    }
    for Said { reference, digest, changed } in said {
        let word = match (changed, arguments.common.dry_run()) {
            (false, _) => words[1],
            (true, false) => words[0],
            (true, true) => words[2],
        };
        output::line(format_args!("{word}: {reference} {digest}"))?;
    }
    let word = if arguments.common.dry_run() { "would write" } else { "wrote" };
    written.iter().try_for_each(|path| output::line(format_args!("{word} {}", path.display())))
}
