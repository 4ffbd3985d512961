//! `cloister verify`, `cloister classify`, `cloister exam`: connect, verify, then send.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use clap::builder::RangedU64ValueParser;
use clap::{Args, value_parser};
use cloister_attest::Policy;
use cloister_client::{Allowed, Asked, Error, Options, Proof, Scores, Session, connect};
use cloister_imaging::View;
use cloister_transport::Address;
use serde::Serialize;

use crate::access::CredentialFiles;
use crate::failure::Failure;
use crate::files::Readers;
use crate::maps::{MapFile, MapFolder};
use crate::output::{Explained, UploadBar};
use crate::words::meaning;
use crate::{files, output, picture, policy, results};

/// What `--wait` takes: up to a year, which nobody waits, and which no clock overflows at.
pub fn waiting() -> RangedU64ValueParser {
    const YEAR: u64 = 365 * 24 * 60 * 60;
    value_parser!(u64).range(..=YEAR)
}

/// Between two tries of `--wait`.
const WAIT_STEP: Duration = Duration::from_millis(250);

/// Which enclave, and what it must prove.
#[derive(Args)]
pub struct Target {
    /// The parent's relay, such as tcp://enclaves.example.org:8443.
    #[arg(long)]
    server: Address,
    /// What the enclave must prove before anything is sent.
    #[arg(long)]
    policy: PathBuf,
    #[command(flatten)]
    credentials: CredentialFiles,
    /// Seconds to wait for an enclave that cannot be reached or is not ready yet.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = waiting())]
    wait: u64,
    /// One line of JSON in place of text.
    #[arg(long)]
    json: bool,
}

/// An enclave to reach: where it is, what it must prove, what the caller shows of itself.
pub struct Place {
    server: Address,
    policy: Policy,
    options: Options,
}

/// What `cloister verify` takes.
#[derive(Args)]
pub struct Verify {
    #[command(flatten)]
    target: Target,
    /// Also keep the attestation document in this file.
    #[arg(long)]
    document: Option<PathBuf>,
}

/// What `cloister classify` takes.
#[derive(Args)]
pub struct Classify {
    #[command(flatten)]
    target: Target,
    /// The mammogram: an 8- or 16-bit greyscale PNG, a DICOM file, or one that cloister image seal sealed.
    #[arg(long)]
    image: PathBuf,
    /// L-CC, R-CC, L-MLO or R-MLO. A DICOM file says it itself, and must not say another.
    #[arg(long)]
    view: Option<View>,
    /// Crops to average; 1 is the noiseless one. Ten by default.
    #[arg(long)]
    crops: Option<u32>,
    /// Keep the enclave's signed receipt in this file. Of a sealed image it is in the sealed result.
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Where to write the sealed result of a sealed image, which cloister sealed open opens.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["receipt", "map"])]
    result: Option<PathBuf>,
    #[command(flatten)]
    map: MapFile,
}

/// What `cloister exam` takes.
#[derive(Args)]
pub struct Exam {
    #[command(flatten)]
    target: Target,
    /// The left breast from above.
    #[arg(long)]
    l_cc: Option<PathBuf>,
    /// The right breast from above.
    #[arg(long)]
    r_cc: Option<PathBuf>,
    /// The left breast, oblique.
    #[arg(long)]
    l_mlo: Option<PathBuf>,
    /// The right breast, oblique.
    #[arg(long)]
    r_mlo: Option<PathBuf>,
    /// Crops to average for each view.
    #[arg(long)]
    crops: Option<u32>,
    /// Take DICOM files of several patients or studies as one exam, as they are in some public collections.
    #[arg(long)]
    allow_mixed: bool,
    /// Take an exam of fewer than four views. A breast without both of its own gets no score.
    #[arg(long)]
    allow_missing: bool,
    /// Keep the enclave's signed receipt in this file.
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    #[command(flatten)]
    maps: MapFolder,
    #[command(flatten)]
    results: results::Asked,
}

