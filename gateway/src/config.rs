//! The configuration: TOML, or the three things that suffice on one machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cloister_transport::Address;
use serde::Deserialize;

use crate::{Error, files, limits};

/// Everything that a gateway is told. Unknown keys are refused: a misspelt bound must not be a bound less.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where pages, JSON and DICOMweb are served, such as `tcp://0.0.0.0:8443`.
    pub listen: Address,
    /// The folder of work list, images in passing, and audit log. Nobody else may read it.
    pub data: PathBuf,
    /// What an enclave must prove.
    pub policy: PathBuf,
    /// The enclaves, at least one.
    #[serde(rename = "enclave")]
    pub enclaves: Vec<Enclave>,
    /// What is shown of the gateway to enclaves that ask.
    #[serde(default)]
    pub credentials: Credentials,
    /// A sentence for every page.
    pub notice: Option<String>,
    /// TLS of its own.
    pub tls: Option<Tls>,
    /// Who may use it; without it everyone, on loopback alone.
    pub access: Option<Access>,
    /// What is asked of an enclave, and how its answer is read.
    #[serde(default)]
    pub exams: Exams,
    /// Where exams come from besides pages and the JSON interface.
    #[serde(default)]
    pub intake: Intake,
    /// Where results go besides pages and the JSON interface.
    #[serde(default)]
    pub delivery: Delivery,
    /// What is deleted when.
    #[serde(default)]
    pub retention: Retention,
    /// Bounds of one's own.
    #[serde(default)]
    pub limits: Bounds,
    /// Where to write the bound address, as JSON, once there is one.
    pub address_file: Option<PathBuf>,
}

/// One enclave.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enclave {
    /// What people call it; its address, where there is none.
    pub name: Option<String>,
    /// The parent's relay.
    pub address: Address,
}

/// What is shown to enclaves that do not answer everyone.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// A file with a bearer token.
    pub token_file: Option<PathBuf>,
    /// A client certificate, in PEM.
    pub certificate: Option<PathBuf>,
    /// Its key, in PEM.
    pub key: Option<PathBuf>,
}

/// TLS of the gateway's own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate and those above it, in PEM.
    pub certificate: Option<PathBuf>,
    /// The certificate's key, in PEM.
    pub key: Option<PathBuf>,
    /// TLS ends in front of the gateway, on a machine that the hospital trusts as much.
    #[serde(default)]
    pub elsewhere: bool,
}

/// Who may use it. One of the two has to be there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// The file of users and passwords.
    pub users: Option<PathBuf>,
    /// A provider of identities.
    pub oidc: Option<Oidc>,
    /// Seconds without a request after which a session ends.
    pub session_idle_seconds: Option<u64>,
}

/// A provider of identities (OpenID Connect).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// Its issuer, such as `https://id.example.org`.
    pub issuer: String,
    /// What the gateway is called there.
    pub client_id: String,
    /// A file with the secret for it, where there is one.
    pub client_secret_file: Option<PathBuf>,
    /// Where browsers come back to: the gateway's own address, such as `https://cloister.example.org`.
    pub public_url: String,
    /// What bearer tokens are for; `client_id`, where it is not said.
    pub audience: Option<String>,
    /// The claim with a user's roles: a word, or a list of words.
    pub role_claim: String,
    /// The word that makes a reader.
    pub reader: String,
    /// The word that makes an administrator.
    pub administrator: String,
    /// Scopes besides `openid`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Certificates that vouch for the provider, in PEM, in place of the public authorities.
    pub ca: Option<PathBuf>,
}

/// What is asked of an enclave, and how its answer is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Exams {
    /// Crops to average for each view; the enclave's own number, where it is not said.
    pub crops: Option<u32>,
    /// What becomes of a study that is sent by a PACS, a folder or a bucket without one of its views.
    pub missing: Missing,
    /// Take DICOM files of several patients or studies as one exam, as they are in some public collections.
    pub mixed: bool,
    /// Ask for maps of where the network looked, for the operating point's label; an enclave that has none is asked without.
    pub maps: bool,
    /// From which score on somebody wants to know.
    pub operating_point: OperatingPoint,
    /// Minutes east of UTC that studies' times are in, for the times in results.
    pub utc_offset_minutes: i16,
}

/// What becomes of an exam without one of its views.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// It fails, with the reason.
    #[default]
    Refuse,
    /// It is sent, and the missing view is a finding.
    Allow,
}

/// A hospital's choice, and no property of the model.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct OperatingPoint {
    /// The label whose score is looked at.
    pub label: String,
    /// The lowest score that reaches it.
    pub malignant: f64,
    /// What it is called.
    pub name: String,
}

impl Default for OperatingPoint {
    fn default() -> Self {
        Self { label: "malignant".to_owned(), malignant: 0.5, name: "one half".to_owned() }
    }
}

