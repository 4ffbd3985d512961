//! The two states of a connection: unverified, and verified.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand;
use bytes::Bytes;
use cloister_attest::{Binding, Expected, Policy};
use cloister_imaging::View;
use cloister_transport::{Address, Stream, dial};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::answer::{Classification, Exam, Problem};
use crate::limits;
use crate::sealed::{self, SealedImage};
use crate::sent::{Image, Known, Sent, SentImage, Shown};
use crate::upload::{Progress, Upload};
use crate::{Credentials, Error, tls};

/// What an exam may be that is refused otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// DICOM files of several patients or studies.
    pub mixed: bool,
    /// Fewer than four views, at least one. A breast without both of its own gets no score.
    pub missing: bool,
}

impl Allowed {
    fn query(self) -> String {
        let words = [(self.mixed, "mixed=allow&"), (self.missing, "missing=allow&")];
        words.into_iter().filter(|(allowed, _)| *allowed).map(|(_, words)| words).collect()
    }
}

/// How long to wait for what, and what to show.
#[derive(Clone)]
pub struct Options {
    /// For the transport's connection.
    pub connect_timeout: Duration,
    /// For an answer, the enclave's queue included.
    pub answer_timeout: Duration,
    /// For an enclave that does not answer everyone.
    pub credentials: Credentials,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: limits::CONNECT_TIMEOUT,
            answer_timeout: limits::ANSWER_TIMEOUT,
            credentials: Credentials::default(),
        }
    }
}

/// What is asked of a classification, beside its images. A number of crops alone can stand for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Crops to average for each image, left to the enclave (ten) when `None`; one crop is the noiseless one.
    pub crops: Option<u32>,
    /// The label to have maps for of where the network looked.
    pub map: Option<String>,
    /// The nonce that the receipt is to carry, for a caller that has written it down before; a fresh one when `None`. The same nonce twice is
    /// the same request twice, to whoever reads both receipts.
    pub nonce: Option<[u8; limits::NONCE_BYTES]>,
}

impl From<Option<u32>> for Asked {
    fn from(crops: Option<u32>) -> Self {
        Self { crops, ..Self::default() }
    }
}

impl Asked {
    /// Its part of a query, with an `&` behind each parameter.
    fn query(&self) -> Result<String, Error> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let crops = self.crops.map(|n| format!("crops={n}&")).unwrap_or_default();
        match &self.map {
            None => Ok(crops),
            Some(label) if !label.is_empty() && label.chars().all(plain) => Ok(format!("{crops}map={label}&")),
            Some(_) => Err(Error::Label),
        }
    }
}

/// What was proved about the enclave at the end of a [`Session`].
#[derive(Clone, Debug)]
pub struct Attested {
    /// The label of the policy's entry that the enclave matches.
    pub label: String,
    /// The enclave's own identifier, from its document.
    pub module_id: String,
    /// When the security module signed the document.
    pub timestamp: SystemTime,
    /// The PCRs in the document, by index.
    pub pcrs: BTreeMap<u16, Vec<u8>>,
    /// The document itself, to keep.
    pub document: Vec<u8>,
    /// SubjectPublicKeyInfo, DER, of the TLS key that the document vouches for.
    pub tls_public_key: Vec<u8>,
    /// SHA-384 of the SubjectPublicKeyInfo of the receipt key that the document vouches for.
    pub receipt_key_sha384: Option<[u8; 48]>,
}

/// A TLS connection to something that has proved nothing yet.
pub struct Unverified {
    requests: SendRequest<Upload>,
    tls_public_key: Vec<u8>,
    options: Options,
}

/// A connection to a verified enclave. Requests go one after another.
pub struct Session {
    connection: Unverified,
    policy: Policy,
    attested: Attested,
}

