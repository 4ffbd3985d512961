//! What ECR says of images, from what lies in the registry.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};

use super::limits::{MAX_NAME, MAX_REMEMBERED, MAX_TAG};
use super::registry::{Image, Registry};
use crate::exception::Exception;

/// The operations answered here.
pub(super) const OPERATIONS: [&str; 4] = ["BatchDeleteImage", "BatchGetImage", "DescribeImages", "ListImages"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Input {
    repository_name: String,
    image_ids: Option<Vec<ImageId>>,
    #[serde(default)]
    filter: Filter,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Filter {
    tag_status: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImageId {
    image_tag: Option<String>,
    image_digest: Option<String>,
}

/// A repository whose images are asked for.
pub(super) struct Repository<'a> {
    pub(super) registry: &'a Registry,
    pub(super) account: &'a str,
    pub(super) name: &'a str,
    pub(super) seen: &'a Seen,
    pub(super) now: u64,
}

/// When images were first seen, in seconds since 1970, by repository and digest.
#[derive(Default)]
pub(super) struct Seen(Mutex<BTreeMap<(String, String), u64>>);

impl Seen {
    fn since(&self, repository: &str, digest: &str, now: u64) -> u64 {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MAX_REMEMBERED {
            seen.clear();
        }
        *seen.entry((repository.to_owned(), digest.to_owned())).or_insert(now)
    }
}

impl Input {
    pub(super) fn repository_name(&self) -> &str {
        &self.repository_name
    }

    /// Names and references go into the registry's paths, so that they are read strictly.
    pub(super) fn check(&self) -> Result<(), Exception> {
        check_name(&self.repository_name)?;
        self.image_ids.iter().flatten().try_for_each(ImageId::check)
    }
}

impl ImageId {
    pub(super) fn check(&self) -> Result<(), Exception> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let tag = |tag: &String| {
            (1..=MAX_TAG).contains(&tag.len())
                && tag.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
                && tag.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
        };
        let digest = |digest: &String| {
            digest
                .strip_prefix("sha256:")
                .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
        };
        let named = self.image_tag.is_some() || self.image_digest.is_some();
        if named && self.image_tag.as_ref().is_none_or(tag) && self.image_digest.as_ref().is_none_or(digest) {
            return Ok(());
        }
        Err(invalid("imageId"))
    }

    fn is(&self, image: &Image) -> bool {
        self.image_digest.as_ref().is_none_or(|digest| *digest == image.manifest.digest)
            && self.image_tag.as_ref().is_none_or(|tag| image.tags.contains(tag))
    }

    pub(super) fn json(&self) -> Value {
        id(self.image_digest.as_deref(), self.image_tag.as_deref())
    }
}

impl Repository<'_> {
    pub(super) async fn answer(&self, operation: &str, input: &Input) -> Result<Value, Exception> {
        let images = self.registry.images(self.name).await?;
        let ids = input.image_ids.as_deref();
        match operation {
            "DescribeImages" => self.describe(images, ids).await,
            "BatchGetImage" => self.get(images, ids.unwrap_or_default()).await,
            "BatchDeleteImage" => self.delete(images, ids.unwrap_or_default()).await,
            _ => Ok(list(&images, input.filter.tag_status.as_deref())),
        }
    }

    /// The image, with the tags by which it is found.
    pub(super) async fn find(&self, image_id: &ImageId) -> Result<Image, Exception> {
        let images = self.registry.images(self.name).await?;
        let (mut found, missing) = self.select(images, std::slice::from_ref(image_id)).await?;
        match (found.pop(), missing.first()) {
            (Some((_, image)), None) => Ok(image),
            _ => Err(self.not_found(image_id)),
        }
    }

    async fn describe(&self, images: Vec<Image>, ids: Option<&[ImageId]>) -> Result<Value, Exception> {
        let images = match ids {
            None => images,
            Some(ids) => {
                let (found, missing) = self.select(images, ids).await?;
                if let Some(missing) = missing.first() {
                    return Err(self.not_found(missing));
                }
                // Two ids may be of one image.
                let by_digest = found.into_iter().map(|(_, image)| (image.manifest.digest.clone(), image));
                by_digest.collect::<BTreeMap<_, _>>().into_values().collect()
            }
        };
        let details: Vec<Value> = images.iter().map(|image| self.details(image)).collect();
        Ok(json!({ "imageDetails": details }))
    }

    fn details(&self, image: &Image) -> Value {
        let digest = &image.manifest.digest;
        let mut details = json!({
            "registryId": self.account,
            "repositoryName": self.name,
            "imageDigest": digest,
            "imagePushedAt": self.seen.since(self.name, digest, self.now),
            "imageManifestMediaType": image.manifest.media_type,
        });
        if !image.tags.is_empty() {
            details["imageTags"] = json!(image.tags);
        }
        if let Some(size) = image.manifest.size() {
            details["imageSizeInBytes"] = json!(size);
        }
        details
    }

    async fn get(&self, images: Vec<Image>, ids: &[ImageId]) -> Result<Value, Exception> {
        let (found, missing) = self.select(images, ids).await?;
        let image = |(asked, image): &(ImageId, Image)| {
            json!({
                "registryId": self.account,
                "repositoryName": self.name,
                "imageId": id(Some(&image.manifest.digest), asked.image_tag.as_deref()),
                "imageManifest": image.manifest.text,
                "imageManifestMediaType": image.manifest.media_type,
            })
        };
        let images: Vec<Value> = found.iter().map(image).collect();
        Ok(json!({ "images": images, "failures": failures(&missing) }))
    }

    async fn delete(&self, images: Vec<Image>, ids: &[ImageId]) -> Result<Value, Exception> {
        let (found, mut missing) = self.select(images, ids).await?;
        let mut deleted = Vec::new();
        for (asked, image) in found {
            if self.registry.delete(self.name, &image.manifest.digest).await? {
                deleted.push(id(Some(&image.manifest.digest), asked.image_tag.as_deref()));
            } else {
                missing.push(asked);
            }
        }
        Ok(json!({ "imageIds": deleted, "failures": failures(&missing) }))
    }

    /// The images that are asked for, and the ids of those that are not there.
    async fn select(
        &self,
        images: Vec<Image>,
        ids: &[ImageId],
    ) -> Result<(Vec<(ImageId, Image)>, Vec<ImageId>), Exception> {
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for asked in ids {
            let tagged = images.iter().find(|image| asked.is(image));
            let image = match (tagged, &asked.image_tag, &asked.image_digest) {
                (Some(image), ..) => Some(Image { manifest: image.manifest.clone(), tags: image.tags.clone() }),
                (None, None, Some(digest)) => self
                    .registry
                    .manifest(self.name, digest)
                    .await?
                    .filter(|manifest| manifest.digest == *digest)
                    .map(|manifest| Image { manifest, tags: Vec::new() }),
                _ => None,
            };
            match image {
                Some(image) => found.push((asked.clone(), image)),
                None => missing.push(asked.clone()),
            }
        }
        Ok((found, missing))
    }

    fn not_found(&self, image_id: &ImageId) -> Exception {
        let name = |part: &Option<String>| part.clone().unwrap_or_else(|| "null".to_owned());
        let message = format!(
            "The image with imageId {{imageDigest:'{}', imageTag:'{}'}} does not exist within the repository with name '{}' in the registry with id '{}'",
            name(&image_id.image_digest),
            name(&image_id.image_tag),
            self.name,
            self.account
        );
        Exception::new("ImageNotFoundException", message)
    }
}