/// Where the result of a sealed image is.
#[derive(Serialize)]
struct SealedResult<'a> {
    sealed_result: &'a Path,
}

/// A result and what was verified before anything was sent.
#[derive(Serialize)]
struct Proven<T> {
    #[serde(flatten)]
    result: T,
    verified: Proof,
}

/// Runs `cloister verify`.
pub async fn verify(arguments: &Verify) -> Result<(), Failure> {
    let (policy, session) = arguments.target.session().await?;
    if let Some(path) = &arguments.document {
        files::write(path, &session.attested().document)?;
    }
    let proof = Proof::new(&policy, session.attested());
    if arguments.target.json { output::json(&proof) } else { print(&proof) }
}

/// Runs `cloister classify`.
pub async fn classify(arguments: &Classify) -> Result<(), Failure> {
    let image = files::read(&arguments.image)?;
    match (&arguments.result, cloister_seal::is_sealed(&image)) {
        (Some(result), true) => {
            let view = arguments
                .view
                .ok_or_else(|| Failure::usage("the image is sealed: give the --view that it was sealed as"))?;
            return classify_sealed(arguments, view, image, result).await;
        }
        (None, true) => return Err(Failure::usage("the image is sealed: name a file for its sealed --result")),
        (Some(_), false) => {
            return Err(Failure::usage("the image is not sealed, and neither is its answer: leave out --result"));
        }
        (None, false) => picture::check_named(&image, arguments.view)?,
    }
    let (policy, mut session) = arguments.target.session().await?;
    let bar = UploadBar::new(image.len() as u64);
    let answer =
        session.classify(image, arguments.view, arguments.asked(), Some(bar.progress())).await.map_err(failure)?;
    drop(bar);
    arguments.map.write(answer.map.as_ref().map(Into::into))?;
    if let (Some(path), Some(receipt)) = (&arguments.receipt, &answer.receipt) {
        files::replace(path, Readers::Owner, |file| file.write_all(&receipt.0))?;
    }
    let proof = Proof::new(&policy, session.attested());
    if arguments.target.json {
        return output::json(&Proven { result: Explained::new(&answer, &answer.findings), verified: proof });
    }
    output::line(format_args!("{}  {}", answer.view, scores(&answer.scores)))?;
    output::findings("", &answer.findings)?;
    let [top, bottom, left, right] = answer.window;
    let [y, x] = answer.best_center;
    output::line(format_args!(
        "       breast at rows {top}-{bottom}, columns {left}-{right}; the network looked around ({y}, {x}) in it"
    ))?;
    if let Some(model) = &answer.model {
        output::line(format_args!("model {} version {}, {} crops", model.name, model.version, answer.crops))?;
    }
    print(&proof)
}

async fn classify_sealed(arguments: &Classify, view: View, image: Vec<u8>, out: &Path) -> Result<(), Failure> {
    let (policy, mut session) = arguments.target.session().await?;
    let bar = UploadBar::new(image.len() as u64);
    let result = session.classify_sealed(image, view, arguments.asked(), Some(bar.progress())).await;
    let result = result.map_err(failure)?;
    drop(bar);
    files::write(out, &result)?;
    let proof = Proof::new(&policy, session.attested());
    if arguments.target.json {
        let result = SealedResult { sealed_result: out };
        return output::json(&Proven { result, verified: proof });
    }
    output::line(format_args!("{view}  sealed result in {}; cloister sealed open opens it", out.display()))?;
    print(&proof)
}