/// Opens TLS 1.3 to whatever answers at `address`.
///
/// # Errors
/// [`Error::Unreachable`], [`Error::Handshake`], or [`Error::Timeout`].
pub async fn connect(address: &Address, options: Options) -> Result<Unverified, Error> {
    let stream = dial(address, options.connect_timeout)
        .await
        .map_err(|source| Error::Unreachable { address: address.clone(), source })?;
    let connector = TlsConnector::from(Arc::new(tls::config(options.credentials.certificate.as_ref())?));
    let name = ServerName::try_from(tls::SERVER_NAME).map_err(|_| Error::Certificate)?;
    let stream: tokio_rustls::client::TlsStream<Stream> =
        timeout(limits::HANDSHAKE_TIMEOUT, connector.connect(name, stream))
            .await
            .map_err(|_| Error::Timeout { what: "the TLS handshake", after: limits::HANDSHAKE_TIMEOUT })?
            .map_err(|source| Error::Handshake { address: address.clone(), source })?;
    let tls_public_key = tls::public_key(stream.get_ref().1.peer_certificates())?;
    let (requests, connection) = handshake(TokioIo::new(stream)).await?;
    // Its end shows in the requests that it fails; there is nobody else to tell.
    tokio::spawn(async move { drop(connection.await) });
    Ok(Unverified { requests, tls_public_key, options })
}

impl Unverified {
    /// Asks for an attestation document over a fresh nonce and holds it against the policy and this connection's key.
    ///
    /// # Errors
    /// [`Error::NotVerified`] with the first reason found. [`Error::TooLarge`] and [`Error::Malformed`] are answers that hold no
    /// document, so that nothing is proved either. Anything else, [`Error::Refused`] among it, means that no document could
    /// be had now.
    pub async fn verify(mut self, policy: &Policy, at: SystemTime) -> Result<Session, Error> {
        let attested = self.attest(policy, at).await?;
        Ok(Session { connection: self, policy: policy.clone(), attested })
    }

    async fn attest(&mut self, policy: &Policy, at: SystemTime) -> Result<Attested, Error> {
        let mut nonce = [0; limits::NONCE_BYTES];
        rand::fill(&mut nonce).map_err(|_| Error::Random)?;
        let document = self.attestation(&nonce).await?;
        let expected = Expected { nonce: Some(&nonce), at, tls_public_key: Some(&self.tls_public_key) };
        let (verified, accepted) = policy.verify(&document, &expected)?;
        let bound = verified.user_data.as_deref().and_then(|bytes| Binding::decode(bytes).ok());
        Ok(Attested {
            label: accepted.label,
            module_id: verified.module_id.clone(),
            timestamp: verified.timestamp,
            pcrs: verified.pcrs.clone(),
            document,
            tls_public_key: self.tls_public_key.clone(),
            receipt_key_sha384: bound.and_then(|binding| binding.receipt_spki_sha384),
        })
    }

    async fn attestation(&mut self, nonce: &[u8]) -> Result<Vec<u8>, Error> {
        const WHAT: &str = "the request for an attestation document";
        let request = Request::get(format!("/v1/attestation?nonce={}", hex::encode(nonce)))
            .header(header::HOST, tls::SERVER_NAME)
            .body(Upload::new(Bytes::new(), None))?;
        self.exchange(WHAT, request, limits::ATTESTATION_TIMEOUT, limits::MAX_DOCUMENT_BYTES).await
    }

    /// Sends one request, and gives its answer's bytes if it succeeded.
    async fn exchange(
        &mut self,
        what: &'static str,
        request: Request<Upload>,
        after: Duration,
        limit: usize,
    ) -> Result<Vec<u8>, Error> {
        let answer = async {
            self.requests.ready().await?;
            let response = self.requests.send_request(request).await?;
            let (parts, body) = response.into_parts();
            let body =
                read(what, body, if parts.status.is_success() { limit } else { limits::MAX_ANSWER_BYTES }).await?;
            Ok::<_, Error>((parts, body))
        };
        let (parts, body) = timeout(after, answer).await.map_err(|_| Error::Timeout { what, after })??;
        if parts.status == StatusCode::OK { Ok(body) } else { Err(refusal(&parts, &body)) }
    }
}

impl Session {
    /// What was proved.
    pub fn attested(&self) -> &Attested {
        &self.attested
    }

    /// Whether the connection can carry another request, as far as is known: an enclave that ends closes it with its last answer.
    pub fn is_open(&self) -> bool {
        !self.connection.requests.is_closed()
    }

