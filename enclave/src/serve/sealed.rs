//! Sealed images: opened by an attested release of their owner's key, and answered under the same data key.

mod refusal;

use std::io::{Read, Write};
use std::sync::Arc;

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use cloister_imaging::{FileMemory, View};
use cloister_kms::context;
use cloister_seal::{DataKey, Header, Purpose, Sealed, Sealer};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant as Deadline, timeout_at};

use super::admission::{Admission, Reserved};
use super::images::{Answer, in_worker};
use super::padding;
use super::problem::Problem;
use crate::config::Config;
use crate::disclose::Words;
use crate::limits;
use crate::release::{Error, Releases};

pub(super) use refusal::Refusal;

/// What sealed images and results are sent as.
pub(super) const MEDIA_TYPE: &str = "application/vnd.cloister.sealed";

/// An answer as its caller gets it.
pub(super) enum Reply {
    Plain(Box<Answer>),
    Sealed(Vec<u8>),
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        match self {
            Self::Plain(answer) => Json(answer).into_response(),
            Self::Sealed(file) => ([(header::CONTENT_TYPE, MEDIA_TYPE)], file).into_response(),
        }
    }
}

/// Whoever asks for the keys of sealed images, a few at once.
pub(super) struct DataKeys {
    config: Arc<Config>,
    releases: Releases,
    at_once: Arc<Semaphore>,
    waiting: Semaphore,
    waiting_bytes: Semaphore,
}

/// An image that came in sealed, and what its answer is to be sealed with.
pub(super) struct Opened {
    pub(super) image: FileMemory,
    pub(super) reserved: Reserved,
    pub(super) envelope: Envelope,
}

/// The key of one sealed image.
pub(super) struct Envelope {
    header: Header,
    key: DataKey,
}

impl DataKeys {
    pub(super) fn new(releases: Releases) -> Self {
        let at_once = Arc::new(Semaphore::new(limits::MAX_CONCURRENT_RELEASES));
        Self {
            config: Arc::clone(&releases.config),
            releases,
            at_once,
            waiting: Semaphore::new(limits::MAX_SEALED_WAITING),
            waiting_bytes: Semaphore::new(limits::SEALED_WAITING_BYTES),
        }
    }

    /// Opens a sealed image that is to be classified as `view`. KMS is not asked before all is right that can be seen without it.
    pub(super) async fn open(
        &self,
        admission: &Admission,
        (sealed, received): (FileMemory, Reserved),
        view: View,
    ) -> Result<Opened, Problem> {
        let header = self.check(&sealed, view)?;
        let key = {
            let _place = self.waiting.try_acquire().map_err(|_| Problem::QueueFull)?;
            let bytes = u32::try_from(sealed.capacity()).map_err(|_| Problem::Busy)?;
            let _bytes = self.waiting_bytes.try_acquire_many(bytes).map_err(|_| Problem::Busy)?;
            self.release(&header).await?
        };
        // For a moment both are in memory.
        let reserved = admission.reserve(None, limits::MAX_IMAGE_BYTES)?;
        let image = reserved.memory(sealed.len());
        reserved.grow(sealed.len())?;
        in_worker(received, move || {
            let image = content(&sealed, &key, image)?;
            Ok(Opened { image, reserved, envelope: Envelope { header, key } })
        })
        .await
    }

    /// Whether the header is that of an image of this view, under a key that the measured configuration lists. KMS binds the view to the
    /// key, and the seal binds the rest to the content.
    fn check(&self, sealed: &[u8], view: View) -> Result<Header, Refusal> {
        let sealed = Sealed::read_header(sealed)?;
        let header = sealed.header();
        if header.purpose != Purpose::Image {
            return Err(Refusal::Purpose(header.purpose));
        }
        if !self.config.data.key_arns.contains(&header.key_arn) {
            return Err(Refusal::KeyNotAllowed);
        }
        if header.chunk_size > cloister_seal::limits::DEFAULT_CHUNK {
            // A reader holds two chunks, which nobody has counted.
            return Err(Refusal::Damaged(Words::of("its chunks are larger than any image's")));
        }
        match context::view_of_image(&header.context) {
            None => Err(Refusal::Context),
            Some(sealed_as) if sealed_as != view.as_str() => Err(Refusal::OtherView),
            Some(_) => Ok(header.clone()),
        }
    }

    async fn release(&self, header: &Header) -> Result<DataKey, Problem> {
        let deadline = Deadline::now() + limits::DATA_KEY_TIMEOUT;
        let permit = timeout_at(deadline, Arc::clone(&self.at_once).acquire_owned()).await;
        let permit = permit.map_err(|_| Refusal::Late)?.map_err(|_| Problem::Internal("no more keys are asked for"))?;
        let (releases, header, runtime) = (self.releases.clone(), header.clone(), Handle::current());
        // A release attests and makes an RSA key in place, which would hold up everyone else's requests.
        in_worker(permit, move || {
            let released = runtime.block_on(Box::pin(timeout_at(deadline, releases.data_key(&header))));
            let released = released.map_err(|_| Refusal::Late)?;
            Ok(released.map_err(|error| match error {
                Error::WrappedKey(reason) => Refusal::WrappedKey(reason),
                other => Refusal::NotReleased(crate::disclose::Disclose::words(&other)),
            })?)
        })
        .await
    }
}

impl Envelope {
    /// The answer as a sealed result, which is as long as any other of this image.
    pub(super) fn seal(&self, answer: &Answer) -> Result<Vec<u8>, Problem> {
        let written = || -> Result<Vec<u8>, cloister_seal::Error> {
            let json = serde_json::to_vec(answer).map_err(std::io::Error::from)?;
            let mut sealer = Sealer::new(Vec::new(), &self.header.of_result()?, &self.key)?;
            sealer.write_all(&padding::whole(json, answer.viewed.classification.map.is_some()))?;
            sealer.finish()
        };
        written().map_err(|_| Problem::Internal("the answer could not be sealed"))
    }
}

/// What is in a sealed image: nothing of it before all of it proved authentic.
fn content(sealed: &[u8], key: &DataKey, mut image: FileMemory) -> Result<FileMemory, Refusal> {
    image.reserve_exact(sealed.len());
    Sealed::read_header(sealed)?
        .open(key, Purpose::Image)?
        .read_to_end(&mut image)
        .map_err(cloister_seal::Error::from)?;
    if image.is_empty() { Err(Refusal::Empty) } else { Ok(image) }
}
