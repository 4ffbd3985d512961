//! Publishing an image: blobs first, the manifest last, then a look at what the registry has.

use http::{Method, StatusCode};

use super::http1::Payload;
use super::{Ask, Event, Registry, manifest_path, scope};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::manifest::{Descriptor, Manifest};
use crate::reference::{check_repository, check_tag};

/// What to do about a tag that is another image's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Say so before anything is sent.
    Refuse,
    /// Move it, if the registry allows.
    Move,
}

/// What is to be published, and where.
#[derive(Clone, Copy, Debug)]
pub struct Push<'a> {
    /// Where the image is.
    pub layout: &'a Layout,
    /// The image's manifest.
    pub image: Digest,
    /// The repository.
    pub repository: &'a str,
    /// The tag; without one the image can be had by its digest alone.
    pub tag: Option<&'a str>,
    /// If the tag is another image's.
    pub taken: Taken,
}

/// What was published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Whether the tag was this image's before, so that nothing was sent.
    pub already: bool,
    /// Blobs that were sent.
    pub sent: usize,
    /// Blobs that were there already.
    pub present: usize,
}

impl Registry {
    /// Publishes an image. Blobs that the registry has are not sent again, so that an interrupted push goes on where it was, blob by
    /// blob. Each blob goes from its file in one request of known length: ECR loses all chunks but the first of several
    /// (aws/containers-roadmap#2831).
    ///
    /// # Errors
    /// [`Error::TagTaken`], [`Error::TagImmutable`], [`Error::RepositoryUnknown`], [`Error::ManifestIncomplete`],
    /// [`Error::DigestMismatch`] when the layout is broken (nothing was sent) or when the registry then has another image at the tag,
    /// those of reading a layout and of asking a registry.
    pub async fn push_image(&self, push: &Push<'_>) -> Result<Pushed> {
        check_repository(push.repository)?;
        push.tag.map(check_tag).transpose()?;
        let bytes = push.layout.manifest_bytes(&push.image)?;
        let manifest = Manifest::from_bytes(&bytes)?;
        for blob in manifest.blobs() {
            let blob = push.layout.open_blob(blob)?;
            let compared = tokio::task::spawn_blocking(move || blob.finish()).await;
            compared
                .map_err(|error| Error::Protocol { host: "this program".to_owned(), problem: error.to_string() })??;
        }
        if let Some(tag) = push.tag {
            match self.resolve(push.repository, tag).await? {
                Some(found) if found == push.image => return Ok(Pushed { already: true, ..Pushed::default() }),
                Some(found) if push.taken == Taken::Refuse => {
                    return Err(Error::TagTaken { repository: push.repository.to_owned(), tag: tag.to_owned(), found });
                }
                _ => {}
            }
        }
        let mut pushed = Pushed::default();
        for blob in manifest.blobs() {
            if self.push_blob(push, blob).await? {
                pushed.sent += 1;
            } else {
                pushed.present += 1;
            }
        }
        self.push_manifest(push, manifest.kind(), &bytes).await?;
        Ok(pushed)
    }

    /// Sends a blob if the registry lacks it; whether it was sent.
    async fn push_blob(&self, push: &Push<'_>, blob: &Descriptor) -> Result<bool> {
        let mut tries = self.tries(format!("sending blob {}", blob.digest));
        loop {
            match self.push_blob_once(push, blob).await {
                Ok(sent) => return Ok(sent),
                Err(error) => tries.pause(error).await?,
            }
        }
    }

    async fn push_blob_once(&self, push: &Push<'_>, blob: &Descriptor) -> Result<bool> {
        let (digest, size, repository) = (blob.digest, blob.size, push.repository);
        let scope = scope(repository, "pull,push");
        let path = format!("/v2/{repository}/blobs/{digest}");
        let answer = self.call(&Ask::new(Method::HEAD, self.base.at(&path)?, &scope)).await?;
        match answer.status() {
            StatusCode::OK => {
                self.watcher.event(Event::Present { blob: digest, size });
                return Ok(false);
            }
            StatusCode::NOT_FOUND => {}
            _ => return Err(answer.refused(&path).await),
        }
        let path = format!("/v2/{repository}/blobs/uploads/");
        let answer = self.call(&Ask::new(Method::POST, self.base.at(&path)?, &scope)).await?;
        let location = match answer.status() {
            StatusCode::ACCEPTED => {
                answer.location().ok_or_else(|| self.protocol("it does not say where to send a blob"))?
            }
            StatusCode::NOT_FOUND => return Err(self.repository_unknown(repository)),
            _ => return Err(answer.refused(&path).await),
        };
        let to = self.base.follow(location, self.wire.plain)?.with_query("digest", &digest.to_string());
        drop(answer);
        self.watcher.event(Event::Begun { blob: digest, size });
        let file = push.layout.blob_path(&digest);
        let payload = Payload::File { path: &file, blob: digest, size, watcher: &self.watcher };
        let answer = self.call(&Ask::new(Method::PUT, to, &scope).with("application/octet-stream", payload)).await?;
        if answer.status() != StatusCode::CREATED {
            return Err(answer.refused(&path).await);
        }
        self.watcher.event(Event::Finished { blob: digest, size });
        Ok(true)
    }

    async fn push_manifest(&self, push: &Push<'_>, kind: &str, bytes: &[u8]) -> Result<()> {
        let reference = push.tag.map_or_else(|| push.image.to_string(), str::to_owned);
        let path = manifest_path(push.repository, &reference)?;
        let mut tries = self.tries(format!("sending the manifest of {reference}"));
        loop {
            match self.push_manifest_once(push, &path, kind, bytes).await {
                Ok(()) => return Ok(()),
                Err(error @ Error::TagImmutable { .. }) => {
                    // A try whose answer was lost may have set it, or somebody who publishes the same.
                    return match self.resolve(push.repository, &reference).await? {
                        Some(found) if found == push.image => Ok(()),
                        _ => Err(error),
                    };
                }
                Err(error) => tries.pause(error).await?,
            }
        }
    }

    async fn push_manifest_once(&self, push: &Push<'_>, path: &str, kind: &str, bytes: &[u8]) -> Result<()> {
        let scope = scope(push.repository, "pull,push");
        let ask = Ask::new(Method::PUT, self.base.at(path)?, &scope).with(kind, Payload::Bytes(bytes));
        let answer = self.call(&ask).await?;
        if !answer.status().is_success() {
            return Err(answer.refused(path).await);
        }
        let Some((there, reported)) = self.get_manifest(path, &scope).await? else {
            return Err(self.protocol("it took the manifest, and does not have it"));
        };
        for found in reported.into_iter().chain([Digest::of(&there)]) {
            if found != push.image {
                let what = format!("the manifest at {}{path}", self.host());
                return Err(Error::DigestMismatch { what, expected: push.image, found });
            }
        }
        Ok(())
    }
}
