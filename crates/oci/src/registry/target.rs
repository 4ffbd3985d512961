//! Where a request goes.

use std::net::IpAddr;

use http::Uri;

use crate::error::{Error, Result, excerpt};
use crate::reference::split_host;

/// A URL in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) tls: bool,
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Host and port as written, for the Host header.
    pub(super) authority: String,
    /// With the query.
    pub(super) path: String,
}

impl Target {
    pub(super) fn of_registry(host: &str, plain: bool) -> Result<Self> {
        let not = |problem| Error::BadReference { text: excerpt(host), problem };
        let (name, port) = split_host(host).ok_or_else(|| not("a registry is HOST[:PORT]"))?;
        Ok(Self {
            tls: !plain,
            host: name.trim_matches(['[', ']']).to_owned(),
            port: port.unwrap_or(if plain { 80 } else { 443 }),
            authority: host.to_owned(),
            path: "/".to_owned(),
        })
    }

    /// Another path of the same registry.
    pub(super) fn at(&self, path: &str) -> Result<Self> {
        self.follow(path, !self.tls)
    }

    /// Where a `Location`, a `Link` or a `realm` leads.
    pub(super) fn follow(&self, location: &str, plain: bool) -> Result<Self> {
        let not = || Error::Protocol {
            host: self.authority.clone(),
            problem: format!("it sends to {:?}", excerpt(location.split('?').next().unwrap_or_default())),
        };
        let uri: Uri = location.parse().map_err(|_| not())?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        if !path.starts_with('/') {
            return Err(not());
        }
        let Some(authority) = uri.authority() else {
            return Ok(Self { path: path.to_owned(), ..self.clone() });
        };
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(not()),
        };
        let host = uri.host().unwrap_or_default();
        let allowed = tls || (plain && is_loopback(host));
        if !allowed {
            return Err(Error::Plain { host: excerpt(host) });
        }
        let mut target = Self::of_registry(authority.as_str(), !tls).map_err(|_| not())?;
        target.path = path.to_owned();
        Ok(target)
    }

    /// Whether credentials for the one are for the other as well.
    pub(super) fn same_authority(&self, other: &Self) -> bool {
        (self.tls, &self.host, self.port) == (other.tls, &other.host, other.port)
    }

    /// With one more parameter in the query.
    pub(super) fn with_query(mut self, name: &str, value: &str) -> Self {
        self.path.push(if self.path.contains('?') { '&' } else { '?' });
        self.path.push_str(name);
        self.path.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                self.path.push(char::from(byte));
            } else {
                self.path.push_str(&format!("%{byte:02X}"));
            }
        }
        self
    }
}

/// Whether a host is this machine, going by its name alone.
pub(super) fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_followed_with_tls_only() {
        let base = Target::of_registry("r.example:5000", false).unwrap();
        let there = base.follow("/v2/a/blobs/uploads/1?_state=x", false).unwrap();
        assert_eq!((there.host.as_str(), there.port, there.tls), ("r.example", 5000, true));
        assert!(there.same_authority(&base));
        assert_eq!(there.with_query("digest", "sha256:aa").path, "/v2/a/blobs/uploads/1?_state=x&digest=sha256%3Aaa");
        let other = base.follow("https://store.example/x", false).unwrap();
        assert_eq!((other.port, other.same_authority(&base)), (443, false));
        assert!(matches!(base.follow("http://r.example:5000/x", false), Err(Error::Plain { .. })));
        assert!(matches!(base.follow("http://r.example:5000/x", true), Err(Error::Plain { .. })));
        assert!(matches!(base.follow("http://127.0.0.1/x", false), Err(Error::Plain { .. })));
        assert!(base.follow("http://127.0.0.1/x", true).is_ok());
        assert!(base.follow("ftp://r.example/x", false).is_err());
        assert!(base.follow("https://user@r.example/x", false).is_err());
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for host in ["localhost", "127.0.0.1", "127.8.8.8", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example", "127.0.0.1.example", "10.0.0.1", "[::2]", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
