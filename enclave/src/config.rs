//! The measured configuration: what the image allows. Nothing that comes from the parent can widen it.

mod access;
mod launch;
mod parent;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{SHA384, digest};
use cloister_transport::Address;
use serde::Deserialize;

pub use access::{Access, Token};
pub use launch::{Launch, Setting};
pub use parent::Parent;

use crate::limits;
use crate::parent::Settings;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("the configuration {path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is larger than any true one.
    #[error("the configuration {0} is larger than {limit} bytes", limit = limits::MAX_CONFIGURATION_BYTES)]
    TooLarge(PathBuf),
    /// The file is not what this version reads.
    #[error("the configuration cannot be used: {0}")]
    Malformed(#[from] toml::de::Error),
    /// A value out of its bounds.
    #[error("the configuration cannot be used: {field} {problem}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// The measured configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The format's version: 1.
    pub version: u32,
    /// The model that may be loaded.
    pub model: Model,
    /// Where the key comes from.
    #[serde(default)]
    pub kms: Kms,
    /// The parent's endpoints.
    #[serde(default)]
    pub parent: Parent,
    /// Where and how much to serve.
    #[serde(default)]
    pub serve: Serve,
    /// How long the enclave's own keys are used.
    #[serde(default)]
    pub keys: Keys,
    /// How the clock is watched.
    #[serde(default)]
    pub clock: Clock,
    /// Who may ask; whoever reaches the port when absent.
    pub access: Option<Access>,
    /// What the parent may set, and what may leave.
    #[serde(default)]
    pub launch: Launch,
    /// Data owners' keys, for sealed images.
    #[serde(default)]
    pub data: Data,
    #[serde(skip, default = "unmeasured")]
    digest: [u8; 48],
}

fn unmeasured() -> [u8; 48] {
    [0; 48]
}

/// The model that may be loaded.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The package's name.
    pub name: String,
    /// Older versions are refused: a parent cannot roll back.
    pub minimum_version: u32,
    /// The full ARNs of the keys that may have sealed it.
    pub key_arns: Vec<String>,
}

/// Where the key comes from: the region's own endpoint, unless another is measured in.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kms {
    /// For example a FIPS or an interface endpoint.
    pub endpoint: Option<String>,
    /// The authorities trusted for it, in PEM, in place of the public web's.
    pub ca: Option<String>,
}

/// Where and how much to serve.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Serve {
    /// TLS ends here.
    pub listen: Address,
    /// Images waiting for a processor; past it, 503.
    pub queue: usize,
    /// Processors to use; 0 means all.
    pub threads: usize,
}

impl Default for Serve {
    fn default() -> Self {
        const ANY_CID: u32 = u32::MAX;
        Self { listen: Address::Vsock { cid: ANY_CID, port: 5000 }, queue: limits::DEFAULT_QUEUE, threads: 0 }
    }
}

/// How much is served at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Images waiting for a processor.
    pub queue: usize,
    /// Processors in use.
    pub threads: usize,
}

/// How long the enclave's own keys are used.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// New connections get a new TLS key and a new receipt key after that many seconds.
    pub rotate_seconds: u64,
}

impl Default for Keys {
    fn default() -> Self {
        Self { rotate_seconds: limits::DEFAULT_KEY_LIFETIME.as_secs() }
    }
}

/// How the clock is watched.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clock {
    /// Between two comparisons with the security module's.
    pub check_seconds: u64,
}

impl Default for Clock {
    fn default() -> Self {
        Self { check_seconds: limits::MAX_CLOCK_CHECK_INTERVAL.as_secs() }
    }
}

