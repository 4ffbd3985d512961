//! A PACS by STOW-RS (PS3.18, section 10.5): one object a request, so that each is answered for itself.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::Value;

use super::NotDelivered;
use crate::config;
use crate::outbound::{Outbound, Roots};
use crate::worklist::Due;
use crate::{Error, files, limits, random};

/// FailureReason (0008,1197) "Duplicate SOP Instance" (PS3.7, C.4.2.1.5): the PACS has it.
const DUPLICATE: u16 = 0x0111;

/// The PACS.
pub(crate) struct Pacs {
    outbound: Outbound,
    url: String,
    authorization: Option<HeaderValue>,
}

impl Pacs {
    /// Reads what is needed to reach it.
    pub(crate) fn new(config: &config::Pacs) -> Result<Self, Error> {
        let roots = Roots::read(config.ca.as_deref())?;
        let authorization = config.authorization_file.as_deref().map(files::secret).transpose()?;
        let authorization = authorization
            .map(|text| {
                let mut value = HeaderValue::from_str(&text)
                    .map_err(|_| Error::Unfit("authorization_file does not hold the value of a header"))?;
                value.set_sensitive(true);
                Ok::<_, Error>(value)
            })
            .transpose()?;
        let url = format!("{}/studies", config.url.trim_end_matches('/'));
        Ok(Self { outbound: Outbound::new(&roots)?, url, authorization })
    }

    pub(super) async fn deliver(&self, due: &Due, object: Vec<u8>) -> Result<(), NotDelivered> {
        let boundary = random::id()?;
        let mut body = format!("--{boundary}\r\nContent-Type: application/dicom\r\n\r\n").into_bytes();
        body.extend_from_slice(&object);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let mut headers = HeaderMap::new();
        let kind = format!("multipart/related; type=\"application/dicom\"; boundary={boundary}");
        headers.insert(header::CONTENT_TYPE, HeaderValue::try_from(kind).map_err(|_| Error::Random)?);
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/dicom+json"));
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        let url = match &due.study_uid {
            Some(study) => format!("{}/{study}", self.url),
            None => self.url.clone(),
        };
        let answer =
            self.outbound.send(Method::POST, &url, headers, Bytes::from(body), limits::MAX_PACS_ANSWER_BYTES).await?;
        judge(answer.status.as_u16(), &answer.body)
    }
}

/// 200 takes it; so do 202, which has to say that it does (PS3.18, 10.5.3.1), and a refusal because it is there.
fn judge(status: u16, body: &[u8]) -> Result<(), NotDelivered> {
    let reason = failure(body);
    match (status, reason) {
        (200, None) | (_, Some(DUPLICATE)) => Ok(()),
        (202, None) if serde_json::from_slice::<Value>(body).is_ok() => Ok(()),
        (status, reason) => Err(NotDelivered::Pacs { status, reason }),
    }
}

/// FailureReason (0008,1197) of the first item of FailedSOPSequence (0008,1198), in DICOM's JSON (PS3.18, annex F).
fn failure(body: &[u8]) -> Option<u16> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let answer = answer.as_array().and_then(|array| array.first()).unwrap_or(&answer);
    let reason = &answer["00081198"]["Value"][0]["00081197"]["Value"][0];
    reason.as_u64().and_then(|reason| u16::try_from(reason).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(reason: u16) -> String {
        format!(r#"{{"00081198": {{"vr": "SQ", "Value": [{{"00081197": {{"vr": "US", "Value": [{reason}]}}}}]}}}}"#)
    }

    #[test]
    fn an_object_that_the_pacs_has_already_is_delivered() {
        assert!(judge(200, b"{}").is_ok());
        assert!(judge(200, b"").is_ok());
        assert!(judge(202, b"{}").is_ok());
        assert!(judge(409, failed(0x0111).as_bytes()).is_ok());
    }

    #[test]
    fn an_object_that_the_pacs_does_not_take_is_not_delivered() {
        for (status, body) in [
            (409, failed(0x0110)),
            (200, failed(0xA700)),
            (500, String::new()),
            (409, String::new()),
            (202, String::new()),
            (202, "<html>".to_owned()),
        ] {
            assert!(judge(status, body.as_bytes()).is_err(), "{status} {body}");
        }
    }
}
