//! Who sends a request: the address that all limits, lanes and records use. It comes from here and nowhere else.
//!
//! The peer of the socket counts, or the client that a trusted proxy names: by the PROXY protocol
//! (`connection::client_stream`, before this), then by `Forwarded`, or `X-Forwarded-For` with `X-Forwarded-Proto`.
//! Headers of everybody else are ignored.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use actix_web::http::header::{FORWARDED, HeaderMap, HeaderName, X_FORWARDED_FOR, X_FORWARDED_PROTO};
use actix_web::{HttpRequest, web};

use crate::connection::client_stream::Encrypted;
use crate::connection::own::{self, OwnToken};
use crate::core::policy::hosts::Hosts;
use crate::core::policy::limits::SourceKey;
use crate::core::policy::proxies::TrustedProxies;
use crate::core::protocol::forwarded::{forwarded, x_forwarded};

/// What a listener knows about those who use it.
#[derive(Debug, Clone, Default)]
pub struct ListenerRules {
    /// Whose word about addresses counts.
    pub proxies: Arc<TrustedProxies>,
    /// The names of pages and REST.
    pub hosts: Arc<Hosts>,
    /// The configuration has delivered passwords, which open something under the names of this machine only.
    pub delivered: bool,
    /// Browsers are told to use TLS only.
    pub strict_transport: bool,
    /// Only components of this process may use the listener: those that show this token.
    pub own: Option<OwnToken>,
}

/// The sender of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub address: IpAddr,
    /// It is a component of this process.
    pub own: bool,
    /// It speaks TLS, to this process or to its proxy.
    pub secure: bool,
}

impl Client {
    /// The source that limits count for.
    pub fn source(&self) -> SourceKey {
        self.address.into()
    }
}

/// The sender of a request.
pub fn client_of(request: &HttpRequest) -> Client {
    let encrypted = request.conn_data::<Encrypted>().is_some();
    match request.app_data::<web::Data<ListenerRules>>() {
        Some(rules) => rules.client(request.peer_addr(), encrypted, request.headers()),
        None => ListenerRules::default().client(request.peer_addr(), encrypted, request.headers()),
    }
}

impl ListenerRules {
    /// The sender of a request. `peer` is the other end of the connection, or whom its PROXY header names; `encrypted`:
    /// the connection is.
    pub fn client(&self, peer: Option<SocketAddr>, encrypted: bool, fields: &HeaderMap) -> Client {
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip().to_canonical());
        let (address, https) = if self.proxies.trusts(peer) { self.behind(peer, fields) } else { (peer, None) };
        let own = self.own.is_some() && self.may_enter(fields);
        Client { address, own, secure: https.unwrap_or(encrypted) }
    }

    /// Whether this request may be served here at all: a listener for components of this process takes no other.
    pub fn may_enter(&self, fields: &HeaderMap) -> bool {
        self.own.as_ref().is_none_or(|own| fields.get(own::FIELD).is_some_and(|shown| own.is(shown.as_bytes())))
    }

    /// The client of a trusted proxy.
    fn behind(&self, proxy: IpAddr, fields: &HeaderMap) -> (IpAddr, Option<bool>) {
        let by_forwarded = fields.contains_key(FORWARDED);
        let by_address = fields.contains_key(X_FORWARDED_FOR);
        let forwarded = || self.proxies.client(proxy, &forwarded(lines(fields, &FORWARDED)));
        let x_forwarded = || {
            let hops = x_forwarded(lines(fields, &X_FORWARDED_FOR), lines(fields, &X_FORWARDED_PROTO));
            self.proxies.client(proxy, &hops)
        };
        match (by_forwarded, by_address) {
            (false, _) => x_forwarded(),
            (true, false) => {
                let (address, https) = forwarded();
                (address, https.or(x_forwarded().1))
            }
            // The proxy has written one of them, and the client may have written the other. If they do not agree,
            // neither counts: the request is the proxy's own, and nobody takes the address of somebody else.
            (true, true) => {
                let (one, other) = (forwarded(), x_forwarded());
                let address = if one.0 == other.0 { one.0 } else { proxy };
                (address, other.1.or(one.1))
            }
        }
    }
}

