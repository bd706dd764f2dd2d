//! Membership: challenges, replacement by another connection, other domains, automatic provisioning.

use provbroker::core::model::ids::{DeviceKey, DomainName};
use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::broker::{ADMIN_PASSWORD, Broker, CATEGORY, DOMAIN, OTHER, OTHER_PASSWORD, PASSWORD, QUERY};
use crate::support::crypto::{rc4, unhex};
use crate::support::peer::{Device, identify, identify_with, until};
use crate::support::rest::Operator;

const PHONE: &str = "0090334100c1";

fn key() -> DeviceKey {
    DeviceKey::parse(PHONE).unwrap()
}

/// A code of a domain.
async fn code_of(broker: &Broker, domain: &str, password: &str) -> (App, String) {
    let mut users = App::login(broker.addr, "users", domain, "users", password).await;
    let code = users.code(CATEGORY, "p1").await;
    (users, code)
}

/// The domain that the phone belongs to.
async fn home(broker: &Broker) -> Option<DomainName> {
    broker.store().find_device(&key()).await.unwrap().map(|device| device.domain)
}

/// Waits until no connection of the phone is a member.
async fn gone(broker: &Broker, domain: &str) {
    let domain = DomainName::parse(domain).unwrap();
    until("the device is offline", async || broker.store().whereabouts(&domain, &key()).await.unwrap().is_none()).await;
}

/// Waits until a registration of the phone has confirmed its password.
async fn confirmed(broker: &Broker) {
    until("the password is confirmed", async || !broker.store().find_device(&key()).await.unwrap().unwrap().tentative)
        .await;
}

on_each_store!(a_domain_without_administrative_password_hands_out_none, |_| {}, async |broker: &Broker| {
    let (_users, code) = code_of(broker, OTHER, OTHER_PASSWORD).await;
    let (mut phone, password) = Device::enter(broker.addr, PHONE, &code).await;
    phone.quiet().await;
    phone.leave().await;
    Device::come_back(broker.addr, PHONE, &password).await.quiet().await;
});

on_each_store!(only_the_right_digest_opens_the_record, |_| {}, async |broker: &Broker| {
    let (_users, code) = code_of(broker, OTHER, OTHER_PASSWORD).await;
    let (phone, password) = Device::enter(broker.addr, PHONE, &code).await;
    phone.leave().await;

    let mut wrong = Device::identified(broker.addr, &identify(PHONE)).await;
    let challenge = wrong.expect_challenge().await;
    wrong.answer(&identify(PHONE), &challenge, "not the password").await;
    wrong.expect_close(1008).await;

    // The digest for a challenge of an earlier connection is not accepted, but is ignored while no challenge is open.
    let mut old = Device::connect(broker.addr, "").await;
    old.answer(&identify(PHONE), &challenge, &password).await;
    let fresh = old.expect_challenge().await;
    assert_ne!(fresh, challenge);
    old.answer(&identify(PHONE), &challenge, &password).await;
    old.expect_close(1008).await;

    // The digest is computed over the present identify, also after an update of the firmware.
    let mut updated = identify(PHONE);
    updated["version"] = "14r1 [14.1103/141103/300]".into();
    let mut phone = Device::identified(broker.addr, &identify(PHONE)).await;
    let challenge = phone.expect_challenge().await;
    phone.answer(&updated, &challenge, &password).await;
    phone.quiet().await;
});

on_each_store!(only_an_authenticated_connection_replaces_the_old_one, |_| {}, async |broker: &Broker| {
    let (_users, code) = code_of(broker, OTHER, OTHER_PASSWORD).await;
    let (mut old, password) = Device::enter(broker.addr, PHONE, &code).await;
    let mut new = Device::identified(broker.addr, &identify(PHONE)).await;
    let challenge = new.expect_challenge().await;
    new.quiet().await;
    old.quiet().await;
    new.answer(&identify(PHONE), &challenge, &password).await;
    old.expect_close(1000).await;
    new.quiet().await;
});

on_each_store!(a_code_throws_no_member_out, |_| {}, async |broker: &Broker| {
    let (mut users, code) = code_of(broker, OTHER, OTHER_PASSWORD).await;
    let (mut member, _) = Device::enter(broker.addr, PHONE, &code).await;
    member.quiet().await;
    let second = users.code(CATEGORY, "p2").await;
    let mut reset = Device::identified(broker.addr, &identify_with(PHONE, &second)).await;
    reset.expect_challenge().await;
    reset.identify(&identify_with(PHONE, &second)).await;
    reset.quiet().await;
    member.quiet().await;
    member.leave().await;
    // No other connection is a member: a device after a reset enters again by a code.
    gone(broker, OTHER).await;
    reset.identify(&identify_with(PHONE, &second)).await;
    reset.expect_password().await;
    reset.quiet().await;
});

