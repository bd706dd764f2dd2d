//! Limits of failed log-ins and of unassigned devices, and the validity of codes.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use provbroker::config::Config;
use provbroker::core::model::ids::{Code, DomainName};
use serde_json::{Value, json};

use crate::support::app::App;
use crate::support::broker::{Broker, CATEGORY, DOMAIN, Keep, PASSWORD, with_broker};
use crate::support::peer::{Device, identify, identify_with, init, until};

/// Another address of the loopback.
const fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

#[test]
fn unassigned_devices_of_an_address_are_limited() {
    let change = |config: &mut Config| config.devices.max_unassigned_per_address = 2;
    with_broker(&Keep::embedded(), change, async |broker: &Broker| {
        let mut two = Vec::new();
        for n in 0..2 {
            let mut device = Device::identified(broker.addr, &identify(&format!("00903341040{n}"))).await;
            device.quiet().await;
            two.push(device);
        }
        Device::identified(broker.addr, &identify("009033410409")).await.expect_close(1013).await;
        let mut elsewhere = Device::connect_from(address(8), broker.addr, "").await.expect("not refused");
        elsewhere.identify(&identify("009033410409")).await;
        elsewhere.quiet().await;
        two.pop().unwrap().leave().await;
        until("the place is free", async || {
            let mut device = Device::identified(broker.addr, &identify("009033410409")).await;
            // Either no message or the close.
            device.is_quiet().await
        })
        .await;
    });
}

on_each_store!(
    an_expired_code_is_an_unknown_code,
    |config: &mut Config| config.codes.ttl = Duration::from_secs(1),
    async |broker: &Broker| {
        const UNKNOWN: &str = "000000000000";
        let mut users = App::login(broker.addr, "users", DOMAIN, "users", PASSWORD).await;
        let code = users.code(CATEGORY, "p1").await;
        let (domain, parsed) = (DomainName::parse(DOMAIN).unwrap(), Code::parse(&code).unwrap());
        let script = init(broker.addr, &format!("mac=009033410106&PROVISIONING-CODE={code}")).await;
        assert!(script.body.contains("# ok"), "{}", script.body);
        until("the code ends", async || broker.store().code_in(&domain, parsed).await.unwrap().is_none()).await;
        until("the directory forgets it", async || broker.store().find_listing(parsed).await.unwrap().is_none()).await;

        let [of_it, of_none] = [&code[..], UNKNOWN].map(|code| format!("mac=009033410106&PROVISIONING-CODE={code}"));
        let (of_it, of_none) = (init(broker.addr, &of_it).await, init(broker.addr, &of_none).await);
        assert_eq!((of_it.status, of_it.body), (of_none.status, of_none.body));

        let mut device = Device::identified(broker.addr, &identify_with("009033410106", &code)).await;
        device.quiet().await;
        let mut answers = Vec::new();
        for code in [&code[..], UNKNOWN] {
            let mut answer = users.request(json!({"mt": "GetProvisionedDevice", "code": code, "src": "q"})).await;
            answer["code"] = Value::Null;
            answers.push(answer);
        }
        assert_eq!(answers[0]["error"], "not found");
        assert_eq!(answers[0], answers[1]);
    }
);

on_each_store!(codes_are_valid_for_ten_minutes_or_seven_days, |_| {}, async |broker: &Broker| {
    let mut users = App::login(broker.addr, "users", DOMAIN, "users", PASSWORD).await;
    for (rollout, seconds) in [(json!(false), 600), (Value::Null, 600), (json!(true), 7 * 24 * 3600)] {
        let before = broker.store().now().await.unwrap().seconds();
        let request = json!({"mt": "GetProvisioningCode", "category": CATEGORY, "rollout": rollout});
        let result = users.request(request).await;
        crate::support::secrets::note(result["code"].as_str().unwrap());
        let after = broker.store().now().await.unwrap().seconds();
        let until = result["validUntil"].as_u64().unwrap();
        assert!((before + seconds..=after + seconds + 1).contains(&until), "{before} {until} {after}");
    }
});

#[test]
fn redis_expires_codes_itself() {
    let keep = Keep::redis();
    let Keep::Redis(server) = &keep else { unreachable!() };
    with_broker(
        &keep,
        |config| config.codes.ttl = Duration::from_secs(1),
        async |broker: &Broker| {
            let redis = server.connection().await;
            // Their names do not tell the codes.
            let keys = async || {
                let mut found = Vec::new();
                for pattern in ["pb:code:*".to_owned(), format!("pb:{{{DOMAIN}}}:code:*")] {
                    let keys = redis::cmd("KEYS").arg(pattern).query_async::<Vec<String>>(&mut redis.clone()).await;
                    found.extend(keys.unwrap());
                }
                found.sort();
                found
            };
            let mut users = App::login(broker.addr, "users", DOMAIN, "users", PASSWORD).await;
            let request = json!({"mt": "GetProvisioningCode", "category": CATEGORY, "rollout": true});
            let long = users.request(request).await["code"].as_str().unwrap().to_owned();
            crate::support::secrets::note(&long);
            let of_long = keys().await;
            assert!(of_long.len() == 2 && of_long.iter().all(|key| !key.contains(&long)), "{of_long:?}");
            users.code(CATEGORY, "p1").await;
            for key in &of_long {
                let ttl: i64 = redis::cmd("TTL").arg(key).query_async(&mut redis.clone()).await.unwrap();
                assert!((604_799..=604_800).contains(&ttl), "{key}: {ttl}");
            }
            until("Redis forgets the short one", async || keys().await == of_long).await;
        },
    );
}