    /// Verifies the enclave once more over the same connection, for sessions that are kept for long.
    ///
    /// # Errors
    /// As [`Unverified::verify`]; a session that fails to prove itself again should be dropped.
    pub async fn verify_again(&mut self, policy: &Policy, at: SystemTime) -> Result<(), Error> {
        self.attested = self.connection.attest(policy, at).await?;
        self.policy = policy.clone();
        Ok(())
    }

    /// The enclave's metrics, in Prometheus' text format.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Malformed`] when they are no text, or a broken connection.
    pub async fn metrics(&mut self) -> Result<String, Error> {
        const WHAT: &str = "the request for metrics";
        let request =
            Request::get("/metrics").header(header::HOST, tls::SERVER_NAME).body(Upload::new(Bytes::new(), None))?;
        let body = self.connection.exchange(WHAT, request, limits::METRICS_TIMEOUT, limits::MAX_METRICS_BYTES).await?;
        String::from_utf8(body).map_err(|error| Error::Malformed { what: WHAT, reason: error.to_string() })
    }

    /// Classifies one image. Of a DICOM file the enclave finds the view, and `view` may be `None`; another view than the file's is refused.
    /// `asked` is a number of crops, or more. The answer's receipt was held against the image, the answer and this session.
    ///
    /// # Errors
    /// [`Error::Label`] before anything is sent, [`Error::Refused`] with the enclave's reason, [`Error::Receipt`], or a broken connection.
    pub async fn classify(
        &mut self,
        image: impl Into<Image>,
        view: impl Into<Option<View>>,
        asked: impl Into<Asked>,
        progress: Option<Progress>,
    ) -> Result<Classification, Error> {
        let (image, view, asked) = (image.into(), view.into(), asked.into());
        let query = asked.query()?;
        let named = view.map(|view| format!("view={view}&")).unwrap_or_default();
        let sent = Sent::new(vec![SentImage::new(view, Arc::clone(&image.known))], &asked)?;
        let path = format!("/v1/images?{named}{query}nonce={}", hex::encode(sent.nonce));
        let body = self.post("the classification", &path, media_type(&image.bytes), image.bytes, progress).await?;
        let mut answer: Classification = parse("the classification", &body)?;
        let signed = sent.check(&self.policy, &self.attested, answer.receipt.as_ref(), &Shown::image(&answer))?;
        answer.keep(&signed);
        Ok(answer)
    }

    /// Has one sealed image classified, and gives the sealed result. Its owner opens both, and holds the receipt in the result against the
    /// image; here nothing can be seen but that the result names the image's data key.
    ///
    /// # Errors
    /// [`Error::NotSealed`], [`Error::NotAnImage`] and [`Error::Label`] before anything is sent, [`Error::Refused`] with the enclave's reason,
    /// [`Error::OtherResult`], or a broken connection.
    pub async fn classify_sealed(
        &mut self,
        sealed: Vec<u8>,
        view: View,
        asked: impl Into<Asked>,
        progress: Option<Progress>,
    ) -> Result<Vec<u8>, Error> {
        let image = SealedImage::read(&sealed)?;
        let path = format!("/v1/images?{}view={view}", asked.into().query()?);
        let result = self.post("the classification", &path, sealed::MEDIA_TYPE, sealed.into(), progress).await?;
        image.check(&result)?;
        Ok(result)
    }

    /// Classifies the four views of one exam. DICOM files of several patients or studies are refused.
    ///
    /// # Errors
    /// [`Error::Views`] unless each view is there once, else as [`Session::classify`].
    pub async fn exam(
        &mut self,
        images: Vec<(View, Vec<u8>)>,
        asked: impl Into<Asked>,
        progress: Option<Progress>,
    ) -> Result<Exam, Error> {
        self.exam_allowing(Allowed::default(), images, asked, progress).await
    }