/// Data owners' keys, for sealed images.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Data {
    /// The full ARNs of the keys that may have sealed an image; none by default, and then no sealed image is taken.
    pub key_arns: Vec<String>,
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// [`Error`], naming the field.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut text = String::new();
        file.take(limits::MAX_CONFIGURATION_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > limits::MAX_CONFIGURATION_BYTES {
            return Err(Error::TooLarge(path.to_owned()));
        }
        Self::parse(&text)
    }

    /// The same, where the kernel's command line says that the parent has this CID. An address that is written out stays as it is.
    #[must_use]
    pub fn with_parent_at(mut self, cid: u32) -> Self {
        self.parent.cid = cid;
        self
    }

    /// Checks a configuration's text.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::Invalid`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut config: Self = toml::from_str(text)?;
        config.check()?;
        config.digest.copy_from_slice(digest(&SHA384, text.as_bytes()).as_ref());
        Ok(config)
    }

    fn check(&self) -> Result<(), Error> {
        let invalid = |field, problem| Err(Error::Invalid { field, problem });
        if self.version != 1 {
            return invalid("version", "must be 1");
        }
        if self.model.name.is_empty() {
            return invalid("model.name", "is empty");
        }
        if self.model.key_arns.is_empty() {
            return invalid("model.key_arns", "is empty, so no model could ever be opened");
        }
        if !self.model.key_arns.iter().all(|arn| cloister_kms::region_of(arn).is_ok()) {
            return invalid("model.key_arns", "holds something else than full key ARNs (an alias can be moved)");
        }
        if self.kms.endpoint.as_ref().is_some_and(|endpoint| !endpoint.starts_with("https://")) {
            return invalid("kms.endpoint", "does not start with https://");
        }
        if !limits::QUEUE.contains(&self.serve.queue) {
            return invalid("serve.queue", "is not between 1 and 1024");
        }
        if !limits::THREADS.contains(&self.serve.threads) {
            return invalid("serve.threads", "is more than 256");
        }
        let key_lifetime = Duration::from_secs(self.keys.rotate_seconds);
        if !(limits::MIN_KEY_LIFETIME..=limits::MAX_KEY_LIFETIME).contains(&key_lifetime) {
            return invalid("keys.rotate_seconds", "is not between 1 and 604800 (a week)");
        }
        let interval = Duration::from_secs(self.clock.check_seconds);
        if !(limits::MIN_CLOCK_CHECK_INTERVAL..=limits::MAX_CLOCK_CHECK_INTERVAL).contains(&interval) {
            return invalid("clock.check_seconds", "is not between 1 and 3600 (an hour)");
        }
        if !(limits::MIN_PARENT_GONE..=limits::MAX_PARENT_GONE).contains(&self.parent.gone_after()) {
            return invalid("parent.gone_seconds", "is not between 2 and 3600 (an hour)");
        }
        if !self.data.key_arns.iter().all(|arn| cloister_kms::region_of(arn).is_ok()) {
            return invalid("data.key_arns", "holds something else than full key ARNs (an alias can be moved)");
        }
        self.access.as_ref().map_or(Ok(()), Access::check)
    }

    /// SHA-384 of the file's bytes, which PCR17 is extended with.
    pub fn digest(&self) -> &[u8; 48] {
        &self.digest
    }

    /// How much to serve at once, where the parent sets `settings`.
    pub fn capacity(&self, settings: Settings) -> Capacity {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = match settings.threads.unwrap_or(self.serve.threads) {
            0 => all(),
            threads => threads,
        };
        Capacity { queue: settings.queue.unwrap_or(self.serve.queue), threads }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = r#"
        version = 1
        [model]
        name = "screening"
        minimum_version = 3
        key_arns = ["arn:aws:kms:eu-central-1:111122223333:key/00000000-0000-4000-8000-000000000000"]
    "#;

    #[test]
    fn a_configuration_that_says_the_least_gets_the_ports_of_the_contract() {
        let config = Config::parse(LEAST).unwrap();
        assert_eq!(config.parent.control().to_string(), "vsock://3:9001");
        assert_eq!(config.parent.egress().to_string(), "vsock://3:8000");
        assert_eq!(config.serve.listen.to_string(), "vsock://any:5000");
        assert_eq!(config.serve.queue, limits::DEFAULT_QUEUE);
    }

    #[test]
    fn the_command_lines_cid_counts_where_no_address_is_written_out() {
        let config =
            Config::parse(&format!("{LEAST}\n[parent]\negress = \"vsock://7:8000\"")).unwrap().with_parent_at(2);
        assert_eq!(config.parent.control().to_string(), "vsock://2:9001");
        assert_eq!(config.parent.egress().to_string(), "vsock://7:8000");
    }

    #[test]
    fn what_the_parent_sets_stands_in_place_of_what_is_measured() {
        let config = Config::parse(&format!("{LEAST}\n[serve]\nqueue = 5\nthreads = 3")).unwrap();
        assert_eq!(config.capacity(Settings::default()), Capacity { queue: 5, threads: 3 });
        let set = Settings { queue: Some(7), threads: None };
        assert_eq!(config.capacity(set), Capacity { queue: 7, threads: 3 });
        let all = config.capacity(Settings { queue: None, threads: Some(0) });
        assert!(all.threads >= 1);
    }

    #[test]
    fn every_byte_of_the_file_is_measured() {
        let one = Config::parse(LEAST).unwrap();
        let other = Config::parse(&format!("{LEAST}\n")).unwrap();
        assert_ne!(one.digest(), other.digest());
    }

    #[test]
    fn a_field_that_nobody_knows_is_refused() {
        let text = LEAST.replace("minimum_version", "minimal_version");
        assert!(matches!(Config::parse(&text), Err(Error::Malformed(_))));
    }

    #[test]
    fn an_alias_in_place_of_a_key_is_refused() {
        let text = LEAST.replace(":key/00000000-0000-4000-8000-000000000000", ":alias/model");
        assert!(matches!(Config::parse(&text), Err(Error::Invalid { field: "model.key_arns", .. })));
    }

    #[test]
    fn a_kms_without_tls_is_refused() {
        let text = format!("{LEAST}\n[kms]\nendpoint = \"http://localhost\"");
        assert!(matches!(Config::parse(&text), Err(Error::Invalid { field: "kms.endpoint", .. })));
    }

    #[test]
    fn a_configuration_without_keys_or_with_an_endless_queue_is_refused() {
        let none =
            LEAST.replace("\"arn:aws:kms:eu-central-1:111122223333:key/00000000-0000-4000-8000-000000000000\"", "");
        assert!(matches!(Config::parse(&none), Err(Error::Invalid { field: "model.key_arns", .. })));
        let endless = format!("{LEAST}\n[serve]\nqueue = 100000");
        assert!(matches!(Config::parse(&endless), Err(Error::Invalid { field: "serve.queue", .. })));
    }

    fn refused(section: &str) -> &'static str {
        match Config::parse(&format!("{LEAST}\n{section}")) {
            Err(Error::Invalid { field, .. }) => field,
            other => panic!("{section}: {other:?}"),
        }
    }

    #[test]
    fn what_is_left_out_is_closed_and_kept_short() {
        let config = Config::parse(LEAST).unwrap();
        assert!(config.access.is_none() && config.data.key_arns.is_empty());
        assert!(config.launch.parent_may_set.is_empty() && !config.launch.logs && !config.launch.memory_figures);
        assert_eq!(config.keys.rotate_seconds, 24 * 60 * 60);
        assert_eq!(config.clock.check_seconds, 60 * 60);
        assert_eq!(config.parent.gone_seconds, 60);
    }

    #[test]
    fn keys_that_live_too_long_and_a_clock_that_is_not_watched_are_refused() {
        assert_eq!(refused("[keys]\nrotate_seconds = 0"), "keys.rotate_seconds");
        assert_eq!(refused("[keys]\nrotate_seconds = 604801"), "keys.rotate_seconds");
        assert_eq!(refused("[clock]\ncheck_seconds = 0"), "clock.check_seconds");
        assert_eq!(refused("[clock]\ncheck_seconds = 3601"), "clock.check_seconds");
    }

    #[test]
    fn a_parent_that_is_gone_at_once_or_never_is_refused() {
        assert_eq!(refused("[parent]\ngone_seconds = 1"), "parent.gone_seconds");
        assert_eq!(refused("[parent]\ngone_seconds = 3601"), "parent.gone_seconds");
    }

    #[test]
    fn an_access_that_lets_nobody_in_is_refused() {
        assert_eq!(refused("[access]"), "access");
        let token = format!("[[access.tokens]]\nname = \"gateway\"\nsha256 = \"{}\"", "ab".repeat(32));
        assert!(Config::parse(&format!("{LEAST}\n{token}")).is_ok());
        assert_eq!(refused(&format!("[access]\nrequests_per_minute = 0\n{token}")), "access.requests_per_minute");
    }

    #[test]
    fn tokens_that_cannot_be_told_apart_or_have_no_plain_name_are_refused() {
        let token =
            |name: &str, byte: &str| format!("[[access.tokens]]\nname = {name:?}\nsha256 = \"{}\"\n", byte.repeat(32));
        assert!(Config::parse(&(LEAST.to_owned() + &token("a.b-c_1", "ab") + &token("b", "cd"))).is_ok());
        assert_eq!(refused(&(token("a", "ab") + &token("a", "cd"))), "access.tokens.name");
        assert_eq!(refused(&(token("a", "ab") + &token("b", "ab"))), "access.tokens.sha256");
        for name in ["", "two words", "Zürich", &"x".repeat(65)] {
            assert_eq!(refused(&token(name, "ab")), "access.tokens.name", "{name:?}");
        }
        let many: String = (0..=limits::MAX_TOKENS).map(|i| token(&format!("t{i}"), "ab")).collect();
        assert_eq!(refused(&many), "access.tokens");
    }

    #[test]
    fn authorities_that_cannot_be_read_are_refused_with_the_reason() {
        let refused = Config::parse(&format!("{LEAST}\n[access]\nclient_ca = \"no certificate\"")).unwrap_err();
        assert!(matches!(refused, Error::Malformed(_)) && refused.to_string().contains("no authority"), "{refused}");
    }

    #[test]
    fn a_data_key_by_its_alias_and_a_setting_that_nobody_knows_are_refused() {
        assert_eq!(refused("[data]\nkey_arns = [\"alias/images\"]"), "data.key_arns");
        let unknown = Config::parse(&format!("{LEAST}\n[launch]\nparent_may_set = [\"debug\"]"));
        assert!(matches!(unknown, Err(Error::Malformed(_))));
    }
}