impl Default for Exams {
    fn default() -> Self {
        let (crops, missing, mixed, maps) = (None, Missing::default(), false, true);
        Self { crops, missing, mixed, maps, operating_point: OperatingPoint::default(), utc_offset_minutes: 0 }
    }
}

/// Where exams come from.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intake {
    /// A folder that is watched.
    pub folder: Option<WatchedFolder>,
    /// A bucket's prefix that is watched.
    pub bucket: Option<Bucket>,
    /// Seconds without another image after which a study is taken to be complete.
    pub quiet_seconds: Option<u64>,
}

/// A folder that is watched.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchedFolder {
    /// Which. Files are moved from it, to `taken` and `refused` in it.
    pub path: PathBuf,
    /// Milliseconds without a change after which a file is taken to be whole.
    pub settled_milliseconds: Option<u64>,
    /// Delete what was taken, in place of keeping it in `taken`.
    #[serde(default)]
    pub delete: bool,
}

/// A bucket's prefix that is watched. Nothing in it is changed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// Which bucket.
    pub name: String,
    /// What keys begin with.
    #[serde(default)]
    pub prefix: String,
    /// Its region.
    pub region: String,
    /// Another endpoint than AWS's.
    pub endpoint: Option<String>,
    /// Certificates that vouch for the endpoint, in PEM, in place of the public authorities.
    pub ca: Option<PathBuf>,
    /// Seconds between two looks.
    pub every_seconds: Option<u64>,
}

/// Where results go.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// A folder: a subfolder for each exam, with results in DICOM, the report in JSON and the receipt.
    pub folder: Option<PathBuf>,
    /// A PACS that takes results in DICOM.
    pub pacs: Option<Pacs>,
    /// Which results in DICOM are made.
    pub results: Option<Vec<Kind>>,
}

/// A result in DICOM.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Mammography CAD SR.
    CadSr,
    /// Basic Text SR.
    TextSr,
    /// Secondary Captures with maps.
    SecondaryCapture,
}

/// A PACS, by STOW-RS.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pacs {
    /// Its base, such as `https://pacs.example.org/dicomweb`.
    pub url: String,
    /// Certificates that vouch for it, in PEM, in place of the public authorities.
    pub ca: Option<PathBuf>,
    /// A file with what the `Authorization` header says.
    pub authorization_file: Option<PathBuf>,
}

/// What is deleted when.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Keep images after delivery, as long as their exam.
    pub keep_images: bool,
    /// Hours that images are kept where nothing is delivered but to pages, and of exams that failed.
    pub image_hours: u64,
    /// Days that exams stay in the work list.
    pub exam_days: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { keep_images: false, image_hours: limits::DEFAULT_IMAGE_HOURS, exam_days: limits::DEFAULT_EXAM_DAYS }
    }
}

/// Bounds of one's own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bounds {
    /// Bytes on disk of all exams together.
    pub spool_bytes: u64,
    /// Exams that wait for an enclave.
    pub queued: u64,
    /// Requests of one user in a minute.
    pub requests_per_minute: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            spool_bytes: limits::DEFAULT_SPOOL_BYTES,
            queued: limits::DEFAULT_QUEUED,
            requests_per_minute: limits::DEFAULT_REQUESTS_PER_MINUTE,
        }
    }
}

impl Config {
    /// The least: for one machine.
    pub fn new(enclaves: Vec<Address>, policy: PathBuf, listen: Address, data: PathBuf) -> Self {
        Self {
            listen,
            data,
            policy,
            enclaves: enclaves.into_iter().map(|address| Enclave { name: None, address }).collect(),
            credentials: Credentials::default(),
            notice: None,
            tls: None,
            access: None,
            exams: Exams::default(),
            intake: Intake::default(),
            delivery: Delivery::default(),
            retention: Retention::default(),
            limits: Bounds::default(),
            address_file: None,
        }
    }

