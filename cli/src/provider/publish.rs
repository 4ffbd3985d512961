//! `cloister provider publish` and `unpublish`: an image, what it measures to, the policy for clients, and signatures over all three.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use clap::Args;
use cloister_accounts::{Account, Action, Change, RepositoryName};
use cloister_kms::KmsClient;
use cloister_oci::cosign::{self, KeyFile, PublicKey, Scheme, Signer, Statement, ToSign};
use cloister_oci::{Attachment, Digest, Layout, Push, Registry, Source, Taken, check_tag};
use serde_json::{Map, Value, json};

use super::{REPOSITORY, SIGNING_ALIAS};
use crate::accounts::{Common, Outcome, failure};
use crate::failure::Failure;
use crate::files;
use crate::registry::{self, Access};
use crate::release::{self, EIF_PATH, Expected, Release};

/// What `cloister provider publish` takes.
#[derive(Args)]
pub struct Publish {
    /// The container image: an OCI layout's folder, or an oci-archive (`buildah push IMAGE oci-archive:FILE`).
    #[arg(long, value_name = "FILE|DIR")]
    image: PathBuf,
    /// Which image of the layout, where there are several.
    #[arg(long, value_name = "NAME")]
    image_name: Option<String>,
    /// What the enclave's image in it measures to, as its build wrote it.
    #[arg(long, value_name = "JSON")]
    measurements: PathBuf,
    /// The policy by which clients verify its enclaves (cloister policy make).
    #[arg(long, value_name = "TOML")]
    policy: PathBuf,
    /// The tag; by default the beginning of the image's digest. Tags cannot be moved: what is published anew has a new one.
    #[arg(long, value_parser = tag)]
    tag: Option<String>,
    /// The repository.
    #[arg(long, default_value = REPOSITORY)]
    repository: RepositoryName,
    /// The key of KMS's that signs, by alias or ARN.
    #[arg(long, value_name = "KEY", default_value = SIGNING_ALIAS)]
    signing_key: String,
    /// Sign with this private key on P-256 or P-384 instead, in PEM.
    #[arg(long, value_name = "PEM")]
    signing_key_file: Option<PathBuf>,
    /// Where the enclave's image is in the container image.
    #[arg(long, value_name = "PATH", default_value = EIF_PATH)]
    eif_path: String,
    /// The root that the policy has to have, in PEM; Amazon's by default. Only a simulation has another.
    #[arg(long, value_name = "PEM")]
    root: Option<PathBuf>,
    /// The registry; by default the account's own in its region.
    #[arg(long, value_name = "HOST")]
    registry: Option<String>,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    common: Common,
}

/// What `cloister provider unpublish` takes.
#[derive(Args)]
pub struct Unpublish {
    /// The image's tag.
    #[arg(long, value_parser = tag)]
    tag: String,
    /// The repository.
    #[arg(long, default_value = REPOSITORY)]
    repository: RepositoryName,
    #[command(flatten)]
    common: Common,
}