/// Runs `cloister exam`.
pub async fn exam(arguments: &Exam) -> Result<(), Failure> {
    let paths = [
        (View::LCc, &arguments.l_cc),
        (View::RCc, &arguments.r_cc),
        (View::LMlo, &arguments.l_mlo),
        (View::RMlo, &arguments.r_mlo),
    ];
    let allowed = Allowed { mixed: arguments.allow_mixed, missing: arguments.allow_missing };
    let mut images = Vec::new();
    for (view, path) in paths {
        match path {
            Some(path) => images.push((view, files::read(path)?)),
            None if allowed.missing => {}
            None => return Err(Failure::usage(format!("{view} is missing: name its file, or say --allow-missing"))),
        }
    }
    let sources = arguments.results.sources(&images)?;
    let (policy, mut session) = arguments.target.session().await?;
    let bar = UploadBar::new(images.iter().map(|(_, image)| image.len() as u64).sum());
    let map = arguments.maps.label().map(str::to_owned);
    let asked = Asked { crops: arguments.crops, map, ..Asked::default() };
    let answer = session.exam_allowing(allowed, images, asked, Some(bar.progress())).await.map_err(failure)?;
    drop(bar);
    let maps = answer.views.iter().filter_map(|view| Some((view.view.to_string(), view.map.as_ref()?.into())));
    arguments.maps.write(maps)?;
    if let Some(path) = &arguments.receipt {
        files::replace(path, Readers::Owner, |file| file.write_all(&answer.receipt.0))?;
    }
    let written = sources.map(|sources| sources.write(&answer));
    let proof = Proof::new(&policy, session.attested());
    if arguments.target.json {
        let found = answer.views.iter().flat_map(|view| &view.findings).chain(&answer.findings);
        output::json(&Proven { result: Explained::new(&answer, found), verified: proof })?;
        return written.transpose().map(drop);
    }
    for (side, breast) in &answer.breasts {
        output::line(format_args!("{side:<5} breast  {}", scores(&breast.scores)))?;
    }
    for view in &answer.views {
        output::line(format_args!("  {:<5}       {}", view.view, scores(&view.scores)))?;
        output::findings("  ", &view.findings)?;
    }
    output::findings("", &answer.findings)?;
    output::line(format_args!("model {} version {}", answer.model.name, answer.model.version))?;
    for path in written.iter().flatten().flatten() {
        output::line(format_args!("written  {}", path.display()))?;
    }
    print(&proof)?;
    // The answer is the caller's, whatever became of its files.
    written.transpose().map(drop)
}

impl Classify {
    fn asked(&self) -> Asked {
        Asked { crops: self.crops, map: self.map.label().map(str::to_owned), ..Asked::default() }
    }
}

impl Target {
    /// A verified connection, within the time that was given for it.
    async fn session(&self) -> Result<(Policy, Session), Failure> {
        let place = self.place()?;
        let session = place.session(self.wait()).await?;
        Ok((place.policy, session))
    }

    /// Reads the policy and the credentials.
    pub fn place(&self) -> Result<Place, Failure> {
        Place::read(self.server.clone(), &self.policy, &self.credentials)
    }

    /// The time to wait for an enclave that is not there yet.
    pub fn wait(&self) -> Duration {
        Duration::from_secs(self.wait)
    }

    /// Whether JSON takes the place of text.
    pub fn json(&self) -> bool {
        self.json
    }
}

impl Place {
    /// Reads the policy and the credentials.
    pub fn read(server: Address, policy: &Path, credentials: &CredentialFiles) -> Result<Self, Failure> {
        let policy = policy::read(policy)?;
        let options = Options { credentials: credentials.read()?, ..Options::default() };
        Ok(Self { server, policy, options })
    }

    /// Waits for each answer that long.
    pub fn with_answer_timeout(mut self, after: Duration) -> Self {
        self.options.answer_timeout = after;
        self
    }

    /// One try of a verified connection.
    pub async fn try_session(&self) -> Result<Session, Error> {
        connect(&self.server, self.options.clone()).await?.verify(&self.policy, SystemTime::now()).await
    }