    /// The same for exams that are refused otherwise: the answer has a finding then.
    ///
    /// # Errors
    /// As [`Session::exam`].
    pub async fn exam_allowing(
        &mut self,
        allowed: Allowed,
        images: Vec<(View, Vec<u8>)>,
        asked: impl Into<Asked>,
        progress: Option<Progress>,
    ) -> Result<Exam, Error> {
        let asked = asked.into();
        let query = asked.query()?;
        for view in View::ALL {
            match images.iter().filter(|(v, _)| *v == view).count() {
                0 if allowed.missing && !images.is_empty() => {}
                0 => return Err(Error::Views { view, problem: "missing" }),
                1 => {}
                _ => return Err(Error::Views { view, problem: "there twice" }),
            }
        }
        let boundary = boundary()?;
        let sent = images.iter().map(|(view, image)| SentImage::new(Some(*view), Known::of(image).into())).collect();
        let sent = Sent::new(sent, &asked)?;
        let body = multipart(&images, &boundary);
        drop(images);
        let path = format!("/v1/exams?{query}{}nonce={}", allowed.query(), hex::encode(sent.nonce));
        let kind = format!("multipart/form-data; boundary={boundary}");
        let body = self.post("the exam", &path, &kind, body.into(), progress).await?;
        let mut answer: Exam = parse("the exam", &body)?;
        let signed = sent.check(&self.policy, &self.attested, Some(&answer.receipt), &Shown::exam(&answer))?;
        answer.views.iter_mut().for_each(|view| view.keep(&signed));
        for (side, breast) in &mut answer.breasts {
            if let Some(scores) = signed.breasts.get(side) {
                breast.scores.clone_from(scores);
            }
        }
        Ok(answer)
    }

    async fn post(
        &mut self,
        what: &'static str,
        path: &str,
        kind: &str,
        body: Bytes,
        progress: Option<Progress>,
    ) -> Result<Vec<u8>, Error> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::HOST, tls::SERVER_NAME)
            .header(header::CONTENT_TYPE, kind)
            .body(Upload::new(body, progress))?;
        if let Some(token) = &self.connection.options.credentials.token {
            request.headers_mut().insert(header::AUTHORIZATION, token.header()?);
        }
        let after = self.connection.options.answer_timeout;
        self.connection.exchange(what, request, after, limits::MAX_ANSWER_BYTES).await
    }
}

async fn read(what: &'static str, body: Incoming, limit: usize) -> Result<Vec<u8>, Error> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes().to_vec()),
        Err(error) if error.is::<LengthLimitError>() => Err(Error::TooLarge { what, limit }),
        Err(error) => Err(match error.downcast::<hyper::Error>() {
            Ok(error) => Error::Connection(*error),
            Err(error) => Error::Malformed { what, reason: error.to_string() },
        }),
    }
}

fn refusal(parts: &http::response::Parts, body: &[u8]) -> Error {
    let seconds = parts.headers.get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
    let status = parts.status;
    let problem = serde_json::from_slice(body).unwrap_or_else(|_| Problem {
        kind: "about:blank".to_owned(),
        title: status.canonical_reason().unwrap_or("no reason given").to_owned(),
        detail: None,
    });
    // Whoever answers may have proved nothing yet, and these words end up on terminals and in logs.
    Error::Refused {
        status: status.as_u16(),
        kind: printable(&problem.kind),
        title: printable(&problem.title),
        detail: problem.detail.as_deref().map(printable),
        retry_after: seconds.map(Duration::from_secs),
    }
}

/// The other side's words without what steers a terminal or hides text, and cut.
fn printable(text: &str) -> String {
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| if steers(c) { char::REPLACEMENT_CHARACTER } else { c })
        .take(limits::MAX_REFUSAL_CHARACTERS)
        .collect()
}

fn parse<T: serde::de::DeserializeOwned>(what: &'static str, body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::Malformed { what, reason: error.to_string() })
}

/// The media type that the bytes say they are: the enclave looks for itself.
fn media_type(image: &[u8]) -> &'static str {
    match image {
        png if png.starts_with(b"\x89PNG") => "image/png",
        dicom if cloister_dicom::is_dicom(dicom) => "application/dicom",
        _ => "application/octet-stream",
    }
}

/// A boundary that cannot be met in an image but by guessing 128 bits (RFC 2046, section 5.1.1).
fn boundary() -> Result<String, Error> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(format!("exam-{}", hex::encode(bytes)))
}

/// One part a view, named by the view (RFC 7578).
fn multipart(images: &[(View, Vec<u8>)], boundary: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(images.iter().map(|(_, image)| image.len() + 256).sum());
    for (view, image) in images {
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{view}\"; filename=\"{view}\"\r\nContent-Type: {}\r\n\r\n",
            media_type(image)
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(image);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    body
}
