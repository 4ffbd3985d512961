//! A multipart body, part by part, as it arrives: nothing is read ahead of the disk, so that whoever sends is held up by it.

use axum::body::Body;
use futures_util::StreamExt;
use http::{HeaderMap, header};
use mime::Mime;
use multer::{Constraints, Field, Multipart, SizeLimit};
use tokio::time::{Instant, timeout, timeout_at};

use super::Refused;
use crate::limits;
use crate::spool::{Incoming, Spool, Spooled};

/// A body's parts.
pub(super) struct Parts {
    multipart: Multipart<'static>,
    deadline: Instant,
}

/// The content type, which has to be multipart of that kind, with a boundary.
pub(super) fn boundary(headers: &HeaderMap, subtype: &str) -> Option<String> {
    let kind: Mime = headers.get(header::CONTENT_TYPE)?.to_str().ok()?.parse().ok()?;
    let fits = kind.type_() == mime::MULTIPART && kind.subtype().as_str() == subtype;
    let boundary = kind.get_param(mime::BOUNDARY)?.as_str();
    // RFC 2046, section 5.1.1.
    (fits && (1..=70).contains(&boundary.len())).then(|| boundary.to_owned())
}

impl Parts {
    pub(super) fn new(body: Body, boundary: String, limit: u64) -> Self {
        let constraints = Constraints::new().size_limit(SizeLimit::new().whole_stream(limit));
        let stream = body.into_data_stream().map(|data| data.map_err(std::io::Error::other));
        let multipart = Multipart::with_constraints(stream, boundary, constraints);
        Self { multipart, deadline: Instant::now() + limits::UPLOAD_TIMEOUT }
    }

    /// The next part.
    pub(super) async fn next(&mut self) -> Result<Option<Field<'static>>, Refused> {
        in_time(self.deadline, self.multipart.next_field()).await
    }

    /// A part as a file on disk; what is longer than an image may be is read no further.
    pub(super) async fn spool(&self, spool: &Spool, mut field: Field<'static>) -> Result<Spooled, Refused> {
        let mut file: Incoming = spool.begin().await?;
        while let Some(chunk) = in_time(self.deadline, field.chunk()).await? {
            file.write(&chunk).await?;
        }
        Ok(file.finish().await?)
    }

    /// Reads what is left and drops it: whoever sends reads an answer when all is sent, and would see a broken connection before.
    pub(super) async fn discard(&mut self, refused: Refused) -> Refused {
        if matches!(refused, Refused::Stalled | Refused::Malformed(_)) {
            return refused;
        }
        while let Ok(Some(mut field)) = self.next().await {
            while let Ok(Some(_)) = in_time(self.deadline, field.chunk()).await {}
        }
        refused
    }

    /// A part as a short text.
    pub(super) async fn text(&self, mut field: Field<'static>, most: usize) -> Result<String, Refused> {
        let mut text = Vec::new();
        while let Some(chunk) = in_time(self.deadline, field.chunk()).await? {
            text.extend_from_slice(&chunk);
            // Four bytes a character at most.
            if text.len() > most * 4 {
                return Err(Refused::Malformed(format!("a text has more than {most} characters")));
            }
        }
        let text = String::from_utf8(text).map_err(|_| Refused::Malformed("a text is not UTF-8".to_owned()))?;
        Ok(text.chars().filter(|c| !c.is_control()).take(most).collect::<String>().trim().to_owned())
    }
}

/// The same for a body that is refused before anything of it was read.
pub(super) async fn discard(body: Body, refused: Refused) -> Refused {
    let deadline = Instant::now() + limits::UPLOAD_IDLE_TIMEOUT;
    let mut data = body.into_data_stream();
    let mut length = 0;
    while let Ok(Some(Ok(piece))) = timeout_at(deadline, data.next()).await {
        length += piece.len() as u64;
        if length > limits::MAX_EXAM_BYTES {
            break;
        }
    }
    refused
}

async fn in_time<T>(deadline: Instant, what: impl Future<Output = multer::Result<T>>) -> Result<T, Refused> {
    let idle = timeout(limits::UPLOAD_IDLE_TIMEOUT, what);
    let done = timeout_at(deadline, idle).await.map_err(|_| Refused::Stalled)?.map_err(|_| Refused::Stalled)?;
    done.map_err(|error| match error {
        multer::Error::StreamSizeExceeded { .. } | multer::Error::FieldSizeExceeded { .. } => Refused::TooLarge,
        other => Refused::Malformed(other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boundary_is_that_of_the_wanted_kind() {
        let of = |kind: &str| {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind.parse().unwrap())]);
            boundary(&headers, "related")
        };
        assert_eq!(of("multipart/related; type=\"application/dicom\"; boundary=abc").as_deref(), Some("abc"));
        let quoted = "multipart/related; boundary=\"a b\"; type=\"application/dicom; transfer-syntax=1.2\"";
        assert_eq!(of(quoted).as_deref(), Some("a b"));
        for other in ["multipart/form-data; boundary=abc", "multipart/related", "application/dicom", "x"] {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(of(&format!("multipart/related; boundary={}", "x".repeat(71))), None);
    }
}
