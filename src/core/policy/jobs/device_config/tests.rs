//! What apps are shown of the configuration jobs of a domain.

use serde_json::{Map, json};

use super::super::plan::tests::{domain, kind_job};
use super::*;

fn shown(config: &DeviceConfig) -> Value {
    let (desc, names) = (&config.desc, config.categories.iter().map(|c| c.name.to_string()).collect::<Vec<_>>());
    json!([config.id.0, config.domain.0, config.kind.name(), desc, names])
}

fn in_category(mut job: Job, number: u64, desc: &str) -> Job {
    (job.order.category, job.config, job.order.desc) = (Some(CategoryId(4)), Some(ConfigId(number)), Some(desc.into()));
    job
}

#[test]
fn a_configuration_is_a_kind_of_a_category_with_the_latest_job() {
    let jobs = [
        kind_job(3, "ntp", &json!({"server": "a"})),
        kind_job(5, "ntp", &json!({"server": "b"})),
        kind_job(6, "language", &json!({"language": "de"})),
        in_category(kind_job(7, "ntp", &json!({"server": "c"})), 9, "old"),
        in_category(kind_job(8, "ntp", &json!({"server": "d"})), 9, "new"),
        kind_job(10, "time-zone", &json!({"zone": "CET-1"})),
    ];
    let listed = list(&domain(), &jobs);
    let all: Vec<_> = listed.iter().map(|listed| (listed.latest.0, shown(&listed.config))).collect();
    assert_eq!(
        all,
        [
            // Jobs without a number: that of the first one.
            (5, json!([3, 2, "NTP", null, []])),
            (8, json!([9, 2, "NTP", "new", ["Desk phones"]])),
            (10, json!([10, 2, "NTP", null, []])),
        ]
    );
    assert!(listed.iter().all(|listed| listed.config.members.is_empty()));
    assert_eq!(number(&jobs, Kind::Ntp, None), Some(ConfigId(3)));
    assert_eq!(number(&jobs, Kind::Ntp, Some(CategoryId(4))), Some(ConfigId(9)));
    assert_eq!(number(&jobs, Kind::Sip, None), None);
    assert_eq!(one(&domain(), &jobs, ConfigId(8)), None);
    let (config, script) = one(&domain(), &jobs, ConfigId(9)).unwrap();
    assert_eq!(Value::from(config.shown()), json!({"ntp1": "d", "ntp2": "", "tz": ""}));
    assert_eq!(script, None);
}

#[test]
fn an_app_is_shown_the_members_of_the_documentation() {
    let registration = json!({"protocol": "sip", "primary": "p", "secondary": "s", "domain": "d", "name": "#m",
        "password": "letmein", "coder": "G722", "exclusive": true, "dialTone": 15, "srtpKey": "4"});
    let mut ports = registration.clone();
    ports["ports"] = "TEL1".into();
    ports["fax"] = true.into();
    let common = json!({"gk1": "p", "gk2": "s", "gkId": "d", "coder": "G722", "exclusive": true, "srtpKey": "4",
        "srtpCipher": "1", "dialTone": 15});
    let mut fax = common.clone();
    fax["fax"] = true.into();
    for (kind, values, expected) in [
        ("sip", registration, common),
        ("analogue-phone", ports, fax),
        // The members that only devices are always sent are left out.
        ("stun", json!({"turnServer": "t", "turnUser": "#m"}), json!({"turnServer": "t", "turnUser": "#m"})),
        (
            "stun",
            json!({"turnServer": "t", "turnUser": "u", "turnPassword": "p", "tosRtp": "0xb8"}),
            json!({"turnServer": "t", "turnUser": "u", "turnPassword": "hidden", "tosRtp": "0xb8"}),
        ),
        ("alarm-server", json!({"url": "http://h/"}), json!({"url": "http://h/", "setLogUrl": false})),
        ("tls-profile", json!({"profile": "fast"}), json!({"profile": "fast"})),
    ] {
        let (config, _) = one(&domain(), &[kind_job(1, kind, &values)], ConfigId(1)).unwrap();
        assert_eq!(Value::from(config.shown()), expected, "{kind}");
    }
    let lines = kind_job(1, "raw", &json!({"lines": "vars del A\n\n# why\r\nvars del B"}));
    let (config, script) = one(&domain(), &[lines], ConfigId(1)).unwrap();
    assert_eq!((config.kind, config.shown()), (ConfigType::Expert, Map::new()));
    assert_eq!(script.unwrap().expose(), "vars del A\r\n\r\n# why\r\nvars del B\r\n");
}

#[test]
fn every_parameter_of_a_member_is_one_of_its_kind() {
    for kind in Kind::ALL {
        let Some(of) = kind.config_type() else { continue };
        // The two kinds of NTP share their members.
        let other = if kind == Kind::Ntp { Kind::TimeZone } else { Kind::Ntp };
        let fields = || kind.schema().fields().chain(other.schema().fields());
        for member in members(of) {
            let field = fields().find(|field| field.name == member.parameter).unwrap();
            assert_eq!(field.secret, member.secret, "{kind} {}", member.name);
        }
    }
}