/// Every image here has a tag, so that there are none to list without.
fn list(images: &[Image], tag_status: Option<&str>) -> Value {
    let images = if tag_status == Some("UNTAGGED") { &[] } else { images };
    let ids = |image: &Image| {
        let digest = image.manifest.digest.clone();
        image.tags.clone().into_iter().map(move |tag| id(Some(&digest), Some(&tag)))
    };
    let ids: Vec<Value> = images.iter().flat_map(ids).collect();
    json!({ "imageIds": ids })
}

fn failures(missing: &[ImageId]) -> Vec<Value> {
    let failure = |missing: &ImageId| {
        json!({
            "imageId": missing.json(),
            "failureCode": "ImageNotFound",
            "failureReason": "Requested image not found",
        })
    };
    missing.iter().map(failure).collect()
}

/// ECR leaves out the half that it does not know.
fn id(digest: Option<&str>, tag: Option<&str>) -> Value {
    let halves = [("imageDigest", digest), ("imageTag", tag)];
    let known = halves.into_iter().filter_map(|(name, half)| Some((name.to_owned(), json!(half?))));
    Value::Object(known.collect())
}

/// Lower-case words joined by `.`, `_`, `-` or `/` (API reference, `repositoryName`).
pub(super) fn check_name(name: &str) -> Result<(), Exception> {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let part = |part: &str| {
        let ends = |byte: Option<u8>| byte.is_some_and(word);
        ends(part.bytes().next())
            && ends(part.bytes().next_back())
            && part.bytes().all(|byte| word(byte) || b"._-".contains(&byte))
    };
    if name.len() <= MAX_NAME && name.split('/').all(part) { Ok(()) } else { Err(invalid("repositoryName")) }
}

fn invalid(what: &str) -> Exception {
    let message = format!("Invalid parameter at '{what}' failed to satisfy constraint: 'Invalid {what}'");
    Exception::new("InvalidParameterException", message)
}
