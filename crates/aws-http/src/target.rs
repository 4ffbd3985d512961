//! Where a request goes, and whether it may.

use http::Uri;

use crate::{Egress, Error};

/// The hosts that may be asked without TLS, from this machine only: they hand out the machine's own credentials and speak plain HTTP.
/// Instance metadata (IPv4, IPv6), EKS Pod Identity (IPv4, IPv6), ECS task roles, and loopback.
const PLAIN_HOSTS: [&str; 8] = [
    "127.0.0.1",
    "::1",
    "localhost",
    "169.254.169.254",
    "fd00:ec2::254",
    "169.254.170.23",
    "fd00:ec2::23",
    "169.254.170.2",
];

/// One request's destination.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) tls: bool,
    /// A name or an address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Target {
    pub(crate) fn of(uri: &Uri, egress: &Egress) -> Result<Self, Error> {
        let problem = |problem| Error::Url { url: without_query(uri), problem };
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(problem("its scheme is not https")),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| problem("it has no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let near = *egress == Egress::Direct && PLAIN_HOSTS.iter().any(|plain| plain.eq_ignore_ascii_case(&host));
        if !tls && !near {
            return Err(Error::Plain { host });
        }
        Ok(Self { tls, host, port })
    }

    /// What the `Host` header says: the port only where it is not the scheme's own, as the signature has it too.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == if self.tls { 443 } else { 80 } { host } else { format!("{host}:{}", self.port) }
    }
}

/// A query may carry a signature, which does not belong in a message.
fn without_query(uri: &Uri) -> String {
    uri.to_string().split('?').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str, egress: &Egress) -> Result<Target, Error> {
        Target::of(&url.parse().unwrap(), egress)
    }

    fn proxy() -> Egress {
        Egress::Proxy("vsock://3:8000".parse().unwrap())
    }

    #[test]
    fn https_goes_anywhere_on_its_port() {
        for (url, host, port, authority) in [
            (
                "https://kms.eu-central-1.amazonaws.com/",
                "kms.eu-central-1.amazonaws.com",
                443,
                "kms.eu-central-1.amazonaws.com",
            ),
            ("https://localhost:8443/x?y", "localhost", 8443, "localhost:8443"),
            ("https://[2001:db8::1]/", "2001:db8::1", 443, "[2001:db8::1]"),
            ("https://[::1]:444/", "::1", 444, "[::1]:444"),
        ] {
            let target = of(url, &proxy()).unwrap();
            assert_eq!(target, Target { tls: true, host: host.to_owned(), port });
            assert_eq!(target.authority(), authority);
        }
    }

    #[test]
    fn plain_http_reaches_this_machines_credential_endpoints_and_nothing_else() {
        for host in [
            "127.0.0.1:1234",
            "[::1]",
            "LOCALHOST",
            "169.254.169.254",
            "[fd00:ec2::254]",
            "169.254.170.23",
            "169.254.170.2",
        ] {
            assert!(of(&format!("http://{host}/latest"), &Egress::Direct).is_ok(), "{host}");
            assert!(matches!(of(&format!("http://{host}/latest"), &proxy()), Err(Error::Plain { .. })), "{host}");
        }
        for host in ["kms.us-east-1.amazonaws.com", "10.0.0.1", "127.0.0.2", "localhost.example.com", "169.254.1.1"] {
            assert!(matches!(of(&format!("http://{host}/"), &Egress::Direct), Err(Error::Plain { .. })), "{host}");
        }
    }

    #[test]
    fn a_url_of_another_scheme_is_refused_without_its_query() {
        for url in ["ftp://a/b?secret", "/b?secret"] {
            let message = of(url, &Egress::Direct).unwrap_err().to_string();
            assert!(message.contains("scheme") && !message.contains("secret"), "{message}");
        }
    }
}