    /// Reads a configuration's file.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::TooLong`], [`Error::Configuration`] with the line at fault.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::from_toml(&files::text(path)?)
    }

    /// Reads a configuration.
    ///
    /// # Errors
    /// [`Error::Configuration`] with the line at fault.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        toml::from_str(text).map_err(|error| Error::Configuration(error.to_string().trim_end().to_owned()))
    }

    /// Refuses what does not fit together, before anything is opened.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let scores = 0.0..=1.0;
        let unfit = [
            (self.enclaves.is_empty(), "there is no [[enclave]]"),
            (self.enclaves.len() > limits::MAX_ENCLAVES, "there are more than 32 enclaves"),
            (!scores.contains(&self.exams.operating_point.malignant), "the operating point is not between 0 and 1"),
            (self.exams.crops.is_some_and(|crops| !(1..=32).contains(&crops)), "crops are 1 to 32"),
            (self.exams.utc_offset_minutes.abs() > 14 * 60, "no time zone is more than 14 hours from UTC"),
            (
                self.access.as_ref().is_some_and(|access| access.users.is_some() == access.oidc.is_some()),
                "[access] takes users or oidc, one of the two",
            ),
            (
                self.tls.as_ref().is_some_and(|tls| {
                    tls.certificate.is_some() != tls.key.is_some() || tls.elsewhere == tls.certificate.is_some()
                }),
                "[tls] takes certificate and key, or elsewhere = true",
            ),
            (
                self.credentials.certificate.is_some() != self.credentials.key.is_some(),
                "[credentials] takes certificate and key together",
            ),
        ];
        if let Some((_, problem)) = unfit.into_iter().find(|(unfit, _)| *unfit) {
            return Err(Error::Unfit(problem));
        }
        let near = is_near(&self.listen);
        match (&self.access, &self.tls) {
            (None, _) if !near => Err(Error::Open(self.listen.clone())),
            (Some(_), None) if !near => Err(Error::Clear(self.listen.clone())),
            _ => Ok(()),
        }
    }

    /// How long a study may be quiet before it is taken to be complete.
    pub(crate) fn quiet(&self) -> Duration {
        self.intake.quiet_seconds.map_or(limits::DEFAULT_QUIET, Duration::from_secs)
    }

    /// Which results in DICOM are made: all, unless it is said.
    pub(crate) fn kinds(&self) -> &[Kind] {
        self.delivery.results.as_deref().unwrap_or(&[Kind::CadSr, Kind::TextSr, Kind::SecondaryCapture])
    }

    /// Whether the browser sees TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

/// Whether only this machine reaches an address. A name other than localhost is anybody's.
fn is_near(address: &Address) -> bool {
    match address {
        Address::Tcp { host, .. } => {
            let host = host.trim_matches(['[', ']']);
            host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Address::Unix(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "listen = \"LISTEN\"\ndata = \"/d\"\npolicy = \"/p\"\n[[enclave]]\naddress = \"tcp://e:1\"\n";

    fn checked(listen: &str, more: &str) -> Result<(), Error> {
        Config::from_toml(&(LEAST.replace("LISTEN", listen) + more))?.check()
    }

    #[test]
    fn nobody_has_to_sign_in_on_loopback_alone() {
        for near in ["tcp://127.0.0.1:1", "tcp://localhost:1", "tcp://[::1]:1", "unix:///s"] {
            assert!(checked(near, "").is_ok(), "{near}");
        }
        for far in ["tcp://0.0.0.0:1", "tcp://10.0.0.1:1", "tcp://localhost.example.org:1", "tcp://[::]:1"] {
            assert!(matches!(checked(far, ""), Err(Error::Open(_))), "{far}");
        }
    }

    #[test]
    fn passwords_do_not_cross_a_network_in_the_clear() {
        let users = "[access]\nusers = \"/u\"\n";
        assert!(matches!(checked("tcp://0.0.0.0:1", users), Err(Error::Clear(_))));
        assert!(checked("tcp://127.0.0.1:1", users).is_ok());
        assert!(checked("tcp://0.0.0.0:1", &format!("{users}[tls]\nelsewhere = true\n")).is_ok());
        assert!(checked("tcp://0.0.0.0:1", &format!("{users}[tls]\ncertificate = \"/c\"\nkey = \"/k\"\n")).is_ok());
    }

    #[test]
    fn what_does_not_fit_together_is_refused_with_a_sentence() {
        for (more, part) in [
            ("[access]\n", "one of the two"),
            ("[tls]\ncertificate = \"/c\"\n", "certificate and key"),
            ("[tls]\n", "certificate and key"),
            ("[exams]\ncrops = 0\n", "crops"),
            ("[exams.operating_point]\nlabel = \"m\"\nmalignant = 1.5\nname = \"n\"\n", "between 0 and 1"),
            ("[credentials]\nkey = \"/k\"\n", "together"),
        ] {
            let refused = checked("tcp://127.0.0.1:1", more).unwrap_err();
            assert!(refused.is_input() && refused.to_string().contains(part), "{refused}");
        }
        assert!(matches!(checked("tcp://127.0.0.1:1", "[retention]\nday = 1\n"), Err(Error::Configuration(_))));
    }

    #[test]
    fn the_configurations_that_are_shown_and_deployed_are_taken() {
        let shown = include_str!("../../docs/gateway.md");
        let whole = shown.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        Config::from_toml(whole).unwrap().check().unwrap();
        Config::from_toml(include_str!("../../deploy/kustomize/gateway/gateway.toml")).unwrap().check().unwrap();
        let oidc = shown.split("```toml\n").nth(3).and_then(|rest| rest.split("```").next()).unwrap();
        assert!(checked("tcp://127.0.0.1:1", oidc).is_ok());
    }
}
