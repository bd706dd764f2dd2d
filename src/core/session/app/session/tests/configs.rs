//! Device configurations: list, values, notices (`docs/protocol/devices-api.md` 4.6, 4.8, 4.9).

use super::*;
use crate::core::model::device_config::{ConfigType, DeviceConfig, MemberValue};
use crate::core::model::ids::{ConfigId, JobId};
use crate::core::policy::jobs::device_config::Listed;
use crate::core::protocol::appws::message::ApiError;
use crate::core::session::app::event::DataChange;

const SEED: &str = "Zk3Vx0Rz9Tq1Lm5W";

fn config(id: u64, kind: ConfigType) -> DeviceConfig {
    let id = ConfigId(id);
    DeviceConfig { id, domain: DomainId(2), desc: None, kind, categories: Vec::new(), members: Vec::new() }
}

/// Configurations by their numbers and latest jobs.
fn listed(all: &[(u64, u64)]) -> Answer {
    let one = |(id, job): &(u64, u64)| Listed { latest: JobId(*job), config: config(*id, ConfigType::Ntp) };
    Answer::DeviceConfigs(DomainId(2), all.iter().map(one).collect())
}

fn ntp(id: u64) -> Value {
    json!({"id": id, "domainId": 2, "type": "NTP", "categories": []})
}

fn all(output: &[String]) -> Vec<Value> {
    output.iter().filter(|text| text.starts_with('{')).map(|text| parsed(text)).collect()
}

/// A connection that has subscribed to configurations 1 and 4.
fn subscribed() -> Harness {
    let mut harness = Harness::logged_in();
    let ask = harness.say(&json!({"mt": "GetDeviceConfigs", "recvUpdates": true, "src": "c1"}));
    assert_eq!(ask, ["ask 1 configs 0"]);
    let output = harness.answered(1, listed(&[(1, 1), (4, 5)]));
    let result = json!({"mt": "GetDeviceConfigsResult", "src": "c1", "last": true, "configs": [ntp(1), ntp(4)]});
    assert_eq!(all(&output), [result]);
    // Once more, since they may have changed meanwhile.
    assert_eq!(output.last().unwrap(), "ask 2 configs 2");
    assert!(harness.answered(2, listed(&[(1, 1), (4, 5)])).is_empty());
    harness
}

#[test]
fn subscribers_are_told_of_new_edited_and_deleted_configurations() {
    let mut harness = subscribed();
    assert!(harness.on(Event::DataChange(DataChange::Domains)).iter().all(|text| !text.contains("configs")));
    let output = harness.at(1_000).tick();
    let ask = output.iter().find(|text| text.contains("configs")).unwrap();
    let number: u64 = ask.split(' ').nth(1).unwrap().parse().unwrap();
    assert_eq!(*ask, format!("ask {number} configs 2"));
    // Number 1 has another job with the same members, 4 is gone, 7 is new.
    let output = harness.answered(number, listed(&[(1, 6), (7, 7)]));
    assert_eq!(
        all(&output),
        [
            json!({"mt": "DeviceConfigEdited", "src": "c1", "config": ntp(1)}),
            json!({"mt": "DeviceConfigAdded", "src": "c1", "config": ntp(7)}),
            json!({"mt": "DeviceConfigDeleted", "src": "c1", "id": 4, "domainId": 2}),
        ]
    );
}

#[test]
fn when_the_domain_is_gone_its_configurations_are() {
    let mut harness = subscribed();
    harness.on(Event::DataChange(DataChange::Anything));
    let output = harness.at(1_000).tick();
    let ask = output.iter().find(|text| text.contains("configs")).unwrap();
    let number: u64 = ask.split(' ').nth(1).unwrap().parse().unwrap();
    // The store does not answer: it is asked again.
    harness.answered(number, Answer::Failed(ApiError::Internal));
    let output = harness.at(2_000).tick();
    let ask = output.iter().find(|text| text.contains("configs")).unwrap();
    let number: u64 = ask.split(' ').nth(1).unwrap().parse().unwrap();
    let output = harness.answered(number, Answer::Failed(ApiError::NotFound));
    let deleted = |id| json!({"mt": "DeviceConfigDeleted", "src": "c1", "id": id, "domainId": 2});
    assert_eq!(all(&output), [deleted(1), deleted(4)]);
}