fn tag(text: &str) -> Result<String, String> {
    check_tag(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

/// One image or artifact that the registry is to have under a tag.
struct Part {
    what: &'static str,
    tag: String,
    digest: Digest,
    there: bool,
}

/// Publishes. Attachments go first, so that whoever finds the image finds all that belongs to it.
pub async fn publish(arguments: &Publish) -> Result<(), Failure> {
    let source = Layout::open(&arguments.image).map_err(registry::failure)?;
    let image = source.choose(arguments.image_name.as_deref()).map_err(registry::failure)?;
    let tag = arguments.tag.clone().unwrap_or_else(|| image.hex().chars().take(12).collect());
    let (measurements, policy) = (files::read(&arguments.measurements)?, files::read(&arguments.policy)?);
    let account = Arc::new(arguments.common.open().await?);
    let signer = signer(arguments, &account).await?;

    let mut attached = Layout::temporary().map_err(registry::failure)?;
    let release = attach(&mut attached, image, measurements, policy)?;
    promise(arguments, &source, &mut attached, &release, signer.as_ref())?;

    let host = arguments.registry.clone().unwrap_or_else(|| account.registry_host());
    let token = arguments.access.is_ecr(&host).then(|| Arc::clone(&account));
    let to = arguments.access.connect(&host, token)?;
    let undo = format!("cloister provider unpublish --repository {} --tag {tag}", arguments.repository);
    let mut plan = account.plan_repository(&arguments.repository, &undo).await.map_err(failure)?;
    let mut parts = Vec::new();
    if plan.steps.iter().all(|step| step.change.action != Action::Create) {
        parts = there(arguments, &to, &tag, &release, &mut attached, signer.as_ref()).await?;
    } else {
        for (what, tag, digest) in named(&tag, &release) {
            parts.push(Part { what, tag, digest, there: false });
        }
    }
    let name = format!("{host}/{}", arguments.repository);
    let pinned = format!("{name}@{image}");
    plan.next.push("look whether it has arrived: cloister provider status --wait".to_owned());
    plan.next.push(format!("the data owner checks it: cloister consumer verify-image {name}:{tag} --key provider.pem (with its own registry's name)"));
    let missing: Vec<&Part> = parts.iter().filter(|part| !part.there).collect();
    let mut changes: Vec<Change> = plan.steps.iter().map(|step| step.change.clone()).collect();
    changes.extend(missing.iter().map(|part| Change {
        action: Action::Create,
        resource: format!("{name}:{}", part.tag),
        before: Value::Null,
        after: json!({"what": part.what, "digest": part.digest.to_string()}),
        undo: format!("{undo} --region {}", account.region),
        called: None,
    }));
    let pushing =
        Pushing { to: &to, repository: arguments.repository.as_str(), name: &name, tag: &tag, signer: signer.as_ref() };
    let attached = tokio::sync::Mutex::new(attached);
    let result =
        Map::from_iter([("image".to_owned(), Value::from(pinned)), ("tag".to_owned(), Value::from(tag.clone()))]);
    let outcome = Outcome { changes: &changes, warnings: &plan.warnings, next: &plan.next, result };
    let steps = plan.steps.len();
    arguments
        .common
        .carry_out_each("provider publish", &account, outcome, async |index| {
            if let Some(step) = plan.steps.get(index) {
                return account.apply(step).await.map_err(failure);
            }
            let Some(part) = missing.get(index - steps) else { return Ok(None) };
            pushing.push(part, &source, &mut *attached.lock().await).await.map(Some)
        })
        .await
}

/// Puts measurements and policy beside the image.
fn attach(layout: &mut Layout, image: Digest, measurements: Vec<u8>, policy: Vec<u8>) -> Result<Release, Failure> {
    let put = |layout: &mut Layout, artifact: cloister_oci::Artifact, kind: Attachment| {
        artifact.add_to(layout, Some(&kind.tag(&image))).map_err(registry::failure)
    };
    let measurements = Some(put(layout, release::measurements(image, measurements), Attachment::Measurements)?);
    let policy = Some(put(layout, release::policy(image, policy), Attachment::Policy)?);
    Ok(Release { image, measurements, policy })
}

/// Nothing is promised that is not so: the enclave's image in the container image has to be the measured one, and the policy has to accept it.
fn promise(
    arguments: &Publish,
    source: &Layout,
    attached: &mut Layout,
    release: &Release,
    signer: &dyn Signer,
) -> Result<(), Failure> {
    source.verify(&release.image).map_err(registry::failure)?;
    let root = release::root(arguments.root.as_deref())?;
    let expected = Expected {
        key: signer.public_key(),
        name: None,
        root: &root,
        eif_path: &arguments.eif_path,
        measurements: None,
        policy: None,
    };
    let wrong = release::promised(source, attached, release, &expected)?;
    match wrong {
        None => Ok(()),
        Some(check) => Err(Failure::input(format!("nothing was published: {}: {}", check.what, check.found))),
    }
}

/// Each part and its tag, in the order in which they are pushed.
fn named(tag: &str, release: &Release) -> Vec<(&'static str, String, Digest)> {
    let image = &release.image;
    let mut parts = Vec::new();
    let attachments = [
        ("measurements", release.measurements, Attachment::Measurements),
        ("policy", release.policy, Attachment::Policy),
    ];
    for (what, digest, kind) in attachments {
        parts.extend(digest.map(|digest| (what, kind.tag(image), digest)));
    }
    parts.extend(release.parts().into_iter().map(|part| ("signature", Attachment::Signature.tag(&part), part)));
    parts.push(("image", tag.to_owned(), *image));
    parts
}

/// The same, and whether the registry has it. A tag that is taken by something else is said before anything is sent.
async fn there(
    arguments: &Publish,
    to: &Registry,
    tag: &str,
    release: &Release,
    attached: &mut Layout,
    signer: &dyn Signer,
) -> Result<Vec<Part>, Failure> {
    let repository = arguments.repository.as_str();
    let taken = |what: &str, place: &str, found: Digest, advice: &str| {
        Failure::input(format!(
            "nothing was published: {repository}:{place} is another {what} already, {found}, and tags cannot be moved: {advice}"
        ))
    };
    // What belongs to an image stands under its digest, where no new tag leads past it.
    let advice = "unpublish that image first (cloister provider unpublish), or build another";
    let mut parts = Vec::new();
    for (what, place, digest) in named(tag, release) {
        let found = to.resolve(repository, &place).await.map_err(registry::failure)?;
        match found {
            Some(found) if what == "signature" => {
                // Each signature is another, so that what is there is asked and not compared.
                let pulled =
                    to.pull_image(repository, &place, attached, release::LIMITS).await.map_err(registry::failure)?;
                let verified = cosign::verify(attached, &pulled, signer.public_key(), &digest);
                let said =
                    verified.ok().and_then(|verified| verified.optional.get(release::TAG)?.as_str().map(str::to_owned));
                match said {
                    Some(said) if said == tag => {}
                    Some(said) => {
                        let advice = format!("it was published as {said}, and an image has one tag");
                        return Err(taken("tag's signature", &place, found, &advice));
                    }
                    None => return Err(taken("key's signature", &place, found, advice)),
                }
            }
            Some(found) if found != digest => {
                let advice = if what == "image" { "publish under a new tag" } else { advice };
                return Err(taken(what, &place, found, advice));
            }
            _ => {}
        }
        parts.push(Part { what, tag: place, digest, there: found.is_some() });
    }
    Ok(parts)
}

/// Where parts go.
struct Pushing<'a> {
    to: &'a Registry,
    repository: &'a str,
    name: &'a str,
    tag: &'a str,
    signer: &'a dyn Signer,
}

impl Pushing<'_> {
    async fn push(&self, part: &Part, source: &Layout, attached: &mut Layout) -> Result<String, Failure> {
        let digest = match part.what {
            "signature" => {
                let tag = (release::TAG.to_owned(), self.tag.to_owned());
                let what = ToSign { image: part.digest, docker_reference: self.name, optional: BTreeMap::from([tag]) };
                cosign::sign(attached, &what, None, self.signer).await.map_err(registry::failure)?
            }
            _ => part.digest,
        };
        let layout = if part.what == "image" { source } else { &*attached };
        let push =
            Push { layout, image: digest, repository: self.repository, tag: Some(&part.tag), taken: Taken::Refuse };
        let pushed = self.to.push_image(&push).await.map_err(registry::failure)?;
        let sent = format!("{} blobs sent, {} there already", pushed.sent, pushed.present);
        Ok(format!("{}:{} ({} {digest}, {sent}; the registry says the same digest)", self.name, part.tag, part.what))
    }
}

