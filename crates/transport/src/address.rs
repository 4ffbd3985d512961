//! Addresses: where to listen and what to dial, written the same way everywhere.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, limits};

/// The vsock CID that means every one when listening (`VMADDR_CID_ANY`), written `any`.
pub const ANY_CID: u32 = u32::MAX;

/// Where to listen, or what to dial.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Address {
    /// `vsock://CID:PORT`, between a virtual machine or enclave and its host (Linux `AF_VSOCK`). `vsock://any:PORT` listens
    /// for every CID; port 0 lets the system choose.
    Vsock {
        /// The context identifier: 3 is a Nitro enclave's parent.
        cid: u32,
        /// The port.
        port: u32,
    },
    /// `hybrid:///path:PORT`, the host's side of a guest's vsock where a virtual machine monitor maps it to Unix sockets, as
    /// Firecracker and vhost-device-vsock do. Dialling opens `path` and asks for the guest's port; listening binds
    /// `path_PORT`, where the guest's connections to the host's port arrive.
    Hybrid {
        /// The monitor's socket, an absolute path.
        path: PathBuf,
        /// The guest's port when dialling, the host's when listening.
        port: u32,
    },
    /// `unix:///path`, a Unix stream socket at an absolute path.
    Unix(PathBuf),
    /// `tcp://HOST:PORT`; an IPv6 address stands in brackets. Port 0 lets the system choose when listening.
    Tcp {
        /// A name or an IP address, without brackets.
        host: String,
        /// The port.
        port: u16,
    },
}

impl Address {
    /// Whether `host` can stand in an address: an IP address, or a name made of the letters, digits, hyphens, dots and
    /// underscores that names are made of.
    pub(crate) fn is_host(host: &str) -> bool {
        let of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        host.parse::<Ipv6Addr>().is_ok()
            || (!host.is_empty() && host.len() <= limits::HOST_BYTES && host.bytes().all(of_a_name))
    }
}

/// `HOST:PORT` as URLs and CONNECT requests write it.
pub(crate) struct Authority<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
}

impl fmt::Display for Authority<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vsock { cid: ANY_CID, port } => write!(f, "vsock://any:{port}"),
            Self::Vsock { cid, port } => write!(f, "vsock://{cid}:{port}"),
            Self::Hybrid { path, port } => write!(f, "hybrid://{}:{port}", path.display()),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port } => write!(f, "tcp://{}", Authority { host, port: *port }),
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).map_err(|reason| Error::InvalidAddress { text: text.to_owned(), reason })
    }
}

impl TryFrom<String> for Address {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

fn parse(text: &str) -> Result<Address, &'static str> {
    let (scheme, rest) = text.split_once("://").ok_or("there is no `://`")?;
    match scheme {
        "vsock" => {
            let (cid, port) = with_port(rest)?;
            let cid =
                if cid == "any" { ANY_CID } else { number(cid).ok_or("the CID is neither a number nor `any`")? };
            Ok(Address::Vsock { cid, port })
        }
        "hybrid" => {
            let (path, port) = with_port(rest)?;
            Ok(Address::Hybrid { path: socket_path(path)?, port })
        }
        "unix" => Ok(Address::Unix(socket_path(rest)?)),
        "tcp" => {
            let (host, port) = with_port(rest)?;
            Ok(Address::Tcp { host: tcp_host(host)?.to_owned(), port })
        }
        _ => Err("the scheme is not one of these"),
    }
}

fn with_port<T: FromStr>(rest: &str) -> Result<(&str, T), &'static str> {
    let (before, port) = rest.rsplit_once(':').ok_or("there is no port")?;
    Ok((before, number(port).ok_or("the port is not a number in range")?))
}

/// A plain decimal number: no sign, which Rust's own parsers allow.
fn number<T: FromStr>(text: &str) -> Option<T> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn socket_path(path: &str) -> Result<PathBuf, &'static str> {
    if !path.starts_with('/') {
        return Err("the path is not absolute");
    }
    if path.contains('\0') {
        return Err("the path has a NUL byte");
    }
    Ok(PathBuf::from(path))
}