    /// A verified connection. Waiting is for an enclave that is not there yet; one that is not verified is never asked again.
    pub async fn session(&self, wait: Duration) -> Result<Session, Failure> {
        let end = Instant::now() + wait;
        loop {
            match self.try_session().await {
                Ok(session) => return Ok(session),
                Err(error) if Instant::now() < end && may_come(&error) => tokio::time::sleep(WAIT_STEP).await,
                Err(error) => return Err(unproven(error)),
            }
        }
    }
}

/// Whether another try may find an enclave that is there, and ready.
pub fn may_come(error: &Error) -> bool {
    matches!(
        error,
        Error::Unreachable { .. }
            | Error::Handshake { .. }
            | Error::Connection(_)
            | Error::Timeout { .. }
            | Error::Refused { status: 503, .. }
    )
}

/// Before an enclave is verified: nothing of the caller's was looked at yet, so that nothing of it can be at fault. An answer
/// that holds no document proves nothing.
pub fn unproven(error: Error) -> Failure {
    match error {
        Error::NotVerified(_) | Error::Certificate | Error::TooLarge { .. } | Error::Malformed { .. } => {
            Failure::not_verified(error)
        }
        other => Failure::unavailable(other),
    }
}

/// Once it is verified.
pub fn failure(error: Error) -> Failure {
    match error {
        Error::Receipt(_) | Error::OtherResult(_) => Failure::not_verified(error),
        // Too slow, or too many at once (RFC 9110, section 15.5.9; RFC 6585, section 4): another time may do.
        Error::Refused { status: 408 | 429, .. } => Failure::unavailable(error),
        Error::Label
        | Error::Refused { status: 400..=499, .. }
        | Error::Views { .. }
        | Error::NotSealed(_)
        | Error::NotAnImage(_) => Failure::input(error),
        other => Failure::unavailable(other),
    }
}

pub(crate) fn scores(scores: &Scores) -> String {
    if scores.is_empty() {
        return "looked at together with the other views".to_owned();
    }
    let words: Vec<_> = scores.iter().map(|(label, score)| format!("{label} {score:.4}")).collect();
    words.join("  ")
}

fn print(proof: &Proof) -> Result<(), Failure> {
    output::line("verified before anything was sent:")?;
    output::line(format_args!("  accepted as  {}", proof.accepted_as))?;
    output::line(format_args!("  enclave      {}", proof.module_id))?;
    output::line(format_args!("  signed       {}, over this request's own nonce", proof.signed_at))?;
    output::line(format_args!("  root         SHA-256 {}", proof.root_sha256))?;
    output::line(format_args!(
        "  TLS key      SHA-384 {}…, of this very connection",
        short(&proof.tls_public_key_sha384)
    ))?;
    for (index, value) in &proof.pcrs {
        output::line(format_args!("  PCR{index:<10}{}…  {}", short(value), meaning(*index)))?;
    }
    Ok(())
}

fn short(hex: &str) -> &str {
    hex.get(..24).unwrap_or(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16) -> Error {
        let (kind, title) = ("about:blank".to_owned(), "no".to_owned());
        Error::Refused { status, kind, title, detail: None, retry_after: None }
    }

    #[test]
    fn a_refusal_before_anything_was_sent_does_not_blame_the_input() {
        for status in [400, 404, 413, 429, 500, 503] {
            assert_eq!(unproven(refused(status)).code(), 69, "{status}");
        }
    }

    #[test]
    fn what_is_no_document_proves_nothing() {
        let what = "the request for an attestation document";
        assert_eq!(unproven(Error::TooLarge { what, limit: 1 }).code(), 77);
        assert_eq!(unproven(Error::Malformed { what, reason: String::new() }).code(), 77);
        assert_eq!(unproven(Error::Certificate).code(), 77);
    }

    #[test]
    fn a_refused_image_is_bad_input_unless_another_time_may_do() {
        for (status, code) in [(400, 65), (401, 65), (413, 65), (422, 65), (408, 69), (429, 69), (500, 69), (503, 69)] {
            assert_eq!(failure(refused(status)).code(), code, "{status}");
        }
    }
}