on_each_store!(a_device_of_another_domain_keeps_its_place, |_| {}, async |broker: &Broker| {
    let (_users, code) = code_of(broker, OTHER, OTHER_PASSWORD).await;
    let (phone, password) = Device::enter(broker.addr, PHONE, &code).await;
    let (mut example, code) = code_of(broker, DOMAIN, PASSWORD).await;
    phone.leave().await;

    let mut phone = Device::identified(broker.addr, &identify_with(PHONE, &code)).await;
    let challenge = phone.expect_challenge().await;
    phone.answer(&identify_with(PHONE, &code), &challenge, &password).await;
    phone.quiet().await;
    phone.identify(&identify_with(PHONE, &code)).await;
    phone.quiet().await;
    assert_eq!(home(broker).await.unwrap().as_str(), OTHER);

    let (_second, _) = Device::enter(broker.addr, "0090334100c2", &code).await;
    assert_eq!(example.next_notice().await["device"]["hwId"], "0090334100c2");
    assert_eq!(home(broker).await.unwrap().as_str(), OTHER);
});

on_each_store!(a_token_lets_an_unknown_device_in, |_| {}, async |broker: &Broker| {
    let mut phone = Device::connect(broker.addr, QUERY).await;
    phone.identify(&identify(PHONE)).await;
    let password = phone.expect_password().await;
    let own = phone.expect_admin_password(&password).await;
    assert!(own.len() == 24 && own.bytes().all(|b| b.is_ascii_alphanumeric()), "{own}");
    phone.leave().await;
    for _ in 0..2 {
        let mut phone = Device::come_back(broker.addr, PHONE, &password).await;
        assert_eq!(phone.expect_admin_password(&password).await, own, "drawn once per entry");
        phone.leave().await;
    }
    // A known device: the token alone is not enough.
    gone(broker, DOMAIN).await;
    confirmed(broker).await;
    let mut thief = Device::connect(broker.addr, QUERY).await;
    thief.identify(&identify(PHONE)).await;
    thief.expect_challenge().await;
    thief.identify(&identify(PHONE)).await;
    thief.quiet().await;

    // An administrative code leads to the administrative password of the domain.
    let (mut users, _) = code_of(broker, DOMAIN, PASSWORD).await;
    let code = users.administrative_code(CATEGORY, "p2").await;
    let (mut phone, password) = Device::enter(broker.addr, PHONE, &code).await;
    assert_eq!(phone.expect_admin_password(&password).await, ADMIN_PASSWORD);
});

on_each_store!(a_wrong_query_is_no_query, |_| {}, async |broker: &Broker| {
    for query in [
        "domain=example.com&token=token%23of-example%20com&category=Desk%20phones",
        "domain=example.com&token=token%2523of-example+com&category=Desk%20phones",
        "domain=example.com&token=token%23of-example+com&category=Desk+phones",
        "domain=example.com&token=token%23of-example+com&category=desk%20phones",
        "domain=example.com&token=token%23of-example+com&category=Storage%20room",
        "domain=example.com&token=token%23of-example+com",
        "domain=example.com&token=token%23of-example+com&category=Desk%20phones&category=Desk%20phones",
        "domain=example.com&token=token%23of-example+com&category=Desk%20phones&x=%zz",
        "domain=other.example&token=&category=Desk%20phones",
        "domain=nobody.example&token=token%23of-example+com&category=Desk%20phones",
    ] {
        let mut phone = Device::connect(broker.addr, query).await;
        phone.identify(&identify(PHONE)).await;
        phone.quiet().await;
        assert_eq!(home(broker).await, None, "{query}");
        phone.leave().await;
    }
});

on_each_store!(a_token_moves_no_device_out_of_another_domain, |_| {}, async |broker: &Broker| {
    let (_users, code) = code_of(broker, OTHER, OTHER_PASSWORD).await;
    let (phone, password) = Device::enter(broker.addr, PHONE, &code).await;
    phone.leave().await;
    let mut phone = Device::connect(broker.addr, QUERY).await;
    phone.identify(&identify(PHONE)).await;
    let challenge = phone.expect_challenge().await;
    phone.answer(&identify(PHONE), &challenge, &password).await;
    phone.quiet().await;
    assert_eq!(home(broker).await.unwrap().as_str(), OTHER);
});

on_each_store!(a_valid_code_goes_before_the_query, |_| {}, async |broker: &Broker| {
    let (_users, code) = code_of(broker, OTHER, OTHER_PASSWORD).await;
    let mut phone = Device::connect(broker.addr, QUERY).await;
    phone.identify(&identify_with(PHONE, &code)).await;
    phone.expect_password().await;
    phone.quiet().await;
    assert_eq!(home(broker).await.unwrap().as_str(), OTHER);
});

