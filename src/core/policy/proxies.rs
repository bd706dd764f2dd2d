//! Whose word about the address of a client counts: that of the proxies which the configuration names.

use std::net::IpAddr;
use std::str::FromStr as _;

use ipnet::{IpNet, Ipv4Net};

use crate::core::protocol::forwarded::Hop;

/// The proxies that may name their clients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// Not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("has `{0}`, which is neither a network nor an address; write 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32")]
pub struct BadNetwork(pub String);

impl TrustedProxies {
    /// Networks such as `10.0.0.0/8`; an address stands for itself.
    pub fn new<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, BadNetwork> {
        entries
            .into_iter()
            .map(|entry| network(entry).ok_or_else(|| BadNetwork(entry.to_owned())))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether everybody is one.
    pub fn is_everybody(&self) -> bool {
        self.0.iter().any(|network| network.prefix_len() == 0)
    }

    /// Whether this is one.
    pub fn trusts(&self, address: IpAddr) -> bool {
        // Most installations have none, and this is asked for every connection.
        !self.0.is_empty() && {
            let address = address.to_canonical();
            self.0.iter().any(|network| network.contains(&address))
        }
    }

    /// Who is behind `peer`, and whether that client spoke TLS, if a trusted proxy says so. `hops` are what the proxies
    /// say, the nearest last. The client is the rightmost address that is not trusted: whatever stands to the left of
    /// it, the client may have written itself.
    pub fn client(&self, peer: IpAddr, hops: &[Hop]) -> (IpAddr, Option<bool>) {
        let (mut client, mut https) = (peer.to_canonical(), None);
        for hop in hops.iter().rev() {
            if !self.trusts(client) {
                break;
            }
            https = hop.https.or(https);
            let Some(address) = hop.address else { break };
            client = address;
        }
        (client, https)
    }
}

fn network(entry: &str) -> Option<IpNet> {
    let network = match entry.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => IpNet::from_str(entry).ok()?,
    };
    // Addresses are compared in their IPv4 form if they have one.
    Some(match network {
        IpNet::V6(mapped) => match (mapped.addr().to_ipv4_mapped(), mapped.prefix_len().checked_sub(96)) {
            (Some(address), Some(length)) => IpNet::V4(Ipv4Net::new(address, length).ok()?),
            _ => network,
        },
        IpNet::V4(_) => network,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn trusted(entries: &[&str]) -> TrustedProxies {
        TrustedProxies::new(entries.iter().copied()).unwrap()
    }

    #[test]
    fn networks_and_addresses() {
        let proxies =
            trusted(&["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1", "::ffff:198.51.100.0/120", "172.16.5.1/12"]);
        for inside in
            ["10.255.0.1", "192.0.2.7", "::ffff:192.0.2.7", "2001:db8:1::9", "::1", "198.51.100.9", "172.31.255.255"]
        {
            assert!(proxies.trusts(ip(inside)), "{inside}");
        }
        for outside in ["11.0.0.1", "192.0.2.8", "2001:db9::1", "::2", "198.51.101.1", "127.0.0.1", "172.32.0.1"] {
            assert!(!proxies.trusts(ip(outside)), "{outside}");
        }
        assert!(!TrustedProxies::default().trusts(ip("127.0.0.1")));
        assert!(trusted(&["0.0.0.0/0"]).is_everybody() && !proxies.is_everybody());
        for bad in [
            "",
            " 10.0.0.0/8",
            "10.0.0.0/33",
            "10.0.0/8",
            "10.0.0.0/255.0.0.0",
            "proxy.example",
            "::1/129",
            "10.0.0.1:80",
        ] {
            assert_eq!(TrustedProxies::new([bad]).unwrap_err(), BadNetwork(bad.into()));
        }
    }

    #[test]
    fn the_client_is_the_rightmost_address_that_is_not_trusted() {
        let proxies = trusted(&["10.0.0.0/8"]);
        let client = |peer: &str, hops: &[(&str, Option<bool>)]| {
            let hops: Vec<_> =
                hops.iter().map(|(address, https)| Hop { address: address.parse().ok(), https: *https }).collect();
            let (client, https) = proxies.client(ip(peer), &hops);
            (client.to_string(), https)
        };
        let expect = |address: &str, https| (address.to_owned(), https);
        // A stranger's headers say nothing.
        assert_eq!(client("192.0.2.7", &[("198.51.100.1", Some(true))]), expect("192.0.2.7", None));
        assert_eq!(client("10.0.0.1", &[]), expect("10.0.0.1", None));
        assert_eq!(client("10.0.0.1", &[("192.0.2.7", Some(true))]), expect("192.0.2.7", Some(true)));
        assert_eq!(
            client("10.0.0.1", &[("198.51.100.1", Some(true)), ("192.0.2.7", Some(false))]),
            expect("192.0.2.7", Some(false))
        );
        // Through two proxies; the scheme of the client is what the outer one saw.
        assert_eq!(
            client("10.0.0.1", &[("198.51.100.1", None), ("192.0.2.7", Some(true)), ("10.0.0.2", Some(false))]),
            expect("192.0.2.7", Some(true))
        );
        // Somebody who is not named is known by his proxy.
        assert_eq!(client("10.0.0.1", &[("198.51.100.1", None), ("", Some(true))]), expect("10.0.0.1", Some(true)));
        assert_eq!(client("10.0.0.1", &[("10.0.0.3", None), ("10.0.0.2", None)]), expect("10.0.0.3", None));
        assert_eq!(client("::ffff:10.0.0.1", &[("192.0.2.7", None)]), expect("192.0.2.7", None));
    }
}