/// The lines of a header field. One that is not text stays in its place and says nothing.
fn lines<'a>(fields: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    fields.get_all(name).map(|value| value.to_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn fields(lines: &[(&str, &str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            fields.append(name, HeaderValue::from_str(value).unwrap());
        }
        fields
    }

    fn seen(peer: &str, encrypted: bool, lines: &[(&str, &str)]) -> (String, bool) {
        let proxies = Arc::new(TrustedProxies::new(["10.0.0.0/8"]).unwrap());
        let rules = ListenerRules { proxies, ..ListenerRules::default() };
        let peer = SocketAddr::new(peer.parse().unwrap(), 1);
        let client = rules.client(Some(peer), encrypted, &fields(lines));
        assert!(!client.own);
        (client.address.to_string(), client.secure)
    }

    fn expect(address: &str, secure: bool) -> (String, bool) {
        (address.to_owned(), secure)
    }

    #[test]
    fn headers_of_trusted_proxies_only() {
        let x_forwarded = [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https")];
        assert_eq!(seen("198.51.100.1", false, &x_forwarded), expect("198.51.100.1", false));
        assert_eq!(seen("10.0.0.1", false, &x_forwarded), expect("192.0.2.7", true));
        assert_eq!(seen("::ffff:10.0.0.1", false, &x_forwarded), expect("192.0.2.7", true));
        let forwarded = [("forwarded", "for=192.0.2.7;proto=https")];
        assert_eq!(seen("198.51.100.1", true, &forwarded), expect("198.51.100.1", true));
        assert_eq!(seen("10.0.0.1", false, &forwarded), expect("192.0.2.7", true));
        // TLS between proxy and broker says nothing about the client.
        assert_eq!(seen("10.0.0.1", true, &[("x-forwarded-proto", "http")]), expect("10.0.0.1", false));
        assert_eq!(seen("10.0.0.1", true, &[]), expect("10.0.0.1", true));
        assert_eq!(
            seen("10.0.0.1", false, &[("forwarded", "for=192.0.2.7"), ("x-forwarded-proto", "https")]),
            expect("192.0.2.7", true)
        );
        let written_before = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "192.0.2.7, 10.0.0.2")];
        assert_eq!(seen("10.0.0.1", false, &written_before), expect("192.0.2.7", false));
    }

    /// A proxy appends to one of the two headers and hands the other one on as the client has written it.
    #[test]
    fn nobody_takes_another_address_by_the_header_that_his_proxy_does_not_write() {
        for forged in ["for=203.0.113.9", "for=203.0.113.9, for=10.0.0.1", "for=\"", "nonsense"] {
            let lines = [("forwarded", forged), ("x-forwarded-for", "192.0.2.7")];
            assert_eq!(seen("10.0.0.1", false, &lines), expect("10.0.0.1", false), "{forged}");
        }
        let lines = [("forwarded", "for=192.0.2.7"), ("x-forwarded-for", "203.0.113.9")];
        assert_eq!(seen("10.0.0.1", false, &lines), expect("10.0.0.1", false));
        let agreed = [("forwarded", "for=192.0.2.7;proto=http"), ("x-forwarded-for", "203.0.113.9, 192.0.2.7")];
        assert_eq!(seen("10.0.0.1", false, &agreed), expect("192.0.2.7", false));
    }

    #[test]
    fn only_the_token_makes_a_component() {
        let own = OwnToken::draw();
        let rules = ListenerRules { own: Some(own.clone()), ..ListenerRules::default() };
        let with = |token: &str| rules.client(None, false, &fields(&[(own::FIELD, token)])).own;
        assert!(with(own.expose()));
        assert!(!with("") && !with(OwnToken::draw().expose()));
        assert!(!rules.client(None, false, &fields(&[])).own);
        let public = ListenerRules::default();
        assert!(!public.client(None, false, &fields(&[(own::FIELD, own.expose())])).own);
    }
}
