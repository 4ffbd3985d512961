//! Registries as a person at a command line reaches them: ECR by AWS credentials, others by user and password.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use clap::Args;
use cloister_accounts::{Account, AccountId};
use cloister_oci::{Credentials, Error, Event, Login, Registry, Source, Watcher};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use zeroize::Zeroizing;

use crate::accounts::Common;
use crate::failure::Failure;
use crate::files;

/// How a registry other than one's own ECR is reached.
#[derive(Args)]
pub struct Access {
    /// The user at a registry that is not ECR.
    #[arg(long, value_name = "NAME", requires = "registry_password_file")]
    registry_user: Option<String>,
    /// The file with that user's password.
    #[arg(long, value_name = "FILE", requires = "registry_user")]
    registry_password_file: Option<PathBuf>,
    /// The registry takes ECR's tokens although its name is not one of ECR's: a proxy, or another name of an endpoint.
    #[arg(long, conflicts_with = "registry_user")]
    ecr: bool,
    /// Certificates in PEM that vouch for the registry besides the public authorities.
    #[arg(long, value_name = "PEM")]
    registry_ca: Option<PathBuf>,
    /// Speak plain HTTP to a registry of this machine.
    #[arg(long)]
    registry_plain_http: bool,
}

impl Access {
    /// The account whose ECR that registry is, where it is one's own to ask for a token: those are of one region.
    pub async fn account(&self, host: &str, common: &Common) -> Result<Option<Arc<Account>>, Failure> {
        if !self.is_ecr(host) {
            return Ok(None);
        }
        let account = common.open().await?;
        if let Some(region) = ecr_region(host).filter(|region| *region != account.region) {
            return Err(Failure::usage(format!("{host} is in {region}: give --region {region}")));
        }
        Ok(Some(Arc::new(account)))
    }

    /// Whether the registry wants an ECR token, which takes AWS credentials.
    pub fn is_ecr(&self, host: &str) -> bool {
        self.ecr || (ecr_region(host).is_some() && self.registry_user.is_none())
    }

    /// The registry, with the account's token where it is ECR's.
    pub fn connect(&self, host: &str, account: Option<Arc<Account>>) -> Result<Registry, Failure> {
        let mut builder = Registry::at(host).map_err(failure)?.watcher(Arc::new(Progress::default()));
        if let Some(path) = &self.registry_ca {
            builder = builder.roots(&files::read_text(path)?).map_err(failure)?;
        }
        if self.registry_plain_http {
            builder = builder.plain_http().map_err(failure)?;
        }
        if let Some(account) = account {
            builder = builder.credentials(Arc::new(Token(account)));
        } else if let (Some(user), Some(path)) = (&self.registry_user, &self.registry_password_file) {
            let password = files::read_secret(path)?;
            let password = std::str::from_utf8(&password).map_err(|_| Failure::input("the password is not text"))?;
            let password = Zeroizing::new(password.trim_end_matches(['\r', '\n']).to_owned());
            builder = builder.credentials(Arc::new(Login { user: user.clone(), password }));
        }
        builder.build().map_err(failure)
    }
}

/// The region of a private registry of ECR's: `ACCOUNT.dkr.ecr.REGION.amazonaws.com`.
fn ecr_region(host: &str) -> Option<&str> {
    let (account, rest) = host.split_once(".dkr.ecr").filter(|(account, _)| account.parse::<AccountId>().is_ok())?;
    let region = rest.strip_prefix("-fips").unwrap_or(rest).strip_prefix('.')?.strip_suffix(".amazonaws.com")?;
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (!account.is_empty() && !region.is_empty() && region.bytes().all(letters)).then_some(region)
}

/// A token of ECR's, which lasts for twelve hours.
struct Token(Arc<Account>);

#[async_trait]
impl Credentials for Token {
    async fn login(&self, _renew: bool) -> Result<Login, Source> {
        let (user, password) = self.0.registry_login().await?;
        Ok(Login { user, password: Zeroizing::new(password) })
    }
}

/// A bar on a terminal; what is tried again is said everywhere.
struct Progress(ProgressBar);

impl Default for Progress {
    fn default() -> Self {
        let target =
            if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}") {
            bar.set_style(style);
        }
        Self(bar)
    }
}

impl Watcher for Progress {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Begun { size, .. } => self.0.inc_length(size),
            Event::Moved { bytes, .. } => self.0.inc(bytes),
            Event::Retry { what, reason, attempt, of, pause } => self.0.suspend(|| {
                eprintln!("cloister: {what}: {reason}; try {attempt} of {of} in {:.1} s", pause.as_secs_f64());
            }),
            _ => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// What a failure of this kind is to a script.
pub fn failure(error: Error) -> Failure {
    match error {
        Error::BadReference { .. } | Error::BadRepository { .. } | Error::BadTag { .. } | Error::Plain { .. } => {
            Failure::usage(error)
        }
        Error::NotSigned { .. } | Error::DigestMismatch { .. } | Error::SizeMismatch { .. } => {
            Failure::not_verified(error)
        }
        Error::NotALayout { .. }
        | Error::BadArchive { .. }
        | Error::BadManifest { .. }
        | Error::BadKey { .. }
        | Error::Ambiguous { .. }
        | Error::NoImage { .. }
        | Error::NoPlatform { .. }
        | Error::NoFile { .. }
        | Error::NotAFile { .. }
        | Error::NotTheArtifact { .. }
        | Error::TagTaken { .. }
        | Error::TagImmutable { .. }
        | Error::ImageUnknown { .. }
        | Error::File { .. }
        | Error::TooLarge { .. } => Failure::input(error),
        _ => Failure::unavailable(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_to_ecr_and_to_nobody_who_looks_like_it() {
        assert_eq!(ecr_region("111122223333.dkr.ecr.eu-central-1.amazonaws.com"), Some("eu-central-1"));
        assert_eq!(ecr_region("111122223333.dkr.ecr-fips.us-east-1.amazonaws.com"), Some("us-east-1"));
        for other in [
            "111122223333.dkr.ecr.evil.example.amazonaws.com",
            "1.dkr.ecr.us-east-1.amazonaws.com",
            "111122223333.dkr.ecr.us-east-1.amazonaws.com.evil.example",
            "111122223333.dkr.ecr..amazonaws.com",
            "registry.example",
        ] {
            assert_eq!(ecr_region(other), None, "{other}");
        }
    }
}