on_each_store!(a_password_that_never_arrived_is_replaced_for_the_same_token, |_| {}, async |broker: &Broker| {
    let mut first = Device::connect(broker.addr, QUERY).await;
    first.identify(&identify(PHONE)).await;
    let lost = first.expect_password().await;
    first.expect_admin_password(&lost).await;
    // It has to be a member at all nodes before it leaves, or waiting for its absence would mean nothing.
    first.quiet().await;
    drop(first);
    gone(broker, DOMAIN).await;

    let mut again = Device::connect(broker.addr, QUERY).await;
    again.identify(&identify(PHONE)).await;
    again.expect_challenge().await;
    // It has no password to answer with, and repeats its identify.
    again.identify(&identify(PHONE)).await;
    let password = again.expect_password().await;
    assert_ne!(password, lost);
    again.expect_admin_password(&password).await;
    again.leave().await;

    let mut phone = Device::come_back(broker.addr, PHONE, &password).await;
    phone.expect_admin_password(&password).await;
});

on_each_store!(a_password_that_never_arrived_is_replaced_for_the_same_code, |_| {}, async |broker: &Broker| {
    let (_users, code) = code_of(broker, OTHER, OTHER_PASSWORD).await;
    let (mut first, lost) = Device::enter(broker.addr, PHONE, &code).await;
    first.quiet().await;
    drop(first);
    gone(broker, OTHER).await;
    let (phone, password) = Device::enter(broker.addr, PHONE, &code).await;
    assert_ne!(password, lost);
    phone.leave().await;

    Device::come_back(broker.addr, PHONE, &password).await.leave().await;
    confirmed(broker).await;
    gone(broker, OTHER).await;
    // The password has arrived: from now on the code counts as used.
    let mut phone = Device::identified(broker.addr, &identify_with(PHONE, &code)).await;
    phone.expect_challenge().await;
    phone.quiet().await;
});

/// Makes a configuration job for all devices of the other domain; its number.
async fn make(operator: &Operator, kind: &str, values: Value) -> u64 {
    let body = json!({"kind": kind, "values": values});
    let made = operator.done("POST", &format!("/domains/{OTHER}/config-jobs"), Some(body)).await;
    made["id"].as_u64().unwrap()
}

on_each_store!(other_products_are_sent_their_configuration, |_| {}, async |broker: &Broker| {
    let (_users, code) = code_of(broker, OTHER, OTHER_PASSWORD).await;
    let operator = Operator::of(broker.addr, OTHER, OTHER_PASSWORD).await;
    let domain = operator.get(&format!("/domains/{OTHER}")).await["id"].clone();
    let mut identify = identify_with(PHONE, &code);
    identify["other"] = true.into();
    let mut phone = Device::identified(broker.addr, &identify).await;
    let password = phone.expect_password().await;
    assert_eq!(phone.expect_configuration().await, json!({"last": true}));
    // A kind without a published type is not sent.
    make(&operator, "language", json!({"language": "de"})).await;
    let values = json!({"turnServer": "turn.example", "turnUser": "#t", "turnPassword": "of the turn server"});
    make(&operator, "stun", values).await;
    let mut media = phone.expect_configuration().await["config"].take();
    let take = |media: &mut Value| {
        let [sealed, seed] = ["turnPassword", "turnSeed"].map(|name| media[name].take().as_str().unwrap().to_owned());
        assert!(seed.len() == 16 && seed.bytes().all(|b| b.is_ascii_alphanumeric()), "{seed}");
        (String::from_utf8(rc4(format!("{seed}:{password}").as_bytes(), &unhex(&sealed))).unwrap(), seed)
    };
    let (plain, seed) = take(&mut media);
    assert_eq!(plain, "of the turn server");
    // The simulated devices can tell absent members from those taken out.
    let expected = json!({"id": 1, "domainId": domain, "type": "MEDIA", "categories": [], "stunServer": "",
        "turnServer": "turn.example", "turnUser": "IP112", "turnPassword": null, "turnSeed": null});
    assert_eq!(media, expected);
    let ntp = make(&operator, "ntp", json!({"server": "ntp.example"})).await;
    let merged = json!({"id": 2, "domainId": domain, "type": "NTP", "categories": [], "ntp1": "ntp.example",
        "ntp2": "", "tz": ""});
    assert_eq!(phone.expect_configuration().await, json!({"config": merged}));
    phone.quiet().await;
    phone.leave().await;
    gone(broker, OTHER).await;

    // It comes back: everything once more, by type, with a new seed.
    let mut phone = Device::connect(broker.addr, "").await;
    identify.as_object_mut().unwrap().remove("provisioningCode");
    phone.identify(&identify).await;
    let challenge = phone.expect_challenge().await;
    phone.answer(&identify, &challenge, &password).await;
    let mut again = phone.expect_configuration().await["config"].take();
    let (plain, new_seed) = take(&mut again);
    assert_eq!((plain.as_str(), again), ("of the turn server", expected));
    assert_ne!(seed, new_seed);
    assert_eq!(phone.expect_configuration().await, json!({"config": merged, "last": true}));

    // It no longer applies.
    operator.done("DELETE", &format!("/domains/{OTHER}/jobs/{ntp}"), None).await;
    let removed = json!({"id": 2, "domainId": domain, "type": "NTP", "categories": [], "ntp1": "", "ntp2": "",
        "tz": "", "removed": true});
    assert_eq!(phone.expect_configuration().await, json!({"config": removed}));
    phone.quiet().await;
});
