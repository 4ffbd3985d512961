//! The hosts that may be reached, in the format of AWS's vsock-proxy.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;

use serde::Deserialize;

use crate::{Error, limits};

/// The hosts and ports that may be reached. A name is matched whole, without regard to case or a final dot; nothing is a
/// pattern. An IP address is reached only if that very address is listed.
#[derive(Clone, Debug)]
pub struct Allowlist {
    hosts: HashSet<(String, u16)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    allowlist: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    address: String,
    port: u16,
}

impl Allowlist {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`Error::AllowlistFile`] and [`Error::Allowlist`].
    pub fn load(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::AllowlistFile { path: path.to_owned(), source };
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(limits::ALLOWLIST_BYTES + 1).read_to_string(&mut text));
        if read.map_err(failed)? as u64 > limits::ALLOWLIST_BYTES {
            return Err(Error::Allowlist(format!("it is longer than {} bytes", limits::ALLOWLIST_BYTES)));
        }
        Self::from_yaml(&text)
    }

    /// Reads YAML text: `allowlist:`, then `- {address: HOST, port: PORT}` for each host.
    ///
    /// # Errors
    /// [`Error::Allowlist`].
    pub fn from_yaml(text: &str) -> Result<Self, Error> {
        let text: Text = serde_saphyr::from_str(text).map_err(|error| Error::Allowlist(error.to_string()))?;
        let mut hosts = HashSet::new();
        for Entry { address, port } in text.allowlist {
            let host = normal(&address);
            if host.is_empty() || host.contains(['*', '/', ' ']) {
                return Err(Error::Allowlist(format!("`{address}` is neither a name nor an IP address")));
            }
            hosts.insert((host, port));
        }
        Ok(Self { hosts })
    }

    /// Whether `host` may be reached on `port`.
    pub fn allows(&self, host: &str, port: u16) -> bool {
        self.hosts.contains(&(normal(host), port))
    }

    /// How many hosts and ports are listed.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether nothing may be reached.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }
}

/// One form for each name and address.
fn normal(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AWS: &str =
        "allowlist:\n- {address: kms.us-east-1.amazonaws.com, port: 443}\n- {address: 10.0.0.7, port: 8443}\n";

    #[test]
    fn the_format_of_aws_is_read_and_names_are_matched_whole_without_case_or_final_dot() {
        let list = Allowlist::from_yaml(AWS).unwrap();
        assert_eq!(list.len(), 2);
        for host in ["kms.us-east-1.amazonaws.com", "KMS.us-east-1.AmazonAWS.com", "kms.us-east-1.amazonaws.com."] {
            assert!(list.allows(host, 443), "{host}");
        }
        for host in
            ["us-east-1.amazonaws.com", "kms.us-east-1.amazonaws.com.evil.org", "xkms.us-east-1.amazonaws.com", ""]
        {
            assert!(!list.allows(host, 443), "{host}");
        }
        assert!(!list.allows("kms.us-east-1.amazonaws.com", 80));
        assert!(!list.allows("kms.us-east-1.amazonaws.com..", 443));
    }

    #[test]
    fn an_address_is_reached_only_if_it_is_listed_itself() {
        let list = Allowlist::from_yaml(&format!("{AWS}- {{address: '2001:DB8:0::1', port: 1}}\n")).unwrap();
        assert!(list.allows("10.0.0.7", 8443));
        assert!(!list.allows("10.0.0.8", 8443));
        assert!(list.allows("2001:db8::1", 1));
    }

    #[test]
    fn a_file_that_says_something_else_is_refused() {
        for text in [
            "",
            "allowlist:",
            "denylist: []",
            "allowlist:\n- kms.us-east-1.amazonaws.com",
            "allowlist:\n- {address: x}",
            "allowlist:\n- {address: x, port: 65536}",
            "allowlist:\n- {address: x, port: 443, note: y}",
            "allowlist:\n- {address: '*.amazonaws.com', port: 443}",
            "allowlist:\n- {address: '', port: 443}",
        ] {
            assert!(matches!(Allowlist::from_yaml(text), Err(Error::Allowlist(_))), "{text}");
        }
        let none = Allowlist::from_yaml("allowlist: []").unwrap();
        assert!(none.is_empty());
    }

    #[test]
    fn a_file_that_is_not_there_is_named_in_the_error() {
        let error = Allowlist::load(Path::new("/nowhere/list.yaml")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/list.yaml"), "{error}");
    }
}
