//! Where a connection comes from, as limits see it.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash as _, Hasher as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The source of a connection: an IPv4 address, or the /64 of an IPv6 address, because one host can use every address
/// of its /64. It is kept in memory only; `Debug` hides it, so that it cannot get into a log
/// (`docs/protocol/directory.md` section 5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceKey(Source);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Source {
    V4([u8; 4]),
    /// The upper half of the address.
    V6Net(u64),
    /// The upper 48 bits of the address.
    V6Site(u64),
    /// A browser that has proved that it is known.
    Browser(u64),
}

impl From<IpAddr> for SourceKey {
    /// An IPv4-mapped IPv6 address counts as the IPv4 address, so that a dual-stack listener sees one source.
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(v4) => Source::V4(v4.octets()),
            IpAddr::V6(v6) => Source::V6Net(upper_half(v6)),
        })
    }
}

#[allow(clippy::cast_possible_truncation)]
const fn upper_half(address: Ipv6Addr) -> u64 {
    (address.to_bits() >> 64) as u64
}

impl SourceKey {
    /// A browser that has proved that it is known: a source of its own, wherever it is. `proof` is secret and random, so
    /// nobody can choose it to meet another one.
    pub fn of_browser(proof: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        proof.hash(&mut hasher);
        Self(Source::Browser(hasher.finish()))
    }

    /// The /48 of an IPv6 source, and the number of its /64; `None` for everything else.
    pub const fn site(self) -> Option<(Self, u64)> {
        match self.0 {
            Source::V6Net(net) => Some((Self(Source::V6Site(net >> 16)), net)),
            Source::V4(_) | Source::V6Site(_) | Source::Browser(_) => None,
        }
    }

    /// The network in clear text, for the operators of the instance only; never for a log or the store.
    pub fn exposed(self) -> String {
        match self.0 {
            Source::V4(octets) => Ipv4Addr::from(octets).to_string(),
            Source::V6Net(net) => format!("{}/64", Ipv6Addr::from_bits(u128::from(net) << 64)),
            Source::V6Site(site) => format!("{}/48", Ipv6Addr::from_bits(u128::from(site) << 80)),
            Source::Browser(_) => "a known browser".into(),
        }
    }
}

impl fmt::Debug for SourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> SourceKey {
        SourceKey::from(text.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn sources_are_addresses_or_networks() {
        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::9"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(format!("{:?}", source("192.0.2.1")), "SourceKey(…)");
    }

    #[test]
    fn networks_of_one_site() {
        let site = |text| source(text).site().map(|(site, _)| site);
        assert_eq!(site("2001:db8:1:2::1"), site("2001:db8:1:ffff::1"));
        assert_ne!(site("2001:db8:1:2::1"), site("2001:db8:2:2::1"));
        assert_eq!(SourceKey::of_browser("a").site(), None);
        assert_eq!(SourceKey::of_browser("a"), SourceKey::of_browser("a"));
        assert_ne!(SourceKey::of_browser("a"), SourceKey::of_browser("b"));
        assert_eq!(site("192.0.2.1"), None);
        assert_eq!(source("2001:db8:1:2::1").exposed(), "2001:db8:1:2::/64");
        assert_eq!(site("2001:db8:1:2::1").unwrap().exposed(), "2001:db8:1::/48");
        assert_eq!(source("192.0.2.1").exposed(), "192.0.2.1");
    }
}
