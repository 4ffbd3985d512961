//! Where to dial or listen, as one line of text.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio_vsock::VMADDR_CID_ANY;

/// Where to dial or listen.
///
/// | Text | Meaning |
/// |---|---|
/// | `vsock://CID:PORT` | vsock(7); `any` in place of the CID to listen on every one |
/// | `hybrid:///path:PORT` | vsock as Firecracker and vhost-device-vsock offer it on the host: a Unix socket with a handshake |
/// | `unix:///path` | a Unix stream socket |
/// | `tcp://HOST:PORT` | TCP; an IPv6 address in brackets |
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// `vsock://CID:PORT`
    Vsock {
        /// The context identifier: 2 the host, 3 a Nitro parent, `u32::MAX` any.
        cid: u32,
        /// The port.
        port: u32,
    },
    /// `hybrid:///path:PORT`
    Hybrid {
        /// The host's socket.
        path: PathBuf,
        /// The guest's port to dial, or the host's port to listen on.
        port: u32,
    },
    /// `unix:///path`
    Unix(PathBuf),
    /// `tcp://HOST:PORT`
    Tcp {
        /// A name or an IP address, without brackets.
        host: String,
        /// The port; 0 to listen on a free one.
        port: u16,
    },
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not an address: {problem} (vsock://CID:PORT, hybrid:///path:PORT, unix:///path or tcp://HOST:PORT)"
)]
pub struct AddressError {
    text: String,
    problem: &'static str,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        parse(text).map_err(|problem| AddressError { text: text.chars().take(200).collect(), problem })
    }
}

fn parse(text: &str) -> Result<Address, &'static str> {
    let (scheme, rest) = text.split_once("://").ok_or("it has no scheme")?;
    match scheme {
        "vsock" => {
            let (cid, port) = rest.split_once(':').ok_or("it has no port")?;
            let cid = if cid == "any" { VMADDR_CID_ANY } else { number(cid).ok_or("its CID is no number")? };
            Ok(Address::Vsock { cid, port: number(port).ok_or("its port is no number")? })
        }
        "hybrid" => {
            let (path, port) = rest.rsplit_once(':').ok_or("it has no port")?;
            Ok(Address::Hybrid { path: absolute(path)?, port: number(port).ok_or("its port is no number")? })
        }
        "unix" => Ok(Address::Unix(absolute(rest)?)),
        "tcp" => {
            let (host, port) = rest.rsplit_once(':').ok_or("it has no port")?;
            Ok(Address::Tcp { host: host_name(host)?, port: number(port).ok_or("its port is no number below 65536")? })
        }
        _ => Err("its scheme is unknown"),
    }
}

/// Digits alone: `FromStr` for integers would take a sign too.
fn number<T: FromStr>(text: &str) -> Option<T> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn absolute(path: &str) -> Result<PathBuf, &'static str> {
    if path.contains('\0') {
        Err("its path holds a zero byte")
    } else if path.starts_with('/') && path.len() > 1 {
        Ok(PathBuf::from(path))
    } else {
        Err("its path is not absolute")
    }
}

fn host_name(host: &str) -> Result<String, &'static str> {
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    match inner {
        Some(inner) => match inner.parse::<std::net::Ipv6Addr>() {
            Ok(address) => Ok(address.to_string()),
            Err(_) => Err("what stands in its brackets is no IPv6 address"),
        },
        None if host.is_empty() => Err("it has no host"),
        None if host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')) => {
            Ok(host.to_owned())
        }
        None => Err("its host is no name (an IPv6 address stands in brackets)"),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vsock { cid: VMADDR_CID_ANY, port } => write!(f, "vsock://any:{port}"),
            Self::Vsock { cid, port } => write!(f, "vsock://{cid}:{port}"),
            Self::Hybrid { path, port } => write!(f, "hybrid://{}:{port}", path.display()),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_scheme_reads_as_documented() {
        let tcp = |host: &str, port| Address::Tcp { host: host.to_owned(), port };
        for (text, address) in [
            ("vsock://3:9001", Address::Vsock { cid: 3, port: 9001 }),
            ("vsock://any:5000", Address::Vsock { cid: u32::MAX, port: 5000 }),
            ("hybrid:///run/vm.sock:5000", Address::Hybrid { path: "/run/vm.sock".into(), port: 5000 }),
            ("unix:///run/a:b", Address::Unix("/run/a:b".into())),
            ("tcp://localhost:0", tcp("localhost", 0)),
            ("tcp://[::1]:8443", tcp("::1", 8443)),
        ] {
            assert_eq!(text.parse::<Address>().unwrap(), address);
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_reason() {
        for text in [
            "",
            "localhost:80",
            "http://a:1",
            "vsock://3",
            "vsock://-3:1",
            "vsock://3:+1",
            "vsock://4294967296:1",
            "hybrid://rel:1",
            "hybrid:///p:x",
            "unix://rel",
            "unix:///",
            "unix:///a\0b",
            "tcp://:80",
            "tcp://a:65536",
            "tcp://::1:80",
            "tcp://[a]:1",
            "tcp://a b:1",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_back_the_same(text in "(vsock|hybrid|unix|tcp)://[a-z0-9/:.\\[\\]-]{0,40}") {
            if let Ok(address) = text.parse::<Address>() {
                prop_assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,80}") {
            let _ = text.parse::<Address>();
        }
    }
}
