//! Receiving an image. Every byte is compared with its digest before it gets its name in the layout.

use std::io::Write;

use http::{Method, StatusCode};

use super::{Answer, Ask, Event, Registry, manifest_path, scope};
use crate::digest::{Digest, Hasher};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::limits;
use crate::manifest::{Descriptor, Index, Manifest, is_index};

/// How much is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PullLimits {
    /// Most bytes of one blob.
    pub blob: u64,
    /// Most bytes of all blobs.
    pub image: u64,
}

impl Default for PullLimits {
    fn default() -> Self {
        Self { blob: limits::BLOB, image: limits::IMAGE }
    }
}

impl Registry {
    /// Receives the image at a tag or digest into a layout, under the tag if there is one, and says its digest. Of an index, it is the
    /// image for linux/amd64. Blobs that the layout has are compared and not fetched again.
    ///
    /// # Errors
    /// [`Error::ImageUnknown`], [`Error::BlobMissing`] where only half of it was pushed, [`Error::TooLarge`] before anything is fetched,
    /// [`Error::DigestMismatch`], [`Error::SizeMismatch`], [`Error::NoPlatform`], [`Error::BadManifest`], those of writing a layout and of
    /// asking a registry.
    pub async fn pull_image(
        &self,
        repository: &str,
        reference: &str,
        layout: &mut Layout,
        limits: PullLimits,
    ) -> Result<Digest> {
        let bytes = self.fetch_manifest(repository, reference).await?;
        let bytes = match entry_of(&bytes)? {
            Some(entry) => self.fetch_manifest(repository, &entry.digest.to_string()).await?,
            None => bytes,
        };
        let manifest = Manifest::from_bytes(&bytes)?;
        let blobs = manifest.blobs();
        check_sizes(&blobs, limits)?;
        for blob in blobs {
            self.pull_blob(repository, blob, layout).await?;
        }
        let tag = Some(reference).filter(|reference| !reference.contains(':'));
        layout.add_manifest(&bytes, tag)
    }

    async fn fetch_manifest(&self, repository: &str, reference: &str) -> Result<Vec<u8>> {
        let path = manifest_path(repository, reference)?;
        let scope = scope(repository, "pull");
        let mut tries = self.tries(format!("fetching the manifest of {reference}"));
        let found = loop {
            match self.get_manifest(&path, &scope).await {
                Ok(found) => break found,
                Err(error) => tries.pause(error).await?,
            }
        };
        let (bytes, reported) = found.ok_or_else(|| Error::ImageUnknown {
            host: self.host().to_owned(),
            repository: repository.to_owned(),
            reference: reference.to_owned(),
        })?;
        let found = Digest::of(&bytes);
        let asked = if reference.contains(':') { Some(reference.parse()?) } else { None };
        for expected in asked.into_iter().chain(reported) {
            if expected != found {
                let what = format!("the manifest at {}{path}", self.host());
                return Err(Error::DigestMismatch { what, expected, found });
            }
        }
        Ok(bytes)
    }

    async fn pull_blob(&self, repository: &str, blob: &Descriptor, layout: &Layout) -> Result<()> {
        if layout.has(blob) {
            let stored = layout.open_blob(blob)?;
            // One that is broken is fetched anew.
            if matches!(tokio::task::spawn_blocking(move || stored.finish()).await, Ok(Ok(()))) {
                self.watcher.event(Event::Present { blob: blob.digest, size: blob.size });
                return Ok(());
            }
        }
        let mut tries = self.tries(format!("fetching blob {}", blob.digest));
        loop {
            match self.pull_blob_once(repository, blob, layout).await {
                Ok(()) => return Ok(()),
                Err(error) => tries.pause(error).await?,
            }
        }
    }

    async fn pull_blob_once(&self, repository: &str, blob: &Descriptor, layout: &Layout) -> Result<()> {
        let mut answer = self.open_remote(repository, blob).await?;
        self.watcher.event(Event::Begun { blob: blob.digest, size: blob.size });
        let what = || format!("blob {} from {}", blob.digest, self.host());
        let (mut draft, mut hasher, mut received) = (layout.draft()?, Hasher::default(), 0u64);
        while let Some(piece) = answer.piece().await? {
            received += piece.len() as u64;
            if received > blob.size {
                return Err(Error::SizeMismatch { what: what(), expected: blob.size, found: received });
            }
            hasher.update(&piece);
            draft.write_all(&piece).map_err(Error::file(draft.path()))?;
            self.watcher.event(Event::Moved { blob: blob.digest, bytes: piece.len() as u64 });
        }
        if received != blob.size {
            return Err(Error::SizeMismatch { what: what(), expected: blob.size, found: received });
        }
        let found = hasher.finish();
        if found != blob.digest {
            return Err(Error::DigestMismatch { what: what(), expected: blob.digest, found });
        }
        layout.keep(draft, &blob.digest)?;
        self.watcher.event(Event::Finished { blob: blob.digest, size: blob.size });
        Ok(())
    }

    /// The blob's answer, from wherever the registry keeps it.
    async fn open_remote(&self, repository: &str, blob: &Descriptor) -> Result<Answer> {
        let path = format!("/v2/{repository}/blobs/{}", blob.digest);
        let scope = scope(repository, "pull");
        let mut target = self.base.at(&path)?;
        for _ in 0..=limits::REDIRECTS {
            let answer = self.call(&Ask::new(Method::GET, target.clone(), &scope)).await?;
            match answer.status() {
                StatusCode::OK => return Ok(answer),
                StatusCode::NOT_FOUND => {
                    let place = format!("{}/{repository}", self.host());
                    return Err(Error::BlobMissing { digest: blob.digest, place });
                }
                status if status.is_redirection() => {
                    let location = answer.location().ok_or_else(|| self.protocol("it sends on to nowhere"))?;
                    target = target.follow(location, self.wire.plain)?;
                }
                _ => return Err(answer.refused(&path).await),
            }
        }
        Err(self.protocol("it sends a blob's download on and on"))
    }
}

/// The entry to follow, if these are an index's bytes.
fn entry_of(bytes: &[u8]) -> Result<Option<Descriptor>> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kind {
        media_type: Option<String>,
        manifests: Option<serde::de::IgnoredAny>,
    }
    let kind: Kind = serde_json::from_slice(bytes)
        .map_err(|error| Error::BadManifest { what: "manifest", problem: error.to_string() })?;
    let index = kind.media_type.as_deref().map_or(kind.manifests.is_some(), is_index);
    if !index {
        return Ok(None);
    }
    Index::from_bytes(bytes)?.for_our_platform().cloned().map(Some)
}

fn check_sizes(blobs: &[&Descriptor], limits: PullLimits) -> Result<()> {
    let mut all = 0u64;
    for blob in blobs {
        if blob.size > limits.blob {
            return Err(Error::TooLarge { what: format!("blob {}", blob.digest), limit: limits.blob });
        }
        all = all.saturating_add(blob.size);
    }
    if all > limits.image {
        return Err(Error::TooLarge { what: "the image".to_owned(), limit: limits.image });
    }
    Ok(())
}