fn tcp_host(host: &str) -> Result<&str, &'static str> {
    if let Some(inside) = host.strip_prefix('[') {
        let inside = inside.strip_suffix(']').ok_or("a bracket is missing")?;
        return inside.parse::<Ipv6Addr>().map(|_| inside).map_err(|_| "there is no IPv6 address in the brackets");
    }
    if host.contains(':') {
        return Err("an IPv6 address stands in brackets");
    }
    if Address::is_host(host) { Ok(host) } else { Err("the host is neither a name nor an IP address") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp { host: host.to_owned(), port }
    }

    #[test]
    fn each_scheme_is_read() {
        let cases = [
            ("vsock://16:5000", Address::Vsock { cid: 16, port: 5000 }),
            ("vsock://any:9001", Address::Vsock { cid: u32::MAX, port: 9001 }),
            ("hybrid:///run/vm.vsock:9001", Address::Hybrid { path: "/run/vm.vsock".into(), port: 9001 }),
            ("hybrid:///a:b:7", Address::Hybrid { path: "/a:b".into(), port: 7 }),
            ("unix:///run/x.sock", Address::Unix("/run/x.sock".into())),
            ("tcp://0.0.0.0:8443", tcp("0.0.0.0", 8443)),
            ("tcp://kms.eu-west-1.amazonaws.com:443", tcp("kms.eu-west-1.amazonaws.com", 443)),
            ("tcp://[::1]:80", tcp("::1", 80)),
        ];
        for (text, expected) in cases {
            let address: Address = text.parse().expect(text);
            assert_eq!(address, expected);
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn what_is_not_an_address_is_refused_with_its_reason() {
        let cases = [
            ("", "no `://`"),
            ("localhost:80", "no `://`"),
            ("http://localhost:80", "scheme"),
            ("vsock://3", "no port"),
            ("vsock://-1:3", "CID"),
            ("vsock://3:4294967296", "port"),
            ("vsock://3:+7", "port"),
            ("vsock://3:", "port"),
            ("hybrid://relative:1", "absolute"),
            ("unix://relative", "absolute"),
            ("unix:///a\0b", "NUL"),
            ("tcp://:80", "host"),
            ("tcp://a b:80", "host"),
            ("tcp://a\r\nb:80", "host"),
            ("tcp://host:65536", "port"),
            ("tcp://::1:80", "brackets"),
            ("tcp://[::1:80", "bracket"),
            ("tcp://[localhost]:80", "IPv6"),
        ];
        for (text, reason) in cases {
            let error = text.parse::<Address>().expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn serde_writes_the_text_and_reads_it_back() {
        let address = tcp("127.0.0.1", 80);
        let json = serde_json::to_string(&address).unwrap();
        assert_eq!(json, "\"tcp://127.0.0.1:80\"");
        assert_eq!(serde_json::from_str::<Address>(&json).unwrap(), address);
        assert!(serde_json::from_str::<Address>("\"nothing\"").is_err());
    }

    fn any_address() -> impl Strategy<Value = Address> {
        let path = "(/[^/\0]{1,20}){1,4}";
        let v6 = any::<[u8; 16]>().prop_map(|octets| Ipv6Addr::from(octets).to_string());
        prop_oneof![
            any::<(u32, u32)>().prop_map(|(cid, port)| Address::Vsock { cid, port }),
            (path, any::<u32>()).prop_map(|(path, port)| Address::Hybrid { path: path.into(), port }),
            path.prop_map(|path| Address::Unix(path.into())),
            ("[a-z0-9_.-]{1,60}", any::<u16>()).prop_map(|(host, port)| Address::Tcp { host, port }),
            (v6, any::<u16>()).prop_map(|(host, port)| Address::Tcp { host, port }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_the_same(address in any_address()) {
            prop_assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
        }

        #[test]
        fn no_text_makes_the_parser_panic_and_what_it_accepts_it_writes_back(text in "(vsock|hybrid|unix|tcp)://.{0,40}") {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
            }
        }
    }
}