async fn signer<'a>(arguments: &Publish, account: &'a Account) -> Result<Box<dyn Signer + 'a>, Failure> {
    if let Some(path) = &arguments.signing_key_file {
        let key = KeyFile::from_pem(&files::read_secret(path)?);
        let key = key.map_err(|error| Failure::input(format!("{}: {error}", path.display())))?;
        return Ok(Box::new(key));
    }
    let name = &arguments.signing_key;
    let missing = || {
        Failure::input(format!(
            "there is no key {name} in {} {}: cloister provider init makes it",
            account.id, account.region
        ))
    };
    let arn = account.find_key(name).await.map_err(failure)?.ok_or_else(missing)?.arn;
    let pem = account.public_key(&arn).await.map_err(failure)?;
    let public = PublicKey::from_pem(pem.as_bytes()).map_err(registry::failure)?;
    Ok(Box::new(KmsSigner { client: account.key_client(), arn, public }))
}

/// A key on P-384 that never leaves KMS.
struct KmsSigner<'a> {
    client: &'a KmsClient,
    arn: String,
    public: PublicKey,
}

#[async_trait]
impl Signer for KmsSigner<'_> {
    fn scheme(&self) -> Scheme {
        Scheme::P384Sha384
    }

    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    async fn sign(&self, statement: &Statement) -> Result<Vec<u8>, Source> {
        let digest: [u8; 48] = statement.digest().try_into().map_err(|_| "the digest is not SHA-384's")?;
        Ok(cloister_kms::sign_digest_der(self.client, &self.arn, &digest).await?)
    }
}

/// Takes an image and what is attached to it out of the repository.
pub async fn unpublish(arguments: &Unpublish) -> Result<(), Failure> {
    let account = arguments.common.open().await?;
    let (repository, tag) = (&arguments.repository, &arguments.tag);
    let undo = format!("cloister provider publish --repository {repository} --tag {tag} --image …");
    let mut tags = Vec::new();
    if let Some(stored) = account.stored(repository, tag).await.map_err(failure)? {
        let image: Digest = stored.digest.parse().map_err(registry::failure)?;
        for kind in [Attachment::Measurements, Attachment::Policy] {
            let tag = kind.tag(&image);
            if let Some(attached) = account.stored(repository, &tag).await.map_err(failure)? {
                let attached: Digest = attached.digest.parse().map_err(registry::failure)?;
                tags.push(Attachment::Signature.tag(&attached));
            }
            tags.push(tag);
        }
        tags.push(Attachment::Signature.tag(&image));
        tags.push(tag.clone());
    }
    let plan = account.plan_unpublish(repository, &tags, &undo).await.map_err(failure)?;
    arguments.common.carry_out("provider unpublish", &account, &plan, Map::new()).await
}
