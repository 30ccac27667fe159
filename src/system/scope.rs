//! From an address to the part of the world that can reach it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// From where an address can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// From this machine alone.
    Loopback,
    /// From a private network (RFC 1918), the link, or a site with unique local addresses.
    Private,
    /// From the tailnet.
    Tailscale,
    /// From anywhere: a public address, or every address that the machine has.
    Public,
}

impl Scope {
    /// The word used in labels and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Loopback => "loopback",
            Scope::Private => "private",
            Scope::Tailscale => "tailscale",
            Scope::Public => "public",
        }
    }
}

/// From where a socket that listens on `address` can be reached.
///
/// The unspecified address stands for every address of the machine: what reaches the machine reaches it. An IPv4
/// address that is written as an IPv6 one is judged as what it is.
pub fn scope(address: IpAddr) -> Scope {
    match address.to_canonical() {
        IpAddr::V4(address) => scope_v4(address),
        IpAddr::V6(address) => scope_v6(address),
    }
}

fn scope_v4(address: Ipv4Addr) -> Scope {
    // 100.64.0.0/10: Tailscale gives its addresses out of the range of carrier-grade NAT.
    let [first, second, ..] = address.octets();
    let is_tailscale = first == 100 && second & 0xc0 == 64;
    if address.is_loopback() {
        Scope::Loopback
    } else if is_tailscale {
        Scope::Tailscale
    } else if address.is_private() || address.is_link_local() {
        Scope::Private
    } else {
        Scope::Public
    }
}

fn scope_v6(address: Ipv6Addr) -> Scope {
    // Tailscale's own part of the unique local addresses: fd7a:115c:a1e0::/48.
    let is_tailscale = matches!(address.segments(), [0xfd7a, 0x115c, 0xa1e0, ..]);
    if address.is_loopback() {
        Scope::Loopback
    } else if is_tailscale {
        Scope::Tailscale
    } else if address.is_unique_local() || address.is_unicast_link_local() {
        Scope::Private
    } else {
        Scope::Public
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_by_who_can_reach_them() {
        for (scope_expected, addresses) in [
            (Scope::Loopback, &["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1"][..]),
            (
                Scope::Private,
                &[
                    "10.0.0.1",
                    "10.255.255.255",
                    "172.16.0.1",
                    "172.31.255.255",
                    "192.168.0.1",
                    "192.168.255.255",
                    "169.254.1.1",
                    "fe80::1",
                    "febf::1",
                    "fc00::1",
                    "fd00::1",
                    "fd7a:115c:a1e1::1",
                    "::ffff:192.168.1.1",
                ],
            ),
            (
                Scope::Tailscale,
                &[
                    "100.64.0.0",
                    "100.100.100.100",
                    "100.127.255.255",
                    "fd7a:115c:a1e0::1",
                    "fd7a:115c:a1e0:ab12::53",
                    "::ffff:100.64.0.1",
                ],
            ),
            (
                Scope::Public,
                &[
                    "0.0.0.0",
                    "::",
                    "::ffff:0.0.0.0",
                    "203.0.113.7",
                    "2001:db8::7",
                    "100.63.255.255",
                    "100.128.0.0",
                    "172.15.255.255",
                    "172.32.0.0",
                    "11.0.0.0",
                    "128.0.0.1",
                    "fec0::1",
                    "2a00::1",
                    "::ffff:8.8.8.8",
                    "::2",
                ],
            ),
        ] {
            for address in addresses {
                assert_eq!(scope(address.parse().unwrap()), scope_expected, "{address}");
            }
        }
    }
}
