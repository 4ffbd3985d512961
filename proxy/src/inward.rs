//! Addresses of this machine and its link, to which no public name may lead.
//!
//! An allowlist names hosts, but a resolver says where they are, and the resolver is not trusted: a listed name that is
//! answered with the metadata service's address would hand the parent's credentials to whoever asks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether `address` may be dialled for a listed `host`. A host that is an address itself, or `localhost`, was listed by somebody who
/// meant this machine or its link; any other name leads outward.
pub(crate) fn may_lead_to(host: &str, address: IpAddr) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok() || !is_inward(address)
}

fn is_inward(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_inward_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(address) => is_inward_v4(address),
            None => is_inward_v6(address),
        },
    }
}

/// Loopback, link-local with AWS's metadata services in it (169.254.169.254, 169.254.170.2, 169.254.170.23), `this network`
/// (RFC 1122, section 3.2.1.3; Linux takes 0.0.0.0 for itself), multicast and broadcast.
fn is_inward_v4(address: Ipv4Addr) -> bool {
    address.octets()[0] == 0
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
}

/// The same of IPv6, and AWS's own `fd00:ec2::/32`, where its metadata services are.
fn is_inward_v6(address: Ipv6Addr) -> bool {
    address.is_unspecified()
        || address.is_loopback()
        || address.is_unicast_link_local()
        || address.is_multicast()
        || matches!(address.segments(), [0xfd00, 0x0ec2, ..])
}

/// The IPv4 address that an IPv6 one stands for: mapped (RFC 4291, section 2.5.5.2), compatible (2.5.5.1) or translated by NAT64
/// (RFC 6052, section 2.1). `::` and `::1` are none.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => {
            let [.., a, b, c, d] = address.octets();
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INWARD: [&str; 18] = [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "127.255.0.9",
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "ff02::1",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
    ];

    const OUTWARD: [&str; 8] = [
        "52.94.0.1",
        "10.0.0.7",
        "172.16.0.1",
        "192.168.1.1",
        "2600:1f18::1",
        "fd12:3456::1",
        "::ffff:52.94.0.1",
        "64:ff9b::345e:1",
    ];

    fn may(host: &str, address: &str) -> bool {
        may_lead_to(host, address.parse().unwrap())
    }

    #[test]
    fn a_public_name_leads_neither_to_this_machine_nor_to_its_link() {
        for address in INWARD {
            for host in ["kms.us-east-1.amazonaws.com", "localhost.example.com", "xlocalhost"] {
                assert!(!may(host, address), "{host} {address}");
            }
        }
    }

    #[test]
    fn a_public_name_leads_anywhere_else_and_a_vpc_endpoint_is_private() {
        for address in OUTWARD {
            assert!(may("kms.us-east-1.amazonaws.com", address), "{address}");
        }
    }

    #[test]
    fn localhost_and_a_listed_address_mean_what_they_say() {
        for host in ["localhost", "LocalHost.", "127.0.0.1", "169.254.169.254", "::1"] {
            assert!(may(host, "127.0.0.1") && may(host, "169.254.169.254"), "{host}");
        }
    }
}
