//! What people write for an image: `host[:port]/repository[:tag][@sha256:…]`.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;
use crate::error::{Error, Result, excerpt};
use crate::limits;

/// A place in a registry. There is no default registry and no default tag: what was not written was not meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The registry's host, with its port where one was given.
    pub host: String,
    /// The repository, without a slash at either end.
    pub repository: String,
    /// The tag.
    pub tag: Option<String>,
    /// The digest. Where there is a tag as well, the digest decides.
    pub digest: Option<Digest>,
}

impl Reference {
    /// `host/repository`, which is what cosign calls the docker-reference.
    pub fn name(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }

    /// What a registry is asked for: the digest, or else the tag.
    pub fn target(&self) -> Option<String> {
        self.digest.map(|digest| digest.to_string()).or_else(|| self.tag.clone())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refused = |problem| Error::BadReference { text: excerpt(text), problem };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        let (host, rest) =
            rest.split_once('/').ok_or_else(|| refused("it has no registry: write HOST/REPOSITORY[:TAG][@DIGEST]"))?;
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (rest, None),
        };
        let (name, port) = split_host(host).ok_or_else(|| refused("its registry is no HOST[:PORT]"))?;
        if port.is_none() && !name.contains('.') && name != "localhost" {
            // Docker reads `library/alpine` as an image of Docker Hub.
            return Err(refused("its registry has neither a dot nor a port: write the host in full"));
        }
        check_repository(repository)?;
        if host.len() + 1 + repository.len() > limits::REPOSITORY {
            return Err(refused("its name is longer than 255 bytes"));
        }
        tag.map(check_tag).transpose()?;
        Ok(Self { host: host.to_owned(), repository: repository.to_owned(), tag: tag.map(str::to_owned), digest })
    }
}

/// The host's name (an IPv6 address keeps its brackets) and the port.
pub(crate) fn split_host(host: &str) -> Option<(&str, Option<u16>)> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')? + 2;
            let (name, port) = host.split_at(end);
            name.trim_matches(['[', ']']).parse::<std::net::Ipv6Addr>().ok()?;
            (name, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    if !name.starts_with('[') && !is_host_name(name) {
        return None;
    }
    let port = match port {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|port| *port != 0)?)
        }
        Some(_) => return None,
        None => None,
    };
    Some((name, port))
}

fn is_host_name(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

/// Whether a repository is what the distribution specification allows: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, and that again after each
/// slash.
///
/// # Errors
/// [`Error::BadRepository`].
pub fn check_repository(repository: &str) -> Result<()> {
    if repository.len() <= limits::REPOSITORY && repository.split('/').all(is_component) {
        return Ok(());
    }
    Err(Error::BadRepository { text: excerpt(repository) })
}

fn is_component(part: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    // Separators stand between two runs of letters, so that splitting at letters leaves nothing else but them.
    let mut separators = part.split(|letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit());
    part.bytes().next().is_some_and(is_letter)
        && part.bytes().last().is_some_and(is_letter)
        && separators.all(|between| matches!(between, "" | "." | "_" | "__") || between.bytes().all(|b| b == b'-'))
}

/// Whether a tag is what the distribution specification allows.
///
/// # Errors
/// [`Error::BadTag`].
pub fn check_tag(tag: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let first = tag.bytes().next().is_some_and(plain);
    if first && tag.len() <= limits::TAG && tag.bytes().all(|byte| plain(byte) || matches!(byte, b'.' | b'-')) {
        return Ok(());
    }
    Err(Error::BadTag { text: excerpt(tag) })
}

/// What is attached to an image under a tag that its digest gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attachment {
    /// Signatures in cosign's format.
    Signature,
    /// What the enclave image in the container image measures to.
    Measurements,
    /// A policy for those who verify.
    Policy,
}

impl Attachment {
    /// The tag: `sha256-<64 digits>.sig`, `.measurements` or `.policy`.
    pub fn tag(self, image: &Digest) -> String {
        let end = match self {
            Self::Signature => "sig",
            Self::Measurements => "measurements",
            Self::Policy => "policy",
        };
        format!("sha256-{}.{end}", image.hex())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_part_is_read() {
        let digest = Digest::of(b"x");
        let text = format!("123456789012.dkr.ecr.eu-central-1.amazonaws.com/cloister/model:1.0@{digest}");
        let reference: Reference = text.parse().unwrap();
        assert_eq!(reference.repository, "cloister/model");
        assert_eq!(reference.tag.as_deref(), Some("1.0"));
        assert_eq!(reference.target(), Some(digest.to_string()));
        assert_eq!(reference.to_string(), text);
        let reference: Reference = "[::1]:5000/a".parse().unwrap();
        assert_eq!((reference.host.as_str(), reference.target()), ("[::1]:5000", None));
    }

    #[test]
    fn what_no_registry_takes_is_refused() {
        for text in [
            "",
            "alpine",
            "library/alpine",
            "a.example/",
            "a.example/A",
            "a.example/a//b",
            "a.example/a___b",
            "a.example/-a",
            "a.example/a:",
            "a.example/a:.b",
            "a.example/a:b:c",
            "a.example/a@sha256:00",
            "a.example:0/a",
            "a.example:70000/a",
            "a.example:+80/a",
            "https://a.example/a",
            "a.example/../a",
            "[::1/a",
            "[::1]5000/a",
            "-a.example/a",
            "a..example/a",
            "a.example/a?b",
            "a.example/a b",
            "user@a.example/a",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }

    #[test]
    fn attachments_have_tags_that_registries_take() {
        let digest = Digest::of(b"");
        for what in [Attachment::Signature, Attachment::Measurements, Attachment::Policy] {
            check_tag(&what.tag(&digest)).unwrap();
        }
        assert!(Attachment::Signature.tag(&digest).starts_with("sha256-e3b0c442"));
        assert!(Attachment::Signature.tag(&digest).ends_with("b855.sig"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(reference.to_string(), text);
            }
        }

        #[test]
        fn what_is_well_formed_is_read_as_it_was_written(
            host in "[a-z]{1,8}(\\.[a-z]{1,8}){1,3}(:[1-9][0-9]{0,3})?",
            repository in "[a-z0-9]{1,8}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,3}(/[a-z0-9]{1,8}){0,3}",
            tag in proptest::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,40}"),
        ) {
            let text = match &tag {
                Some(tag) => format!("{host}/{repository}:{tag}"),
                None => format!("{host}/{repository}"),
            };
            let reference: Reference = text.parse().unwrap();
            prop_assert_eq!(&reference.host, &host);
            prop_assert_eq!(&reference.repository, &repository);
            prop_assert_eq!(&reference.tag, &tag);
        }
    }
}
