//! Checks with the name of the wrong parameter, masking of secrets, and the JSON Schema.

use serde_json::json;

use super::*;

// By value, because every caller makes the values inline.
#[allow(clippy::needless_pass_by_value)]
fn of(kind: &str, values: Value) -> Configuration {
    serde_json::from_value(json!({"kind": kind, "values": values})).unwrap()
}

fn refused(kind: &str, values: Value) -> String {
    of(kind, values).check().unwrap_err().to_string()
}

#[test]
fn a_wrong_parameter_is_named() {
    let long = "ü".repeat(129);
    for (kind, values, problem) in [
        ("ntp", json!({}), "server: is missing"),
        ("stun", json!({}), "values: at least one parameter is needed"),
        ("ntp", json!({"server": "a", "speed": 1}), "speed: ntp has no such parameter"),
        ("ntp", json!({"server": 1}), "server: must be a text"),
        ("ntp", json!({"server": null}), "server: must be a text"),
        ("ntp", json!({"server": ""}), "server: is empty; leave it out instead"),
        (
            "ntp",
            json!({"server": "a b"}),
            "server: must be a host name or an address, with :port if it is not the usual one",
        ),
        ("ntp", json!({"server": "a", "interval": "5"}), "interval: must be a whole number"),
        ("ntp", json!({"server": "a", "interval": 0}), "interval: must be 1 to 1440"),
        ("ldap", json!({"server": "a", "base": "x\ny"}), "base: has control characters"),
        ("ldap", json!({"server": "a", "base": "x", "tls": "yes"}), "tls: must be true or false"),
        ("ldap", json!({"server": "a", "base": "x", "password": "y"}), "password: needs user too"),
        ("ldap", json!({"server": "a", "base": "会".repeat(256)}), "base: is too long for a line once it is encoded"),
        (
            "ldap",
            json!({"server": "a", "base": "x", "user": "a", "password": long}),
            "password: is longer than 128 characters",
        ),
        ("syslog", json!({"server": "a", "transport": "sctp"}), "transport: must be one of udp, tcp, tls"),
        (
            "syslog",
            json!({"server": "a:65536"}),
            "server: must be a host name or an address, with :port if it is not the usual one",
        ),
        ("language", json!({"language": "German"}), "language: must be a language such as de or de-AT"),
        (
            "analogue-phone",
            json!({"ports": "tel1", "protocol": "sip", "primary": "a", "name": "n"}),
            "ports: must be names of ports with commas between them, TEL1,TEL2 for instance",
        ),
        ("update-server", json!({"url": "ftp://a"}), "url: must be an address with http or https, without blanks"),
        (
            "update-server",
            json!({"url": "http://a/?x=1&PROTdate=2"}),
            "url: must be an address without the parameters that the device adds by itself",
        ),
        ("certificates", json!({"certificates": "x"}), "certificates: must be certificates in PEM form"),
        (
            "certificates",
            json!({"certificates": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}),
            "certificates: must be certificates only; there is a private key in it, which nobody should have seen",
        ),
        ("raw", json!({"lines": "\n# nothing\n"}), "lines: must be at least one command"),
        ("tls-profile", json!({}), "profile: is missing"),
        ("tls-profile", json!({"profile": "safe"}), "profile: must be one of normal, fast, secure, strict"),
        ("alarm-server", json!({}), "values: at least one parameter is needed"),
        ("alarm-server", json!({"logUrl": "http://h/", "logPassword": "x"}), "logPassword: needs logUser too"),
        ("stun", json!({"tosRtp": "0x100"}), "tosRtp: must be two hex digits after 0x, 0xb8 for instance"),
        ("stun", json!({"setRtpPorts": true}), "setRtpPorts: needs rtpFirst too"),
        ("stun", json!({"rtpFirst": 2052}), "rtpFirst: needs rtpNum too"),
        ("stun", json!({"rtpFirst": 2052, "rtpNum": 127}), "rtpNum: must be 128 to 16384"),
        (
            "stun",
            json!({"rtpFirst": 65_000, "rtpNum": 537}),
            "rtpNum: must be so small that there are so many ports from the first one on",
        ),
        (
            "stun",
            json!({"rtpFirst": 3000, "rtpNum": 128, "natFirst": 3127, "natNum": 1}),
            "natFirst: must be so that no port is for RTP and for NAT",
        ),
        ("ntp", json!({"server": "a", "fax": true}), "fax: ntp has no such parameter"),
    ] {
        assert_eq!(refused(kind, values), problem);
    }
}

#[test]
fn good_hosts() {
    for host in ["a", "ntp.example.org", "192.0.2.1", "192.0.2.1:123", "2001:db8::1", "[2001:db8::1]:123", "a_b-c:1"] {
        assert_eq!(of("ntp", json!({"server": host})).check(), Ok(()), "{host}");
    }
    for host in ["-a", "a:", "a:b", "http://a", "a/b", "ü.de", "a\n", "[::1", ":"] {
        assert!(of("ntp", json!({"server": host})).check().is_err(), "{host}");
    }
}