#[test]
fn without_updates_there_are_no_notices() {
    let mut harness = subscribed();
    harness.say(&json!({"mt": "GetDeviceConfigs", "src": "c2"}));
    assert_eq!(all(&harness.answered(3, listed(&[(1, 1)]))).len(), 1);
    harness.on(Event::DataChange(DataChange::Anything));
    assert!(harness.at(9_000).tick().iter().all(|text| !text.contains("configs")));
}

#[test]
fn an_answer_about_another_domain_than_the_present_one_is_ignored() {
    let mut harness = subscribed();
    harness.on(Event::DataChange(DataChange::Anything));
    let output = harness.at(1_000).tick();
    let ask = output.iter().find(|text| text.contains("configs")).unwrap();
    let old: u64 = ask.split(' ').nth(1).unwrap().parse().unwrap();
    let output = harness.say(&json!({"mt": "GetDeviceConfigs", "recvUpdates": true, "domainId": 3, "src": "c3"}));
    let number: u64 = output.last().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    harness.answered(number, Answer::DeviceConfigs(DomainId(3), Vec::new()));
    assert!(all(&harness.answered(old, listed(&[(1, 1), (9, 9)]))).is_empty());
}

#[test]
fn a_script_comes_in_pieces_before_its_configuration() {
    let mut harness = Harness::logged_in();
    let api = "com.innovaphone.devices";
    assert_eq!(harness.say(&json!({"mt": "GetDeviceConfig", "id": 6, "src": "c2", "api": api})), ["ask 1 config 6"]);
    harness.say(&json!({"mt": "GetLoginInfo", "src": "later"}));
    let script = Secret::new("a".repeat(16_385));
    let answer =
        |script| Answer::DeviceConfig { config: Box::new(config(6, ConfigType::Expert)), script, seed: SEED.into() };
    let output = all(&harness.answered(1, answer(Some(script))));
    let piece = |text: &str| {
        json!({"mt": "GetDeviceConfigValueResult", "src": "c2", "api": api, "name": "script",
                                    "value": text})
    };
    let expert = json!({"id": 6, "domainId": 2, "type": "EXPERT", "categories": []});
    let result = json!({"mt": "GetDeviceConfigResult", "src": "c2", "api": api, "config": expert});
    assert_eq!(output[..3], [piece(&"a".repeat(16_384)), piece("a"), result]);
    assert_eq!(output[3]["src"], "later");
    let mut harness = Harness::logged_in();
    harness.say(&json!({"mt": "GetDeviceConfig", "id": 6}));
    assert_eq!(all(&harness.answered(1, answer(Some(Secret::new(""))))).len(), 1, "no piece of an empty script");
}

#[test]
fn a_password_is_encrypted_with_the_session_key() {
    let mut harness = Harness::logged_in();
    harness.say(&json!({"mt": "GetDeviceConfig", "id": 2, "src": "c2"}));
    let members = vec![("turnPassword", MemberValue::Secret(Secret::new("Geheim-1")))];
    let config = Box::new(DeviceConfig { members, ..config(2, ConfigType::Media) });
    let output = harness.answered(1, Answer::DeviceConfig { config, script: None, seed: SEED.into() });
    let media = json!({"id": 2, "domainId": 2, "type": "MEDIA", "categories": [], "turnPassword": "51f62c9601923777",
        "seed": SEED});
    assert_eq!(all(&output), [json!({"mt": "GetDeviceConfigResult", "src": "c2", "config": media})]);
    harness.say(&json!({"mt": "GetDeviceConfig", "id": 3}));
    let output = harness.answered(2, Answer::Failed(ApiError::NotFound));
    assert_eq!(all(&output), [json!({"mt": "GetDeviceConfigResult", "error": "not found"})]);
}
