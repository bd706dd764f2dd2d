//! Which names this service answers to, so that a name that somebody else has made point here (DNS rebinding) opens
//! nothing.

use std::collections::BTreeSet;
use std::net::IpAddr;

use url::{Host, Url};

/// The names by which pages and REST may be addressed. Ports do not count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts {
    names: BTreeSet<String>,
    loopback: bool,
}

impl Hosts {
    /// The host of `public_url` and the names of `more`. `loopback`: also the names of this machine itself.
    pub fn new<'a>(public_url: &'a str, more: impl IntoIterator<Item = &'a str>, loopback: bool) -> Self {
        let public = Url::parse(public_url).ok().and_then(|url| url.host_str().and_then(name_of));
        let names = public.into_iter().chain(more.into_iter().filter_map(name_of)).collect();
        Self { names, loopback }
    }

    /// Whether the value of a `Host` field is one of them.
    pub fn answer_to(&self, host: &str) -> bool {
        without_port(host)
            .and_then(name_of)
            .is_some_and(|name| self.names.contains(&name) || (self.loopback && is_this_machine(&name)))
    }
}

/// Whether the value of a `Host` field names this machine, and no name server was asked for it.
pub fn is_loopback(host: &str) -> bool {
    without_port(host).and_then(name_of).is_some_and(|name| is_this_machine(&name))
}

/// Whether a text is a host: a name or an address, without port.
pub fn is_host(text: &str) -> bool {
    name_of(text).is_some()
}

fn is_this_machine(name: &str) -> bool {
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

/// The form in which names are compared: lower case, no dot at the end, addresses in their usual form.
fn name_of(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    // Names with other letters are sent in their ASCII form.
    if text.is_empty() || !text.is_ascii() || text.contains('%') {
        return None;
    }
    Host::parse(text).ok().map(|host| host.to_string())
}

fn without_port(host: &str) -> Option<&str> {
    let end = if host.starts_with('[') { host.find(']')? + 1 } else { host.find(':').unwrap_or(host.len()) };
    let (name, port) = host.split_at_checked(end)?;
    let is_port =
        port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    is_port.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_name_the_list_and_nothing_else() {
        let hosts = Hosts::new("https://Broker.example:8443", ["inner.example", "192.0.2.7", "[2001:db8::7]"], false);
        for own in [
            "broker.example",
            "BROKER.example:8443",
            "broker.example.",
            "broker.example:80",
            "inner.example:8080",
            "192.0.2.7:443",
            "[2001:db8:0::7]",
        ] {
            assert!(hosts.answer_to(own), "{own}");
        }
        for other in [
            "",
            "evil.example",
            "broker.example.evil.example",
            "evil.example@broker.example",
            "broker.example/x",
            "broker.example:80:80",
            "broker.example:x",
            "broker.example, evil.example",
            "broker.example evil.example",
            "127.0.0.1",
            "localhost",
            "[::1]",
            "2001:db8::7",
            "[2001:db8::7",
        ] {
            assert!(!hosts.answer_to(other), "{other}");
        }
    }

    #[test]
    fn names_of_this_machine() {
        let hosts = Hosts::new("https://broker.example", [], true);
        for own in [
            "127.0.0.1:8080",
            "127.8.9.10",
            "localhost:1",
            "LOCALHOST",
            "localhost.",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(hosts.answer_to(own) && is_loopback(own), "{own}");
        }
        for other in
            ["localhost.evil.example", "127.0.0.1.evil.example", "0.0.0.0", "192.0.2.1", "evil.example", "", "[::]"]
        {
            assert!(!hosts.answer_to(other) && !is_loopback(other), "{other}");
        }
        assert!(hosts.answer_to("broker.example") && !is_loopback("broker.example"));
    }

    #[test]
    fn hosts_of_the_configuration() {
        for good in ["broker", "broker.example", "192.0.2.7", "[::1]"] {
            assert!(is_host(good), "{good}");
        }
        for bad in ["", "http://broker.example", "broker.example:80", "a b", "a/b", "*.example", "::1"] {
            assert_eq!(is_host(bad), bad == "*.example", "{bad}");
        }
    }
}