#[test]
fn ports_next_to_each_other_are_good() {
    let values = json!({"setRtpPorts": true, "rtpFirst": 3000, "rtpNum": 128, "natFirst": 3128, "natNum": 16_384});
    assert_eq!(of("stun", values).check(), Ok(()));
    assert_eq!(of("stun", json!({"natFirst": 65_534, "natNum": 2})).check(), Ok(()));
}

#[test]
fn raw_lines_are_checked_one_by_one() {
    for (line, fault) in [
        ("!vars del A", "begins with !, which is not part of the language"),
        ("vars", "is not understood"),
        ("config show", "is not understood"),
        ("mod cmd UP1 provision soon", "is not understood"),
        ("mod cmd UP0 prot u ser 1", "orders software, which is the work of update jobs"),
        ("mod cmd UP1 check ser 1", "has a meaning only in a script that the device fetches"),
        ("iresetn", "restarts the device in the middle of its configuration"),
        ("config change A /b\u{1b}[2J", "has control characters"),
        (&format!("config change A /b {}", "x".repeat(2000)), "is longer than 1999 bytes"),
    ] {
        let lines = format!("vars del A\r\n\n{line}\nvars del B");
        assert_eq!(refused("raw", json!({"lines": lines})), format!("lines: line 3: {fault}"), "{line}");
    }
    assert_eq!(refused("raw", json!({"lines": "vars del A\n".repeat(201)})), "lines: must be at most 200 lines");
    let good = "# comment\nmod cmd CPU mips-usage\nmem\nconfig add X /y %20\nconfig write";
    assert_eq!(of("raw", json!({"lines": good})).check(), Ok(()));
}

#[test]
fn secrets_are_neither_shown_nor_printed() {
    let values = json!({"protocol": "sip", "primary": "a", "name": "n", "password": "letmein"});
    let configuration = of("sip", values);
    let masked = configuration.masked();
    assert_eq!((&masked.values["password"], &masked.values["name"]), (&json!("hidden"), &json!("n")));
    assert!(!format!("{configuration:?}").contains("letmein"));
    // A refused password is not in the error either.
    let error = refused("ldap", json!({"server": "a", "base": "b", "user": "u", "password": "let\u{7}mein"}));
    assert_eq!(error, "password: has control characters");
}

#[test]
fn every_password_is_a_secret() {
    for field in Kind::ALL.into_iter().flat_map(|kind| kind.schema().fields().collect::<Vec<_>>()) {
        assert_eq!(field.secret, field.name.to_lowercase().contains("password"), "{field:?}");
    }
}

#[test]
fn tables_are_consistent() {
    for kind in Kind::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        assert_eq!(kind.name().parse(), Ok(kind));
        let schema = kind.schema();
        let names: Vec<&str> = schema.fields().map(|field| field.name).collect();
        for (at, field) in schema.fields().enumerate() {
            assert!(!names[..at].contains(&field.name), "{kind} {field:?}");
            assert!(field.needs.is_none_or(|other| names.contains(&other)), "{kind} {field:?}");
            assert!(field.option.is_empty() || field.option.starts_with('/'), "{kind} {field:?}");
            assert!(!field.per_device || matches!(field.kind, schema::Type::Text(_)), "{kind} {field:?}");
            if let schema::Type::Form(pattern) = field.kind {
                assert!(regex_lite::Regex::new(pattern.regex).is_ok(), "{kind} {field:?}");
            }
        }
    }
    assert!(Kind::ALL.is_sorted());
    assert!("NTP".parse::<Kind>().is_err());
}

#[test]
fn the_schema_matches_the_check() {
    let schema = Kind::Ldap.schema().json_schema();
    assert_eq!(schema["required"], json!(["server", "base"]));
    assert_eq!(schema["additionalProperties"], json!(false));
    assert_eq!(schema["dependentRequired"], json!({"password": ["user"]}));
    assert_eq!(schema["properties"]["password"]["writeOnly"], json!(true));
    assert_eq!(schema["properties"]["base"]["maxLength"], json!(256));
    assert_eq!(Kind::Stun.schema().json_schema()["minProperties"], json!(1));
    assert_eq!(Kind::Ntp.schema().json_schema()["properties"]["interval"]["maximum"], json!(1440));
    assert_eq!(schema::json_schema()["oneOf"].as_array().unwrap().len(), Kind::ALL.len());
}

#[test]
fn kinds_apply_to_types_of_devices() {
    assert!(Kind::Sip.suits("PHONE", false) && !Kind::Sip.suits("GW", true));
    assert!(Kind::AnaloguePhone.suits("GW", true) && !Kind::AnaloguePhone.suits("GW", false));
    assert!(Kind::Ntp.suits("TOASTER", false) && !Kind::Vlan.suits("VA", false));
    assert!(Kind::Sip.lists_category("PHONE") && Kind::AnaloguePhone.lists_category("PHONE"));
    assert!(Kind::Ntp.lists_category("PHONE") && Kind::Ntp.lists_category("DECT"));
    assert!(!Kind::TlsProfile.suits("PHONE", true) && Kind::AlarmServer.lists_category("DECT"));
    assert!(!Kind::Language.lists_category("GW") && !Kind::Sip.lists_category("DECT"));
    assert!(Kind::AnaloguePhone.lists_category("GW") && !Kind::AnaloguePhone.lists_category("DECT"));
}
